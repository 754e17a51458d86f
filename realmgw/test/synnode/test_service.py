"""Tests for `realmgw.synnode.service`."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.synnode.entries import Entries, Target
from realmgw.synnode.kernel import Placed
from realmgw.synnode.server import ControlServer
from realmgw.synnode.service import PortsService, TableService
from realmgw.synproxy.codec import TcpOptions
from realmgw.system.endpoints import Endpoint
from realmgw.system.port import Sockets
from realmgw.test.synnode.keys import FULL, GATEWAY, HOST, PLAIN, flush, key, mod, packed
from realmgw.testing import MemoryListener, MemoryWorker

TARGET = (packed(HOST), 80)


class RecordingKernel:
    """Notes what it is told.

    Attributes:
        calls: That.
        refusal: Raised by the next change.
        adopted: What an earlier run has left.
        findings: Of each look.
        was_installed: Whether a table of ours stood before the last `apply`; None: not known.
    """

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.refusal: Exception | None = None
        self.adopted: dict[Target, TcpOptions] = {}
        self.findings = Findings()
        self.was_installed: bool | None = None

    def own_ports(self) -> frozenset[int]:
        """See `NodeKernel.own_ports`."""
        return frozenset((7,))

    def apply(self) -> Placed:
        """See `NodeKernel.apply`."""
        self.calls.append("apply")
        self._refuse()
        self.was_installed = bool(self.adopted)
        return Placed(self.adopted, ("a setting",))

    def change(self, wanted: Mapping[Target, TcpOptions | None]) -> None:
        """See `NodeKernel.change`."""
        self.calls.append(dict(wanted))
        self._refuse()

    def replace(self, wanted: Mapping[Target, TcpOptions]) -> None:
        """See `NodeKernel.replace`."""
        self.calls.append(("replace", dict(wanted)))

    def look(self, noticed: Noticed) -> Findings:
        """See `NodeKernel.look`."""
        self.calls.append("look")
        return self.findings

    def purge(self) -> tuple[str, ...]:
        """See `NodeKernel.purge`."""
        self.calls.append("purge")
        self._refuse()
        return ("removed",)

    def close(self) -> None:
        """See `NodeKernel.close`."""
        self.calls.append("close")

    def _refuse(self) -> None:
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal


class TableTestCase(SynchronousTestCase):
    """A service, its clock, its worker, its table and its kernel."""

    def setUp(self) -> None:
        """Nothing runs yet."""
        self.clock, self.worker, self.kernel = Clock(), MemoryWorker(), RecordingKernel()
        self.entries, self.listener = Entries(1000), MemoryListener()
        self.service = self.made()

    def made(self, *, purging: bool = False) -> TableService:
        """A service."""
        return TableService(
            self.kernel, self.entries, clock=self.clock, worker=self.worker, listener=self.listener, purging=purging
        )

    def start(self) -> None:
        """Starts it to the end, and forgets how."""
        started = self.service.startService()
        self.worker.work()
        self.successResultOf(started)
        self.service.settle()
        self.kernel.calls.clear()

    def stop(self) -> None:
        """Stops it to the end."""
        stopped = self.service.stopService()
        self.worker.work()
        self.successResultOf(stopped)


class StartTests(TableTestCase):
    """Starting and stopping."""

    def test_started_when_the_table_stands(self) -> None:
        """It was listened before, so that nothing is missed, and nothing is heard of our own; a look ends it."""
        started = self.service.startService()
        self.assertNoResult(started)
        with capturedLogs() as events:
            self.worker.work()
        self.successResultOf(started)
        self.assertEqual((self.kernel.calls, self.listener.ignored), (["apply", "look"], {7}))
        self.assertEqual([formatEvent(event) for event in events], ["a setting"])

    def test_what_an_earlier_run_has_left_stands(self) -> None:
        """And is not told to the kernel again."""
        self.kernel.adopted = {TARGET: FULL}
        self.start()
        self.service.changed()
        self.assertEqual((len(self.entries), self.clock.getDelayedCalls()[1:]), (1, []))

    def test_a_start_that_fails_leaves_no_thread(self) -> None:
        """And says why."""
        self.kernel.refusal = PlatformError("no SYN proxy")
        started = self.service.startService()
        self.worker.work()
        self.failureResultOf(started, PlatformError)
        self.assertEqual((self.worker.stopped, self.service.running, self.listener.heard), (True, 0, None))

    def test_a_start_that_ends_before_the_node_serves_leaves_no_table_where_there_was_none(self) -> None:
        """Whether it is another service that could not start, or the kernel that has refused the second half of it."""
        for adopted, wanted in (
            ({}, ["apply", "look", "purge", "close"]),
            ({TARGET: FULL}, ["apply", "look", "close"]),
        ):
            self.kernel, self.entries = RecordingKernel(), Entries(1000)
            self.kernel.adopted, self.service = adopted, self.made()
            started = self.service.startService()
            self.worker.work()
            self.successResultOf(started)
            self.stop()
            self.assertEqual(self.kernel.calls, wanted)
        self.kernel = RecordingKernel()
        self.service = self.made()
        self.patch(self.kernel, "apply", self._half_placed)
        started = self.service.startService()
        self.worker.work()
        self.failureResultOf(started, RealmGatewayError)
        self.assertEqual(self.kernel.calls, ["purge", "close"])

    def _half_placed(self) -> Placed:
        self.kernel.was_installed = False
        raise RealmGatewayError("a setting was refused")

    def test_stopping_leaves_everything_there(self) -> None:
        """SYNs are answered as before; what was not told yet is told by the gateways again."""
        self.start()
        self.entries.apply(GATEWAY, mod(key(HOST, 80)))
        self.service.changed()
        self.stop()
        self.assertEqual(self.kernel.calls, ["close"])
        self.assertEqual((self.worker.stopped, self.clock.getDelayedCalls()), (True, []))

    def test_a_purge_is_told(self) -> None:
        """Also when it is refused."""
        for refusal, told in ((None, "removed"), (RealmGatewayError("busy"), "not everything was removed: busy")):
            self.service = self.made(purging=True)
            self.start()
            self.kernel.refusal = refusal
            with capturedLogs() as events:
                self.stop()
            self.assertEqual([formatEvent(event) for event in events], [told])
            self.assertEqual(self.kernel.calls, ["purge", "close"])


class ChangeTests(TableTestCase):
    """What the kernel is told."""

    def setUp(self) -> None:
        """It runs."""
        super().setUp()
        self.start()

    def say(self, *requests: Any) -> None:
        """A gateway says something."""
        for request in requests:
            self.entries.apply(GATEWAY, request)
        self.service.changed()

    def test_all_of_a_turn_is_one_transaction(self) -> None:
        """It begins with the next turn."""
        self.say(mod(key(HOST, 80), PLAIN))
        self.say(mod(key(HOST, 80), FULL), mod(key(HOST, 81), FULL))
        self.assertEqual(self.kernel.calls, [])
        self.clock.advance(0)
        self.worker.work()
        self.assertEqual(self.kernel.calls, [{TARGET: FULL, (packed(HOST), 81): FULL}])
        self.assertEqual(self.service.counts(), {"transactions": 1, "refused": 0, "repairs": 0})

    def test_what_comes_meanwhile_is_the_next_one(self) -> None:
        """There is one at a time: a slow kernel makes larger ones, not more."""
        self.say(mod(key(HOST, 80)))
        self.clock.advance(0)
        for port in range(81, 90):
            self.say(mod(key(HOST, port)))
            self.clock.advance(0)
        self.worker.work()
        self.assertEqual([len(call) for call in self.kernel.calls], [1, 9])

    def test_what_comes_while_a_change_is_refused_is_told_as_well(self) -> None:
        """Nobody repeats it: the gateway has its answer."""
        for port, refusal in (80, RealmGatewayError("no such element")), (90, ZeroDivisionError()):
            self.kernel.calls.clear()
            self.kernel.refusal = refusal
            self.say(mod(key(HOST, port), PLAIN))
            self.clock.advance(0)
            self.say(mod(key(HOST, port + 1), PLAIN), mod(key(HOST, port), FULL))
            for _ in range(2):
                self.worker.work()
                self.clock.advance(0)
            self.worker.work()
            one, other = (packed(HOST), port), (packed(HOST), port + 1)
            self.assertEqual(self.kernel.calls, [{one: PLAIN}, "look", {one: FULL, other: PLAIN}])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_changes_nothing_is_no_transaction(self) -> None:
        """A refused request, for example."""
        self.say(flush())
        self.clock.advance(0)
        self.worker.work()
        self.assertEqual(self.kernel.calls, [])

    def test_a_change_that_is_refused_has_the_whole_table_looked_at(self) -> None:
        """At once, and the next change is told as any other."""
        for refusal in (RealmGatewayError("no such element"), ZeroDivisionError()):
            self.kernel.calls.clear()
            self.kernel.refusal = refusal
            self.say(mod(key(HOST, 80)))
            self.clock.advance(0)
            self.worker.work()
            self.assertEqual(self.kernel.calls, [{TARGET: FULL}, "look"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.service.refused, 1)
        self.say(mod(key(HOST, 80), PLAIN))
        self.clock.advance(0)
        self.worker.work()
        self.assertEqual(self.kernel.calls[-1], {TARGET: PLAIN})

    def test_findings_are_told_once(self) -> None:
        """What is broken when it begins, what was put back each time, and that all is well again."""
        self.kernel.findings = Findings(repaired=("the table is gone",), broken=("r0 is down",))
        with capturedLogs() as events:
            for findings in (self.kernel.findings, Findings(broken=("r0 is down",)), Findings()):
                self.kernel.findings = findings
                self.clock.advance(3)
                self.worker.work()
        lines = [formatEvent(event) for event in events]
        self.assertEqual(lines, ["the table is gone; it was put back", "r0 is down", "all is well again"])


class PortsTests(SynchronousTestCase):
    """Where gateways are served."""

    def setUp(self) -> None:
        """A server, and two places."""
        self.closed: list[Endpoint] = []
        self.server = ControlServer(Entries(1), bool, bool, 1, Clock())
        self.endpoints = tuple(Endpoint(ip_address(f"192.0.2.{number}"), 12345) for number in (1, 2))

    def service(self, taken: Endpoint | None = None) -> PortsService:
        """One of whose places is taken."""
        closed = self.closed

        class Listening:
            """A reactor, and its ports."""

            def listenTCP(self, number: int, _factory: Any, backlog: int, interface: str) -> Listening:
                """A port."""
                del backlog
                self.endpoint = Endpoint(ip_address(interface), number)
                if self.endpoint == taken:
                    raise CannotListenError("", number, OSError(errno.EADDRINUSE, "taken"))
                port = Listening()
                port.endpoint = self.endpoint
                return port

            def stopListening(self) -> Any:
                """See `IListeningPort`."""
                closed.append(self.endpoint)
                return succeed(None)

        return PortsService(self.endpoints, Sockets(Listening(), "the control protocol"), self.server)

    def test_listens_until_it_is_stopped(self) -> None:
        """Everywhere."""
        service = self.service()
        self.successResultOf(service.startService())
        self.assertEqual(self.closed, [])
        self.successResultOf(service.stopService())
        self.assertEqual(self.closed, list(self.endpoints))

    def test_a_place_that_is_taken_is_told(self) -> None:
        """With what to do, and the other one is given back."""
        service = self.service(self.endpoints[1])
        failure = self.failureResultOf(service.startService(), PlatformError)
        self.assertIn("the control protocol can not listen on TCP 192.0.2.2 port 12345: another", str(failure.value))
        self.assertEqual(self.closed, [self.endpoints[0]])

"""The recorder's part of the gateway: a process that ends, does not listen, or says what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.flow_records import Ipfix, Transport
from realmgw.config.settings import FlowRecords, Interfaces, Pools, Settings
from realmgw.config.steps import Blocking, finish
from realmgw.daemon import child as process
from realmgw.daemon.child import DEATH, FAREWELL, LONGEST
from realmgw.daemon.frames import Frames
from realmgw.errors import PlatformError
from realmgw.records import service as module
from realmgw.records.exporting import Collector
from realmgw.records.frames import HOSTS, OPENED, flows
from realmgw.records.known import Entry, Flow
from realmgw.records.service import EVERY, FIRST_WAIT, LOOK, SILENT, RecordsService, Sources
from realmgw.subscribers.model import Host, Profile
from realmgw.subscribers.reach import NOWHERE
from realmgw.subscribers.registry import Changes, Registry
from realmgw.system.endpoints import Endpoint

FLOW: Flow = (b"\xcb\0\x71\5", b"\xc0\0\2\3", 6, 40112, 80)
OPENED_ONE: Entry = 7.0, 9, "one.example.org.", FLOW, 1
ONE = Host(1, "one.example.org.", b"\xc0\xa8\0\x0a", Profile(groups=("gold",)))
SETTINGS = Settings("gwa.example.org.", (), Interfaces("wan0", ("lan0",)), Pools(()))
COUNTS = dict.fromkeys((*module.TOTALS, *module.NOW), 0)


class MemoryProcess:
    """A process that is told things, as its transport."""

    def __init__(self, protocol: Any) -> None:
        self.protocol, self.pid = protocol, 7
        self.written, self.signals = b"", list[str]()
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """It is told something."""
        self.written += data

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Who is told to pause."""
        assert producer is self.protocol
        assert streaming

    def unregisterProducer(self) -> None:
        """Not any more."""

    def closeStdin(self) -> None:
        """It is told that it is over."""
        self.is_closed = True

    def signalProcess(self, name: str) -> None:
        """It gets a signal."""
        self.signals.append(name)

    @property
    def todo(self) -> Any:
        """What it was told to do."""
        return next(iter(Frames().take(self.written)))[0]

    @property
    def news(self) -> list[Any]:
        """What it was told, from the second on."""
        return list(Frames().take(self.written))[1:]

    def say(self, problem: str = "", **counts: int) -> None:
        """It reports."""
        groups = {"gold": {"flows": counts.get("written", 0), "octets_in": 7, "octets_out": 9}}
        said = {"counts": {**COUNTS, **counts}, "groups": groups, "problem": problem, "dropped": counts.get("lost", 0)}
        self.protocol.outReceived(json.dumps(said).encode() + b"\n")

    def die(self, status: int | None = None) -> None:
        """It ends."""
        self.protocol.processEnded(Failure(ProcessTerminated(status) if status else ProcessDone(0)))


class ProcessReactor(Clock):
    """A clock that begins processes, or can not."""

    def __init__(self) -> None:
        super().__init__()
        self.processes = list[MemoryProcess]()
        self.refusal: OSError | None = None

    def spawnProcess(self, protocol: Any, *_arguments: Any, **_more: Any) -> MemoryProcess:
        """Begin one."""
        if self.refusal is not None:
            raise self.refusal
        protocol.transport = made = MemoryProcess(protocol)
        self.processes.append(made)
        return made


class MemorySocket:
    """A socket that nobody reads."""

    is_closed = False

    def fileno(self) -> int:
        """Its number."""
        return 9

    def close(self) -> None:
        """It is given back."""
        self.is_closed = True


def handed(entries: list[Entry]) -> tuple[int, bytes]:
    """Flows as the log of decisions hands them on."""
    return len(entries), msgspec.msgpack.encode(entries)


class RecordsServiceTests(SynchronousTestCase):
    """With one host and flows."""

    def setUp(self) -> None:
        """Started."""
        self.reactor, self.socket, self.registry = ProcessReactor(), MemorySocket(), Registry()
        self.opened, self.before = list[Entry](), list[Entry]()
        self.told: tuple[str, ...] = ()
        self.watched, self.tells = list[bool](), True
        self.registry.directory.hosts[1] = ONE
        self.registry._by_address[ONE.address] = ONE
        self.service = self.make(enabled=True)
        self.service.startService()
        self.addCleanup(self.end)

    def make(self, *, enabled: bool, ipfix: Ipfix | None = None) -> RecordsService:
        """A service."""

        def taken() -> tuple[int, bytes]:
            found, self.opened = self.opened, []
            return handed(found)

        def tell(lines: Any) -> None:
            self.told = tuple(lines)

        watch: Callable[..., object] = lambda *, on: self.watched.append(on)  # noqa: E731 - it is one
        again = lambda: self.opened.extend(self.before)  # noqa: E731 - it is one
        sources = Sources(self.registry, lambda: NOWHERE, taken, 4, watch, lambda: self.tells, again)
        how = attrs.evolve(SETTINGS, flow_records=FlowRecords(enabled=enabled, ipfix=ipfix))
        reactor: Any = self.reactor
        clock: Callable[[], float] = lambda: 5.0  # noqa: E731 - it is one
        return RecordsService(
            how, Path("flows"), sources, reactor, self.elsewhere, tell, clock, lambda **_: self.socket
        )

    def elsewhere(self, blocking: Blocking) -> Deferred[Any]:
        """Makes a call at once."""
        return maybeDeferred(blocking.call)

    def end(self) -> None:
        """Stopped."""
        if self.service.running:
            self.service.stopService()
            self.child.die()

    @property
    def child(self) -> MemoryProcess:
        """The process that was begun last."""
        return self.reactor.processes[-1]

    def advance(self, seconds: float) -> None:
        """Time goes on."""
        for _ in range(round(seconds / 0.125) or 1):
            self.reactor.advance(0.125)

    def test_it_is_told_of_hosts_and_flows(self) -> None:
        """Flows all at once, some time later."""
        self.opened.append(OPENED_ONE)
        self.advance(EVERY)
        rows = [(ONE.address, "one.example.org.", ("gold",))]
        self.assertEqual(self.child.news, [(HOSTS, 0.0, rows), (OPENED, 4, handed([OPENED_ONE])[1])])

    def test_one_that_says_nothing_is_told_of(self) -> None:
        """Until it does; and not because the gateway itself was away, or since it was begun anew."""
        self.advance(SILENT - LOOK)
        self.assertEqual(self.told, ())
        self.advance(2 * LOOK + EVERY)
        self.assertEqual([line for line in self.told if "does not tell how it is" in line], list(self.told))
        self.assertEqual(len(self.told), 1)
        self.child.say()
        self.assertEqual(self.told, ())
        self.reactor.advance(10 * SILENT)
        self.advance(LOOK)
        self.assertEqual(self.told, ())

    def test_reports_that_come_in_pieces_or_are_none(self) -> None:
        """However it is cut; what is too long or no JSON is let go, and the next one is taken."""
        said, take = [json.dumps({"counts": {"written": n}, "groups": {}, "problem": "", "dropped": 0}).encode() + b"\n"
                      for n in range(9)], self.child.protocol.outReceived  # fmt: skip
        written: Callable[[], object] = lambda: self.service.counts()["written"]  # noqa: E731 - it is one
        take(said[1][:9])
        take(said[1][9:] + said[2] + said[3][:5])
        self.assertEqual(written(), 2)
        take(said[3][5:])
        self.assertEqual(written(), 3)
        take(b"x" * LONGEST)
        take(b"x" + said[4])
        self.assertEqual(written(), 3, "it is the end of one that was too long")
        take(b"half a line" + said[5] + said[6])
        self.assertEqual(written(), 6)
        take(b"no JSON\n")
        take(said[7])
        self.assertEqual(written(), 7)

    def test_all_of_a_tenth_of_a_second_are_told_together(self) -> None:
        """However many come: in their order, each once; and nothing where none does."""
        self.advance(4 * EVERY)  # the hosts are told
        before, expected = len(self.child.news), list[Entry]()
        for count in (3, 0, 5000, 1):
            expected += (some := [self.entry(len(expected) + number) for number in range(count)])
            self.opened += some
            self.reactor.advance(EVERY)
            self.assertEqual(self.opened, [])
        told = [flows(octets) for kind, _, octets in self.child.news[before:]]
        self.assertEqual(([len(some) for some in told], [*chain(*told)]), ([3, 5000, 1], expected))
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)

    def entry(self, number: int) -> Entry:
        """One of many flows."""
        return 7.0, number, "two.example.org.", (*FLOW[:3], 40113, number), 1

    def test_it_is_told_of_the_collector(self) -> None:
        """As the fields of `Collector`; else of none."""
        self.assertIsNone(self.child.todo["collector"])
        for transport in Transport:
            self.service.stopService()
            self.child.die()
            where = Ipfix(Endpoint(ip_address("2001:db8::5"), 9995), transport, 7, 600.0)
            self.service = self.make(enabled=True, ipfix=where)
            self.service.startService()
            expected = Collector("2001:db8::5", 9995, transport is Transport.TCP, 7, 600.0)
            self.assertEqual(Collector(*self.child.todo["collector"]), expected)

    def test_it_is_told_of_many_hosts_as_it_listens(self) -> None:
        """Some at a time; where it pauses, it goes on there, and each is told once."""
        others = [Host(index, f"h{index}.example.org.", index.to_bytes(4, "big")) for index in range(2, 1000)]
        for host in others:
            self.registry.directory.hosts[host.index] = self.registry._by_address[host.address] = host
        self.child.die(1)
        self.advance(FIRST_WAIT)
        protocol = self.child.protocol
        protocol.pauseProducing()
        self.advance(1.0)
        before = len(self.child.news)
        protocol.resumeProducing()
        self.advance(1.0)
        rows = [row for news in self.child.news for row in news[2]]
        self.assertLess(before, 3)
        self.assertEqual([row[1] for row in rows], [ONE.name, *(host.name for host in others)])

    def test_changes_are_told_with_their_time(self) -> None:
        """Who is gone is nobody; an address that is another's by now is told once, as his."""
        moved = attrs.evolve(ONE, name="two.example.org.")
        self.registry._by_address[ONE.address] = moved
        gone = b"\xc0\xa8\0\x0b"
        changes = Changes(changed=[(ONE, moved)], addresses_gone={ONE.address, gone})
        self.advance(0.1)
        before = len(self.child.news)
        finish(self.service.noting(changes))
        rows = [(gone, None, ())], [(ONE.address, "two.example.org.", ("gold",))]
        self.assertEqual(self.child.news[before:], [(HOSTS, 5.0, each) for each in rows])

    def test_what_waits_for_a_recorder_that_does_not_listen_is_bounded(self) -> None:
        """Flows, as many as there is room for; hosts are told all the same, until it is too much: then it is ended."""
        self.advance(0.1)
        protocol, before = self.child.protocol, len(self.child.news)
        protocol.pauseProducing()
        finish(self.service.noting(Changes(added=[ONE])))
        self.patch(module, "MOST_WAITING", 2)
        others = [self.entry(1), self.entry(2)]
        for some in ([OPENED_ONE], others):
            self.opened += some
            self.advance(EVERY)
        hosts = (HOSTS, 5.0, [(ONE.address, ONE.name, ("gold",))])
        self.assertEqual((self.child.news[before:], self.service.counts()["untold"]), ([hosts], 1))
        protocol.resumeProducing()
        self.advance(EVERY)
        news = (OPENED, 4, handed(others)[1])
        self.assertEqual(self.child.news[before:], [hosts, news])
        self.patch(process, "MOST_UNREAD", 9)
        protocol.pauseProducing()
        finish(self.service.noting(Changes(added=[ONE])))
        self.assertEqual(self.child.signals, ["KILL"])

    def test_one_that_is_begun_anew_is_told_of_all_flows_that_are_known_still(self) -> None:
        """They may go on, and end with the names that they had."""
        self.before = [OPENED_ONE]
        self.child.die(9)
        self.advance(FIRST_WAIT + 4 * EVERY)
        self.assertIn((OPENED, 4, handed([OPENED_ONE])[1]), self.child.news)

    def test_one_that_ends_is_begun_anew(self) -> None:
        """Later each time, until one has something to report; counts go on."""
        self.child.say(written=5, waiting=2)
        self.child.protocol.errReceived(b"Traceback\nBad: luck\n")
        self.child.die(1)
        self.assertEqual(self.told, ("flow records: the recorder has ended with status 1: Bad: luck",))
        self.advance(FIRST_WAIT)
        self.assertEqual(len(self.reactor.processes), 2)
        self.child.die(1)
        self.advance(FIRST_WAIT)
        self.assertEqual(len(self.reactor.processes), 2)
        self.advance(FIRST_WAIT)
        self.child.say(written=2, waiting=1)
        self.assertEqual(self.told, ())
        counts = self.service.counts()
        self.assertEqual((counts["begun"], counts["written"], counts["waiting"]), (3, 7, 1))
        self.assertEqual(counts["groups"], {"gold": {"flows": 7, "octets_in": 14, "octets_out": 18}})

    def test_one_that_can_not_be_begun_is_tried_again(self) -> None:
        """And said so."""
        self.reactor.refusal = OSError(11, "Resource temporarily unavailable")
        self.child.die(1)
        self.advance(FIRST_WAIT)
        self.assertIn("can not be started: Resource", self.told[0])
        self.reactor.refusal = None
        self.advance(2 * FIRST_WAIT)
        self.assertEqual(self.service.counts()["begun"], 2)

    def test_what_is_wrong_is_told(self) -> None:
        """A full disk while it is full, a loss for a while; the next recorder knows what was counted as lost."""
        self.child.say("flows: No space left on device", lost=3)
        self.assertEqual(len(self.told), 2)
        self.child.say(lost=3)
        self.assertEqual(self.told, ("flow records: more flows end than can be recorded: some are lost",))
        for _ in range(int(module.AFTER_LOSS / LOOK) + 1):
            self.child.say(lost=3)
            self.advance(LOOK)
        self.assertEqual(self.told, ())
        self.child.die(1)
        self.advance(FIRST_WAIT)
        self.assertEqual(next(Frames().take(self.child.written))[0]["dropped"], 3)

    def test_it_is_told_if_conntrack_tells_nothing(self) -> None:
        """Somebody has switched its events off."""
        self.tells = False
        self.advance(LOOK + EVERY)
        self.assertEqual(self.told, (f"flow records: {module.DEAF}",))
        self.tells = True
        self.advance(LOOK + EVERY)
        self.assertEqual(self.told, ())

    def test_the_end_waits_for_it(self) -> None:
        """What was let in last is told; one that does not end is ended."""
        self.opened.append(OPENED_ONE)
        done = self.service.stopService()
        self.assertTrue(self.child.is_closed)
        self.assertEqual(self.child.news[-1][0], OPENED)
        self.assertNoResult(done)
        self.advance(FAREWELL)
        self.assertEqual(self.child.signals, ["KILL"])
        self.assertNoResult(done)
        self.child.die(9)
        self.successResultOf(done)
        self.assertTrue(self.socket.is_closed)
        self.assertEqual((self.watched, self.reactor.getDelayedCalls()), ([True, False], []))

    def test_one_that_can_not_be_killed_is_not_waited_for(self) -> None:
        """It waits for a disk; when that answers, the kernel ends it."""
        done = self.service.stopService()
        self.advance(FAREWELL + DEATH)
        self.successResultOf(done)
        self.child.die(9)

    def test_what_was_is_asked_for_elsewhere(self) -> None:
        """The recorder has kept nothing yet; and where it keeps nothing, it is said so."""
        self.assertEqual(self.successResultOf(self.service.flows({}, 9)), {"flows": [], "more": False})
        told = self.successResultOf(self.service.accounts(groups=True, since=0.0, name="", most=9))
        self.assertEqual((told["accounts"], told["period"]), ([], 3600))
        self.failureResultOf(self.make(enabled=False).flows({}, 9), PlatformError)

    def test_without_it_nothing_is_done(self) -> None:
        """As it is by default."""
        service = self.make(enabled=False)
        before = len(self.reactor.processes)
        service.startService()
        self.assertEqual((len(self.reactor.processes), service.counts()), (before, {}))
        finish(service.noting(Changes(added=[ONE])))
        self.successResultOf(service.stopService())

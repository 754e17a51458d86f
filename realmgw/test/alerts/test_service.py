"""Tests for `realmgw.alerts.service` and `realmgw.alerts.sources`."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.alerts.backlog import MOST
from realmgw.alerts.eve import Flow
from realmgw.alerts.service import AFTER_LOSS, AT_ONCE, LOOK, TURN, AlertsService, Clocks, Known
from realmgw.alerts.sources import CONNECTIONS
from realmgw.config.alerts import Action, AlertRule, Alerts
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.model import Host
from realmgw.subscribers.reach import NOWHERE
from realmgw.system.endpoints import Endpoint
from realmgw.test.alerts.peer import MemoryKernel, Reactor, Wire
from realmgw.test.alerts.test_eve import line
from realmgw.test.alerts.test_response import CLIENT, HOST, MemoryFlow, into
from realmgw.test.synproxy.test_table import settings as gateway_settings

UDP = Endpoint(ip_address("127.0.0.1"), 12346)
BANS = AlertRule((Action.BAN, Action.BLAME))


class ServiceTestCase(SynchronousTestCase):
    """A service with a flow that alerts are of."""

    def setUp(self) -> None:
        """Makes what it is handed."""
        self.reactor, self.kernel = Reactor(), MemoryKernel()
        self.flow: MemoryFlow | None = into()
        self.asked: list[int] = []
        self.spent = 0.0
        self.passed = 0.0
        self.wrong: tuple[str, ...] = ()
        self.watched: list[bool] = []
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.stalled: list[Deferred[Any]] | None = None

    def monotonic(self) -> float:
        """Each look at the clock takes some time."""
        self.passed += self.spent
        return float(self.reactor.seconds()) + self.passed

    def elsewhere(self, blocking: Blocking) -> Deferred[Any]:
        """Makes the call at once, unless the disk does not answer."""
        if self.stalled is not None:
            self.stalled.append(Deferred())
            return self.stalled[-1]
        try:
            return succeed(blocking.call())
        except OSError as error:
            return fail(error)

    def settings(self, **how: Any) -> Settings:
        """A gateway's."""
        return attrs.evolve(gateway_settings(), alerts=Alerts(**how) if how else None)

    def begin(self, **how: Any) -> AlertsService:
        """The service, started."""
        self.successResultOf(self.make(**how).startService())
        return self.service

    def refuse(self, said: str, **how: Any) -> None:
        """The start fails, and nothing is left."""
        failure = self.failureResultOf(self.make(**how).startService(), PlatformError)
        self.assertIn(said, failure.getErrorMessage())
        self.assertFalse(self.service.running)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def group_of(self, name: str) -> int:
        """There is one."""
        if name != "suricata":
            raise PlatformError(f"there is no group {name}")
        return os.getgid()

    def find(self, wanted: Sequence[Flow]) -> list[MemoryFlow | None]:
        """All of them are one."""
        self.asked.append(len(wanted))
        return [self.flow for _ in wanted]

    def make(self, **how: Any) -> AlertsService:
        """The service."""
        self.service = AlertsService(
            self.settings(**how),
            Known(
                self.find, lambda some: [True for _ in some], lambda *_: None, lambda *, on: self.watched.append(on),
                {HOST: Host(1, "one.example.org.", HOST)}.get, lambda: NOWHERE,
            ),
            self.kernel,
            Clocks(self.reactor, self.monotonic, lambda: 1_700_000_000.0),
            self.elsewhere,
            lambda lines: setattr(self, "wrong", tuple(lines)),
            self.group_of,
        )  # fmt: skip
        return self.service

    def pass_time(self, seconds: float = 0.01) -> None:
        """Some time."""
        self.reactor.pump([0.001] * round(seconds / 0.001))

    def alert(self, signature: int = 1) -> bytes:
        """A line, with its end."""
        return line(alert={"signature_id": signature}) + b"\n"

    def counts(self) -> Any:
        """What is counted."""
        return self.service.counts()


class SourceTests(ServiceTestCase):
    """Where alerts come from."""

    def test_without_the_section_nothing_is_done(self) -> None:
        """Nor counted; and the command says so."""
        service = self.begin()
        self.assertEqual((self.reactor.getDelayedCalls(), service.counts()), ([], {}))
        self.assertFalse(service.show(5)["on"])
        service.configure(self.settings(rules=(BANS,)))
        self.successResultOf(service.stopService())

    def test_a_unix_socket(self) -> None:
        """Several write at once; for one more than may, the oldest goes."""
        self.begin(socket=self.folder / "alerts.sock")
        transports = []
        for _ in range(CONNECTIONS + 1):
            protocol = self.reactor.unixServers[0][1].buildProtocol(None)
            transports.append(Wire(protocol))
            protocol.makeConnection(transports[-1])
            protocol.dataReceived(self.alert()[:50])
            protocol.dataReceived(self.alert()[50:])
        self.pass_time()
        counts = self.counts()
        self.assertEqual((counts["alerts"], counts["repeated"]), (CONNECTIONS + 1, CONNECTIONS))
        self.assertEqual((counts["connections"], counts["connections_closed"]), (CONNECTIONS, 1))
        self.successResultOf(self.service.stopService())
        self.assertTrue(all(each.disconnected for each in transports))
        self.assertEqual(self.counts()["connections"], 0)

    def test_a_group_that_is_not_there_is_told(self) -> None:
        """And nothing listens."""
        self.refuse("there is no group nobody", socket=self.folder / "alerts.sock", group="nobody")

    def test_udp_from_those_who_may(self) -> None:
        """One line or several in each datagram; what is none is counted."""
        self.begin(udp=UDP)
        protocol = self.reactor.udp
        protocol.datagramReceived(self.alert(1)[:-1], ("127.0.0.1", 5))
        protocol.datagramReceived(self.alert(2) + self.alert(3) + b"{", ("127.0.0.9", 5))
        protocol.datagramReceived(self.alert(4), ("192.0.2.9", 5))
        self.pass_time()
        counts = self.counts()
        self.assertEqual((counts["alerts"], counts["malformed"], counts["senders_refused"]), (3, 1, 1))
        self.service.configure(self.settings(udp=UDP, senders=(ip_network("192.0.2.0/24"),)))
        protocol.datagramReceived(self.alert(4), ("192.0.2.9", 5))
        protocol.datagramReceived(self.alert(5), ("127.0.0.1", 5))
        self.pass_time()
        self.assertEqual((self.counts()["alerts"], self.counts()["senders_refused"]), (4, 2))
        self.successResultOf(self.service.stopService())

    def test_datagrams_that_the_kernel_has_no_room_for_are_told(self) -> None:
        """For a while; and there is much room."""
        self.begin(udp=UDP)
        self.pass_time(1.1)
        self.assertEqual((self.reactor.handle.room, self.wrong), (8 << 20, ()))
        self.reactor.handle.dropped = 7
        self.pass_time(1.1)
        self.assertEqual(self.counts()["datagrams_lost"], 7)
        self.assertIn("alerts are lost", self.wrong[0])
        self.reactor.advance(60.0)
        self.pass_time(1.1)
        self.assertEqual(self.wrong, ())

    def test_a_port_that_somebody_has(self) -> None:
        """The start fails with a line that says what to do, and nothing is left."""
        self.reactor.refuses = True
        self.refuse("127.0.0.1 port 12346", udp=UDP, socket=self.folder / "alerts.sock")

    def test_a_file(self) -> None:
        """What is in it already is old."""
        file = self.folder / "eve.json"
        file.write_bytes(self.alert(9))
        self.begin(file=file)
        with file.open("ab") as there:
            there.write(self.alert(1) + self.alert(2)[:30])
        self.pass_time(0.3)
        self.assertEqual(self.counts()["alerts"], 1)
        with file.open("ab") as there:
            there.write(self.alert(2)[30:])
        self.pass_time(0.3)
        self.assertEqual(self.counts()["alerts"], 2)
        self.successResultOf(self.service.stopService())

    def test_a_file_that_can_not_be_read_is_told(self) -> None:
        """Until it can be."""
        file = self.folder / "eve.json"
        file.mkdir()
        self.begin(file=file)
        self.pass_time(LOOK + 0.2)
        [wrong] = self.wrong
        self.assertIn("no regular file", wrong)
        file.rmdir()
        self.pass_time(LOOK + 0.2)
        self.assertEqual(self.wrong, ())
        self.successResultOf(self.service.stopService())

    def test_a_disk_that_stands_still_holds_up_nobody(self) -> None:
        """It is asked once; what was read is not lost, though whoever has asked has given up."""
        file = self.folder / "eve.json"
        file.touch()
        self.begin(file=file)
        file.write_bytes(self.alert())
        self.stalled = []
        self.pass_time(1.0)
        [asked], self.stalled = self.stalled, None
        asked.errback(OSError("eve.json has not answered for 10 s"))
        self.pass_time(0.3)
        self.assertEqual(self.counts()["alerts"], 1)
        self.successResultOf(self.service.stopService())


class TurnTests(ServiceTestCase):
    """When lines are looked at."""

    def test_others_have_their_turn_in_between(self) -> None:
        """However many come; and when nobody wants one, it goes on at once. Conntrack is asked for some at once."""
        self.begin(udp=UDP, rules=(BANS,))
        self.spent = TURN / 2.5
        many = 40 * AT_ONCE - 5
        for number in range(many):
            port = ("127.0.0.1", 5)
            self.reactor.udp.datagramReceived(line(src_port=number, alert={"signature_id": number + 1}), port)
        self.assertEqual(self.counts()["alerts"], 0)
        seen: list[Any] = []

        def another() -> None:
            seen.append(self.counts()["alerts"])
            if seen[-1] < many:
                self.reactor.callLater(0.0, another)

        another()
        self.reactor.advance(0.0)
        turns = [after - before for before, after in pairwise(seen)]
        self.assertEqual((sum(turns), self.counts()["waiting"]), (many, 0))
        self.assertLessEqual(max(turns), 3 * AT_ONCE)
        self.assertGreaterEqual(sum(bool(turn) for turn in turns), 13)
        self.assertEqual(self.asked, [AT_ONCE] * 39 + [AT_ONCE - 5])
        self.successResultOf(self.service.stopService())

    def test_what_is_lost_is_told_for_a_while(self) -> None:
        """And counted; what waits at the stop is lost as well."""
        self.begin(udp=UDP)
        many = self.alert() * (MOST // 100 + 1)
        for _ in range(100):
            self.reactor.udp.datagramReceived(many, ("127.0.0.1", 5))
        self.assertEqual(self.counts()["lost"], 100)
        self.pass_time(LOOK + 0.1)
        self.assertEqual(len(self.wrong), 1)
        self.reactor.pump([1.0] * round(AFTER_LOSS + 1))
        self.assertEqual(self.wrong, ())
        self.reactor.udp.datagramReceived(self.alert(), ("127.0.0.1", 5))
        self.successResultOf(self.service.stopService())
        self.assertEqual((self.counts()["lost"], self.reactor.getDelayedCalls()), (101, []))

    def test_a_line_behind_one_that_was_cut_off(self) -> None:
        """Is looked at; the other is malformed."""
        self.begin(udp=UDP)
        self.reactor.udp.datagramReceived(self.alert(1)[:200] + self.alert(2), ("127.0.0.1", 5))
        self.pass_time()
        self.assertEqual((self.counts()["malformed"], self.counts()["alerts"]), (1, 1))
        self.successResultOf(self.service.stopService())


class BanTests(ServiceTestCase):
    """What the kernel is told."""

    def ban(self) -> None:
        """Somebody is."""
        self.begin(udp=UDP, rules=(BANS,), ban_time=100.0)
        self.reactor.udp.datagramReceived(self.alert(), ("127.0.0.1", 5))
        self.pass_time()

    def test_who_is_banned_is_told_again_after_the_table_was_placed_anew(self) -> None:
        """By others, or by a reload, also one that is refused; for as long as is left, and not when it is over."""
        self.ban()
        self.assertEqual(self.kernel.banned, [{CLIENT: 100.0}])
        self.pass_time(LOOK + 0.1)
        self.kernel.placements = 1
        self.pass_time(LOOK)
        self.service.configure(self.settings(udp=UDP, rules=(BANS,)))
        left = [each[CLIENT] for each in self.kernel.banned[1:]]
        self.assertEqual(len(left), 2)
        self.assertTrue(all(97.0 < each < 99.0 for each in left))
        self.reactor.pump([1.0] * 100)
        self.kernel.placements = 2
        self.pass_time(LOOK)
        self.assertEqual((len(self.kernel.banned), self.counts()["bans"]), (3, 0))
        self.successResultOf(self.service.stopService())

    def test_whom_an_operator_lifts_stays_so_while_the_table_stands(self) -> None:
        """Whatever else is put back: he is told to the kernel once."""
        self.ban()
        self.kernel.repairs = 1
        self.pass_time(3 * LOOK)
        self.assertEqual(self.kernel.banned, [{CLIENT: 100.0}])
        self.successResultOf(self.service.stopService())

    def test_whom_a_reload_finds_in_the_white_list_is_banned_no_more(self) -> None:
        """Nor again, while he is there."""
        self.ban()
        names = {"udp": UDP, "rules": (BANS,), "ban_time": 100.0}
        self.service.configure(self.settings(**names, never_ban=(ip_network("203.0.113.0/24"),)))
        self.assertEqual((self.kernel.banned[-1], self.counts()["bans"]), ({CLIENT: 0.0}, 0))
        self.pass_time(2.0)
        self.reactor.udp.datagramReceived(self.alert(), ("127.0.0.1", 5))
        self.pass_time()
        self.assertEqual((self.counts()["bans"], self.counts()["not_banned"]), (0, 1))
        self.service.configure(self.settings(**names))
        self.assertEqual(len(self.kernel.banned), 2)
        self.successResultOf(self.service.stopService())

    def test_a_kernel_that_refuses(self) -> None:
        """It is told and counted, and he may be banned at another time."""
        self.kernel.refusal = RealmGatewayError("the set is full")
        with capturedLogs() as events:
            self.ban()
        self.assertEqual((len(events), self.counts()["bans_failed"], self.counts()["bans"]), (1, 1, 0))
        self.successResultOf(self.service.stopService())

    def test_openers_are_remembered_while_somebody_may_be_blamed(self) -> None:
        """By the rules in force."""
        self.begin(udp=UDP, rules=(BANS,))
        self.service.configure(self.settings(udp=UDP, rules=(AlertRule((Action.END,)),)))
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.watched, [True, False, False])

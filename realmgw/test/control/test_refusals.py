"""Tests for `realmgw.control.refusals`; `kernel.test_refusals` has the kernel."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.config.settings import Settings
from realmgw.control.refusals import RefusalsService
from realmgw.datapath import bans
from realmgw.datapath.netlink import nflog
from realmgw.datapath.policy import noted
from realmgw.errors import RealmGatewayError
from realmgw.test.control.parts import TestGateway
from realmgw.test.datapath.answers import AnsweringChannel, refusal
from realmgw.test.datapath.netlink.test_nflog import PORTS, told
from realmgw.test.datapath.netlink.test_traces import ipv4

RULES = "firewall: {admin: [{priority: 3, direction: INGRESS, target: DROP, comment: {comment: shut}}]}"


class Channel(AnsweringChannel):
    """A socket that is read in the reactor."""

    def settimeout(self, timeout: float) -> None:
        """From now on it does not block."""
        assert timeout == 0.0

    def fileno(self) -> int:
        """Until it is closed."""
        return -1 if self.is_closed else 9


class Reactor:
    """Notes who reads."""

    def __init__(self) -> None:
        """Nobody."""
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """One more."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """One less."""
        self.readers.remove(reader)


@attrs.frozen
class Cause:
    """What somebody is banned for."""

    signature: int = 2034636
    """Its number."""
    text: str = "ET EXPLOIT something"
    """What it is."""


class RefusalsTests(SynchronousTestCase):
    """A host at 192.0.2.2 with a rule."""

    def setUp(self) -> None:
        """The service, not started."""
        self.made = TestGateway(Path(self.mktemp()))
        (self.made.folder / "subscribers.d" / "b.yaml").write_text(f"r.example.org: {{address: 192.0.2.2, {RULES}}}\n")
        self.made.reload()
        self.said = list[tuple[str, ...]]()
        self.channels = list[Channel | Exception]()
        self.banned = dict[bytes, tuple[Cause, int | None]]()
        self.reactor, self.log = Reactor(), self.made.allocator.ledger.decisions
        self.service = RefusalsService(
            self.made.running, self.log, self.made.clock.seconds, self.reactor,
            lambda lines: self.said.append(tuple(lines)), self.cause, self.open,
        )  # fmt: skip

    def open(self, **_: Any) -> Channel:
        """The next one."""
        found = self.channels.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def cause(self, source: bytes) -> tuple[Cause, int | None] | None:
        """What somebody is banned for."""
        return self.banned.get(source)

    def settings(self, refused: int, group: int = 5) -> Settings:
        """So many are told."""
        settings = self.made.running.settings
        log = attrs.evolve(settings.datapath.log, refused=refused, group=group)
        return attrs.evolve(settings, datapath=attrs.evolve(settings.datapath, log=log))

    def test_a_packet_is_written_down_with_its_rule(self) -> None:
        """Of a host, of a stage; what is of no rule any more is counted, and so is what was lost."""
        host = noted.number("rule_1_1", "admin, priority 3: shut")
        stage = noted.number("stage_flags", "built in")
        read = b"".join(told(ipv4(17) + PORTS, mark) for mark in (host, stage, 12345))
        self.channels = [channel := Channel(refusal(1, 0), read, OSError(105, "no room"), b"xx", BlockingIOError())]
        self.service.startService()
        self.assertEqual((self.said, self.reactor.readers), ([()], []))
        self.service.configure(self.settings(9))
        self.assertEqual(channel.sent, [nflog.binding(6, 1)])
        [listener] = self.reactor.readers
        listener.doRead()
        *_, forbidden, _ = self.log.logs()
        self.assertEqual([(each[1][3:], each[2].rule, each[2].verdict, each[2].host) for each in forbidden], [
            ((1025, 80), "admin, priority 3: shut", "dropped", "r.example.org."),
            ((1025, 80), "stage_flags", "dropped", ""),
        ])  # fmt: skip
        self.assertEqual(self.service.counts(), {"told": 2, "unknown": 1, "lost": 2})
        self.service.configure(self.settings(10))
        self.assertEqual(self.reactor.readers, [listener])
        self.service.stopService()
        self.assertEqual((self.reactor.readers, channel.is_closed), ([], True))

    def test_of_who_is_banned_it_is_told_what_for(self) -> None:
        """The signature, and where the rule is written that banned him; nothing of somebody who was banned by hand."""
        alerts = "alerts:\n  udp: 127.0.0.1\n  rules:\n    - {severity: 1, actions: [end]}\n    - {actions: [ban]}\n"
        self.made.path.write_text(self.made.path.read_text() + alerts)
        settings = config.load(self.made.path)
        line = self.made.path.read_text().splitlines().index("    - {actions: [ban]}") + 1
        said = "alerts.rules: signature 2034636 ET EXPLOIT something"
        for known, rule, origin in (
            ((Cause(), 1), said, f"temp/realmgw.yaml:{line}"), ((Cause(), None), said, ""), (None, "alerts", ""),
        ):  # fmt: skip
            self.banned = {} if known is None else {ip_address("192.0.2.1").packed: known}
            read = told(ipv4(17) + PORTS, bans.NUMBER)
            self.channels = [Channel(refusal(1, 0), read, BlockingIOError())]
            self.made.running.settings = attrs.evolve(self.settings(9), places=settings.places)
            self.service.startService()
            self.reactor.readers[0].doRead()
            self.service.stopService()
            *_, forbidden, _ = self.log.logs()
            ruled = forbidden[-1][2]
            self.assertEqual((ruled.rule, ruled.origin, ruled.verdict), (rule, origin, "dropped"))

    def test_says_when_the_group_is_not_to_be_had_and_tries_again(self) -> None:
        """With the next settings; and it is over when nobody wants to know any more."""
        self.channels = [RealmGatewayError("no such protocol"), Channel(refusal(1, 16)), Channel(refusal(1, 0))]
        self.service.startService()
        for wrong in ("no such protocol", "group 8 is not to be had: .*16"):
            self.service.configure(self.settings(9, 7))
            self.assertRegex(self.said[-1][0], wrong)
        self.service.configure(self.settings(9, 7))
        self.assertEqual((self.said[-1], len(self.reactor.readers)), ((), 1))
        self.service.configure(self.settings(0))
        self.assertEqual(self.reactor.readers, [])

    def test_nothing_is_heard_before_it_runs(self) -> None:
        """A reload may come sooner."""
        self.service.configure(self.settings(9))
        self.assertEqual(self.said, [])

"""The second table of `testbed/scenarios`: what its rows send, and what they make of what came of it. Without root."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import struct
import sys
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.load import generator
    from testbed.player import nuisance, sender, template
    from testbed.player.players import HONEST, Played, namespace_of
    from testbed.player.template import UDP, Place, Span, Template
    from testbed.programs import scenarios, trials
    from testbed.programs.trials import TRIALS, Result, Target

MISSING = programs.missing_modules("testbed", "pyroute2", "dns")


def result(*, ok: int = 200, wrong: int = 0, refused: int = 0, reputation: float | None = 0.9) -> Result:
    """What came of a trial."""
    words = ["ok"] * ok + ["misdelivered"] * wrong + ["refused"] * refused
    events: Any = [(float(number), word, 0.1, 0.2) for number, word in enumerate(words)]
    return Result(Played(None, events, len(events)), 5, reputation, 0.0)  # type: ignore[arg-type]


class TargetTests(SynchronousTestCase):
    """What must be reached."""

    skip = MISSING

    def test_nobody_may_find_another_host(self) -> None:
        """Unless that is only told."""
        self.assertFalse(Target(0.5).met_by(result(wrong=1)))
        self.assertTrue(Target(0.5, wrong=None).met_by(result(wrong=1)))

    def test_losses_are_a_share_of_all(self) -> None:
        """Whoever found another host is lost as well."""
        self.assertTrue(Target(0.02).met_by(result(ok=196, refused=4)))
        self.assertFalse(Target(0.02).met_by(result(ok=195, refused=5)))
        self.assertFalse(Target(0.0).met_by(result(ok=199, refused=1)))
        self.assertFalse(Target(0.02, wrong=None).met_by(result(ok=195, wrong=5)))
        self.assertTrue(Target().met_by(result(ok=0, refused=200)))

    def test_a_reputation_must_be_known(self) -> None:
        """A resolver that the gateway knows nothing of has none."""
        self.assertTrue(Target(None, 0.8).met_by(result(reputation=0.8)))
        self.assertFalse(Target(None, 0.8).met_by(result(reputation=0.79)))
        self.assertFalse(Target(None, 0.8).met_by(result(reputation=None)))

    def test_nothing_is_no_result(self) -> None:
        """When no flow began, no target is met."""
        self.assertFalse(Target(wrong=None).met_by(result(ok=0)))

    def test_a_target_says_what_it_wants(self) -> None:
        """In the table."""
        self.assertEqual(str(Target(0.02, 0.8)), "0 at a wrong host, lost <= 2 %, reputation >= 0.8")
        self.assertEqual(str(Target(wrong=None)), "only told")


class RowTests(SynchronousTestCase):
    """All rows."""

    skip = MISSING

    def test_each_is_another_one(self) -> None:
        """By title and pool; and of each kind one is run when there is little time."""
        self.assertEqual(len({(trial.title, trial.pool) for trial in TRIALS}), len(TRIALS))
        kinds = {trial.title.partition(":")[0] for trial in TRIALS}
        self.assertEqual(kinds, {trial.title.partition(":")[0] for trial in TRIALS if trial.quick})

    def test_a_pool_has_as_many_addresses_as_it_says(self) -> None:
        """In its pieces, those of the link and those that are routed."""
        for pool in {trial.pool for trial in TRIALS}:
            count = 0
            for piece in trials.circular(pool):
                first, _, last = piece["addresses"].partition("-")
                ends = IPv4Address(first.partition("/")[0]), IPv4Address(last or first.partition("/")[0])
                parts = summarize_address_range(*ends) if last else [IPv4Network(first)]
                count += sum(part.num_addresses for part in parts)
            self.assertEqual(count, pool)

    def test_what_its_clients_do_can_be_played(self) -> None:
        """As a template, in the clients' namespace, and each client that counts comes from an address of its own."""
        for trial in TRIALS:
            for sources in (trials.KNOWN, trial.sources):
                what = Template(10.0, 0.0, (trial.clients(sources),))
                self.assertEqual(template.parse(what.text()), what)
                self.assertEqual(namespace_of(what.streams[0]), "public")
        fresh = [place.address for place in sender.expanded([Place(trials.FRESH, 0, UDP)])]
        known = [place.address for place in sender.expanded([Place(trials.KNOWN, 0, UDP)])]
        self.assertEqual(len({*fresh, *known}), 210)
        self.assertTrue(all(IPv4Address(each) in HONEST for each in fresh))

    def test_a_line_of_the_table_has_all_cells(self) -> None:
        """What strangers got stands only where there were any."""
        robbed, starved = TRIALS[0], next(trial for trial in TRIALS if trial.title.startswith("starvation"))
        for trial, let_in in ((robbed, "5"), (starved, "")):
            cells = dict(zip(trials.HEAD, trials.row(trial, result(refused=1)), strict=True))
            self.assertEqual((cells["lost"], cells["strangers let in"]), ("1 refused of 201", let_in))

    def test_a_text_that_is_in_no_title_is_an_error(self) -> None:
        """Status 2, before anything is run."""
        self.patch(sys, "argv", ["scenarios", "--only", "nothing of that kind"])
        self.patch(generator, "build", lambda: None)
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(self.assertRaises(SystemExit, scenarios.main).code, 2)


class NuisanceTests(SynchronousTestCase):
    """What does harm."""

    skip = MISSING

    def test_a_datagram_leaves_for_the_port_that_it_comes_from(self) -> None:
        """As those of NTP and IKE do."""
        packet = nuisance.datagram(Place("192.168.0.109", 500, UDP), "100.64.3.40", b"hello")
        self.assertEqual((packet[0], packet[9], len(packet)), (0x45, UDP, 33))
        self.assertEqual(socket.inet_ntoa(packet[12:16]), "192.168.0.109")
        self.assertEqual(socket.inet_ntoa(packet[16:20]), "100.64.3.40")
        self.assertEqual(struct.unpack("!HHHH", packet[20:28]), (500, 500, 13, 0))


class Echo(asyncio.DatagramProtocol):
    """Answers each datagram in the name of the next host."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = list(hosts)

    def connection_made(self, transport: Any) -> None:
        """Keeps it."""
        self.transport = transport

    def datagram_received(self, data: bytes, sender: Any) -> None:
        """See the class."""
        self.transport.sendto(data[:-16] + bytes(10) + b"\xff\xff" + socket.inet_aton(self.hosts.pop(0)), sender)


class PauseTests(SynchronousTestCase):
    """UDP that pauses."""

    skip = MISSING

    async def connect(self, *hosts: str) -> str:
        """Who answers, when these do."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: Echo(*hosts), local_addr=("127.0.0.1", 0))
        try:
            target = Place("127.0.0.1", transport.get_extra_info("sockname")[1], UDP)
            again = Span(0.001, 0.001) if len(hosts) > 1 else sender.NEVER
            return (await asyncio.wait_for(sender.connect_udp(target, Place("", 0, UDP), again), 5.0))[0]
        finally:
            transport.close()

    def test_another_host_is_noticed_at_the_second_datagram(self) -> None:
        """It is none that anybody expects; the same one is as if there were no second datagram."""
        self.assertEqual(asyncio.run(self.connect("192.168.0.1")), "192.168.0.1")
        self.assertEqual(asyncio.run(self.connect("192.168.0.1", "192.168.0.1")), "192.168.0.1")
        self.assertEqual(asyncio.run(self.connect("192.168.0.1", "192.168.0.2")), "192.168.0.1, then 192.168.0.2")

"""Tests for `realmgw.control.flows`."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.decisionlog import Way
from realmgw.config.steps import Steps, finish
from realmgw.control import flows as room
from realmgw.control.command import passing, shown
from realmgw.control.commands import COMMANDS, CommandError, ExitStatus, checked
from realmgw.control.flows import AT_ONCE, Flows, Wanted
from realmgw.datapath.hearing import Listener
from realmgw.datapath.netlink.tracked import Direction, Glance, Tracked
from realmgw.datapath.selecting import Found
from realmgw.subscribers.reach import Around
from realmgw.test.control.parts import TestGateway
from realmgw.test.pauses import Bytecodes

NOW = 1_700_000_000.25
CLIENT, POOL, HOST, GUEST, OWN = "203.0.113.5", "198.51.100.1", "192.168.0.1", "192.168.0.77", "192.168.0.254"


def flow(protocol: int, first: tuple[str, int, str, int], answer: tuple[str, int, str, int]) -> Tracked:
    """A flow, by source and destination of both directions."""
    one, other = (
        Direction(ip_address(source).packed, ip_address(destination).packed, protocol, sport, dport)
        for source, sport, destination, dport in (first, answer)
    )
    return Tracked(one, other, "", True, False, 30, None, None)


INTO = flow(6, (CLIENT, 4000, POOL, 80), (HOST, 80, CLIENT, 4000))
OUT = flow(17, (HOST, 5000, CLIENT, 53), (CLIENT, 53, POOL, 40000))
OF_GUEST = flow(17, (GUEST, 5000, CLIENT, 53), (CLIENT, 53, POOL, 40001))
OF_GATEWAY = flow(17, (CLIENT, 5000, "192.0.2.1", 53), ("192.0.2.1", 53, CLIENT, 5000))
ASKED = flow(17, (GUEST, 5001, OWN, 53), (OWN, 53, GUEST, 5001))
PINHOLE = flow(6, ("2001:db8::9", 4000, "2001:db8:1::1", 443), ("2001:db8:1::1", 443, "2001:db8::9", 4000))
EVERY = (INTO, OUT, OF_GUEST, OF_GATEWAY, ASKED, PINHOLE)


def listing(path: str, **given: str) -> dict[str, str]:
    """All that a command is told."""
    return checked(COMMANDS[path], given)


def glance(flow: Tracked) -> Glance:
    """What `tracked.glance` sees of a flow."""
    first, answer = flow.original, flow.reply
    return first.protocol, first.source, first.destination, answer.source, answer.destination


class FlowsTestCase(SynchronousTestCase):
    """A gateway with two subscribers, and what conntrack has."""

    def setUp(self) -> None:
        """Makes it."""
        self.made = TestGateway(Path(self.mktemp()))
        around = Around(frozenset((IPv4Address(OWN),)), links=(IPv4Network("192.168.0.0/24"),))
        self.made.running.around = attrs.evolve(around, reached=(IPv6Network("2001:db8:1::/48"),))
        self.flows = Flows(
            self.made.running, self.made.allocator, self.made.reloader.drive, self.listed, self.ended, self.hear,
            lambda: NOW,
        )  # fmt: skip
        self.there = list(EVERY)
        key = attrs.astuple(INTO.original)
        self.made.allocator.ledger.decisions.admit(0.0, 0x2F3, "www.example.org.", key, Way.CLAIM)
        self.heard: list[Listener] = []
        self.gone = 0

    def hear(self, listener: Listener) -> Callable[[], None]:
        """What `FlowEvents.hear` does."""
        self.heard.append(listener)
        return self.hear_no_more

    def hear_no_more(self) -> None:
        """One has gone."""
        self.gone += 1

    def _wanted(self, wanted: Callable[[Glance], object]) -> list[Tracked]:
        return [each for each in self.there if wanted(glance(each))]

    def listed(self, wanted: Callable[[Glance], object], most: int) -> Steps[Found[Tracked]]:
        """What `selecting.listed` does."""
        yield None
        found = self._wanted(wanted)
        return Found(found[:most], len(found), len(self.there))

    def ended(self, wanted: Callable[[Glance], object]) -> Steps[Found[bool]]:
        """What `selecting.ended` does; more than three are too many."""
        yield None
        found = self._wanted(wanted)
        self.there = [each for each in self.there if each not in found[:3]]
        return Found([True for _ in found[:3]], len(found), len(EVERY))

    def show(self, **given: str) -> Any:
        """The answer to `flows/list`."""
        done = self.flows.list(**listing("flows/list", **given))
        self.made.pass_time()
        return self.successResultOf(done)

    def kill(self, **given: str) -> Any:
        """The answer to `flows/kill`."""
        done = self.flows.kill(**listing("flows/kill", **given))
        self.made.pass_time()
        return self.successResultOf(done)

    def ends(self, **filters: str) -> list[tuple[str, str, str]]:
        """Direction, host's address and other end of what is listed."""
        return [(row["direction"], row["address"], row["client"]) for row in self.show(**filters)["flows"]]


class ListTests(FlowsTestCase):
    """Which flows are shown, and as what."""

    def test_both_directions_with_the_name_of_the_host(self) -> None:
        """And flows of who is no subscriber by his address; none of the gateway's own with the Internet."""
        rows = self.show()["flows"]
        self.assertEqual(
            [(row["direction"], row["host"], row["address"], row["port"], row["client"]) for row in rows],
            [
                ("in", "a.example.org.", HOST, 80, CLIENT),
                ("out", "a.example.org.", HOST, 5000, CLIENT),
                ("out", None, GUEST, 5000, CLIENT),
                ("out", None, GUEST, 5001, OWN),
                ("in", None, "2001:db8:1::1", 443, "2001:db8::9"),
            ],
        )
        self.assertEqual([row["via"] for row in rows], [POOL, POOL, POOL, None, None])
        self.assertEqual([row["via_port"] for row in rows], [80, 40000, 40001, None, None])
        self.assertEqual([row["trace_id"] for row in rows], ["2f3", None, None, None, None])

    def test_filters(self) -> None:
        """By host, other end and protocol, all of which have to hold."""
        of_host = [("in", HOST, CLIENT), ("out", HOST, CLIENT)]
        for host in ("a.example.org", "A.example.org.", HOST):
            self.assertEqual(self.ends(host=host), of_host)
        self.assertEqual(self.ends(host="a.example.org", protocol="tcp"), of_host[:1])
        self.assertEqual(self.ends(client="2001:db8::/64"), [("in", "2001:db8:1::1", "2001:db8::9")])
        self.assertEqual(self.ends(client=OWN), [("out", GUEST, OWN)])
        self.assertEqual(self.ends(client="203.0.113.0/24", protocol="17"), [of_host[1], ("out", GUEST, CLIENT)])
        self.assertEqual(self.ends(client=HOST), [])
        guest = ("out", GUEST, CLIENT)
        self.assertEqual(self.ends(via=POOL), [*of_host, guest])  # where a client came to, and what packets leave from
        self.assertEqual(self.ends(via=POOL, host=HOST, protocol="tcp"), of_host[:1])
        self.assertEqual(self.ends(via="2001:DB8:1:0::1"), [("in", "2001:db8:1::1", "2001:db8::9")])  # its own
        self.assertEqual(self.ends(via="198.51.100.2"), [])

    def test_the_name_by_which_the_client_came(self) -> None:
        """As long as it stands at the address that he came to, and is of the host that he came to."""
        directory = self.made.running.registry.directory
        service, other = (directory.services[f"{name}.example.org."] for name in "ab")
        told = self.made.allocator.ask(service, "192.0.2.53", 1, now=0.0)
        assert isinstance(told, bytes)
        there = attrs.evolve(INTO.original, destination=told)
        self.there = [attrs.evolve(INTO, original=there)]
        self.assertEqual(self.show()["flows"][0]["service"], service.name)
        elsewhere = attrs.evolve(INTO.reply, source=other.host.address)
        self.there = [attrs.evolve(INTO, original=there, reply=elsewhere), OUT]
        self.assertEqual([row["service"] for row in self.show()["flows"]], [None, None])

    def test_what_is_left_out_is_counted(self) -> None:
        """And told."""
        answer = self.show(limit="1")
        self.assertEqual((len(answer["flows"]), answer["total"], answer["entries"]), (1, 5, 6))
        lines = list(shown.flows(answer))
        self.assertEqual(lines[-1], "4 more")
        ends = [f"{HOST}:80", f"{POOL}:80", f"{CLIENT}:4000"]
        self.assertEqual(lines[1].split()[:6], ["in", "tcp", "a.example.org.", *ends])

    def test_what_is_nothing_is_the_askers_fault(self) -> None:
        """And whom there is not is not found."""
        for key, value in (("client", "x" * 5000), ("protocol", "256"), ("limit", "-1"), ("client", "192.0.2.1/33")):
            error = self.assertRaises(CommandError, self.show, **{key: value})
            self.assertIs(error.status, ExitStatus.USAGE, key)
            self.assertLess(len(str(error)), 500)
        for name in ("nobody.example.org", "x" * 5000, "\udce4"):
            error = self.assertRaises(CommandError, self.show, host=name)
            self.assertIs(error.status, ExitStatus.NOT_FOUND)
            self.assertLess(len(str(error)), 500)

    def test_only_so_many_are_under_way(self) -> None:
        """Whoever has asked and gone; and when they are done others may ask."""
        begun: list[Any] = []
        flows = Flows(self.made.running, self.made.allocator, begun.append, self.listed, self.ended, self.hear, float)
        for _ in range(room.AT_ONCE):
            flows.list(**listing("flows/list", limit="1"))
        error = self.assertRaises(CommandError, flows.kill, **listing("flows/kill", host=HOST))
        self.assertIn("under way", str(error))
        finish(begun.pop())
        flows.kill(**listing("flows/kill", host=HOST))
        self.assertRaises(CommandError, flows.list, **listing("flows/list", limit="1"))

    def test_one_that_fails_is_over(self) -> None:
        """Else after four of them nobody could ask."""

        def fails(wanted: Callable[[Glance], object], most: int) -> Steps[Found[Tracked]]:
            yield None
            raise CommandError(ExitStatus.FAILED, "no")

        flows = Flows(
            self.made.running, self.made.allocator, self.made.reloader.drive, fails, self.ended, self.hear, float
        )
        for _ in range(room.AT_ONCE + 1):
            failing = flows.list(**listing("flows/list", limit="1"))
            self.made.pass_time()
            self.failureResultOf(failing, CommandError)


class KillTests(FlowsTestCase):
    """Which flows end."""

    def test_those_that_are_meant_and_no_others(self) -> None:
        """How many is told."""
        answer = self.kill(host="a.example.org")
        self.assertEqual(answer, {"total": 2, "ended": 2, "left": 0})
        self.assertEqual(list(shown.killed(answer)), ["2 flows ended"])
        self.assertEqual(self.there, [OF_GUEST, OF_GATEWAY, ASKED, PINHOLE])

    def test_not_more_at_once_than_is_good(self) -> None:
        """What is left is told."""
        answer = self.kill(client="0.0.0.0/0")
        self.assertEqual(answer, {"total": 4, "ended": 3, "left": 1})
        self.assertEqual(list(shown.killed(answer))[1], "1 more were found: 3 are ended at once, ask again")

    def test_never_all_of_them_for_want_of_a_word(self) -> None:
        """Nothing was done."""
        for word in ({}, {"protocol": "any"}, {"protocol": "0"}, {"host": "", "protocol": "tcp"}):
            error = self.assertRaises(CommandError, self.kill, **word)
            self.assertIs(error.status, ExitStatus.USAGE, word)
        self.assertEqual(self.there, list(EVERY))


class WantedTests(SynchronousTestCase):
    """Whether a flow is meant."""

    def test_the_other_end_is_that_of_the_host_that_is_meant(self) -> None:
        """Of two hosts that speak with each other, each is the other's."""
        one, other = (ip_address(each).packed for each in (HOST, GUEST))
        for mine, client in ((one, GUEST), (other, HOST)):
            wanted = Wanted(mine.__eq__, IPv4Network(client))
            self.assertTrue(wanted((6, one, other, other, one)), client)


class WatchTests(FlowsTestCase):
    """Flows as they begin and end."""

    def test_each_is_told_as_it_is_listed(self) -> None:
        """Of those that are meant; and that something was left out."""
        told: list[Any] = []
        self.flows.watch(**listing("flows/watch", host="a.example.org")).follow(told.append, print)
        [listener] = self.heard
        wanted, tell = listener.wanted, listener.tell
        self.there = [each for each in EVERY if each in self._wanted(wanted)]
        self.assertEqual(self.there, [INTO, OUT])
        tell(True, INTO)
        tell(False, OUT)
        listener.left_out()
        rows = self.show()["flows"]
        self.assertEqual(
            told,
            [
                {"event": "begins", "at": NOW, **rows[0]},
                {"event": "ends", "at": NOW, **rows[1]},
                {"left_out": None},
            ],
        )
        lines = [line for value in (*told, {"left_out": 3}) for line in passing.watch(value)]
        self.assertEqual(
            lines,
            [
                f"begins in  tcp a.example.org. {HOST}:80 via {POOL}:80 client {CLIENT}:4000 id 2f3",
                f"ends   out udp a.example.org. {HOST}:5000 via {POOL}:40000 client {CLIENT}:53",
                "some are left out: there were too many, or what reads this is too slow",
                "3 are left out: there were too many, or what reads this is too slow",
            ],
        )
        named = next(passing.watch({**told[0], "service": "www.example.org."}))
        self.assertTrue(named.endswith(" name www.example.org. id 2f3"))

    def test_it_is_told_how_many_there_were_no_room_for(self) -> None:
        """Of clients' flows that began in the period, whoever's they are; else nobody knows, nor of ends."""
        told, some = list[Any](), list[Any]()
        self.flows.watch(**listing("flows/watch", protocol="any")).follow(told.append, print)
        self.flows.watch(**listing("flows/watch", host="a.example.org")).follow(some.append, print)
        counters, every = self.made.allocator.counters, self.heard[0]
        counters.by_claim += 1
        for listener in self.heard:
            listener.room()
            counters.by_claim += 5
            counters.resumed += 2
            listener.tell(True, INTO)
            listener.tell(True, OUT)
            listener.tell(False, INTO)
            listener.left_out()
        every.room()
        every.left_out()
        said = [[row["left_out"] for row in rows if "left_out" in row] for rows in (told, some)]
        self.assertEqual(said, [[6, None], [None]])

    def test_a_row_costs_as_much_however_many_came_meanwhile(self) -> None:
        """Only the latest are looked through for its trace id."""
        self.flows.watch(**listing("flows/watch"))
        [listener], counts, log = self.heard, [Bytecodes(), Bytecodes()], self.made.allocator.ledger.decisions
        for many, each in zip((300, 9000), counts, strict=True):
            for number in range(many):
                log.admit(float(many), number, "a.", (b"1234", b"5678", 6, number, 80), Way.CLAIM)
            with each.counting():
                listener.tell(True, INTO)
        self.assertLess(counts[1].steps, counts[0].steps + 200)

    def test_so_many_watch_at_most(self) -> None:
        """Whoever has gone makes room; what is wrong takes none."""
        streams = [self.flows.watch(**listing("flows/watch")) for _ in range(AT_ONCE)]
        self.assertRaises(CommandError, self.flows.watch, **listing("flows/watch"))
        streams[0].stop()
        self.assertEqual(self.gone, 1)
        self.assertRaises(CommandError, self.flows.watch, **listing("flows/watch", host="nobody.example.org"))
        self.flows.watch(**listing("flows/watch"))

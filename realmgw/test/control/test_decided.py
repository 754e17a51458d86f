"""Tests for `realmgw.control.decided`, and of what the command prints of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from twisted.internet.defer import fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.decisionlog import End, Way
from realmgw.allocation.reputation.requestors import ClientPrefix, Requestor
from realmgw.config.settings import Allocation
from realmgw.control.command import decided as shown
from realmgw.control.commands import COMMANDS, CommandError, ExitStatus, checked
from realmgw.control.decided import AT_ONCE, FOLLOWERS, Decided
from realmgw.control.streaming import BEFORE, PERIOD, Stream
from realmgw.errors import PlatformError, Reason
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, TCP, service
from realmgw.test.control.parts import TestGateway


def stamp(at: float) -> str:
    """A time as ISO 8601 has it."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat()


ONE, TWO = service(1), service(2, TCP, 80)
ENDED: dict[str, Any] = {
    "event": "ends", "at": 3601.25, "start": 3600.25, "direction": "in", "protocol": "tcp", "name": ONE.name,
    "address": "192.168.0.11", "port": 8080, "via": "192.0.2.1", "via_port": 80, "client": "198.51.100.1",
    "client_port": 1024, "octets_in": 1164, "octets_out": 9164, "trace_id": "abd",
}  # fmt: skip


class DecidedTestCase(SynchronousTestCase):
    """One is asked for and visited, Two is asked for; a query and a packet are refused."""

    def setUp(self) -> None:
        """A minute ago, all of it; the clock of the log began an hour after 1970."""
        self.made = TestGateway(Path(self.mktemp()))
        self.ended, self.trouble = list[dict[str, Any]](), ""
        self.asked_for: Any = None
        self.repeated: dict[int, tuple[float, Callable[[], object]]] = {}
        allocator = self.made.allocator
        self.log = allocator.ledger.decisions
        self.decided = Decided(
            self.made.running, self.log, self.made.reloader.drive, self.repeat, self.recorded, self.made.clock.seconds,
            self.wall,
        )  # fmt: skip
        self.dated = 0
        now, group = self.made.clock.seconds, allocator.groups.of
        self.log.number = 0xABC
        self.one, self.two = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"
        number = self.log.answer(now(), ONE, group(RESOLVER), None, self.one)
        self.made.clock.advance(0.25)
        self.log.admit(now(), number, ONE.name, (CLIENT, self.one, TCP, 1024, 80), Way.CLAIM)
        self.made.clock.advance(0.25)
        named = Requestor(ClientPrefix.of(NEIGHBOUR, 24), None)
        self.log.answer(now(), TWO, group(OTHER), named, self.two)
        self.log.refuse_answer(now(), TWO.name, OTHER, None, Reason.POLICY)
        self.made.clock.advance(1.0)
        self.log.refuse(now(), (STRAY, self.two, TCP, 1025, 80), Reason.NO_CLAIM)
        self.made.clock.advance(58.5)

    def wall(self) -> float:
        """The time of day; each row asks for it once, which is counted."""
        self.dated += 1
        return self.made.clock.seconds() + 3600

    def recorded(self, given: dict[str, Any], most: int) -> Any:
        """What `RecordsService.ended` does."""
        self.asked_for = given, most
        return fail(PlatformError(self.trouble)) if self.trouble else succeed(self.ended)

    def repeat(self, seconds: float, do: Callable[[], object]) -> Callable[[], object]:
        """Notes it."""
        key = len(self.repeated)
        self.repeated[key] = seconds, do
        return lambda: self.repeated.pop(key)

    def stream(self, **given: str) -> Stream:
        """What is asked for on a command line."""
        stream: Stream = self.successResultOf(self.decided.lately(**checked(COMMANDS["log"], given)))
        return stream

    def rows(self, **given: str) -> list[Any]:
        """All that is told."""
        told: list[Any] = []
        self.stream(**given).follow(told.append, lambda: told.append("over"))
        self.assertEqual(told.pop(), "over")
        return told

    def whats(self, **given: str) -> list[tuple[str, str]]:
        """What is told, and of which name."""
        return [(row["what"], row["name"]) for row in self.rows(**given)]


class DecidedTests(DecidedTestCase):
    """What is told."""

    def test_what_was_decided_is_told_without_records(self) -> None:
        """And why these are not told: their database may be another's, or damaged."""
        self.trouble = "it can not be read"
        told = self.rows()
        self.assertEqual(len(told), 6)
        self.assertEqual([*shown.line(told[-1])], ["the ends of flows are not told: it can not be read"])

    def test_tells_what_was_decided_in_order(self) -> None:
        """An answer says when somebody came for it; a refused packet, what its address had been told for."""
        query, packet, other, unanswered, refused = self.rows()
        self.assertEqual(
            query,
            {"at": 3600.0, "what": "answered", "id": "abd", "name": ONE.name, "resolver": RESOLVER, "client": None,
             "address": "192.0.2.1", "came_after": 0.25},
        )  # fmt: skip
        flow = {
            "protocol": "tcp",
            "source": "198.51.100.1",
            "source_port": 1024,
            "destination": "192.0.2.1",
            "port": 80,
        }
        expected = {"at": 3600.25, "what": "admitted", "id": "abd", "name": ONE.name, **flow, "why": "claim"}
        self.assertEqual(packet, expected)
        self.assertEqual((other["client"], other["came_after"], other["id"]), ("198.51.100.0/24", None, "abe"))
        self.assertEqual((unanswered["what"], unanswered["why"]), ("not_answered", "policy"))
        self.assertEqual((refused["name"], refused["why"], refused["at"]), (TWO.name, "no_claim", 3601.5))
        self.log.answer(self.made.clock.seconds(), ONE, self.made.allocator.groups.of(RESOLVER), None, self.two)
        self.assertEqual(self.rows(refused="1")[-1], refused)  # whose its address is by now does not matter

    def test_tells_of_a_name_a_client_or_a_resolver(self) -> None:
        """Of a client his packets and what they came for; of a resolver what it asked for, and who came for that."""
        mine, other = [("answered", ONE.name), ("admitted", ONE.name)], ("answered", TWO.name)
        refused = [("not_answered", TWO.name), ("refused", TWO.name)]
        for given, told in (
            ({"name": "HOST1"}, mine),
            ({"name": "s80"}, [other, *refused]),
            ({"client": "198.51.100.1"}, mine),
            ({"client": "198.51.100.0/24"}, [*mine, other, refused[1]]),
            ({"client": "198.51.100.3"}, refused[1:]),
            ({"client": "2001:db8::/32"}, []),
            ({"resolver": RESOLVER}, mine),
            ({"resolver": OTHER}, [other, refused[0]]),
            ({"resolver": OTHER, "refused": "1"}, refused[:1]), ({"resolver": "203.0.113.0/30"}, self.whats()[:-1]),
            ({"refused": "1"}, refused),
            ({"limit": "1"}, refused[1:]),
            ({"since": "59"}, refused[1:]),
            ({"since": "58s"}, []),
            ({"since": "1h"}, [*mine, other, *refused]),
            ({"until": "59"}, [*mine, other, refused[0]]),
            ({"since": "60s", "until": stamp(3600.25)}, mine),
            ({"since": stamp(3600.25), "until": stamp(3600.25)}, mine[1:]),
        ):  # fmt: skip
            self.assertEqual(self.whats(**given), told, given)

    def test_refuses_what_is_nothing(self) -> None:
        """With the parameter's name."""
        for given in (
            {"client": "x"}, {"resolver": "x"}, {"since": "soon"}, {"limit": "1001"}, {"since": "999999h"},
            {"until": "25:00"}, {"until": "1s", "follow": "1"},
        ):  # fmt: skip
            error = self.assertRaises(CommandError, self.stream, **given)
            self.assertIn(next(iter(given)), str(error))
            self.assertEqual(error.status, ExitStatus.USAGE)

    def test_follows(self) -> None:
        """From the last ones on, by the same filters; who goes is not looked for any more."""
        told: list[Any] = []
        stream = self.stream(name="host1", limit="1", follow="1")
        stream.follow(told.append, lambda: told.append("over"))
        ((seconds, look),) = self.repeated.values()
        self.assertEqual((seconds, [row["what"] for row in told]), (PERIOD, ["admitted"]))
        look()
        group = self.made.allocator.groups.of(RESOLVER)
        number = self.log.answer(self.made.clock.seconds(), ONE, group, None, self.two)
        self.log.answer(self.made.clock.seconds(), TWO, group, None, self.one)
        self.made.clock.advance(PERIOD)
        look()
        self.log.admit(self.made.clock.seconds(), number, ONE.name, (CLIENT, self.two, TCP, 7, 80), Way.CLAIM)
        self.made.clock.advance(PERIOD)
        look()
        look()
        self.assertEqual([row["what"] for row in told], ["admitted", "answered", "admitted"])
        self.assertEqual(told[1]["id"], told[2]["id"])
        stream.stop()
        self.assertEqual(self.repeated, {})

    def test_so_many_follow(self) -> None:
        """And another one when one has gone."""
        streams = [self.stream(follow="1") for _ in range(FOLLOWERS)]
        error = self.assertRaises(CommandError, self.stream, follow="1")
        self.assertEqual(error.status, ExitStatus.FAILED)
        streams[0].stop()
        self.stream(follow="1")

    def test_says_when_more_was_decided_than_is_told(self) -> None:
        """To who follows: more than is looked at, or than is kept; it is said first, then the latest are told."""
        told, _, look = self.following()
        for many, missing in (
            (AT_ONCE, []), (AT_ONCE + 1, [1]), (self.log.most - 1, [self.log.most - 1 - AT_ONCE]),
            (self.log.most + 1, [None]), (0, []),
        ):  # fmt: skip
            self.refuse(many)
            look()
            self.assertEqual([row["left_out"] for row in told[: len(missing)]], missing)
            ports = [row["source_port"] for row in told[len(missing) :]]
            self.assertEqual(ports, list(range(max(0, many - AT_ONCE), many)))
            told.clear()

    def following(self, **given: str) -> tuple[list[Any], Stream, Callable[[], object]]:
        """What is told to one who follows, his stream, and what looks for what is new."""
        told: list[Any] = []
        stream = self.stream(limit="0", follow="1", **given)
        stream.follow(told.append, lambda: None)
        ((_, look),) = self.repeated.values()
        return told, stream, look

    def refuse(self, many: int) -> None:
        """So many packets, from one port after the other; then a period passes."""
        for port in range(many):
            self.log.refuse(self.made.clock.seconds(), (CLIENT, self.one, TCP, port, 80), Reason.LATE)
        self.made.clock.advance(PERIOD)

    def test_no_more_is_made_than_there_is_room_for(self) -> None:
        """In each period the latest; of the others it is only told how many there were, also while there is no room."""
        told, stream, look = self.following()
        for stream.room, expected in ((3, [{"left_out": 497}, 497, 498, 499]), (0, [{"left_out": 500}])):
            self.refuse(500)
            before = self.dated
            look()
            self.assertEqual([row.get("source_port", row) for row in told], expected)
            self.assertEqual(self.dated - before, stream.room)
            told.clear()
        stream.room = 3
        look()
        self.assertEqual(told, [])

    def test_of_what_was_not_looked_at_nobody_knows_who_is_meant(self) -> None:
        """Who follows some of it only is told that there may have been more, and not how much."""
        told, stream, look = self.following(refused="1")
        for stream.room, many, expected in (
            (3, 4, [{"left_out": None}, 1, 2, 3]), (0, 2, [{"left_out": None}]), (5, 2, [0, 1]), (0, 0, []),
        ):  # fmt: skip
            self.refuse(many)
            look()
            self.assertEqual([row.get("source_port", row) for row in told], expected)
            told.clear()

    def test_a_row_that_is_told_knows_what_was_not(self) -> None:
        """A packet that comes late tells what its address had been told for, also if that answer was left out."""
        told, stream, look = self.following()
        stream.room = 1
        group = self.made.allocator.groups.of(RESOLVER)
        for asked, address in ((TWO, self.one), (ONE, self.two)):
            self.log.answer(self.made.clock.seconds(), asked, group, None, address)
        self.made.clock.advance(PERIOD)
        look()
        self.refuse(1)
        look()
        self.assertEqual([row.get("name", row) for row in told], [{"left_out": 1}, ONE.name, TWO.name])

    def test_nothing_is_lost_where_nothing_is_kept(self) -> None:
        """Who follows then is told nothing."""
        self.log.configure(Allocation(decisions=0))
        told, _, look = self.following()
        self.made.clock.advance(PERIOD)
        look()
        self.assertEqual(told, [])

    def test_tells_of_the_ends_of_flows_that_are_recorded(self) -> None:
        """At their place, with the id that they had from the answer on; since the oldest decision that is known."""
        gone = {"at": 3600.4, "client_port": 9, "start": None, "event": "gone", "trace_id": None}
        self.ended = [ENDED, {**ENDED, **gone}]
        rows = self.rows()
        self.assertEqual([row["what"] for row in rows], [
            "answered", "admitted", "flow_ended", "answered", "not_answered", "flow_ended", "refused"])  # fmt: skip
        self.assertEqual(self.asked_for, ({"since": 3600.0, "direction": "in"}, BEFORE))
        lines = [next(shown.line(row)).partition(" ")[2] for row in (rows[5], rows[2])]
        there = f"192.0.2.1:80 {ONE.name}"
        self.assertEqual(lines, [
            f"abd           ended    tcp 198.51.100.1:1024 > {there}: after 1 s, 1.16 kB in, 9.16 kB out",
            f"-             ended    tcp 198.51.100.1:9 > {there}: unheard, 1.16 kB in, 9.16 kB out",
        ])  # fmt: skip
        self.assertEqual(self.rows(limit="1")[0]["what"], "refused")
        self.rows(name="S1", client="198.51.100.0/24", since="30s")
        expected = {"since": 3630.0, "direction": "in", "named": "s1", "client": "198.51.100.0/24"}
        self.assertEqual(self.asked_for[0], expected)
        self.asked_for = None
        self.rows(until=stamp(3601.0))
        self.assertEqual(self.asked_for[0]["until"], 3601.0)
        self.asked_for = None
        self.rows(refused="1")
        self.rows(resolver=OTHER)
        self.assertIsNone(self.asked_for)
        told = self.successResultOf(self.decided.flow("198.51.100.1:1024", "192.0.2.1:80"))["decisions"]
        self.assertEqual([row["what"] for row in told], ["answered", "admitted", "flow_ended"])
        self.assertEqual({row["id"] for row in told}, {"abd"})
        self.assertEqual([self.asked_for[0][each] for each in ("one", "other")], ["198.51.100.1", "192.0.2.1"])
        self.assertNotIn("direction", self.asked_for[0])
        for asked, ports in (
            (("198.51.100.1:1024", "192.168.0.11:8080"), [1024]), (("192.168.0.11", "198.51.100.1"), [9, 1024]),
            (("198.51.100.1:1024", "192.168.0.11:80"), []),
        ):  # fmt: skip
            told = self.successResultOf(self.decided.flow(*asked))["decisions"]  # here records alone know the host
            self.assertEqual([(row["what"], row["source_port"]) for row in told], [("flow_ended", at) for at in ports])
        self.ended = [{**ENDED, "direction": "out", "host": ONE.name, "name": None, "client_port": 53}]
        [told] = self.successResultOf(self.decided.flow("192.168.0.11", "198.51.100.1:53"))["decisions"]
        ends = [told[each] for each in ("source", "source_port", "destination", "port", "name")]
        self.assertEqual(ends, ["192.168.0.11", 8080, "198.51.100.1", 53, ONE.name])

    def test_tells_how_a_claim_has_ended(self) -> None:
        """That nobody used, with the id of its answer, by which it is found."""
        for how in End:
            self.log.end(self.made.clock.seconds(), 0xABE, TWO.name, how)
        rows = self.rows(resolver=OTHER)[2:]
        self.assertEqual({(row["what"], row["id"], row["name"]) for row in rows}, {("claim_ended", "abe", TWO.name)})
        self.assertEqual([row["why"] for row in rows], ["lapsed", "excused", "settled", "voided"])
        lines = [next(shown.line(row)).partition(" ")[2] for row in rows]
        self.assertEqual(lines[0], f"abe           ended    {TWO.name}: nobody has come")
        self.assertEqual(len(set(lines)), 4)
        self.assertEqual(self.rows(name=ONE.name, resolver=OTHER), [])
        self.assertEqual([row["what"] for row in self.rows(refused="1")], ["not_answered", "refused"])

    def test_names_the_line_that_has_refused_somebody(self) -> None:
        """Of the main file, a drop-in, the resolver's row, and a host; without a line where it is not found."""
        folder = self.made.folder
        (folder / "policies.d").mkdir()
        rows = "groups:\n- {nodes: [198.51.100.0/25]}\n- {nodes: [198.51.100.128/25]}\nmax_claims: 7\n"
        (folder / "policies.d" / "load.yaml").write_text(rows)
        with self.made.path.open("a") as main:
            main.write("allocation: {claim_sources: 3}\n")
        self.made.write("a.yaml", a="192.168.0.1", b="192.168.0.2")
        (folder / "subscribers.d" / "a.yaml").write_text(
            "a.example.org: {address: 192.168.0.1}\n# b.example.org\nb.example.org:\n"
            "  address: 192.168.0.2\n  max_claims: 1\n"
        )
        self.made.reload()
        now = self.made.clock.seconds
        for name, reason in (("a.example.org.", Reason.HOST_LIMIT), ("b.example.org.", Reason.HOST_LIMIT),
                             (TWO.name, Reason.CLAIM_LIMIT), (TWO.name, Reason.POLICY)):  # fmt: skip
            self.log.refuse_answer(now(), name, "198.51.100.200", None, reason)
        self.log.refuse(now(), (STRAY, self.two, TCP, 1025, 80), Reason.NO_CLAIM)
        place = folder.name
        lines = len(self.made.path.read_text().splitlines())
        self.assertEqual([[f"{by['key']} {by['origin']}" for by in row["by"]] for row in self.rows(since="1s")], [
            ["max_claims subscribers.d/a.yaml:1"], ["max_claims subscribers.d/a.yaml:5"],
            ["policy.max_claims policies.d/load.yaml:4"],
            ["policy.system_load None", "policy.groups policies.d/load.yaml:3"],
            [f"allocation.claim_sources {place}/realmgw.yaml:{lines}"],
        ])  # fmt: skip
        (folder / "subscribers.d" / "a.yaml").unlink()
        self.assertEqual(self.rows(since="1s")[0]["by"][0]["origin"], "subscribers.d/a.yaml")

    def test_explains_a_flow(self) -> None:
        """By its addresses and ports as its first packet had them."""
        for source, destination, told in (
            ("198.51.100.1:1024", "192.0.2.1:80", ["answered", "admitted"]),
            ("198.51.100.3:1025", "192.0.2.2:80", ["refused"]),
            ("198.51.100.1:1024", "192.0.2.2:80", []),
            ("[2001:db8::1]:1024", "[2001:db8::2]:80", []),
        ):
            answer = self.successResultOf(self.decided.flow(source, destination))
            self.assertEqual([row["what"] for row in answer["decisions"]], told)
        for source in ("198.51.100.1:65536", "a:1", "2001:db8::1:80:", "[198.51.100.1", "[:::::]:3", "198.51.100.1:"):
            self.assertRaises(CommandError, self.decided.flow, source, "192.0.2.1:80")

    def test_is_a_line_each(self) -> None:
        """What is unknown is a dash."""
        lines = [line.partition(" ")[2] for row in self.rows() for line in shown.line(row)]
        by = "by allocation.claim_sources (default)"
        self.assertEqual(
            lines,
            [
                f"abd           answered {RESOLVER} asked for {ONE.name}: 192.0.2.1, used 250.0 ms later",
                f"abd           let in   tcp 198.51.100.1:1024 > 192.0.2.1:80 {ONE.name}: claim",
                f"abe           answered {OTHER} for 198.51.100.0/24 asked for {TWO.name}: 192.0.2.2, nobody has come",
                f"-             refused  {OTHER} asked for {TWO.name}: policy, by policy.system_load (default)",
                f"-             refused  tcp 198.51.100.3:1025 > 192.0.2.2:80 {TWO.name}: no_claim, {by}",
            ],
        )
        nothing = self.successResultOf(self.decided.flow("192.0.2.9:1", "192.0.2.9:2"))
        self.assertIn("no such flow", " ".join(shown.flow(nothing)))
        self.assertIn("left out", " ".join(shown.line({"left_out": 3})))
        self.assertIn("some are left out", " ".join(shown.line({"left_out": None})))

"""Tests for `realmgw.control.reputation`."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from typing import Any

from realmgw.allocation.reputation.challenges import Challenge
from realmgw.allocation.reputation.requestors import ClientPrefix
from realmgw.config.policy import ResolverGroup
from realmgw.control.command import shown
from realmgw.control.commands import ExitStatus
from realmgw.control.reputation import TURN
from realmgw.test.control.test_gateway import GatewayTestCase


class ReputationTestCase(GatewayTestCase):
    """A gateway that knows three resolvers, and the client of one."""

    def setUp(self) -> None:
        """One has an agreement, one has passed a challenge, one is worse than the others."""
        super().setUp()
        self.groups = self.made.allocator.groups
        self.groups.preset([ResolverGroup((IPv4Network("203.0.113.0/28"),), 0.9, sla=True)], now=0.0)
        proven = self.groups.proven("192.0.2.1", now=0.0)
        proven.passed = Challenge.TC | Challenge.CNAME
        self.groups.of("192.0.2.2").reputation.set(0.1, now=0.0)
        client = ClientPrefix.of(bytes((198, 51, 100, 7)), 24)
        self.made.allocator.requestor("203.0.113.1", client, client, now=0.0)

    def row(self, who: str) -> dict[str, Any]:
        """How somebody stands in the list."""
        [row] = [row for row in self.do("reputation/list")["reputations"] if row["name"] == who]
        return dict(row)


class ListTests(ReputationTestCase):
    """`reputation list`."""

    def test_the_worst_comes_first(self) -> None:
        """With what is known of each."""
        answer = self.do("reputation/list")
        self.assertEqual(
            [(row["name"], row["kind"], row["reputation"]) for row in answer["reputations"]],
            [("192.0.2.2", "unproven", 0.1), ("192.0.2.1", "proven", 0.45), ("203.0.113.0/28", "preset", 0.9)],
        )
        self.assertEqual(answer["reputations"][1]["passed"], ["tc", "cname"])

    def test_only_those_that_match_are_listed(self) -> None:
        """By a part of an address, in capitals or not; at most so many, and how many there are is told."""
        self.assertEqual(self.do("reputation/list", match="192.0.2")["total"], 2)
        self.groups.of("2001:db8::1")
        self.assertEqual(self.do("reputation/list", match="2001:DB8")["total"], 1)
        self.groups.forget("2001:db8::1", now=0.0)
        answer = self.do("reputation/list", limit="1")
        self.assertEqual((answer["total"], len(answer["reputations"])), (3, 1))
        self.assertEqual(list(shown.reputations(answer))[-1], "2 more")

    def test_clients_are_listed_apart(self) -> None:
        """By their networks."""
        [row] = self.do("reputation/list", clients="yes")["reputations"]
        self.assertEqual((row["name"], row["kind"]), ("198.51.100.0/24", "client"))

    def test_queries_have_their_turn_while_many_are_listed(self) -> None:
        """After so many at the latest."""
        for number in range(3 * TURN):
            self.groups.of(f"2001:db8::{number:x}")
        steps = self.made.reputations._listed(self.groups, "", 10)
        self.assertEqual(sum(1 for _ in steps), 3)


class ShowTests(ReputationTestCase):
    """`reputation show`."""

    def test_says_how_a_reputation_comes_about(self) -> None:
        """Of a group: its period, its outcomes, its addresses."""
        group = self.groups.of("192.0.2.1")
        group.reputation.advance(0.0)
        group.reputation.ok += 5
        answer = self.do("reputation/show", who="192.0.2.1")
        self.assertEqual(answer["period"]["ok"], 5)
        self.assertEqual(answer["period"]["current"], 0.7)
        self.assertEqual(answer["reputation"], round(0.25 * 0.45 + 0.75 * 0.7, 4))
        self.assertEqual(answer["nodes"], ["192.0.2.1"])
        lines = list(shown.reputation(answer))
        self.assertIn("in all: 5 used, 0 unused, 0 neutral", lines)

    def test_a_preset_group_is_found_by_any_of_its_addresses(self) -> None:
        """And by its first prefix."""
        for who in ("203.0.113.9", "203.0.113.0/28"):
            self.assertTrue(self.do("reputation/show", who=who)["sla"])

    def test_a_resolver_is_called_in_several_ways(self) -> None:
        """Decisions have a prefix of IPv6 for all addresses in it, and of a preset group its first one."""
        for said, called in (
            ("192.0.2.1", {"192.0.2.1"}),
            ("203.0.113.9", {"203.0.113.9", "203.0.113.0/28"}),
            ("2001:DB8:0:7::53", {"2001:db8:0:7::"}),
            ("203.0.113.0/28", set()),
        ):
            self.assertEqual(self.made.reputations.called(ip_network(said)), called)

    def test_the_log_finds_a_resolver_by_any_of_its_addresses(self) -> None:
        """Whatever its answers are written down by."""
        service = self.made.running.registry.directory.services["a.example.org."]
        for resolver in ("203.0.113.9", "192.0.2.1", "2001:db8:0:7::"):
            self.made.allocator.ask(service, resolver, resolver, now=0.0)
        self.groups.merge(self.groups.of("192.0.2.1"), self.groups.of("192.0.2.2"), now=0.0)
        for asked, told in (
            ("203.0.113.1", ["203.0.113.0/28"]), ("192.0.2.1", ["192.0.2.1"]), ("192.0.2.2", ["192.0.2.1"]),
            ("192.0.2.3", []), ("2001:db8:0:7::53", ["2001:db8:0:7::"]), ("2001:db8:0:8::53", []),
        ):  # fmt: skip
            rows: list[dict[str, Any]] = []
            stream = self.gateway.do("log", {"resolver": asked})
            self.made.pass_time()
            self.successResultOf(stream).follow(rows.append, lambda: None)
            self.assertEqual([row["resolver"] for row in rows], told)
        self.assertIs(self.refusal("log", resolver="him"), ExitStatus.USAGE)

    def test_a_client_is_found_by_its_network(self) -> None:
        """As the list has it."""
        answer = self.do("reputation/show", who="198.51.100.0/24")
        self.assertEqual((answer["kind"], answer["reputation"]), ("client", 0.45))
        self.assertTrue(list(shown.reputation(answer)))

    def test_strangers_are_not_found(self) -> None:
        """And what is no address is a wrong command line."""
        self.assertIs(self.refusal("reputation/show", who="192.0.2.99"), ExitStatus.NOT_FOUND)
        self.assertIs(self.refusal("reputation/forget", who="192.0.2.99"), ExitStatus.NOT_FOUND)
        self.assertIs(self.refusal("reputation/show", who="him"), ExitStatus.USAGE)
        self.assertIs(self.refusal("reputation/forget", who="198.51.0.0/16"), ExitStatus.NOT_FOUND)


class ChangeTests(ReputationTestCase):
    """`reputation set` and `forget`."""

    def test_a_reputation_is_set(self) -> None:
        """Of somebody known, of a stranger, of a client."""
        for who in ("192.0.2.2", "192.0.2.77", "198.51.100.0/24"):
            self.assertEqual(self.do("reputation/set", who=who, reputation="0.8")["reputation"], 0.8)
            self.assertEqual(self.do("reputation/show", who=who)["reputation"], 0.8)
        self.assertEqual(len(self.made.allocator.askers.journal.take(9)), 3)

    def test_a_reputation_is_a_number_from_0_to_1(self) -> None:
        """Anything else changes nothing."""
        for text in ("1.1", "-0.1", "nan", "good", ""):
            self.assertIs(self.refusal("reputation/set", who="192.0.2.2", reputation=text), ExitStatus.USAGE)
        self.assertEqual(self.row("192.0.2.2")["reputation"], 0.1)

    def test_whoever_is_forgotten_is_a_stranger(self) -> None:
        """And is kept no more."""
        answer = self.do("reputation/forget", who="192.0.2.2")
        self.assertIn("the reputation was 0.1", next(shown.reputation_before(answer)))
        self.assertIs(self.refusal("reputation/show", who="192.0.2.2"), ExitStatus.NOT_FOUND)
        self.do("reputation/forget", who="198.51.100.0/24")
        self.assertEqual(self.do("reputation/list", clients="yes")["total"], 0)
        self.assertEqual(len(self.made.book.forgotten), 2)

    def test_a_preset_group_is_what_the_policy_says_again(self) -> None:
        """It can not be a stranger."""
        self.do("reputation/set", who="203.0.113.1", reputation="0.2")
        self.do("reputation/forget", who="203.0.113.1")
        self.assertEqual(self.row("203.0.113.0/28")["reputation"], 0.9)

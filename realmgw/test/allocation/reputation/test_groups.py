"""Tests of which group a resolver belongs to. The names are the clauses of docs/reputation.md."""

from __future__ import annotations

import math
import tracemalloc
from ipaddress import IPv4Address, ip_network

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.challenges import Challenge
from realmgw.allocation.reputation.group import CLAIM_TIMEOUT_LEAST, CLAIM_TIMEOUT_UNKNOWN, Group
from realmgw.allocation.reputation.groups import MAX_NODES, Groups
from realmgw.allocation.reputation.score import Journal
from realmgw.config.policy import ResolverGroup
from realmgw.test.allocation.scene import OTHER, RESOLVER, THIRD

SPOOFED = 1_000_000


def preset(*nodes: str, initial: float = 0.8, sla: bool = False, merges: bool = True) -> ResolverGroup:
    """A group of the operator's."""
    return ResolverGroup(tuple(map(ip_network, nodes)), initial, sla, merges)


class UnprovenTests(SynchronousTestCase):
    """Resolvers of which only the address is known that anybody can write."""

    def test_a_group_is_made_at_first_sight(self) -> None:
        """Of one resolver, neutral, and believed by nobody."""
        group = Groups(8).of(RESOLVER)
        self.assertEqual((group.nodes, group.reputation.value(0.0), group.sla), ((RESOLVER,), 0.45, False))

    def test_to_look_for_a_group_makes_none(self) -> None:
        """`find` and `known` leave everything as it is."""
        groups = Groups(8)
        self.assertIs(groups.find(RESOLVER), None)
        self.assertEqual(groups.known(RESOLVER).standing, 0.45)
        self.assertEqual(len(groups), 0)

    def test_a_flood_of_unproven_resolvers_costs_nothing_while_challenges_are_due(self) -> None:
        """For each query a group is looked for, and none is made: a million senders leave no memory behind."""
        groups = Groups(65536)
        groups.proven(RESOLVER, now=0.0)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(SPOOFED):
                groups.find(number)
            after = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        self.assertLess(after - before, 10_000, "octets")
        self.assertEqual(len(groups), 1)

    def test_unproven_groups_are_bounded(self) -> None:
        """Where no challenge is due, a million senders leave no more than the limit behind."""
        groups = Groups(1000, journal=Journal(1000))
        for number in range(10_000):
            groups.of(number)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(10_000, 100_000):
                groups.of(number).counted(1.0)
            after = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        self.assertLess(after - before, 1000 * 1200, "octets")
        self.assertLessEqual(len(groups), 1000)


class ProvenTests(SynchronousTestCase):
    """Resolvers that have shown where they are."""

    def test_no_flood_of_unproven_resolvers_makes_a_proven_one_forgotten(self) -> None:
        """Not even one that is never asked for meanwhile."""
        groups = Groups(64)
        proven = groups.proven(RESOLVER, now=3.0)
        for number in range(10_000):
            groups.of(number)
        self.assertIs(groups.find(RESOLVER), proven)
        self.assertIs(groups.of(RESOLVER), proven)
        self.assertEqual(proven.proven_at, 3.0)

    def test_a_resolver_that_proves_itself_keeps_its_reputation(self) -> None:
        """It is the same group, kept in another place."""
        groups = Groups(64)
        group = groups.of(RESOLVER)
        self.assertIs(groups.proven(RESOLVER, now=1.0), group)

    def test_proven_groups_are_bounded(self) -> None:
        """Those that did not ask for longest are forgotten, and only others that are proven push them out."""
        groups = Groups(64)
        for number in range(1000):
            groups.proven(RESOLVER, now=0.0)
            groups.proven(number, now=0.0)
        self.assertLessEqual(len(groups), 128 + 64)
        self.assertIs(groups.find(0), None)
        self.assertIsNot(groups.find(RESOLVER), None)

    def test_a_proven_resolver_that_asks_is_not_forgotten(self) -> None:
        """Whether he proves himself again or not."""
        groups = Groups(64)
        proven = groups.proven(RESOLVER, now=0.0)
        for number in range(1000):
            self.assertIs(groups.of(RESOLVER), proven)
            groups.proven(number, now=0.0)


class PresetTests(SynchronousTestCase):
    """The operator's groups."""

    def setUp(self) -> None:
        self.groups = Groups(64)

    def test_a_preset_group_has_its_networks_its_reputation_and_its_agreement(self) -> None:
        """Every resolver in its networks belongs to it, at once."""
        self.groups.preset([preset("203.0.113.0/25", "2001:db8::/48", sla=True)], now=0.0)
        group = self.groups.of("203.0.113.7")
        self.assertIs(self.groups.find("2001:db8::53"), group)
        self.assertEqual((group.reputation.value(0.0), group.sla, group.standing), (0.8, True, 0.8))
        self.assertIsNot(self.groups.of("203.0.113.200"), group)

    def test_the_longest_prefix_counts(self) -> None:
        """In whatever order they are written."""
        for groups in (("203.0.113.0/24", "203.0.113.4/30"), ("203.0.113.4/30", "203.0.113.0/24")):
            self.groups.preset(map(preset, groups), now=0.0)
            self.assertEqual(self.groups.of("203.0.113.5").nodes, ("203.0.113.4/30",))

    def test_no_flood_makes_a_preset_group_forgotten(self) -> None:
        """Neither of proven nor of unproven resolvers."""
        self.groups.preset([preset("203.0.113.1/32")], now=0.0)
        group = self.groups.of(RESOLVER)
        for number in range(1000):
            self.groups.of(number)
            self.groups.proven(-number, now=0.0)
        self.assertIs(self.groups.of(RESOLVER), group)

    def test_a_reload_keeps_the_reputations_of_groups_that_stay(self) -> None:
        """What else is said of them may change; and other groups keep everything."""
        self.groups.preset([preset("203.0.113.1/32")], now=0.0)
        stays, other = self.groups.of(RESOLVER), self.groups.of(OTHER)
        stays.reputation.ok += 10
        self.groups.preset([preset("203.0.113.1/32", initial=0.1, sla=True), preset("203.0.113.3/32")], now=1.0)
        self.assertIs(self.groups.of(RESOLVER), stays)
        self.assertIs(self.groups.of(OTHER), other)
        self.assertEqual((stays.ok, stays.sla), (10, True))
        self.assertIsNot(self.groups.of(THIRD).preset, None)

    def test_a_resolver_that_becomes_preset_is_so_at_once(self) -> None:
        """Even if it was known before."""
        before = self.groups.of(RESOLVER)
        self.groups.preset([preset("203.0.113.1/32")], now=0.0)
        self.assertIsNot(self.groups.find(RESOLVER), before)
        self.assertIsNot(self.groups.of(RESOLVER), before)

    def test_a_group_that_is_taken_away_is_gone(self) -> None:
        """Its resolvers are strangers."""
        self.groups.preset([preset("203.0.113.1/32", sla=True)], now=0.0)
        self.groups.of(RESOLVER)
        self.groups.preset([], now=1.0)
        self.assertIs(self.groups.find(RESOLVER), None)
        self.assertEqual(list(self.groups), [])
        self.assertFalse(self.groups.of(RESOLVER).sla)

    def test_what_is_no_address_belongs_to_none(self) -> None:
        """Nothing is raised, whatever a resolver is known by."""
        self.groups.preset([preset("203.0.113.0/24")], now=0.0)
        for resolver in ("example.org", 7, ("a", 1), b"\xcb\0\x71\1", "fe80::1%eth0"):
            self.assertIs(self.groups.of(resolver).preset, None)


class MergingTests(SynchronousTestCase):
    """An alias that comes back from another address."""

    def setUp(self) -> None:
        self.groups = Groups(1024)

    def test_the_nodes_are_united(self) -> None:
        """All their addresses are of one group, with one reputation, from then on."""
        one, other = (self.groups.proven(each, now=0.0) for each in (RESOLVER, OTHER))
        one.reputation.ok, other.reputation.nok = 7, 3
        merged = self.groups.merge(one, other, now=1.0)
        self.assertEqual(set(merged.nodes), {RESOLVER, OTHER})
        self.assertEqual((merged.ok, merged.nok), (7, 3))
        self.assertIs(self.groups.of(RESOLVER), self.groups.of(OTHER))
        self.assertEqual(list(self.groups), [merged])

    @given(st.integers(0, 99), st.integers(0, 99), st.booleans(), st.booleans())
    def test_merging_is_commutative(self, ok: int, nok: int, sla: bool, seen: bool) -> None:
        """Which one asked first makes no difference."""
        told = []
        for order in (1, -1):
            groups = Groups(64)
            groups.preset([preset("203.0.113.1/32", sla=sla)] if seen else [], now=0.0)
            one, other = (groups.proven(each, now=0.0) for each in (RESOLVER, OTHER))
            one.reputation.ok, other.reputation.nok = ok, nok
            other.arrived(0.01, b"1234")
            merged = groups.merge(*(one, other)[::order], now=50.0)
            delays = merged.delays.counts() if merged.delays is not None else None
            told.append((merged.nodes, merged.sla, merged.reputation.value(50.0), merged.claim_timeout, delays))
        self.assertEqual(told[0], told[1])

    def test_both_are_aged_to_the_same_period(self) -> None:
        """What one did periods ago does not count as if it were now."""
        old, new = (self.groups.proven(each, now=0.0) for each in (RESOLVER, OTHER))
        old.reputation.advance(1.0)
        old.reputation.nok += 50
        merged = self.groups.merge(old, new, now=1000.0)
        self.assertEqual((merged.reputation.nok, merged.nok), (0, 50))

    def test_an_agreement_with_one_is_an_agreement_with_both(self) -> None:
        """The preset group takes the other one in."""
        self.groups.preset([preset("203.0.113.1/32", sla=True)], now=0.0)
        merged = self.groups.merge(self.groups.proven(OTHER, now=0.0), self.groups.of(RESOLVER), now=0.0)
        self.assertTrue(merged.sla)
        self.assertEqual(merged.nodes, ("203.0.113.1/32", OTHER))
        self.assertIs(self.groups.of(OTHER), merged)

    def test_a_preset_group_that_does_not_merge_stays_apart(self) -> None:
        """And so do two that are preset: the operator has said that they are two."""
        self.groups.preset([preset("203.0.113.1/32", merges=False), preset("203.0.113.2/32")], now=0.0)
        alone, other, third = (self.groups.of(each) for each in (RESOLVER, OTHER, THIRD))
        for one, two in ((alone, third), (third, alone), (alone, other), (other, alone)):
            self.assertIs(self.groups.merge(one, two, now=0.0), one)
        self.assertIs(self.groups.of(THIRD), third)

    def test_challenges_passed_by_one_are_passed_by_both(self) -> None:
        """And when last."""
        one, other = self.groups.proven(RESOLVER, now=5.0), self.groups.proven(OTHER, now=2.0)
        one.passed, other.passed = Challenge.TC, Challenge.CNAME
        one.trusted, other.trusted = 3, 4
        merged = self.groups.merge(one, other, now=6.0)
        self.assertEqual(merged.passed, Challenge.TC | Challenge.CNAME)
        self.assertEqual((merged.proven_at, merged.trusted), (5.0, 7))

    def test_a_cluster_is_remembered_as_a_whole(self) -> None:
        """If one of its resolvers asks, none is forgotten."""
        groups = Groups(64)
        cluster = groups.proven(0, now=0.0)
        for number in range(1, 5):
            cluster = groups.merge(cluster, groups.proven(number, now=0.0), now=0.0)
        for number in range(1000):
            groups.of(0)
            groups.proven(-1 - number, now=0.0)
        self.assertEqual([groups.of(number) for number in range(5)], [cluster] * 5)

    def test_a_cluster_is_bounded(self) -> None:
        """Whoever has too many addresses is two."""
        cluster = self.groups.proven(0, now=0.0)
        for number in range(1, 2 * MAX_NODES):
            cluster = self.groups.merge(cluster, self.groups.proven(number, now=0.0), now=0.0)
        self.assertLessEqual(len(cluster.nodes), MAX_NODES + 1)

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12))
    def test_whoever_was_merged_has_one_group(self, pairs: list[tuple[int, int]]) -> None:
        """Each address is in exactly one group, whatever was merged with what."""
        groups = Groups(64, journal=Journal(64))
        for one, other in pairs:
            groups.merge(groups.proven(one, now=0.0), groups.proven(other, now=0.0), now=1.0)
        told = [node for group in groups for node in group.nodes]
        self.assertEqual(len(told), len(set(told)))
        for group in groups:
            for node in group.nodes:
                self.assertIs(groups.find(int(node)), group)


class OperatorTests(SynchronousTestCase):
    """What operators do with reputations."""

    def setUp(self) -> None:
        self.groups = Groups(64)

    def test_a_reputation_is_set(self) -> None:
        """Known or not, the resolver has it; and with one below the lowest band, its claims get the least timeout."""
        group = self.groups.set(RESOLVER, 0.01, now=0.0)
        self.assertEqual(
            (group.reputation.value(0.0), group.standing, group.claim_timeout), (0.01, 0.01, CLAIM_TIMEOUT_LEAST)
        )
        self.assertIs(self.groups.find(RESOLVER), group)

    def test_a_resolver_is_forgotten(self) -> None:
        """And with it all of its group."""
        merged = self.groups.merge(*(self.groups.proven(each, now=0.0) for each in (RESOLVER, OTHER)), now=0.0)
        self.assertTrue(self.groups.forget(OTHER, now=0.0))
        self.assertEqual([self.groups.find(each) for each in (RESOLVER, OTHER)], [None, None])
        self.assertFalse(self.groups.forget(OTHER, now=0.0))
        self.assertIsNot(self.groups.of(RESOLVER), merged)

    def test_of_a_preset_group_what_was_learned_is_forgotten(self) -> None:
        """It has the reputation again that it was given."""
        self.groups.preset([preset("203.0.113.1/32")], now=0.0)
        group = self.groups.of(RESOLVER)
        group.reputation.nok += 100
        self.assertTrue(self.groups.forget(RESOLVER, now=0.0))
        self.assertEqual((self.groups.of(RESOLVER), group.reputation.value(0.0)), (group, 0.8))

    def test_every_group_is_told_once(self) -> None:
        """Preset, proven and unproven ones."""
        self.groups.preset([preset("203.0.113.0/24")], now=0.0)
        for last in range(1, 4):
            self.groups.of(f"203.0.113.{last}")
            self.groups.proven(f"198.51.100.{last}", now=0.0)
            self.groups.of(str(IPv4Address(0xC0000200 + last)))
        self.assertEqual(len(list(self.groups)), 7)
        self.assertEqual(len(set(self.groups)), 7)

    def test_a_group_that_never_proved_itself_says_so(self) -> None:
        """Its proof was an infinite time ago."""
        self.assertEqual(self.groups.of(RESOLVER).proven_at, -math.inf)


class StandingTests(SynchronousTestCase):
    """The reputation where it is used."""

    def test_the_standing_is_the_reputation_when_it_is_looked_at(self) -> None:
        """Until then it is what it was."""
        group = Group(RESOLVER)
        group.reputation.nok += 100
        self.assertEqual(group.standing, 0.45)
        self.assertEqual(group.weigh(21.0), group.reputation.value(21.0))
        self.assertEqual(group.standing, group.reputation.value(21.0))

    def test_who_is_next_to_nothing_gets_the_least_guard(self) -> None:
        """In proportion to the best reputation known, until it is clearly more than that."""
        group = Group(RESOLVER)
        group.reputation.set(0.2, now=0.0)
        group.weigh(0.0)
        unknown = (0.2, CLAIM_TIMEOUT_UNKNOWN), (0.7, CLAIM_TIMEOUT_UNKNOWN)
        for best, timeout in (
            *unknown,
            (0.9, CLAIM_TIMEOUT_LEAST),
            (0.7, CLAIM_TIMEOUT_LEAST),
            (0.5, CLAIM_TIMEOUT_UNKNOWN),
        ):
            group.compare(best)
            self.assertEqual(group.claim_timeout, timeout, best)

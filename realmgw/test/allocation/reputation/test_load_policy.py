"""Tests of the load policy. The names are the clauses of docs/reputation.md."""

from __future__ import annotations

import math
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.counters import Counters
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.load_policy import LEADERS, Best, Kind, LoadPolicy
from realmgw.allocation.reputation.requestors import Requestor
from realmgw.allocation.reputation.score import PERIOD
from realmgw.config.policy import REFERENCE_BANDS, Audit, Combination, LoadBand, Policy
from realmgw.errors import Reason
from realmgw.test.allocation.scene import (
    CLIENT,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
    STRAY,
    TCP,
    THIRD,
    Scene,
    pool_address,
    service,
)

ONE, TWO, THREE = (service(index) for index in range(1, 4))


def group(reputation: float, resolver: str = RESOLVER) -> Group:
    """A group of this reputation."""
    made = Group(resolver)
    made.reputation.set(reputation, now=0.0)
    return made


def client(reputation: float) -> Requestor:
    """A client of this reputation."""
    made = Requestor("client", None)
    made.reputation.set(reputation, now=0.0)
    return made


class BandTests(SynchronousTestCase):
    """What is demanded."""

    def policy(self, *bands: LoadBand, best: float = 1.0, **policy: object) -> LoadPolicy:
        """A load policy where the best reputation known is this one."""
        self.counters, known = Counters(), Best()
        known.learn(group(best, "best"), best, 0.0)
        return LoadPolicy(Policy(system_load=bands, **policy), self.counters, known)  # type: ignore[arg-type]

    def least(self, policy: LoadPolicy, kind: Kind, load: float, named: float | None = None) -> float:
        """The least reputation, in hundredths, of a group that is permitted something."""
        whose = None if named is None else client(named)
        hundredths = (number / 100 for number in range(101))
        return next(one for one in hundredths if not policy.refuses(kind, load, group(one), whose, 0.0))

    def test_the_reference_bands_demand_what_they_say(self) -> None:
        """At each load, for a whole address, an address that can be shared, and a share of one in use."""
        policy = self.policy(*REFERENCE_BANDS)
        for load, demands in (
            (0.0, (0.2, 0.15, 0.05)),
            (0.3, (0.2, 0.15, 0.05)),
            (0.34, (0.75, 0.45, 0.25)),
            (0.65, (0.75, 0.45, 0.25)),
            (0.67, (0.85, 0.65, 0.55)),
            (0.98, (0.85, 0.65, 0.55)),
            (0.995, (1.0, 0.85, 0.75)),
            (1.0, (1.0, 0.85, 0.75)),
        ):
            self.assertEqual(tuple(self.least(policy, kind, load) for kind in Kind), demands, load)

    def test_the_first_band_allocates_whose_demand_is_met(self) -> None:
        """Of all that contain the load, in the operator's order; its allocations are counted."""
        policy = self.policy(
            LoadBand(0, 100, 0.9, 0.9, 0.9), LoadBand(40, 60, 0.5, 0.5, 0.5), LoadBand(50, 50, 0, 0, 0)
        )
        for reputation in (0.95, 0.6, 0.1):
            self.assertIs(policy.refuses(Kind.FQDN_NEW, 0.5, group(reputation), None, 0.0), None)
        self.assertEqual(policy.permitted, [1, 1, 1])

    def test_a_load_on_the_edge_is_in_both_bands(self) -> None:
        """The milder of the two is enough."""
        policy = self.policy(*REFERENCE_BANDS)
        self.assertEqual(
            (self.least(policy, Kind.FQDN_NEW, 0.66), self.least(policy, Kind.FQDN_NEW, 0.33)), (0.75, 0.2)
        )

    def test_a_load_in_no_band_is_refused(self) -> None:
        """Whoever asks: nothing was said about it."""
        policy = self.policy(LoadBand(0, 50, 0, 0, 0))
        self.assertIs(policy.refuses(Kind.FQDN_NEW, 0.51, group(1.0), None, 0.0), Reason.POLICY)
        self.assertEqual(policy.refused, [1, 0, 0])

    def test_the_better_the_worse_or_the_mean_is_offered(self) -> None:
        """Of the resolver's reputation and the client's, as the band says."""
        for how, least in ((Combination.MAX, 0.0), (Combination.MIN, 0.6), (Combination.AVG, 0.4)):
            policy = self.policy(LoadBand(0, 100, 0.6, 1, 1, how))
            self.assertEqual(self.least(policy, Kind.FQDN_NEW, 0.0, named=0.8), least, math)

    def test_without_a_client_the_resolvers_alone_is_offered(self) -> None:
        """Whatever the band says of two."""
        for how in Combination:
            self.assertEqual(self.least(self.policy(LoadBand(0, 100, 0.6, 1, 1, how)), Kind.FQDN_NEW, 0.0), 0.6)

    def test_reputations_are_offered_in_proportion_to_the_best(self) -> None:
        """Where nobody is better than 0.5, half of what the band says is enough."""
        policy = self.policy(LoadBand(0, 100, 0.8, 0.5, 0.1), best=0.5)
        self.assertEqual([self.least(policy, kind, 0.0) for kind in Kind], [0.4, 0.25, 0.05])

    def test_who_is_the_best_is_never_refused(self) -> None:
        """However bad he is: nobody else is better. Not even if he is as bad as can be."""
        for reputation in (1.0, 0.3, 0.01, 0.0):
            policy = LoadPolicy(Policy(), Counters(), Best())
            self.assertIs(policy.refuses(Kind.FQDN_NEW, 1.0, group(reputation), None, 0.0), None)

    def test_there_is_a_limit_of_claims_for_all_hosts(self) -> None:
        """Whoever asks is refused for that reason while as many stand, whether his claim would cost the pool or not."""
        scene = Scene(4, policy=Policy(max_claims=2))
        first = scene.get(service(1), now=0.0)
        scene.get(service(2), now=0.0)
        for asked in (service(3), service(1)):
            self.assertIs(scene.ask(asked, now=0.0), Reason.CLAIM_LIMIT)
        self.assertEqual(scene.counters.refused[Reason.CLAIM_LIMIT], 2)
        self.assertEqual(scene.come(first, now=0.1), 1)
        scene.get(service(3), now=0.1)

    def test_those_who_wait_are_served_up_to_that_limit(self) -> None:
        """Whoever is beyond it when an address comes free is refused for that reason."""
        scene = Scene(1, policy=Policy(max_claims=2, system_load=()))
        address = scene.get(service(1), now=0.0)
        for question in "abc":
            scene.wait(service(2), question=question, now=0.0)
        scene.come(address, now=0.1)
        self.assertEqual(scene.told, [("a", address), ("b", address), ("c", Reason.CLAIM_LIMIT)])

    def test_what_is_kept_for_company_counts_as_well(self) -> None:
        """However many came for such claims: as many stand as may, and no more."""
        scene = Scene(1, policy=Policy(max_claims=2, system_load=()))
        for resolver in (RESOLVER, OTHER):
            scene.learn_delays(resolver, 0.01)
        for now in (0.0, 400.0, 800.0):
            address = scene.get(service(1), now=now)
            scene.wait(service(2), OTHER, now=now + 0.001)
            scene.come(address, NEIGHBOUR, now=now + 0.005)
            scene.wait(service(1), now=now + 0.006)
            for source in (CLIENT, STRAY, CLIENT):
                scene.come(address, source, now=now + 0.01)
            for later in (0.5, 30.0):
                scene.allocator.expire(now=now + later)
            self.assertEqual(scene.counters.pending, 0)
        scene.allocator.extend([ip_network("192.0.2.64/28")], now=1200.0)
        given = [scene.ask(service(index), now=1200.0) for index in range(10, 20)]
        self.assertEqual(sum(isinstance(each, bytes) for each in given), 2)

    def test_in_audit_mode_refusals_are_only_counted(self) -> None:
        """The band's and the limit's."""
        policy = self.policy(*REFERENCE_BANDS, max_claims=5, audit=(Audit.LOAD,))
        self.assertIs(policy.refuses(Kind.FQDN_NEW, 0.0, group(0.0), None, 0.0), None)
        self.assertEqual((policy.limits(), policy.room(5)), (False, math.inf))
        self.assertEqual((self.counters.policy_audited, policy.refused), (2, [1, 0, 0]))

    @given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 1), st.sampled_from(Kind))
    def test_a_worse_reputation_is_never_permitted_more(
        self, one: float, other: float, best: float, load: float, kind: Kind
    ) -> None:
        """At any load."""
        low, high = sorted((one, other))
        policy = self.policy(*REFERENCE_BANDS, best=max(best, high))
        if policy.refuses(kind, load, group(low), None, 0.0) is None:
            self.assertIs(policy.refuses(kind, load, group(high), None, 0.0), None)


class BestTests(SynchronousTestCase):
    """The best reputation known."""

    def test_it_is_that_of_the_best(self) -> None:
        """Whoever it is."""
        best = Best()
        for value in (0.3, 0.7, 0.5):
            best.learn(group(value), value, 0.0)
        self.assertEqual(best.value, 0.7)

    def test_when_the_best_falls_the_next_one_takes_its_place(self) -> None:
        """As soon as it is looked at."""
        best, falling, next_one = Best(), group(0.9), group(0.8)
        best.learn(falling, 0.9, 0.0)
        best.learn(next_one, 0.8, 0.0)
        best.learn(falling, 0.1, 1.0)
        self.assertEqual(best.value, 0.8)

    def test_who_does_not_ask_ages(self) -> None:
        """Nobody is measured for long by one who was good once."""
        best = Best()
        best.learn(group(1.0), 1.0, 0.0)
        for number in range(1, 12):
            best.learn(group(0.45), 0.45, number * PERIOD)
        self.assertLess(best.value, 0.5)

    @given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), min_size=1, max_size=60))
    def test_few_are_followed_and_it_is_never_less_than_any_of_them(self, course: list[tuple[int, float]]) -> None:
        """The value is the best of the few, and as good as what was learned last."""
        best, groups = Best(), [group(0.45, str(number)) for number in range(31)]
        for number, value in course:
            best.learn(groups[number], value, 0.0)
            self.assertLessEqual(len(best._leaders), LEADERS)
            self.assertEqual(best.value, max(best._leaders.values()))
            self.assertGreaterEqual(best.value, value)


class AllocationTests(SynchronousTestCase):
    """Where the allocator asks the policy, and what becomes of that."""

    def scene(self, addresses: int, **reputations: float) -> Scene:
        """A gateway with the reference policy that knows two resolvers."""
        scene = Scene(addresses, policy=Policy())
        for resolver, name in ((RESOLVER, "mine"), (OTHER, "others")):
            scene.allocator.groups.set(resolver, reputations.get(name, 0.9), now=0.0)
        return scene

    def test_what_costs_the_pool_nothing_needs_no_reputation(self) -> None:
        """A retransmission, one more claim, and the address that the host had last."""
        scene = self.scene(4, mine=0.0)
        scene.get(ONE, OTHER, now=0.0)
        for _ in range(2):
            scene.get(ONE, OTHER, "again", now=0.1)
        scene.come(pool_address(1), now=0.2)
        self.assertIs(scene.ask(TWO, now=0.3), Reason.POLICY)
        scene.allocator.expire(now=3.0)
        self.assertEqual(scene.get(ONE, now=3.0), pool_address(1))

    def test_a_bad_reputation_is_refused_what_is_new(self) -> None:
        """A whole address, and a share of one: each by its own demand."""
        scene = self.scene(4, mine=0.2)
        scene.get(service(7, TCP, 80), OTHER, now=0.0)
        scene.get(ONE, OTHER, now=0.0)
        self.assertIs(scene.ask(TWO, now=0.1), Reason.POLICY)
        self.assertIs(scene.ask(service(8, TCP, 25), now=0.1), Reason.POLICY)
        scene.get(service(8, TCP, 25), OTHER, now=0.1)

    def test_one_who_would_be_refused_by_an_empty_pool_may_not_wait(self) -> None:
        """He would take the place of others, and be given what he is refused otherwise."""
        demanding = Policy(system_load=(LoadBand(0, 100, 0.6, 0.6, 0.6),))
        scene = Scene(1, policy=demanding)
        for resolver, standing in ((RESOLVER, 0.4), (OTHER, 0.9)):
            scene.allocator.groups.set(resolver, standing, now=0.0)
        scene.get(ONE, OTHER, now=0.0)
        self.assertIs(scene.wait(TWO, now=0.1), Reason.POLICY)
        self.assertIs(scene.wait(TWO, OTHER, now=0.1), None)
        self.assertEqual(scene.counters.refused[Reason.POLICY], 1)

    def test_who_is_next_to_nothing_keeps_no_address_from_others(self) -> None:
        """He may neither wait nor have what is reclaimed, and his claims do not prolong what is held."""
        scene = self.scene(1, mine=0.1)
        address = scene.get(ONE, OTHER, now=0.1)
        self.assertIs(scene.ask(TWO, now=0.1), Reason.POLICY)
        hold = scene.allocator.pool.addresses[address].held_until
        self.assertEqual(scene.get(ONE, now=0.2), address)
        self.assertEqual(scene.allocator.pool.addresses[address].held_until, hold)
        self.assertIs(scene.ask(ONE, now=0.5), Reason.POLICY)
        self.assertIs(scene.ask(TWO, now=0.7), Reason.POLICY)
        scene.get(TWO, OTHER, now=0.7)

    def test_who_is_next_to_nothing_may_show_now_and_then_that_clients_come(self) -> None:
        """Where his host was last, for a twentieth of the pool's time at most; and who does so is one of all again."""
        scene = self.scene(2, mine=0.01)
        scene.get(ONE, OTHER, now=0.0)
        scene.visit(TWO, OTHER, now=0.0, after=0.01)
        given, now = 0, 0.1
        while now < 10.1:
            given += isinstance(scene.ask(TWO, now=now), bytes)
            scene.get(ONE, OTHER, now=now)
            scene.allocator.expire(now=now)
            now += 0.01
        self.assertLessEqual(given * 0.1, 0.05 * 2 * 10.0 + 0.2)
        self.assertGreater(given, 3)

    def test_in_audit_nobody_is_restrained(self) -> None:
        """What is refused is only counted, and so is who is next to nothing."""
        scene = Scene(1, policy=Policy(audit=(Audit.LOAD,)))
        for resolver, standing in ((RESOLVER, 0.1), (OTHER, 0.9)):
            scene.allocator.groups.set(resolver, standing, now=0.0)
        scene.visit(ONE, OTHER, now=0.0, after=0.1)
        scene.get(ONE, now=0.2)
        self.assertIs(scene.wait(TWO, now=0.2), None)

    def test_a_better_reputation_is_served_first(self) -> None:
        """Of those who wait, once it is found what they are worth."""
        scene = self.scene(1, mine=0.5)
        address = scene.get(ONE, THIRD, now=0.0)
        scene.wait(TWO, RESOLVER, "mine", now=0.1)
        scene.wait(THREE, OTHER, "others", now=0.11)
        scene.come(address, now=0.2)
        self.assertEqual(scene.told, [("others", address)])

    def test_the_worst_reputation_is_reclaimed_first(self) -> None:
        """Of the addresses to which nobody comes any more."""
        scene = self.scene(2, mine=0.8)
        scene.get(ONE, OTHER, now=0.0)
        mine = scene.get(TWO, RESOLVER, now=0.01)
        self.assertEqual(scene.get(THREE, OTHER, now=0.6), mine)

    def test_without_bands_and_limit_nothing_is_refused(self) -> None:
        """And nobody's reputation is looked at."""
        scene = Scene(2, policy=Policy(system_load=()))
        scene.allocator.groups.set(RESOLVER, 0.0, now=0.0)
        self.assertIs(scene.allocator.askers.load, None)
        scene.get(ONE, now=0.0)

    def test_a_reload_keeps_claims_and_reputations(self) -> None:
        """And what the best of all is."""
        scene = self.scene(4, mine=0.3)
        scene.get(ONE, OTHER, now=0.0)
        scene.get(TWO, OTHER, now=0.0)
        self.assertIs(scene.ask(THREE, now=0.0), Reason.POLICY)
        scene.allocator.configure_policy(Policy(system_load=REFERENCE_BANDS[1:]), now=0.1)
        self.assertIs(scene.ask(THREE, now=0.1), Reason.POLICY)
        scene.allocator.configure_policy(Policy(system_load=()), now=0.2)
        scene.get(THREE, now=0.2)
        self.assertEqual(scene.counters.pending, 3)

    def test_pending_claims_are_counted(self) -> None:
        """Whatever ends them: use, time, reclaim, or that their host goes away."""
        scene = Scene(2)
        scene.visit(ONE, now=0.0, after=0.1)
        for asked in (ONE, TWO):
            scene.get(asked, now=0.2)
        self.assertEqual(scene.counters.pending, 2)
        scene.get(THREE, now=0.9)
        scene.allocator.forget({THREE.target}, now=1.0)
        standing = (one for address in scene.allocator.pool.addresses.values() for one in address.reservations.values())
        self.assertEqual(scene.counters.pending, sum(len(one.claims) for one in standing))
        scene.allocator.expire(now=5.0)
        self.assertEqual(scene.counters.pending, 0)

"""Tests of what is learned about resolver groups."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.delays import ALLOWANCE, APART, APART_LEAST, ENOUGH, FIRST, Delays
from realmgw.allocation.reputation.group import CLAIM_TIMEOUT_LEAST, CLAIM_TIMEOUT_UNKNOWN, OBSERVATIONS, Group
from realmgw.allocation.reputation.groups import Groups
from realmgw.test.allocation.scene import CLIENT, serve


class DelaysTests(SynchronousTestCase):
    """The decayed histogram of delays."""

    def test_no_delay_has_a_quantile_before_the_first(self) -> None:
        """Without observations every quantile is 0."""
        self.assertEqual(Delays().quantile(0.999), 0.0)

    @given(st.lists(st.floats(0.00025, 3.9), min_size=1, max_size=50), st.floats(0.01, 1.0))
    def test_a_quantile_errs_by_a_quarter_on_the_patient_side(self, delays: list[float], share: float) -> None:
        """A quantile is never less than the true one, and at most a quarter more."""
        histogram = Delays()
        for delay in delays:
            histogram.add(delay)
        rank = next(i for i in range(1, len(delays) + 1) if i >= share * len(delays))
        exact = sorted(delays)[rank - 1]
        self.assertTrue(exact <= histogram.quantile(share) <= exact * 1.25, (exact, histogram.quantile(share)))

    @given(st.lists(st.floats(0.00025, 3.9), min_size=1, max_size=50), st.floats(0.01, 1.0))
    def test_where_in_its_bucket_a_quantile_is(self, delays: list[float], share: float) -> None:
        """It is no more than the bucket's upper edge, and what all are within is that."""
        histogram = Delays()
        for delay in delays:
            histogram.add(delay)
        self.assertTrue(0.8 * histogram.quantile(share) <= histogram.within(share) <= histogram.quantile(share))
        self.assertEqual(histogram.within(1.0), histogram.quantile(1.0))

    def test_of_many_in_one_bucket_few_are_near_its_upper_edge(self) -> None:
        """Half of those between 32 and 40 ms are taken to be within 36 ms."""
        histogram = Delays()
        for _ in range(100):
            histogram.add(0.033)
        self.assertAlmostEqual(histogram.within(0.5), 9 / 256)

    def test_no_time_at_all_is_the_least_delay(self) -> None:
        """A client that comes in the same instant counts as the fastest there is."""
        histogram = Delays()
        histogram.add(0.0)
        self.assertLess(histogram.quantile(1.0), 0.001)

    def test_a_delay_beyond_the_range_counts_as_the_longest(self) -> None:
        """A client that comes after an hour counts among those of 4 s."""
        histogram = Delays()
        histogram.add(3600.0)
        self.assertEqual(histogram.quantile(1.0), 4.0)

    def test_old_delays_lose_weight(self) -> None:
        """After enough fast clients, as many slow ones of old do not show in the 99.9th percentile any more."""
        histogram = Delays()
        for _ in range(100):
            histogram.add(2.0)
        for _ in range(60_000):
            histogram.add(0.01)
        self.assertLess(histogram.quantile(0.999), 0.02)

    def test_of_late_they_are_the_latest_ones(self) -> None:
        """A crowd that is told at one moment, at the beginning, is forgotten after some hundreds."""
        histogram = Delays()
        for _ in range(FIRST + ENOUGH - 1):
            histogram.add(0.005)
        self.assertEqual(histogram.of_late(0.99), histogram.quantile(0.99))
        for number in range(1000):
            histogram.add(0.02 if number == 990 else 0.0005)
        self.assertLess(histogram.of_late(0.99), 0.001)
        self.assertGreater(histogram.quantile(0.99), 0.004)
        for number in range(1000):
            histogram.add(0.005 if number % 40 == 0 else 0.0005)  # as many are slow as before
        self.assertGreater(histogram.of_late(0.99), 0.004)

    def test_of_few_all_are_the_latest_ones(self) -> None:
        """The first ones, who may have come as a crowd, are none of those, but tell more than nobody."""
        histogram = Delays()
        self.assertEqual(histogram.of_late(0.99), 0.0)
        for number in range(FIRST + ENOUGH):
            self.assertEqual(histogram.of_late(0.99), histogram.quantile(0.99))
            histogram.add(0.5 if number < FIRST else 0.001)
        self.assertLess(histogram.of_late(0.99), 0.002)
        self.assertGreater(histogram.quantile(0.99), 0.4)

    def test_the_total_is_that_of_the_buckets(self) -> None:
        """Decay keeps the total in step with what is left: the whole of it is within the longest delay."""
        histogram = Delays()
        for number in range(10_000):
            histogram.add(0.001 * (number % 50))
        self.assertLessEqual(histogram.total, 4096)
        self.assertGreater(histogram.quantile(1.0), 0.048)


class GroupTests(SynchronousTestCase):
    """The claim timeout of a group, and its 99.9th percentile."""

    def test_half_a_second_is_the_guard_of_the_unknown(self) -> None:
        """A group with fewer than 50 observations has a claim timeout of 500 ms."""
        group = Group("203.0.113.1")
        for _ in range(OBSERVATIONS - 1):
            group.arrived(0.2, b"1234")
        self.assertEqual(group.claim_timeout, CLAIM_TIMEOUT_UNKNOWN)

    def test_twice_the_percentile_is_the_guard_of_the_known(self) -> None:
        """With thousands of observations, the claim timeout is twice the 99.9th percentile."""
        group = Group("203.0.113.1")
        for _ in range(3000):
            group.arrived(0.2, b"1234")
        self.assertTrue(0.4 <= group.claim_timeout <= 0.45, group.claim_timeout)
        self.assertEqual(group.claim_timeout, 2 * group.delay_p999)

    def test_a_guard_is_wider_while_few_were_seen(self) -> None:
        """From 50 observations on a group's own experience counts, doubled at first: it is scarce."""
        group = Group("203.0.113.1")
        for _ in range(OBSERVATIONS):
            group.arrived(0.04, b"1234")
        self.assertTrue(0.16 <= group.claim_timeout <= 0.2, group.claim_timeout)

    def test_who_has_to_ride_has_time_to_spare(self) -> None:
        """A quarter more than nearly all take; of whom nothing is known, that is assumed as it is."""
        group = Group("203.0.113.1")
        self.assertEqual(group.ride, group.delay_p999)
        for _ in range(OBSERVATIONS):
            group.arrived(0.2, b"1234")
        self.assertEqual(group.ride, 1.25 * group.delay_p999)

    def test_a_guard_is_never_below_a_tenth_of_a_second(self) -> None:
        """However fast its clients are, a group's claim timeout is at least 100 ms."""
        group = Group("203.0.113.1")
        for _ in range(200):
            group.arrived(0.001, b"1234")
        self.assertEqual(group.claim_timeout, CLAIM_TIMEOUT_LEAST)
        self.assertLess(group.delay_p999, 0.002)

    def test_a_guard_follows_slower_clients(self) -> None:
        """A group whose clients become slow gets a longer claim timeout after a few dozen of them."""
        group = Group("203.0.113.1")
        for _ in range(100):
            group.arrived(0.001, b"1234")
        for _ in range(50):
            group.arrived(0.5, b"1234")
        self.assertGreaterEqual(group.claim_timeout, 1.0)

    def test_one_alone_who_is_slower_is_not_believed(self) -> None:
        """He may be another group's client, who came where one of these was expected.

        Nor are two, as long as others are as quick as ever. Three are, and whoever there is once nobody is quick.
        """
        one, two, three = (b"1234",), (b"1234", b"5678"), (b"1", b"2", b"3")
        cases = ((one * 9, 1, False), (two * 9, 1, False), (three, 1, True), (two * 4, 0, True), (one * 7, 0, False))
        for clients, quick, is_believed in cases:
            group = Group("203.0.113.1")
            serve(group.habits.caution, b"1234", b"5678")
            for _ in range(100):
                group.arrived(0.001, b"1234")
            for src in clients:
                group.arrived(0.5, src)
                for _ in range(quick):
                    group.arrived(0.001, b"1234")
            self.assertEqual(group.delay_p999 >= 0.5, is_believed, clients)

    def test_who_comes_too_soon_is_known_where_delays_can_be_told_apart(self) -> None:
        """Less than nine of ten clients take; nothing where all come sooner than the shortest delay that is told."""
        for delay, is_known in ((0.04, True), (0.0005, True), (0.0001, False), (0.0, False)):
            group = Group("203.0.113.1")
            for _ in range(2 * OBSERVATIONS):
                group.arrived(delay, b"1234")
            assert group.delays is not None
            self.assertEqual(0.0 < group.delays.least < delay, is_known, delay)
            self.assertLessEqual(group.delays.least, delay)

    def test_clients_show_how_soon_it_has_its_answers(self) -> None:
        """They come no sooner than it can ask again: the soonest one says it, of both where two become one."""
        near, far = Group("192.0.2.53"), Group("192.0.2.54")
        for group, delays, apart in (
            (far, (1.0, APART), APART),
            (far, (0.015, 0.02), ALLOWANCE * 0.015),
            (near, (0.2, 0.0, 0.1), APART_LEAST),
        ):
            for delay in delays:
                group.arrived(delay, CLIENT)
            self.assertEqual(group.delays and group.delays.apart, apart)
        far.absorb(near, now=0.0)
        self.assertEqual(far.delays and far.delays.apart, APART_LEAST)

    def test_below_the_lowest_band_the_guard_is_the_least(self) -> None:
        """A group of worst standing has a claim timeout of 100 ms, known or not."""
        group = Group("203.0.113.1")
        group.rate(0.01)
        self.assertEqual(group.claim_timeout, CLAIM_TIMEOUT_LEAST)
        for _ in range(100):
            group.arrived(0.5, b"1234")
        self.assertEqual(group.claim_timeout, CLAIM_TIMEOUT_LEAST)

    def test_the_guard_recovers_with_the_standing(self) -> None:
        """A group that rises above the lowest band again has the claim timeout that its experience gives."""
        unknown, known = Group("203.0.113.1"), Group("203.0.113.2")
        for _ in range(100):
            known.arrived(0.5, b"1234")
        for group in (unknown, known):
            group.rate(0.01)
            group.rate(0.45)
        self.assertEqual(unknown.claim_timeout, CLAIM_TIMEOUT_UNKNOWN)
        self.assertGreaterEqual(known.claim_timeout, 1.0)


class GroupsTests(SynchronousTestCase):
    """The groups that are remembered."""

    def test_a_resolver_keeps_its_group(self) -> None:
        """The same address value gives the same group."""
        groups = Groups(8)
        self.assertIs(groups.of("203.0.113.1"), groups.of("203.0.113.1"))

    def test_two_resolvers_have_two_groups(self) -> None:
        """Another address value gives another group."""
        groups = Groups(8)
        self.assertIsNot(groups.of("203.0.113.1"), groups.of("203.0.113.2"))

    def test_never_more_than_the_limit_are_remembered(self) -> None:
        """However many resolvers are spoofed, the number of groups is bounded."""
        groups = Groups(64)
        for number in range(10_000):
            groups.of(number)
            self.assertLessEqual(len(groups), 64)

    def test_half_of_the_limit_is_always_remembered(self) -> None:
        """A group is known while fewer than half of the limit of others came since."""
        groups = Groups(64)
        for number in range(200):
            mine = groups.of("mine")
            for other in range(31):
                groups.of((number, other))
            self.assertIs(groups.of("mine"), mine)

    def test_a_group_is_forgotten_when_too_many_came_since(self) -> None:
        """After as many others as the limit, a resolver is a new one."""
        groups = Groups(64)
        mine = groups.of("mine")
        for number in range(64):
            groups.of(number)
        self.assertIsNot(groups.of("mine"), mine)

    def test_the_maker_makes_groups(self) -> None:
        """Groups are made by what `make` says, with the resolver."""
        groups = Groups(8, lambda resolver: Group(resolver, standing=0.9))
        self.assertEqual((groups.of("203.0.113.1").standing, groups.of("203.0.113.1").resolver), (0.9, "203.0.113.1"))

"""Tests of the reputation's formula and its ageing. The names are the clauses of docs/reputation.md."""

from __future__ import annotations

import math

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.score import INITIAL, LONG, PERIOD, Journal, Rated, Reputation

COUNTS = st.integers(0, 500)
SHARES = st.floats(0.0, 1.0)


def period(ok: int = 0, nok: int = 0, neutral: int = 0, initial: float = INITIAL) -> float:
    """The reputation of one period."""
    return Reputation(initial, ok=ok, nok=nok, neutral=neutral).current()


class FormulaTests(SynchronousTestCase):
    """One period."""

    def test_a_period_begins_with_five_neutral_outcomes(self) -> None:
        """One good outcome is one of six, so it adds half of a sixth."""
        self.assertAlmostEqual(period(ok=1), INITIAL + 0.5 / 6)

    def test_good_outcomes_add_half_of_their_share(self) -> None:
        """However many there are: 45 of 50 add as much as 450 of 500 would, the five aside."""
        self.assertAlmostEqual(period(ok=45, initial=0.1), 0.1 + 0.5 * 45 / 50)

    def test_bad_outcomes_take_half_of_their_share_and_more_the_more_there_are(self) -> None:
        """The share counts by the 0.15th power of the total."""
        self.assertAlmostEqual(period(nok=5, initial=0.9), 0.9 - 0.5 * 10**0.15 * 5 / 10)
        self.assertLess(period(ok=200, nok=200), period(ok=20, nok=20))

    def test_neutral_outcomes_dilute(self) -> None:
        """They count in the total alone."""
        self.assertAlmostEqual(period(ok=5, neutral=10), INITIAL + 0.5 * 5 / 20)
        self.assertEqual(period(neutral=1000), INITIAL)

    def test_a_reputation_is_within_0_and_1(self) -> None:
        """What goes beyond is cut off."""
        self.assertEqual((period(nok=1000), period(ok=1000, initial=0.9)), (0.0, 1.0))

    def test_of_a_node_a_quarter_is_of_the_previous_period(self) -> None:
        """And three quarters of the present one."""
        self.assertAlmostEqual(Reputation(0.8, previous=0.4).value(0.0), 0.25 * 0.4 + 0.75 * 0.8)

    def test_who_is_unknown_has_the_initial_reputation(self) -> None:
        """0.45, in both periods."""
        self.assertEqual(Reputation().value(1000.0), 0.45)

    @given(SHARES, SHARES, COUNTS, COUNTS, COUNTS)
    def test_it_stays_within_0_and_1(self, initial: float, previous: float, ok: int, nok: int, neutral: int) -> None:
        """Whatever was counted, now and later."""
        reputation = Reputation(initial, previous, ok, nok, neutral)
        for now in (0.0, 5.0, 21.0, 77.0, 1e6):
            self.assertTrue(0.0 <= reputation.value(now) <= 1.0)


class AgeingTests(SynchronousTestCase):
    """From period to period."""

    def test_the_current_period_becomes_the_previous_one(self) -> None:
        """With the reputation that it ended with; its outcomes count no more, but are remembered in sum."""
        reputation = Reputation()
        reputation.advance(1.0)
        reputation.ok, reputation.nok = 15, 5
        ended = reputation.current()
        reputation.advance(PERIOD)
        self.assertEqual((reputation.previous, reputation.ok, reputation.nok), (ended, 0, 0))
        self.assertEqual(reputation.past, (15, 5, 0))

    def test_the_next_one_begins_a_third_nearer_to_the_initial_reputation(self) -> None:
        """From what the reputation of the node was when the period ended."""
        reputation = Reputation(0.9)
        reputation.advance(0.0)
        reputation.advance(PERIOD)
        self.assertAlmostEqual(reputation.initial, 0.9 - (0.9 - 0.45) / 3)

    def test_a_good_name_is_not_lived_on_for_long(self) -> None:
        """After a few idle periods hardly anything is left of it, nor of a bad one."""
        good, bad = Reputation(1.0), Reputation(0.0)
        for reputation in (good, bad):
            reputation.advance(0.0)
            self.assertAlmostEqual(reputation.value(20 * PERIOD), INITIAL, places=2)

    def test_periods_that_nobody_looked_at_are_made_up_for(self) -> None:
        """It is the same whether it was looked at in each period or only in the end."""
        for periods in (1, 2, 7, LONG, LONG + 1, 10**9):
            looked, not_looked = Reputation(1.0, ok=7), Reputation(1.0, ok=7)
            for number in range(min(periods, 2 * LONG) + 1):
                looked.value(number * PERIOD)
            not_looked.value(0.0)
            self.assertAlmostEqual(not_looked.value(periods * PERIOD), looked.value(periods * PERIOD), places=6)

    def test_an_outcome_counts_in_its_own_period(self) -> None:
        """The first one of a period ends those before it."""
        party = Rated()
        for now in (1.0, 2.0, PERIOD + 1, PERIOD + 2):
            if now >= party.reputation.until:
                party.reputation.advance(now)
            party.reputation.ok += 1
            if now >= party.reputation.until:
                party.counted(now)
        self.assertEqual((party.reputation.past[0], party.reputation.ok), (2, 2))

    def test_a_clock_that_stands_ages_nothing(self) -> None:
        """Nor does one that was read before another one."""
        reputation = Reputation(1.0)
        reputation.advance(100.0)
        reputation.advance(0.0)
        self.assertEqual(reputation.value(100.0), 1.0)

    def test_who_does_well_comes_to_the_top_and_who_does_not_to_the_bottom(self) -> None:
        """Within a few periods, wherever he began."""
        good, bad = Reputation(0.0), Reputation(1.0)
        for number in range(8):
            for reputation in (good, bad):
                reputation.advance(number * PERIOD)
            good.ok += 100
            bad.nok += 100
        self.assertEqual((good.value(7 * PERIOD), bad.value(7 * PERIOD)), (1.0, 0.0))

    def test_the_operator_sets_it(self) -> None:
        """What was before counts no more, what comes does."""
        reputation = Reputation()
        reputation.nok = 50
        reputation.set(0.9, now=5.0)
        self.assertAlmostEqual(reputation.value(5.0), 0.9)
        reputation.nok += 5
        self.assertLess(reputation.value(5.0), 0.9)


@attrs.frozen
class Behaviour:
    """What becomes of claims in one period."""

    ok: int
    nok: int
    neutral: int

    def worse(self, used: int, doubtful: int, more: int) -> Behaviour:
        """The same, but some of the claims were not used, doubtful ones too, and there are more of that kind."""
        used, doubtful = min(used, self.ok), min(doubtful, self.neutral)
        return Behaviour(self.ok - used, self.nok + used + doubtful + more, self.neutral - doubtful)


BEHAVIOURS = st.builds(Behaviour, COUNTS, COUNTS, COUNTS)


class BehaviourTests(SynchronousTestCase):
    """What is earned by what."""

    def earned(self, initial: float, behaviours: list[Behaviour]) -> float:
        """The reputation after so many periods."""
        reputation = Reputation(initial)
        for number, behaviour in enumerate(behaviours):
            reputation.advance(number * PERIOD)
            reputation.ok += behaviour.ok
            reputation.nok += behaviour.nok
            reputation.neutral += behaviour.neutral
        return reputation.value((len(behaviours) - 1) * PERIOD + 1)

    @given(SHARES, st.lists(st.tuples(BEHAVIOURS, COUNTS, COUNTS, COUNTS), min_size=1, max_size=6))
    def test_worse_behaviour_never_earns_more(
        self, initial: float, course: list[tuple[Behaviour, int, int, int]]
    ) -> None:
        """Whoever differs in that fewer of his claims are used, or that he makes more idle ones, stands no better."""
        better = self.earned(initial, [behaviour for behaviour, *_ in course])
        worse = self.earned(initial, [behaviour.worse(*change) for behaviour, *change in course])
        self.assertLessEqual(worse, better + 1e-12)

    @given(SHARES, SHARES, st.lists(BEHAVIOURS, min_size=1, max_size=6))
    def test_a_worse_beginning_never_earns_more(self, one: float, other: float, course: list[Behaviour]) -> None:
        """With the same outcomes, who began lower ends no higher."""
        low, high = sorted((one, other))
        self.assertLessEqual(self.earned(low, course), self.earned(high, course) + 1e-12)


REPUTATIONS = st.builds(
    Reputation, SHARES, SHARES, COUNTS, COUNTS, COUNTS, past=st.tuples(COUNTS, COUNTS, COUNTS), period=st.integers(0, 3)
)


class MergingTests(SynchronousTestCase):
    """Two that turn out to be one."""

    @given(REPUTATIONS, REPUTATIONS)
    def test_merging_is_commutative(self, one: Reputation, other: Reputation) -> None:
        """It is the same whichever takes the other in."""
        first, second = attrs.evolve(one), attrs.evolve(other)
        first.absorb(attrs.evolve(other), now=70.0)
        second.absorb(attrs.evolve(one), now=70.0)
        self.assertEqual(attrs.astuple(first), attrs.astuple(second))
        self.assertTrue(0.0 <= first.value(70.0) <= 1.0)

    @given(REPUTATIONS, REPUTATIONS)
    def test_outcomes_are_added_when_both_are_of_the_same_age(self, one: Reputation, other: Reputation) -> None:
        """All that were ever counted are there still."""
        total = one.weight + other.weight
        one.absorb(other, now=70.0)
        self.assertEqual(one.weight, total - 5)

    def test_who_is_known_for_little_changes_little(self) -> None:
        """A bad name is not washed clean by becoming one with a stranger, nor a good one lost."""
        for value in (0.0, 1.0):
            known = Reputation(value, past=(500, 500, 0))
            for _ in range(10):
                known.absorb(Reputation(), now=0.0)
            self.assertLess(abs(known.value(0.0) - value), 0.03)


class JournalTests(SynchronousTestCase):
    """Whose reputation changed."""

    def setUp(self) -> None:
        self.journal = Journal(2)

    def known(self) -> Rated:
        """Somebody who had a client."""
        return Rated(reputation=Reputation(ok=1), journal=self.journal)

    def test_it_has_whose_outcomes_changed(self) -> None:
        """Once, however many; and again after it was taken."""
        party = self.known()
        for now in (1.0, 2.0):
            self.assertEqual(now >= party.reputation.until, now == 1.0)
            party.counted(now)
        self.assertEqual(self.journal.take(9), [party])
        self.assertEqual((self.journal.take(9), party.reputation.until), ([], -math.inf))
        party.counted(3.0)
        self.assertEqual(self.journal.take(9), [party])

    def test_it_has_nobody_who_never_had_a_client(self) -> None:
        """He may be one of a million that do not exist."""
        stranger = Rated(journal=self.journal)
        stranger.counted(1.0)
        stranger.reputation.nok += 1
        self.assertEqual(len(self.journal), 0)
        stranger.reputation.ok += 1
        stranger.counted(2.0)
        self.assertEqual(len(self.journal), 1)

    def test_it_is_bounded(self) -> None:
        """Who has no room is noted with a later outcome."""
        parties = [self.known() for _ in range(3)]
        for party in parties:
            party.counted(1.0)
        self.assertEqual(self.journal.take(1), parties[:1])
        self.assertEqual(parties[2].reputation.until, -math.inf)
        parties[2].counted(1.0)
        self.assertEqual(self.journal.take(9), parties[1:])

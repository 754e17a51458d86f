"""Tests of what a group's word is worth."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.word import CREDIT_MOST, DOUBT_LEAST, DOUBT_MOST, Word, credit_most


class WordTests(SynchronousTestCase):
    """`Word`, by courses of outcomes."""

    def course(
        self, idle: float, *, unproven: bool, count: int = 1000, word: Word | None = None, since: float = 0.1
    ) -> Word:
        """A word after so many queries, 20 a second, of which a share had no client."""
        word, chance = word or Word(), random.Random(1)
        for number in range(count):
            self.outcome(word, idle=chance.random() < idle, unproven=unproven, now=since + number / 20)
        return word

    def outcome(self, word: Word, *, idle: bool, unproven: bool, now: float) -> None:
        """One query's."""
        if idle:
            word.broken(1.0, now - 0.01, now, unproven=unproven)
        else:
            word.kept(CREDIT_MOST, now - 0.01, now, unproven=unproven)

    def is_doubted(self, word: Word) -> bool:
        """Whether it was ever broken."""
        return word.doubted_until > 0.0

    def test_is_believed_when_few_clients_stay_away(self) -> None:
        """By chance several in a row do."""
        self.assertFalse(self.is_doubted(self.course(0.03, unproven=True)))

    def test_is_not_when_a_third_does(self) -> None:
        """Unless its own queries are like that."""
        self.assertTrue(self.is_doubted(self.course(0.33, unproven=True)))
        own = self.course(0.33, unproven=False)
        self.assertFalse(self.is_doubted(self.course(0.33, unproven=True, word=own)))
        self.assertTrue(self.is_doubted(self.course(0.97, unproven=True, word=own)))

    def test_its_own_queries_do_not_break_it(self) -> None:
        """However idle they are: they were its own, and are blamed as such."""
        self.assertFalse(self.is_doubted(self.course(1.0, unproven=False)))

    def test_the_doubt_is_longer_each_time_that_it_comes_back_soon(self) -> None:
        """Up to a minute; after a good while it begins anew."""
        word, now, lengths = Word(), 100.0, []
        for _ in range(8):
            while word.doubted_until <= now:
                self.outcome(word, idle=True, unproven=True, now=now)
            lengths.append(word.doubted_until - now)
            now = word.doubted_until
        self.assertEqual((lengths[:3], lengths[-1]), ([DOUBT_LEAST, 2 * DOUBT_LEAST, 4 * DOUBT_LEAST], DOUBT_MOST))
        now += 10 * DOUBT_MOST
        while word.doubted_until <= now:
            self.outcome(word, idle=True, unproven=True, now=now)
        self.assertAlmostEqual(word.doubted_until - now, DOUBT_LEAST)

    def test_the_doubt_ends_when_its_own_queries_are_seen_to_be_like_that(self) -> None:
        """Then challenges bring to light nothing but what it is; where they show another thing they go on."""
        for own, ends in ((0.33, True), (0.0, False)):
            word = self.course(0.33, unproven=True)
            word.doubted_until = 1000.0  # they were made before that
            self.course(own, unproven=False, count=200, word=word, since=100.0)
            self.assertEqual(word.doubted_until < 1000.0, ends)

    def test_a_doubt_by_chance_does_not_last(self) -> None:
        """Many of the first few unproven ones were idle; its own are, too, but fewer."""
        word = self.course(0.9, unproven=True, count=60)
        word.doubted_until = 1000.0
        self.course(0.33, unproven=False, count=200, word=word, since=100.0)
        self.assertLess(word.doubted_until, 1000.0)

    def test_an_outcome_counts_by_what_it_cost(self) -> None:
        """Ten of a tenth are one."""
        dear, cheap = Word(), Word()
        dear.broken(0.5, 0.0, 1.0, unproven=True)
        for _ in range(10):
            cheap.broken(0.05, 0.0, 1.0, unproven=True)
        self.assertAlmostEqual(dear.credit, cheap.credit)

    def test_in_a_large_pool_more_clients_speak_for_it(self) -> None:
        """One for each four addresses, and 40 at least."""
        self.assertEqual([credit_most(size) for size in (1, 160, 4000)], [40, 40, 1000])

    def test_what_a_bare_one_may_have_to_do_with_is_not_its_own(self) -> None:
        """The packets are the same: a claim may be idle since somebody else's query in its name had its client."""
        word = Word()
        for number in range(100):
            word.kept(CREDIT_MOST, number, number + 0.3, unproven=True)
            word.broken(1.0, number + 0.1, number + 0.6, unproven=False)
        self.assertEqual(word.own.value, 0.0)

"""Tests of how a resolver shows that it asks as often as its clients do."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.caution import ASSUMED, QUICKLY, SECOND, SHORT, TIMES
from realmgw.test.allocation.reputation.test_caution import new


class AskTests(SynchronousTestCase):
    """What no clock that counts seconds allows."""

    def test_who_asks_as_often_as_clients_do(self) -> None:
        """For one name three times within a second, more than once: no clock that counts seconds allows that."""
        caution = new()
        for _ in range(TIMES):
            self.assertFalse(caution.asks_each_time)
            caution.asked_again(0.0, SECOND, QUICKLY * 1.1)
            caution.asked_again(0.0, SECOND, QUICKLY / 2)
        self.assertTrue(caution.asks_each_time)
        self.assertEqual(caution.assumed, ASSUMED)

    def test_whose_clock_would_have_to_tick_at_different_times(self) -> None:
        """Who asks again soon, for whatever he was told, and no moment of the second lies in all of these times."""
        caution = new()
        for told in (10.1, 14.5, 17.8, 21.3):
            self.assertFalse(caution.asks_each_time)
            caution.asked_again(told, 0.2, 3 * SECOND)
        self.assertTrue(caution.asks_each_time)

    def test_by_tcp_once_is_enough(self) -> None:
        """There no answer is lost that would be asked for again."""
        caution = new()
        caution.asked_again(10.1, 0.2, 3 * SECOND, tcp=True)
        self.assertFalse(caution.asks_each_time)
        caution.asked_again(14.5, 0.2, 3 * SECOND, tcp=True)
        self.assertTrue(caution.asks_each_time)

    def test_longer_times_may_leave_two_moments(self) -> None:
        """Of 0.1 to 0.8 s and of 0.6 to 1.3 s, those are common that both begin and end with."""
        for tick, told in ((0.2, 20.45), (0.7, 20.95)):
            caution = new()
            for number in range(1, 40):
                caution.asked_again((10.1, 14.6)[number % 2], 0.7, 3 * SECOND, tcp=True)
                self.assertEqual(caution._quick, 0)
            caution.asked_again(tick + 30.9, 0.2, 3 * SECOND, tcp=True)  # when only it can tick
            self.assertEqual(caution._quick, 0)
            caution.asked_again(told, 0.2, 3 * SECOND, tcp=True)
            self.assertTrue(caution.asks_each_time)

    def test_not_whose_clock_may_have_ticked_each_time(self) -> None:
        """However often it is, and where the second begins; who asks later than soon says nothing."""
        for tick in (0.0, 0.1, 0.5, 0.95):
            caution = new()
            for number in range(1, 40):
                before, gap = number % 7 * 0.05, SHORT * 0.99 - number % 3 * 0.02
                caution.asked_again(5 * number + tick - min(before, gap), gap, 3 * SECOND)
                caution.asked_again(5 * number + tick + 0.1, 2 * SHORT, 3 * SECOND)
            self.assertFalse(caution.asks_each_time, tick)

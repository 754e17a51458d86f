"""When TCP is to come twice; the time is an argument."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.overload import CALM, FUTILE, GAP, LASTING, REFUSED, Overload

STEP = 0.02  # seconds
TAKEN = 10_000
"""Packets a second that are looked at."""


class OverloadTests(SynchronousTestCase):
    """A queue that is looked at each 20 ms, and counters that are read each second."""

    def setUp(self) -> None:
        self.overload = Overload()
        self.now, self.taken, self.answered = 100.0, 0, 0
        self.first = self.again = 0

    def lose(self, seconds: float, told: float = 0.01) -> bool:
        """Packets are lost all the time; returns whether TCP is to come twice by the end of it.

        Args:
            seconds: For how long.
            told: As many as that part of those that are looked at had been told to come.
        """
        begun, until = False, self.now + seconds
        while self.now < until and not begun:
            self.now += STEP
            self.taken += round(TAKEN * STEP)
            self.answered += round(TAKEN * STEP * told)
            begun = self.overload.lost(self.taken, self.answered, now=self.now)
        return begun

    def ask(self) -> None:
        """It stands."""
        self.assertTrue(self.lose(1.0))
        self.overload.began(self.first, self.again, now=self.now)

    def second(self, first: int, again: int) -> bool:
        """A second later, so many more have come; returns whether it is to end."""
        self.now += 1.0
        self.first, self.again = self.first + first, self.again + again
        return self.overload.looked(self.first, self.again, now=self.now)

    def test_a_burst_is_no_overload(self) -> None:
        """A queue that was full for a moment: those who were lost come again anyway, and nobody else is later."""
        self.assertFalse(self.lose(0.8 * LASTING))
        self.now += 2 * GAP
        self.assertFalse(self.lose(0.8 * LASTING))
        self.assertEqual(self.overload.begun, 0)

    def test_it_begins_when_packets_are_lost_all_the_time(self) -> None:
        """Once."""
        self.assertTrue(self.lose(1.0))
        self.assertTrue(self.overload.asks)
        self.assertFalse(self.lose(1.0))
        self.assertEqual(self.overload.begun, 1)

    def test_it_goes_on_while_a_flood_does(self) -> None:
        """None of it comes again."""
        self.ask()
        self.assertFalse(any(self.second(50_000, 100) for _ in range(100)))

    def test_it_ends_when_the_flood_has_passed(self) -> None:
        """Some seconds later; a pause of the flood is none."""
        self.ask()
        for _ in range(3):
            self.second(50_000, 100)
        self.assertFalse(any(self.second(100, 100) for _ in range(int(CALM) - 2)))
        self.assertFalse(any(self.second(50_000, 100) for _ in range(3)))
        ended = [self.second(100, 100) for _ in range(int(CALM) + 2)]
        self.assertEqual(ended.index(True), CALM)
        self.overload.ended(now=self.now)
        self.assertEqual((self.overload.asks, self.overload.futile), (False, 0))

    def test_the_next_flood_is_answered_as_soon(self) -> None:
        """After one that it was of use against."""
        self.test_it_ends_when_the_flood_has_passed()
        self.assertTrue(self.lose(1.0))

    def test_a_flood_that_could_be_looked_at_is_no_reason(self) -> None:
        """It spares less than half of what is looked at otherwise."""
        self.ask()
        self.second(50_000, 0)
        self.second(50_000, 0)
        self.assertTrue(any(self.second(TAKEN // 2 - 500, 0) for _ in range(int(CALM) + 2)))

    def test_a_crowd_that_was_told_to_come_is_not_asked(self) -> None:
        """However many it is; a flood beside a few of it is, also where a crowd was there before."""
        self.assertFalse(self.lose(10.0, told=1.0))
        self.assertFalse(self.lose(10.0, told=0.6))
        self.assertTrue(self.lose(1.0, told=0.3))

    def test_a_crowd_that_means_it_comes_again(self) -> None:
        """As many as that are, so it is of no use, and not tried again at once."""
        self.ask()
        self.assertFalse(self.second(30_000, 0))
        self.assertTrue(self.second(30_000, 29_000))
        self.overload.ended(now=self.now)
        self.assertEqual(self.overload.futile, 1)
        self.assertFalse(self.lose(FUTILE - STEP))
        self.assertTrue(self.lose(1.0))

    def test_a_crowd_after_a_flood_is_none(self) -> None:
        """What was of use is so no more."""
        self.test_it_ends_when_the_flood_has_passed()
        self.test_a_crowd_that_means_it_comes_again()

    def test_a_flood_of_other_protocols_is_not_answered(self) -> None:
        """What is lost are no SYNs: those who come by TCP would be the later for nothing."""
        self.ask()
        self.assertFalse(self.second(100, 0))
        self.assertTrue(self.second(100, 100))

    def test_a_table_that_was_placed_anew_counts_from_the_beginning(self) -> None:
        """What it has counted since is what has come."""
        self.first = 1_000_000
        self.ask()
        self.first = 0
        self.assertFalse(any(self.second(50_000, 10) for _ in range(10)))

    def test_who_is_held_up_looks_at_nothing(self) -> None:
        """A process that was stopped: little was taken, and what a machine takes at least is no overload."""
        self.now += STEP
        for _ in range(round(LASTING / STEP) + 2):
            self.now += STEP
            self.overload.lost(0, 0, now=self.now)
        self.overload.began(0, 0, now=self.now)
        self.second(400, 0)
        self.assertTrue(self.second(400, 0))

    def test_a_kernel_that_refuses_is_asked_again(self) -> None:
        """Not at once."""
        self.assertTrue(self.lose(1.0))
        self.overload.refused(now=self.now)
        self.assertFalse(self.lose(REFUSED - STEP))
        self.assertTrue(self.lose(1.0))

"""Tests for `realmgw.admission.backlog`."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.backlog import AFTER, EVERY, Backlog


class BacklogTests(SynchronousTestCase):
    """A queue that is followed; it is empty at 1.0."""

    def setUp(self) -> None:
        """`self.waiting` packets are in it, `self.lost` had no room; it is counted how often that was asked for."""
        self.waiting, self.lost, self.asked = 0, 0, 0
        self.backlog = Backlog(self.count)
        self.assertFalse(self.backlog.note(3, 1.0, more=False))

    def count(self) -> tuple[int, int]:
        """As the kernel tells."""
        self.asked += 1
        return self.waiting, self.lost

    def busy(self, begin: float, seconds: float) -> list[bool]:
        """Turns of 32 packets each, one each 4 ms: 8000 in a second."""
        return [self.backlog.note(32, begin + number * 0.004, more=True) for number in range(1, round(seconds / 0.004))]

    def test_packets_wait_as_long_as_it_takes_to_decide_about_those_before(self) -> None:
        """800 packets at 8000 a second are a tenth of a second."""
        self.waiting = 800
        self.assertIn(True, self.busy(1.0, 0.1))
        self.assertAlmostEqual(self.backlog.seconds, 0.1)

    def test_nobody_waits_when_the_queue_has_been_emptied(self) -> None:
        """And that is told once."""
        self.waiting = 800
        self.busy(1.0, 0.1)
        self.assertTrue(self.backlog.note(5, 1.2, more=False))
        self.assertFalse(self.backlog.note(5, 1.3, more=False))
        self.assertEqual(self.backlog.seconds, 0.0)

    def test_the_kernel_is_asked_now_and_then(self) -> None:
        """And not while the queue was empty a moment ago."""
        self.busy(1.0, AFTER)
        self.assertEqual(self.asked, 0)
        self.busy(1.0 + AFTER, 1.0)
        self.assertLessEqual(self.asked, 1.0 / EVERY)
        self.assertGreater(self.asked, 10)

    def test_it_is_seen_that_there_was_no_room_for_some(self) -> None:
        """While there are more and more, and when the queue is empty again; each loss once."""
        self.busy(1.0, 0.1)
        self.assertEqual(self.backlog.lost_at, -inf)
        self.lost = 3
        self.assertIn(True, self.busy(1.1, 0.1))
        self.assertTrue(1.1 <= self.backlog.lost_at <= 1.1 + 2 * EVERY)
        self.backlog.note(5, 1.3, more=False)
        self.assertFalse(self.backlog.note(32, 1.31, more=True))
        self.lost = 4
        self.assertTrue(self.backlog.note(5, 1.325, more=False))
        self.assertEqual(self.backlog.lost_at, 1.325)

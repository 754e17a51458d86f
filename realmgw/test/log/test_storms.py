"""Tests for `realmgw.log.storms`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.log.storms import KINDS, MOST, WINDOW, Storms, Untold


class StormsTests(SynchronousTestCase):
    """What is told again and again is written a few times, and then counted."""

    def setUp(self) -> None:
        """Nothing was told."""
        self.storms = Storms()
        self.written: list[str] = []

    def tell(self, text: str, *, kind: str = "k", now: float = 0.0, times: int = 1) -> None:
        """An event."""
        if self.storms.is_beyond(kind, text, now=now):
            return
        if not self.storms.is_again(kind, text, text, now=now, times=times):
            self.written.append(text)

    def test_equal_events_are_one_line_and_a_count(self) -> None:
        """The count comes when the minute is over, and once."""
        for _ in range(10_000):
            self.tell("no route")
        self.assertEqual(self.written, ["no route"])
        self.assertEqual(list(self.storms.over(now=WINDOW - 1)), [])
        self.assertEqual(list(self.storms.over(now=WINDOW)), [Untold("no route", "no route", 9_999)])
        self.assertEqual(list(self.storms.over(now=2 * WINDOW)), [])
        self.assertEqual(self.storms.held_back, 9_999)

    def test_what_is_no_cause_for_concern_is_written_a_few_times(self) -> None:
        """An operator who does something twice sees both."""
        for _ in range(5):
            self.tell("reload", times=3)
        self.assertEqual(len(self.written), 3)

    def test_events_of_one_kind_are_bounded(self) -> None:
        """However different their texts are; the others are counted together."""
        for number in range(10_000):
            self.tell(f"problem {number}")
        self.assertEqual(len(self.written), MOST)
        self.assertEqual(list(self.storms.over(now=WINDOW)), [Untold("problem 9999", None, 10_000 - MOST)])

    def test_begins_anew_after_the_window(self) -> None:
        """A storm that lasts is a line a minute."""
        for minute in range(3):
            self.tell("no route", now=minute * WINDOW)
            list(self.storms.over(now=(minute + 1) * WINDOW))
        self.assertEqual(self.written, ["no route"] * 3)

    def test_a_window_ends_whether_it_is_told_or_not(self) -> None:
        """Nobody is silenced for good; what was held back is told when somebody asks."""
        for minute in range(3):
            for _ in range(4):
                self.tell("no route", now=minute * WINDOW)
        self.assertEqual(self.written, ["no route"] * 3)
        told = list(self.storms.over(now=3 * WINDOW))
        self.assertEqual(told, [Untold("no route", "no route", 3)] * 3)
        for minute in range(3, 2 * KINDS):
            self.tell("no route", now=minute * WINDOW)
            self.tell("no route", now=minute * WINDOW)
        self.assertLessEqual(len(list(self.storms.over(now=3 * KINDS * WINDOW))), KINDS + 1)

    def test_kinds_do_not_hinder_each_other(self) -> None:
        """Until there are more of them than are remembered."""
        for number in range(KINDS + 5 * MOST):
            self.tell("no route", kind=str(number))
        self.assertEqual(len(self.written), KINDS + 1)
        self.assertLessEqual(len(self.storms._storms), KINDS + 1)

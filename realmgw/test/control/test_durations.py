"""Tests for `realmgw.control.durations`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.durations import duration


class DurationTests(SynchronousTestCase):
    """How long something took, or is yet to take."""

    def test_a_time_is_told_as_people_do(self) -> None:
        """By its two largest units."""
        found = [duration(seconds) for seconds in (0.5, 59, 61, 3600, 90061)]
        self.assertEqual(found, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "1 d 1 h"])

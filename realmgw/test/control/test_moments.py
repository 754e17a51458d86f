"""Tests for `realmgw.control.moments`."""

from __future__ import annotations

from datetime import datetime, timezone

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.moments import moment

NOW = datetime(2026, 3, 4, 10, 45, 30)  # noqa: DTZ001 - of this machine's zone, as operators write it
PRESENT = NOW.timestamp()


class MomentTests(SynchronousTestCase):
    """What is written becomes a time."""

    def test_is_so_long_ago_a_time_of_day_or_a_date(self) -> None:
        """A time of day is the last one, so it may have been yesterday's."""
        for text, wanted in (
            ("10m", datetime(2026, 3, 4, 10, 35, 30)),  # noqa: DTZ001
            ("10:40", datetime(2026, 3, 4, 10, 40)),  # noqa: DTZ001
            ("10:45:30", NOW),
            ("10:45:31", datetime(2026, 3, 3, 10, 45, 31)),  # noqa: DTZ001
            ("23:59", datetime(2026, 3, 3, 23, 59)),  # noqa: DTZ001
            ("2026-01-31T10:42", datetime(2026, 1, 31, 10, 42)),  # noqa: DTZ001
            ("2026-01-31T10:42:00Z", datetime(2026, 1, 31, 10, 42, tzinfo=timezone.utc)),
        ):
            self.assertEqual(moment(text, "since", PRESENT), wanted.timestamp(), text)

    def test_is_refused_where_it_is_none(self) -> None:
        """With the parameter's name."""
        for text in ("", "soon", "24:00", "10:4", "10:40:61", "2026-02-30", "5"):
            error = self.assertRaises(CommandError, moment, text, "until", PRESENT)
            self.assertEqual(error.status, ExitStatus.USAGE)
            self.assertIn(f"until: {text!r} is no time", str(error))

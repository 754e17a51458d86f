"""Tests for `realmgw.control.remedies`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.remedies import REMEDIES, remedy
from realmgw.errors import Reason


class RemedyTests(SynchronousTestCase):
    """What would have helped."""

    def test_every_reason_has_one(self) -> None:
        """A new one, too; counters have their names in small letters."""
        self.assertEqual(set(REMEDIES), set(Reason))
        for reason in Reason:
            self.assertEqual(remedy(reason.name.lower()), REMEDIES[reason])

    def test_what_is_no_reason_has_none(self) -> None:
        """Counters of another release, for example."""
        self.assertEqual(remedy("weather"), "")

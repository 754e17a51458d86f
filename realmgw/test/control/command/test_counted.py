"""Tests for `realmgw.control.command.counted`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.distribution import DELAY_BOUNDS, Distribution
from realmgw.control.command.counted import TOGETHER, texts


class TextTests(SynchronousTestCase):
    """What is said of a part's counters."""

    def said(self, found: dict[str, Any], *, every: bool = False) -> list[str]:
        """It."""
        return [text.replace(TOGETHER, " ") for text in texts(found, every=every)]

    def test_groups_within_groups(self) -> None:
        """Each by the names of all that it is in; where nothing happened, nothing is said."""
        found = {"claimed": 1, "ipv6": {"claimed": 0, "pinholes": {"claimed": 2, "refused": {"policy": 2}}}}
        self.assertEqual(self.said(found), ["claimed 1", "ipv6 pinholes: claimed 2"])
        self.assertEqual(self.said({"ipv6": {"kept": 0, "pinholes": {"refused": {"policy": 2}}}}), [])

    def test_every_one_of_them(self) -> None:
        """If they are wanted; refusals, too."""
        found = {"ipv6": {"kept": 0, "pinholes": {"refused": {"policy": 2}}}}
        self.assertEqual(self.said(found, every=True), ["ipv6: kept 0", "ipv6 pinholes refused: policy 2"])

    def test_times_are_told_by_their_average(self) -> None:
        """And how many there were."""
        delays = Distribution(DELAY_BOUNDS)
        self.assertEqual(self.said({"ipv6": {"delays": delays.counts()}}), [])
        self.assertEqual(self.said({"delays": delays.counts()}, every=True), ["delays: 0 times"])
        delays.share(0.25, 2)
        delays.come(0.125, 7, 1.0)
        self.assertEqual(self.said({"ipv6": {"delays": delays.counts()}}), ["ipv6 delays: 3 times, 125 ms on average"])

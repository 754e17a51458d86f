"""What groups of subscribers had since the recorder was begun, for monitoring systems. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from realmgw.records.record import Record
from realmgw.records.tables import LASTS

MOST = 100
"""So many groups are told apart; any number of names may be written in subscriber files."""
OTHERS = "(others)"
"""All groups beyond."""
COUNTED = ("flows", "octets_in", "octets_out")

Sums = dict[str, dict[str, int]]
"""By group, `COUNTED`."""


class Totals:
    """All groups.

    Attributes:
        by_group: What each had.
    """

    def __init__(self) -> None:
        self.by_group: Sums = {}

    def add(self, record: Record, before: Record | None) -> None:
        """Add up what a flow has carried.

        Args:
            record: It.
            before: What was told of it before: that is added up already.
        """
        _, octets_in, _, octets_out = record.since(before)
        for group in record.groups:
            sums = of(self.by_group, group)
            sums["flows"] += record.event != LASTS
            sums["octets_in"] += octets_in
            sums["octets_out"] += octets_out


def of(sums: Sums, group: str) -> dict[str, int]:
    """Where a group is added up."""
    name = group if group in sums or len(sums) < MOST else OTHERS
    return sums.setdefault(name, dict.fromkeys(COUNTED, 0))


def add(sums: Sums, more: Mapping[str, Mapping[str, int]]) -> Sums:
    """Sums, and more of them: those of recorders that were before, and of the one that is."""
    found = {group: dict(each) for group, each in sums.items()}
    for group, each in more.items():
        there = of(found, group)
        for name in COUNTED:
            there[name] += each[name]
    return found

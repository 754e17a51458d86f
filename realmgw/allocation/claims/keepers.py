"""Those who keep answers for long, and those who do not: who of either asked last."""

from __future__ import annotations

import math
from collections.abc import Iterator

from realmgw.allocation.reputation.group import Group
from realmgw.subscribers.model import CLAIM_LIFETIME

LONG = CLAIM_LIFETIME
"""Who keeps answers for longer than this (in seconds) has no more than a share of the addresses: for so long, anybody's
claim may stand. How slow his clients are besides does not count: of few, that is guessed, and those who come for what
was kept seem slower than they are."""
PRESENT = 10.0  # seconds
"""Those who do not keep answers count as present for so long after they asked."""
NAMED = 16
"""So many of those who keep answers can be named."""


class Keepers:
    """Those who asked last of all who keep answers for long, to be named."""

    def __init__(self) -> None:
        self._last: dict[Group, float] = {}

    def note(self, group: Group, now: float) -> None:
        """One of them asked, in monotonic seconds."""
        self._last.pop(group, None)  # so that it is put last
        self._last[group] = now
        if len(self._last) > NAMED:
            del self._last[next(iter(self._last))]

    def present(self, now: float) -> Iterator[Group]:
        """Those of whom it is believed still, the latest first."""
        for group in reversed(self._last):
            if keeps_long(group, now):
                yield group


class Modest:
    """Those who asked last of all who do not keep answers."""

    def __init__(self) -> None:
        self.latest: Group | None = None
        self.latest_at = self._others_at = -math.inf
        """When the latest one asked, in monotonic seconds."""

    def note(self, group: Group, now: float) -> None:
        """One of them asked."""
        if group is not self.latest:
            self.latest, self._others_at = group, self.latest_at
        self.latest_at = now

    def are_present(self, group: Group, now: float) -> bool:
        """Whether another group than this one asked a moment ago."""
        return now < PRESENT + (self._others_at if group is self.latest else self.latest_at)


def keeps_long(group: Group, now: float) -> bool:
    """Whether a group is known to keep answers for so long that its claims hold addresses against others."""
    return group.habits.keeps_answers and group.habits.window(0.0, now) > LONG

"""What follows from what a resolver asks soon after it was told something: it asks again, or it had only probed.

Some resolvers ask for the name above before they ask for a name, to tell as few servers as possible what they look for
(RFC 9156). Nobody comes for such a probe.
"""

from __future__ import annotations

import math
from typing import Any, Generic, Protocol, TypeVar

from realmgw.allocation.reputation.caution import ASSUMED

PROBED = 1.0  # seconds
"""Within this time after a probe was answered, the name below it is asked for."""
LEVELS = 2
"""So many labels are between a name and the one above that is looked for, at most."""

_NOTHING: dict[str, Any] = {}  # of those who were never told anything, who are many at times; it stays empty


class Probing(Protocol):
    """What a group was told; see `realmgw.allocation.state.Claim`."""

    created: float
    pending: bool


Answer = TypeVar("Answer", bound=Probing)


class Told(Generic[Answer]):
    """What a group was told last of each name, for at least `ASSUMED` seconds, and less than three times that."""

    __slots__ = ("_fewest", "_old", "_turn_at", "_young", "is_flat")

    def __init__(self) -> None:
        self._young: dict[str, Answer] = _NOTHING
        self._old: dict[str, Answer] = _NOTHING
        self._turn_at = -math.inf
        self._fewest = 0
        """No name that it was told lately has fewer dots, so there is none above such a one."""
        self.is_flat = True
        """All names that it was told lately have as many dots, so none is above another one; read only."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def note(self, name: str, claim: Answer, now: float) -> Answer | None:
        """The group is told something.

        Args:
            name: Where what leads.
            claim: Made for it, just now.
            now: The present, in monotonic seconds.

        Returns:
            For what it was told the same before, not long ago.
        """
        if now >= self._turn_at:
            self._old, self._young = self._young if now < self._turn_at + ASSUMED else {}, {}
            self._turn_at = now + ASSUMED
        before = self._young.get(name)
        if before is None:
            self._note_level(name)
            before = self._old.get(name)
        self._young[name] = claim
        return before

    def _note_level(self, name: str) -> None:
        """A name is the first one of late, or is told for the first time."""
        dots = name.count(".")
        if not self._young:
            self._fewest, self.is_flat = dots, True
        elif dots != self._fewest:
            self._fewest, self.is_flat = min(dots, self._fewest), False

    def last(self, name: str) -> Answer | None:
        """What the group was told last of a name, if that was not long ago."""
        return self._young.get(name) or self._old.get(name)

    def probe(self, name: str, now: float) -> Answer | None:
        """What the group was told about a name above a moment ago, if nobody has come for that.

        Args:
            name: What it asks for now.
            now: The present, in monotonic seconds.
        """
        if name.count(".") <= self._fewest:
            return None
        begin = 0
        for _ in range(LEVELS):
            begin = name.find(".", begin) + 1
            if begin in (0, len(name)):
                return None
            probe = self._young.get(name[begin:])
            if probe is not None:
                return probe if probe.pending and now - probe.created < PROBED else None
        return None

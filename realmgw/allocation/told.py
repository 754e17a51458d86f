"""What follows from what a resolver asks soon after it was told something: it asks again, or it had only probed.

Some resolvers ask for the name above before they ask for a name, to tell as few servers as possible what they look for
(RFC 9156). Nobody comes for such a probe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation.habits import ASSUMED

if TYPE_CHECKING:
    from realmgw.allocation.group import Group
    from realmgw.allocation.state import Claim, Reservation

PROBED = 1.0  # seconds
"""Within this time after a probe was answered, the name below it is asked for."""
LEVELS = 2
"""So many labels are between a name and the one above that is looked for, at most."""


class Told:
    """What each group was told last of each name, for at least `ASSUMED` seconds, less than three times that."""

    def __init__(self) -> None:
        self._young: dict[tuple[str, Group], Claim] = {}
        self._old: dict[tuple[str, Group], Claim] = {}
        self._turn_at = 0.0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def note(self, name: str, claim: Claim, now: float) -> bool:
        """A group is told; if it was told last, and not long ago, it is known how soon it asks again.

        Args:
            name: Where what leads.
            claim: Made for it, just now.
            now: The present, in monotonic seconds.

        Returns:
            Whether its group turned out to keep answers for less long than was known.
        """
        if now >= self._turn_at:
            self._old, self._young = self._young if now < self._turn_at + ASSUMED else {}, {}
            self._turn_at = now + ASSUMED
        key = name, claim.group
        before = self._young.get(key) or self._old.get(key)
        self._young[key] = claim
        if before is None:
            claim.group.habits.asked(now)
        if before is None or (claim.bare and claim.group.word.doubted_until > now):
            return False
        return claim.group.habits.asked_again(now - before.created, claim.group.patience, now)

    def last(self, name: str, group: Group) -> Reservation | None:
        """Where a group was told last that a name leads, if that was not long ago."""
        key = name, group
        claim = self._young.get(key) or self._old.get(key)
        return None if claim is None else claim.reservation

    def probe(self, claim: Claim, name: str, now: float) -> Claim | None:
        """What its group was told about a name above a moment ago, if nobody has come for that.

        Args:
            claim: For the name.
            name: It.
            now: The present, in monotonic seconds.
        """
        above = name
        for _ in range(LEVELS):
            above = above.partition(".")[2]
            probe = self._young.get((above, claim.group))
            if probe is not None:
                return probe if probe.pending and now - probe.created < PROBED else None
        return None

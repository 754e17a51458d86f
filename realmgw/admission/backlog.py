"""For how long first packets wait in the kernel's queue, while more come than can be decided.

A queue that is empty at the end of a turn makes nobody wait. Of one that is not for a while, the kernel tells how many
packets are in it; as long as it takes to decide about so many, those have waited about whom it is decided now. Nobody
is late who came in time and stood in that queue. The kernel also tells how many packets had no room there: whose was
among them sends it again, and is not late either.
"""

from __future__ import annotations

import math
from collections.abc import Callable

AFTER = 0.02  # seconds
"""A queue that was empty within that time is not looked at."""
EVERY = 0.02  # seconds
"""How often another one is."""


class Backlog:
    """Follows the turns of a queue.

    Args:
        look: Tells how many packets the kernel has for us, and how many it had no room for, ever.

    Attributes:
        seconds: For how long those had to wait that are decided now.
        lost_at: When it was seen last that there had been no room for some, in monotonic seconds.
    """

    def __init__(self, look: Callable[[], tuple[int, int]]) -> None:
        self._look = look
        self._empty_at = self._looked_at = self._counted_at = 0.0
        self._taken = 0
        self._lost = 0
        self.seconds = 0.0
        self.lost_at = -math.inf

    def note(self, taken: int, now: float, *, more: bool) -> bool:
        """Note a turn; returns whether `seconds` or `lost_at` are others now.

        Args:
            taken: How many packets it took.
            now: When it began, in monotonic seconds.
            more: Whether there may be more.
        """
        if not more:
            was_lost = self._taken > 0 and now - self._counted_at >= EVERY and self._count(now)[1]
            before, self.seconds = self.seconds, 0.0
            self._empty_at = self._looked_at = now
            self._taken = 0
            return was_lost or before > 0.0
        self._taken += taken
        elapsed = now - self._looked_at
        if now - self._empty_at < AFTER or elapsed < EVERY:
            return False
        self.seconds = self._count(now)[0] * elapsed / self._taken
        self._looked_at, self._taken = now, 0
        return True

    def _count(self, now: float) -> tuple[int, bool]:
        """How many packets wait, and whether there was no room for some since it was last looked."""
        waiting, lost = self._look()
        self._counted_at = now
        before, self._lost = self._lost, lost
        if lost > before:
            self.lost_at = now
        return waiting, lost > before

"""For how long first packets wait in the kernel's queue, while more come than can be decided.

A queue that is empty at the end of a turn makes nobody wait. Of one that is not for a while, the kernel tells how many
packets are in it; as long as it takes to decide about so many, those have waited about whom it is decided now. Nobody
is late who came in time and stood in that queue.
"""

from __future__ import annotations

from collections.abc import Callable

AFTER = 0.02  # seconds
"""A queue that was empty within that time is not looked at."""
EVERY = 0.02  # seconds
"""How often another one is."""


class Backlog:
    """Follows the turns of a queue.

    Args:
        waiting: How many packets the kernel has for us.

    Attributes:
        seconds: For how long those had to wait that are decided now.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._waiting = waiting
        self._empty_at = self._looked_at = 0.0
        self._taken = 0
        self.seconds = 0.0

    def note(self, taken: int, now: float, *, more: bool) -> bool:
        """Note a turn; returns whether `seconds` are others now.

        Args:
            taken: How many packets it took.
            now: When it began, in monotonic seconds.
            more: Whether there may be more.
        """
        if not more:
            before, self.seconds = self.seconds, 0.0
            self._empty_at = self._looked_at = now
            self._taken = 0
            return before > 0.0
        self._taken += taken
        elapsed = now - self._looked_at
        if now - self._empty_at < AFTER or elapsed < EVERY:
            return False
        self.seconds = self._waiting() * elapsed / self._taken
        self._looked_at, self._taken = now, 0
        return True

"""Lines that wait to be looked at: so many, and so many octets, at most. What does not fit is lost, and counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

MOST = 20_000
"""So many lines wait."""
MOST_OCTETS = 32 << 20
"""So many octets of them."""


class Backlog:
    """The lines, the oldest first.

    Attributes:
        lines: How many have come.
        lost: How many of them did not fit.
    """

    def __init__(self, most: int = MOST, most_octets: int = MOST_OCTETS) -> None:
        self._most, self._most_octets = most, most_octets
        self._waiting: deque[bytes] = deque()
        self._octets = 0
        self.lines = self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether it is no more than half full: who can wait, waits until then."""
        return 2 * len(self._waiting) <= self._most and 2 * self._octets <= self._most_octets

    def add(self, lines: Collection[bytes]) -> None:
        """Some more have come."""
        octets = self._octets + sum(map(len, lines))
        if len(self._waiting) + len(lines) <= self._most and octets <= self._most_octets:
            self._waiting.extend(lines)
            self.lines, self._octets = self.lines + len(lines), octets
            return
        for line in lines:  # not all of them fit
            self.lines += 1
            if len(self._waiting) >= self._most or self._octets + len(line) > self._most_octets:
                self.lost += 1
            else:
                self._octets += len(line)
                self._waiting.append(line)

    def take(self, most: int) -> list[bytes]:
        """The oldest, so many at most."""
        lines = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._octets -= sum(map(len, lines))
        return lines

    def clear(self) -> None:
        """Nobody will look at them: they are lost."""
        self.lost += len(self._waiting)
        self._waiting.clear()
        self._octets = 0

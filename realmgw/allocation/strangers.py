"""Who knocks everywhere: senders that come again and again where nobody expects anybody.

Of these it is not believed that they were asked for where they happen to come while somebody is expected, not even if
they are answered: whoever looks for open doors connects as well as any client does.
"""

from __future__ import annotations

import math

KNOCKS = 3
"""Who was refused so often is one; a client of old who tries his luck again may be so twice."""
GENERATION = 10.0  # seconds
"""Refusals are counted for at least so long, and less than twice as long."""
MOST = 16384
"""Of so many senders in a generation; in a flood of more it is of no use to know them."""


class Strangers:
    """How often senders were refused lately, by packed address."""

    def __init__(self) -> None:
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        self._turns_at = -math.inf

    def note(self, src: bytes, now: float) -> None:
        """Somebody came whom nobody expected; O(1)."""
        if now >= self._turns_at:
            self._old = self._young if now < self._turns_at + GENERATION else {}
            self._young, self._turns_at = {}, now + GENERATION
        young = self._young
        if src in young:
            young[src] += 1
        elif len(young) < MOST:
            young[src] = 1

    def __contains__(self, src: bytes) -> bool:
        """Whether a sender is one of them, as far as was noted."""
        return self._young.get(src, 0) + self._old.get(src, 0) >= KNOCKS

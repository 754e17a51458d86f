"""Who knocks everywhere: senders that came to several addresses where nobody expected them.

Of these it is not believed that they were asked for where they happen to come while somebody is expected, not even if
they are answered: whoever looks for open doors connects as well as any client does. A client of old who tries his luck
again comes to the one address that he was told.
"""

from __future__ import annotations

import math

GENERATION = 10.0  # seconds
"""Senders are remembered for at least so long, and less than twice as long."""
MOST = 16384
"""So many of them in a generation; in a flood of more it is of no use to know them."""
_EVERYWHERE = b""


class Strangers:
    """Where senders were refused lately, by packed address."""

    def __init__(self) -> None:
        self._young: dict[bytes, bytes] = {}
        self._old: dict[bytes, bytes] = {}
        self._turns_at = -math.inf

    def note(self, src: bytes, dst: bytes, now: float) -> None:
        """A sender was refused at an address; O(1)."""
        if now >= self._turns_at:
            self._old = self._young if now < self._turns_at + GENERATION else {}
            self._young, self._turns_at = {}, now + GENERATION
        young = self._young
        before = young.get(src) if src in young else self._old.get(src, dst)
        if src in young or len(young) < MOST:
            young[src] = dst if before == dst else _EVERYWHERE

    def __contains__(self, src: bytes) -> bool:
        """Whether a sender is one of them, as far as was noted."""
        return self._young.get(src) == _EVERYWHERE or self._old.get(src) == _EVERYWHERE

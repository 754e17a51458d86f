"""How many may come within a moment, where so many may within a second: a token bucket without a timer."""

from __future__ import annotations

import math
from typing import ClassVar

import attrs


@attrs.define(eq=False)
class Pace:
    """Who comes here. Compared by identity."""

    BURST: ClassVar[float] = 0.1  # seconds
    """What may come during that time, may come at once if nobody came before."""

    tokens: float = math.inf
    """So many may come at once."""
    at: float = 0.0
    """When that was so, in monotonic seconds."""

    def room(self, rate: float, now: float) -> float:
        """How many may come at present, where `rate` of them may within a second."""
        return min(rate * self.BURST, self.tokens + (now - self.at) * rate)

    def enter(self, rate: float, now: float) -> None:
        """One of them comes."""
        self.tokens, self.at = self.room(rate, now) - 1, now

    def leave(self) -> None:
        """One of them does not count any more."""
        self.tokens += 1

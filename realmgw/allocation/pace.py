"""How many may come within a moment, where so many may within a second: token buckets without a timer."""

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
        """How many may come at present, where `rate` of them may within a second: one at least, if none came before."""
        return min(max(1.0, rate * self.BURST), self.tokens + (now - self.at) * rate)

    def enter(self, rate: float, now: float) -> None:
        """One of them comes."""
        self.tokens, self.at = self.room(rate, now) - 1, now


@attrs.define(eq=False)
class Lost:
    """The claims of a group that nobody has used, or not yet: each is taken out of a bucket. Compared by identity."""

    tokens: float = math.inf
    """So many may be made, and be lost."""
    at: float = 0.0
    """When that was so, in monotonic seconds."""
    most: float = math.inf
    """So many might be under way then."""

"""A trial whether a resolver waits for its answers: it is told nothing of a name for a while."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from realmgw.allocation.flow import Flow
    from realmgw.allocation.reputation.seen import Place

ANSWERED, LOOK_AGAIN = 0.5, 0.01  # seconds
"""After so long it is known of somebody whether he was answered; until then, it is looked again after so long."""


@attrs.define(eq=False)
class Trial:
    """A group is told nothing of a name for a while."""

    place: Place
    """Where it was told last that this is."""
    since: float
    """From when on, in monotonic seconds."""
    ends: float
    """Until when, likewise."""
    weight: float
    """That nobody comes counts as so many times."""
    kept_until: float
    """Who comes by then, likewise, may have been told what it kept for a second before."""
    came: list[Flow] = attrs.field(factory=list)
    """Who was let in meanwhile, and is answered, if he is a client."""
    came_at: float = -math.inf
    """When the last of them came, in monotonic seconds."""
    look_at: float = -math.inf
    """From when on it is looked again whether one was answered, likewise."""
    stood: bool | None = None
    """Whether the address was that of the name still when it ended; None: it has not ended."""

    def note(self, flow: Flow, now: float) -> None:
        """Somebody was let in, at a time in monotonic seconds."""
        self.came.append(flow)
        self.came_at = now

    def is_over(self, now: float) -> bool:
        """Whether it has ended, and is known of everybody who came whether he was answered; `look` is called before."""
        return self.stood is not None and (not self.came or now >= self.came_at + ANSWERED)

    def look(self, is_answered: Callable[[Flow], bool], now: float) -> bool:
        """See whether it has ended, and so the address is free for others.

        Returns:
            Whether anybody was answered who came; that is looked for now and then, and when it is over.
        """
        if now >= self.ends and self.stood is None:
            self.stood, self.place.trial = self.place.stands, None
        if not self.came or (now < self.look_at and not self.is_over(now)):
            return False
        self.look_at = now + LOOK_AGAIN
        return any(map(is_answered, self.came))

    def leave(self) -> None:
        """It is given up, or over."""
        if self.stood is None:  # else another one may be tried there
            self.place.trial = None

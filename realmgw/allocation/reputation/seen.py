"""What is seen of a resolver while it is tried whether it keeps answers: how often it asks, when its clock ticks."""

from __future__ import annotations

import attrs

UNSTEADY = 0.02  # seconds
"""Its clock is somewhat unsteady."""


@attrs.define(eq=False)
class Seen:
    """What was seen of a resolver group while it was looked at."""

    again: int = 0
    """So often it asked for something that it had asked for a moment before, in this time."""
    all: int = 0
    """Likewise, since it is looked at."""
    crowded: int = 0
    """So often somebody had just come where it was to be tried."""
    asked: dict[str, float] = attrs.field(factory=dict)
    """When it had to wait last, in monotonic seconds, by name; `Caution` bounds them."""
    ticks: tuple[float, float] | None = None
    """Its clock ticks within so long after that, or whole seconds later."""
    weight: float = 1.0
    """That it waits in the present trial counts as so many times."""

    def may_have_ticked(self, told: float, gap: float) -> bool:
        """Whether there is a moment of the second at which its clock may have ticked then, as before; it is noted.

        Args:
            told: When it was told something, in monotonic seconds.
            gap: So many seconds later it asked again.
        """
        begin, length = told - UNSTEADY, gap + 2 * UNSTEADY
        before, lasts = self.ticks or (begin, length)
        after = (begin - before) % 1.0
        if after < lasts:
            self.ticks = begin, min(length, lasts - after)
        elif after + length > 1.0:
            self.ticks = before, min(lasts, after + length - 1.0)
        else:
            self.ticks = None
        return self.ticks is not None

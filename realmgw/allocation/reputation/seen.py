"""What is seen of a resolver while it is tried whether it keeps answers: how often it asks, when its clock ticks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow
    from realmgw.subscribers.model import Service

MOST = 64
"""Of so many names it is known when it had to wait, or did not any more."""
REPEATED = 2.0  # seconds
"""For so long after that, a resolver may only ask once more, for no other client."""
UNSTEADY = 0.02  # seconds
"""Its clock is somewhat unsteady."""


Arc = tuple[float, float]
"""A part of each second: when it begins (0 to 1, in monotonic seconds), and for how long it lasts (likewise)."""
ALWAYS: tuple[Arc, ...] = ((0.0, 1.0),)
ARCS = 4
"""A clock may tick in so many parts of a second, at most: what would make more of them is passed over."""


@attrs.define(eq=False)
class Seen:
    """What was seen of a resolver group while it was looked at."""

    again: int = 0
    """So often it asked for something that it had asked for a moment before, in this time."""
    all: int = 0
    """Likewise, since it is looked at."""
    crowded: int = 0
    """So often somebody had just come where it was to be tried."""
    ticks: tuple[Arc, ...] = ALWAYS
    """When its clock may tick: in any of these parts of a second."""
    _waited: dict[str, float] = attrs.field(factory=dict)
    _hung_up: dict[str, float] = attrs.field(factory=dict)

    def waits_for(self, name: str, now: float) -> None:
        """It asked for a name, and has to wait."""
        _note(self._waited, name, now)

    def had_to_wait(self, name: str, since: float, now: float) -> bool:
        """Whether it had to wait for a name lately, and was not told since then, in monotonic seconds."""
        return self._waited.get(name, -math.inf) > max(since, now - REPEATED)

    def hung_up(self, name: str, now: float) -> None:
        """It asked for a name, and did not wait until it was told."""
        _note(self._hung_up, name, now)

    def repeats(self, name: str, asked: float) -> bool:
        """Whether it asks once more what it did not wait for. That is forgotten then: the next question is a new one.

        Args:
            name: For what.
            asked: When, in monotonic seconds.
        """
        hung_up = self._hung_up.get(name, -math.inf)
        if asked < hung_up:
            return False
        self._hung_up.pop(name, None)
        return asked - hung_up < REPEATED

    def may_have_ticked(self, told: float, gap: float) -> bool:
        """Whether there is a moment of the second at which its clock may have ticked then, as before; it is noted.

        Args:
            told: When it was told something, in monotonic seconds.
            gap: So many seconds later it asked again, less than one.
        """
        between = (told - UNSTEADY) % 1.0, gap + 2 * UNSTEADY
        ticks = [each for one in self.ticks for each in _common(one, between)]
        if len(ticks) <= ARCS:
            self.ticks = tuple(ticks)
        if not ticks:
            self.ticks = ALWAYS
        return bool(ticks)


def _common(one: Arc, other: Arc) -> Iterator[Arc]:
    """What two parts of the second have in common: up to two, since a second ends where the next one begins."""
    begin, length = one
    after = (other[0] - begin) % 1.0
    if after < length:
        yield other[0], min(other[1], length - after)
    if after + other[1] > 1.0:
        yield begin, min(length, after + other[1] - 1.0)


class Watcher(Protocol):
    """Is told who comes; see `realmgw.allocation.reputation.habits.Habits`."""

    def came(self, flow: Flow, claimed: float, now: float, *, known: bool, let_in: bool, forged: bool) -> None: ...


class Place(Protocol):
    """Where a group was told that a service is; see `realmgw.allocation.state.Reservation`."""

    service: Service
    trial: Watcher | None
    stray_at: float

    @property
    def stands(self) -> bool: ...


def _note(times: dict[str, float], name: str, now: float) -> None:
    if len(times) >= MOST:
        times.clear()
    times[name] = now

"""What is told over a while: a source tells values one after the other, and whoever has asked follows it to its end.

A source never waits for its reader, and makes nothing that nobody takes: in each `PERIOD` it makes so many values as
there is `Stream.room` for, and tells how many it has left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Value = Any
"""What JSON has."""
PERIOD = 0.5  # seconds
"""So often there is room anew."""
ROOM = 1000
"""So many values are taken in a period by who does not say otherwise."""
BEFORE = 1000
"""So many values are kept at most that are told before anybody follows."""


class Stream:
    """Values that come one after the other.

    Args:
        stop: Called when whoever follows has gone; the source ends it then, or has ended it.

    Attributes:
        is_over: Whether no more will come.
        room: So many values are taken in each period by whoever follows; he says so, 0 while he takes none.
    """

    def __init__(self, stop: Callable[[], object] = lambda: None) -> None:
        self.stop = stop
        self._before: list[Value] = []
        self._tell: Callable[[Value], object] | None = None
        self._ended: Callable[[], object] = lambda: None
        self.is_over = False
        self.room = ROOM

    def tell(self, value: Value) -> None:
        """By the source: one more."""
        if self._tell is not None:
            self._tell(value)
        elif len(self._before) < BEFORE:
            self._before.append(value)

    def leave_out(self, count: int | None) -> None:
        """By the source: so many were not made into values, for want of room; None: nobody knows how many."""
        self.tell({"left_out": count})

    def end(self) -> None:
        """By the source: there are no more."""
        self.is_over = True
        self._ended()

    def follow(self, tell: Callable[[Value], object], ended: Callable[[], object]) -> None:
        """By whoever asked: what has come before comes at once.

        Args:
            tell: Called with each value.
            ended: Called when there are no more.
        """
        before, self._before, self._tell, self._ended = self._before, [], tell, ended
        for each in before:
            tell(each)
        if self.is_over:
            ended()

"""Storms: what is told again and again is written a few times, and then counted.

Two bounds hold within a window of a minute. The same text is written once (what is no cause for concern: a few times),
and how often it came again is told at the window's end. Of one kind - the same place in the code, whatever its text has
in its holes - so many lines are written, and the others are counted. Both memories are bounded: kinds beyond theirs
share one entry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator

import attrs

WINDOW = 60.0  # seconds
"""From the first event of a kind on, its events are counted together for so long."""
MOST = 30
"""So many lines of one kind are written within a window."""
KINDS = 500
"""So many kinds have entries of their own."""


@attrs.define(eq=False)
class Storm:
    """What came of one kind within its window."""

    ends: float
    """When the window ends, in monotonic seconds."""
    told: dict[str, int] = attrs.Factory(dict)
    """How often each text was told, by the text."""
    lines: int = 0
    """How many lines were written."""
    again: dict[str, int] = attrs.Factory(dict)
    """How often each text was told and not written."""
    beyond: int = 0
    """Further events, whose texts are not known."""
    last: object = None
    """What the last one was, as it was told."""


@attrs.frozen
class Untold:
    """Events that were counted instead of written."""

    last: object
    """What the last one was, as it was told."""
    text: str | None
    """What all of them said; None: they said different things."""
    count: int
    """How many."""


class Storms:
    """Decides which events are written.

    Attributes:
        held_back: How many were counted instead.
    """

    def __init__(self) -> None:
        self._storms: dict[Hashable, Storm] = {}
        self._ended = deque[Storm](maxlen=KINDS)
        self.held_back = 0

    def is_beyond(self, kind: Hashable, event: object, *, now: float) -> bool:
        """Whether an event is one too many of its kind, so that its text need not even be made.

        Args:
            kind: What it has in common with others.
            event: It.
            now: Monotonic seconds.
        """
        storm = self._of(kind, now)
        if storm.lines < MOST:
            return False
        storm.beyond += 1
        storm.last = event
        self.held_back += 1
        return True

    def is_again(self, kind: Hashable, event: object, text: str, *, now: float, times: int = 1) -> bool:
        """Whether an event's text was written often enough; if not, it will be.

        Args:
            kind: What it has in common with others.
            event: It.
            text: What it says.
            now: Monotonic seconds.
            times: How often the same text is written within a window.
        """
        storm = self._of(kind, now)
        told = storm.told.get(text, 0)
        storm.told[text] = told + 1
        storm.last = event
        if told < times:
            storm.lines += 1
            return False
        storm.again[text] = storm.again.get(text, 0) + 1
        self.held_back += 1
        return True

    def over(self, *, now: float) -> Iterator[Untold]:
        """What was held back within windows that are over by now; it is told once."""
        for kind in [kind for kind, storm in self._storms.items() if storm.ends <= now]:
            self._ended.append(self._storms.pop(kind))
        while self._ended:
            storm = self._ended.popleft()
            yield from (Untold(storm.last, text, count) for text, count in storm.again.items())
            if storm.beyond:
                yield Untold(storm.last, None, storm.beyond)

    def _of(self, kind: Hashable, now: float) -> Storm:
        storm = self._storms.get(kind)
        if (
            storm is not None and storm.ends <= now
        ):  # whoever tells what was held back is late; that it is, silences nobody
            self._ended.append(self._storms.pop(kind))
            storm = None
        if storm is None:
            if len(self._storms) >= KINDS:
                kind = None
            storm = self._storms.setdefault(kind, Storm(now + WINDOW))
        return storm

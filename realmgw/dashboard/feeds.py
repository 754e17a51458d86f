"""What is told as it happens, flows and decisions, kept for a second for all pages that are open. Edge: Twisted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from realmgw.control.streaming import Stream

ROOM, FEW = 25, 10
"""So many are told in each of a stream's periods, or where they are a small part of all; of others, how many there were
at most."""
MANY = 500
"""Where more than so many a second are not told, those that are are a small part."""
AT_ONCE = 100
"""So many are kept until pages are told."""

Do = Callable[[str, Mapping[str, str]], Any]
"""Does a command: see `realmgw.control.gateway.Gateway.do`."""
Row = Mapping[str, Any]
"""Something that has happened."""


class Feed:
    """Follows a command that tells over a while, as long as anybody looks.

    Args:
        do: Does commands.
        command: It, with what it is told.
        most: So many are remembered, for pages that are opened later.

    Attributes:
        lost: How many no page was told of, at least: where the source does not know how many that were, it counts as 1.
        recent: The latest.
        untold: Why nothing is told; empty: it is.
    """

    def __init__(self, do: Do, command: tuple[str, Mapping[str, str]], most: int) -> None:
        self.lost = 0
        self._do, self._command = do, command
        self.recent: deque[Row] = deque(maxlen=most)
        self.untold = ""
        self._new: list[Row] = []
        self._missing = 0
        self._asked: Deferred[Any] | None = None
        self._stream: Stream | None = None

    def begin(self) -> None:
        """Follow it from now on, if that can be; nothing happens where it is followed already."""
        if self._asked is None:
            self._asked = asked = maybeDeferred(self._do, *self._command)
            asked.addCallbacks(self._follow, self._refused, callbackArgs=(asked,), errbackArgs=(asked,))

    def end(self) -> None:
        """Nobody looks any more; all is forgotten."""
        asked, self._asked = self._asked, None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
        elif asked is not None:
            asked.addCallback(lambda late: late and late.stop())
        self.recent.clear()
        self._new, self._missing, self.untold = [], 0, ""

    def take(self) -> tuple[list[Row], int]:
        """What is new since this was called last, and how many more there were."""
        new, self._new = self._new, []
        missing, self._missing = self._missing, 0
        if self._stream is not None:
            self._stream.room = FEW if missing > MANY else ROOM
        self.recent.extend(new)
        return new, missing

    def _follow(self, stream: Stream, asked: Deferred[Any]) -> Stream | None:
        if asked is not self._asked:  # nobody looks any more, or what somebody has asked for since is to come
            return stream
        self._stream, self.untold, stream.room = stream, "", ROOM
        stream.follow(self._hear, lambda: None)
        return None

    def _refused(self, failure: Failure, asked: Deferred[Any]) -> None:
        if asked is self._asked:
            self._asked, self.untold = None, failure.getErrorMessage()

    def _hear(self, row: Row) -> None:
        if "left_out" in row or len(self._new) >= AT_ONCE:
            missing = row.get("left_out") or 1
            self._missing += missing
            self.lost += missing
        else:
            self._new.append(row)

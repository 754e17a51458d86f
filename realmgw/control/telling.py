"""What is told over a while, as the control interface sends it: a line of JSON for each value (application/x-ndjson).

Nothing waits for a slow reader: while he does not read the source has no room, what it tells all the same is left out,
and he is told how much that was. Only what came before he did, which is bounded (`realmgw.control.streaming`), is kept
until he takes it. Between the values there are empty lines, so that a
reader can tell a gateway that has nothing to say from one that says nothing any more. An answer is complete (it has the
last chunk of HTTP) when its source has ended; that of a gateway that goes before is cut.

Edge: HTTP, the reactor's timers.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server has no types.)

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.web.server import Request
from zope.interface import implementer

from realmgw.control.streaming import ROOM, Stream

PULSE = 1.0  # seconds
"""How often there is an empty line."""


class Telling:
    """All that is told over a while at present.

    Args:
        reactor: Its clock.

    Attributes:
        told: How many values were told.
        lost: How many were not, since whoever asked did not read.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._readers: set[_Reader] = set()
        self.told = 0
        self.lost = 0

    def begin(self, request: Request, stream: Stream, *, is_gone: bool) -> None:
        """Tell all that a source has.

        Args:
            request: Who wants to know.
            stream: The source.
            is_gone: Whether he has gone meanwhile.
        """
        if is_gone:
            stream.stop()
            return
        reader = _Reader(request, stream, self)
        self._readers.add(reader)
        reader.begin(self._reactor)

    def stop(self) -> None:
        """Tell nobody any more: who was not told all has an answer that is cut."""
        for each in tuple(self._readers):
            each.leave()
            each.cut()

    def forget(self, reader: _Reader) -> None:
        """He has heard all, or has gone."""
        self._readers.discard(reader)


@implementer(IPushProducer)
class _Reader:
    """Somebody who is told."""

    def __init__(self, request: Request, stream: Stream, telling: Telling) -> None:
        self._request = request
        self._stream = stream
        self._telling = telling
        self._is_slow = self._is_over = self._is_gone = False
        self._is_beginning = True
        self._before = deque[Any]()
        self._left_out = 0
        self._pulse = LoopingCall(self._beat)

    def begin(self, reactor: Any) -> None:
        """With the head of the answer: whoever reads it knows that it has begun."""
        request = self._request
        request.notifyFinish().addErrback(lambda _: self._went())
        request.setHeader(b"content-type", b"application/x-ndjson")
        request.registerProducer(self, True)
        request.write(b"\n")
        self._pulse.clock = reactor
        self._pulse.start(PULSE, now=False)
        self._stream.follow(self._tell, self._ended)
        self._is_beginning = False

    def pauseProducing(self) -> None:
        """He does not read."""
        self._is_slow = True
        self._stream.room = 0

    def resumeProducing(self) -> None:
        """He reads again, and is told how much he has missed."""
        self._is_slow = False
        while self._before and not self._is_slow:
            self._tell(self._before.popleft())
        if self._is_slow:
            return
        self._stream.room = ROOM
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            self._write({"left_out": left_out})
        if self._is_over:
            self.finish()

    def stopProducing(self) -> None:
        """His connection is gone."""
        self._went()

    def leave(self) -> None:
        """He has gone, or is told nothing any more."""
        if self._pulse.running:
            self._pulse.stop()
        self._telling.forget(self)
        if not self._is_over:
            self._is_over = True
            self._stream.stop()

    def finish(self) -> None:
        """Nothing more comes: the answer is complete."""
        self._end(self._request.finish)

    def cut(self) -> None:
        """More would have come: the answer is not complete."""
        self._end(self._request.loseConnection)

    def _end(self, end: Callable[[], object]) -> None:
        if not self._is_gone:
            self._is_gone = True
            self._request.unregisterProducer()
            end()

    def _went(self) -> None:
        self._is_gone = True
        self.leave()

    def _tell(self, value: Any) -> None:
        if self._is_gone:
            return
        if self._is_slow and self._is_beginning:
            self._before.append(value)
        elif self._is_slow:
            count = (value.get("left_out", 1) if isinstance(value, dict) else 1) or 1
            self._left_out += count
            self._telling.lost += count
        else:
            self._telling.told += 1
            self._write(value)

    def _write(self, value: Any) -> None:
        self._request.write(json.dumps(value).encode() + b"\n")

    def _beat(self) -> None:
        if not self._is_slow:
            self._request.write(b"\n")

    def _ended(self) -> None:
        """The source has no more."""
        self._is_over = True
        self.leave()
        if not self._is_slow:
            self.finish()

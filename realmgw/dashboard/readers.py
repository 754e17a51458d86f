"""Pages that are open, and are told what goes on: server-sent events (WHATWG HTML, section 9.2).

Nothing waits for a slow reader. A snapshot that he does not take is left out, since the next one says it all anew; of
flows he is told how many he has missed. Who takes nothing for `PATIENCE` seconds is cut.

Edge: HTTP.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server, and its failures, have no types.)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from realmgw.system.http import ShortRequest

PATIENCE = 30.0  # seconds
"""For so long a reader may take nothing."""
RETRY = 2000  # milliseconds
"""After so long a browser comes again that was cut off."""


@implementer(IPushProducer)
class Reader:
    """Somebody who looks.

    Args:
        request: His.
        may: Whether he still may.
        gone: Called once, when he is no reader any more.

    Attributes:
        missed: How many flows, and decisions, he was not told of.
    """

    def __init__(self, request: ShortRequest, may: Callable[[], bool], gone: Callable[[Reader], object]) -> None:
        self._request = request
        self._gone = gone
        self._slow_since: float | None = None
        self._is_slow = self._is_over = False
        self.may = may
        self.missed: Counter[str] = Counter()

    def begin(self, fields: tuple[tuple[str, str], ...]) -> None:
        """With the head of the answer.

        Args:
            fields: Of it.
        """
        request = self._request
        request.channel.lasts()
        request.notifyFinish().addErrback(lambda _: self._leave())
        request.setResponseCode(HTTPStatus.OK.value)
        for name, value in (("Content-Type", "text/event-stream; charset=utf-8"), *fields):
            request.responseHeaders.setRawHeaders(name, [value])
        request.registerProducer(self, True)
        request.write(f"retry: {RETRY}\n\n".encode())

    def pauseProducing(self) -> None:
        """He does not read."""
        self._is_slow = True

    def resumeProducing(self) -> None:
        """He reads again."""
        self._is_slow, self._slow_since = False, None

    def stopProducing(self) -> None:
        """His connection is gone."""
        self._leave()

    def tell(self, octets: bytes) -> bool:
        """Tell him events.

        Args:
            octets: As `event` makes them.

        Returns:
            Whether he takes them.
        """
        if self._is_over or self._is_slow:
            return False
        self._request.write(octets)
        return True

    def is_stuck(self, now: float) -> bool:
        """Whether he has taken nothing for too long; to be asked now and then.

        Args:
            now: Monotonic seconds.
        """
        if self._is_slow and self._slow_since is None:
            self._slow_since = now
        return self._slow_since is not None and now - self._slow_since > PATIENCE

    def end(self, why: str) -> None:
        """He is told nothing more, and why; his page does not come again by itself. Who does not read is cut."""
        if self._is_over:
            return
        if self._is_slow:
            self.cut()
            return
        channel = self._request.channel
        self._request.write(event("over", why))
        self._leave()
        self._request.unregisterProducer()
        self._request.finish()
        channel.ends()

    def cut(self) -> None:
        """His connection ends at once; his page may come again."""
        self._leave()
        self._request.channel.cut()

    def _leave(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._gone(self)


def event(name: str, value: Any) -> bytes:
    """An event.

    Args:
        name: Of it.
        value: What it tells, for JSON.
    """
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))

"""What is done for many at once, and no sooner again than it was done. Edge: the reactor's timers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Gathering:
    """Packed addresses, for which something is done together.

    The timer is set again only when it was done for those before: what is slow has larger batches, not more of them.

    Args:
        do: Does it for a batch; its Deferred does not fail.
        clock: The reactor.
        interval: For so long after the first one others are waited for, in seconds.

    Attributes:
        waiting: Those for which it is done next.
    """

    def __init__(self, do: Callable[[set[bytes]], Deferred[Any]], clock: IReactorTime, interval: float) -> None:
        self.waiting: set[bytes] = set()
        self._do = do
        self._clock = clock
        self._interval = interval
        self._timer: IDelayedCall | None = None
        self._is_doing = False

    def add(self, addresses: Iterable[bytes]) -> None:
        """It is to be done for these as well. Cheap."""
        self.waiting.update(addresses)
        self._arm()

    def stop(self) -> None:
        """It is done for nobody who waits."""
        self.waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self.waiting and self._timer is None and not self._is_doing:
            self._timer = self._clock.callLater(self._interval, self._begin)

    def _begin(self) -> None:
        batch, self.waiting = self.waiting, set()
        self._timer, self._is_doing = None, True
        self._do(batch).addBoth(self._done)

    def _done(self, result: object) -> object:
        self._is_doing = False
        self._arm()
        return result

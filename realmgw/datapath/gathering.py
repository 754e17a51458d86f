"""What is done for many at once, and no sooner again than it was done. Edge: the reactor's timers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

T = TypeVar("T", bound=Hashable)


class Gathering(Generic[T]):
    """Addresses and the like, for which something is done together.

    The timer is set again only when it was done for those before: what is slow has larger batches, not more of them.

    Args:
        do: Does it for a batch; its Deferred does not fail.
        clock: The reactor.
        interval: For so long after the first one others are waited for, in seconds.

    Attributes:
        waiting: Those for which it is done next.
        batch: Those for which it is being done.
    """

    def __init__(self, do: Callable[[set[T]], Deferred[Any]], clock: IReactorTime, interval: float) -> None:
        self.waiting: set[T] = set()
        self.batch: set[T] = set()
        self._do = do
        self._clock = clock
        self._interval = interval
        self._timer: IDelayedCall | None = None
        self._is_doing = False
        self._asked: list[Deferred[None]] = []

    def add(self, some: Iterable[T]) -> None:
        """It is to be done for these as well. Cheap."""
        self.waiting.update(some)
        self._arm()

    def now(self) -> Deferred[None]:
        """Wait no longer than for the batch before; fires when it was done for all that wait."""
        asked: Deferred[None] = Deferred()
        self._asked.append(asked)
        if not self._is_doing:
            self._begin()
        return asked

    def stop(self) -> None:
        """It is done for nobody who waits."""
        self.waiting.clear()
        self._disarm()

    def _arm(self) -> None:
        if self.waiting and self._timer is None and not self._is_doing:
            self._timer = self._clock.callLater(self._interval, self._begin)

    def _disarm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _begin(self) -> None:
        self._disarm()
        self.batch, self.waiting = self.waiting, set()
        asked, self._asked = self._asked, []
        self._is_doing = bool(self.batch)
        if self.batch:
            self._do(self.batch).addBoth(self._done, asked)
        else:
            _fire(asked)

    def _done(self, result: object, asked: list[Deferred[None]]) -> object:
        self.batch, self._is_doing = set(), False
        if self._asked:
            self._begin()
        else:
            self._arm()
        _fire(asked)
        return result


def _fire(asked: Iterable[Deferred[None]]) -> None:
    for each in asked:
        each.callback(None)

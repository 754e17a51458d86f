"""When the next turn is in which all that waits comes into force. Edge: the reactor's timers."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

PAUSE = 0.01  # seconds
"""From the end of a turn with several names to the next one: what comes meanwhile shares that. A turn costs as much
processor time as some ten names in it, so where many come, turns without pauses would leave it to nobody else. A turn
itself takes 10 to 20 ms, the most of it for the disk and for other threads, and names gather meanwhile, too."""


class Turns:
    """One turn at a time, and one that is wanted after it: for all that ask for it before it begins.

    Args:
        clock: The reactor.
        begin: Has one begin as soon as may be; `begun` is called when it does, and `done` at its end.
    """

    def __init__(self, clock: IReactorTime, begin: Callable[[], object]) -> None:
        self._clock, self._begin = clock, begin
        self._call: IDelayedCall | None = None
        self._is_running = self._is_busy = False
        self._wanted: float | None = None
        self._rest = 0.0  # until then

    def start(self) -> None:
        """Have turns from now on."""
        self._is_running = True

    def stop(self) -> None:
        """Have no further one begin."""
        self._is_running = False
        if self._call is not None and self._call.active():
            self._call.cancel()

    def after(self, seconds: float) -> None:
        """There is a turn then, or sooner, but for the pause: one for all who ask, however long another takes."""
        at = self._clock.seconds() + seconds
        self._wanted = at if self._wanted is None else min(at, self._wanted)
        self._arm()

    def _arm(self) -> None:
        if self._wanted is None or self._is_busy or not self._is_running:
            return
        seconds = max(0.0, max(self._wanted, self._rest) - self._clock.seconds())
        if self._call is None or not self._call.active():
            self._call = self._clock.callLater(seconds, self._ask)
        elif self._call.getTime() > self._clock.seconds() + seconds:
            self._call.reset(seconds)

    def _ask(self) -> None:
        self._is_busy = True
        self._begin()

    def begun(self) -> None:
        """What is asked for from now on is the business of the next turn."""
        self._is_busy, self._wanted = True, None

    def done(self, names: int) -> None:
        """It has come to its end; so many names have become something else by it."""
        self._is_busy, self._rest = False, self._clock.seconds() + PAUSE if names > 1 else 0.0
        self._arm()

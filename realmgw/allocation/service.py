"""The allocator's timer: one for all claims, however many there are."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from realmgw.allocation.allocator import TOLERANCE, Allocator

TICK = 0.05  # seconds
"""How late a claim may end while nobody waits for its address."""
SOON = 0.001  # seconds
"""The shortest time between two calls of `expire`."""


class AllocationService(Service):
    """Calls `Allocator.expire` while it runs: every `TICK`, and on time while queries wait.

    Args:
        allocator: Whose claims end.
        clock: The reactor.
        monotonic: The present, in seconds; the same that `ask` and `admit` are told.
    """

    name = "allocation"

    def __init__(self, allocator: Allocator, clock: IReactorTime, monotonic: Callable[[], float]) -> None:
        self._allocator = allocator
        self._clock = clock
        self._monotonic = monotonic
        self._due = 0.0
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin to end claims."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._allocator.wake = self._wake
        self._arm(self._monotonic(), TICK)

    def stopService(self) -> None:
        """End no claims any more; queries that wait are told `Reason.STOPPING`."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._allocator.wake = None
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._allocator.dismiss()

    def _arm(self, now: float, delay: float) -> None:
        self._due = now + delay
        self._call = self._clock.callLater(delay, self._tick)

    def _tick(self) -> None:
        now = self._monotonic()
        late = now - self._due
        self._arm(now, TICK)  # first, so that a fault below does not stop the clock
        self._allocator.heard(late=late, due=self._due + TOLERANCE, now=now)
        due = self._allocator.expire(now=now)
        if due is not None and self._allocator.waiting:
            self._wake(due)

    def _wake(self, due: float) -> None:
        """Have `expire` called at a time when an address comes free that somebody waits for."""
        if due < self._due and self._call is not None and self._call.active():
            now = self._monotonic()
            delay = max(SOON, due - now)
            if now + delay < self._due:
                self._due = now + delay
                self._call.reset(delay)

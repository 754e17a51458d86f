"""Simulated time: events in their order, and an allocator that is called whenever it wants to be."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from itertools import count
from typing import Protocol

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.service import SOON, TICK

LAN_DELAY, WAN_MEDIAN = 0.0005, 0.040  # seconds
"""From an answer to the client's first packet: next to it, and for one of two clients on the Internet."""
WAN_SIGMA = math.log(0.260 / WAN_MEDIAN) / 3.0902
"""So that 99.9 % of them have come within 260 ms."""


class Expiring(Protocol):
    """What has a timer."""

    def expire(self, *, now: float) -> float | None:
        """End what is over; returns when it wants to be called again."""
        ...


class Ticking:
    """Calls an allocator's `expire` when the service does (`AllocationService`), and no sooner.

    Args:
        allocator: What has a timer.
    """

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator
        self._due = 0.0
        allocator.wake = self._wake

    def expire(self, *, now: float) -> float:
        """End what is over, if it is time to; returns when it is next."""
        if now >= self._due:
            self._due = now + TICK
            wanted = self._allocator.expire(now=now)
            if wanted is not None and self._allocator.waiting:
                self._due = min(self._due, max(wanted, now + SOON))
        return self._due

    def _wake(self, due: float) -> None:
        self._due = min(self._due, due)


class EventQueue:
    """The one clock of a simulation.

    Args:
        chance: What decides by chance.

    Attributes:
        now: The present, in seconds.
        chance: What decides by chance.
    """

    def __init__(self, chance: random.Random) -> None:
        self.now = 0.0
        self.chance = chance
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, time: float, event: Callable[[], None]) -> None:
        """Something happens then."""
        heapq.heappush(self._events, (time, next(self._order), event))

    def wan_delay(self) -> float:
        """Seconds from an answer until a client on the Internet comes: log-normal."""
        return self.chance.lognormvariate(math.log(WAN_MEDIAN), WAN_SIGMA)

    def again(self, rate: float, end: float, event: Callable[[], None]) -> None:
        """Something happens next by chance, so often in a second, before the end."""
        time = self.now + self.chance.expovariate(rate)
        if time < end:
            self.at(time, event)

    def run(self, expiring: Expiring) -> None:
        """Let everything happen."""
        while self._events:
            wanted = expiring.expire(now=self.now)  # which may make more happen, before what is next so far
            if wanted is not None and wanted < self._events[0][0]:
                self.now = max(wanted, self.now + 1e-6)
                continue
            time, _, event = heapq.heappop(self._events)
            self.now = max(self.now, time)
            event()

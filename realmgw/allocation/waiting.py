"""Queries that wait for an address: first come, first served by host, and all who wait for one host ride along."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import count, islice

import attrs

from realmgw.allocation.group import Group
from realmgw.allocation.requestors import Requestor
from realmgw.errors import Reason
from realmgw.subscribers.model import Service

PREFERENCE = 8
"""Among so many hosts that wait longest, the one whose asker has the best standing is served first."""

Deliver = Callable[[bytes | Reason], None]
"""Called once with a packed address, or with why there is none."""


@attrs.define(eq=False)
class Waiter:
    """A query that waits. Compared by identity."""

    service: Service
    """What it asks for."""
    group: Group
    """Who asks."""
    question: Hashable
    """Equal for a retransmission of the same question."""
    deliver: Deliver
    """Where the outcome goes."""
    since: float
    """When it began to wait, in monotonic seconds."""
    deadline: float
    """When it gives up."""
    client: Requestor | None = None
    """For whom, where that is known and believed."""

    def has_time(self, now: float) -> bool:
        """Whether it has not yet waited for half of the time that it has."""
        return now - self.since <= (self.deadline - self.since) / 2


class WaitingQueue:
    """The waiting queries by target (host and service), in the order in which the first of each target came.

    Args:
        limit: How many queries may wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._targets: OrderedDict[int, dict[Hashable, Waiter]] = OrderedDict()
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._order = count()
        self.size = 0
        """How many queries wait; read only."""

    def join(self, waiter: Waiter) -> bool:
        """Let a query wait; a retransmission takes the place of its twin and keeps the twin's times.

        Returns:
            Whether it waits; False, and nothing is changed, when as many wait as may.
        """
        waiters = self._targets.get(waiter.service.target)
        if waiters is not None and (twin := waiters.get(waiter.question)) is not None:
            twin.deliver = waiter.deliver
            return True
        if self.size >= self._limit:
            return False
        self._targets.setdefault(waiter.service.target, {})[waiter.question] = waiter
        heapq.heappush(self._deadlines, (waiter.deadline, next(self._order), waiter))
        self.size += 1
        return True

    def first(self, *, now: float) -> Waiter | None:
        """The query whose host is served next.

        The one that waits longest, or one of a better standing among the first few hosts, unless the longest has used
        up half of its time: nobody is overtaken for ever.
        """
        heads = [next(iter(waiters.values())) for waiters in islice(self._targets.values(), PREFERENCE)]
        if not heads or not heads[0].has_time(now):
            return heads[0] if heads else None
        return max(heads, key=lambda waiter: waiter.group.standing)

    def leave(self, target: int) -> list[Waiter]:
        """All queries that wait for a target; they wait no more."""
        waiters = list(self._targets.pop(target).values())
        self.size -= len(waiters)
        return waiters

    def regard(self, limit: int) -> None:
        """From now on so many queries may wait; those that wait already go on waiting."""
        self._limit = limit

    def waits_for(self, target: int) -> bool:
        """Whether any query waits for a target."""
        return target in self._targets

    def holds(self, target: int, question: Hashable) -> bool:
        """Whether this question waits for this target."""
        return question in self._targets.get(target, ())

    def give_up(self, *, now: float) -> list[Waiter]:
        """The queries whose time is over; they wait no more."""
        over = []
        while self._deadlines and (self._deadlines[0][0] <= now or not self._waits(self._deadlines[0][2])):
            waiter = heapq.heappop(self._deadlines)[2]
            if self._waits(waiter):
                self._forget(waiter)
                over.append(waiter)
        return over

    def dismiss(self) -> list[Waiter]:
        """All queries; none waits any more."""
        waiters = [waiter for waiters in self._targets.values() for waiter in waiters.values()]
        self._targets.clear()
        self._deadlines.clear()
        self.size = 0
        return waiters

    def next_deadline(self) -> float | None:
        """When the next query gives up, or None; `give_up` was called just before."""
        return self._deadlines[0][0] if self._deadlines else None

    def _waits(self, waiter: Waiter) -> bool:
        return self._targets.get(waiter.service.target, {}).get(waiter.question) is waiter

    def _forget(self, waiter: Waiter) -> None:
        waiters = self._targets[waiter.service.target]
        del waiters[waiter.question]
        self.size -= 1
        if not waiters:
            del self._targets[waiter.service.target]

"""Queries that wait for an address: first come, first served by host, and all who wait for one host ride along.

No group is in the way of others. However many hosts it asks for, few of them are in the line at once, and the rest wait
behind these; and when the queue is full, who has more of it than his share makes room.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import count, islice

import attrs

from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.requestors import Requestor
from realmgw.errors import Reason
from realmgw.subscribers.model import Service

PREFERENCE = 8
"""Among so many hosts that wait longest, the one whose asker has the best standing is served first."""
IN_LINE = 16
"""So many hosts at most that one group asked for are in the line at once."""
MARGIN = 0.1
"""In a full queue, a standing counts as better when it is better by so much."""
ASKS_AGAIN = 2.0  # seconds
"""A resolver that has waited in vain asks again within so long, if it does at all."""

AT_ONCE, LOOKED_AT = 3, 8
"""Whose queries for one name wait that many at one time, asks once for each client: no resolver of several does so, but
twice, by two threads, or since it asks again. So many queries are looked at for that."""

TWINS = 64
"""So many times at most a question waits that is asked once more by TCP."""

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
    unproven: bool = False
    """See `Claim.unproven`."""
    not_before: float = -math.inf
    """Until then, in monotonic seconds, its client may come by IPv6, and take no address of those that are left."""
    tcp: bool = False
    """It came by TCP, and so will be answered, whoever asks the same since."""
    at_once: bool = False
    """It does not wait: it is served at this moment, or not at all."""
    twins: tuple[Deliver, ...] = ()
    """Where the outcome goes as well: those who asked the same before, `TWINS` at most."""

    def tell(self, outcome: bytes | Reason) -> None:
        """It waits no more: tell all who have asked it."""
        for deliver in (*self.twins, self.deliver):
            deliver(outcome)

    def join(self, twin: Waiter) -> bool:
        """The same is asked once more; by UDP that is a retransmission, and no two answers are wanted.

        Returns:
            Whether there was room for it.
        """
        if len(self.twins) >= TWINS:
            return False
        if self.tcp or twin.tcp:
            self.twins += (self.deliver,)
        self.deliver, self.tcp = twin.deliver, twin.tcp
        return True

    def part(self, deliver: Deliver) -> bool:
        """One of those who have asked it is gone; returns whether he was one of them, and was not the only one."""
        every = [*self.twins, self.deliver]
        if deliver not in every or len(every) == 1:
            return False
        every.remove(deliver)
        self.tcp |= deliver == self.deliver
        self.twins, self.deliver = tuple(every[:-1]), every[-1]
        return True

    def has_time(self, now: float) -> bool:
        """Whether it has not yet waited for half of the time that it has."""
        return now - self.since <= (self.deadline - self.since) / 2


May = Callable[[Waiter], bool]
"""Whether a query may be given an address for now."""


class _Line:
    """The targets that wait, in their order, and those behind them. All of it O(1)."""

    def __init__(self) -> None:
        self.order: OrderedDict[int, Group] = OrderedDict()
        """Those in the line, with whose one of `IN_LINE` each is."""
        self._in_line: dict[Group, int] = {}
        self._behind: dict[Group, dict[int, None]] = {}
        self._whose: dict[int, Group] = {}

    def join(self, target: int, group: Group) -> None:
        """A group waits for a target, as others may already."""
        if target in self.order:
            return
        if self._in_line.get(group, 0) < IN_LINE:
            self._leave_behind(target)
            self._enter(target, group)
        elif target not in self._whose:
            self._whose[target] = group
            self._behind.setdefault(group, {})[target] = None

    def leave(self, target: int) -> None:
        """Nobody waits for a target any more; the next one of its group takes its place in the line, at the end."""
        group = self.order.pop(target, None)
        if group is None:
            self._leave_behind(target)
            return
        self._in_line[group] -= 1
        if not self._in_line[group]:
            del self._in_line[group]
        if group in self._behind:
            following = next(iter(self._behind[group]))
            self._leave_behind(following)
            self._enter(following, group)

    def _enter(self, target: int, group: Group) -> None:
        self.order[target] = group
        self._in_line[group] = self._in_line.get(group, 0) + 1

    def _leave_behind(self, target: int) -> None:
        group = self._whose.pop(target, None)
        if group is not None:
            del self._behind[group][target]
            if not self._behind[group]:
                del self._behind[group]


class _Shares:
    """What each group has of the queue. All of it O(1)."""

    def __init__(self) -> None:
        self.waiters: dict[Group, dict[Waiter, None]] = {}
        self._by_count: dict[int, dict[Group, None]] = {}
        self._most = 0

    def add(self, waiter: Waiter) -> None:
        """One more query waits."""
        its = self.waiters.setdefault(waiter.group, {})
        its[waiter] = None
        self._count(waiter.group, len(its) - 1, len(its))

    def remove(self, waiter: Waiter) -> None:
        """It waits no more."""
        its = self.waiters[waiter.group]
        del its[waiter]
        if not its:
            del self.waiters[waiter.group]
        self._count(waiter.group, len(its) + 1, len(its))

    def _count(self, group: Group, before: int, count: int) -> None:
        if before:
            same = self._by_count[before]
            del same[group]
            if not same:
                del self._by_count[before]
        if count:
            self._by_count.setdefault(count, {})[group] = None
        if count > self._most or self._most not in self._by_count:
            self._most = count

    def too_many(self, group: Group) -> Waiter | None:
        """The latest query of the group that has most, if that is more than its share where `group` has one more."""
        most = next(iter(self._by_count[self._most]))
        mine = len(self.waiters.get(group, ())) + 1
        if most is group or self._most * group.standing <= mine * (most.standing + MARGIN):
            return None
        return next(reversed(self.waiters[most]))


class WaitingQueue:
    """The waiting queries, by target (host and service) and by group.

    Args:
        limit: How many queries may wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._targets: dict[int, dict[Hashable, Waiter]] = {}
        self._line = _Line()
        self._shares = _Shares()
        self._deadlines: list[tuple[float, int, Waiter]] = []
        self._order = count()
        self.given_up: dict[tuple[int, Group], tuple[float, float, bool]] = {}
        """Those who have waited in vain, by target and group: since when and until when (monotonic seconds), in the
        order of the latter, and whether by TCP. If their resolver asks again, those wait still who asked it meanwhile;
        read only."""
        self.size = 0
        """How many queries wait; read only."""

    def join(self, waiter: Waiter) -> Waiter | None:
        """Let a query wait; one that is asked again waits with its twin, and keeps the twin's times.

        Returns:
            Who has to go for it, when as many wait as may: a query of the group that has most, or this one itself. He
            waits no more.
        """
        target = waiter.service.target
        if (twin := self._targets.get(target, {}).get(waiter.question)) is not None:
            return None if twin.join(waiter) else waiter
        displaced = None
        if self.size >= self._limit:
            displaced = self._shares.too_many(waiter.group) if self.size else None
            if displaced is None:
                return waiter
            self._forget(displaced)
        self._targets.setdefault(target, {})[waiter.question] = waiter
        self._line.join(target, waiter.group)
        self._shares.add(waiter)
        heapq.heappush(self._deadlines, (waiter.deadline, next(self._order), waiter))
        self.size += 1
        return displaced

    def heads(self, may: May, *, now: float) -> list[Waiter]:
        """The queries whose hosts are served next, in this order.

        Those that wait longest, those of a better standing first, unless the longest has used up half of its time:
        nobody is overtaken for ever.

        Args:
            may: Whether a query may be given an address for now; those that may not are passed over.
            now: The present.
        """
        firsts = (next(filter(may, self._targets[target].values()), None) for target in self._line.order)
        heads = list(islice(filter(None, firsts), PREFERENCE))
        if heads and heads[0].has_time(now):
            heads.sort(key=lambda waiter: -waiter.group.standing)
        return heads

    def leave(self, target: int, may: May | None = None) -> list[Waiter]:
        """All queries that wait for a target, and may be given an address for now; they wait no more."""
        waiters = list(filter(may or bool, self._targets[target].values()))
        for waiter in waiters:
            self._forget(waiter)
        return waiters

    def hang_up(self, target: int, question: Hashable, deliver: Deliver) -> Waiter | None:
        """Who asked is gone, and waits no more; O(1).

        Returns:
            What has waited; it still `holds` where somebody else has asked the same. None: he did not wait any more.
        """
        waiter = self._targets.get(target, {}).get(question)
        if waiter is None:
            return None
        if not waiter.part(deliver):
            if waiter.deliver != deliver:
                return None
            self._forget(waiter)
        return waiter

    def configure(self, limit: int) -> None:
        """From now on so many queries may wait; those that wait already go on waiting."""
        self._limit = limit

    @property
    def has_room(self) -> bool:
        """Whether one more query may wait, and nobody has to go for it."""
        return self.size < self._limit

    @property
    def targets(self) -> int:
        """For how many targets queries wait."""
        return len(self._targets)

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
                self._note(waiter, now)
        while self.given_up and next(iter(self.given_up.values()))[1] + ASKS_AGAIN <= now:
            del self.given_up[next(iter(self.given_up))]
        return over

    def _note(self, waiter: Waiter, now: float) -> None:
        key, company = (waiter.service.target, waiter.group), waiter.group.habits.company
        if company == math.inf and self._asks_at_once(*key):
            self.given_up.pop(key, None)
            return
        since, until, _ = self.given_up.pop(key, (waiter.since, now, False))
        self.given_up[key] = since if waiter.since < until + ASKS_AGAIN else waiter.since, now, waiter.tcp
        if len(self.given_up) > self._limit:
            del self.given_up[next(iter(self.given_up))]

    def _asks_at_once(self, target: int, group: Group) -> bool:
        """Whether so many queries of a group wait for a target, beside one more, that it asks once for each client."""
        looked_at = islice(self._targets.get(target, {}).values(), LOOKED_AT)
        return 1 + sum(each.group is group for each in looked_at) >= AT_ONCE

    def waited_before(self, target: int, group: Group, now: float) -> tuple[float, bool]:
        """For how long those have waited whose group asks again for what it waited for in vain.

        Args:
            target: For what.
            group: Who asks.
            now: The present, in monotonic seconds.

        Returns:
            So many seconds, 0.0 if it did not; and whether it waited by TCP.
        """
        since, until, tcp = self.given_up.pop((target, group), (now, -math.inf, False))
        return (now - since, tcp) if now < until + ASKS_AGAIN else (0.0, False)

    def dismiss(self) -> list[Waiter]:
        """All queries; none waits any more."""
        waiters = [waiter for waiters in self._targets.values() for waiter in waiters.values()]
        self._targets.clear()
        self._line, self._shares = _Line(), _Shares()
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
        self._shares.remove(waiter)
        self.size -= 1
        if not waiters:
            del self._targets[waiter.service.target]
            self._line.leave(waiter.service.target)

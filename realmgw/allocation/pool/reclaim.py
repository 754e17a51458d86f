"""Which waiting address nobody comes to any more: all of its claims are dead by experience.

Only an exhausted pool asks this. So nothing is kept up until it does; then the waiting addresses are put in the order
of their `held_until` once, and new claims are followed until the pool has room again. Entries are not removed when an
address is claimed again or goes on: they are stale then, and passed over when they come up, or thrown out when there
are more of them than addresses.

Nobody is dead whose packet may lie in the queue unread. When this process was held up (another one had the processor,
or a turn took long), the time in which it saw no packets does not count; see `ReclaimHeap.stalled`. And when packets
were lost on their way, a client's may have been among them: he sends it again a second later.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from itertools import count

from realmgw.allocation.state import Address, State

TOLERANCE = 0.01  # seconds
"""A timer that is no later than this was not held up."""
RESENT = 1.0  # seconds
"""Whose first packet was lost, sends it again after so long (RFC 6298 section 2)."""
LOSSES = 1.25 * RESENT
"""For so long after packets were lost, somebody may come again who has come before."""
STALLED = 2.0  # seconds
"""Several stalls one after the other count for no more than this together: whoever came in the first is looked at."""
SLACK = 64
"""So many stale entries are always tolerated."""


class ReclaimHeap:
    """The waiting addresses in the order in which they can be reclaimed.

    O(log n) amortized, but for the first question after a time with room, which is O(pool).
    """

    def __init__(self) -> None:
        self.watching = False
        """Whether claims must be followed: the pool was exhausted lately. Read only."""
        self._holds: list[tuple[float, int, Address]] = []
        self._dead: list[tuple[float, float, int, Address]] = []
        self._order = count()
        self._bound = 0
        self._forgiven = 0.0
        self._forgiven_until = -math.inf
        self.queued = 0.0
        """For so many seconds packets lie in the queue before they are looked at."""
        self.lost_at = -math.inf
        """When packets were lost last on their way there, in monotonic seconds."""
        self.awake_until = math.inf
        """When the timer is to be heard of next; a later present means that we are held up right now."""

    def watch(self, waiting: Iterable[Address]) -> None:
        """Begin to follow, or begin anew; all waiting addresses are told once."""
        self.watching = True
        self._holds = [(address.held_until, next(self._order), address) for address in waiting]
        heapq.heapify(self._holds)
        self._bound = 2 * len(self._holds) + SLACK

    def rest(self) -> None:
        """Stop following: there is room again."""
        self.watching = False
        self._holds = []
        self._dead.clear()

    def held(self, address: Address) -> None:
        """An address has a new claim, while `watching`."""
        if self.watching:
            if len(self._holds) >= self._bound:
                self.watch(dict.fromkeys(address for hold, _, address in self._holds if _current(hold, address)))
            heapq.heappush(self._holds, (address.held_until, next(self._order), address))

    def heard(self, *, late: float, due: float, now: float) -> None:
        """The timer was heard; see `Allocator.heard`."""
        self.awake_until = due
        if late > TOLERANCE:
            self.stalled(late, now=now)

    def stalled(self, length: float, *, now: float) -> None:
        """No packets were looked at for `length` seconds up to now, and those that came then have to be worked off.

        For as long again, nobody is older than he was when it began. A further stall in that time is added: turns are
        long when there is much to work off.
        """
        left = max(self._forgiven_until - now, 0.0)
        self._forgiven = max(length, min(STALLED, length + (self._forgiven if left else 0.0)))
        self._forgiven_until = now + max(length, min(STALLED, left + length))

    def unseen(self, *, now: float) -> float:
        """For how many seconds up to now packets have not been looked at, as far as can be told; O(1).

        Whatever ends because nobody came, ends only when it was over by the time before that.
        """
        overdue = now - self.awake_until if now > self.awake_until else 0.0
        unseen = self.queued + overdue + (self._forgiven if now - overdue < self._forgiven_until else 0.0)
        return unseen + RESENT if now - unseen < self.lost_at + LOSSES else unseen

    def due(self, *, now: float) -> bool:
        """Whether `take` may find one; O(1)."""
        holds = self._holds
        followed = bool(holds) and holds[0][0] <= now - self.unseen(now=now)
        return followed or bool(self._dead) or not self.watching

    def take(self, *, now: float) -> Address | None:
        """The dead address of the worst standing, of these the one that died first; None when all are alive.

        The address is still WAITING: the caller ends its claims.
        """
        self._bury(now - self.unseen(now=now))
        while self._dead:
            _, hold, _, address = heapq.heappop(self._dead)
            if _current(hold, address):
                return address
        return None

    def in_order(self, waiting: Iterable[Address], *, now: float) -> Iterator[Address]:
        """Those that `take` would give, one after the other; nothing is changed. O(waiting addresses, all told)."""
        seen = now - self.unseen(now=now)
        holds = (
            self._holds if self.watching else [(each.held_until, number, each) for number, each in enumerate(waiting)]
        )
        dead = [(address.standing, hold, order, address) for hold, order, address in holds if hold <= seen]
        return (address for _, hold, _, address in sorted([*self._dead, *dead]) if _current(hold, address))

    def next_death(self, *, now: float) -> float | None:
        """When the next address can be reclaimed, in monotonic seconds; None when none is followed."""
        holds = self._holds
        while holds and not _current(holds[0][0], holds[0][2]):
            heapq.heappop(holds)
        return holds[0][0] + self.unseen(now=now) if holds else None

    def _bury(self, seen: float) -> None:
        holds = self._holds
        while holds and holds[0][0] <= seen:
            hold, order, address = heapq.heappop(holds)
            if _current(hold, address):
                heapq.heappush(self._dead, (address.standing, hold, order, address))
        if len(self._dead) > self._bound:
            self._dead = list({entry[3]: entry for entry in self._dead if _current(entry[1], entry[3])}.values())
            heapq.heapify(self._dead)


def _current(hold: float, address: Address) -> bool:
    return address.state is State.WAITING and address.held_until == hold

"""When claims end: each has a deadline, and whose deadline is over is found without looking at the others."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import chain, count
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group


class Ending(Protocol):
    """A claim of either family, as far as it matters when it ends; see `realmgw.allocation.state.Claim`."""

    deadline: float

    @property
    def group(self) -> Group: ...
    @property
    def pending(self) -> bool: ...
    @property
    def doubt(self) -> object | None: ...
    @property
    def is_over(self) -> bool: ...


Each = TypeVar("Each", bound=Ending)


class Deadlines(Generic[Each]):
    """All claims whose time is not over; those that have ended already are let go of when they come first.

    Most claims live as long as their service says, so that those of one timeout end in the order in which they were
    made. Only those that end with another one's, the riders, need a heap.

    Attributes:
        by_timeout: Those that live as long as their services say, in the order in which they were made, by that time in
            seconds. Whoever makes one puts it there.
    """

    def __init__(self) -> None:
        self.by_timeout: defaultdict[float, deque[Each]] = defaultdict(deque)
        self._riders: list[tuple[float, int, Each]] = []
        self._order = count()

    def __iter__(self) -> Iterator[Each]:
        """Every claim, in no order."""
        return chain(*self.by_timeout.values(), (claim for _, _, claim in self._riders))

    def __len__(self) -> int:
        return len(self._riders) + sum(map(len, self.by_timeout.values()))

    def riders(self, group: Group) -> tuple[Each, ...]:
        """A group's claims that stand, and end at another time than those of their service; O(all such claims)."""
        return tuple(claim for _, _, claim in self._riders if claim.group is group and claim.pending)

    def add_rider(self, claim: Each) -> None:
        """A claim was made that ends at another time."""
        heapq.heappush(self._riders, (claim.deadline, next(self._order), claim))

    def over(self, now: float) -> Iterator[Each]:
        """Those whose deadline is over, and with whom something is to be done still.

        They are let go of, and so are those with whom nothing is to be done any more.
        """
        for same in self.by_timeout.values():
            while same:
                claim = same[0]
                if claim.pending or claim.doubt is not None:
                    if claim.deadline > now and not claim.is_over:
                        break
                    yield same.popleft()
                else:  # as most are: somebody came, and nobody doubts it
                    same.popleft()
        while self._riders and (self._riders[0][0] <= now or self._riders[0][2].is_over):
            claim = heapq.heappop(self._riders)[2]
            if claim.deadline > now and not claim.is_over:
                self.add_rider(claim)  # it was given more time
            else:
                yield claim

    def first(self) -> float | None:
        """When the next one ends, in monotonic seconds; `over` was gone through just before."""
        ends = [same[0].deadline for same in self.by_timeout.values() if same]
        ends += [self._riders[0][0]] if self._riders else []
        return min(ends, default=None)

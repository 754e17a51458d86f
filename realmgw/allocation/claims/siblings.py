"""Claims of both families that are one client's: who asks for IPv4 and IPv6 comes by one of them.

Theory of operation. Those that one group makes for one target within a second are *siblings*, whichever is asked for
first, two by two. The first packet for either settles both: the other one ends early, and that is nobody's merit or
fault. So a client who comes by IPv6 holds an IPv4 address for no longer than his packet takes. Should he fall back to
the other family, he is let in as long as its address stands with his host.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.state import Claim, Sibling
    from realmgw.subscribers.model import Service

TOGETHER = 1.0  # seconds
"""What is asked for within this time of each other is one client's."""
PROBES = 8
"""So many claims at most are looked at for one that has no sibling yet, the latest ones."""

Key = tuple[int, "Group"]
"""A target, and who asked for it."""


class Siblings:
    """The claims of IPv6 of the last second that have no sibling yet.

    Attributes:
        single: They, by target and group; empty where nobody asks for IPv6. Read only.
    """

    def __init__(self) -> None:
        self.single: dict[Key, dict[Sibling, None]] = {}
        self._in_order: deque[tuple[Key, Sibling]] = deque()

    def note(self, target: int, claim: Sibling) -> None:
        """A claim was made just now, and there is none of IPv4 beside it."""
        key = target, claim.group
        self.single.setdefault(key, {})[claim] = None
        self._in_order.append((key, claim))

    def find(self, target: int, group: Group, since: float) -> Sibling | None:
        """The latest of those whose client has come, or may still come, for what was asked at that time.

        Args:
            target: What was asked for.
            group: Who asked.
            since: When, in monotonic seconds.
        """
        found = self.single.get((target, group))
        for claim in islice(reversed(found or {}), PROBES):
            if (claim.pending or claim.has_come) and abs(claim.created - since) <= TOGETHER:
                return claim
        return None

    def accompany(self, claim: Claim) -> bool:
        """Find the sibling of a claim of IPv4 that was made just now; returns whether its client has come already."""
        target, group = claim.reservation.service.target, claim.group
        found = self.find(target, group, claim.created - claim.waited)
        if found is None or claim.sibling is not None:
            return False
        self._take((target, group), found)
        claim.sibling, found.sibling = found, claim
        return found.has_come

    def forget(self, *, now: float) -> None:
        """Forget those that were made too long ago."""
        while self._in_order and self._in_order[0][1].created + 2 * TOGETHER <= now:
            self._take(*self._in_order.popleft())

    def _take(self, key: Key, claim: Sibling) -> None:
        found = self.single.get(key)
        if found is not None and claim in found:
            del found[claim]
            if not found:
                del self.single[key]


def elder(service: Service, group: Group, now: float) -> Claim | None:
    """The latest claim of IPv4 of the last second that has no sibling yet, for what is asked for by IPv6 now."""
    told = group.told.last(service.name)
    last: Claim | None = told
    if last is None or last.created < now - TOGETHER or last.reservation.service.target != service.target:
        return None
    for claim in chain((last,), _beside(last)):
        if claim.sibling is None and claim.group is group and not claim.is_hold and claim.created >= now - TOGETHER:
            return claim if claim.pending or claim.has_come else None
    return None


def _beside(last: Claim) -> Iterator[Claim]:
    reservation = last.reservation
    yield from islice(reversed(reservation.claims.values()), PROBES)
    yield from islice(reversed(reservation.used or ()), PROBES)

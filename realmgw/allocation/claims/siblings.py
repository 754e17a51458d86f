"""Claims of both families that are one client's: who asks for IPv4 and IPv6 comes by one of them.

Theory of operation. Those that one group makes for one target within a second are *siblings*, whichever is asked for
first, two by two, the nearest ones together: a resolver has many clients, and each asks for both at about the same
time. The first packet for either settles both: the other one ends early, and that is nobody's merit or fault. So a
client who comes by IPv6 holds an IPv4 address for no longer than his packet takes. Should he fall back to the other
family, he is let in as long as its address stands with his host.

What is asked for after a client came is not his: he asks first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

from realmgw.allocation.state import Sibling

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.state import Claim
    from realmgw.subscribers.model import Service

TOGETHER = 1.0  # seconds
"""What is asked for within this time of each other is one client's."""
AT_ONCE = 0.05  # seconds
"""Where the client of one has come already, the other one is his only if it was asked for so soon: it would be held for
nobody from the beginning, and a resolver has other clients who ask for the same host within a second."""
PROBES = 8
"""So many claims at most are looked at for the nearest one, the latest ones."""

Key = tuple[int, "Group"]
"""A target, and who asked for it."""
Each = TypeVar("Each", bound=Sibling)


class Siblings:
    """The claims of IPv6 of the last second.

    Attributes:
        recent: They, by target and group; empty where nobody asks for IPv6. Read only.
    """

    def __init__(self) -> None:
        self.recent: dict[Key, dict[Sibling, None]] = {}
        self._in_order: deque[tuple[Key, Sibling]] = deque()

    def note(self, target: int, claim: Sibling) -> None:
        """A claim was made just now."""
        key = target, claim.group
        self.recent.setdefault(key, {})[claim] = None
        self._in_order.append((key, claim))

    def find(self, target: int, group: Group, since: float) -> Sibling | None:
        """The one of the client who asked for IPv4 at that time, by IPv6, if it is there.

        Args:
            target: What was asked for.
            group: Who asked.
            since: When, in monotonic seconds.
        """
        return _nearest(islice(reversed(self.recent.get((target, group), {})), PROBES), since)

    def accompany(self, claim: Claim) -> bool:
        """Find the sibling of a claim of IPv4 that was made just now; returns whether its client has come already."""
        found = self.find(claim.reservation.service.target, claim.group, claim.asked)
        if found is None:
            return False
        join(found, claim)
        return not found.pending

    def forget(self, *, now: float) -> None:
        """Forget those that were made too long ago."""
        while self._in_order and self._in_order[0][1].asked + 2 * TOGETHER <= now:
            key, claim = self._in_order.popleft()
            claims = self.recent[key]
            del claims[claim]
            if not claims:
                del self.recent[key]


def elder(service: Service, group: Group, now: float) -> Claim | None:
    """The claim of IPv4 of the client who asks by IPv6 now, if it is there."""
    told = group.told.last(service.name)
    last: Claim | None = told
    if last is None or last.created < now - TOGETHER or last.reservation.service.target != service.target:
        return None
    beside = islice(reversed(last.reservation.claims.values()), PROBES)
    claims = (claim for claim in chain((last,), beside) if claim.group is group and not claim.is_hold)
    return _nearest(claims, now)


def join(one: Sibling, other: Sibling) -> None:
    """Two claims are siblings from now on; those that they had before are too far away, and have none."""
    for claim in (one, other):
        if claim.sibling is not None:
            claim.sibling.sibling = None
    one.sibling, other.sibling = other, one


def _nearest(claims: Iterable[Each], since: float) -> Each | None:
    """Of some claims the one that was asked for nearest to a time, unless it has a sibling that is nearer; or none."""
    found, least = None, math.nextafter(TOGETHER, math.inf)
    for claim in claims:
        gap = abs(claim.asked - since)
        if gap < least and (claim.pending or (claim.came_at >= since and gap <= AT_ONCE)):
            sibling = claim.sibling
            if sibling is None or abs(sibling.asked - claim.asked) > gap:
                found, least = claim, gap
    return found

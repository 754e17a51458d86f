"""Claims of both families that are one client's: who asks for IPv4 and IPv6 comes by one of them.

Theory of operation. Those that one group makes for one target within a second are *siblings*, whichever is asked for
first, two by two, the nearest ones together: a resolver has many clients, and each asks for both at about the same
time. The first packet for either settles both: what becomes of the other one is nobody's merit or fault, and it ends
early if it is *sure* to be his. So a client who comes by IPv6 holds an IPv4 address for no longer than his packet
takes. Should he fall back to the other family, he is let in as long as its address stands with his host.

Two clients who ask for one family each, of the same host and at the same time, look like one. If the claim of the one
ended when the other came, he would find another host at his address. So sure is only what was asked for in one go, as
stubs do that want both, and only of groups whose clients were seen to ask so: nearly all that such a group asks for by
IPv6, it asks for by IPv4 within a few milliseconds; of others, that is chance.

What is asked for after a client came is not his, unless it was asked for at once with the other: on a LAN his packet
may be there before his second question is looked at.
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
AT_ONCE = 0.01  # seconds
"""A stub that wants both asks for them within this time; so do a resolver's queries for it come."""
SURE = 0.8
"""So large a part of what a group asks for by IPv6 has to be asked for by IPv4 at once."""
STEP = 1 / 16
"""How much each claim counts in that, at least: the first ones count more."""
PRIOR = 4
"""So many claims, half of them asked for in one go, stand for a group of which nothing is known."""
JUDGED = 0.1  # seconds
"""After this time it is known of a claim of IPv6 whether its client has asked for IPv4 at once."""
MOST_WAITED = 4096
"""Of so many it is known when they waited last for an address of IPv4."""
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
        self._unjudged: deque[Sibling] = deque()
        self._waited: dict[Key, float] = {}
        self._met: set[Sibling] = set()

    def wait(self, target: int, group: Group, now: float) -> None:
        """A query for IPv4 has to wait for an address; whether it gets one or not, it was asked."""
        if len(self._waited) >= MOST_WAITED:
            self._waited.clear()
        self._waited[target, group] = now
        found = self.find(target, group, now)
        if found is not None and now - found.asked <= AT_ONCE:
            self._met.add(found)

    def note(self, target: int, claim: Sibling) -> None:
        """A claim was made just now."""
        key = target, claim.group
        self.recent.setdefault(key, {})[claim] = None
        if claim.asked - self._waited.get(key, -math.inf) <= AT_ONCE:
            self._met.add(claim)
        self._in_order.append((key, claim))
        self._unjudged.append(claim)

    def find(self, target: int, group: Group, since: float) -> Sibling | None:
        """The one of the client who asked for IPv4 at that time, by IPv6, if it is there.

        Args:
            target: What was asked for.
            group: Who asked.
            since: When, in monotonic seconds.
        """
        claims = self.recent.get((target, group))
        return None if claims is None else _nearest(islice(reversed(claims), PROBES), since)

    def accompany(self, claim: Claim) -> bool:
        """Find the sibling of a claim of IPv4 that was made just now; returns whether its client has surely come."""
        found = self.find(claim.reservation.service.target, claim.group, claim.asked)
        if found is None:
            return False
        join(found, claim)
        return has_come(claim) and is_sure(claim)

    def forget(self, *, now: float) -> None:
        """Forget those that were made too long ago; whether they were two by two, is learned of their groups."""
        while self._unjudged and self._unjudged[0].asked + JUDGED <= now:
            self._judge(self._unjudged.popleft())
        while self._in_order and self._in_order[0][1].asked + 2 * TOGETHER <= now:
            key, claim = self._in_order.popleft()
            claims = self.recent[key]
            del claims[claim]
            if not claims:
                del self.recent[key]

    def _judge(self, claim: Sibling) -> None:
        """Learn of a group whether its clients ask for both at once."""
        group, is_pair = claim.group, claim in self._met or _is_at_once(claim)
        self._met.discard(claim)
        group.asked6 += 1
        group.pairs += (is_pair - group.pairs) * max(STEP, 1 / (group.asked6 + PRIOR))


def elder(service: Service, group: Group, now: float) -> Claim | None:
    """The claim of IPv4 of the client who asks by IPv6 now, if it is there."""
    told = group.told.last(service.name)
    last: Claim | None = told
    if last is None or last.created < now - TOGETHER or last.reservation.service.target != service.target:
        return None
    beside = islice(reversed(last.reservation.claims.values()), PROBES)
    claims = (claim for claim in chain((last,), beside) if claim.group is group and not claim.is_hold)
    return _nearest(claims, now)


def is_sure(claim: Sibling) -> bool:
    """Whether a claim and its sibling are one client's."""
    return _is_at_once(claim) and claim.group.pairs >= SURE


def has_come(claim: Sibling) -> bool:
    """Whether somebody has come for the sibling of a claim: then nobody need come for it."""
    return claim.sibling is not None and claim.sibling.came_at > -math.inf


def _is_at_once(claim: Sibling) -> bool:
    return claim.sibling is not None and abs(claim.asked - claim.sibling.asked) <= AT_ONCE


def join(one: Sibling, other: Sibling) -> None:
    """Two claims are siblings from now on; those that they had before are too far away, and have none."""
    for claim in (one, other):
        if claim.sibling is not None:
            claim.sibling.sibling = None
    one.sibling, other.sibling = other, one


def _nearest(claims: Iterable[Each], since: float) -> Each | None:
    """Of some claims the one that was asked for nearest to a time, unless it has a sibling that is nearer; or none.

    Where one of two that were asked for at once has come, both are settled, and nobody else's.
    """
    found, least = None, math.nextafter(TOGETHER, math.inf)
    for claim in claims:
        gap = abs(claim.asked - since)
        if gap < least and (claim.pending or (gap <= AT_ONCE and not _is_at_once(claim))):
            sibling = claim.sibling
            if sibling is None or abs(sibling.asked - claim.asked) > gap:
                found, least = claim, gap
    return found

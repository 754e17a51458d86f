"""Claims of both families that are one client's: who asks for IPv4 and IPv6 comes by one of them.

Theory of operation. Those that one group makes for one target within a second are *siblings*, whichever is asked for
first, two by two, the nearest ones together: a resolver has many clients, and each asks for both at about the same
time. The first packet for either settles both: what becomes of the other one is nobody's merit or fault, and it ends
early if it is *sure* to be his. So a client who comes by IPv6 holds an IPv4 address for no longer than his packet
takes. Should he fall back to the other family, he is let in as long as its address stands with his host.

Two clients who ask for one family each, of the same host and at the same time, look like one. If the claim of the one
ended when the other came, he would find another host at his address. So sure is only what was asked for in one go, as
stubs do that want both, and only of groups whose clients were seen to ask so: nearly all that such a group asks for by
IPv6, it asks for by IPv4 within a few milliseconds; of others, that is chance. Whom it is held against that nobody came
does not depend on it: nobody is blamed for a claim whose sibling was used, nor before it is known whether it is.

What is asked for after a client came is not his, unless it was asked for at once with the other: on a LAN his packet
may be there before his second question is looked at. But a query for IPv4 may wait, or be refused and asked again; then
the claim that comes of it at last is the sibling of what was asked for with it.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections import deque
from collections.abc import Container, Iterable
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

from realmgw.allocation.claims.paired import Sibling

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.state import Claim, Reservation
    from realmgw.subscribers.model import Service

TOGETHER = 1.0  # seconds
"""What is asked for within this time of each other is one client's."""
RECENT = 2 * TOGETHER
"""For so long a claim may be found by another one's."""
LONG = 4 * TOGETHER
"""After this time those that may not are let go of, where others for the same are made all the time."""
AGAIN = 4.0  # seconds
"""Who got no address of IPv4 asks again within this time."""
AT_ONCE = 0.01  # seconds
"""A stub that wants both asks for them within this time; so do a resolver's queries for it come."""
SURE = 0.8
"""So large a part of what a group asks for by IPv6 has to be asked for by IPv4 at once."""
STEP = 1 / 16
"""How much each claim counts in that, at least: the first ones count more."""
PRIOR = 4
"""So many claims, half of them asked for in one go, stand for a group of which nothing is known."""
FIRST = 1 / STEP - PRIOR
"""So many count more."""
JUDGED = 0.1  # seconds
"""After this time it is known of a claim of IPv6 whether its client has asked for IPv4 at once."""
MOST_UNANSWERED = 4096
"""Of so many it is known when they asked last for IPv4 in vain."""
MOST_DOUBTED = 256
"""So many claims whose clients may have come by IPv6 are looked at again when more is known of who asked."""
PAIRS = 2
"""So many claims find their siblings when one is made."""
PROBES = 8
"""So many claims at most are looked at for the nearest one, on either side of it."""

Key = tuple[int, "Group"]
"""A target, and who asked for it."""
Each = TypeVar("Each", bound=Sibling)


class Siblings:
    """The claims of IPv6 of the last seconds. None of them has waited: what was asked for was made at once.

    Attributes:
        recent: They, by target and group, as they were asked for; empty where nobody asks for IPv6. Read only.
    """

    def __init__(self) -> None:
        self.recent: dict[Key, list[Sibling]] = {}
        self._in_order: deque[tuple[Key, Sibling]] = deque()
        self._unjudged: deque[tuple[Key, Sibling]] = deque()
        self._in_vain: dict[Key, float] = {}
        self._unanswered: dict[Key, dict[Sibling, None]] = {}
        self._marked: deque[tuple[Key, Sibling]] = deque()
        self._latest: dict[int, Sibling] = {}
        self._doubted: deque[Sibling] = deque(maxlen=MOST_DOUBTED)

    def get_none(self, target: int, group: Group, now: float) -> None:
        """A query for IPv4 has to wait for an address, or gets none; all the same, it was asked."""
        if len(self._in_vain) >= MOST_UNANSWERED:
            self._in_vain.clear()
        key = target, group
        found = self.find(target, group, now)
        if found is None or now - found.asked > AT_ONCE or found in self._unanswered.get(key, ()):
            self._in_vain[key] = now
        else:
            other, found.sibling = found.sibling, None
            if other is not None:  # it is another client's
                other.sibling = None
            self._mark(key, found)

    def note(self, target: int, claim: Sibling, other: Claim | None) -> Claim | None:
        """A claim was made just now.

        Args:
            target: What was asked for.
            claim: It.
            other: The one of IPv4 that may be its sibling.

        Returns:
            That, unless its client has asked for IPv4 in vain.
        """
        now, key = claim.created, (target, claim.group)
        claims = self.recent.get(key)
        if claims is None:
            self.recent[key] = [claim]
        else:
            if claims[0].created + LONG <= now:
                del claims[: bisect(claims, now - RECENT, key=_asked)]
            claims.append(claim)
        self._latest[target] = claim
        noted = key, claim
        self._in_order.append(noted)
        self._unjudged.append(noted)
        if other is not None and now - other.asked <= AT_ONCE:
            return other
        if not self._in_vain or now - self._in_vain.pop(key, -math.inf) > AT_ONCE:
            return other
        self._mark(key, claim)
        return None

    def find(self, target: int, group: Group, since: float) -> Sibling | None:
        """The one of the client who asked for IPv4 at that time, by IPv6, if it is there.

        Args:
            target: What was asked for.
            group: Who asked.
            since: When, in monotonic seconds.
        """
        key = target, group
        claims = self.recent.get(key)
        if claims is None:
            return None
        last = claims[-1]
        if last.sibling is None and last.pending and 0 <= since - last.asked <= AT_ONCE:
            return last  # as nearly always
        return _nearest(self._near(key, since), since, self._unanswered.get(key, ()))

    def _near(self, key: Key, since: float) -> list[Sibling]:
        """Those that were asked for at about that time, in their order."""
        claims = self.recent.get(key)
        if claims is None:
            return []
        at = bisect(claims, since, key=_asked) if len(claims) > PROBES else PROBES
        return claims[max(0, at - PROBES) : at + PROBES]

    def left_over(self, target: int, claim: Sibling) -> Sibling | None:
        """One whose client may have come by the claim of IPv4 that was another one's sibling."""
        near = self._near((target, claim.group), claim.asked)
        return next((each for each in near if each.pending and not has_come(each)), None)

    def accompany(self, claim: Claim) -> bool:
        """Find the sibling of a claim of IPv4 that was made just now; returns whether its client has surely come."""
        key = claim.reservation.service.target, claim.group
        other: Sibling | None = claim
        for _ in range(PAIRS):  # who loses his to it finds another one, maybe
            other = None if other is None or other.group is not claim.group else self._join(key, other)
        return has_come(claim) and self.is_settled(claim)

    def is_settled(self, claim: Sibling) -> bool:
        """Whether a claim of IPv4 whose sibling was used is surely the same client's; if not, it may be found out."""
        if is_sure(claim):
            return True
        if _is_at_once(claim) and is_of_one_group(claim):
            self._doubted.append(claim)
        return False

    def _join(self, key: Key, claim: Sibling) -> Sibling | None:
        """Find the sibling of a claim of IPv4; returns the one that had it before."""
        found = self.find(*key, claim.asked)
        unanswered = self._unanswered.get(key)
        if unanswered and (found is None or abs(found.asked - claim.asked) > AT_ONCE):  # it is asked for again
            found = next((each for each in islice(unanswered, PROBES) if each.sibling is None), found)
        if found is None:
            self._join_another(key[0], claim)
            return None
        before = found.sibling
        join(found, claim)
        self._answer(key, found)
        return before

    def _join_another(self, target: int, claim: Sibling) -> None:
        """What was asked for by IPv4, at once with the latest by IPv6 of another group, may be its sibling."""
        latest = self._latest.get(target)
        if latest is not None and _may_be_of_one(latest, claim):
            join(latest, claim)

    def _answer(self, key: Key, claim: Sibling) -> None:
        """Who asked for a claim has been answered for IPv4, too, or asks for that no more."""
        unanswered = self._unanswered.get(key)
        if unanswered is not None:
            unanswered.pop(claim, None)
            if not unanswered:
                del self._unanswered[key]

    def forget(self, *, now: float) -> list[Sibling]:
        """Forget those that were made too long ago; whether they were two by two, is learned of their groups.

        Returns:
            Claims of IPv4 that have become surely the same clients' as those of IPv6 that were used.
        """
        known: set[Group] = set()
        unjudged, in_order, recent, latest = self._unjudged, self._in_order, self.recent, self._latest
        while unjudged and unjudged[0][1].created + JUDGED <= now:
            key, claim = unjudged.popleft()
            if self._judge(key, claim):
                known.add(key[1])
        while in_order and in_order[0][1].created + RECENT <= now:
            key, claim = in_order.popleft()
            if recent[key][-1] is claim:
                del recent[key]
            if latest.get(key[0]) is claim:
                del latest[key[0]]
        while self._marked and self._marked[0][1].asked + AGAIN <= now:
            self._answer(*self._marked.popleft())
        while self._doubted and self._doubted[0].asked + AGAIN <= now:
            self._doubted.popleft()
        return [claim for claim in self._doubted if claim.group in known] if known else []

    def _mark(self, key: Key, claim: Sibling) -> None:
        """Who asked for a claim has asked for IPv4 in vain."""
        self._unanswered.setdefault(key, {})[claim] = None
        self._marked.append((key, claim))

    def _judge(self, key: Key, claim: Sibling) -> bool:
        """Learn of a group whether its clients ask for both at once; returns whether that is known by this claim."""
        group, unanswered = claim.group, self._unanswered
        is_pair = claim.sibling is not None and _is_at_once(claim) and is_of_one_group(claim)
        is_pair = is_pair or (bool(unanswered) and claim in unanswered.get(key, ()))
        group.asked6 = asked = group.asked6 + 1
        before = group.pairs
        group.pairs = after = before + (is_pair - before) * (STEP if asked > FIRST else 1 / (asked + PRIOR))
        return before < SURE <= after


def _asked(claim: Sibling) -> float:
    return claim.asked


def elder(service: Service, group: Group, now: float) -> Claim | None:
    """The claim of IPv4 of the client who asks by IPv6 now, if it is there."""
    told = group.told.last(service.name)
    last: Claim | None = told
    if last is None or last.created < now - TOGETHER or last.reservation.service.target != service.target:
        return None
    if last.sibling is None and last.pending and not last.is_hold and now - last.asked <= AT_ONCE:
        return last  # as nearly always
    beside = islice(reversed(last.reservation.claims.values()), PROBES)
    claims = (claim for claim in chain((last,), beside) if claim.group is group and not claim.is_hold)
    return _nearest(claims, now)


def elder_of_another(reservation: Reservation, claim: Sibling) -> Claim | None:
    """The latest claim of IPv4 there, if it may be the sibling of one that another group has asked for by IPv6 now."""
    last = next(reversed(reservation.claims.values()), None)
    return last if last is not None and not last.is_hold and _may_be_of_one(claim, last) else None


def _may_be_of_one(six: Sibling, four: Sibling) -> bool:
    """Whether claims of two groups may be those of one client, whose resolver asks by IPv4 and by IPv6."""
    is_free = six.sibling is None and four.sibling is None and six.pending and four.pending
    return is_free and six.group is not four.group and abs(six.asked - four.asked) <= AT_ONCE


def is_sure(claim: Sibling) -> bool:
    """Whether a claim and its sibling are one client's; of two groups anybody can make it look so."""
    return _is_at_once(claim) and is_of_one_group(claim) and claim.group.pairs >= SURE


def is_of_one_group(claim: Sibling) -> bool:
    """Whether the same group has asked for a claim and its sibling."""
    return claim.sibling is not None and claim.sibling.group is claim.group


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


def _nearest(claims: Iterable[Each], since: float, unanswered: Container[Sibling] = ()) -> Each | None:
    """Of some claims the one that was asked for nearest to a time, unless it has a sibling that is nearer; or none.

    Where one of two that were asked for at once has come, both are settled, and nobody else's.

    Args:
        claims: They.
        since: When the other family was asked for, in monotonic seconds.
        unanswered: Those with which that was asked for, at once, and is answered yet: nobody else's.
    """
    found, least = None, math.nextafter(TOGETHER, math.inf)
    for claim in claims:
        gap = abs(claim.asked - since)
        if gap < least and (gap <= AT_ONCE or not (claim in unanswered or has_come(claim))):
            sibling = claim.sibling
            is_free = claim.pending or ((gap <= AT_ONCE or since < claim.came_at) and not _is_at_once(claim))
            if is_free and (sibling is None or not is_of_one_group(claim) or abs(sibling.asked - claim.asked) > gap):
                found, least = claim, gap
    return found

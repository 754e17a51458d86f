"""What becomes of claims, and whose merit or fault it is.

A claim that was used is good for the group that asked and, if a client was named and is believed,
for that one too. A claim that nobody used is bad for the client, if one was named and is believed: then the group did
its part. Else it is bad for the group. How bad follows from what it has kept from others (`costs`); where that is
nothing, it does not count at all.

Where claims of several groups stand at one address, nobody can tell whose client came: such an outcome is neutral. But
it can be told

- what became of a claim that is bound to a client's network;
- that nobody came for a claim, if nobody came at all since it was made;
- and of several groups, one of which is known for clients that do not come, that they were his who did not come. Else
  who asks for what others ask for would never be found out.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

from realmgw.allocation.claims.crowd import Doubt
from realmgw.allocation.claims.siblings import has_come
from realmgw.allocation.reputation.score import INITIAL
from realmgw.allocation.state import Claim, Reservation

if TYPE_CHECKING:
    from realmgw.allocation.claims.paired import Sibling
    from realmgw.allocation.reputation.group import Group

LONG_WAIT = 0.25  # seconds
"""If a query has waited for so long, and nobody else came for the answer, that says something of its resolver."""
TELLING = 3
"""Where it has waited for less, so many times the part of the time between two such questions."""
MOST_AT_ONCE = 16.0
"""Of queries that waited at one time, so many say each as much as one does."""
ALIKE = 8
"""Ages that differ by no more than this part are as good as the same: the buckets of `Delays` are wider."""
LESSON = 0.001  # seconds
"""After an experienced group has learned from an arrival, it learns from none for so long."""
SUSPECT = 0.3
"""With this standing and below somebody is known for clients that do not come, and with less than a stranger's the more
so the nearer he is to it; only what can be told brings him there."""


def learn(claim: Claim, now: float) -> None:
    """Let a group learn how long after its claim a client came, when it was the only claim there, or all are alike.

    Which of several a packet was meant for nobody can tell, nor need it be known of those that were made at one time,
    as of queries that had waited for the same address. Else a group that has little experience learns the age of the
    youngest: too little at times, but never the age of a claim that nobody will come for, from which the claim timeout
    would grow without end. Where answers are kept, the first client after each tells that alone. One that has much
    learns no more than once in `LESSON`: a thousand a second tell enough.
    """
    group, reservation = claim.group, claim.reservation
    claims = reservation.claims
    latest = next(reversed(claims.values()))
    if not is_first(latest) or not may_teach(claim, now - latest.created, now):
        return
    src = b"" if claim.user is None else claim.user[1][0]
    if len(claims) == 1 or _are_alike(reservation, latest, now):
        group.arrived(now - claim.created, src)
    else:
        youngest = now - latest.created
        oldest = next(iter(claims.values())).group
        if group.inexperienced:
            group.arrived(youngest, src)
        if oldest is not group and oldest.inexperienced:
            oldest.arrived(youngest, src)
    if not group.inexperienced:
        group.learns_at = now + LESSON


def _are_alike(reservation: Reservation, latest: Claim, now: float) -> bool:
    """Whether all claims there are one group's, and nearly as old as the latest: who comes was told at that time."""
    oldest = next(iter(reservation.claims.values()))
    return reservation.shares is None and (latest.created - oldest.created) * ALIKE <= now - latest.created


def learned(group: Group, age: float, src: bytes, now: float) -> None:
    """Let a group learn that a client of its own, and no other, came so many seconds after he was told."""
    group.arrived(age, src)
    if not group.inexperienced:
        group.learns_at = now + LESSON


def may_teach(claim: Claim, age: float, now: float) -> bool:
    """Whether a group may learn from who came for a claim so many seconds after it was told.

    Where others than the group's clients may come without a claim, nobody teaches that these take longer than was seen.
    """
    return age <= claim.group.slowest or not may_be_others(claim, now)


def is_first(claim: Claim) -> bool:
    """Whether who comes for a claim is the first one since it was made, where others come for the same answer."""
    habits = claim.group.habits
    return habits.is_plain or not habits.keeps_answers or claim.reservation.address.came_at < claim.created


def may_be_others(claim: Claim, now: float) -> bool:
    """Whether who comes for a claim may have been told of it by somebody else, who keeps answers, or is taken to.

    His clients come whenever they like, and use what was left over, however old it is.
    """
    address, host = claim.reservation.address, claim.reservation.service.host.index
    return any(each is not claim.group for each in address.may_come(host, now))


def used(claim: Claim, most: int, now: float, *, learns: bool = True) -> None:
    """Count that the client of a claim, which is still there, has come.

    Args:
        claim: It.
        most: How many such claims at most speak for the group.
        now: The present, in monotonic seconds.
        learns: Whether it tells how soon the group's clients come.
    """
    if learns and now >= claim.group.learns_at:
        learn(claim, now)
    if claim.reservation.shares is None:
        praise(claim, 1.0, most, now)
        return
    praise(claim, merit(claim), most, now)
    if claim.network is None:
        claim.reservation.doubtful = now


def merit(claim: Claim) -> float:
    """How sure it is that a client who came is this claim's, and not another group's who expects one there, 0 to 1."""
    if is_apart(claim):
        return 1.0
    shares = claim.reservation.shares or {}
    others = [group.standing for group in islice(shares, 9) if group is not claim.group]
    return suspicion(max(others, default=INITIAL))


def praise(claim: Sibling, sure: float, most: int, now: float) -> None:
    """The client of a claim has come: whose merit that is.

    Args:
        claim: It.
        sure: How sure it is that he was its client, 0 to 1.
        most: How many such claims at most speak for the group.
        now: The present, in monotonic seconds.
    """
    group = claim.group
    if claim.client is not None:
        claim.client.used(group, sure, now=now)
        return
    reputation = group.reputation
    is_new = now >= reputation.until
    if is_new:
        reputation.advance(now)
    if sure and (claim.unproven or not group.word.own.is_nothing):
        group.word.kept(most, claim.created, now, claim.unproven)
    reputation.ok += sure
    if sure < 1.0:
        reputation.neutral += 1 - sure
    if is_new:
        group.counted(now)


def doubt_of(claim: Claim, now: float, *, learns: bool) -> Doubt:
    """What is not known of a claim that is used now, while the gateway is alarmed.

    Args:
        claim: It.
        now: The present, in monotonic seconds.
        learns: Whether it tells how soon the group's clients come.
    """
    claims = claim.reservation.claims
    latest = next(reversed(claims.values()))
    told = latest.created if learns and is_first(latest) else math.inf
    alone = told < math.inf and (len(claims) == 1 or _are_alike(claim.reservation, latest, now))
    return Doubt(alone, merit(claim), fault(claim), may_be_others(claim, now), latest=told)


def _told(claim: Claim, doubt: Doubt) -> float:
    """When the client was told who came for a claim that was doubted, in monotonic seconds; infinity: it is not clear.

    A group that has little experience learns from the youngest of several claims, as in `learn`.
    """
    if doubt.alone:
        return claim.created
    is_user = claim.user is not None and claim.user[0] == doubt.came
    return doubt.latest if claim.group.inexperienced and is_user else math.inf


def judge(claim: Claim, doubt: Doubt, most: int, cost: float, now: float) -> None:
    """Count what became of a claim that was used while the gateway was alarmed, now that its time is over.

    Args:
        claim: It.
        doubt: What was found out: answered is merit, unanswered is as if nobody had come, and in between is neutral.
        most: As for `used`.
        cost: What it has cost others if nobody has come, 0 to 1.
        now: The present, in monotonic seconds.
    """
    group = claim.group
    if doubt.came is not None and now >= group.learns_at:
        age = doubt.came - _told(claim, doubt)
        if age >= 0.0 and (age <= group.slowest or not doubt.shared):
            learned(group, age, doubt.client, now)
    if doubt.came is None and doubt.unclear:
        voided(claim, now)
    elif doubt.came is None:
        _blame(claim, 0.0 if has_come(claim) else cost, doubt.fault, now)
    else:
        praise(claim, doubt.merit, most, now)


def is_apart(claim: Claim) -> bool:
    """Whether no other group's client can have been meant with what became of a claim."""
    return claim.reservation.shares is None or claim.network is not None


def certainty(claim: Claim) -> float:
    """How sure it is that it was this claim's client who did not come, 0 to 1."""
    return 1.0 if claim.reservation.doubtful < claim.created else fault(claim)


def fault(claim: Claim) -> float:
    """The same where somebody came, who may have been another group's."""
    if is_apart(claim):
        return 1.0
    standing = claim.group.standing
    return suspicion(standing) if standing < claim.reservation.address.standing else 0.0


def suspicion(standing: float) -> float:
    """How sure it is that somebody of this standing is one whose clients do not come, 0 to 1."""
    return min(1.0, max(0.0, (INITIAL - standing) / (INITIAL - SUSPECT)))


def lapsed(claim: Sibling, cost: float, sure: float, now: float) -> None:
    """Count that nobody used a claim; while its sibling is pending it is not known yet whether nobody came.

    Args:
        claim: It.
        cost: What it has kept from others, 0 to 1.
        sure: How sure it is that nobody else's client stayed away, 0 to 1.
        now: The present, in monotonic seconds.
    """
    other = claim.sibling
    if other is not None and other.pending:
        claim.held_against = cost, sure
        return
    _blame(claim, cost, sure, now)
    if other is not None and other.held_against is not None:
        _blame(other, *other.held_against, now)
        other.held_against = None


def _blame(claim: Sibling, cost: float, sure: float, now: float) -> None:
    if cost > 0.0:
        blame(claim, cost, sure, now)


def blame(claim: Sibling, cost: float, sure: float, now: float) -> None:
    """The client of a claim has not come: whose fault that is.

    Args:
        claim: It.
        cost: What it has kept from others, 0 to 1.
        sure: How sure it is that nobody else's client stayed away, 0 to 1.
        now: The present, in monotonic seconds.
    """
    group, told = claim.group, cost * sure
    if claim.client is not None:
        claim.client.lapsed(group, cost, sure, now=now)
        return
    word, believed = group.word, False
    if sure:
        believed = claim.unproven and now >= word.doubted_until and not word.is_idle_itself
        word.broken(told, claim.created, now, unproven=claim.unproven)
    # if it is believed, anybody can have sent it, and that is no reason to think ill of the group
    group.count(now, nok=0.0 if believed else told, neutral=cost * (1 - sure))


def voided(claim: Sibling, now: float) -> None:
    """Count that a claim ended for a reason of our own (its host or its address went, or flows did not get through)."""
    claim.group.count(now, neutral=1.0)


def kept(hold: Claim) -> None:
    """A claim that kept an address has ended: what it has to spare goes back, and it is known whether others came."""
    used, reservation = hold.question, hold.reservation
    assert isinstance(used, Claim), "it was made for one"
    used.spare = hold.spare
    others, crowd = hold.user is not None, reservation.crowd
    if others and used.doubt is not None and crowd is not None:
        others = crowd.company > 0  # strangers come as well, but are not answered
    if used.waited and (others or not _are_refused(hold)):
        hold.group.habits.met(others=others, likely=_likely(used, hold.waited), tcp=used.by_tcp)
    if hold is reservation.hold:
        reservation.hold = None


def _likely(used: Claim, waited: float) -> float:
    """How much it says of its resolver that nobody else came for an answer that had to be waited for.

    The longer its query waited, and the sooner it asks for the same name again, the more likely somebody else asked
    meanwhile: up to 1. As much as that says each of several queries that waited at one time, for one client each; but
    the first two, since it may ask by two threads.

    Args:
        used: The first claim that was used.
        waited: For how many seconds those have waited that were used while the address was kept, all told.
    """
    last, before = used.moments
    likely = 1.0
    if used.waited < LONG_WAIT:
        likely = min(1.0, TELLING * used.waited / (last - before)) if last > before > -math.inf else 0.0
    return likely * max(1.0, min(MOST_AT_ONCE, waited / used.waited - 1))


def _are_refused(hold: Claim) -> bool:
    """Whether further clients are taken for such as come too late for the host before, and so are not seen."""
    reservation = hold.reservation
    return bool(reservation.address.formers(reservation.service.host.index, hold.deadline))

"""What becomes of claims, and whose merit or fault it is.

A claim that was used is good for the group that asked and, if a client was named and is believed,
for that one too. A claim that nobody used is bad for the client, if one was named and is believed: then the group did
its part. Else it is bad for the group.

Where claims of several groups stand at one address, nobody can tell whose client came: such an outcome is neutral. But
it can be told

- what became of a claim that is bound to a client's network;
- that nobody came for a claim, if nobody came at all since it was made;
- and of several groups, one of which is known for clients that do not come, that they were his who did not come. Else
  who asks for what others ask for would never be found out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.allocation.candidates import Doubt
    from realmgw.allocation.group import Group
    from realmgw.allocation.state import Claim

CREDIT_MOST = 20
"""So many claims that were used at most speak for a group that is taken at its word, in a small pool."""
CREDIT_SHARE = 4
"""In a larger one, one for each so many addresses: where thousands of clients come a second, some dozens of them may
stay away at once, and what is lost by believing that is a sixteenth of the pool."""
PRICE = 4
"""So many of them one speaks against that nobody used; with more than one in five it is not taken at its word."""
DOUBT = 60.0  # seconds
"""For so long, then."""
LESSON = 0.001  # seconds
"""After an experienced group has learned from an arrival, it learns from none for so long."""
SUSPECT = 0.3
"""Below this standing somebody is known for clients that do not come; only what can be told brings him there."""


def learn(claim: Claim, now: float) -> None:
    """Let a group learn how long after its claim a client came, when it was the only claim there.

    Which of several a packet was meant for nobody can tell; a group that has little experience learns the age of the
    youngest then: too little at times, but never the age of a claim that nobody will come for, from which the guard
    would grow without end. One that has much learns no more than once in `LESSON`: a thousand a second tell enough.
    """
    group, claims = claim.group, claim.reservation.claims
    if len(claims) == 1:
        group.arrived(now - claim.created)
    elif group.inexperienced:
        group.arrived(now - next(reversed(claims.values())).created)
    if not group.inexperienced:
        group.learns_at = now + LESSON


def credit_most(size: int) -> int:
    """How many used claims at most speak for a group, by the size of the pool in addresses."""
    return max(CREDIT_MOST, size // CREDIT_SHARE)


def used(claim: Claim, most: int, now: float) -> None:
    """Count that the client of a claim, which is still there, has come.

    Args:
        claim: It.
        most: How many such claims at most speak for the group.
        now: The present, in monotonic seconds.
    """
    if now >= claim.group.learns_at:
        learn(claim, now)
    apart = is_apart(claim)
    _praise(claim, apart=apart, most=most, now=now)
    if not apart:
        claim.reservation.doubtful = now


def _praise(claim: Claim, *, apart: bool, most: int, now: float) -> None:
    """Its client has come: whose merit that is."""
    group = claim.group
    reputation, client = group.reputation, claim.client
    if client is not None:
        client.used(group, apart=apart, now=now)
        return
    if now >= reputation.until:
        reputation.advance(now)
    if claim.bare and group.credit < most:
        group.credit += 1
    if apart:
        reputation.ok += 1
    else:
        reputation.neutral += 1
    if now >= reputation.until:
        group.counted(now)


def judge(claim: Claim, doubt: Doubt, most: int, now: float) -> None:
    """Count what became of a claim that was used while the gateway was alarmed, now that its time is over.

    Args:
        claim: It.
        doubt: What was found out: answered is merit, unanswered is as if nobody had come, and in between is neutral.
        most: As for `used`.
        now: The present, in monotonic seconds.
    """
    group = claim.group
    if doubt.came is not None and doubt.alone and now >= group.learns_at:
        group.arrived(doubt.came - claim.created)
        if not group.inexperienced:
            group.learns_at = now + LESSON
    if doubt.came is None and doubt.unclear:
        voided(claim, now)
    elif doubt.came is None:
        _blame(claim, told=doubt.apart, now=now)
    else:
        _praise(claim, apart=doubt.apart, most=most, now=now)


def is_apart(claim: Claim) -> bool:
    """Whether no other group's client can have been meant with what became of a claim."""
    return claim.reservation.shares is None or claim.network is not None


def is_told(claim: Claim) -> bool:
    """Whether it can be told that it was this claim's client who did not come."""
    reservation, group = claim.reservation, claim.group
    if is_apart(claim) or reservation.doubtful < claim.created:
        return True
    return group.standing < SUSPECT and group.standing < reservation.address.standing


def lapsed(claim: Claim, now: float) -> None:
    """Count that nobody used a claim, which is still there.

    Args:
        claim: It.
        now: The present, in monotonic seconds.
    """
    _blame(claim, told=is_told(claim), now=now)


def _blame(claim: Claim, *, told: bool, now: float) -> None:
    """Its client has not come: whose fault that is."""
    group = claim.group
    if claim.client is not None:
        claim.client.lapsed(group, apart=told, now=now)
        return
    reputation = group.reputation
    if now >= reputation.until:
        reputation.advance(now)
    if claim.bare and now >= group.doubted_until:
        _doubt(group, now)
    elif told:
        reputation.nok += 1
    else:
        reputation.neutral += 1
    if now >= reputation.until:
        group.counted(now)


def _doubt(group: Group, now: float) -> None:
    """Nobody came for a query that anybody can have sent in a group's name.

    That does not harm its good name, or whoever knows its address could. But after too many of them it is no longer
    taken at its word.
    """
    group.credit -= PRICE
    if group.credit < 0:
        group.credit = 0
        group.doubted_until = now + DOUBT
        if group.heir is not None:
            group.heir.doubted_until = now + DOUBT


def voided(claim: Claim, now: float) -> None:
    """Count that a claim ended for a reason of our own (its host or its address went, or flows did not get through)."""
    reputation = claim.group.reputation
    if now >= reputation.until:
        reputation.advance(now)
    reputation.neutral += 1
    if now >= reputation.until:
        claim.group.counted(now)

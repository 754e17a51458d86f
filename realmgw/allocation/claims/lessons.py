"""What a claim says of the group that asked, beside what that was told before, and what follows for older claims."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from realmgw.allocation.claims.keepers import keeps_long
from realmgw.allocation.claims.used import keep_used
from realmgw.allocation.formers import TOLD
from realmgw.allocation.reputation.caution import LEAST
from realmgw.allocation.reputation.delays import APART
from realmgw.allocation.reputation.told import Probing, Told
from realmgw.allocation.state import UNLIMITED, Claim, Reservation

if TYPE_CHECKING:
    from realmgw.allocation.claims.books import Books
    from realmgw.allocation.reputation.group import Group

SHORTER = 0.8
"""By less than this, claims that stand for long are not shortened: to look at all of them costs something."""


def compare(ledger: Books, claim: Claim, reservation: Reservation, group: Group, now: float) -> None:
    """See what a claim, made there for a group, says of the pool, and of the group beside what that was told before."""
    pool, name, its, told, habits = ledger.pool, reservation.service.name, reservation.told, group.told, group.habits
    its[group] = now
    if len(its) > TOLD:
        reservation.forget_told()
    if pool.waiting >= pool.ample:
        ledger.costs.scarce_at = now
    before = told.note(name, claim, now)
    if before is None or now >= habits.learns_at or before.reservation is not reservation or not habits.is_plain:
        if claim.is_long:
            ledger.keepers.note(group, now)
        else:
            ledger.modest.note(group, now)
        is_less_known = before is not None and _compare(before, claim, now)
        if before is None and ledger.settings.caution and pool.size >= LEAST:
            habits.asked(now)
        if is_less_known or habits.caution.is_on:
            _expect_less(ledger, group, now)
    if ledger.siblings.recent and ledger.siblings.accompany(claim):
        ledger.end_early(claim, now)
    if not told.is_flat and (probe := told.probe(name, now)) is not None:
        soften(ledger, probe, claim, now)


def _compare(before: Claim, claim: Claim, now: float) -> bool:
    """A group asks again for what it was told a moment before: maybe it is told another address, or had kept none.

    Returns:
        Whether it is known to keep answers, and now for less long than before.
    """
    group, address = claim.group, before.reservation.address
    habits = group.habits
    if address is not claim.reservation.address:
        address.moved = claim if before.is_settled(now) else None
        if address.moved is not None:
            habits.moved(now)
    seen, asked_at = habits.caution.seen, now - claim.waited
    gap = asked_at - before.created
    is_doubted = claim.unproven and group.word.doubted_until > now
    # Looked at in any case: now that it is told, its next question is a new one.
    is_repeated = seen is not None and not is_doubted and seen.repeats(claim.reservation.service.name, asked_at)
    if gap < 0:  # it was asked before that was told
        claim.asked_before, claim.moments = before.asked_before, before.moments
        return False
    if is_doubted:
        return False
    claim.asked_before, span = before.created, math.inf
    if is_repeated:
        claim.moments = before.moments
        return False
    last, earlier = before.moments if before.moments[0] > -math.inf else (before.created, -math.inf)
    apart = APART if group.delays is None else group.delays.apart
    if asked_at - last < apart:  # it may not have had the answer yet
        claim.moments = last, earlier
    else:
        claim.moments, span = (now, last), asked_at - earlier
    return habits.asked_again(gap, group.delay_p999, now, span, claim.waited) and habits.is_known


def asked(ledger: Books, group: Group, name: str, now: float, *, unproven: bool, tcp: bool) -> None:
    """A group asks for what it can be told later only, if it still waits then: that it asks says something now.

    Args:
        ledger: What stands where.
        group: Who asks.
        name: For what.
        now: The present, in monotonic seconds.
        unproven: As `Claim.unproven`.
        tcp: By TCP.
    """
    if group.habits.caution.is_on:
        _expect_less(ledger, group, now)
    seen = group.habits.caution.seen
    if seen is None:
        return
    seen.waits_for(name, now)
    before = group.told.last(name)
    if before is None or (unproven and group.word.doubted_until > now) or seen.repeats(name, now):
        return
    gap, delays = now - before.created, group.delays
    if delays is None or gap > max(delays.apart, delays.quantile(0.0)):  # else it may not have had the answer yet
        group.habits.caution.asked_again(before.created, gap, math.inf, tcp=tcp)


def hung_up(group: Group, name: str, now: float) -> None:
    """A group asked for a name, and did not wait until it was told: if it asks again, it may be for no other client."""
    if (seen := group.habits.caution.seen) is not None:
        seen.hung_up(name, now)


def _expect_less(ledger: Books, group: Group, now: float) -> None:
    """A group was seen to ask again sooner than it was thought to."""
    spell = group.spell
    if spell < SHORTER * group.habits.longest_spell:
        group.habits.longest_spell = spell
        shorten(ledger, group, spell, now)


def repeat(ledger: Books, claim: Probing, group: Group, name: str, now: float) -> None:
    """See what a claim says of its group that was made for a name which has no IPv4 address."""
    if group.told6 is None:
        group.told6 = Told()
    before = group.told6.note(name, claim, now)
    if before is None or now <= before.created or (group.word.doubted_until > now and group.is_unproven(now)):
        return
    habits = group.habits
    if habits.is_plain and now < habits.learns_at:
        return
    if habits.asked_again(now - before.created, group.delay_p999, now) and habits.is_known:
        _expect_less(ledger, group, now)


def came_back(reservation: Reservation, src: bytes, now: float) -> None:
    """Somebody comes again for whom nobody has asked anew; O(used claims that are kept), where that is of interest.

    Args:
        reservation: Where.
        src: Packed address of the sender.
        now: The present, in monotonic seconds.
    """
    if not any(group.habits.watched_until > now for group in reservation.told):
        return
    its = (claim for claim in reversed(reservation.used or ()) if claim.user is not None and claim.user[1][0] == src)
    claim = next(its, None)
    if claim is not None and now - claim.created > claim.group.delay_p999:
        claim.group.habits.came_late()


def soften(ledger: Books, probe: Claim, claim: Claim, now: float) -> None:
    """Hold no address for a probe any more; whoever comes for it all the same is let in as long as he may be.

    Args:
        ledger: What stands where.
        probe: A claim for a name above another one.
        claim: That for the other one, for which its clients come.
        now: The present, in monotonic seconds.
    """
    ledger.counters.probes += 1
    if probe.waited:
        claim.waited += probe.waited
        claim.reservation.waited_at = now
    probe.spare = UNLIMITED
    keep_used(probe, now)
    ledger.end(probe, now)


def shorten(ledger: Books, group: Group, spell: float, now: float) -> None:
    """A group does not keep answers, or its clients do not come, for as long as was thought. O(those).

    Claims that stand for long, and those that keep addresses for others, end that much earlier.

    Args:
        ledger: What stands where.
        group: It.
        spell: For how long after an answer clients may come for it, in seconds.
        now: The present, in monotonic seconds.
    """
    for claim in ledger.deadlines.riders(group):
        if not claim.is_hold and not claim.is_long:
            continue
        dead = until = max(now, claim.created + spell)
        if not claim.is_hold:  # the client of its own may come as late as any
            until = max(until, claim.created + claim.reservation.service.terms.timeout)
            dead = min(until, max(dead, claim.created + group.claim_timeout))
        if until < claim.deadline:
            claim.deadline, claim.dead = until, min(dead, claim.dead)
            ledger.deadlines.add_rider(claim)
            ledger.hold_less(claim.reservation.address, None)
        if claim.is_long and not keeps_long(group, now):
            claim.is_long = False
            ledger.count_long(claim.reservation.address, -1)

"""Claims that keep an address for further clients who were told the same, and those that hold none for anybody."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from realmgw.allocation.claims.state import TOLD, UNLIMITED, Claim, keep_used
from realmgw.allocation.reputation.caution import LEAST, is_settled
from realmgw.allocation.reputation.habits import TOGETHER
from realmgw.subscribers.model import CLAIM_LIFETIME

if TYPE_CHECKING:
    from realmgw.allocation.claims.ledger import Ledger
    from realmgw.allocation.claims.state import Address, Reservation
    from realmgw.allocation.reputation.group import Group

LONG = CLAIM_LIFETIME
"""Where claims stand for longer than this (in seconds), since their group keeps answers, that is one of the places
limited: for so long, anybody's may stand."""
LONG_WAIT = 0.25  # seconds
"""If a query has waited for so long, and nobody else came for the answer, that says something of its resolver."""
PRESENT = 10.0  # seconds
"""Those who do not keep answers count as present for so long after they asked."""
NAMED = 16
"""So many of those who keep answers can be named."""


class Keepers:
    """Those who asked last of all who keep answers for long, to be named."""

    def __init__(self) -> None:
        self._last: dict[Group, float] = {}

    def note(self, group: Group, now: float) -> None:
        """One of them asked, in monotonic seconds."""
        self._last.pop(group, None)  # so that it is put last
        self._last[group] = now
        if len(self._last) > NAMED:
            del self._last[next(iter(self._last))]

    def present(self, now: float) -> Iterator[Group]:
        """Those of whom it is believed still, the latest first."""
        for group in reversed(self._last):
            if keeps_long(group, now):
                yield group


class Modest:
    """Those who asked last of all who do not keep answers."""

    def __init__(self) -> None:
        self.latest: Group | None = None
        self.latest_at = self._others_at = -math.inf
        """When the latest one asked, in monotonic seconds."""

    def turn(self, group: Group) -> None:
        """Another one is the latest from now on."""
        self.latest, self._others_at = group, self.latest_at

    def are_present(self, group: Group, now: float) -> bool:
        """Whether another group than this one asked a moment ago."""
        return now < PRESENT + (self._others_at if group is self.latest else self.latest_at)


def wait_for_others(ledger: Ledger, claim: Claim, now: float, *, others_wait: bool) -> None:
    """Others may have been told what the client of a claim was told, and come yet: keep the address for them.

    So it is where clients were seen to come for answers that were given before. Who waits, lets others wait whose
    clients are quick; slow ones would come too late all the same. Where nothing is known, the address is handed on when
    no other can be had; but not in the moment in which who asked at one time, and is alike, comes together, or they
    would be taken for clients of the next host. (If nothing is suspected, and nobody waits or has waited, this is not
    asked.)

    Args:
        ledger: What stands where.
        claim: That was used, just now.
        now: The present, in monotonic seconds.
        others_wait: For an address.
    """
    group, address = claim.group, claim.reservation.address
    habits = group.habits
    if habits.keeps_answers:
        until = claim.created + habits.window(group.patience, now)
    else:
        is_expected = habits.is_known or (claim.waited and habits.may_coalesce())
        may_be = others_wait and habits.caution.serves_several
        after = habits.company if is_expected else TOGETHER if may_be else 0.0
        until = now + min(after, ledger.settings.company)
        until = min(until, claim.created + (group.patience if group.usual else group.guard))
    host, places = claim.reservation.service.host, ledger.places
    if claim.spare and until > now and (places.has_room(host) or places.are_at(host, address)):
        keep(ledger, claim, until)


def keep(ledger: Ledger, used: Claim, until: float) -> None:
    """Keep the address for others who were told the same as the client who has just come, if it is ours still.

    Args:
        ledger: What stands where.
        used: His claim, which has ended, or the one that keeps the address already; what it has to spare goes over.
        until: For how long, in monotonic seconds.
    """
    reservation, pool = used.reservation, ledger.pool
    courtesy = used if used.courtesy else reservation.courtesy
    if reservation.address.packed not in pool.addresses or reservation.address in pool.leaving:
        return
    if courtesy is None or (courtesy.group is not used.group and courtesy.deadline < until):
        times = used.created, until, until
        courtesy = Claim(reservation, used.group, used, *times, used.network, spare=used.spare, courtesy=True)
        used.spare = 0
        ledger.stand(courtesy)
        ledger.deadlines.add_rider(courtesy)
        reservation.courtesy = courtesy
        if reservation.crowd is not None:
            reservation.crowd.company = 0
    elif courtesy.deadline < until:
        courtesy.created, courtesy.deadline, courtesy.dead = used.created, until, until
        ledger.hold_longer(reservation.address, until)
    if not courtesy.is_long and used.group.habits.keeps_answers and courtesy.deadline - courtesy.created > LONG:
        courtesy.is_long = True
        ledger.count_long(reservation.address, 1)


def ended(courtesy: Claim) -> None:
    """A claim that kept an address has ended: what it has to spare goes back, and it is known whether others came."""
    used, reservation = courtesy.question, courtesy.reservation
    assert isinstance(used, Claim), "it was made for one"
    used.spare = courtesy.spare
    others, crowd = courtesy.user is not None, reservation.crowd
    if others and used.doubt is not None and crowd is not None:
        others = crowd.company > 0  # strangers come as well, but are not answered
    if used.waited and (others or used.waited >= LONG_WAIT):
        courtesy.group.habits.met(others=others)
    if courtesy is reservation.courtesy:
        reservation.courtesy = None


def shorten(ledger: Ledger, group: Group, now: float) -> None:
    """A group does not keep answers for as long as was thought: claims that stand for long end earlier."""
    for claim in ledger.deadlines.riders(group):
        if not claim.courtesy and not claim.is_long:
            continue
        dead = until = max(now, claim.created + group.spell)
        if not claim.courtesy:  # the client of its own may come as late as any
            until = max(until, claim.created + claim.reservation.service.terms.timeout)
            dead = min(until, max(dead, claim.created + group.guard))
        if until < claim.deadline:
            claim.deadline, claim.dead = until, min(dead, claim.dead)
            ledger.deadlines.add_rider(claim)
            ledger.hold_less(claim.reservation.address, None)
        if claim.is_long and group.spell <= LONG:
            claim.is_long = False
            ledger.count_long(claim.reservation.address, -1)


def compare(ledger: Ledger, claim: Claim, reservation: Reservation, group: Group, now: float) -> None:
    """See what a claim, made there for a group, says of the pool, and of the group beside what that was told before."""
    pool, name, its = ledger.pool, reservation.service.name, reservation.told
    its[group] = now
    if len(its) > TOLD:
        reservation.forget_told()
    if pool.waiting >= pool.ample:
        ledger.costs.scarce_at = now
    if claim.is_long:
        ledger.keepers.note(group, now)
    else:
        modest = ledger.modest
        if group is not modest.latest:
            modest.turn(group)
        modest.latest_at = now
    told = group.told
    before = told.note(name, claim, now)
    if before is None:
        if ledger.settings.caution and pool.size >= LEAST:
            group.habits.asked(now)
    elif now >= group.habits.learns_at or before.reservation is not reservation or not group.habits.is_plain:
        _compare(ledger, before, claim, now)
    if not told.is_flat and (probe := told.probe(name, now)) is not None:
        soften(ledger, probe, claim, now)


def _compare(ledger: Ledger, before: Claim, claim: Claim, now: float) -> None:
    """A group asks again for what it was told a moment before: maybe it is told another address, or had kept none."""
    group, address = claim.group, before.reservation.address
    habits = group.habits
    if address is not claim.reservation.address:
        address.moved = claim if is_settled(before, now) else None
        if address.moved is not None:
            habits.moved(now)
    gap = now - claim.waited - before.created
    if gap < 0:  # it was asked before that was told
        claim.asked_before = before.asked_before
        return
    if claim.bare and group.word.doubted_until > now:
        return
    claim.asked_before, span = before.created, gap + before.created - before.asked_before
    if habits.asked_again(gap, group.patience, now, span) and habits.is_known:
        shorten(ledger, group, now)


def soften(ledger: Ledger, probe: Claim, claim: Claim, now: float) -> None:
    """Hold no address for a probe any more; whoever comes for it all the same is let in as long as he may be.

    Args:
        ledger: What stands where.
        probe: A claim for a name above another one.
        claim: That for the other one, for which its clients come.
        now: The present, in monotonic seconds.
    """
    ledger.counters.probes += 1
    claim.waited += probe.waited
    probe.spare = UNLIMITED
    keep_used(probe, now)
    ledger.end(probe, now)


def keeps_long(group: Group, now: float) -> bool:
    """Whether a group is known to keep answers for so long that its claims hold addresses against others."""
    return group.habits.keeps_answers and group.habits.window(group.patience, now) > LONG


def is_too_much(ledger: Ledger, address: Address) -> bool:
    """Whether those who keep answers are told of an address no more, since they have more than their share."""
    share = ledger.pool.size * ledger.settings.keeper_share
    return address.given_up or ledger.kept - ledger.given_up > share


def give_up(ledger: Ledger, address: Address) -> None:
    """Tell those who keep answers of an address no more, until none of their claims stands there."""
    ledger.given_up += not address.given_up
    address.given_up = True


def holds_its_share(ledger: Ledger, group: Group, now: float) -> bool:
    """Whether no further address is to be had for a group that keeps answers, since others want some as well."""
    if not ledger.kept or ledger.kept < ledger.pool.size * ledger.settings.keeper_share:
        return False
    if not group.habits.is_known or not ledger.modest.are_present(group, now):
        return False
    return keeps_long(group, now)

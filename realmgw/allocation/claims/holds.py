"""Claims that keep an address for further clients who were told the same, and those that hold none for anybody."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from realmgw.allocation.claims import lessons
from realmgw.allocation.claims.keepers import keeps_long
from realmgw.allocation.reputation.habits import TOGETHER
from realmgw.allocation.state import Claim

if TYPE_CHECKING:
    from realmgw.allocation.claims.books import Books
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.state import Address


def wait_for_others(
    ledger: Books, claim: Claim, now: float, *, others_wait: bool, is_told_sooner: bool = False
) -> None:
    """Others may have been told what the client of a claim was told, and come yet: keep the address for them.

    So it is where clients were seen to come for answers that were given before. Who waits, lets others wait whose
    clients are quick; slow ones would come too late all the same. Where nothing is known, the address is handed on when
    no other can be had; but not in the moment in which who asked at one time, and is alike, comes together, or they
    would be taken for clients of the next host. (If nothing is suspected, and nobody waits or has waited, this is not
    asked.) Where somebody was told of it sooner, who may come yet, he may just have used the claim of a query that came
    since, whose own client is to come yet.

    Args:
        ledger: What stands where.
        claim: That was used, just now.
        now: The present, in monotonic seconds.
        others_wait: For an address.
        is_told_sooner: Who used it may have been told of it before; see `Latecomers.are_told_sooner`.
    """
    group, reservation = claim.group, claim.reservation
    address, habits = reservation.address, group.habits
    if habits.keeps_answers:
        until = claim.created + habits.window(group.delay_p999, now)
    else:
        is_expected = habits.is_known or (claim.waited and habits.may_coalesce(tcp=claim.by_tcp))
        may_be = others_wait and habits.caution.serves_several and not habits.asks_for_each(tcp=claim.by_tcp)
        after = habits.company if is_expected else TOGETHER if may_be else 0.0
        latest = claim.created + (group.delay_p999 if group.delay_median else group.claim_timeout)
        is_another = is_told_sooner or _may_be_of(reservation.hold, claim)
        if is_another:
            after = math.inf
        if is_another or not is_expected:
            latest = min(latest, claim.created + group.nearly_all)
        until = min(now + min(after, ledger.settings.hold_after_use), latest)
        if reservation.hold is not None and _was_assumed(reservation.hold, group):
            lessons.shorten(ledger, group, group.delay_p999, now)  # each is kept for half a second, else
    host, places = reservation.service.host, ledger.places
    if claim.spare and until > now and (places.has_room(host) or places.are_at(host, address)):
        keep(ledger, claim, until, now)


def _was_assumed(hold: Claim, group: Group) -> bool:
    """Whether an address is kept for clients of a group for as long as was assumed before it was known of these."""
    is_of_old = hold.deadline > hold.created + group.delay_p999 and hold.group is group
    return is_of_old and group.has_just_learned and not group.habits.serves_others


def _may_be_of(hold: Claim | None, claim: Claim) -> bool:
    """Whether somebody who used a claim may be one of those for whom the address is kept, as he had to wait.

    Or the client of a claim that such a one has used, and so on.
    """
    return hold is not None and hold.waited > 0 and not claim.waited and not claim.is_hold


def keep(ledger: Books, used: Claim, until: float, now: float) -> None:
    """Keep the address for others who were told the same as the client who has just come, if it is ours still.

    Args:
        ledger: What stands where.
        used: His claim, which has ended, or the one that keeps the address already; what it has to spare goes over.
        until: For how long, in monotonic seconds.
        now: The present, likewise.
    """
    reservation, pool = used.reservation, ledger.pool
    hold = used if used.is_hold else reservation.hold
    if reservation.address.packed not in pool.addresses or reservation.address in pool.leaving:
        return
    if hold is None or (hold.group is not used.group and hold.deadline < until):
        waited = used.waited or (0.0 if hold is None else hold.waited)
        times = used.created, until, until
        hold = Claim(reservation, used.group, used, *times, used.network, spare=used.spare, is_hold=True, waited=waited)
        used.spare = 0
        ledger.stand(hold)
        ledger.deadlines.add_rider(hold)
        reservation.hold = hold
        if reservation.crowd is not None:
            reservation.crowd.company = 0
    else:
        hold.waited = _waited(hold, used)
    if hold.deadline < until:
        hold.created, hold.deadline, hold.dead = used.created, until, until
        ledger.hold_longer(reservation.address, until)
    if not hold.is_long and keeps_long(used.group, now):
        hold.is_long = True
        ledger.count_long(reservation.address, 1)


def _waited(hold: Claim, used: Claim) -> float:
    """For how many seconds those have waited whom an address is kept for, all told, after one more claim was used.

    Each by how long it may have waited beside the first: who had waited for longer says no more. But for those that
    only may be its group's, since anybody can ask many times in its name, and come for each; and for those that came
    otherwise than the first.
    """
    first = hold.question
    assert isinstance(first, Claim), "it was made for one"
    if hold is used or hold.group is not used.group or used.unproven or used.by_tcp is not first.by_tcp:
        return hold.waited or used.waited
    return hold.waited + min(used.waited, first.waited)


def is_too_much(ledger: Books, address: Address) -> bool:
    """Whether those who keep answers are told of an address no more, since they have more than their share."""
    share = ledger.pool.size * ledger.settings.keeper_share
    return address.given_up or ledger.kept - ledger.given_up > share


def give_up(ledger: Books, address: Address) -> None:
    """Tell those who keep answers of an address no more, until none of their claims stands there."""
    ledger.given_up += not address.given_up
    address.given_up = True


def holds_its_share(ledger: Books, group: Group, now: float) -> bool:
    """Whether no further address is to be had for a group that keeps answers, since others want some as well."""
    if not ledger.kept or ledger.kept < ledger.pool.size * ledger.settings.keeper_share:
        return False
    if not group.habits.is_known or not ledger.modest.are_present(group, now):
        return False
    return keeps_long(group, now)

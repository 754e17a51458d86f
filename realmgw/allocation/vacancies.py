"""Which address is to be had: beside the other services of a host, free, lingering, or dead by experience."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation.claims import holds
from realmgw.allocation.claims.candidates import POLL, PROBES
from realmgw.allocation.pool.circular import may_stand
from realmgw.allocation.state import KEY, Address, Place, Reservation, State

if TYPE_CHECKING:
    from realmgw.allocation.claims.ledger import Ledger
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.trace import Trace
    from realmgw.subscribers.model import Service

AGAIN = 0.25  # seconds
"""An address where clients of those who keep answers may still come is looked at again after so long."""
DUE = 0.8  # seconds
"""Where clients of those who keep answers may come for no longer than this, the address is left to who waits longest:
whoever keeps answers and asks again for what stands there would keep it for as long again, and again."""
SCARCE = 2
"""Where one is wanted for as many services as this part of the pool or more, there is no time to see who comes."""
_FREE = State.FREE  # members of an enum are slow to get at by name
SHORT = 1.0  # seconds
"""For so long after an address was looked for in vain, it is followed which one dies next."""


def beside(ledger: Ledger, service: Service, group: Group, now: float) -> Address | None:
    """The address where other services of its host stand, if this one can stand there as well."""
    home = ledger.home.get(service.host.index)
    if home is None or not home.reservations or not may_stand(home, service.target):
        return None
    return None if home.is_spoilt(service.host.index, group, now) else home


def within(ledger: Ledger, service: Service, group: Group, now: float) -> Address | None:
    """An address where a host's clients are expected already, and this service of it can be as well; nobody for it."""
    host, key = service.host, service.target & KEY
    for address in (ledger.last.get(service.target), ledger.home.get(host.index)):
        if address is None or not ledger.places.are_at(host, address):
            continue
        if not address.is_spoilt(host.index, group, now):
            own = address.reservations.get(key)
            if (not own.claims and own.service.target == service.target) if own else may_stand(address, service.target):
                return address
    return None


def standing(address: Address, service: Service) -> Place:
    """The reservation for a service at an address where it stands or can stand; else that address."""
    return address.reservations.get(service.target & KEY) or address


def told(ledger: Ledger, service: Service, group: Group, now: float) -> Reservation | None:
    """Where a group was told last that a service is, if it stands there still and nobody is expected."""
    claim, leaving, target = group.told.last(service.name), ledger.pool.leaving, service.target
    last = None if claim is None else claim.reservation
    if last is None or last.claims or (leaving and last.address in leaving):
        return None
    stands = last.stands and last.service.target == target
    return last if stands and not last.address.is_spoilt(service.host.index, group, now) else None


def _vacant(
    ledger: Ledger, first: Address | None, service: Service, group: Group, now: float, *, patient: bool, waiting: int
) -> Address | None:
    """The address that is free longest (`first`), else the one that lingers longest, if nobody may still come there.

    For the rest see `obtain`.
    """
    host, pool = service.host.index, ledger.pool
    most = ledger.settings.hold_after_use if waiting * SCARCE < pool.size else 0.0
    seen = now - ledger.dead.unseen(now=now)  # who came since is not looked at yet
    is_clear = first is not None and (not first.doubt or first.state is _FREE) and not first.may_come(host, now)
    if first is not None and is_clear and (seen - first.came_at >= most or not _may_have_company(first, seen, most)):
        return first  # as a rule nobody may still come there
    undoubted = ledger.candidates.undoubted(pool.vacant, host, group, now, patient=patient)
    return next((each for each in undoubted if not _may_have_company(each, seen, most)), None)


def _may_have_company(address: Address, seen: float, most: float) -> bool:
    """Whether others may come yet who were told the same as who came last, since their resolver asked once for all.

    Args:
        address: Where.
        seen: Until then all who came were looked at, in monotonic seconds.
        most: For so many seconds at most after he came.
    """
    since = seen - address.came_at
    if since >= most:
        return False
    for reservation in address.reservations.values():
        for group, told in reservation.told.items():
            if seen < told + group.nearly_all and group.habits.may_have_company(since):
                return True
    return False


def obtain(
    ledger: Ledger,
    service: Service,
    group: Group,
    now: float,
    trace: Trace | None = None,
    *,
    patient: bool,
    waiting: int,
) -> Place | None:
    """The address to lend next for a service; a claim must follow at once.

    Args:
        ledger: What stands where.
        service: For what.
        group: Who asks.
        now: The present.
        trace: Where it is said what was looked at, if it is only tried.
        patient: Addresses are left alone where clients may still come, if those who asked keep answers.
        waiting: For so many services somebody wants one, this one included. Unless they are `SCARCE`, addresses are
            left alone where others may come who were told the same as who came there last.

    Returns:
        That which is free longest, lingers longest, or is dead by experience; what was there is gone, unless it was for
        this same service. None when somebody is expected at every address.
    """
    if ledger.kept and holds.holds_its_share(ledger, group, now):
        return None
    first = ledger.pool.next()
    address = _vacant(ledger, first, service, group, now, patient=patient, waiting=waiting)
    if trace is not None:
        return _tried(ledger, address, service, group, now, trace)
    if address is not first:
        ledger.pool.set_back(address, PROBES)
    address = address or _reclaim(ledger, service, group, now)
    if address is None:
        ledger.short_until = now + SHORT
        return None
    own = address.reservations.get(service.target & KEY)
    if own is not None and own.service.target == service.target:
        return own
    every = list(address.reservations.values())
    if len(every) > 1:
        every.sort(key=lambda each: each.expects_until)  # the one last for whose clients it is too late last
    for reservation in every:
        ledger.remove(reservation, now)
    return address


def _tried(
    ledger: Ledger, found: Address | None, service: Service, group: Group, now: float, trace: Trace
) -> Address | None:
    """What would be lent, where this is vacant, or none."""
    pool = ledger.pool
    if found is not None:
        free = found.state is State.FREE
        trace.how = "free for longest" if free else "lingering for longest: nobody is expected there"
        return found
    linger = "at the addresses that linger, clients may still come for what was told before"
    trace.say(linger if pool.available else "every address is waited at")
    trace.how = "to which nobody comes any more"
    dead = ledger.dead.in_order(pool.in_state(State.WAITING), now=now)
    return next((each for each in dead if not _keeps_until(ledger, each, service, group, now)), None)


def _reclaim(ledger: Ledger, service: Service, group: Group, now: float) -> Address | None:
    """An address that nobody comes to any more, whose claims are over now."""
    dead = ledger.dead
    if not dead.watching:
        dead.watch(ledger.pool.in_state(State.WAITING))
    address = dead.take(now=now)
    while address is not None and (until := _keeps_until(ledger, address, service, group, now)):
        ledger.hold_longer(address, until)
        address = dead.take(now=now)
    if address is not None:
        ledger.counters.reclaimed += 1
        for reservation in list(address.reservations.values()):
            for claim in list(reservation.claims.values()):
                ledger.lapse(claim, now)
    return address


def _keeps_until(ledger: Ledger, address: Address, service: Service, group: Group, now: float) -> float:
    """Until when an address is left alone whose claims are dead by experience, in monotonic seconds; 0.0: it is not.

    Clients may come of those who keep answers, or of who asks, if he does; or the one of a claim that a stranger may
    have used, which holds nothing any more. What still stands there may be no more than what keeps the address for
    company, for a moment: then its clients have come, and who asks may have kept what he was told.
    """
    caution = group.habits.caution
    may_keep = caution.is_likely_to_keep or (caution.is_on and address.is_kept_only)
    if (may_keep and group in address.may_come(service.host.index, now)) or address.is_kept(now):
        return now + AGAIN
    return now + POLL if address.doubt and ledger.candidates.is_doubted(address, now) else 0.0

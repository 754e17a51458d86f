"""Those who wait get addresses as these come free, by what there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation import vacancies
from realmgw.allocation.claims import holds
from realmgw.allocation.claims.ledger import Ledger
from realmgw.allocation.state import KEY
from realmgw.allocation.waiting import Waiter
from realmgw.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Hashable

    from realmgw.allocation.reputation.askers import Askers
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.allocation.state import Address, Place, Reservation
    from realmgw.allocation.waiting import May, WaitingQueue
    from realmgw.subscribers.model import Service

LEAST_WAIT = 1e-6  # seconds
"""What waited at all, waited for so long."""


class Serving:
    """Hands what is to be had to those who wait.

    Args:
        ledger: What stands where.
        queue: Who waits.
        askers: Whose policy bounds all claims together.
    """

    def __init__(self, ledger: Ledger, queue: WaitingQueue, askers: Askers) -> None:
        self._ledger = ledger
        self._queue = queue
        self._askers = askers

    def serve(self, now: float) -> None:
        """Give addresses to those who wait, as long as there are any."""
        ledger = self._ledger
        if not ledger.pool.available and not ledger.dead.due(now=now):
            return
        while self._serve_one(now):
            pass

    def at_once(
        self, service: Service, resolver: Hashable, question: Hashable, *, now: float, client: Requestor | None = None
    ) -> bytes | Reason | None:
        """Serve a query that was told `Reason.EXHAUSTED`, if nobody who waits may have what it would have.

        Those were served just before. Who waits still, may wait for what he is told nothing of at this moment (see
        `Caution.withholds`), and keeps the addresses that there are from nobody else.

        Args:
            service: As for `Allocator.ask`.
            resolver: Likewise.
            question: Likewise.
            now: Likewise.
            client: Likewise.

        Returns:
            The packed address to answer with; None, and nothing is changed, if it has to wait; a reason, which is
            counted, if it is refused for good.
        """
        queue, ledger, group, load = self._queue, self._ledger, self._askers.groups.of(resolver), self._askers.load
        if not (queue.size and queue.has_room and ledger.pool.available and ledger.places.has_room(service.host)):
            return None
        if queue.waits_for(service.target) or ledger.expected.get(service.target):
            return None
        if load is None:
            group.weigh(now)
        elif load.waits_in_vain(group, client, now):
            return None
        told: list[bytes | Reason] = []
        query = Waiter(service, group, question, told.append, now, now, client, group.is_unproven(now), at_once=True)
        queue.join(query)
        self.serve(now)
        if not told:
            queue.hang_up(service.target, question, query.deliver)
        return told[0] if told else None

    def _serve_one(self, now: float) -> bool:
        """Have one host's queries wait no more; who may have no address for now, keeps it from nobody else."""
        known: dict[tuple[Group, int], bool] = {}

        def may(waiter: Waiter) -> bool:
            if waiter.not_before > now and not self._has_come(waiter):
                return False
            if waiter.group.habits.is_plain:
                return True
            key = waiter.group, waiter.service.target
            answer = known.get(key)
            if answer is None:
                answer = known[key] = self._may_be_told(waiter, now)
            return answer

        is_any, is_behind = True, False
        for first in self._queue.heads(may, now=now):
            if not (is_behind and self._leaves_soon(first.service, now)) and self._serves(first, may, is_any, now):
                return True
            is_behind = True
            is_any = is_any and not first.group.habits.is_plain  # what others may still come to, may be had by him
        return False

    def _may_be_told(self, waiter: Waiter, now: float) -> bool:
        """Whether a group may have an address of a host now, as far as it may keep answers."""
        group, service = waiter.group, waiter.service
        group.habits.look(now)
        if group.habits.caution.withholds(service.target, now):
            return False
        where = self._ledger.last.get(service.target) or self._ledger.home.get(service.host.index)
        return not (_own_may_come(where, waiter, now) or holds.holds_its_share(self._ledger, group, now))

    def _leaves_soon(self, service: Service, now: float) -> bool:
        """Whether a service stands where nobody is expected, and clients may come for a moment only; see `DUE`.

        Where addresses are `SCARCE` none is left alone.
        """
        if self._queue.targets * vacancies.SCARCE >= self._ledger.pool.size:
            return False
        last = self._ledger.last.get(service.target)
        own = None if last is None else last.reservations.get(service.target & KEY)
        return own is not None and not own.claims and now < own.expects_until < now + vacancies.DUE

    def _has_come(self, waiter: Waiter) -> bool:
        """Whether the client of a query has come by IPv6."""
        sibling = self._ledger.siblings.find(waiter.service.target, waiter.group, waiter.since)
        return sibling is None or not sibling.pending

    def _serves(self, first: Waiter, may: May, is_any: bool, now: float) -> bool:
        service, queue = first.service, self._queue
        if not self._room():
            self._refuse(queue.leave(service.target), Reason.CLAIM_LIMIT)
            return True
        if self._ledger.places.has_room(service.host):
            place = self._own(first, now)
            if place is None and is_any:
                place = vacancies.obtain(
                    self._ledger, service, first.group, now, patient=first.has_time(now), waiting=queue.targets
                )
        else:
            within = vacancies.within(self._ledger, service, first.group, now)
            if within is None:
                self._refuse(queue.leave(service.target), Reason.HOST_LIMIT)
                return True
            place = vacancies.standing(within, service)
        if place is None:
            return False
        reservation = self._ledger.at(place, service, first.group)
        room = self._room()  # claims may just have been reclaimed
        address = reservation.address

        def may_join(waiter: Waiter) -> bool:
            return waiter is first or (may(waiter) and not _own_may_come(address, waiter, now))

        waiters = queue.leave(service.target, may_join)
        self._lend(reservation, waiters[:room], now)
        self._refuse(waiters[room:], Reason.CLAIM_LIMIT)
        return True

    def _room(self) -> int:
        """How many more claims there may be of those who wait, for all hosts together."""
        policy, waiting = self._askers.load, self._queue.size
        return waiting if policy is None else max(0, int(min(waiting, policy.room(self._ledger.counters.pending))))

    def _refuse(self, waiters: list[Waiter], reason: Reason) -> None:
        for waiter in waiters:
            self._ledger.counters.refused[reason] += 1
            waiter.tell(reason)

    def _own(self, first: Waiter, now: float) -> Place | None:
        """Where the host was last, if nobody is expected there, or where other services of it stand."""
        service = first.service
        last = self._ledger.last.get(service.target)
        if last is not None and not last.claims and not last.is_spoilt(service.host.index, first.group, now):
            return vacancies.standing(last, service)
        return vacancies.beside(self._ledger, service, first.group, now)

    def claim_again(
        self,
        where: Reservation,
        group: Group,
        question: Hashable,
        client: Requestor | None,
        now: float,
        latest: float,
    ) -> bytes:
        """As `Ledger.claim`, for a group that may have waited for the same in vain a moment before."""
        waited, by_tcp = self._queue.waited_before(where.service.target, group, now)
        packed = self._ledger.claim(where, group, question, client, now, latest, waited)
        claim = where.claims.get(question)
        if claim is not None:  # else its client has come by IPv6
            claim.by_tcp = by_tcp
        return packed

    def _lend(self, reservation: Reservation, waiters: list[Waiter], now: float) -> None:
        for waiter in waiters:  # all of them, before anybody is told and may come back with more
            group, service, waited = waiter.group, waiter.service, 0.0
            if not waiter.at_once:
                self._ledger.counters.served += 1
                reservation.waited_at, waited = now, max(now - waiter.since, LEAST_WAIT)
            if reservation.service is not service:
                self._ledger.rename(reservation, service)
            self._ledger.claim(reservation, group, waiter.question, waiter.client, now, waited=waited)
            claim = reservation.claims.get(waiter.question)
            if claim is not None:  # else its client has come by IPv6
                claim.unproven, claim.by_tcp = waiter.unproven, waiter.tcp
        for waiter in waiters:
            waiter.tell(reservation.address.packed)


def _own_may_come(address: Address | None, waiter: Waiter, now: float) -> bool:
    """Whether clients of his own group may still come to an address for another host, which was there before his."""
    if address is None or not address.reservations:
        return False
    return waiter.group in address.formers(waiter.service.host.index, now)

"""Those who wait get addresses as these come free, by what there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation import courtesies, vacancies
from realmgw.allocation.ledger import Ledger
from realmgw.allocation.state import KEY
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.allocation.askers import Askers
    from realmgw.allocation.state import Reservation
    from realmgw.allocation.waiting import Waiter, WaitingQueue


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

    def _serve_one(self, now: float) -> bool:
        """Have one host's queries wait no more; who may have no address for now, keeps it from nobody else."""
        for first in self._queue.heads(now=now):
            if self._serves(first, now):
                return True
            if not courtesies.holds_its_share(self._ledger, first.group, now):
                return False  # there is none
        return False

    def _serves(self, first: Waiter, now: float) -> bool:
        service, queue = first.service, self._queue
        if not self._room():
            self._refuse(queue.leave(service.target), Reason.CLAIM_LIMIT)
            return True
        if self._ledger.places.has_room(service.host):
            reservation = self._vacancy(first, now)
        else:
            within = vacancies.within(self._ledger, service, now)
            if within is None:
                self._refuse(queue.leave(service.target), Reason.HOST_LIMIT)
                return True
            reservation = vacancies.placed(self._ledger, within, service, first.group)
        if reservation is None:
            return False
        room = self._room()  # claims may just have been reclaimed
        waiters = queue.leave(service.target)
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
            waiter.deliver(reason)

    def _vacancy(self, first: Waiter, now: float) -> Reservation | None:
        """Where the host was last, if nobody is expected there, else what is to be had."""
        service = first.service
        last = self._ledger.last.get(service.target)
        if last is not None and not last.claims and not last.is_spoilt(service.host.index, now):
            return last.reservations.get(service.target & KEY) or self._ledger.settle(last, service, first.group)
        beside = vacancies.beside(self._ledger, service, now)
        if beside is not None:
            return self._ledger.settle(beside, service, first.group)
        return vacancies.obtain(self._ledger, service, first.group, patient=first.has_time(now), now=now)

    def _lend(self, reservation: Reservation, waiters: list[Waiter], now: float) -> None:
        for waiter in waiters:  # all of them, before anybody is told and may come back with more
            self._ledger.counters.served += 1
            self._ledger.claim(reservation, waiter.group, waiter.question, waiter.client, rides=False, now=now)
            claim = reservation.claims[waiter.question]
            claim.waited, claim.bare = True, waiter.bare
        for waiter in waiters:
            waiter.deliver(reservation.address.packed)

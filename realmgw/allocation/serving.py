"""Those who wait get addresses as these come free, by what there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation.ledger import KEY, Ledger
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.allocation.askers import Askers
    from realmgw.allocation.group import Group
    from realmgw.allocation.state import Reservation
    from realmgw.allocation.waiting import Waiter, WaitingQueue
    from realmgw.subscribers.model import Host, Service


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
        ledger, queue = self._ledger, self._queue
        if not ledger.pool.available and not ledger.dead.due(now=now):
            return
        while (first := queue.first(now=now)) is not None:
            service, reservation, room = first.service, None, 0
            if self._room(service.host):
                reservation = self._vacancy(service, first.group, now)
                if reservation is None:
                    return
                room = self._room(service.host)  # claims of its own may just have been reclaimed
            waiters = queue.leave(service.target)
            if reservation is not None:
                self._lend(reservation, waiters[:room], now)
            for waiter in waiters[room:]:
                waiter.deliver(self._refuse(service.host))

    def _room(self, host: Host) -> int:
        """How many more claims a host may have, and all of them together."""
        own = host.max_claims - self._ledger.pending.get(host.index, 0)
        policy = self._askers.load
        room = own if policy is None else min(own, policy.room(self._ledger.counters.pending))
        return max(0, int(room))

    def _refuse(self, host: Host) -> Reason:
        is_full = self._ledger.pending.get(host.index, 0) >= host.max_claims
        reason = Reason.HOST_LIMIT if is_full else Reason.CLAIM_LIMIT
        self._ledger.counters.refused[reason] += 1
        return reason

    def _vacancy(self, service: Service, group: Group, now: float) -> Reservation | None:
        """Where the host was last, if nobody is expected there, else what is to be had."""
        last = self._ledger.last.get(service.target)
        if last is not None and not last.claims:
            return last.reservations.get(service.target & KEY) or self._ledger.settle(last, service, group)
        return self._ledger.obtain(service, group, now=now)

    def _lend(self, reservation: Reservation, waiters: list[Waiter], now: float) -> None:
        for waiter in waiters:  # all of them, before anybody is told and may come back with more
            self._ledger.counters.served += 1
            self._ledger.claim(reservation, waiter.group, waiter.question, waiter.client, rides=False, now=now)
            reservation.claims[waiter.question].waited = True
        for waiter in waiters:
            waiter.deliver(reservation.address.packed)

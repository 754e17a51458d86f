"""The ledger of claims: what stands where, who is expected, and when it ends.

Every change of a claim or a reservation is made here, so that the counts agree: claims of an address, of a host, and
the state of the address. Nothing here decides; `Allocator` and `Arrivals` do.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Collection, Hashable, Iterable
from itertools import count
from typing import TYPE_CHECKING

from realmgw.allocation import outcomes
from realmgw.allocation.counters import Counters
from realmgw.allocation.group import Group
from realmgw.allocation.pool import Pool
from realmgw.allocation.reclaim import DeadByExperience
from realmgw.allocation.state import Address, Claim, Reservation, State

if TYPE_CHECKING:
    from realmgw.allocation.outage import Outage
    from realmgw.allocation.requestors import Requestor
    from realmgw.config.settings import Allocation, Network
    from realmgw.subscribers.model import Service

KEY = 0xFF_FFFF
"""The part of `Service.target` that is the service key (protocol << 16 | port)."""
LATE = 10.0  # seconds
"""For so long after a service left an address, a packet for it counts as one that came late."""
ROOM = 0.75
"""Below this load an exhausted pool counts as recovered."""


class Ledger:
    """The pool with everything that stands on it.

    Args:
        settings: How the pool is shared out.
        networks: The pool's prefixes.
        outage: Whether flows get through.
    """

    def __init__(self, settings: Allocation, networks: Iterable[Network], outage: Outage) -> None:
        self.settings = settings
        self._outage = outage
        self.pool = Pool(networks)
        self.counters = Counters()
        self.dead = DeadByExperience()
        self._credit_most = outcomes.credit_most(self.pool.size)
        self.expected: dict[int, dict[Group, Reservation]] = {}
        """By target, and by the groups that have claims pending for it: where the last of each group was made."""
        self.last: dict[int, Address] = {}
        """By target: the address that it had last, as long as nobody else had it since."""
        self.pending: dict[int, int] = {}
        """By host index: how many claims are pending."""
        self._expiries: dict[float, deque[Claim]] = {}  # by timeout, so that each is in the order of deadlines
        self._riders: list[tuple[float, int, Claim]] = []  # claims that end before their timeout
        self._lingers: OrderedDict[Reservation, None] = OrderedDict()  # longest first
        self._order = count()

    # Reservations

    def settle(self, address: Address, service: Service, group: Group) -> Reservation:
        """Make a reservation for a service at an address where nothing overlaps; a claim must follow at once."""
        if address.former is not None:
            if address.former != service.target and self.last.get(address.former) is address:
                del self.last[address.former]
            address.former = None
        reservation = Reservation(address, service, group)
        self.pool.place(reservation, service.target & KEY)
        self.last[service.target] = address
        return reservation

    def obtain(self, service: Service, group: Group, *, now: float) -> Reservation | None:
        """A reservation for a service at the address to lend next; a claim must follow at once.

        Returns:
            At the address that is free longest, lingers longest, or is dead by experience; what was there is gone,
            unless it was for this same service. None when somebody is expected at every address.
        """
        address = self.pool.next() or self._reclaim(now)
        if address is None:
            return None
        own = address.reservations.get(service.target & KEY)
        if own is not None and own.service.target == service.target:
            return own
        for reservation in tuple(address.reservations.values()):
            self._remove(reservation, now)
        return self.settle(address, service, group)

    def _reclaim(self, now: float) -> Address | None:
        if not self.dead.watching:
            self.dead.watch(self.pool.in_state(State.WAITING))
        address = self.dead.take(now=now)
        if address is not None:
            self.counters.reclaimed += 1
            for reservation in list(address.reservations.values()):
                for claim in list(reservation.claims.values()):
                    self._lapse(claim, now)
        return address

    def _remove(self, reservation: Reservation, now: float) -> None:
        """Take a reservation without claims from its address."""
        address, target = reservation.address, reservation.service.target
        self.pool.remove(reservation, target & KEY)
        del self._lingers[reservation]
        reservation.used = None  # each would keep the other alive until the collector came
        address.gone_target, address.gone_until = target, now + LATE
        if self.last.get(target) is address:
            del self.last[target]

    # Claims

    def claim(
        self,
        reservation: Reservation,
        group: Group,
        question: Hashable,
        client: Requestor | None,
        *,
        rides: bool,
        now: float,
    ) -> bytes:
        """Expect a client at a reservation.

        Args:
            reservation: Where; its address becomes WAITING.
            group: Who asked.
            question: As what; not pending there.
            client: Who is expected, if that is known and believed.
            rides: The claim ends with the present hold of the address, if the service's timeout is not over before.
            now: The present.

        Returns:
            The packed address.
        """
        address, service = reservation.address, reservation.service
        deadline = now + service.timeout
        if rides and address.hold < deadline:
            deadline = address.hold
        else:
            rides = False
        dead = now + group.guard
        if dead > deadline:
            dead = deadline
        network = None if client is None else client.network
        claim = Claim(reservation, group, question, now, deadline, dead, network, client=client)
        claim.bare = group.passed > 0 and group.proven_at != now
        self.counters.claimed += 1
        self._stand(claim)
        if rides:
            heapq.heappush(self._riders, (deadline, next(self._order), claim))
        elif (expiry := self._expiries.get(service.timeout)) is not None:
            expiry.append(claim)
        else:
            self._expiries[service.timeout] = deque((claim,))
        return address.packed

    def keep(self, used: Claim, spare: int, *, now: float) -> None:
        """Keep the address for others who were told the same as the client who has just come, if it is ours still.

        Args:
            used: His claim, which has ended.
            spare: How many more of them are let in after the next one.
            now: The present.
        """
        if used.reservation.address.packed not in self.pool.addresses:
            return
        until = now + self.settings.company
        claim = Claim(used.reservation, used.group, used, now, until, until, used.network, spare=spare, courtesy=True)
        self._stand(claim)
        heapq.heappush(self._riders, (until, next(self._order), claim))

    def _stand(self, claim: Claim) -> None:
        """Enter a claim everywhere but where it ends."""
        reservation = claim.reservation
        self._expect(reservation, claim.group)
        reservation.claims[claim.question] = claim
        if claim.network is not None:
            reservation.bound += 1
        index = reservation.service.host.index
        self.pending[index] = self.pending.get(index, 0) + 1
        self.counters.pending += 1
        self._hold(reservation.address, claim.group, claim.dead)

    def _expect(self, reservation: Reservation, group: Group) -> None:
        target, claims, shares = reservation.service.target, reservation.claims, reservation.shares
        if not claims:
            reservation.group, reservation.shares = group, None
            if reservation.since is not None:
                reservation.since = None
                del self._lingers[reservation]
        elif shares is not None:
            shares[group] = shares.get(group, 0) + 1
        elif group is not reservation.group:
            reservation.shares = {reservation.group: len(claims), group: 1}
        expected = self.expected.get(target)
        if expected is None:
            self.expected[target] = {group: reservation}
        else:
            expected[group] = reservation

    def _hold(self, address: Address, group: Group, until: float) -> None:
        if not address.claims:
            self.pool.await_client(address)
            address.hold = address.standing = 0.0
        address.claims += 1
        if until > address.hold:
            address.hold = until
            if self.dead.watching:
                self.dead.held(address)
        if group.standing > address.standing:
            address.standing = group.standing

    def use(self, claim: Claim, *, now: float) -> None:
        """End a claim whose client has come; its group learns from that, if it has not just learned."""
        if not claim.courtesy:
            outcomes.used(claim, self._credit_most, now)
        self._end(claim, now)

    def _lapse(self, claim: Claim, now: float) -> None:
        """End a claim that nobody came for; one that has ended already is left alone."""
        if not claim.pending:
            return
        if not claim.courtesy:
            self.counters.lapsed += 1
            excused = claim.created < self._outage.excused_until
            self.counters.excused += excused
            (outcomes.voided if excused else outcomes.lapsed)(claim, now)
        self._end(claim, now)

    def _end(self, claim: Claim, now: float) -> None:
        """Take a claim away; its reservation lingers when it was the last, and so its address."""
        reservation = claim.reservation
        address, index = reservation.address, reservation.service.host.index
        claim.pending = False
        del reservation.claims[claim.question]
        if claim.network is not None:
            reservation.bound -= 1
        left = self.pending[index] - 1
        if left:
            self.pending[index] = left
        else:
            del self.pending[index]
        self.counters.pending -= 1
        address.claims -= 1
        shares = reservation.shares
        if shares is not None and shares[claim.group] > 1:
            shares[claim.group] -= 1
        elif shares is not None or not reservation.claims:
            self._expect_no_more(reservation, claim.group)
        if not reservation.claims:
            reservation.since = now
            self._lingers[reservation] = None
        if not address.claims:
            self.pool.linger(address)
            if self.pool.leaving and address in self.pool.leaving:
                self.retire(address, now=now)
        elif claim.dead >= address.hold:
            self._hold_less(address, next(reversed(reservation.claims.values()), None))

    def _hold_less(self, address: Address, latest: Claim | None) -> None:
        """Find out until when somebody is expected, after a claim went that was dead last, if no other is as late."""
        if latest is not None and latest.dead >= address.hold:
            return
        address.hold = max(
            claim.dead for reservation in address.reservations.values() for claim in reservation.claims.values()
        )
        if self.dead.watching:
            self.dead.held(address)

    def _expect_no_more(self, reservation: Reservation, group: Group) -> None:
        """Note that a group has no claim at a reservation any more."""
        if reservation.shares is not None:
            del reservation.shares[group]
        expected = self.expected.get(reservation.service.target)
        if expected is not None and expected.get(group) is reservation:
            del expected[group]
            if not expected:
                del self.expected[reservation.service.target]

    # What the operator gives and takes away

    def extend(self, networks: Collection[Network]) -> None:
        """Add the addresses of further prefixes; those that were about to leave stay."""
        returning = [address for address in self.pool.within(networks) if address in self.pool.leaving]
        self.pool.extend(networks)
        self._credit_most = outcomes.credit_most(self.pool.size)
        for address in returning:
            self._hold_less(address, None)

    def retire(self, address: Address, *, now: float) -> bool:
        """Take an address out of the pool: at once, or when the last one who is expected there has come.

        Nobody new is sent there in the meantime.

        Returns:
            Whether it is out.
        """
        if address.claims:
            address.hold = math.inf  # it can not be reclaimed for somebody else
        elif address.former is not None and self.last.get(address.former) is address:
            del self.last[address.former]
        for reservation in tuple(address.reservations.values()):
            if reservation.claims:
                self._hide(reservation)
            else:
                self._remove(reservation, now)
        left = self.pool.leave(address)
        self._credit_most = outcomes.credit_most(self.pool.size)
        return left

    def _hide(self, reservation: Reservation) -> None:
        """Let no further claim find a reservation."""
        target = reservation.service.target
        if self.last.get(target) is reservation.address:
            del self.last[target]
        left = {group: one for group, one in self.expected.pop(target, {}).items() if one is not reservation}
        if left:
            self.expected[target] = left

    def dismiss(self, address: Address, *, now: float) -> None:
        """End the claims at an address; that nobody came is nobody's fault."""
        for reservation in tuple(address.reservations.values()):
            for claim in tuple(reservation.claims.values()):
                self._void(claim, now)

    def forget(self, targets: Collection[int], *, now: float) -> None:
        """End the claims and reservations of these targets, which lead nowhere any more."""
        pending = [
            *(claim for expiry in self._expiries.values() for claim in expiry),
            *(ride[2] for ride in self._riders),
        ]
        for claim in pending:
            if claim.pending and claim.reservation.service.target in targets:
                self._void(claim, now)
        for reservation in [each for each in self._lingers if each.service.target in targets]:
            self._linger_no_more(reservation, now)
        for target in targets:
            address = self.last.pop(target, None)
            if address is not None and address.former == target:
                address.former = None

    def _void(self, claim: Claim, now: float) -> None:
        if not claim.courtesy:
            self.counters.voided += 1
            outcomes.voided(claim, now)
        self._end(claim, now)

    # Time

    def expire(self, *, now: float) -> None:
        """End the claims whose deadline is over, and what has lingered long enough.

        After a stall, a claim whose client's packet may still lie in the queue is not over: else its address would be
        handed on, and the packet delivered to somebody else.
        """
        seen = now - self.dead.unseen(now=now)
        for expiry in self._expiries.values():
            while expiry and (not expiry[0].pending or expiry[0].deadline <= seen):
                self._lapse(expiry.popleft(), now)
        while self._riders and (not self._riders[0][2].pending or self._riders[0][0] <= seen):
            self._lapse(heapq.heappop(self._riders)[2], now)
        linger = self.linger()
        while (longest := next(iter(self._lingers), None)) is not None and _end_of(longest, linger) <= now:
            self._linger_no_more(longest, now)
        if self.dead.watching and self.pool.load < ROOM:
            self.dead.rest()

    def _linger_no_more(self, reservation: Reservation, now: float) -> None:
        address, target = reservation.address, reservation.service.target
        was_last = self.last.get(target) is address
        self._remove(reservation, now)
        if not address.reservations:
            self.pool.free(address)
            if was_last:
                address.former = target
                self.last[target] = address

    def linger(self) -> float:
        """How long, in seconds, an address belongs to its host after its last claim, at the present load."""
        full, loaded = self.settings.linger, self.settings.linger_loaded
        crowding = (self.pool.load - 0.5) / 0.4
        return full if crowding <= 0 else loaded if crowding >= 1 else full - (full - loaded) * crowding

    def next_end(self, *, now: float) -> float | None:
        """When something ends next, in monotonic seconds, or None; `expire` was called just before."""
        unseen = self.dead.unseen(now=now)
        times = [expiry[0].deadline + unseen for expiry in self._expiries.values() if expiry]
        times += [self._riders[0][0] + unseen] if self._riders else []
        times += [_end_of(next(iter(self._lingers)), self.linger())] if self._lingers else []
        return min(times) if times else None


def _end_of(reservation: Reservation, linger: float) -> float:
    assert reservation.since is not None, "it lingers"
    return reservation.since + linger

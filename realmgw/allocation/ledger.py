"""The ledger of claims: what stands where, who is expected, and when it ends.

Every change of a claim or a reservation is made here, so that the counts agree: claims of an address, of a host, and
the state of the address. Nothing here decides; `Allocator` and `Arrivals` do.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

from realmgw.allocation import changes, outcomes
from realmgw.allocation.candidates import Answered, Candidates, Doubt
from realmgw.allocation.counters import Counters
from realmgw.allocation.deadlines import Deadlines
from realmgw.allocation.group import Group
from realmgw.allocation.places import Places
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
MOST_CLAIMS = 64
"""So many claims one group has at one reservation; the next one takes the place of its oldest."""
LOOKED_AT = 64
"""Of more claims at an address it is not looked for the one that holds it longest."""
PROBES = 16
"""So many of the oldest claims there are looked at for it."""
SHORT = 1.0  # seconds
"""For so long after an address was looked for in vain, it is followed which one dies next."""
ROOM = 0.75
"""Below this load an exhausted pool counts as recovered."""


class Ledger:
    """The pool with everything that stands on it.

    Args:
        settings: How the pool is shared out.
        networks: The pool's prefixes.
        outage: Whether flows get through.
        answered: Asks conntrack whether a flow is answered; None: nobody can be asked.
    """

    def __init__(
        self, settings: Allocation, networks: Iterable[Network], outage: Outage, answered: Answered | None = None
    ) -> None:
        self.settings = settings
        self._outage = outage
        self.pool = Pool(networks)
        self.counters = Counters()
        self.dead = DeadByExperience()
        self.candidates = Candidates(answered, self.counters)
        self.credit_most = outcomes.credit_most(self.pool.size)
        self.expected: dict[int, dict[Group, Reservation]] = {}
        """By target, and by the groups that have claims pending for it: where the last of each group was made."""
        self.last: dict[int, Address] = {}
        """By target: the address that it had last, as long as nobody else had it since."""
        self.places = Places()
        self.deadlines = Deadlines()
        self._short_until = -math.inf
        self.lingers: OrderedDict[Reservation, None] = OrderedDict()
        """The reservations without pending claims, those that linger longest first."""

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
        address = self.pool.next()
        if address is not None and address.doubt > now and address.state is State.LINGERING:
            address = self.candidates.undoubted(self.pool.lingering, now)
        if address is None:
            address = self._reclaim(now)
        if address is None:
            self._short_until = now + SHORT
            return None
        own = address.reservations.get(service.target & KEY)
        if own is not None and own.service.target == service.target:
            return own
        for reservation in tuple(address.reservations.values()):
            self.remove(reservation, now)
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

    def remove(self, reservation: Reservation, now: float) -> None:
        """Take a reservation without claims from its address."""
        address, target = reservation.address, reservation.service.target
        self.pool.remove(reservation, target & KEY)
        del self.lingers[reservation]
        self.candidates.ask(reservation, now, at_once=True)
        reservation.used = None  # each would keep the other alive until the collector came
        address.gone_target, address.gone_until, address.gone = target, now + LATE, reservation
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
        self._bound(reservation, group, now)
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
            self.deadlines.add_rider(claim)
        else:
            self.deadlines.add(claim, service.timeout)
        return address.packed

    def _bound(self, reservation: Reservation, group: Group, now: float) -> None:
        """Keep the claims of a group at a reservation in bounds: whoever asks without end displaces himself."""
        claims, shares = reservation.claims, reservation.shares
        if len(claims) < MOST_CLAIMS or (shares is not None and shares.get(group, 0) < MOST_CLAIMS):
            return
        oldest = (claim for claim in islice(claims.values(), PROBES) if claim.group is group)
        claim = next(oldest, None)
        if claim is not None:
            self._lapse(claim, now)

    def keep(self, used: Claim, *, until: float, now: float) -> None:
        """Keep the address for others who were told the same as the client who has just come, if it is ours still.

        Args:
            used: His claim, which has ended.
            until: For how long, in monotonic seconds.
            now: The present.
        """
        if used.reservation.address.packed not in self.pool.addresses:
            return
        claim = Claim(used.reservation, used.group, used, now, until, until, used.network, courtesy=True)
        self._stand(claim)
        self.deadlines.add_rider(claim)

    def _stand(self, claim: Claim) -> None:
        """Enter a claim everywhere but where it ends."""
        reservation = claim.reservation
        self._expect(reservation, claim.group)
        reservation.claims[claim.question] = claim
        if claim.network is not None:
            reservation.bound[claim.question] = claim
        self.counters.pending += 1
        self._hold(reservation.address, claim.group, claim.dead)

    def _expect(self, reservation: Reservation, group: Group) -> None:
        target, claims, shares = reservation.service.target, reservation.claims, reservation.shares
        if not claims:
            self.places.take(reservation)
            reservation.group, reservation.shares = group, None
            if reservation.since is not None:
                reservation.since = None
                del self.lingers[reservation]
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
        """End a claim whose client has come; its group learns from that, if it has not just learned.

        While the gateway is alarmed, it may have been a stranger: that is found out later.
        """
        if self.candidates.alarmed_until > now:
            alone, apart = len(claim.reservation.claims) == 1, outcomes.is_apart(claim)
            self.candidates.doubt(claim, Doubt(alone, apart), now)
        else:
            outcomes.used(claim, self.credit_most, now)
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
        address = reservation.address
        claim.pending = False
        del reservation.claims[claim.question]
        if claim.network is not None:
            del reservation.bound[claim.question]
        self.counters.pending -= 1
        address.claims -= 1
        shares = reservation.shares
        if shares is not None and shares[claim.group] > 1:
            shares[claim.group] -= 1
        elif shares is not None or not reservation.claims:
            self._expect_no_more(reservation, claim.group)
        if not reservation.claims:
            self.places.leave(reservation)
            reservation.since = now
            self.lingers[reservation] = None
        if not address.claims:
            self.pool.linger(address)
            if self.pool.leaving and address in self.pool.leaving:
                changes.retire(self, address, now=now)
        elif claim.dead >= address.hold:
            self.hold_less(address, next(reversed(reservation.claims.values()), None))

    def displace(self, reservation: Reservation, *, now: float) -> None:
        """End the claims at a reservation, as if their time was over: others of a better standing need the place."""
        self.counters.displaced += 1
        for claim in tuple(reservation.claims.values()):
            self._lapse(claim, now)

    def hold_less(self, address: Address, latest: Claim | None) -> None:
        """Find out until when somebody is expected, after a claim went that was dead last, if no other is as late."""
        if latest is not None and (latest.dead >= address.hold or address.claims > LOOKED_AT):
            return  # of very many claims, one that is as late is likely there, and it is not worth a look at all
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

    def void(self, claim: Claim, now: float) -> None:
        """End a claim; that nobody came is nobody's fault."""
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
        for claim in self.deadlines.over(seen):
            self._finish(claim, now)
        linger = self.linger()
        while (longest := next(iter(self.lingers), None)) is not None and _end_of(longest, linger) <= now:
            self.linger_no_more(longest, now)
        if self.dead.watching and self.pool.load < ROOM and now >= self._short_until:
            self.dead.rest()

    def _finish(self, claim: Claim, now: float) -> None:
        """The time of a claim is over: if it is pending nobody came, and if it is doubted it is to be judged."""
        if claim.pending:
            self._lapse(claim, now)
        elif claim.doubt is not None and not claim.doubt.counted:
            self.candidates.ask(claim.reservation, now, at_once=True)
            claim.doubt.unclear |= claim.created < self._outage.excused_until
            outcomes.judge(claim, claim.doubt, self.credit_most, now)
            claim.doubt = None

    def linger_no_more(self, reservation: Reservation, now: float) -> None:
        """Forget a lingering reservation; its address is free when it was the last there."""
        address, target = reservation.address, reservation.service.target
        was_last = self.last.get(target) is address
        self.remove(reservation, now)
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
        first = self.deadlines.first()
        times = [] if first is None else [first + self.dead.unseen(now=now)]
        times += [_end_of(next(iter(self.lingers)), self.linger())] if self.lingers else []
        return min(times, default=None)


def _end_of(reservation: Reservation, linger: float) -> float:
    assert reservation.since is not None, "it lingers"
    return reservation.since + linger

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

from realmgw.allocation.claims import changes, courtesies, outcomes
from realmgw.allocation.claims.candidates import Answered, Candidates, Doubt
from realmgw.allocation.claims.costs import Costs
from realmgw.allocation.claims.datagrams import Datagrams, Entries
from realmgw.allocation.claims.deadlines import Deadlines
from realmgw.allocation.claims.ended import EndedFlows, HostAt
from realmgw.allocation.claims.state import KEY, NEVER, UNLIMITED, Address, Claim, Reservation
from realmgw.allocation.counters import Counters
from realmgw.allocation.pool.circular import Pool, stands
from realmgw.allocation.pool.places import Places, Shared
from realmgw.allocation.pool.reclaim import DeadByExperience
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.word import credit_most

if TYPE_CHECKING:
    from realmgw.allocation.claims.outage import Outage
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.config.settings import Allocation, Network
    from realmgw.subscribers.model import Service

LATE = 10.0  # seconds
"""For so long after a service left an address, a packet for it counts as one that came late."""
MOST_CLAIMS = 64
"""So many claims one group has at one reservation; the next one takes the place of its oldest."""
LOOKED_AT = 64
"""Of more claims at an address it is not looked for the one that holds it longest."""
PROBES = 16
"""So many of the oldest claims there are looked at for it."""
SENDERS = 1 << 17
"""So many senders at most are remembered for long, of all reservations together."""
ROOM = 0.75
"""Below this load an exhausted pool counts as recovered."""


class Ledger:
    """The pool with everything that stands on it.

    Args:
        settings: How the pool is shared out.
        networks: The pool's prefixes.
        outage: Whether flows get through.
        answered: Asks conntrack whether a flow is answered; None: nobody can be asked.
        entries: Conntrack, to be asked about flows, and to end them; None: none are ended.
        host_at: Tells whose a private address is; None: flows that have ended are not remembered.
    """

    def __init__(
        self,
        settings: Allocation,
        networks: Iterable[Network],
        outage: Outage,
        answered: Answered | None = None,
        entries: Entries | None = None,
        host_at: HostAt | None = None,
    ) -> None:
        self.configure(settings)
        self._outage = outage
        self.pool = Pool(networks)
        self.counters = Counters()
        self.dead = DeadByExperience()
        self.candidates = Candidates(answered, self.counters)
        self.ended = EndedFlows(settings, host_at)
        self.datagrams = Datagrams(settings, self.pool, self.ended, entries, self.counters)
        self.credit_most = credit_most(self.pool.size)
        self.expected: Shared[Group, Reservation] = Shared()
        """By target, and by the groups that have claims pending for it: where the last of each group was made."""
        self.last: dict[int, Address] = {}
        """By target: the address that it had last, as long as nobody else had it since."""
        self.home: dict[int, Address] = {}
        """By host index: the address where a service of the host was placed last, as long as one stands there."""
        self.places = Places()
        self.costs = Costs(self.places)
        self.deadlines = Deadlines()
        self.remembered = 0
        """How many senders all reservations together remember."""
        self.kept = 0
        """At how many addresses claims stand for long, since their groups keep answers."""
        self.given_up = 0
        """At how many of them no more, since those are more than their share."""
        self.keepers = courtesies.Keepers()
        self.modest = courtesies.Modest()
        self.short_until = -math.inf
        """Until then it is followed which address dies next, since one was looked for in vain; monotonic seconds."""
        self.lingers: OrderedDict[Reservation, float] = OrderedDict()
        """The reservations without pending claims, oldest first, with when they lost the last (monotonic seconds)."""

    def configure(self, settings: Allocation) -> None:
        """From now on, go by these settings."""
        self.settings = settings
        self.spare = settings.claim_sources - 1 if settings.claim_sources else UNLIMITED
        """How many further senders a used claim lets in."""

    # Reservations

    def settle(self, address: Address, service: Service, group: Group) -> Reservation:
        """Make a reservation for a service at an address where nothing overlaps; a claim must follow at once."""
        if address.former is not None:
            if address.former != service.target and self.last.get(address.former) is address:
                del self.last[address.former]
            address.former = None
        shared = self.expected.enter(service.target), self.places.held.enter(service.host.index)
        reservation = Reservation(address, service, group, *shared)
        self.pool.place(reservation, service.target & KEY)
        self.last[service.target] = self.home[service.host.index] = address
        if address.flows:
            self.datagrams.passed(address)
        return reservation

    def remove(self, reservation: Reservation, now: float) -> None:
        """Take a reservation without claims from its address."""
        address, service = reservation.address, reservation.service
        target, index = service.target, service.host.index
        self.pool.remove(reservation, target & KEY)
        del self.lingers[reservation]
        if reservation.crowd is not None:
            self.candidates.ask(reservation, now, at_once=True)
        self.remembered -= len(reservation.sources)
        reservation.used = None  # each would keep the other alive until the collector came
        self.expected.leave(target)
        self.places.leave(index)
        if self.last.get(target) is address:
            del self.last[target]
        if address.reservations and stands(address, index):
            return  # the host is still there
        address.note_former(reservation, now + LATE)
        if self.home.get(index) is address:
            del self.home[index]

    # Claims

    def claim(
        self,
        reservation: Reservation,
        group: Group,
        question: Hashable,
        client: Requestor | None,
        now: float,
        latest: float = NEVER,
        waited: float = 0.0,
    ) -> bytes:
        """Expect a client at a reservation; returns its packed address.

        Args:
            reservation: Where; its address becomes WAITING.
            group: Who asked.
            question: As what; not pending there.
            client: Who is expected, if that is known and believed.
            now: The present.
            latest: The claim ends by then at the latest, as long as its group does not keep answers.
            waited: For how many seconds the question has waited.
        """
        if len(reservation.claims) >= MOST_CLAIMS:
            self._bound(reservation, group, now)
        timeout = reservation.service.terms.timeout
        until = deadline = now + timeout
        if latest < until:
            deadline = latest
        dead, is_long = now + group.guard, False
        if not group.habits.is_plain:
            is_long = courtesies.keeps_long(group, now)
            dead = max(dead, now + group.spell)
            if is_long:
                deadline = max(until, now + group.spell)
        if dead > deadline:
            dead = deadline
        network = None if client is None else client.network
        bare = group.passed > 0 and group.is_bare(now)
        claim = Claim(reservation, group, question, now, deadline, dead, network, client, is_long, bare, waited)
        self.counters.claimed += 1
        self.stand(claim)
        if self.datagrams.passing:
            self.datagrams.look(now=now)
        if deadline == until:
            self.deadlines.add(claim, timeout)
        else:
            self.deadlines.add_rider(claim)
        courtesies.compare(self, claim, reservation, group, now)
        return reservation.address.packed

    def _bound(self, reservation: Reservation, group: Group, now: float) -> None:
        """Keep the claims of a group at a reservation in bounds: whoever asks without end displaces himself."""
        shares = reservation.shares
        if shares is not None and shares.get(group, 0) < MOST_CLAIMS:
            return
        oldest = (claim for claim in islice(reservation.claims.values(), PROBES) if claim.group is group)
        claim = next(oldest, None)
        if claim is not None:
            self.lapse(claim, now)

    def stand(self, claim: Claim) -> None:
        """Enter a claim everywhere but where it ends."""
        reservation, group = claim.reservation, claim.group
        address, claims = reservation.address, reservation.claims
        if claims:
            _join(reservation, group)
        else:
            reservation.held[reservation] = None
            reservation.group, reservation.shares = group, None
            self.lingers.pop(reservation, None)
        reservation.expected[group] = reservation
        claims[claim.question] = claim
        if claim.network is not None:
            reservation.bound = reservation.bound or {}
            reservation.bound[claim.question] = claim
        self.counters.pending += 1
        if claim.is_long:
            self.count_long(address, 1)
        if address.claims:
            address.claims += 1
            self.hold_longer(address, claim.dead)
            if group.standing > address.standing:
                address.standing = group.standing
            return
        self.pool.await_client(address)
        address.claims, address.hold, address.standing = 1, claim.dead, group.standing
        if self.dead.watching:
            self.dead.held(address)

    def count_long(self, address: Address, change: int) -> None:
        """So many more claims stand for long at an address."""
        before = address.long > 0
        address.long += change
        self.kept += (address.long > 0) - before
        if address.given_up and not address.long:
            address.given_up = False
            self.given_up -= 1

    def hold_longer(self, address: Address, until: float) -> None:
        """Somebody is expected at an address until then at least."""
        if until > address.hold:
            address.hold = until
            if self.dead.watching:
                self.dead.held(address)

    def use(self, claim: Claim, now: float) -> None:
        """End a claim whose client has come; its group learns from that, if it has not just learned.

        One that keeps the address for others stays until it has nothing to spare any more. While the gateway is
        alarmed, it may have been a stranger: that is found out later.
        """
        if claim.courtesy:
            claim.spare -= 1
            if claim.spare > 0:
                return
        elif self.candidates.alarmed_until > now:
            alone = len(claim.reservation.claims) == 1 and outcomes.is_first(claim)
            self.candidates.doubt(claim, Doubt(alone, outcomes.merit(claim), outcomes.fault(claim)), now)
        else:
            outcomes.used(claim, self.credit_most, now)
        claim.reservation.address.came_at = now
        self.end(claim, now)

    def lapse(self, claim: Claim, now: float) -> None:
        """End a claim that nobody came for; one that has ended already is left alone."""
        if not claim.pending:
            return
        if not claim.courtesy:
            self.counters.lapsed += 1
            excused = claim.created < self._outage.excused_until
            self.counters.excused += excused
            if excused:
                outcomes.voided(claim, now)
            elif (cost := self.costs.of(claim, now)) > 0.0:
                outcomes.lapsed(claim, cost, now)
        self.end(claim, now)

    def end(self, claim: Claim, now: float) -> None:
        """Take a claim away; its reservation lingers when it was the last, and so its address."""
        reservation = claim.reservation
        address, claims, pool = reservation.address, reservation.claims, self.pool
        claim.pending = False
        if claim.is_long:
            self.count_long(address, -1)
        if claim.courtesy:
            self.candidates.ask(reservation, now, at_once=True)
            courtesies.ended(claim)
        del claims[claim.question]
        if claim.network is not None and reservation.bound is not None:
            del reservation.bound[claim.question]
        self.counters.pending -= 1
        if not claims:
            _expect_no_more(reservation, claim.group)
            del reservation.held[reservation]
            self.lingers[reservation] = now
        elif reservation.shares is not None:
            _part(reservation, reservation.shares, claim.group)
        address.claims = left = address.claims - 1
        if left:
            if claim.dead >= address.hold:
                self.hold_less(address, next(reversed(claims.values()), None))
            return
        pool.linger(address)
        if pool.leaving and address in pool.leaving:
            changes.retire(self, address, now=now)

    def hold_less(self, address: Address, latest: Claim | None) -> None:
        """Find out until when somebody is expected, after a claim went that was dead last, if no other is as late."""
        if address in self.pool.leaving:
            return  # nobody else is to have it
        if latest is not None and (latest.dead >= address.hold or address.claims > LOOKED_AT):
            return  # of very many claims, one that is as late is likely there, and it is not worth a look at all
        address.hold = max(
            claim.dead for reservation in address.reservations.values() for claim in reservation.claims.values()
        )
        if self.dead.watching:
            self.dead.held(address)

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
        while self.lingers and (longest := next(iter(self.lingers.items())))[1] + linger <= now:
            self.linger_no_more(longest[0], now)
        if self.dead.watching and self.pool.load < ROOM and now >= self.short_until:
            self.dead.rest()

    def _finish(self, claim: Claim, now: float) -> None:
        """The time of a claim is over: if it is pending nobody came, and if it is doubted it is to be judged."""
        if claim.pending:
            self.lapse(claim, now)
        elif claim.doubt is not None and not claim.doubt.counted:
            self.candidates.ask(claim.reservation, now, at_once=True)
            claim.doubt.unclear |= claim.created < self._outage.excused_until
            outcomes.judge(claim, claim.doubt, self.credit_most, float(self.costs.was_scarce(claim)), now)
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
        """How long, in seconds, an address belongs to its host after its last claim, at the present load.

        The memory for senders who may come again is a load as well.
        """
        full, loaded = self.settings.linger, self.settings.linger_loaded
        crowding = (max(self.pool.load, self.remembered / SENDERS) - 0.5) / 0.4
        return full if crowding <= 0 else loaded if crowding >= 1 else full - (full - loaded) * crowding

    def next_end(self, *, now: float) -> float | None:
        """When something ends next, in monotonic seconds, or None; `expire` was called just before."""
        first = self.deadlines.first()
        times = [] if first is None else [first + self.dead.unseen(now=now)]
        times += [next(iter(self.lingers.values())) + self.linger()] if self.lingers else []
        return min(times, default=None)


def _part(reservation: Reservation, shares: dict[Group, int], group: Group) -> None:
    """A group has one claim less at a reservation where others stand."""
    shares[group] -= 1
    if not shares[group]:
        del shares[group]
        _expect_no_more(reservation, group)


def _expect_no_more(reservation: Reservation, group: Group) -> None:
    """A group has no claim at a reservation any more."""
    expected = reservation.expected
    if expected.get(group) is reservation:
        del expected[group]


def _join(reservation: Reservation, group: Group) -> None:
    """One more claim is to stand at a reservation beside others."""
    shares = reservation.shares
    if shares is not None:
        shares[group] = shares.get(group, 0) + 1
    elif group is not reservation.group:
        reservation.shares = {reservation.group: len(reservation.claims), group: 1}

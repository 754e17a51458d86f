"""The books: what stands where, who is expected, and until when; every change of a claim or a reservation is made here.

Nothing here decides, or learns; what becomes of claims in time is the ledger's business, which is built on this.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from realmgw.allocation.claims import outcomes
from realmgw.allocation.claims.candidates import Candidates
from realmgw.allocation.claims.costs import Costs
from realmgw.allocation.claims.datagrams import Datagrams, Entries
from realmgw.allocation.claims.deadlines import Deadlines
from realmgw.allocation.claims.ended import EndedFlows, HostAt
from realmgw.allocation.claims.keepers import Keepers, Modest
from realmgw.allocation.claims.siblings import Siblings
from realmgw.allocation.claims.used import keep_used
from realmgw.allocation.counters import Counters
from realmgw.allocation.decisionlog import DecisionLog, End
from realmgw.allocation.flow import Answered, Noted
from realmgw.allocation.homes import Homes
from realmgw.allocation.pool.circular import AMPLE, Pool, stands
from realmgw.allocation.pool.places import Places, Shared
from realmgw.allocation.pool.reclaim import ReclaimHeap
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.word import credit_most
from realmgw.allocation.state import KEY, UNLIMITED, Address, Claim, Place, Reservation

if TYPE_CHECKING:
    from realmgw.allocation.claims.outage import Outage
    from realmgw.config.settings import Allocation, Network
    from realmgw.subscribers.model import Service

LATE = 10.0  # seconds
"""For so long after a service left an address, a packet for it counts as one that came late."""
LOOKED_AT = 64
"""Of more claims at an address it is not looked for the one that holds it longest."""
LOOK_AGAIN = 1.0  # seconds
"""Whether a reservation is to stay, since clients of those who keep answers may come, is looked at no sooner again."""
SENDERS = 1 << 17
"""So many senders at most are remembered for long, of all reservations together."""
NOBODY = Group("")
"""Who has asked for a reservation that has gone."""
NOTHING: dict[Any, Any] = {}
"""Claims, and who expects somebody, of a reservation that has gone; it stays empty."""


class Books:
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
        self.decisions = DecisionLog(settings)
        self.configure(settings)
        self.outage = outage
        self.pool = Pool(networks)
        self.counters = Counters()
        self.dead = ReclaimHeap()
        self.homes = Homes()
        self.candidates = Candidates(answered, self.counters, self.dead.unseen, self.homes)
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
        self.siblings = Siblings()
        self.deadlines: Deadlines[Claim] = Deadlines()
        self.is_closed = False
        """Whether it is by the group that claims let in further senders."""
        self.remembered = 0
        """How many senders all reservations together remember."""
        self.kept = 0
        """At how many addresses claims stand for long, since their groups keep answers."""
        self.given_up = 0
        """At how many of them no more, since those are more than their share."""
        self.keepers = Keepers()
        self.modest = Modest()
        self.short_until = -math.inf
        """Until then it is followed which address dies next, since one was looked for in vain; monotonic seconds."""
        self.noted: Noted | None = None
        """Where every reservation that begins or ends is put down, see `realmgw.allocation.standing`."""
        self.lingers: OrderedDict[Reservation, float] = OrderedDict()
        """The reservations without pending claims, oldest first, with when they lost the last (monotonic seconds)."""

    def configure(self, settings: Allocation) -> None:
        """From now on, go by these settings."""
        self.settings = settings
        self.decisions.configure(settings)
        self.spare = settings.claim_sources - 1 if settings.claim_sources else UNLIMITED
        """How many further senders a used claim lets in."""

    def may_return(self, since: float, now: float) -> bool:
        """Whether somebody who was let in then is let in again."""
        return now - since <= self.linger()

    def spare_of(self, service: Service, group: Group) -> int:  # noqa: ARG002 - at pinholes it matters who asked
        """How many further senders a used claim of a service lets in, by what is said of it."""
        terms = service.terms
        if terms.loose_packet < 0:
            return UNLIMITED
        return self.spare if terms.autobind else self.spare + terms.loose_packet

    # Reservations

    def at(self, place: Place, service: Service, group: Group) -> Reservation:
        """The reservation at a place that was found for a service; a claim must follow at once."""
        return place if isinstance(place, Reservation) else self.settle(place, service, group)

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
        if (noted := self.noted) is not None:
            if not noted:
                noted.begin()
            noted[address.packed, service.target & KEY] = service.terms
        return reservation

    def rename(self, reservation: Reservation, service: Service) -> None:
        """What stands there is asked for by another name, or, after a reload, with other terms; of the same target."""
        is_new = reservation.service.terms != service.terms
        reservation.service = service
        if is_new and (noted := self.noted) is not None:
            if not noted:
                noted.begin()
            noted[reservation.address.packed, service.target & KEY] = service.terms

    def remove(self, reservation: Reservation, now: float) -> None:
        """Take a reservation without claims from its address."""
        address, service = reservation.address, reservation.service
        target, index = service.target, service.host.index
        self.pool.remove(reservation, target & KEY)
        if (noted := self.noted) is not None:
            if not noted:
                noted.begin()
            noted[address.packed, target & KEY] = None
        del self.lingers[reservation]
        if reservation.crowd is not None:
            self.candidates.leave(reservation, now)
        self.remembered -= len(reservation.sources) + len(reservation.older_sources)
        reservation.used = None  # each would keep the other alive until the collector came
        reservation.claims = reservation.expected = reservation.expecting = NOTHING  # who was told of it has it still
        self.expected.leave(target)
        self.places.leave(index)
        if self.last.get(target) is address:
            del self.last[target]
        if address.reservations and stands(address, index):
            address.before.note(index, reservation.told)  # the host is still there
        else:
            address.note_former(reservation, now + LATE)
            if self.home.get(index) is address:
                del self.home[index]
        # Groups remember what they were told: each that is forgotten would keep all others alive of whom that is true.
        reservation.told, reservation.shares, reservation.group = NOTHING, None, NOBODY

    # Claims

    def stand(self, claim: Claim) -> None:
        """Enter a claim everywhere but where it ends."""
        reservation, group = claim.reservation, claim.group
        address, claims = reservation.address, reservation.claims
        if claims:
            _join(reservation, group)
        else:
            reservation.expecting[reservation] = None
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
        address.claims, address.held_until, address.standing = 1, claim.dead, group.standing
        if self.dead.watching:
            self.dead.held(address)

    def end_early(self, claim: Claim, now: float) -> None:
        """The client of a claim has come by the other family: he is expected no more, but let in if he falls back."""
        if claim.pending and not claim.is_hold:
            self.counters.settled += 1
            self.note_end(claim, End.SETTLED, now)
            claim.spare = self.spare_of(claim.reservation.service, claim.group) + 1
            keep_used(claim, now)
            self.end(claim, now)

    def note_end(self, claim: Claim, how: End, now: float) -> None:
        """It is written down how a claim ends that nobody used."""
        self.decisions.end(now, claim.number, claim.reservation.service.name, how)

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
        if until > address.held_until:
            address.held_until = until
            if self.dead.watching:
                self.dead.held(address)

    def end(self, claim: Claim, now: float) -> None:
        """Take a claim away; its reservation lingers when it was the last, and so its address."""
        reservation = claim.reservation
        address, claims, pool = reservation.address, reservation.claims, self.pool
        claim.pending = False
        if claim.is_long:
            self.count_long(address, -1)
        if claim.is_hold:
            self.candidates.ask(reservation, now, at_once=True)
            outcomes.kept(claim)
        question, claim.question = claim.question, None  # let go of while the processor has it
        if claim.network is not None and reservation.bound is not None:
            del reservation.bound[question]
        self.counters.pending -= 1
        del claims[question]
        if claims:
            if reservation.shares is not None:
                _part(reservation, reservation.shares, claim.group)
        else:
            claims.clear()  # what is emptied by `del` grows, and is had from memory again
            expected, group = reservation.expected, claim.group
            if expected.get(group) is reservation:
                del expected[group]
            del reservation.expecting[reservation]
            self.lingers[reservation] = now
        address.claims = left = address.claims - 1
        if left:
            if claim.dead >= address.held_until:
                self.hold_less(address, next(reversed(claims.values()), None))
            return
        pool.linger(address)
        if pool.leaving and address in pool.leaving:
            self.retire(address, now)

    def hold_less(self, address: Address, latest: Claim | None) -> None:
        """Find out until when somebody is expected, after a claim went that was dead last, if no other is as late."""
        if address in self.pool.leaving:
            return  # nobody else is to have it
        if latest is not None and (latest.dead >= address.held_until or address.claims > LOOKED_AT):
            return  # of very many claims, one that is as late is likely there, and it is not worth a look at all
        address.held_until = max(
            claim.dead for reservation in address.reservations.values() for claim in reservation.claims.values()
        )
        if self.dead.watching:
            self.dead.held(address)

    # What lingers, and what leaves

    def linger_on(self, reservation: Reservation, linger: float, now: float) -> None:
        """It has lingered for as long as others may (`linger`, in seconds), and stays; look again after as long."""
        self.lingers.move_to_end(reservation)
        self.lingers[reservation] = now + max(0.0, LOOK_AGAIN - linger)

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
        load = self.remembered / SENDERS
        if self.pool.waiting >= self.pool.ample:  # below that, it is of no account
            load = max(load, self.pool.load)
        crowding = (load - AMPLE) / 0.4
        return full if crowding <= 0.0 else loaded if crowding >= 1.0 else full - (full - loaded) * crowding

    def retire(self, address: Address, now: float) -> bool:
        """Take an address out of the pool: at once, or when the last one who is expected there has come.

        Nobody new is sent there in the meantime.

        Returns:
            Whether it is out.
        """
        if address.claims:
            address.held_until = math.inf  # it can not be reclaimed for somebody else
        elif address.former is not None and self.last.get(address.former) is address:
            del self.last[address.former]
        for reservation in tuple(address.reservations.values()):
            if reservation.claims:
                self._hide(reservation)
            else:
                self.remove(reservation, now)
        left = self.pool.leave(address)
        self.credit_most = credit_most(self.pool.size)
        return left

    def _hide(self, reservation: Reservation) -> None:
        """Let no further claim find a reservation."""
        target = reservation.service.target
        if self.last.get(target) is reservation.address:
            del self.last[target]
        if self.home.get(reservation.service.host.index) is reservation.address:
            del self.home[reservation.service.host.index]
        for group in [each for each, one in reservation.expected.items() if one is reservation]:
            del reservation.expected[group]


def _part(reservation: Reservation, shares: dict[Group, int], group: Group) -> None:
    """A group has one claim less at a reservation where others stand."""
    shares[group] -= 1
    if not shares[group]:
        del shares[group]
        if reservation.expected.get(group) is reservation:
            del reservation.expected[group]


def _join(reservation: Reservation, group: Group) -> None:
    """One more claim is to stand at a reservation beside others."""
    shares = reservation.shares
    if shares is not None:
        shares[group] = shares.get(group, 0) + 1
    elif group is not reservation.group:
        reservation.shares = {reservation.group: len(reservation.claims), group: 1}

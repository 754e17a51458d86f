"""Pinholes: hosts with a public IPv6 address are opened for who is expected there.

The books are those of the first allocation, with two differences: every address is a host's own, so nothing is scarce,
and it is there only while something stands at it.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING

from realmgw.allocation.arrivals import Arrivals
from realmgw.allocation.claims import outcomes
from realmgw.allocation.claims.costs import Costs
from realmgw.allocation.claims.ledger import Ledger
from realmgw.allocation.claims.siblings import has_come
from realmgw.allocation.ipv6.stock import LEAST_STAY
from realmgw.allocation.pool.circular import Pool
from realmgw.allocation.state import KEY, Address, Claim, Reservation
from realmgw.allocation.waiting import WaitingQueue
from realmgw.config.ipv6 import PinholeFor

if TYPE_CHECKING:
    from realmgw.allocation.claims.outage import Outage
    from realmgw.allocation.flow import Answered
    from realmgw.allocation.ipv6.allowances import Allowances
    from realmgw.allocation.pool.places import Places
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.config.ipv6 import Ipv6
    from realmgw.config.settings import Allocation
    from realmgw.subscribers.model import Service


class OwnAddresses(Pool):
    """The hosts' own addresses at which anything stands."""

    def __init__(self) -> None:
        super().__init__(())

    def of(self, packed: bytes) -> Address:
        """A host's address, where a claim is to be made now."""
        address = self.addresses.get(packed)
        if address is None:
            address = self.addresses[packed] = Address(packed)
            self._free[address] = None
            self._grow(1)
        return address

    @property
    def load(self) -> float:
        """Nobody else can have it."""
        return 0.0

    def free(self, address: Address) -> None:
        super().free(address)
        self.leave(address)


class RateCosts(Costs):
    """What a claim costs that nobody used: nothing is kept from others, but a group may not lose any number of them.

    Attributes:
        by_claim: Of those that are pending; see `Allowances.take`.
    """

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self.by_claim: dict[Claim, float] = {}

    def was_scarce(self, claim: Claim) -> bool:
        return claim in self.by_claim

    def of(self, claim: Claim, now: float) -> float:
        del now
        return self.by_claim.get(claim, 0.0)


class PinholeLedger(Ledger):
    """The books of pinholes.

    Args:
        settings: As for all claims.
        outage: Whether flows get through.
        answered: Asks conntrack whether a flow is answered.
        allowances: What groups may lose.
        ipv6: For how long an address is open, and for whom.
    """

    used = partial(outcomes.used, learns=False)

    def __init__(
        self, settings: Allocation, outage: Outage, answered: Answered | None, allowances: Allowances, ipv6: Ipv6
    ) -> None:
        super().__init__(settings, (), outage, answered)
        self.own = self.pool = OwnAddresses()
        self._allowances = allowances
        self.costs = self.rates = RateCosts(self.places)
        self.open(ipv6)

    def open(self, ipv6: Ipv6) -> None:
        """From now on, be open by these settings."""
        self._keep, self._opens = ipv6.keep, ipv6.pinhole
        self.is_closed = self._opens is not PinholeFor.CLAIM

    def compare(self, claim: Claim, reservation: Reservation, group: Group, now: float) -> None:
        """Learn nothing: what a group asks for by IPv4 as well tells enough of it."""

    def linger(self) -> float:
        """As long as an address of IPv6 is kept; that of one flow, until conntrack knows it."""
        return LEAST_STAY if self._opens is PinholeFor.FLOW else max(self._keep, LEAST_STAY)

    def may_return(self, since: float, now: float) -> bool:
        """Nobody, where one flow is all."""
        return self._opens is not PinholeFor.FLOW and super().may_return(since, now)

    def spare_of(self, service: Service, group: Group) -> int:
        """None, where anybody may know the address: but the group may have told others what it was told."""
        if self.is_closed and (self._opens is PinholeFor.FLOW or not group.habits.keeps_answers):
            return 0
        return super().spare_of(service, group)

    def lapse(self, claim: Claim, now: float) -> None:
        nobody = not (claim.is_hold or has_come(claim))
        is_lost = claim.pending and nobody and claim.created >= self.outage.excused_until
        super().lapse(claim, now)
        if is_lost:
            self._allowances.take(claim.group, self._allowances.left(claim.group, now))

    def end(self, claim: Claim, now: float) -> None:
        """Take a claim away; it counts for nobody any more, unless it is taken once more since it has lapsed."""
        super().end(claim, now)
        if not claim.is_hold:
            self._allowances.give_back(claim.group)
            self.rates.by_claim.pop(claim, None)

    def linger_no_more(self, reservation: Reservation, now: float) -> None:
        """Forget a lingering reservation; the host finds its own address again."""
        super().linger_no_more(reservation, now)
        self.last.pop(reservation.service.target, None)


class Pinholes:
    """Claims at hosts' own addresses.

    Args:
        ledger: Their books.
        now: The present, in monotonic seconds.
    """

    def __init__(self, ledger: PinholeLedger, *, now: float) -> None:
        self.ledger = ledger
        self.addresses = ledger.own.addresses
        self.arrivals = Arrivals(ledger, WaitingQueue(0), _serve_nobody, now=now)

    def asked(self, service: Service, group: Group, question: Hashable) -> Claim | None:
        """The pending claim of a question, if it is one that was asked before."""
        address = self.addresses.get(service.host.address6)
        reservation = None if address is None else address.reservations.get(service.target & KEY)
        claim = None if reservation is None else reservation.claims.get(question)
        return claim if claim is not None and claim.group is group else None

    def claim(
        self, service: Service, group: Group, question: Hashable, client: Requestor | None, cost: float, now: float
    ) -> Claim:
        """Open a host's address for a client.

        Args:
            service: What is asked for.
            group: Who asks.
            question: As what.
            client: For whom, if that is known and believed.
            cost: How much it counts if nobody comes.
            now: The present, in monotonic seconds.
        """
        ledger = self.ledger
        address = ledger.own.of(service.host.address6)
        reservation = address.reservations.get(service.target & KEY) or ledger.settle(address, service, group)
        if reservation.service is not service:
            ledger.rename(reservation, service)
        ledger.claim(reservation, group, question, client, now)
        claim = reservation.claims[question]
        ledger.rates.by_claim[claim] = cost
        return claim

    def expire(self, *, now: float) -> None:
        """End what is over."""
        self.ledger.expire(now=now)
        self.arrivals.forget(now=now)


def _serve_nobody(now: float) -> None:
    """Nobody waits."""

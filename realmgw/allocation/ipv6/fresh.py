"""The second allocation: a query for IPv6 in, an address of its own out; a packet in, a host out.

A query is given the first of these that exists:

1. the address of its own claim, when the same question is asked again;
2. for a host in pinhole mode, the host's own address;
3. a fresh one, drawn by chance; unless too many claims stand, or its group has lost too many.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from typing import TYPE_CHECKING

from realmgw.allocation.claims import changes
from realmgw.allocation.claims.lessons import repeat
from realmgw.allocation.claims.siblings import elder, elder_of_another, has_come, join
from realmgw.allocation.ipv6.allowances import Allowances
from realmgw.allocation.ipv6.arrivals import FreshArrivals, is_open
from realmgw.allocation.ipv6.drawing import Chance, Drawing
from realmgw.allocation.ipv6.endings import Endings
from realmgw.allocation.ipv6.pinholes import PinholeLedger, Pinholes
from realmgw.allocation.ipv6.state import FreshClaim, FreshCounters
from realmgw.allocation.ipv6.stock import Stock
from realmgw.allocation.state import KEY
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.errors import Reason
from realmgw.subscribers.families import mode_of

if TYPE_CHECKING:
    from realmgw.allocation.claims.ledger import Ledger
    from realmgw.allocation.flow import Answered
    from realmgw.allocation.reputation.askers import Askers
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.allocation.state import Claim
    from realmgw.allocation.trace import Trace
    from realmgw.config.ipv6 import Ipv6
    from realmgw.config.settings import Allocation, Network
    from realmgw.subscribers.model import Service

OCTETS = 16
"""Of an address."""
MARGIN = 0.1
"""Who makes room at a host for somebody else has a standing that is lower by so much, or is dead by experience."""


class FreshAllocator:
    """All claims of IPv6.

    Args:
        ledger: That of IPv4: what claims of both have in common is there.
        askers: Who asks.
        settings: Of IPv6.
        networks: The prefixes of its pool.
        chance: Gives so many random octets.
        answered: Asks conntrack whether a flow that was admitted is answered; None: nobody can be asked.
        now: The present, in monotonic seconds.

    Attributes:
        siblings: The claims for whose clients one of IPv4 may be asked for yet.
        endings: Tells when an IPv4 address may have become available.
        admit: See `FreshArrivals.admit`.
        is_used: Whether anything was asked for yet.
        settings: Of IPv6.
    """

    def __init__(
        self,
        ledger: Ledger,
        askers: Askers,
        settings: Ipv6,
        networks: Iterable[Network],
        chance: Chance,
        answered: Answered | None,
        *,
        now: float,
    ) -> None:
        self._ledger, self._askers, self.settings, self._answered = ledger, askers, settings, answered
        self.drawing = Drawing(networks, chance)
        self.stock = stock = Stock(settings.keep, is_open)
        self.counters = counters = FreshCounters()
        self.allowances = may = Allowances(askers, settings, ledger.dead.unseen)
        books = PinholeLedger(ledger.settings, ledger.outage, answered, may, settings)
        books.decisions, books.homes.find = ledger.decisions, askers.groups.find
        self.pinholes = Pinholes(books, now=now)
        self.siblings = ledger.siblings
        self.endings = Endings(ledger, books, stock, may, counters)
        self.is_used = False
        self.admit = FreshArrivals(ledger, stock, self.pinholes, may, self.endings, counters).admit

    def configure(self, allocation: Allocation, settings: Ipv6) -> None:
        """From now on, go by these; what is promised stays so."""
        self.settings = settings
        self.stock.keep = settings.keep
        self.pinholes.ledger.open(settings)
        self.allowances.configure(settings)
        self.pinholes.ledger.configure(allocation)

    # Queries

    def ask(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        *,
        now: float,
        client: Requestor | None = None,
        trace: Trace | None = None,
    ) -> bytes | Reason:
        """Answer a query for AAAA of a service, and expect its client from now on; see `Allocator.ask`.

        Returns:
            The packed address to answer with; or why there is none, which is final. With a trace, nothing instead of an
            address that would be drawn.
        """
        if self._ledger.outage.suspended:
            return self._refuse(Reason.DEGRADED, trace)
        mode = mode_of(service.host, self.settings)
        if mode is Ipv6Mode.OFF or (mode is Ipv6Mode.POOL and not self.drawing.networks):
            return self._refuse(Reason.WITHDRAWN, trace)
        is_pinhole = mode is Ipv6Mode.PINHOLE
        group = self._askers.groups.of(resolver) if trace is None else self._askers.groups.known(resolver)
        if (own := self.stock.asked(service.target, group, question)) is not None and not is_pinhole:
            self.counters.retransmitted += 1
            return own.packed
        if is_pinhole and self.pinholes.asked(service, group, question) is not None:
            self.counters.retransmitted += 1
            return service.host.address6
        left = self.allowances.left(group, now, dry=trace is not None)
        no = self._limits(service, group, left, now, trace, is_pinhole=is_pinhole)
        if no is not None:
            return self._refuse(no, trace)
        if trace is not None:
            trace.how = "the host's own, open for the next flow" if is_pinhole else "fresh, drawn by chance"
            return service.host.address6 if is_pinhole else b""
        self.is_used = True
        cost = self.allowances.take(group, left)
        made = self._pinhole if is_pinhole else self._fresh
        return made(service, group, question, client, cost, now)

    def _limits(
        self, service: Service, group: Group, left: float, now: float, trace: Trace | None, *, is_pinhole: bool
    ) -> Reason | None:
        """Why no claim can be made, if none can; room is made for it where that is possible.

        Args:
            service: What is asked for.
            group: Who asks.
            left: How many claims it may make now.
            now: The present, in monotonic seconds.
            trace: As for `ask`.
            is_pinhole: Whether the host is reached at its own address.
        """
        stock, settings, host = self.stock, self.settings, service.host
        pending = len(stock.pending) + self.pinholes.ledger.counters.pending  # as below; a call costs more
        if pending >= settings.pending:
            return Reason.CLAIM_LIMIT
        if left < 1 and self._askers.limits(trace):
            return Reason.POLICY
        if is_pinhole:
            return None if host.profile.max_claims else Reason.HOST_LIMIT
        if stock.count(host) >= host.profile.max_claims and not self._displace(service, group, now, trace):
            return Reason.HOST_LIMIT
        if len(stock.pending) + len(stock.kept) >= settings.addresses and trace is None:
            if not stock.evict():
                return Reason.CLAIM_LIMIT
            self.counters.evicted += 1
        return None

    @property
    def pending(self) -> int:
        """How many clients are expected, at addresses of their own and at hosts'."""
        return len(self.stock.pending) + self.pinholes.ledger.counters.pending

    def _displace(self, service: Service, group: Group, now: float, trace: Trace | None) -> bool:
        """Have a claim of a host make room, if one is dead by experience, or of somebody of a worse standing."""
        standing = group.weigh(now) if trace is None else group.reputation.value(now)
        for claim in self.stock.oldest(service.host):
            other = claim.group
            is_worse = other is not group and other.standing < standing - MARGIN
            if is_worse or claim.created + other.claim_timeout <= now:
                if trace is None:
                    self.counters.displaced += 1
                    self.endings.lapse(claim, now)
                else:
                    trace.say("the host has as many claims as it may; one to which nobody comes would make room")
                return True
        return False

    def _fresh(
        self, service: Service, group: Group, question: Hashable, client: Requestor | None, cost: float, now: float
    ) -> bytes:
        timeout, habits = service.terms.timeout, group.habits
        deadline = now + timeout
        if not habits.is_plain:
            deadline = max(deadline, now + habits.window(group.delay_p999, now))
        network = None if client is None else client.bound(OCTETS)
        unproven = group.passed > 0 and group.is_unproven(now)
        packed = self.drawing.draw(self.stock.find)
        claim = FreshClaim(packed, service, group, question, now, deadline, network, client, unproven, cost)
        claim.number = self._ledger.decisions.answer(now, service, group, client, packed)
        self.stock.stand(claim, timeout)
        self.counters.claimed += 1
        self._accompany(claim, service, group, now)
        return packed

    def _pinhole(
        self, service: Service, group: Group, question: Hashable, client: Requestor | None, cost: float, now: float
    ) -> bytes:
        claim = self.pinholes.claim(service, group, question, client, cost, now)
        self._accompany(claim, service, group, now)
        return service.host.address6

    def _accompany(self, claim: FreshClaim | Claim, service: Service, group: Group, now: float) -> None:
        """Find the claim of IPv4 that the same client has, or have it find this one; where it asks for none, learn."""
        if not (service.host.address and self._ledger.pool.size):
            repeat(self._ledger, claim, group, service.name, now)
            return
        other = self.siblings.note(service.target, claim, elder(service, group, now))
        if other is not None:
            join(claim, other)
            if has_come(claim):
                self.endings.end_own(claim, now)
        elif (last := self._ledger.last.get(service.target)) is not None:
            there = last.reservations.get(service.target & KEY)
            other = None if there is None else elder_of_another(there, claim)
            if other is not None:
                join(claim, other)

    # What ends, and what the operator changes

    def expire(self, *, now: float) -> None:
        """End what is over."""
        self.allowances.follow(self.counters.claimed + self.pinholes.ledger.counters.claimed, now)
        for claim in self.siblings.forget(now=now):
            self.endings.end_elder(claim, now)
        for claim in self.stock.deadlines.over(now - self._ledger.dead.unseen(now=now)):
            if claim.pending:
                self.endings.lapse(claim, now)
        self.stock.expire(now)
        self.pinholes.expire(now=now)

    def next_end(self, *, now: float) -> float | None:
        """When something ends next, in monotonic seconds, or None; `expire` was called just before."""
        first = self.stock.deadlines.first()
        times = [] if first is None else [first + self._ledger.dead.unseen(now=now)]
        times += [end for end in (self.stock.next_end(), self.pinholes.ledger.next_end(now=now)) if end is not None]
        return min(times, default=None)

    def extend(self, networks: Collection[Network]) -> None:
        """Draw addresses of further prefixes, too."""
        self.drawing.extend(networks)

    def withdraw(self, networks: Collection[Network]) -> None:
        """Draw no more addresses of these; who was told one may still come. O(what stands)."""
        self.drawing.withdraw(networks)
        left = self.drawing.holds
        self.stock.leaving.update(claim for claim in self.stock.pending.values() if not left(claim.packed))
        for claim in [claim for claim in self.stock.kept.values() if not left(claim.packed)]:
            self.stock.leave(claim)

    @property
    def leaving(self) -> int:
        """How many are still expected at addresses that nobody else is told."""
        return len(self.stock.leaving)

    def abandon(self, *, now: float) -> None:
        """Wait for those no longer."""
        for claim in tuple(self.stock.leaving):
            self.endings.void(claim, now)

    def forget(self, targets: Collection[int], *, now: float) -> None:
        """See `Allocator.forget`. O(what stands of the hosts, and at pinholes)."""
        pending, kept = self.stock.of(targets)
        for claim in pending:
            self.endings.void(claim, now)
        for claim in kept:
            self.stock.leave(claim)
        self.pinholes.arrivals.forget_targets(targets)
        changes.forget(self.pinholes.ledger, targets, now=now)

    def is_live(self, address: bytes, *, now: float) -> bool:
        """Whether an address is anybody's: a client is expected, it is kept, or a flow may go on there. O(1)."""
        del now
        if self.stock.find(address) is not None or address in self.pinholes.addresses:
            return True
        flow = self.stock.departed.get(address)
        return bool(flow) and self._answered is not None and self._answered(flow) is not False  # type: ignore[arg-type]  # it is not the empty one

    def counts(self) -> dict[str, object]:
        """What was counted, and what stands now."""
        mine = {"pending": len(self.stock.pending), "kept": len(self.stock.kept)}
        return {**self.counters.counts(), **mine, "pinholes": self.pinholes.ledger.counters.counts()}

    def _refuse(self, reason: Reason, trace: Trace | None) -> Reason:
        if trace is None:
            self._ledger.counters.refused[reason] += 1
        return reason

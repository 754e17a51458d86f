"""Allocation: which public address a query is answered with.

The two hot calls are `ask` (a query in, an address out) and `admit` (a packet in, a host out). `expire` ends what is
over; `wait` lets a query wait for an address. The order in which an address is looked for is that of
docs/allocation.md:

1. the same question again: the same claim;
2. an address at which the host is expected already, by the same group, or by any group under pressure: join it;
3. the address that the host had last: it sticks;
4. an address whose services do not overlap: share it;
5. the address that is free longest, 6. the one that lingers longest;
7. a waiting address to which nobody comes any more;
8. wait, and 9. refuse.

While queries wait, nothing overtakes them: a new query may ride on an address that its host holds already, if its
client has time enough to come before the address is handed on, and it does not prolong the hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from typing import TYPE_CHECKING

from realmgw.allocation.arrivals import Arrivals
from realmgw.allocation.claims import changes, lessons
from realmgw.allocation.claims.candidates import POLL
from realmgw.allocation.claims.datagrams import Entries
from realmgw.allocation.claims.ended import HostAt
from realmgw.allocation.claims.ledger import Ledger
from realmgw.allocation.claims.outage import Outage
from realmgw.allocation.finder import Finder
from realmgw.allocation.flow import Answered
from realmgw.allocation.ipv6.drawing import Chance
from realmgw.allocation.ipv6.fresh import FreshAllocator
from realmgw.allocation.reputation.askers import Askers
from realmgw.allocation.reputation.requestors import Requestor
from realmgw.allocation.serving import Serving
from realmgw.allocation.state import NEVER, Reservation
from realmgw.allocation.waiting import Deliver, Waiter, WaitingQueue
from realmgw.config.ipv6 import Ipv6
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.trace import Trace
    from realmgw.config.policy import Policy
    from realmgw.config.settings import Allocation, Network
    from realmgw.subscribers.model import Service


LAST = 8
"""While no more than this part of the pool (one of so many addresses) can be had, but one address at least, a query
waits for its client to come by IPv6."""
NO_IPV6 = Ipv6()
PATIENT = 0.4
"""Who has so much of the best standing (0 to 1) may wait by TCP for as long as is set; others make the line no longer
for him."""


def _no_chance(count: int) -> bytes:
    raise AssertionError(f"{count} random octets, and nobody gives any")


class Allocator:
    """The circular pool and all who wait for somebody to come; and beside it, that of IPv6.

    Args:
        settings: How the pool is shared out.
        networks: The pools' prefixes, of either family or of both.
        now: The present, in monotonic seconds, as everywhere.
        policy: Who is given addresses; None: everybody.
        answered: Asks conntrack whether a flow that was admitted is answered; None: nobody can be asked.
        entries: Conntrack, to be asked about flows of UDP, and to end them; None: none are ended.
        host_at: Tells whose a private address is; None: flows that have ended are not remembered.
        finder: Looks for addresses.
        ipv6: The settings of IPv6.
        chance: Gives so many random octets, for addresses of IPv6.

    Attributes:
        fresh: The allocation of IPv6.
    """

    def __init__(
        self,
        settings: Allocation,
        networks: Iterable[Network],
        *,
        now: float,
        policy: Policy | None = None,
        answered: Answered | None = None,
        entries: Entries | None = None,
        host_at: HostAt | None = None,
        finder: type[Finder] = Finder,
        ipv6: Ipv6 = NO_IPV6,
        chance: Chance = _no_chance,
    ) -> None:
        self.outage = Outage(settings, lambda: self.dismiss(Reason.DEGRADED))
        networks4, networks6 = by_family(networks)
        self.ledger = Ledger(settings, networks4, self.outage, answered, entries, host_at)
        self.ended, self.datagrams = self.ledger.ended, self.ledger.datagrams
        self.pool, self.counters, self._expected = self.ledger.pool, self.ledger.counters, self.ledger.expected
        self.askers = Askers(settings.max_groups, self.counters)
        self.askers.configure_policy(policy, now=now)
        self.configure_policy, self.configuring_policy = self.askers.configure_policy, self.askers.configuring_policy
        self.requestor = self.askers.requestor
        self.groups = self.askers.groups
        self.requestors = self.askers.requestors
        self.fresh = FreshAllocator(self.ledger, self.askers, ipv6, networks6, chance, answered, now=now)
        self.fresh.endings.freed = self._freed
        self.ledger.homes.find = self.groups.find
        self._siblings, self._recent = self.ledger.siblings, self.ledger.siblings.recent
        self._ledgers = self.ledger, self.fresh.pinholes.ledger
        self._settings, self._resolution_delay = settings, ipv6.resolution_delay
        self.wake: Callable[[float], None] | None = None  # with when to expire, as a query begins to wait
        self._queue = WaitingQueue(settings.max_waiting)
        self._serving = Serving(self.ledger, self._queue, self.askers)
        self._serve, self.at_once = self._serving.serve, self._serving.at_once
        self.finder = finder(self.ledger, self._queue, self.askers)
        self.arrivals = Arrivals(self.ledger, self._queue, self._serve, now=now)
        self.arrivals.beyond, self.admit = self.fresh.admit, self.arrivals.admit

    def ask(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        *,
        now: float,
        client: Requestor | None = None,
        trace: Trace | None = None,
        family: int = 4,
    ) -> bytes | Reason:
        """Answer a query for a service, and expect its client from now on.

        Args:
            service: What is asked for.
            resolver: The address value that the query came from.
            question: Equal for a retransmission of the same question, and for nothing else that is pending.
            now: The present.
            client: For whom, if `requestor` believes it: only his packets may use the claim, his merit or fault.
            trace: Where it is said what was looked at, if it is only tried: then nothing is claimed, or changed.
            family: 6 for AAAA, see `FreshAllocator.ask`.

        Returns:
            The packed address to answer with; or why nothing is claimed, finally but for `EXHAUSTED`: see `wait`.
        """
        if family == 6:
            return self.fresh.ask(service, resolver, question, now=now, client=client, trace=trace)
        if self.outage.suspended:
            return self._refuse(Reason.DEGRADED, trace)
        expected = self._expected.get(service.target)
        group = self.groups.of(resolver) if trace is None else self.groups.known(resolver)
        if (self._queue.size or (self._resolution_delay and self._recent)) and trace is None:
            if self._must_wait(service, group, question, now):
                return self._give_none(Reason.EXHAUSTED, service, group, now)
            expected = self._expected.get(service.target)
        if expected and (own := expected.get(group)) is not None and question in own.claims:
            self.counters.retransmitted += 1
            return own.address.packed
        found = self.finder.find(service, group, client, expected, now, trace)
        if isinstance(found, Reason):
            return self._give_none(found, service, group, now, trace)
        if trace is not None:
            return (found.address if isinstance(found, Reservation) else found).packed
        if not isinstance(found, Reservation):
            found = self.ledger.settle(found, service, group)
        elif found.service is not service:
            self.ledger.rename(found, service)
        latest = found.address.held_until if found.address.claims > 0 and self.finder.must_ride(group) else NEVER
        claim = self._serving.claim_again if self._queue.given_up else self.ledger.claim
        return claim(found, group, question, client, now, latest)

    def _must_wait(self, service: Service, group: Group, question: Hashable, now: float) -> bool:
        """Whether a query waits, whatever is to be had: it waits already, or its client may come by IPv6 first."""
        if self._queue.size:
            self._serve(now)
            if self._queue.holds(service.target, question):
                return True
        may_be = bool(self._recent) and not self._expected.get(service.target)
        return may_be and self._awaits_sibling(service, group, now) > now

    def _awaits_sibling(self, service: Service, group: Group, now: float) -> float:
        """Until when a query waits for its client to come by IPv6, in monotonic seconds; not if that is over.

        Only if it would take one of the last addresses.
        """
        pool = self.pool
        if pool.size - pool.waiting > max(1, pool.size // LAST) or not self._resolution_delay:
            return now
        sibling = self._siblings.find(service.target, group, now)
        return now if sibling is None or not sibling.pending else sibling.asked + self._resolution_delay

    def _freed(self, now: float) -> None:
        """A client came by IPv6: somebody may have waited for that."""
        if self._queue.size:
            self._serve(now)

    def wait(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        deliver: Deliver,
        *,
        tcp: bool,
        now: float,
        client: Requestor | None = None,
    ) -> Reason | None:
        """Let a query wait that was told `Reason.EXHAUSTED`.

        Args:
            service: As for `ask`.
            resolver: As for `ask`.
            question: As for `ask`; a retransmission by UDP replaces its twin's `deliver`, which is not called.
            deliver: Called once, from within a later call, with the packed address or with a reason.
            tcp: Whether the query came by TCP.
            now: The present.
            client: As for `ask`.

        Returns:
            None when it waits. `Reason.QUEUE_FULL` when it may not; `Reason.POLICY` when it would be in vain.
        """
        group = self.groups.of(resolver)
        if self.askers.load is None:
            group.weigh(now)  # by its standing it is served
        elif self.askers.load.spurns(group, client, now):
            return self._refuse(Reason.POLICY)
        long = tcp and group.standing >= PATIENT * self.askers.best
        limit = self._settings.wait_tcp if long else min(self._settings.wait_tcp, self._settings.wait_udp)
        waiter = Waiter(service, group, question, deliver, now, now + limit, client, group.is_unproven(now), tcp=tcp)
        if self.fresh.is_used:
            waiter.not_before = self._awaits_sibling(service, group, now)
        displaced = self._queue.join(waiter)
        if displaced is waiter:
            return self._refuse(Reason.QUEUE_FULL)
        if displaced is not None:
            displaced.tell(self._refuse(Reason.QUEUE_FULL))
        lessons.asked(self.ledger, group, service.name, now, unproven=waiter.unproven, tcp=tcp)
        self.counters.waited += 1
        self.ledger.costs.scarce_at = now
        if self.wake is not None:
            next_end = self._next(now)
            self.wake(now if next_end is None else next_end)
        return None

    def hang_up(self, service: Service, question: Hashable, deliver: Deliver, *, now: float) -> None:
        """Who let this wait (with the same) is gone: if it still does, it waits no more, and is told `Reason.GONE`.

        Else an address would be kept for a client who does not come, while others wait for one.
        """
        waiter = self._queue.hang_up(service.target, question, deliver)
        if waiter is not None:
            if not self._queue.holds(service.target, question):
                lessons.hung_up(waiter.group, service.name, now)
            deliver(self._refuse(Reason.GONE))

    def dismiss(self, reason: Reason = Reason.STOPPING) -> None:
        """Tell every waiting query that there will be no address, and why."""
        for waiter in self._queue.dismiss():
            waiter.tell(self._refuse(reason))

    @property
    def waiting(self) -> int:
        """How many queries wait for an address."""
        return self._queue.size

    def expire(self, *, now: float) -> float | None:
        """End what is over: claims, lingering reservations, queries that waited too long.

        Returns:
            When it wants to be called again, in monotonic seconds; None when nothing is pending.
        """
        self.ledger.expire(now=now)
        self.arrivals.forget(now=now)
        self.datagrams.look(now=now)
        if self.fresh.is_used:
            self.fresh.expire(now=now)
        self._serve(now)
        for waiter in self._queue.give_up(now=now):
            waiter.tell(self._refuse(Reason.WAITED))
        return self._next(now)

    def heard(self, *, late: float, due: float, now: float) -> None:
        """The timer was heard; whether packets were looked at all the time, tells how late it is.

        Args:
            late: By how many seconds it came later than it should.
            due: When it comes again at the latest. While nobody calls this, nothing is ever held up.
            now: The present.
        """
        for ledger in self._ledgers:
            ledger.dead.heard(late=late, due=due, now=now)

    def behind(self, seconds: float, lost_at: float = -NEVER) -> None:
        """So long ago that came which is looked at now, and then some packets were lost last: nobody is dead for it."""
        for ledger in self._ledgers:
            ledger.dead.queued, ledger.dead.lost_at = seconds, lost_at

    def _next(self, now: float) -> float | None:
        ends = [self.ledger.next_end(now=now)]
        if self.fresh.is_used:
            ends.append(self.fresh.next_end(now=now))
        if self._queue.size:
            ends.append(self._queue.next_deadline())
            death = self.ledger.dead.next_death(now=now)
            if self.pool.available or (death is not None and death <= now):  # but none of those can be had yet
                ends.append(now + POLL)
            if death is not None and death > now:
                ends.append(death)
        times = [end for end in ends if end is not None]
        return max(now, min(times)) if times else None

    # What changes while the gateway runs

    def configure(self, settings: Allocation, ipv6: Ipv6 = NO_IPV6) -> None:
        """From now on, share the pool out by these settings; what is promised stays so."""
        self._settings, self._resolution_delay = settings, ipv6.resolution_delay
        self.fresh.configure(settings, ipv6)
        self.ledger.configure(settings)
        self.outage.configure(settings)
        self._queue.configure(settings.max_waiting)
        self.askers.configure(settings.max_groups)
        self.ended.configure(settings)
        self.datagrams.configure(settings)

    def extend(self, networks: Iterable[Network], *, now: float) -> None:
        """Lend the addresses of further prefixes, too; those who wait get them at once. O(addresses of IPv4 added)."""
        networks4, networks6 = by_family(networks)
        changes.extend(self.ledger, networks4)
        self.fresh.extend(networks6)
        self._serve(now)

    def withdraw(self, networks: Iterable[Network], *, now: float) -> int:
        """Lend the addresses of these prefixes no more. O(their addresses of IPv4, and what stands of IPv6).

        Those where nobody is expected leave the pool now; the others when their claims have ended. If no address is
        left at all, waiting queries are told `Reason.WITHDRAWN`.

        Returns:
            How many addresses stay for their claims' sake; `leaving` tells it later.
        """
        networks4, networks6 = by_family(networks)
        for address in self.pool.within(networks4):
            self.ledger.retire(address, now)
        if networks6:
            self.fresh.withdraw(networks6)
        if len(self.pool.leaving) == self.pool.size:
            self.dismiss(Reason.WITHDRAWN)
        return self.leaving

    @property
    def leaving(self) -> int:
        """How many withdrawn addresses stay until their claims have ended."""
        return len(self.pool.leaving) + self.fresh.leaving

    def abandon(self, *, now: float) -> None:
        """Wait no longer for those who are expected at withdrawn addresses."""
        for address in tuple(self.pool.leaving):
            changes.dismiss(self.ledger, address, now=now)
        self.fresh.abandon(now=now)

    def forget(self, targets: Collection[int], *, now: float) -> None:
        """Services lead nowhere any more: end their claims and reservations, and forget whom they let in.

        Queries that wait for them are told `Reason.WITHDRAWN`. O(claims and reservations of the last few seconds).

        Args:
            targets: `Service.target` of each.
            now: The present.
        """
        if not targets:
            return
        self.arrivals.forget_targets(targets)
        changes.forget(self.ledger, targets, now=now)
        self.fresh.forget(targets, now=now)
        for target in targets:
            if self._queue.waits_for(target):
                for waiter in self._queue.leave(target):
                    waiter.tell(self._refuse(Reason.WITHDRAWN))
        self._serve(now)

    def _give_none(
        self, reason: Reason, service: Service, group: Group, now: float, trace: Trace | None = None
    ) -> Reason:
        """There is no address for a query; the claim of IPv6 of the same client is to know that he has asked."""
        if trace is None:
            self._siblings.get_none(service.target, group, now)
        return self._refuse(reason, trace)

    def _refuse(self, reason: Reason, trace: Trace | None = None) -> Reason:
        if trace is None:
            self.counters.refused[reason] += 1
        return reason


def by_family(networks: Iterable[Network]) -> tuple[tuple[Network, ...], tuple[Network, ...]]:
    """Prefixes of IPv4, and of IPv6."""
    every = tuple(networks)
    return tuple(each for each in every if each.version == 4), tuple(each for each in every if each.version == 6)

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
from itertools import islice
from typing import TYPE_CHECKING

from realmgw.allocation import changes, vacancies
from realmgw.allocation.arrivals import Arrivals
from realmgw.allocation.askers import Askers
from realmgw.allocation.candidates import POLL, Answered
from realmgw.allocation.datagrams import Entries
from realmgw.allocation.ended import HostAt
from realmgw.allocation.group import Group
from realmgw.allocation.ledger import Ledger
from realmgw.allocation.load import Kind
from realmgw.allocation.outage import Outage
from realmgw.allocation.pool import PROBES
from realmgw.allocation.requestors import Requestor
from realmgw.allocation.serving import Serving
from realmgw.allocation.state import KEY, Address, Reservation, State
from realmgw.allocation.waiting import Deliver, Waiter, WaitingQueue
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.config.policy import Policy
    from realmgw.config.settings import Allocation, Network
    from realmgw.subscribers.model import Host, Service


TOLERANCE = 0.01  # seconds
"""A timer that is no later than this was not held up."""
_FREE = State.FREE  # a member of an enum is slow to get at by name
FQDN_NEW, SFQDN_NEW, SFQDN_REUSE = Kind


class Allocator:
    """The circular pool and all who wait for somebody to come.

    Args:
        settings: How the pool is shared out.
        networks: The pool's prefixes.
        now: The present, in monotonic seconds, as everywhere.
        policy: Who is given addresses; None: everybody.
        wake: Called with the time at which `expire` wants to be called, when a query begins to wait.
        answered: Asks conntrack whether a flow that was admitted is answered; None: nobody can be asked.
        entries: Conntrack, to be asked about flows of UDP, and to end them; None: none are ended.
        host_at: Tells whose a private address is; None: flows that have ended are not remembered.
    """

    def __init__(
        self,
        settings: Allocation,
        networks: Iterable[Network],
        *,
        now: float,
        policy: Policy | None = None,
        wake: Callable[[float], None] | None = None,
        answered: Answered | None = None,
        entries: Entries | None = None,
        host_at: HostAt | None = None,
    ) -> None:
        self.outage = Outage(settings, lambda: self.dismiss(Reason.DEGRADED))
        self._ledger = Ledger(settings, networks, self.outage, answered, entries, host_at)
        self.ended, self.datagrams = self._ledger.ended, self._ledger.datagrams
        self.pool = self._ledger.pool
        self.counters = self._ledger.counters
        self.askers = Askers(settings.max_groups, self.counters)
        self.askers.regard_policy(policy, now=now)
        self.regard_policy = self.askers.regard_policy
        self.requestor = self.askers.requestor
        self.groups = self.askers.groups
        self.requestors = self.askers.requestors
        self._settings = settings
        self.wake = wake
        self._queue = WaitingQueue(settings.max_waiting)
        self._serve = Serving(self._ledger, self._queue, self.askers).serve
        self._expected = self._ledger.expected
        self.arrivals = Arrivals(self._ledger, self._queue, self._serve, now=now)
        self.admit = self.arrivals.admit

    def ask(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        *,
        now: float,
        client: Requestor | None = None,
    ) -> bytes | Reason:
        """Answer a query for a service, and expect its client from now on.

        Args:
            service: What is asked for.
            resolver: The address value that the query came from.
            question: Equal for a retransmission of the same question, and for nothing else that is pending.
            now: The present.
            client: For whom, if `requestor` believes it: only his packets may use the claim, and what becomes of
                it is his merit or fault.

        Returns:
            The packed address to answer with; `Reason.EXHAUSTED` when `wait` may help; any other reason is final.
            Nothing is claimed when a reason is returned.
        """
        if self.outage.suspended:
            return self._refuse(Reason.DEGRADED)
        group = self.groups.of(resolver)
        if self._queue.size:
            self._serve(now)
            if self._queue.holds(service.target, question):
                return self._refuse(Reason.EXHAUSTED)
        expected = self._expected.get(service.target)
        if expected is not None and (own := expected.get(group)) is not None and question in own.claims:
            self.counters.retransmitted += 1
            return own.address.packed
        load = self.askers.load
        if load is not None and self.counters.pending >= load.most_claims and load.limits():
            return self._refuse(Reason.CLAIM_LIMIT)
        found = self._find(service, group, client, expected, now)
        if not isinstance(found, Reservation):
            return self._refuse(found)
        if found.claims and question in found.claims:  # which looks the same, of another group
            return found.address.packed
        rides = (self._queue.size > 0 or group.hopeless) and self._must_ride(group) and self._rides(found.address)
        return self._ledger.claim(found, group, question, client, rides=rides, now=now)

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
            question: As for `ask`; a retransmission replaces its twin's `deliver`.
            deliver: Called exactly once, from within a later call, with the packed address or with a reason.
            tcp: Whether the query came by TCP.
            now: The present.
            client: As for `ask`.

        Returns:
            None when it waits. `Reason.QUEUE_FULL` when it may not; `Reason.POLICY` when it would be in vain.
        """
        patience = self._settings.wait_tcp if tcp else self._settings.wait_udp
        group = self.groups.of(resolver)
        if self.askers.load is None:
            group.weigh(now)  # by its standing it is served
        elif self.askers.load.spurns(group, client, now):
            return self._refuse(Reason.POLICY)
        waiter = Waiter(service, group, question, deliver, now, now + patience, client, group.is_bare(now))
        displaced = self._queue.join(waiter)
        if displaced is waiter:
            return self._refuse(Reason.QUEUE_FULL)
        if displaced is not None:
            displaced.deliver(self._refuse(Reason.QUEUE_FULL))
        self.counters.waited += 1
        self._ledger.costs.scarce_at = now
        if self.wake is not None:
            next_end = self._next(now)
            self.wake(now if next_end is None else next_end)
        return None

    def dismiss(self, reason: Reason = Reason.STOPPING) -> None:
        """Tell every waiting query that there will be no address, and why."""
        for waiter in self._queue.dismiss():
            waiter.deliver(self._refuse(reason))

    @property
    def waiting(self) -> int:
        """How many queries wait for an address."""
        return self._queue.size

    def expire(self, *, now: float) -> float | None:
        """End what is over: claims, lingering reservations, queries that waited too long.

        Returns:
            When it wants to be called again, in monotonic seconds; None when nothing is pending.
        """
        self._ledger.expire(now=now)
        self.arrivals.forget(now=now)
        self.datagrams.look(now=now)
        self._serve(now)
        for waiter in self._queue.give_up(now=now):
            waiter.deliver(self._refuse(Reason.WAITED))
        return self._next(now)

    def heard(self, *, late: float, due: float, now: float) -> None:
        """The timer was heard; whether packets were looked at all the time, tells how late it is.

        Args:
            late: By how many seconds it came later than it should.
            due: When it comes again at the latest. While nobody calls this, nothing is ever held up.
            now: The present.
        """
        dead = self._ledger.dead
        dead.awake_until = due
        if late > TOLERANCE:
            dead.stalled(late, now=now)

    def _next(self, now: float) -> float | None:
        ends = [self._ledger.next_end(now=now)]
        if self._queue.size:
            ends.append(self._queue.next_deadline())
            death = self._ledger.dead.next_death(now=now)
            if self.pool.available or (death is not None and death <= now):  # but none of those can be had yet
                ends.append(now + POLL)
            elif death is not None:
                ends.append(death)
        times = [end for end in ends if end is not None]
        return max(now, min(times)) if times else None

    # What operators want to know

    @property
    def ledger(self) -> Ledger:
        """What stands where, to look at."""
        return self._ledger

    # What changes while the gateway runs

    def regard(self, settings: Allocation) -> None:
        """From now on, share the pool out by these settings; what is promised stays so."""
        self._settings = self._ledger.settings = settings
        self.outage.regard(settings)
        self._queue.regard(settings.max_waiting)
        self.askers.regard(settings.max_groups)
        self.ended.regard(settings)
        self.datagrams.regard(settings)

    def extend(self, networks: Iterable[Network], *, now: float) -> None:
        """Lend the addresses of further prefixes, too; those who wait get them at once. O(addresses added)."""
        changes.extend(self._ledger, tuple(networks))
        self._serve(now)

    def withdraw(self, networks: Iterable[Network], *, now: float) -> int:
        """Lend the addresses of these prefixes no more. O(their addresses).

        Those where nobody is expected leave the pool now; the others when their claims have ended. If no address is
        left at all, waiting queries are told `Reason.WITHDRAWN`.

        Returns:
            How many addresses stay for their claims' sake; `leaving` tells it later.
        """
        for address in self.pool.within(networks):
            changes.retire(self._ledger, address, now=now)
        if len(self.pool.leaving) == self.pool.size:
            self.dismiss(Reason.WITHDRAWN)
        return self.leaving

    @property
    def leaving(self) -> int:
        """How many withdrawn addresses stay until their claims have ended."""
        return len(self.pool.leaving)

    def abandon(self, *, now: float) -> None:
        """Wait no longer for those who are expected at withdrawn addresses."""
        for address in tuple(self.pool.leaving):
            changes.dismiss(self._ledger, address, now=now)

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
        changes.forget(self._ledger, targets, now=now)
        for target in targets:
            if self._queue.waits_for(target):
                for waiter in self._queue.leave(target):
                    waiter.deliver(self._refuse(Reason.WITHDRAWN))
        self._serve(now)

    # Looking for an address

    def _find(
        self,
        service: Service,
        group: Group,
        client: Requestor | None,
        expected: dict[Group, Reservation] | None,
        now: float,
    ) -> Reservation | Reason:
        if expected is not None:
            joined = self.joinable(expected, service.host, group, now)
            if joined is not None:
                self.counters.joined += 1
                return joined
        if self._ledger.places.has_room(service.host):
            return self._apart(service, group, client, now)
        within = self.within(service, group, now)
        if within is not None:
            return vacancies.placed(self._ledger, within, service, group)
        self._ledger.places.miss(service.host, now)
        worse = self._ledger.places.worse(service.host, group, group.weigh(now))
        if worse is None:
            return Reason.HOST_LIMIT
        found = self._apart(service, group, client, now)
        if isinstance(found, Reservation):
            self._ledger.displace(worse, now=now)
        return found

    def _apart(self, service: Service, group: Group, client: Requestor | None, now: float) -> Reservation | Reason:
        """A place for the host's clients where nobody is expected for it yet."""
        last = self._ledger.last.get(service.target)
        if last is not None:
            sticky = self.told(service, group, now)
            if sticky is None and not last.is_spoilt(service.host.index, now):
                sticky = self._sticky(last, service, group, now)
            if sticky is not None:
                self.counters.sticky += 1
                return sticky
        home = self.beside(service, group, now)
        if home is not None:
            self.counters.sticky += 1
            return self._ledger.settle(home, service, group)
        return self._new(service, group, client, now)

    def joinable(self, expected: dict[Group, Reservation], host: Host, group: Group, now: float) -> Reservation | None:
        """Where a new claim can join others of its host; nothing is changed."""
        joined = self._joined(expected, host, group, now)
        return None if joined is None or joined.address.is_spoilt(host.index, now) else joined

    def _joined(self, expected: dict[Group, Reservation], host: Host, group: Group, now: float) -> Reservation | None:
        own = expected.get(group)
        if own is not None and (not (self._queue.size or group.hopeless) or self.may_stay(own.address, group, now)):
            return own
        if group.absorbed:
            for one in group.absorbed:
                own = expected.get(one)
                if own is not None and self.may_stay(own.address, group, now):
                    return own
        if self.pool.load < self._settings.share_load and self._ledger.places.has_room(host):
            return None
        latest = islice(reversed(expected.values()), PROBES)
        return next((one for one in latest if self.may_stay(one.address, group, now)), None)

    def _sticky(self, last: Address, service: Service, group: Group, now: float) -> Reservation | None:
        if not self.may_return(last, service, group, now):
            return None
        load = self.askers.load
        if load is not None and load.restrains(group):
            load.tried(self.pool, now)
        return last.reservations.get(service.target & KEY) or self._ledger.settle(last, service, group)

    def may_return(self, last: Address, service: Service, group: Group, now: float) -> bool:
        """Whether a new claim can be made at the address that its service had last, where nobody is expected for it."""
        reservation, load = last.reservations.get(service.target & KEY), self.askers.load
        if reservation is not None and reservation.claims:
            return False
        if load is not None and load.restrains(group):
            return not self._queue.size and load.may_try(self.pool, now)
        return last.state is _FREE or self.may_stay(last, group, now)

    def told(self, service: Service, group: Group, now: float) -> Reservation | None:
        """Where the group was told last that the service is, if nobody is expected there."""
        told = vacancies.told(self._ledger, service, group, now)
        return None if told is None or (self._queue.size and not self.may_stay(told.address, group, now)) else told

    def beside(self, service: Service, group: Group, now: float) -> Address | None:
        """Where other services of its host are, which cost nothing more together than one of them."""
        home = vacancies.beside(self._ledger, service, now)
        return None if home is None or (self._queue.size and not self.may_stay(home, group, now)) else home

    def within(self, service: Service, group: Group, now: float) -> Address | None:
        """Where clients of its host are expected already, and it can be as well, which costs the host nothing more."""
        within = vacancies.within(self._ledger, service, now)
        return None if within is None or not self.may_stay(within, group, now) else within

    def may_stay(self, address: Address, group: Group, now: float) -> bool:
        """Whether one more claim wrongs nobody: he need not ride, or his client has time before the hold ends."""
        return not self._must_ride(group) or (address.claims > 0 and address.hold >= now + group.patience)

    def _must_ride(self, group: Group) -> bool:
        """Whether a group's claims may not prolong what is held: others wait, or the policy restrains it."""
        load = self.askers.load
        return self._queue.size > 0 or (group.hopeless and load is not None and load.restrains(group))

    def _rides(self, address: Address) -> bool:
        """Whether a claim that must ride ends with the hold of its address: all do but the first there."""
        return address.claims > 0

    def _new(self, service: Service, group: Group, client: Requestor | None, now: float) -> Reservation | Reason:
        key, load = service.target & KEY, self.askers.load
        shared = self.pool.shareable(key)
        if shared is not None and self.may_stay(shared, group, now):
            if load is not None and (no := load.refuses(SFQDN_REUSE, self.pool.load, group, client, now)) is not None:
                return no
            self.counters.shared += 1
            return self._ledger.settle(shared, service, group)
        if self._queue.size:
            return Reason.EXHAUSTED
        if load is not None and (self.pool.available or load.restrains(group)):
            no = load.refuses(SFQDN_NEW if key else FQDN_NEW, self.pool.load, group, client, now)
            if no is not None:
                if not group.hopeless:  # an emptier pool would have had one
                    self._ledger.costs.scarce_at = now
                return no
        return vacancies.obtain(self._ledger, service, group, patient=True, now=now) or Reason.EXHAUSTED

    def _refuse(self, reason: Reason) -> Reason:
        self.counters.refused[reason] += 1
        return reason

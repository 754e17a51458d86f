"""Where a new claim is made: the order in which an address is looked for, and what stands in the way."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from realmgw.allocation import vacancies
from realmgw.allocation.claims import changes, holds
from realmgw.allocation.pool.circular import PROBES
from realmgw.allocation.reputation.load_policy import Kind
from realmgw.allocation.state import KEY, Address, Claim, Place, Reservation
from realmgw.allocation.trace import BESIDE, Trace, dotted
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.allocation.claims.ledger import Ledger
    from realmgw.allocation.reputation.askers import Askers
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.allocation.waiting import WaitingQueue
    from realmgw.subscribers.model import Host, Service

FQDN_NEW, SFQDN_NEW, SFQDN_REUSE = Kind


class Finder:
    """Looks for addresses; what it finds, the ledger enters.

    Args:
        ledger: What stands where.
        queue: Who waits: nothing overtakes them.
        askers: By whose policy it is decided.
    """

    def __init__(self, ledger: Ledger, queue: WaitingQueue, askers: Askers) -> None:
        self._ledger = ledger
        self._queue = queue
        self._askers = askers
        self._pool = ledger.pool
        self._held = ledger.places.held
        self._counters = ledger.counters

    def find(
        self,
        service: Service,
        group: Group,
        client: Requestor | None,
        expected: dict[Group, Reservation] | None,
        now: float,
        trace: Trace | None = None,
    ) -> Place | Reason:
        """A place for a new claim; a claim must follow at once.

        Args:
            service: For what.
            group: Who asks.
            client: For whom, if that is known and believed.
            expected: Where clients are expected for it, by group; None or nothing: nowhere.
            now: The present, in monotonic seconds.
            trace: Where it is said what was looked at, if it is only tried.

        Returns:
            Where, or why there is none; then nothing is changed but counters.
        """
        if self._counters.pending >= self._askers.most_claims and self._askers.limits(trace):
            return Reason.CLAIM_LIMIT
        if not group.habits.is_plain and (found := self._held_back(service, group, expected, now, trace)) is not None:
            return found
        if expected and (joined := self.joinable(expected, service.host, group, now)) is not None:
            if trace is None:
                self._counters.joined += 1
            else:
                trace.how = "where a client of the same host is expected already"
            return joined
        if trace is not None:
            what = "clients are expected for it, but this one can not join them"
            trace.say(what if expected else "nobody is expected for this service")
        if not self._held.get(service.host.index) or self._ledger.places.has_room(service.host):
            return self._apart(service, group, client, now, trace)
        return self._at_the_limit(service, group, client, now, trace)

    def _at_the_limit(
        self, service: Service, group: Group, client: Requestor | None, now: float, trace: Trace | None
    ) -> Place | Reason:
        """A place for clients of a host that has all places that it may have."""
        within, places = vacancies.within(self._ledger, service, group, now), self._ledger.places
        if within is not None and self.may_stay(within, group, now):
            if trace is not None:
                trace.how = BESIDE
            return vacancies.standing(within, service)
        if trace is None:
            places.miss(service.host, now)
        worse = places.worse(service.host, group, group.weigh(now) if trace is None else group.reputation.value(now))
        if worse is None:
            return Reason.HOST_LIMIT
        if trace is not None:
            trace.say("those of a worse standing would make room")
        found = self._apart(service, group, client, now, trace)
        if trace is None and not isinstance(found, Reason):
            changes.displace(self._ledger, worse, now=now)
        return found

    def _held_back(
        self,
        service: Service,
        group: Group,
        expected: dict[Group, Reservation] | None,
        now: float,
        trace: Trace | None,
    ) -> Place | Reason | None:
        """What those get who keep answers, or may do so; None: the same as anybody."""
        before = self._on_trial(service, group, now, dry=trace is not None)
        if before is not None:
            if trace is None:
                ledger = self._ledger
                is_alone = not (ledger.kept or ledger.modest.are_present(group, now))
                is_answered = ledger.candidates.is_believed
                self._counters.tried += group.habits.caution.withhold(
                    before, group.delays, group.habits, is_answered, now, is_alone=is_alone
                )
            else:
                trace.say("it is told nothing of this for a moment: if its clients come all the same, it keeps answers")
            return Reason.EXHAUSTED
        if holds.holds_its_share(self._ledger, group, now):
            return self._kept(service, group, expected, now, trace)
        return None

    @staticmethod
    def _on_trial(service: Service, group: Group, now: float, *, dry: bool) -> Claim | None:
        """What a group was told last of a service, if it is told nothing now to see whether it waits for that."""
        before = group.told.last(service.name)
        if before is None or before.reservation.service.target != service.target:
            return None
        return before if group.habits.caution.may_withhold(before, group.delays, now, dry=dry) else None

    def _kept(
        self, service: Service, group: Group, expected: dict[Group, Reservation] | None, now: float, trace: Trace | None
    ) -> Place | Reason:
        """A place for those who have their share, if it costs nothing: where the host is kept for such already."""
        ledger, latest = self._ledger, islice(reversed((expected or {}).values()), PROBES)
        there = (each.address for each in latest if each.address.long)
        address = next((each for each in there if not each.is_spoilt(service.host.index, group, now)), None)
        address = address or vacancies.within(ledger, service, group, now)
        if address is not None and address.long:
            if not holds.is_too_much(ledger, address):
                if trace is not None:
                    trace.how = "where this host is kept already for those who keep answers"
                return vacancies.standing(address, service)
            if trace is None:
                holds.give_up(ledger, address)
        if trace is not None:
            share = f"{ledger.kept} addresses stand for long for those who keep answers"
            trace.say(f"{share}, and others ask as well (keeper_share)")
        return Reason.EXHAUSTED

    def _apart(
        self, service: Service, group: Group, client: Requestor | None, now: float, trace: Trace | None
    ) -> Place | Reason:
        """A place for the host's clients where nobody is expected for it yet."""
        ledger = self._ledger
        last = ledger.last.get(service.target)
        if last is not None:
            found = self._returned(last, service, group, now, trace)
            if found is not None:
                if trace is None:
                    self._counters.sticky += 1
                return found
        elif trace is not None:
            trace.say("the service has no address that it had last")
        home = vacancies.beside(ledger, service, group, now) if service.host.index in ledger.home else None
        if home is not None and self.may_stay(home, group, now):
            if trace is None:
                self._counters.sticky += 1
            else:
                trace.how = BESIDE
            return home
        return self._new(service, group, client, now, trace)

    def joinable(self, expected: dict[Group, Reservation], host: Host, group: Group, now: float) -> Reservation | None:
        """Where a new claim can join others of its host; nothing is changed."""
        joined = self._joined(expected, host, group, now)
        return None if joined is None or joined.address.is_spoilt(host.index, group, now) else joined

    def _joined(self, expected: dict[Group, Reservation], host: Host, group: Group, now: float) -> Reservation | None:
        own = expected.get(group)
        if own is not None and (not (self._queue.size or group.hopeless) or self.may_stay(own.address, group, now)):
            return own
        if group.absorbed:
            for one in group.absorbed:
                own = expected.get(one)
                if own is not None and self.may_stay(own.address, group, now):
                    return own
        if self._pool.load < self._ledger.settings.share_load and self._ledger.places.has_room(host):
            return None
        latest = islice(reversed(expected.values()), PROBES)
        return next((one for one in latest if self.may_stay(one.address, group, now)), None)

    def _returned(self, last: Address, service: Service, group: Group, now: float, trace: Trace | None) -> Place | None:
        """Where the group was told last that the service is, else where that was last, if nobody is expected there."""
        own, before = last.reservations.get(service.target & KEY), group.told.last(service.name)
        if before is not None and (before.reservation is not own or group.hopeless):
            told = vacancies.told(self._ledger, service, group, now)
            if told is not None and self.may_stay(told.address, group, now):
                if trace is not None:
                    trace.how = "where this group was told last that it is"
                return told
        no = ""
        if last.before.told and last.is_spoilt(service.host.index, group, now):
            no = "is where clients of another host may come"
        elif own is not None and own.claims:
            no = "is in use"
        elif self._queue.size or group.hopeless:
            no = self._may_not_return(last, group, now, trace)
        if trace is not None:
            trace.how = "the address that it had last"
            if no:
                trace.say(f"the address that it had last, {dotted(last.packed)}, {no}")
        return None if no else own or last

    def _may_not_return(self, last: Address, group: Group, now: float, trace: Trace | None) -> str:
        """Why no claim is made where its service was last, though nobody is expected there; nothing if one is."""
        load = self._askers.load
        if load is None or not load.restrains(group):
            return "" if self.may_stay(last, group, now) else "is not for who asks now, since others wait"
        if self._queue.size or not load.may_try(now, ample=self._pool.is_ample):
            return "is kept from others now and then only, since its standing is next to nothing"
        if trace is None and not self._pool.is_ample:
            load.tried(self._pool.size, now)
        return ""

    def may_stay(self, address: Address, group: Group, now: float) -> bool:
        """Whether one more claim wrongs nobody: he need not ride, or his client has time before the hold ends."""
        if not (self._queue.size or group.hopeless):
            return True
        return not self.must_ride(group) or (address.claims > 0 and address.held_until >= now + group.ride)

    def must_ride(self, group: Group) -> bool:
        """Whether a group's claims may not prolong what is held: others wait, or the policy restrains it."""
        load = self._askers.load
        return self._queue.size > 0 or (group.hopeless and load is not None and load.restrains(group))

    def _shareable(self, service: Service, group: Group, now: float) -> Address | None:
        """An address in use whose services do not overlap with one, if its clients wrong nobody there."""
        found = self._pool.shareable(service.target & KEY)
        if found is None or found.is_spoilt(service.host.index, group, now):
            return None
        return found if self.may_stay(found, group, now) else None

    def _new(
        self, service: Service, group: Group, client: Requestor | None, now: float, trace: Trace | None
    ) -> Place | Reason:
        key, load, pool = service.target & KEY, self._askers.load, self._pool
        shared = self._shareable(service, group, now) if key else None
        if shared is not None:
            no = None if load is None else load.refuses(SFQDN_REUSE, pool.load, group, client, now, trace)
            if no is not None:
                return no
            if trace is None:
                self._counters.shared += 1
            else:
                trace.how = "shared with services that it does not overlap with"
            return shared
        if trace is not None:
            trace.say("no address in use can be shared")
        if self._queue.size:
            if trace is not None:
                trace.say("others wait already")
            return Reason.EXHAUSTED
        if load is not None and (pool.available or load.restrains(group)):
            no = load.refuses(SFQDN_NEW if key else FQDN_NEW, pool.load, group, client, now, trace)
            if no is not None:
                if trace is None and not group.hopeless:  # an emptier pool would have had one
                    self._ledger.costs.scarce_at = now
                return no
        return vacancies.obtain(self._ledger, service, group, now, trace, patient=True, waiting=1) or Reason.EXHAUSTED

"""Where a new claim is made: the order in which an address is looked for, and what stands in the way."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from realmgw.allocation import vacancies
from realmgw.allocation.claims import changes, courtesies
from realmgw.allocation.pool.circular import PROBES
from realmgw.allocation.reputation.load_policy import Kind
from realmgw.allocation.state import KEY, Address, Claim, Reservation
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
        self._counters = ledger.counters

    def find(
        self,
        service: Service,
        group: Group,
        client: Requestor | None,
        expected: dict[Group, Reservation] | None,
        now: float,
    ) -> Reservation | Reason:
        """A place for a new claim; a claim must follow at once.

        Args:
            service: For what.
            group: Who asks.
            client: For whom, if that is known and believed.
            expected: Where clients are expected for it, by group; None or nothing: nowhere.
            now: The present, in monotonic seconds.

        Returns:
            Where, or why there is none; then nothing is changed but counters.
        """
        if not group.habits.is_plain and (found := self._held_back(service, group, expected, now)) is not None:
            return found
        if expected:
            joined = self.joinable(expected, service.host, group, now)
            if joined is not None:
                self._counters.joined += 1
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
            changes.displace(self._ledger, worse, now=now)
        return found

    def _held_back(
        self, service: Service, group: Group, expected: dict[Group, Reservation] | None, now: float
    ) -> Reservation | Reason | None:
        """What those get who keep answers, or may do so; None: the same as anybody."""
        before = self.on_trial(service, group, now)
        if before is not None:
            self._counters.tried += group.habits.caution.withhold(
                before, group.delays, group.habits, self._ledger.candidates.is_believed, now
            )
            return Reason.EXHAUSTED
        if courtesies.holds_its_share(self._ledger, group, now):
            return self._kept(service, group, expected, now)
        return None

    @staticmethod
    def on_trial(service: Service, group: Group, now: float) -> Claim | None:
        """What a group was told last of a service, if it is told nothing now to see whether it waits for that."""
        before = group.told.last(service.name)
        if before is None or before.reservation.service.target != service.target:
            return None
        return before if group.habits.caution.may_withhold(before, group.delays, now) else None

    def kept(self, service: Service, expected: dict[Group, Reservation] | None, now: float) -> Address | None:
        """Where its host is kept already for those who keep answers, so that one more of them costs nothing."""
        latest = islice(reversed((expected or {}).values()), PROBES)
        own = next((each.address for each in latest if each.address.long), None)
        address = vacancies.within(self._ledger, service, now) if own is None else own
        return address if address is not None and address.long else None

    def _kept(
        self, service: Service, group: Group, expected: dict[Group, Reservation] | None, now: float
    ) -> Reservation | Reason:
        """A place for those who have their share, if it costs nothing."""
        address = self.kept(service, expected, now)
        if address is None:
            return Reason.EXHAUSTED
        if courtesies.is_too_much(self._ledger, address):
            courtesies.give_up(self._ledger, address)
            return Reason.EXHAUSTED
        return vacancies.placed(self._ledger, address, service, group)

    def _apart(self, service: Service, group: Group, client: Requestor | None, now: float) -> Reservation | Reason:
        """A place for the host's clients where nobody is expected for it yet."""
        ledger = self._ledger
        last = ledger.last.get(service.target)
        if last is not None and (sticky := self._returned(last, service, group, now)) is not None:
            self._counters.sticky += 1
            return sticky
        if service.host.index in ledger.home and (home := self.beside(service, group, now)) is not None:
            self._counters.sticky += 1
            return ledger.settle(home, service, group)
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
        if self._pool.load < self._ledger.settings.share_load and self._ledger.places.has_room(host):
            return None
        latest = islice(reversed(expected.values()), PROBES)
        return next((one for one in latest if self.may_stay(one.address, group, now)), None)

    def _returned(self, last: Address, service: Service, group: Group, now: float) -> Reservation | None:
        """Where the group was told last that the service is, else where that was last, if nobody is expected there."""
        own, before = last.reservations.get(service.target & KEY), group.told.last(service.name)
        if before is not None and (before.reservation is not own or group.hopeless):
            told = self.told(service, group, now)
            if told is not None:
                return told
        if last.before is not None and last.is_spoilt(service.host.index, now):
            return None
        if own is not None and own.claims:
            return None
        if self._queue.size or group.hopeless:
            if not self.may_return(last, group, now):
                return None
            if (load := self._askers.load) is not None and load.restrains(group) and not self._pool.is_ample:
                load.tried(self._pool.size, now)
        return own or self._ledger.settle(last, service, group)

    def may_return(self, last: Address, group: Group, now: float) -> bool:
        """Whether a new claim can be made at the address that its service had last, where nobody is expected for it."""
        load = self._askers.load
        if load is not None and load.restrains(group):
            return not self._queue.size and load.may_try(now, ample=self._pool.is_ample)
        return self.may_stay(last, group, now)

    def told(self, service: Service, group: Group, now: float) -> Reservation | None:
        """Where the group was told last that the service is, if nobody is expected there."""
        told = vacancies.told(self._ledger, service, group, now)
        return None if told is None or not self.may_stay(told.address, group, now) else told

    def beside(self, service: Service, group: Group, now: float) -> Address | None:
        """Where other services of its host are, which cost nothing more together than one of them."""
        home = vacancies.beside(self._ledger, service, now)
        return None if home is None or not self.may_stay(home, group, now) else home

    def within(self, service: Service, group: Group, now: float) -> Address | None:
        """Where clients of its host are expected already, and it can be as well, which costs the host nothing more."""
        within = vacancies.within(self._ledger, service, now)
        return None if within is None or not self.may_stay(within, group, now) else within

    def may_stay(self, address: Address, group: Group, now: float) -> bool:
        """Whether one more claim wrongs nobody: he need not ride, or his client has time before the hold ends."""
        if not (self._queue.size or group.hopeless):
            return True
        return not self.must_ride(group) or (address.claims > 0 and address.hold >= now + group.patience)

    def must_ride(self, group: Group) -> bool:
        """Whether a group's claims may not prolong what is held: others wait, or the policy restrains it."""
        load = self._askers.load
        return self._queue.size > 0 or (group.hopeless and load is not None and load.restrains(group))

    def _new(self, service: Service, group: Group, client: Requestor | None, now: float) -> Reservation | Reason:
        key, load = service.target & KEY, self._askers.load
        shared = self._pool.shareable(key) if key else None
        if shared is not None and self.may_stay(shared, group, now):
            if load is not None and (no := load.refuses(SFQDN_REUSE, self._pool.load, group, client, now)) is not None:
                return no
            self._counters.shared += 1
            return self._ledger.settle(shared, service, group)
        if self._queue.size:
            return Reason.EXHAUSTED
        if load is not None and (self._pool.available or load.restrains(group)):
            no = load.refuses(SFQDN_NEW if key else FQDN_NEW, self._pool.load, group, client, now)
            if no is not None:
                if not group.hopeless:  # an emptier pool would have had one
                    self._ledger.costs.scarce_at = now
                return no
        return vacancies.obtain(self._ledger, service, group, patient=True, now=now) or Reason.EXHAUSTED

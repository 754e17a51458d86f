"""All subscribers of the running gateway, and what follows when some of them are written differently.

A reload must not walk through a hundred thousand hosts in one go, and must leave everything as it was when a later step
of it fails. So it has two parts: `changes` finds out what is different, step by step, and touches nothing; `commit`
then amends the directory in place, in a time that depends on the changes alone. Between the two nothing else may be
committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address

import attrs

from realmgw.config.document import MOST_OF_ALL, MOST_OF_ONE, bounded
from realmgw.config.names import normal
from realmgw.config.settings import Zone
from realmgw.config.steps import Steps, Turns, adding, doing, emptying, portions
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.entry import Entry, Offer
from realmgw.subscribers.files.incremental import Unit
from realmgw.subscribers.host_indices import HostIndices
from realmgw.subscribers.model import Directory, Host, Service
from realmgw.subscribers.realm import Realm, host_of, service_of
from realmgw.subscribers.review import AT_ONCE, BELIEVING, Caution, Review, addresses_of

GROUPLESS = "policy.pipeline.groups leaves out groups that hosts are of, whose rules would no longer hold"
"""Why changes are refused that hosts have no part in."""


@attrs.frozen(eq=False)
class Changes:
    """What leads from the directory to the next one, filled once. Valid until the next `commit`."""

    removed: list[Host] = attrs.Factory(list)
    """Hosts that are gone."""
    added: list[Host] = attrs.Factory(list)
    """Hosts that are new."""
    changed: list[tuple[Host, Host]] = attrs.Factory(list)
    """Hosts that are different, as they were and as they are; their index is the same."""
    names_gone: list[str] = attrs.Factory(list)
    """Services that are no more."""
    services: list[Service] = attrs.Factory(list)
    """Services that are new or different."""
    addresses_gone: set[bytes] = attrs.Factory(set)
    """Packed addresses that were a host's and are so no more: their flows have to end."""
    addresses_came: set[bytes] = attrs.Factory(set)
    """Packed addresses that are a host's from now on and were not its own before: who has them is no guest any more."""
    targets_gone: set[int] = attrs.Factory(set)
    """Targets (`Service.target`) that no service leads to any more."""
    problems: tuple[str, ...] = ()
    """Why some source is not as it is written; what it said before stays."""
    kept: tuple[str, ...] = ()
    """A line for each source of which not what it says is in force, but what it said before."""
    waiting: tuple[str, ...] = ()
    """Sources that take something away and have not said the same twice yet: what they said before stays until then."""
    units: Mapping[str, Unit] = attrs.Factory(dict)
    """What every source says from now on."""
    indices: HostIndices = attrs.Factory(HostIndices)
    """The indices from now on; `by_name` holds those that were given now, `commit` joins them."""
    by_host: dict[str, tuple[Service, ...]] = attrs.Factory(dict)
    """The services of every host that is new, different, or told by another source, by its name."""
    owners: dict[str, str] = attrs.Factory(dict)
    """The sources of these hosts."""
    realm: Realm | None = None
    """What subscribers may say from now on."""
    beyond: Mapping[str, tuple[str, ...]] = attrs.Factory(dict)
    """Hosts that nobody wrote differently, and that contradict the realm since that has changed: they stay, and what is
    wrong is told among the problems."""
    part: Unit | None = None
    """If only some hosts of a source were looked at: what it says of them; the others are as they were."""

    @property
    def hosts(self) -> tuple[tuple[Host, ...], tuple[Host, ...]]:
        """Those that are gone or different, as they were, and those that are new or different, as they are."""
        gone = (*self.removed, *(before for before, _ in self.changed))
        return gone, (*self.added, *(after for _, after in self.changed))

    def __bool__(self) -> bool:
        """Whether anything that matters to other rooms is different."""
        return bool(self.removed or self.added or self.changed or self.names_gone or self.services)


class Registry:
    """The directory of the running gateway, with where everything in it comes from.

    Attributes:
        directory: The directory. `commit` amends its tables in place: they are the same objects all the time.
        problems: What was wrong with the sources at the last `commit`.
        kept: A line for each source of which not what it says is in force, but what it said before.
        told: Goes through changes that are in force now, in steps.
    """

    def __init__(self) -> None:
        self.told: Callable[[Changes], Steps[None]] = lambda _changes: emptying()
        self.directory = Directory({}, {})
        self.problems: tuple[str, ...] = ()
        self.kept: tuple[str, ...] = ()
        self._units: Mapping[str, Unit] = {}
        self._by_host: dict[str, tuple[Service, ...]] = {}
        self._owners: dict[str, str] = {}
        self._by_address: dict[bytes, Host] = {}
        self._realm: Realm | None = None
        self._beyond: Mapping[str, tuple[str, ...]] = {}

    @property
    def owners(self) -> Mapping[str, str]:
        """Which source each host comes from, by its name."""
        return self._owners

    @property
    def units(self) -> Mapping[str, Unit]:
        """What every source says, by its name."""
        return self._units

    def services_of(self, name: str) -> tuple[Service, ...]:
        """The services of a host, by its name; none if there is no such host."""
        return self._by_host.get(name, ())

    def source_of(self, name: str) -> str | None:
        """Which source a host comes from."""
        return self._owners.get(name)

    def yields(self, name: str) -> bool:
        """Whether what a host has belongs to whoever is written and wants it."""
        unit = self._units.get(self._owners.get(name, ""))
        return unit is not None and unit.yields

    @property
    def realm(self) -> Realm:
        """What subscribers may say now."""
        return self._realm or Realm()

    def begin(self, unit: Unit) -> None:
        """A source that says nothing yet is there."""
        self._units = {**self._units, unit.source: unit}

    def amending(self, source: str, now: Mapping[str, Entry | None]) -> Steps[Changes]:
        """Finds out what is different when a source says something else of a few hosts: in no time that grows with all.

        Args:
            source: One whose tokens are the entries themselves.
            now: What it says of these hosts; None: nothing any more.

        Returns:
            The changes; nothing is done yet.

        Raises:
            RealmGatewayError: Another source or the realm contradicts it, or there are more hosts than indices.
        """
        there = self._units[source].tokens
        said = {name: entry for name, entry in now.items() if entry is not None}
        former = Unit(source, {name: there[name] for name in now if name in there})
        part = Unit(source, said, said, yields=True)
        review = Review(self, self.realm, [(former, part)], {})
        yield from review.decide(BELIEVING)
        if review.refused:
            raise RealmGatewayError("\n".join(review.refused[source]))
        changes = yield from self._build(review, self._units)
        left = review.gone.keys() | review.came.keys()
        beyond = {name: lines for name, lines in self._beyond.items() if name not in left}
        return attrs.evolve(
            changes, realm=self._realm, beyond=beyond, problems=self.problems, kept=self.kept,
            part=attrs.evolve(part, tokens={name: said.get(name) for name in now}),
        )  # fmt: skip

    def changes(
        self, units: Iterable[Unit], realm: Realm | Iterable[Zone], caution: Caution = BELIEVING
    ) -> Steps[Changes]:
        """Finds out what is different when the sources say this.

        A source that contradicts another one, or the realm, is left as it was; of one that yields, the hosts that do.
        Who has a name or an address already keeps it; among those who are new, the earlier source does. When the realm
        is another one than before, hosts that contradict it stay as they are as well, and are told.

        Args:
            units: What every source says, in the order in which they count; unchanged ones as the same object.
            realm: What they may say; or the gateway's zones alone.
            caution: Which losses are not believed.

        Returns:
            The changes; nothing is done yet.

        Raises:
            RealmGatewayError: There are more hosts than indices, or the realm has no more the group of a host that
                nobody has written differently.
        """
        said = {unit.source: unit for unit in units}
        yield None
        touched = yield from self._touched(said)
        realm = realm if isinstance(realm, Realm) else Realm(realm)
        review = Review(self, realm, touched, said)
        yield from review.decide(caution)
        for source in (*review.refused, *review.waiting):
            former, now = self._units.get(source, Unit(source)), said.get(source, Unit(source))
            lines = (*now.problems, *review.refused.get(source, ()))
            said[source] = attrs.evolve(former, entries={}, lines={}, problems=lines, is_kept=source in review.refused)
        said.update((unit.source, unit) for unit in review.partly())
        units_now = {source: unit for source, unit in said.items() if not unit.is_gone}
        yield None
        changes = yield from self._build(review, units_now)
        beyond = yield from self._beyond_now(review, realm)
        told = (line for each in beyond.values() for line in each)
        found, kept = yield from _problems(units_now.values())
        problems, waiting = bounded([*found, *told], MOST_OF_ALL), tuple(review.waiting)
        yield from emptying(review.came, review.gone)
        return attrs.evolve(
            changes, realm=realm, beyond=beyond, problems=problems, kept=bounded(kept, MOST_OF_ALL), waiting=waiting
        )  # fmt: skip

    def _touched(self, said: Mapping[str, Unit]) -> Steps[list[tuple[Unit | None, Unit]]]:
        """The sources that say something else, as they were and as they are."""
        touched: list[tuple[Unit | None, Unit]] = []
        for count, (source, unit) in enumerate(said.items()):
            old = self._units.get(source)
            if old is not unit:
                touched.append((old, unit))
            if not count % (8 * AT_ONCE):
                yield None
        for count, (source, old) in enumerate(self._units.items()):
            if source not in said:
                touched.append((old, Unit(source, is_gone=True)))
            if not count % (8 * AT_ONCE):
                yield None
        return touched

    def _beyond_now(self, review: Review, realm: Realm) -> Steps[dict[str, tuple[str, ...]]]:
        """What is wrong with hosts that nobody wrote differently; looked for when the realm is another one."""
        left = review.gone.keys() | review.came.keys()
        if self._realm is None or realm == self._realm:
            return {name: lines for name, lines in self._beyond.items() if name not in left}
        found, groupless = dict[str, tuple[str, ...]](), list[str]()
        turns = Turns(4 * AT_ONCE)
        for host in tuple(self.directory.hosts.values()):
            if host.name not in left:
                lines = tuple(realm.contradictions(_entry_of(host, self._by_host[host.name])))
                place = f"{self._owners[host.name]}: {host.name}"
                if lines:
                    found[host.name] = tuple(f"{place}: {line}" for line in lines)
                if len(groupless) <= MOST_OF_ONE:
                    groupless += (f"{place}: {line}" for line in realm.unknown_groups(host.profile))
            if turns.is_over(4 + len(self._by_host[host.name])):
                yield None
        if groupless:
            raise RealmGatewayError("\n".join((GROUPLESS, *bounded(groupless, MOST_OF_ONE))))
        return found

    def _build(self, review: Review, said: Mapping[str, Unit]) -> Steps[Changes]:
        """Hosts and services of what came, and what is left of what went."""
        removed: list[str] = []
        for names in portions(review.gone):
            removed += [name for name in names if name not in review.came]
            yield None
        indices = yield from self.directory.indices.amending(removed, review.came)
        changes, former, turns = Changes(units=said, indices=indices), list[Service](), Turns(4 * AT_ONCE)
        for name, (entry, source) in review.came.items():
            former.extend(self._by_host.get(name, ()))
            yield from self._build_one(name, entry, changes)
            changes.owners[name] = source
            if turns.is_over(4 + len(entry.services or ())):
                yield None
        for portion in portions(removed):
            for name in portion:
                host = self.directory.hosts[self.directory.indices.by_name[name]]
                changes.removed.append(host)
                changes.addresses_gone.update(addresses_of(host))
                former.extend(self._by_host[name])
            yield None
        present, targets = dict[str, None](), dict[int, None]()
        told = (service for each in changes.by_host.values() for service in each) if former else ()
        for services in portions(told):
            present.update((service.name, None) for service in services)
            targets.update((service.target, None) for service in services)
            yield None
        for services in portions(former):
            changes.names_gone.extend(service.name for service in services if service.name not in present)
            changes.targets_gone.update(service.target for service in services if service.target not in targets)
            yield None
        yield from emptying(present, targets)
        return changes

    def _build_one(self, name: str, entry: Entry, changes: Changes) -> Steps[None]:
        known = self.directory.indices.by_name.get(name)
        before = None if known is None else self.directory.hosts[known]
        host = host_of(entry, changes.indices.by_name[name] if known is None else known, before)
        found: list[Service] = []
        for offers in portions(entry.services or ()):
            found += [service_of(each, host, self.directory) for each in offers]
            if len(found) > AT_ONCE:
                yield None
        services = tuple(found)
        if before is None:
            changes.added.append(host)
            changes.addresses_came.update(addresses_of(host))
        elif before is not host:
            changes.changed.append((before, host))
            then, now = addresses_of(before), addresses_of(host)
            changes.addresses_gone.update(each for each in then if each not in now)
            changes.addresses_came.update(each for each in now if each not in then)
        changes.by_host[name] = services
        there = self.directory.services
        changes.services.extend(service for service in services if there.get(service.name) is not service)

    def commit(self, changes: Changes) -> Steps[None]:
        """Makes changes true. Nothing in here can fail.

        Yields every `AT_ONCE` hosts: up to so many are changed all at once.
        """
        hosts, services, by_name = self.directory.hosts, self.directory.services, self.directory.indices.by_name
        yield from doing(self._remove, changes.removed, AT_ONCE)
        yield from doing(self._forget_address, (former for former, _ in changes.changed), AT_ONCE)
        yield from doing(services.__delitem__, changes.names_gone, 8 * AT_ONCE)
        yield from doing(self._put, (*changes.added, *(after for _, after in changes.changed)), AT_ONCE)
        yield from adding(services, ((service.name, service) for service in changes.services))
        yield from adding(by_name, changes.indices.by_name.items())
        yield from adding(self._by_host, changes.by_host.items())
        yield from adding(self._owners, changes.owners.items())
        self.directory = Directory(services, hosts, attrs.evolve(changes.indices, by_name=by_name))
        yield from self.told(changes)
        if changes.part is not None:
            self._amend(changes.part)
            self._beyond = changes.beyond
            return
        for count, (source, unit) in enumerate(changes.units.items(), 1):
            if self._units.get(source) is not unit:
                yield from unit.forgetting()
            if not count % (8 * AT_ONCE):
                yield None
        self._units = changes.units
        self.problems, self.kept = changes.problems, changes.kept
        self._realm, self._beyond = changes.realm, changes.beyond

    def _amend(self, part: Unit) -> None:
        """A source says this of some hosts, and of the others what it said before."""
        tokens = self._units[part.source].tokens
        assert isinstance(tokens, dict)
        for name, token in part.tokens.items():
            if token is None:
                tokens.pop(name, None)
            else:
                tokens[name] = token

    def _put(self, host: Host) -> None:
        self.directory.hosts[host.index] = host
        self._by_address.update(dict.fromkeys(addresses_of(host), host))

    def _remove(self, host: Host) -> None:
        del self.directory.hosts[host.index], self.directory.indices.by_name[host.name]
        del self._by_host[host.name], self._owners[host.name]
        self._forget_address(host)

    def _forget_address(self, host: Host) -> None:
        for address in addresses_of(host):
            if self._by_address.get(address) is host:
                del self._by_address[address]

    def owner_of(self, claim: bytes | str) -> str | None:
        """The host that has a packed address, or a service's name."""
        service = self.directory.services.get(claim) if isinstance(claim, str) else None
        host = self._by_address.get(claim) if isinstance(claim, bytes) else service and service.host
        return None if host is None else host.name

    def are_free(self, claims: Collection[bytes | str]) -> bool:
        """Whether no host has any of them."""
        return self.directory.services.keys().isdisjoint(claims) and self._by_address.keys().isdisjoint(claims)

    def host_called(self, name: str) -> Host | None:
        """The host of a name: its own, or that of one of its services; with or without the last dot."""
        absolute, directory = normal(name), self.directory
        index, service = directory.indices.by_name.get(absolute), directory.services.get(absolute)
        if index is not None:
            return directory.hosts[index]
        return None if service is None else service.host

    def host_at(self, address: bytes) -> Host | None:
        """The host that has a packed address."""
        return self._by_address.get(address)


def _entry_of(host: Host, services: Iterable[Service]) -> Entry:
    """What the realm has to know of a host."""
    offers = tuple(Offer(each.name, each.terms) for each in services)
    address = IPv4Address(host.address) if host.address else None
    address6 = IPv6Address(host.address6) if host.address6 else None
    return Entry(host.name, address, offers, host.profile, host.identity, address6)


def _problems(units: Iterable[Unit]) -> Steps[tuple[list[str], list[str]]]:
    """What is wrong with sources, of none of them too much; and a line for each that is as it was."""
    found, kept = list[str](), list[str]()
    for count, unit in enumerate(units, 1):
        if unit.problems:
            found += bounded(unit.problems, MOST_OF_ONE + 1)  # a reader's own last line
            if unit.is_kept:
                more = len(unit.problems) - 1
                kept.append(unit.problems[0] + (f" (and {more} more: `realmgw status --all`)" if more else ""))
        if not count % (8 * AT_ONCE):
            yield None
    return found, kept

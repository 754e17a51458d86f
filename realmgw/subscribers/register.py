"""All subscribers of the running gateway, and what follows when some of them are written differently.

A reload must not walk through a hundred thousand hosts in one go, and must leave everything as it was when a later step
of it fails. So it has two steps: `changes` finds out what is different, as a generator that yields every now and then,
and touches nothing; `commit` then amends the directory in place, in a time that depends on the changes alone.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address

import attrs

from realmgw.config.settings import Zone
from realmgw.subscribers.collection import Realm, host_of, service_of
from realmgw.subscribers.indices import Indices
from realmgw.subscribers.model import Directory, Host, Service
from realmgw.subscribers.pieces import Unit
from realmgw.subscribers.schema import Entry, Offer, Terms

AT_ONCE = 64
"""So many hosts are looked at between two yields."""


@attrs.frozen(eq=False)
class Changes:
    """What leads from the directory to the next one. Valid until the next `commit`."""

    removed: tuple[Host, ...] = ()
    """Hosts that are gone."""
    added: tuple[Host, ...] = ()
    """Hosts that are new."""
    changed: tuple[tuple[Host, Host], ...] = ()
    """Hosts that are different, as they were and as they are; their index is the same."""
    names_gone: tuple[str, ...] = ()
    """Services that are no more."""
    services: tuple[Service, ...] = ()
    """Services that are new or different."""
    targets_gone: frozenset[int] = frozenset()
    """Targets (`Service.target`) that no service leads to any more."""
    problems: tuple[str, ...] = ()
    """Why some source is not as it is written; what it said before stays."""
    units: Mapping[str, Unit] = attrs.Factory(dict)
    """What every source says from now on."""
    indices: Indices = attrs.Factory(Indices)
    """The indices from now on; `by_name` holds those that were given now, `commit` joins them."""
    by_host: Mapping[str, tuple[Service, ...]] = attrs.Factory(dict)
    """The services of every host that is new, different, or told by another source, by its name."""
    owners: Mapping[str, str] = attrs.Factory(dict)
    """The sources of these hosts."""
    realm: Realm | None = None
    """What subscribers may say from now on."""
    beyond: Mapping[str, tuple[str, ...]] = attrs.Factory(dict)
    """Hosts that nobody wrote differently, and that contradict the realm since that has changed: they stay, and what is
    wrong is told among the problems."""

    def __bool__(self) -> bool:
        """Whether anything that matters to other rooms is different."""
        return bool(self.removed or self.added or self.changed or self.names_gone or self.services)

    @property
    def addresses_gone(self) -> frozenset[bytes]:
        """Packed addresses that were a host's and are so no more: their flows have to end."""
        gone = {address for host in self.removed for address in addresses_of(host)}
        for before, after in self.changed:
            gone.update(address for address in addresses_of(before) if address not in addresses_of(after))
        return frozenset(gone)


class Register:
    """The directory of the running gateway, with where everything in it comes from.

    Attributes:
        directory: The directory. `commit` amends its tables in place: they are the same objects all the time.
        problems: What was wrong with the sources at the last `commit`.
    """

    def __init__(self) -> None:
        self.directory = Directory({}, {})
        self.problems: tuple[str, ...] = ()
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

    def changes(self, units: Iterable[Unit], realm: Realm | Iterable[Zone]) -> Generator[None, None, Changes]:
        """Finds out what is different when the sources say this.

        A source that contradicts another one, or the realm, is left as it was. Who has a name or an address already
        keeps it; among those who are new, the earlier source does. When the realm is another one than before, hosts
        that contradict it stay as they are as well, and are told.

        Args:
            units: What every source says, in the order in which they count; unchanged ones as the same object.
            realm: What they may say; or the gateway's zones alone.

        Returns:
            The changes; nothing is done yet.

        Raises:
            RealmGatewayError: There are more hosts than indices.
        """
        said = {unit.source: unit for unit in units}
        touched: list[tuple[Unit | None, Unit | None]]
        touched = [(self._units.get(source), unit) for source, unit in said.items()]
        touched += [(unit, None) for source, unit in self._units.items() if source not in said]
        realm = realm if isinstance(realm, Realm) else Realm(realm)
        review = _Review(self, realm, [(old, new) for old, new in touched if old is not new])
        while (yield from review.round()):
            pass
        for source, lines in review.refused.items():
            former = self._units.get(source, Unit(source))
            said[source] = attrs.evolve(former, entries={}, problems=tuple(lines))
        changes = yield from self._build(review, said)
        beyond = yield from self._beyond_now(review, realm)
        told = (line for each in beyond.values() for line in each)
        return attrs.evolve(changes, realm=realm, beyond=beyond, problems=(*changes.problems, *told))

    def _beyond_now(self, review: _Review, realm: Realm) -> Generator[None, None, dict[str, tuple[str, ...]]]:
        """What is wrong with hosts that nobody wrote differently; looked for when the realm is another one."""
        left = review.gone | review.came.keys()
        if self._realm is None or realm == self._realm:
            return {name: lines for name, lines in self._beyond.items() if name not in left}
        found: dict[str, tuple[str, ...]] = {}
        for count, host in enumerate(tuple(self.directory.hosts.values())):
            if host.name not in left:
                lines = tuple(realm.contradictions(_entry_of(host, self._by_host[host.name])))
                if lines:
                    found[host.name] = tuple(f"{self._owners[host.name]}: {host.name}: {line}" for line in lines)
            if not count % AT_ONCE:
                yield
        return found

    def _build(self, review: _Review, said: dict[str, Unit]) -> Generator[None, None, Changes]:
        """Hosts and services of what came, and what is left of what went."""
        removed = [name for name in review.gone if name not in review.came]
        indices = self.directory.indices.amended(removed, review.came)
        built = _Built()
        for count, (name, (entry, source)) in enumerate(review.came.items()):
            self._build_one(name, entry, indices, built)
            built.owners[name] = source
            if not count % AT_ONCE:
                yield
        for name in removed:
            built.removed.append(self.directory.hosts[self.directory.indices.by_name[name]])
            built.former.extend(self._by_host[name])
        present = {service.name for services in built.by_host.values() for service in services}
        targets = {service.target for services in built.by_host.values() for service in services}
        return Changes(
            removed=tuple(built.removed),
            added=tuple(built.added),
            changed=tuple(built.changed),
            names_gone=tuple(service.name for service in built.former if service.name not in present),
            services=tuple(built.services),
            targets_gone=frozenset(service.target for service in built.former) - targets,
            problems=tuple(line for unit in said.values() for line in unit.problems),
            units=said,
            indices=indices,
            by_host=built.by_host,
            owners=built.owners,
        )

    def _build_one(self, name: str, entry: Entry, indices: Indices, built: _Built) -> None:
        known = self.directory.indices.by_name.get(name)
        before = None if known is None else self.directory.hosts[known]
        host = host_of(entry, indices.by_name[name] if known is None else known, before)
        services = tuple(service_of(each, host, self.directory) for each in entry.services or ())
        if before is None:
            built.added.append(host)
        elif before is not host:
            built.changed.append((before, host))
        built.former.extend(self._by_host.get(name, ()))
        built.by_host[name] = services
        there = self.directory.services
        built.services.extend(service for service in services if there.get(service.name) is not service)

    def commit(self, changes: Changes) -> Generator[None, None, None]:
        """Makes changes true. Nothing in here can fail.

        Yields every `AT_ONCE` hosts: up to so many are changed all at once.
        """
        hosts, services, by_name = self.directory.hosts, self.directory.services, self.directory.indices.by_name
        for count, host in enumerate(changes.removed, 1):
            del hosts[host.index], by_name[host.name], self._by_host[host.name], self._owners[host.name]
            self._forget_address(host)
            if not count % AT_ONCE:
                yield
        for former, _ in changes.changed:
            self._forget_address(former)
        for name in changes.names_gone:
            del services[name]
        for count, host in enumerate((*changes.added, *(after for _, after in changes.changed)), 1):
            hosts[host.index] = host
            self._by_address.update(dict.fromkeys(addresses_of(host), host))
            if not count % AT_ONCE:
                yield
        for count, service in enumerate(changes.services, 1):
            services[service.name] = service
            if not count % (8 * AT_ONCE):
                yield
        by_name.update(changes.indices.by_name)
        self.directory = Directory(services, hosts, attrs.evolve(changes.indices, by_name=by_name))
        self._by_host.update(changes.by_host)
        self._owners.update(changes.owners)
        self._units = {source: _without_entries(unit) for source, unit in changes.units.items()}
        self.problems = changes.problems
        self._realm, self._beyond = changes.realm, changes.beyond

    def _forget_address(self, host: Host) -> None:
        for address in addresses_of(host):
            if self._by_address.get(address) is host:
                del self._by_address[address]

    def owner_of_service(self, name: str) -> str | None:
        """The host that a service is one of."""
        service = self.directory.services.get(name)
        return None if service is None else service.host.name

    def owner_of_address(self, address: bytes) -> str | None:
        """The host that has a packed address."""
        host = self._by_address.get(address)
        return None if host is None else host.name


def _entry_of(host: Host, services: Iterable[Service]) -> Entry:
    """What the realm has to know of a host."""
    offers = tuple(Offer(each.name, Terms(proxy_required=each.proxy_required)) for each in services)
    return Entry(host.name, IPv4Address(host.address), offers, host.groups, host.max_claims)


def addresses_of(host: Host) -> tuple[bytes, ...]:
    """Every private address of a host, packed; flows are translated to the first one."""
    return (host.address, *host.identity.addresses)


def _without_entries(unit: Unit) -> Unit:
    """Entries were made into hosts by now; kept, they would take more memory than these."""
    if isinstance(unit.entries, dict) and unit.entries is not unit.tokens:
        unit.entries.clear()
    if isinstance(unit.lines, dict):
        unit.lines.clear()
    return unit


@attrs.define(eq=False)
class _Built:
    """What `Changes` is put together from."""

    removed: list[Host] = attrs.Factory(list)
    """As in `Changes`."""
    added: list[Host] = attrs.Factory(list)
    """As in `Changes`."""
    changed: list[tuple[Host, Host]] = attrs.Factory(list)
    """As in `Changes`."""
    former: list[Service] = attrs.Factory(list)
    """Services that the hosts had, as they were."""
    services: list[Service] = attrs.Factory(list)
    """As in `Changes`."""
    by_host: dict[str, tuple[Service, ...]] = attrs.Factory(dict)
    """As in `Changes`."""
    owners: dict[str, str] = attrs.Factory(dict)
    """As in `Changes`."""


class _Review:
    """Which of the touched sources can be believed, found out in rounds: whoever is refused takes nothing away."""

    def __init__(self, register: Register, realm: Realm, touched: Collection[tuple[Unit | None, Unit | None]]) -> None:
        self._register = register
        self._realm = realm
        self._touched = touched
        self.refused: dict[str, list[str]] = {}
        self.gone: set[str] = set()
        self.came: dict[str, tuple[Entry, str]] = {}

    def round(self) -> Generator[None, None, bool]:
        """Go through all that are not refused yet; returns whether one more was, so that all is to be done again."""
        believed = [(old, new) for old, new in self._touched if new is None or new.source not in self.refused]
        self.gone, self.came = set(), {}
        for old, new in believed:
            if old is not None:
                there = {} if new is None else new.tokens
                self.gone.update(name for name, token in old.tokens.items() if there.get(name) != token)
                yield
        taken: dict[object, str] = {}
        before = len(self.refused)
        for old, new in believed:
            if new is not None and new.tokens is not (old and old.tokens):
                yield from self._claim(old, new, taken)
        return len(self.refused) > before

    def _claim(self, old: Unit | None, new: Unit, taken: dict[object, str]) -> Generator[None, None, None]:
        there = {} if old is None else old.tokens
        for count, (name, token) in enumerate(new.tokens.items()):
            if there.get(name) != token:
                entry = new.entries[name]
                lines = list(self._contradictions(entry, new.place(name), taken))
                if lines:
                    self.refused.setdefault(new.source, []).extend(lines)
                self.came[name] = entry, new.source
            if not count % AT_ONCE:
                yield

    def _contradictions(self, entry: Entry, place: str, taken: dict[object, str]) -> Iterator[str]:
        """What is wrong with an entry beside all others, a line each; what it claims is taken from now on."""
        if not self._is_alone(entry, taken):
            yield from self._collisions(entry, place, taken)
        yield from (f"{place}: {refusal}" for refusal in self._realm.contradictions(entry))

    def _is_alone(self, entry: Entry, taken: dict[object, str]) -> bool:
        """Whether nobody claims anything of what an entry does, as nearly always; then that is taken."""
        register = self._register
        names = [offer.name for offer in entry.services or ()]
        addresses = (entry.address.packed, *entry.identity.addresses)
        claims: dict[object, str] = dict.fromkeys((("host", entry.name), *addresses, *names), entry.name)
        if len(claims) <= len(addresses) + len(names) or not taken.keys().isdisjoint(claims):
            return False
        if entry.name in register.owners or not register.directory.services.keys().isdisjoint(names):
            return False
        if any(register.owner_of_address(address) is not None for address in addresses):
            return False
        taken.update(claims)
        return True

    def _collisions(self, entry: Entry, place: str, taken: dict[object, str]) -> Iterator[str]:
        register = self._register
        addresses = (entry.address.packed, *entry.identity.addresses)
        services = [offer.name for offer in entry.services or ()]
        claims: list[tuple[object, str, str | None]] = [
            (("host", entry.name), "this host", entry.name if register.source_of(entry.name) else None),
            *((address, str(ip_address(address)), register.owner_of_address(address)) for address in addresses),
            *((name, name, register.owner_of_service(name)) for name in services),
        ]
        for key, what, owner in claims:
            other = taken.get(key) or (None if owner is None or owner in self.gone else owner)
            if other is not None:
                yield f"{place}: {what} belongs to {other} of {self._where(other)} already: remove one of them"
            taken[key] = entry.name

    def _where(self, host: str) -> str:
        came = self.came.get(host)
        return came[1] if came is not None else self._register.source_of(host) or "this file"

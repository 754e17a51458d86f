"""What we are authoritative for: every name in one table, keyed by its wire form, so that a question is one look-up.

Family: each has a type of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import attrs

from realmgw.config import settings
from realmgw.config.steps import PORTION, Steps, finish, portions
from realmgw.dns import reverse
from realmgw.dns.codec import names
from realmgw.dns.codec.message import Record
from realmgw.dns.codec.wire import Type
from realmgw.subscribers.model import Directory, Host, Service

SERIAL, REFRESH, RETRY, EXPIRE = 1, 3600, 900, 1209600
"""Of every SOA. Nobody transfers our zones (a secondary could not reserve an address), so nobody acts on these, and a
serial that is the same on every gateway of a realm is the right one."""

AT_ONCE = PORTION
"""So many names are put into a table, or taken out, between two yields."""

ZONES_AT_ONCE = 64
"""So many zones are made, with their own records, between two yields."""

T = TypeVar("T")

_SOA_TIMES = struct.Struct("!IIIII")

RecordSets = dict[int, tuple[Record, ...]]
"""The records of one name, by type."""


@attrs.frozen(eq=False)
class Authority:
    """A zone, as negative answers need it."""

    apex: bytes
    """The zone's name: wire form, lower case."""
    ttl: int
    """TTL, in seconds, of the zone's own records."""
    soa: Record
    """The SOA as an answer."""
    negative: Record
    """The SOA for the authority section: its TTL is the lesser of its own and of MINIMUM (RFC 2308 section 3)."""


@attrs.frozen(eq=False)
class Authorities:
    """All zones."""

    by_apex: dict[bytes, Authority]
    """Each by its name."""
    depth: int
    """Labels of the longest apex: what a name has more than that need not be looked at."""
    classless: dict[bytes, tuple[reverse.Part, ...]]
    """Zones that reverse names of a part of a network stand in (RFC 2317), by the wire name of the whole network."""

    def of(self, name: bytes) -> Authority | None:
        """The zone that a name lies in, which is the one with the longest apex; None for a name that is not ours."""
        return self._first(names.ancestors(name)[-self.depth - 1 :])

    def above(self, authority: Authority) -> Authority | None:
        """The zone that another one lies in."""
        return self._first(names.ancestors(authority.apex)[1:])

    def _first(self, candidates: list[bytes]) -> Authority | None:
        for apex in candidates:
            authority = self.by_apex.get(apex)
            if authority is not None:
                return authority
        return None


@attrs.frozen(eq=False)
class ZoneTable:
    """Everything that we answer for. All keys are wire names, lower case."""

    zones: Authorities
    """The zones."""
    static: dict[bytes, RecordSets]
    """The zones' own records: of apexes and name servers."""
    services: dict[bytes, Service]
    """The services. One whose name has an address among the zones' own records is not in here."""
    below: dict[bytes, int]
    """How many names there are below each name that is no apex, an apex of ours among them. A name that has some
    exists, even if it has nothing itself (RFC 8020)."""
    pointers: dict[bytes, Host]
    """Hosts by the reverse names of their private addresses."""
    pointers_below: dict[bytes, int]
    """What `below` is, for the reverse names."""


@attrs.frozen(eq=False)
class NameChanges:
    """What becomes of the names of a table."""

    services_gone: tuple[bytes, ...] = ()
    """Names of services that are no more."""
    services: tuple[tuple[bytes, Service], ...] = ()
    """Services that are new or different."""
    pointers_gone: tuple[bytes, ...] = ()
    """Reverse names of addresses that no host has any more."""
    pointers: tuple[tuple[bytes, Host], ...] = ()
    """Hosts that are new or different, by their reverse names."""


def compile_table(zones: tuple[settings.Zone, ...], directory: Directory) -> ZoneTable:
    """Builds the table, in time linear in the number of names. What lies outside the zones is left out.

    Raises:
        names.BadNameError: A zone, name server or service has no valid name.
    """
    return finish(compiling(zones, directory))


def compiling(zones: tuple[settings.Zone, ...], directory: Directory) -> Steps[ZoneTable]:
    """`compile_table` in steps: yields every `AT_ONCE` names, so that the caller can do something else meanwhile.

    Args:
        zones: The zones.
        directory: Must not be changed before this has come to its end.
    """
    authorities = yield from _authorities(zones)
    table = ZoneTable(authorities, (yield from _static(authorities, zones)), {}, {}, {}, {})
    for static in portions(table.static):
        for name in static:
            _count(table.below, authorities, name, 1)
        yield None
    for some in portions(authorities.by_apex.values()):
        for authority in some:
            if authorities.above(authority) is not None:
                _count_above(table.below, authorities, authority.apex, 1)
        yield None
    for services in portions(directory.services.values()):
        yield from amending(table, (yield from naming(table, (), services, (), ())))
    for hosts in portions(directory.hosts.values()):
        yield from amending(table, (yield from naming(table, (), (), (), hosts)))
    return table


def same(ours: tuple[settings.Zone, ...], theirs: tuple[settings.Zone, ...]) -> Steps[bool]:
    """Whether zones are the same ones, in steps."""
    if len(ours) != len(theirs):
        return False
    for pairs in portions(zip(ours, theirs, strict=True)):
        if any(one != other for one, other in pairs):
            return False
        yield None
    return True


def _authorities(zones: tuple[settings.Zone, ...]) -> Steps[Authorities]:
    """All of them, `ZONES_AT_ONCE` between two yields."""
    by_apex, depth, classless = dict[bytes, Authority](), 0, dict[bytes, tuple[reverse.Part, ...]]()
    for some in portions(zones, ZONES_AT_ONCE):
        new = {authority.apex: authority for authority in map(_authority, some)}
        for above, parts in reverse.parts(apex for apex in new if apex not in by_apex).items():
            classless[above] = (*classless.get(above, ()), *parts)
        by_apex.update(new)
        depth = max(depth, *(len(names.ancestors(apex)) - 1 for apex in new))
        yield None
    return Authorities(by_apex, depth, classless)


def naming(
    table: ZoneTable,
    names_gone: Iterable[str],
    services: Iterable[Service],
    hosts_gone: Iterable[Host],
    hosts: Iterable[Host],
) -> Steps[NameChanges]:
    """What a change of the directory means for a table, which is not touched. Yields every `AT_ONCE` names.

    Args:
        table: The table.
        names_gone: Services that are no more.
        services: Services that are new or different.
        hosts_gone: Hosts that are no more, or as they were before they changed.
        hosts: Hosts that are new or different.

    Raises:
        names.BadNameError: A service has no valid name.
    """
    pointers = yield from _collected(_pointers(table.zones, hosts))
    there = {name for name, _ in pointers}
    gone = (name for host in hosts_gone for name in _reverse_names(host, table.zones))
    to_wire = names.to_wire
    return NameChanges(
        (yield from _collected(name if name in table.services else None for name in map(to_wire, names_gone))),
        (yield from _collected(_services(table.zones, table.static, services))),
        (yield from _collected(name if name not in there and name in table.pointers else None for name in gone)),
        pointers,
    )


def _collected(values: Iterable[T | None]) -> Steps[tuple[T, ...]]:
    """All that are not None."""
    found: list[T] = []
    for portion in portions(values):
        found += [each for each in portion if each is not None]
        if len(portion) == AT_ONCE:
            yield None
    return tuple(found)


def amending(table: ZoneTable, changes: NameChanges) -> Steps[None]:
    """Makes changes true in a table, in place, and yields every `AT_ONCE` names. Fewer are changed all at once."""
    zones = table.zones
    yield from _leaving(table.services, table.below, zones, changes.services_gone)
    yield from _leaving(table.pointers, table.pointers_below, zones, changes.pointers_gone)
    yield from _joining(table.services, table.below, zones, changes.services)
    yield from _joining(table.pointers, table.pointers_below, zones, changes.pointers)


def _leaving(there: dict[bytes, T], below: dict[bytes, int], zones: Authorities, gone: Iterable[bytes]) -> Steps[None]:
    for count, name in enumerate(gone, 1):
        if there.pop(name, None) is not None:
            _count(below, zones, name, -1)
        if not count % AT_ONCE:
            yield None


def _joining(
    there: dict[bytes, T], below: dict[bytes, int], zones: Authorities, came: Iterable[tuple[bytes, T]]
) -> Steps[None]:
    for count, (name, value) in enumerate(came, 1):
        if name not in there:
            _count(below, zones, name, 1)
        there[name] = value
        if not count % AT_ONCE:
            yield None


def _count(below: dict[bytes, int], zones: Authorities, name: bytes, difference: int) -> None:
    """A name is there, or no more: counts for the names between it and its apex."""
    if name not in zones.by_apex:
        _count_above(below, zones, name, difference)


def _count_above(below: dict[bytes, int], zones: Authorities, name: bytes, difference: int) -> None:
    """The same, of an apex as well: it is a name in the zone above it, which must be ours."""
    apexes = zones.by_apex
    above = name[1 + name[0] :]
    while above not in apexes:
        left = below.get(above, 0) + difference
        if left:
            below[above] = left
        else:
            del below[above]
        above = above[1 + above[0] :]


def _authority(zone: settings.Zone) -> Authority:
    apex = names.to_wire(zone.name)
    targets = (names.to_wire(zone.name_servers[0].name), names.to_wire(zone.contact))
    times = _SOA_TIMES.pack(SERIAL, REFRESH, RETRY, EXPIRE, zone.negative_ttl)
    soa = Record(apex, Type.SOA, zone.ttl, times, targets)
    return Authority(apex, zone.ttl, soa, attrs.evolve(soa, ttl=min(zone.ttl, zone.negative_ttl)))


def _static(authorities: Authorities, zones: tuple[settings.Zone, ...]) -> Steps[dict[bytes, RecordSets]]:
    """Apexes with SOA, NS and address, name servers with theirs where they are ours."""
    static: dict[bytes, RecordSets] = {}
    for count, zone in enumerate(zones, 1):
        apex = names.to_wire(zone.name)
        _add(static, authorities.by_apex[apex].soa)
        for address in zone.apex_addresses:
            _add(static, address_record(apex, zone.ttl, address.packed))
        for server in zone.name_servers:
            name = names.to_wire(server.name)
            _add(static, Record(apex, Type.NS, zone.ttl, targets=(name,)))
            authority = authorities.of(name)
            if authority is not None:
                for address in server.addresses:
                    _add(static, address_record(name, authority.ttl, address.packed))
        if not count % ZONES_AT_ONCE:
            yield None
    return static


def _add(static: dict[bytes, RecordSets], record: Record) -> None:
    """A record joins its set; the same one may come from several zones."""
    sets = static.setdefault(record.owner, {})
    there = sets.get(record.type, ())
    if record not in there:
        sets[record.type] = (*there, record)


def address_record(owner: bytes, ttl: int, address: bytes) -> Record:
    """The A or AAAA record of a packed address."""
    return Record(owner, Type.A if len(address) == 4 else Type.AAAA, ttl, address)


def _services(
    authorities: Authorities, static: Mapping[bytes, RecordSets], services: Iterable[Service]
) -> Iterator[tuple[bytes, Service] | None]:
    """The services that are ours, by their wire names; None for every other."""
    own = {name for name, sets in static.items() if Type.A in sets or Type.AAAA in sets}
    inside = set(authorities.by_apex)
    parent, wire = "", b""  # most names stand next to those beside or above them
    for service in services:
        label, _, rest = service.name.partition(".")
        if rest != parent or not rest:
            name = names.to_wire(service.name)
            parent, wire = (rest, name[1 + name[0] :]) if "\\" not in label else ("", b"")
        else:
            name = names.below(wire, label)
        above = name[1 + name[0] :]  # most names stand below one that was looked at already
        if name not in own and (above in inside or authorities.of(name) is not None):
            inside.add(name)
            yield name, service
        else:
            yield None


def _pointers(authorities: Authorities, hosts: Iterable[Host]) -> Iterator[tuple[bytes, Host] | None]:
    for host in hosts:
        yield None
        for name in _reverse_names(host, authorities):
            if authorities.of(name) is not None:
                yield name, host


def _reverse_names(host: Host, authorities: Authorities) -> Iterator[bytes]:
    """The names under which a host has its PTR records, be they ours or not."""
    for address in host.own:
        yield from reverse.names_of(address, authorities.classless)

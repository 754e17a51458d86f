"""What we are authoritative for: every name in one table, keyed by its wire form, so that a question is one look-up."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

import attrs

from realmgw.config import settings
from realmgw.dns import names
from realmgw.dns.message import Record
from realmgw.dns.wire import Type
from realmgw.subscribers.model import Directory, Host, Service

SERIAL, REFRESH, RETRY, EXPIRE = 1, 3600, 900, 1209600
"""Of every SOA. Nobody transfers our zones (a secondary could not reserve an address), so nobody acts on these, and a
serial that is the same on every gateway of a realm is the right one."""

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
    parents: frozenset[bytes]
    """Names that have nothing but names below them; they exist all the same (RFC 8020)."""
    pointers: dict[bytes, Host]
    """Hosts by the reverse names of their private addresses."""
    pointer_parents: frozenset[bytes]
    """What `parents` is, for the reverse names."""


def compile_table(zones: tuple[settings.Zone, ...], directory: Directory) -> ZoneTable:
    """Builds the table, in time linear in the number of names. What lies outside the zones is left out.

    Raises:
        names.BadNameError: A zone, name server or service has no valid name.
    """
    by_apex = {authority.apex: authority for authority in map(_authority, zones)}
    authorities = Authorities(by_apex, max((len(names.ancestors(apex)) - 1 for apex in by_apex), default=0))
    static = _static(authorities, zones)
    services = _services(authorities, static, directory.services.values())
    pointers = _pointers(authorities, directory.hosts.values())
    return ZoneTable(
        authorities,
        static,
        services,
        _parents(authorities, (static, services)),
        pointers,
        _parents(authorities, (pointers,)),
    )


def _authority(zone: settings.Zone) -> Authority:
    apex = names.to_wire(zone.name)
    targets = (names.to_wire(zone.name_servers[0].name), names.to_wire(zone.contact))
    times = _SOA_TIMES.pack(SERIAL, REFRESH, RETRY, EXPIRE, zone.negative_ttl)
    soa = Record(apex, Type.SOA, zone.ttl, times, targets)
    return Authority(apex, zone.ttl, soa, attrs.evolve(soa, ttl=min(zone.ttl, zone.negative_ttl)))


def _static(authorities: Authorities, zones: tuple[settings.Zone, ...]) -> dict[bytes, RecordSets]:
    """Apexes with SOA, NS and address, name servers with theirs where they are ours."""
    static: dict[bytes, RecordSets] = {}
    for zone in zones:
        apex = names.to_wire(zone.name)
        _add(static, authorities.by_apex[apex].soa)
        if zone.apex_address is not None:
            _add(static, address_record(apex, zone.ttl, zone.apex_address.packed))
        for server in zone.name_servers:
            name = names.to_wire(server.name)
            _add(static, Record(apex, Type.NS, zone.ttl, targets=(name,)))
            authority = authorities.of(name)
            if server.address is not None and authority is not None:
                _add(static, address_record(name, authority.ttl, server.address.packed))
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
) -> dict[bytes, Service]:
    found = {}
    own = {name for name, sets in static.items() if Type.A in sets or Type.AAAA in sets}
    inside = set(authorities.by_apex)
    for service in services:
        name = names.to_wire(service.name)
        if name in own:
            continue
        above = name[1 + name[0] :]  # most names stand below one that was looked at already
        if above in inside or authorities.of(name) is not None:
            inside.add(name)
            found[name] = service
    return found


def _pointers(authorities: Authorities, hosts: Iterable[Host]) -> dict[bytes, Host]:
    found = {}
    for host in hosts:
        name = reverse_name(host.address)
        if authorities.of(name) is not None:
            found[name] = host
    return found


def reverse_name(address: bytes) -> bytes:
    """The wire name under which a packed address has its PTR record (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    if len(address) == 4:
        return names.to_wire(".".join(str(octet) for octet in reversed(address)) + ".in-addr.arpa.")
    nibbles = [nibble for octet in reversed(address) for nibble in (octet & 0xF, octet >> 4)]
    return names.to_wire(".".join(f"{nibble:x}" for nibble in nibbles) + ".ip6.arpa.")


def _parents(authorities: Authorities, tables: Iterable[Mapping[bytes, object]]) -> frozenset[bytes]:
    """The names between those in the tables and their apexes that are in none of the tables."""
    found: set[bytes] = set()
    for table in tables:
        for name in table:
            above = name
            while above not in authorities.by_apex:
                above = above[1 + above[0] :]
                if above in found:
                    break
                found.add(above)
    return frozenset(found.difference(*tables, authorities.by_apex))

"""What is answered to a query: decisions only, a query in, bytes out. One class for each face."""

from __future__ import annotations

import abc
import functools
import struct
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import attrs

from realmgw.config import settings
from realmgw.dns.counts import Count, Counts
from realmgw.dns.message import ExtendedError, InfoCode, Record, Response, encode, limit
from realmgw.dns.names import to_wire
from realmgw.dns.wire import AA, AD, CD, DO, IN, QR, RD, Query, Rcode, Type
from realmgw.dns.zones import Authority, RecordSets, ZoneTable, address_record
from realmgw.errors import Reason
from realmgw.subscribers.model import Service

POOL_TTL = 0  # seconds
"""Of a reserved address: it is for one client, now."""
NO_RECORDS: RecordSets = {}

_BAD_TYPES = frozenset((Type.OPT, Type.TSIG))
_TRANSFERS = frozenset((Type.AXFR, Type.IXFR))
_ADDRESS_TYPES = (Type.A, Type.AAAA)
_MINIMAL_ANY = b"\x07RFC8482\0"  # HINFO: CPU "RFC8482", OS "" (RFC 8482 section 4.2)
_COUNTED = {
    Rcode.NXDOMAIN: Count.NXDOMAIN,
    Rcode.REFUSED: Count.REFUSED,
    Rcode.FORMERR: Count.FORMERR,
    Rcode.NOTIMP: Count.NOTIMP,
    Rcode.BADVERS: Count.BADVERS,
    Rcode.NOTAUTH: Count.NOTAUTH,
    Rcode.SERVFAIL: Count.SERVFAIL,
}
_NO_ADDRESS = {
    Reason.EXHAUSTED: "no public address is free",
    Reason.WAITED: "no public address came free in time",
    Reason.QUEUE_FULL: "no public address is free, and too many queries wait for one",
    Reason.HOST_LIMIT: "too many clients of this host are still expected",
    Reason.POLICY: "refused by policy",
    Reason.WITHDRAWN: "the host has gone",
    Reason.STOPPING: "the gateway is stopping",
}


class Allocator(Protocol):
    """What we need of `realmgw.allocation.allocator.Allocator`."""

    def ask(self, service: Service, resolver: Hashable, question: Hashable, *, now: float) -> bytes | Reason:
        """A packed address that is reserved now, or why there is none."""

    def wait(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        deliver: Callable[[bytes | Reason], None],
        *,
        tcp: bool,
        now: float,
    ) -> Reason | None:
        """After `Reason.EXHAUSTED`: None if `deliver` will be called, once and later; else why not."""


@attrs.frozen(eq=False)
class Asker:
    """Who sent a query."""

    address: tuple[Any, ...]
    """Begins with his address as text. Equal for a retransmission of a query, and for nothing else with the same ID."""
    deliver: Callable[[Query, bytes | Reason], None]
    """Gets what the allocator says in the end about a query that waited, from within a call of the allocator."""
    tcp: bool = False
    """The query came by TCP."""


class Answers(abc.ABC):
    """What both faces have in common: everything but where the addresses of services come from."""

    def __init__(self, table: ZoneTable, dns: settings.Dns) -> None:
        """Begins to answer.

        Args:
            table: What is answered for.
            dns: Sizes and TTLs.
        """
        self.table = table
        self.counts = Counts()
        self._dns = dns

    def replace(self, table: ZoneTable) -> None:
        """From the next query on, answers come from another table; what waits for an address goes on waiting."""
        self.table = table

    def regard(self, dns: settings.Dns, service_pool: tuple[bytes, ...]) -> None:
        """From the next query on, answers have other sizes and TTLs, and another reverse proxy (packed addresses)."""
        del service_pool
        self._dns = dns

    def answer(self, query: Query, asker: Asker, *, now: float, refused: Reason | None = None) -> bytes | None:
        """Answers a query of opcode QUERY.

        Args:
            query: The query.
            asker: Who sent it.
            now: Monotonic seconds.
            refused: The allocator was asked already, and this is what it said.

        Returns:
            The answer; empty if there shall be none; None if it depends on what `asker.deliver` will get.
        """
        rcode = _precluded(query)
        if rcode is not None:
            return self.error(query, rcode, tcp=asker.tcp)
        zone = self.table.zones.of(query.name)
        if zone is None:
            return self.error(query, Rcode.REFUSED, tcp=asker.tcp)
        service = self.table.services.get(query.name)
        if service is not None and query.type in _ADDRESS_TYPES:
            return self._serve(query, service, zone, asker, now=now, refused=refused)
        return self.say(query, self._look_up(query, zone), tcp=asker.tcp)

    def quick(self, message: bytes, address: tuple[Any, ...], *, now: float) -> bytes | Reason | None:
        """The fast path: answers the most usual query without decoding it.

        Args:
            message: The query as it came.
            address: As `Asker.address`.
            now: Monotonic seconds.

        Returns:
            The answer; None if the query is not of the usual kind, and nothing was done; or why there is no address.
        """
        del message, address, now
        return None

    def error(self, query: Query, rcode: Rcode, *, tcp: bool, error: ExtendedError | None = None) -> bytes:
        """An answer that says only that there is none, and why."""
        return self.say(query, Response(rcode, error=error), tcp=tcp)

    def say(self, query: Query, response: Response, *, tcp: bool, count: Count | None = None) -> bytes:
        """Counts a response, by what it says or as told, and puts it into its form."""
        self.counts.events[_kind(response) if count is None else count] += 1
        return encode(query, response, limit(query, tcp, self._dns.udp_size), self._dns.udp_size)

    def settle(self, query: Query, outcome: bytes | Reason, *, tcp: bool) -> bytes:
        """The answer to a query for a reserved address, when the allocator's last word is known.

        Args:
            query: The query.
            outcome: The packed address, or why there is none.
            tcp: The query came by TCP.

        Returns:
            The answer. By UDP none, which is empty, if there is no address: the resolver will ask again.
        """
        if isinstance(outcome, bytes):
            found = (address_record(query.name, POOL_TTL, outcome),)
            return self.say(query, Response(authoritative=True, answers=found), tcp=tcp, count=Count.RESERVED)
        self.counts.refused[outcome] += 1
        if not tcp:
            self.counts.events[Count.SILENT] += 1
            return b""
        code = InfoCode.PROHIBITED if outcome is Reason.POLICY else InfoCode.NOT_READY
        error = ExtendedError(code, _NO_ADDRESS.get(outcome, ""))
        return self.error(query, Rcode.SERVFAIL, tcp=True, error=error)

    @abc.abstractmethod
    def _serve(
        self, query: Query, service: Service, zone: Authority, asker: Asker, *, now: float, refused: Reason | None
    ) -> bytes | None:
        """Answers a query for an address of a service; see `answer`."""

    def _say_addresses(
        self, query: Query, addresses: tuple[bytes, ...], ttl: int, zone: Authority, asker: Asker
    ) -> bytes:
        records = [address_record(query.name, ttl, address) for address in addresses]
        found = tuple([record for record in records if record.type == query.type])
        return self.say(query, Response(authoritative=True, answers=found) if found else _no_data(zone), tcp=asker.tcp)

    def _own(self, query: Query) -> RecordSets | None:
        """The records of a name besides the addresses of services; None if there is no such name."""
        sets = self.table.static.get(query.name)
        if sets is None and (query.name in self.table.services or query.name in self.table.below):
            return NO_RECORDS
        return sets

    def _look_up(self, query: Query, zone: Authority) -> Response:
        sets = self._own(query)
        if sets is None:
            return Response(Rcode.NXDOMAIN, True, authority=(zone.negative,))
        if query.type == Type.ANY and (sets or query.name in self.table.services):
            return Response(authoritative=True, answers=(Record(query.name, Type.HINFO, zone.ttl, _MINIMAL_ANY),))
        if query.type == Type.DS and query.name == zone.apex:
            return self._no_delegation(zone)
        found = sets.get(query.type, ())
        if not found:
            return _no_data(zone)
        return Response(authoritative=True, answers=found, additional=self._addresses_of(found))

    def _no_delegation(self, zone: Authority) -> Response:
        """DS belongs to the zone above the apex, where that is ours too (RFC 4035 section 3.1.4.1)."""
        return _no_data(self.table.zones.above(zone) or zone)

    def _addresses_of(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """The addresses of the name servers that NS records name, where they are ours."""
        sets = [self.table.static.get(record.targets[0], NO_RECORDS) for record in records if record.type == Type.NS]
        return tuple([record for each in sets for kind in _ADDRESS_TYPES for record in each.get(kind, ())])


class WanAnswers(Answers):
    """The WAN's: services get an address of the circular pool, or the service pool's if they need a proxy."""

    def __init__(
        self, table: ZoneTable, dns: settings.Dns, allocator: Allocator, service_pool: tuple[bytes, ...] = ()
    ) -> None:
        """Begins to answer.

        Args:
            table: What is answered for.
            dns: Sizes and TTLs.
            allocator: Where pool addresses come from.
            service_pool: Packed addresses of the reverse proxy.
        """
        super().__init__(table, dns)
        self._allocator = allocator
        self._ask = allocator.ask
        self._service_pool = service_pool
        self._services = table.services
        self._events = self.counts.events
        self._opts = _usual_opts(dns.udp_size)

    def replace(self, table: ZoneTable) -> None:
        """See `Answers.replace`."""
        super().replace(table)
        self._services = table.services

    def regard(self, dns: settings.Dns, service_pool: tuple[bytes, ...]) -> None:
        """See `Answers.regard`."""
        super().regard(dns, service_pool)
        self._service_pool = service_pool
        self._opts = _usual_opts(dns.udp_size)

    def quick(self, message: bytes, address: tuple[Any, ...], *, now: float) -> bytes | Reason | None:
        """See `Answers.quick`; here it answers A of a service, asked for with flags and OPT of the usual shape.

        It has no walk over labels: what equals a name of the table is one. Only the name is lower-cased, since type and
        class may look like letters (HTTPS is 65, which is `A`).
        """
        shape = _SHAPES.get(message[2:12])
        if shape is None:
            return None
        end = message.find(0, 12) + 1
        service = self._services.get(message[12:end].lower())
        if service is None or service.proxy_required:
            return None
        tail = message[end:]
        if shape[1]:
            opt = self._opts.get(tail[9:]) if tail[:7] == _A_IN_OPT else None
            if opt is None:
                return None
        elif tail == _A_IN:
            opt = b""
        else:
            return None
        query_id = message[:2]
        given = self._ask(service, address[0], (address, query_id), now=now)
        if type(given) is not bytes:
            return given
        self._events[0] += 1  # Count.RESERVED; looking the member up costs more than counting
        return query_id + shape[0] + message[12 : end + 4] + _POOL_RECORD + given + opt

    def _serve(
        self, query: Query, service: Service, zone: Authority, asker: Asker, *, now: float, refused: Reason | None
    ) -> bytes | None:
        if service.proxy_required:
            return self._say_addresses(query, self._service_pool, self._dns.service_pool_ttl, zone, asker)
        if query.type != Type.A:  # the pool is IPv4: nothing may be reserved for a client that can not come
            return self.say(query, _no_data(zone), tcp=asker.tcp)
        resolver, question = asker.address[0], (asker.address, query.id)
        outcome = refused or self._ask(service, resolver, question, now=now)
        if outcome is Reason.EXHAUSTED:
            deliver = functools.partial(asker.deliver, query)
            later = self._allocator.wait(service, resolver, question, deliver, tcp=asker.tcp, now=now)
            if later is None:
                self.counts.events[Count.WAITED] += 1
                return None
            outcome = later
        return self.settle(query, outcome, tcp=asker.tcp)


class LanAnswers(Answers):
    """The LAN's: services have their hosts' private addresses, and these have PTR records. Nothing is reserved."""

    def _serve(
        self, query: Query, service: Service, zone: Authority, asker: Asker, *, now: float, refused: Reason | None
    ) -> bytes | None:
        del now, refused  # they are for reservations
        return self._say_addresses(query, (service.host.address,), self._dns.host_ttl, zone, asker)

    def _own(self, query: Query) -> RecordSets | None:
        host = self.table.pointers.get(query.name)
        if host is not None:
            return {Type.PTR: (Record(query.name, Type.PTR, self._dns.host_ttl, targets=(to_wire(host.name),)),)}
        sets = super()._own(query)
        return NO_RECORDS if sets is None and query.name in self.table.pointers_below else sets


def _precluded(query: Query) -> Rcode | None:
    """What stands against answering a query before its name is looked at."""
    if query.edns is not None and query.edns.version:
        return Rcode.BADVERS
    if query.signed:  # we know no keys (RFC 8945 section 5.2.1)
        return Rcode.NOTAUTH
    if query.type in _BAD_TYPES:
        return Rcode.FORMERR
    return Rcode.REFUSED if query.cls != IN or query.type in _TRANSFERS else None


def _no_data(zone: Authority) -> Response:
    """There is such a name, but no record of that type (RFC 2308 section 2.2)."""
    return Response(authoritative=True, authority=(zone.negative,))


def _kind(response: Response) -> Count:
    if response.rcode is not Rcode.NOERROR:
        return _COUNTED[response.rcode]
    if not response.answers:
        return Count.NODATA
    return Count.ADDRESSES if response.answers[0].type in _ADDRESS_TYPES else Count.RECORDS


# The fast path's table of shapes. A usual query has flags out of RD, AD and CD (RFC 6840 section 5.7), one question,
# and nothing else or one additional record, which then must be an OPT record of the root without options.

_A_IN = b"\0\1\0\1"
_A_IN_OPT = _A_IN + b"\0\0\x29"
_POOL_RECORD = b"\xc0\x0c" + _A_IN + POOL_TTL.to_bytes(4, "big") + b"\0\4"


def _shape(flags: int, with_opt: int) -> tuple[bytes, tuple[bytes, int]]:
    """Flags and counts of a query, and those of its answer."""
    query = struct.pack("!HHHHH", flags, 1, 0, 0, with_opt)
    return query, (struct.pack("!HHHHH", QR | AA | flags & (RD | CD), 1, 1, 0, with_opt), with_opt)


def _usual_opts(udp_size: int) -> dict[bytes, bytes]:
    """Our OPT record by what follows the size in the asker's: extended RCODE, version, flags, RDLENGTH."""
    return {
        struct.pack("!HHH", 0, flags, 0): struct.pack("!BHHHHH", 0, Type.OPT, udp_size, 0, flags & DO, 0)
        for flags in (0, DO)
    }


_SHAPES = dict(
    _shape(rd | ad | cd, with_opt) for rd in (0, RD) for ad in (0, AD) for cd in (0, CD) for with_opt in (0, 1)
)

"""What is answered to a query, on either face: decisions only, a query in, bytes out."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, NoReturn

import attrs

from realmgw.config import settings
from realmgw.dns.codec import options
from realmgw.dns.codec.message import ExtendedError, InfoCode, Record, Response, encode, limit
from realmgw.dns.codec.wire import IN, Query, Rcode, Type
from realmgw.dns.counts import Count, Counts
from realmgw.dns.zones import Authority, RecordSets, ZoneTable, address_record
from realmgw.errors import Reason
from realmgw.subscribers.model import Service

POOL_TTL = 0  # seconds
"""Of a reserved address: it is for one client, now."""
NO_RECORDS: RecordSets = {}

_BAD_TYPES = frozenset((Type.OPT, Type.TSIG, Type.NXNAME))  # nobody may ask for these; NXNAME: RFC 9824
_TRANSFERS = frozenset((Type.AXFR, Type.IXFR))
ADDRESS_TYPES = (Type.A, Type.AAAA)
_MINIMAL_ANY = b"\x07RFC8482\0"  # HINFO: CPU "RFC8482", OS "" (RFC 8482 section 4.2)
_COUNTED = {
    Rcode.NXDOMAIN: Count.NXDOMAIN,
    Rcode.REFUSED: Count.REFUSED,
    Rcode.FORMERR: Count.FORMERR,
    Rcode.NOTIMP: Count.NOTIMP,
    Rcode.BADVERS: Count.BADVERS,
    Rcode.NOTAUTH: Count.NOTAUTH,
    Rcode.SERVFAIL: Count.SERVFAIL,
    Rcode.BADCOOKIE: Count.CHALLENGED_COOKIE,
}
_NO_ADDRESS = {
    Reason.EXHAUSTED: "no public address is free",
    Reason.WAITED: "no public address came free in time",
    Reason.QUEUE_FULL: "no public address is free, and too many queries wait for one",
    Reason.HOST_LIMIT: "too many clients of this host are still expected",
    Reason.POLICY: "refused by policy",
    Reason.WITHDRAWN: "the host has gone",
    Reason.CLAIM_LIMIT: "too many clients are still expected",
    Reason.STOPPING: "the gateway is stopping",
    Reason.DEGRADED: "the gateway can not carry flows at present",
}


def _pass_on() -> NoReturn:
    raise  # noqa: PLE0704 - what is handled at present


@attrs.frozen(eq=False)
class Asker:
    """Who sent a query."""

    address: tuple[Any, ...]
    """Begins with his address as text. Equal for a retransmission of a query, and for nothing else with the same ID."""
    deliver: Callable[[bytes], None]
    """Gets the whole answer, where it comes later; empty if there shall be none. Raises nothing."""
    tcp: bool = False
    """The query came by TCP."""
    fail: Callable[[], None] = _pass_on
    """In place of `deliver`, while an exception is handled that is our fault: there is no answer. Raises nothing."""


class Answers(abc.ABC):
    """What both faces have in common: everything but where the addresses of services come from."""

    def __init__(self, table: ZoneTable, settings: settings.Settings, counts: Counts | None = None) -> None:
        """Begins to answer.

        Args:
            table: What is answered for.
            settings: Sizes and TTLs.
            counts: Where to count, if not in some of its own.
        """
        self.table = table
        self.counts = counts or Counts()
        self._dns = settings.dns

    def replace(self, table: ZoneTable) -> None:
        """From the next query on, answers come from another table; what waits for an address goes on waiting."""
        self.table = table

    def configure(self, settings: settings.Settings) -> None:
        """From the next query on, answers are as these settings say."""
        self._dns = settings.dns

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
        rcode = self._precluded(query, asker)
        if rcode is not None:
            return self.error(query, rcode, asker, now=now)
        if not query.question:
            return self._without_question(query, asker, now=now)
        zone = self.table.zones.of(query.name)
        if zone is None:
            return self.error(query, Rcode.REFUSED, asker, now=now)
        service = self._service(query.name, now=now)
        if service is not None and query.type == Type.A and self.lends(service):
            return self._lend(query, service, asker, now=now, refused=refused)
        return self.say(query, self.respond(query, zone, service), asker, now=now)

    def quick(
        self, message: bytes, address: tuple[Any, ...], *, now: float, tcp: bool = False
    ) -> bytes | Reason | None:
        """The fast path: answers the most usual queries without decoding them.

        Args:
            message: The query as it came.
            address: As `Asker.address`.
            now: Monotonic seconds.
            tcp: It came by TCP.

        Returns:
            The answer, empty if there shall be none; None if the query is not of a usual kind, and nothing was done;
            or why there is no address.
        """
        del message, address, now, tcp
        return None

    def error(
        self, query: Query, rcode: Rcode, asker: Asker, *, now: float, error: ExtendedError | None = None
    ) -> bytes:
        """An answer that says only that there is none, and why; empty if there shall be none."""
        return self.say(query, Response(rcode, error=error), asker, now=now)

    def say(self, query: Query, response: Response, asker: Asker, *, now: float, count: Count | None = None) -> bytes:
        """Counts a response, by what it says or as told, and puts it into its form; empty if there shall be none."""
        del now
        self.counts.events[kind_of(response) if count is None else count] += 1
        return encode(query, response, limit(query, asker.tcp, self._dns.udp_size), self._dns.udp_size)

    def _precluded(self, query: Query, asker: Asker) -> Rcode | None:
        """What stands against answering a query before its name is looked at."""
        if query.edns is not None and query.edns.version:
            return Rcode.BADVERS
        if query.tsig is not None:  # we know no keys (RFC 8945 section 5.2.1)
            return Rcode.NOTAUTH
        if query.type in _BAD_TYPES:
            return Rcode.FORMERR
        if query.edns is not None and query.edns.options:
            try:
                options.read(query.edns.options, agreed=self._agreed(asker))
            except options.BadOptionError:
                return Rcode.FORMERR
        return Rcode.REFUSED if query.question and (query.cls != IN or query.type in _TRANSFERS) else None

    def _agreed(self, asker: Asker) -> bool:
        """Whether the asker's options of the local range mean something."""
        del asker
        return False

    def _service(self, name: bytes, *, now: float) -> Service | None:
        """The service that a name (wire form, lower case) is of."""
        del now
        return self.table.services.get(name)

    def lends(self, service: Service) -> bool:
        """Whether an address is reserved for those who ask for a service's."""
        del service
        return False

    def _lend(
        self, query: Query, service: Service, asker: Asker, *, now: float, refused: Reason | None
    ) -> bytes | None:
        """Answers a query for an address that is reserved; see `answer`."""
        raise NotImplementedError

    def _without_question(self, query: Query, asker: Asker, *, now: float) -> bytes:
        """Answers a query that has a COOKIE option instead (RFC 7873 section 5.4), which is nothing to most."""
        return self.error(query, Rcode.FORMERR, asker, now=now)

    @abc.abstractmethod
    def _addresses(self, service: Service) -> tuple[tuple[bytes, ...], int]:
        """The packed addresses that are told of a service to whoever asks, and their TTL."""

    def _own(self, name: bytes) -> RecordSets | None:
        """The records of a name besides the addresses of services; None if there is no such name."""
        sets = self.table.static.get(name)
        return NO_RECORDS if sets is None and name in self.table.below else sets

    def respond(self, query: Query, zone: Authority, service: Service | None) -> Response:
        """What is said to whoever asks, as long as table and settings are the same; nothing is reserved or counted.

        Args:
            query: Of a name in our zones; not for an address of a service that `lends`.
            zone: The name's.
            service: What has the name, or what an alias of that name stands for.
        """
        sets = self._own(query.name)
        if service is not None:
            sets = sets or NO_RECORDS
            if query.type in ADDRESS_TYPES:
                return self._addresses_told(query, zone, service)
        if sets is None:
            return Response(Rcode.NXDOMAIN, True, authority=(zone.negative,))
        if query.type == Type.ANY and (sets or query.name in self.table.services):
            return Response(authoritative=True, answers=(Record(query.name, Type.HINFO, zone.ttl, _MINIMAL_ANY),))
        if query.type == Type.DS and query.name == zone.apex:
            return self._no_delegation(zone)
        found = sets.get(query.type, ())
        if not found:
            return no_data(zone)
        return Response(authoritative=True, answers=found, additional=self._addresses_of(found))

    def _addresses_told(self, query: Query, zone: Authority, service: Service) -> Response:
        addresses, ttl = self._addresses(service)
        records = [address_record(query.name, ttl, address) for address in addresses]
        found = tuple([record for record in records if record.type == query.type])
        return Response(authoritative=True, answers=found) if found else no_data(zone)

    def _no_delegation(self, zone: Authority) -> Response:
        """DS belongs to the zone above the apex, where that is ours too (RFC 4035 section 3.1.4.1)."""
        return no_data(self.table.zones.above(zone) or zone)

    def _addresses_of(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """The addresses of the name servers that NS records name, where they are ours."""
        sets = [self.table.static.get(record.targets[0], NO_RECORDS) for record in records if record.type == Type.NS]
        return tuple([record for each in sets for kind in ADDRESS_TYPES for record in each.get(kind, ())])


def no_address(reason: Reason) -> ExtendedError:
    """Why there is no address, for the people who run the resolver."""
    code = InfoCode.PROHIBITED if reason is Reason.POLICY else InfoCode.NOT_READY
    return ExtendedError(code, _NO_ADDRESS.get(reason, ""))


def no_data(zone: Authority) -> Response:
    """There is such a name, but no record of that type (RFC 2308 section 2.2)."""
    return Response(authoritative=True, authority=(zone.negative,))


def kind_of(response: Response) -> Count:
    """What a response counts as, by what it says."""
    if response.rcode is not Rcode.NOERROR:
        return _COUNTED[response.rcode]
    if not response.answers:
        return Count.NODATA
    return Count.ADDRESSES if response.answers[0].type in ADDRESS_TYPES else Count.RECORDS

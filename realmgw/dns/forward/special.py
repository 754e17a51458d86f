"""Names that resolvers are not asked for, and addresses that they must not give.

Names of special use mean something on this network or nowhere (RFC 6303, 6761, 6762, 7686, 7793, 8375, 9462, 9476,
9665); asking for them elsewhere tells strangers what is here. Private addresses of public names let a web page reach
what stands behind the gateway (DNS rebinding).

Family: each has private addresses of its own, and one of IPv6 may hold one of IPv4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import chain

from realmgw.config.values import Network
from realmgw.dns.codec import names
from realmgw.dns.codec.message import Record, Response
from realmgw.dns.codec.wire import Rcode, Type
from realmgw.dns.forward.dns64 import WELL_KNOWN, extract

NEGATIVE_TTL = 3600  # seconds
"""Of what there is not."""
LOCALHOST_TTL = 86_400  # seconds

_LOCAL = names.to_wire("localhost.")
_LOOPBACK = {int(Type.A): IPv4Address("127.0.0.1").packed, int(Type.AAAA): IPv6Address("::1").packed}
_NETWORKS = (
    "0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.2.0/24", "192.168.0.0/16", "198.51.100.0/24",
    "203.0.113.0/24", "255.255.255.255/32", "fd00::/8", "fe80::/12", "fe90::/12", "fea0::/12", "feb0::/12",
    "2001:db8::/32", "::/128", "::1/128", *(f"172.{each}.0.0/16" for each in range(16, 32)),
    *(f"100.{each}.0.0/16" for each in range(64, 128)),
)  # fmt: skip
_NAMES = (
    "invalid.", "test.", "localhost.", "local.", "onion.", "alt.", "internal.", "home.arpa.", "resolver.arpa.",
    "service.arpa.", "use-application-dns.net.",
)  # fmt: skip
_PRIVATE4 = tuple(map(IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "255.255.255.255/32",
)))  # fmt: skip
_PRIVATE6 = tuple(map(IPv6Network, ("::/127", "fc00::/7", "fe80::/9")))
_EMBEDDED = tuple(map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "2002::/16", str(WELL_KNOWN))))
"""Behind these follow addresses of IPv4: compatible, mapped, translated (RFC 7915), 6to4, and by a NAT64."""
_NOBODY = names.to_wire("nobody.invalid.")
_KINDS = {4: int(Type.A), 16: int(Type.AAAA)}
"""Types of addresses, by how long these are."""
_HINTS = {4: 4, 6: 16}
"""SvcParamKeys ipv4hint and ipv6hint (RFC 9460), with the length of an address."""
_BINDINGS = frozenset((Type.SVCB, Type.HTTPS))


def _reverse(network: str) -> bytes:
    """The name of a network whose length is one of whole labels."""
    address, length = network.split("/")
    whole = ip_address(address)
    labels = whole.reverse_pointer.split(".")
    kept = int(length) // (8 if whole.version == 4 else 4)
    return names.to_wire(".".join(labels[len(labels) - 2 - kept :]) + ".")


_SPECIAL = frozenset((*map(names.to_wire, _NAMES), *map(_reverse, _NETWORKS)))
_ARPA = names.to_wire("arpa.")
_ENDS = tuple({_ARPA if name.endswith(_ARPA) else name for name in _SPECIAL})
"""How all of these end."""


class Special:
    """What is kept home.

    Args:
        internal: Names that resolvers know of a network of one's own, in presentation form.
        own: Networks whose addresses no resolver has to give, besides private ones.
        nat64: The prefix of a NAT64 of one's own.
        apexes: Of zones of one's own, in wire form, lower case: the names above them exist.
    """

    def __init__(
        self,
        internal: Iterable[str] = (),
        own: Iterable[Network] = (),
        nat64: IPv6Network | None = None,
        apexes: Iterable[bytes] = (),
    ) -> None:
        self._above = frozenset(above for apex in apexes for above in names.ancestors(apex)[1:])
        self._internal = frozenset(map(names.to_wire, internal))
        networks = tuple(own)
        self._private4 = (*_PRIVATE4, *(each for each in networks if each.version == 4))
        self._private6 = (*_PRIVATE6, *(each for each in networks if each.version == 6))
        self._embedded = _EMBEDDED if nat64 is None else (*_EMBEDDED, nat64)
        doubtful4, doubtful6 = self._private4, (*self._private6, *self._embedded)
        self._doubtful = {  # most addresses do not begin so
            int(kind): frozenset(chain.from_iterable(map(_beginnings, networks)))
            for kind, networks in ((Type.A, doubtful4), (Type.AAAA, doubtful6))
        }

    def is_internal(self, name: bytes) -> bool:
        """Whether a name is one of those."""
        return bool(self._internal) and any(each in self._internal for each in names.ancestors(name))

    def answer(self, name: bytes, kind: int) -> Response | None:
        """What is said of a name of special use.

        Args:
            name: Wire form, lower case.
            kind: The type asked for.

        Returns:
            The answer; None: a resolver is to be asked.
        """
        if not name.endswith(_ENDS):  # as most do not
            return None
        for zone in names.ancestors(name):
            if zone in self._internal:
                return None
            if zone in _SPECIAL:
                if name == zone and kind == Type.DS and zone.endswith(_ARPA):
                    return None  # the zone above proves that it is not signed (RFC 8375 section 4)
                return _local(zone, name, kind, exists=name in self._above)
        return None

    def strip(self, name: bytes, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """The records of an answer, without those that have private addresses; all of them, if the name is internal."""
        if not any(map(self._leads_in, records)) or self.is_internal(name):
            return records
        return tuple([record for record in records if not self._leads_in(record)])

    def _leads_in(self, record: Record) -> bool:
        """Whether a record has a private address."""
        doubtful = self._doubtful.get(record.type)
        if doubtful is not None:
            return record.rdata[:2] in doubtful and self._is_private(record.rdata)
        return record.type in _BINDINGS and any(map(self._is_private, _hints(record.rdata)))

    def _is_private(self, packed: bytes) -> bool:
        if packed[:2] not in self._doubtful[_KINDS[len(packed)]]:
            return False
        if len(packed) == 4:
            return _within(IPv4Address(packed), self._private4)
        address = IPv6Address(packed)
        return _within(address, self._private6) or any(
            address in each and _within(IPv4Address(extract(each, packed)), self._private4) for each in self._embedded
        )


def _within(address: IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _beginnings(network: Network) -> Iterator[bytes]:
    """The first two octets that addresses of a network have."""
    first, last = (int.from_bytes(each.packed[:2], "big") for each in (network[0], network[-1]))
    return (each.to_bytes(2, "big") for each in range(first, last + 1))


def _hints(rdata: bytes) -> Iterator[bytes]:
    """The addresses that HTTPS and SVCB records have."""
    at = 2
    while at < len(rdata) and rdata[at]:
        at += 1 + rdata[at]
    at += 1
    while at + 4 <= len(rdata):
        key, length = int.from_bytes(rdata[at : at + 2], "big"), int.from_bytes(rdata[at + 2 : at + 4], "big")
        at += 4
        size = _HINTS.get(key)
        if size is not None:
            yield from (rdata[each : each + size] for each in range(at, min(at + length, len(rdata)) - size + 1, size))
        at += length


def soa_record(zone: bytes, ttl: int) -> Record:
    """What says for how long there is nothing (RFC 2308), in seconds; of a zone that nobody runs."""
    return Record(zone, Type.SOA, ttl, struct.pack("!5I", 1, 3600, 1200, 604_800, ttl), (zone, _NOBODY))


def _local(zone: bytes, name: bytes, kind: int, *, exists: bool) -> Response:
    """An empty zone says that there is nothing (RFC 6303 section 3); localhost has its addresses (RFC 6761 6.3).

    Args:
        zone: The zone of special use.
        name: The name asked for.
        kind: The type.
        exists: Whether there are names below it, in a zone of ours, so that it exists (RFC 8020).
    """
    if zone == _LOCAL and kind in _LOOPBACK:
        found = Record(name, kind, LOCALHOST_TTL, _LOOPBACK[kind])
        return Response(authoritative=True, answers=(found,))
    soa = soa_record(zone, NEGATIVE_TTL)
    if name == zone and kind == Type.SOA:
        return Response(authoritative=True, answers=(soa,))
    exists = exists or name == zone or zone == _LOCAL
    return Response(Rcode.NOERROR if exists else Rcode.NXDOMAIN, True, authority=(soa,))

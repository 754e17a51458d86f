"""Addresses, prefixes, ranges and endpoints as the configuration writes them.

Every function takes a text and raises a ValueError whose message says what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from pathlib import PurePath
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from realmgw.config import names
from realmgw.config.values import Address, Network, Peer, Resolver
from realmgw.system.endpoints import Endpoint

DNS_PORT, TLS_PORT = 53, 853
USER_PORTS, LAST_PORT = 1024, 65535
"""Where the ports that services do not have by themselves begin (RFC 6335 section 6), and the last port of all."""
LEAST_PORTS = 1024
"""A range for the flows of a whole LAN has so many ports or more."""
PORT_DIGITS = 5
"""No port is written with more."""

NOWHERE: tuple[Network, ...] = (
    *map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "240.0.0.0/4")),
    *map(IPv6Network, ("::/96", "::ffff:0:0/96", "100::/64", "fe80::/10", "ff00::/8")),
)
"""Networks whose addresses lead nobody to another machine behind a router (RFC 6890)."""
UNIQUE_LOCAL = IPv6Network("fc00::/7")
"""Where private addresses of IPv6 are (RFC 4193)."""
SHORTEST_POOL, LONGEST_POOL = 16, 96
"""Lengths of IPv6 prefixes that a pool is made of: in a longer one, addresses could be guessed."""
_BRACKETED = re.compile(r"\[([^\]]*)\](?::(.*))?")
_PORT = re.compile(r":[0-9]*$")
_WITH_PORT = re.compile(r"([^:]*):([^:]*)")


class AddressRange(NamedTuple):
    """Addresses, one after the other."""

    first: IPv4Address
    """The first one."""
    last: IPv4Address
    """The last one; it belongs to them."""


class PortRange(NamedTuple):
    """Ports, one after the other."""

    first: int
    """The first one."""
    last: int
    """The last one; it belongs to them."""


def address(text: str) -> Address:
    """A single address that a host can have: no wildcard, no multicast."""
    _refuse_zone(text)
    try:
        value = ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no address: write one like 192.0.2.1 or 2001:db8::1") from None
    if value.is_unspecified:
        raise ValueError(f"{text!r} stands for every address: write the one that is meant")
    if value.is_multicast or (isinstance(value, IPv4Address) and value == IPv4Address("255.255.255.255")):
        raise ValueError(f"{text!r} is an address of a group of hosts: write that of a single one")
    if isinstance(value, IPv6Address) and value.ipv4_mapped is not None:
        raise ValueError(f"{text!r} is an IPv4 address in the form of IPv6: write {value.ipv4_mapped}")
    return value


def ipv4(text: str) -> IPv4Address:
    """A single IPv4 address that a host can have."""
    value = address(text)
    if not isinstance(value, IPv4Address):
        raise ValueError(f"{text!r} is an IPv6 address: write an IPv4 one")
    return value


def _refuse_zone(text: str) -> None:
    if "%" in text:
        raise ValueError(f"{text!r} names an interface, and routers forward no such address: write it without '%...'")


def host(text: str) -> Address:
    """The address of a host on another machine, behind a router, of either family."""
    value = address(text)
    if value.is_loopback:
        raise ValueError(f"{text!r} is every machine itself: write the address that the host has in its network")
    if value.is_link_local:
        standard = "RFC 3927" if value.version == 4 else "RFC 4291"
        raise ValueError(f"{text!r} is an address that no router forwards to ({standard}): write another")
    if any(value in network for network in NOWHERE):
        raise ValueError(f"{text!r} is an address that no host has (RFC 6890): write another")
    return value


def host4(text: str) -> IPv4Address:
    """The IPv4 address of a host on another machine, behind a router."""
    return ipv4(str(host(text)))


def host6(text: str) -> IPv6Address:
    """The IPv6 address of a host on another machine, behind a router."""
    value = host(text)
    if not isinstance(value, IPv6Address):
        raise ValueError(f"{text!r} is an IPv4 address: write an IPv6 one")
    return value


def ipv4_range(text: str) -> AddressRange:
    """The first and the last address of `a-b`; a single address stands for itself."""
    first, _, last = (part.strip() for part in text.partition("-"))
    begin = ipv4(first)
    end = ipv4(last) if last else begin
    if end < begin:
        raise ValueError(f"{text!r} ends before it begins: write {end}-{begin}")
    return AddressRange(begin, end)


def port_range(text: str) -> PortRange:
    """The first and the last port of `a-b`: none of the well-known ones, and enough for many flows."""
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not dash or not all(part.isascii() and part.isdecimal() and len(part) <= PORT_DIGITS for part in (first, last)):
        raise ValueError(f"{text!r} is no range of ports: write one like 32768-65535")
    begin, end = int(first), int(last)
    if not USER_PORTS <= begin <= end <= LAST_PORT:
        raise ValueError(f"{text!r}: write two ports from {USER_PORTS} to {LAST_PORT}, the lower one first")
    if end - begin < LEAST_PORTS - 1:
        raise ValueError(f"{text!r} has {end - begin + 1} ports, too few for many flows: write {LEAST_PORTS} or more")
    return PortRange(begin, end)


def prefixes(text: str) -> tuple[Network, ...]:
    """The prefixes of a pool, as few as possible.

    Args:
        text: A prefix, `192.0.2.0/28` or `2001:db8:1::/64`; of IPv4 also a range `a-b`, or an address.
    """
    if "/" not in text:
        if ":" in text:
            _refuse_zone(text)
            raise ValueError(f"{text!r}: of IPv6, a pool has prefixes only: write one like 2001:db8:1::/64")
        return tuple(summarize_address_range(*ipv4_range(text)))
    value = network(text, "or a range first-last")
    if isinstance(value, IPv6Network):
        if not SHORTEST_POOL <= value.prefixlen <= LONGEST_POOL:
            why = "in a longer one, addresses could be guessed"
            raise ValueError(f"{text!r}: write an IPv6 prefix from /{SHORTEST_POOL} to /{LONGEST_POOL}: {why}")
    else:
        address(str(value.network_address))
    return (value,)


def prefix6(text: str) -> IPv6Network:
    """A prefix of IPv6, without host bits."""
    value = network(text)
    if not isinstance(value, IPv6Network):
        raise ValueError(f"{text!r} is an IPv4 prefix: write one like 2001:db8:1::/48")
    return value


def endpoint(text: str, default: int = DNS_PORT) -> Endpoint:
    """Where a server listens: `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:53`.

    Args:
        text: What was written.
        default: The port of an address without one.
    """
    match = _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text)
    host, port = match.groups() if match else (text, None)
    port = str(default) if port is None else port
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(
            f"{text!r} has no port from 1 to 65535: write address:port, or the address alone for port {default}"
        )
    return Endpoint(address(host), int(port))


def has_comers(address: Address, clients: Iterable[Network]) -> bool:
    """Whether anybody of some networks can come to an address of this machine: to a loopback one, from one of these."""
    for network in clients:
        if network.version == address.version and (
            network.is_loopback == address.is_loopback or (address.is_loopback and address in network)
        ):
            return True
    return False


def place(text: str, default: int, example: str) -> Endpoint | PurePath:
    """Where a server listens: an address, with a port or without, or the absolute path of a unix socket.

    Args:
        text: What was written.
        default: The port of an address without one.
        example: A path, for who has written none.
    """
    if "/" not in text:
        return endpoint(text, default)
    path = PurePath(text)
    if not path.is_absolute():
        raise ValueError(f"{text!r} is neither an address nor an absolute path: write one like {example}")
    return path


def resolver(text: str) -> Resolver:
    """A resolver: an endpoint, and behind a `#` the name in its certificate, if it is to be asked by TLS."""
    return Resolver(*_peer(text, DNS_PORT, TLS_PORT))


def peer(text: str, default: int) -> Peer:
    """A server with this port, unless it has another one: written as a resolver is."""
    return Peer(*_peer(text, default, default))


def _peer(text: str, plain: int, tls: int) -> tuple[Endpoint, str | None]:
    where, mark, name = text.partition("#")
    if not mark:
        return endpoint(where, plain), None
    return endpoint(where, tls), names.absolute(name).removesuffix(".")


def network(text: str, otherwise: str = "or an address") -> Network:
    """A prefix of either family, or an address, which is one by itself.

    Args:
        text: What was written.
        otherwise: What may be written instead.
    """
    _refuse_zone(text)
    try:
        value = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is no prefix: write one like 192.0.2.0/28 or 2001:db8:1::/64, {otherwise}"
        ) from None
    if str(value.network_address) != str(ip_address(text.partition("/")[0])):
        raise ValueError(f"{text!r} has bits set beyond its length: write {value}")
    return value


def url(text: str) -> str:
    """The address of an interface by HTTP, without its final slashes."""
    parts = _by_http(text, "https://policy.example.org/realmgw")
    if parts.query or parts.fragment:
        raise ValueError(f"{text!r} has more than a host and a path: write no query or fragment")
    return text.rstrip("/")


def link(text: str) -> str:
    """The address of a page, for people."""
    _by_http(text, "https://portal.example.org/register?network=gwa")
    return text


def _by_http(text: str, example: str) -> SplitResult:
    """A URL; of one that may have a password nothing is quoted."""
    if "@" in text.partition("?")[0]:
        raise ValueError("there is a user in this URL, or a password: write none")
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is no such URL: write one like {example}")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"{text!r} has no port from 0 to 65535: write another") from None
    return parts


def host_of(field: str) -> str:
    """Whom a request by HTTP is for, by its Host field: a name in lower case without its final dot, or an address."""
    name = _PORT.sub("", field.strip()).lower()
    return name[1:-1] if name.startswith("[") else name.removesuffix(".")


def overlap(one: Network, other: Network) -> bool:
    """Whether two prefixes share an address; those of different families do not."""
    return one.version == other.version and one.overlaps(other)


def overlapping(networks: Collection[Network]) -> Generator[None, Any, list[tuple[int, int]]]:
    """Which prefixes share an address with one before them, in time that grows with their number only.

    Prefixes that share an address lie one in the other: so each is looked for among those that it may lie in, by the
    lengths that there are, and among those that lie in it, of which the first is remembered for each length.

    Returns:
        Their indices, each with that of the first one before it; a step for each of them.
    """
    found: list[tuple[int, int]] = []
    shorter = yield from _lengths(networks)
    standing: dict[tuple[int, int], dict[int, int]] = {}
    within: dict[tuple[int, int], dict[int, int]] = {}
    for index, network in enumerate(networks):
        bits, own, first = network.max_prefixlen, network.prefixlen, int(network.network_address)
        around = [(length, first >> (bits - length)) for length in shorter[bits] if length <= own]
        others = [standing.get((bits, length), {}).get(prefix) for length, prefix in around]
        others.append(within.get((bits, own), {}).get(around[-1][1]))
        found += [(index, min(there))] if (there := [each for each in others if each is not None]) else []
        standing.setdefault((bits, own), {}).setdefault(around[-1][1], index)
        for length, prefix in around:
            within.setdefault((bits, length), {}).setdefault(prefix, index)
        yield None
    return found


def _lengths(networks: Iterable[Network]) -> Generator[None, Any, dict[int, list[int]]]:
    """The lengths of prefixes, in their order, by how many bits an address has."""
    found: dict[int, set[int]] = {}
    for network in networks:
        found.setdefault(network.max_prefixlen, set()).add(network.prefixlen)
        yield None
    return {bits: sorted(lengths) for bits, lengths in found.items()}


class Inside:
    """Prefixes among which those are found that an address lies in, in a time that does not grow with their number."""

    def __init__(self) -> None:
        self._by_length: dict[tuple[int, int], dict[int, list[int]]] = {}

    def add(self, index: int, network: Network) -> None:
        """Takes a prefix in, under a number of its own."""
        length, bits = network.prefixlen, network.max_prefixlen
        prefixes = self._by_length.setdefault((bits, length), {})
        prefixes.setdefault(int(network.network_address) >> (bits - length), []).append(index)

    def having(self, address: Address) -> Iterator[int]:
        """The numbers of those that an address lies in."""
        yield from self.of(address.packed)

    def of(self, packed: bytes) -> Iterator[int]:
        """The same of a packed address."""
        value, size = int.from_bytes(packed, "big"), 8 * len(packed)
        for (bits, length), prefixes in self._by_length.items():
            if bits == size:
                yield from prefixes.get(value >> (bits - length), ())

"""Interfaces, and the routes by which the pool's addresses are ours: by prefix, never one address each.

A routed prefix gets an `unreachable` route: translation comes before routing, so what is admitted never meets it, and
what is not does not go back to the router that sent it. An on-link prefix of IPv4 gets a `local` route: the kernel
answers ARP for it, and the ruleset's chain `own_sockets` keeps it away from the gateway's own sockets. Of IPv6 it is
`unreachable` as well: for such a route the kernel answers no neighbour solicitation, and the gateway itself does, for
those addresses only that somebody may come to.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Interface, IPv6Interface

import attrs

from realmgw.config.addresses import overlap
from realmgw.config.settings import Address, Attachment, Interfaces, Network, PoolPrefix, Pools
from realmgw.errors import PlatformError

PROTOCOL = 82
"""The routing protocol number that our routes carry (`ip route show proto 82`): by it we find them again."""

_TWO_ADDRESSES = 31
"""Prefix length of a link that has no addresses but those of its two ends."""

Addresses = Mapping[str, tuple[IPv4Interface | IPv6Interface, ...]]
"""The machine's interfaces by name, each with its addresses."""


class RouteType(enum.Enum):
    """What the kernel does with a packet for the prefix; the values are the kernel's route types."""

    LOCAL = 2
    """RTN_LOCAL."""
    UNREACHABLE = 7
    """RTN_UNREACHABLE."""


@attrs.frozen
class Route:
    """A route of ours."""

    network: Network
    """Its destination."""
    kind: RouteType
    """What becomes of a packet for it."""


def wanted_routes(prefixes: Collection[PoolPrefix]) -> frozenset[Route]:
    """The routes that make the prefixes ours."""
    return frozenset(Route(prefix.network, _kind(prefix)) for prefix in prefixes)


def _kind(prefix: PoolPrefix) -> RouteType:
    is_local = prefix.attachment is Attachment.ON_LINK and prefix.network.version == 4
    return RouteType.LOCAL if is_local else RouteType.UNREACHABLE


def route_changes(present: frozenset[Route], wanted: frozenset[Route]) -> Iterator[tuple[str, Route]]:
    """How to get from the routes that are there to those that shall be: what to `add`, and then what to `del`."""
    yield from (("add", route) for route in sorted(wanted - present, key=str))
    yield from (("del", route) for route in sorted(present - wanted, key=str))


def first_run(pool: tuple[Network, ...]) -> tuple[Address, Address]:
    """First and last address of the first prefix (there is one) and of those that follow on it.

    A range is kept as prefixes; outgoing flows leave from all of it.
    """
    first, last = pool[0][0], pool[0][-1]
    for network in pool[1:]:
        if int(network[0]) != int(last) + 1:
            break
        last = network[-1]
    return first, last


def missing_interfaces(interfaces: Interfaces, addresses: Addresses) -> tuple[str, ...]:
    """The interfaces that the machine does not have: a line each, with those that there are."""
    wanted = (("interfaces.wan", interfaces.wan), *(("interfaces.lan", name) for name in interfaces.lan))
    there = ", ".join(sorted(addresses))
    return tuple(
        f"{key}: there is no interface {name} (there are {there}): create it, or name another"
        for key, name in wanted
        if name not in addresses
    )


def check_pool(
    pools: Pools, interfaces: Interfaces, addresses: Addresses, routers: Collection[Address] = ()
) -> tuple[str, ...]:
    """Refuse a pool that takes what the machine itself, its router or a LAN needs.

    Args:
        pools: The public addresses.
        interfaces: Names of the interfaces; all of them exist.
        addresses: What they have.
        routers: Those that default routes go by.

    Returns:
        Warnings, one line each: a prefix that looks as if it were attached the other way.

    Raises:
        PlatformError: A pool prefix holds an address of this machine or of a router, overlaps a LAN, or holds an
            address of the WAN's link that stands for all of it.
    """
    for prefix in pools.circular:
        for router in routers:
            if router in prefix.network:
                raise PlatformError(
                    f"pools.circular: {prefix.network} holds {router}, the router that our default route goes by, and"
                    " we would answer in its place: take it out of the pool"
                )
        for name, given in addresses.items():
            for address in given:
                _check_against(prefix.network, name, address, lan=name in interfaces.lan)
        if prefix.attachment is Attachment.ON_LINK:
            _check_ends(prefix.network, interfaces.wan, addresses[interfaces.wan])
    links = [address.network for address in addresses[interfaces.wan]]
    return tuple(
        doubt for prefix in pools.circular if (doubt := _attachment_doubt(prefix, interfaces.wan, links)) is not None
    )


def _check_against(pool: Network, name: str, address: IPv4Interface | IPv6Interface, *, lan: bool) -> None:
    if address.version != pool.version:
        return
    if address.ip in pool:
        raise PlatformError(
            f"pools.circular: {pool} holds {address.ip}, the gateway's own address on {name}: take it out of the pool"
        )
    if lan and overlap(pool, address.network):
        raise PlatformError(f"pools.circular: {pool} overlaps {address.network}, the network of {name}: take it out")


def _check_ends(pool: Network, name: str, given: Collection[IPv4Interface | IPv6Interface]) -> None:
    """The last address of a link is its broadcast address: the kernel's own route for it is before ours.

    The first one was that once (RFC 1122 section 3.3.6), and is still so to many. Links of two addresses (RFC 3021) or
    one have neither.
    """
    for link in (address.network for address in given if address.version == pool.version == 4):
        for end in (link[0], link[-1]):
            if link.prefixlen < _TWO_ADDRESSES and end in pool:
                raise PlatformError(
                    f"pools.circular: {pool} holds {end}, which stands for the network {link} of {name}, so nobody can"
                    " be reached there: take it out of the pool"
                )


def _attachment_doubt(prefix: PoolPrefix, wan: str, links: list[Network]) -> str | None:
    network = prefix.network
    if prefix.attachment is Attachment.ROUTED and any(overlap(network, link) for link in links):
        return f"pools.circular: {network} is routed, but part of the network of {wan}: nobody will answer for it there"
    if prefix.attachment is Attachment.ON_LINK and not any(_within(network, link) for link in links):
        return f"pools.circular: {network} is on-link, but no part of a network of {wan}: who will ask for it there?"
    return None


def _within(inner: Network, outer: Network) -> bool:
    return overlap(inner, outer) and inner.prefixlen >= outer.prefixlen

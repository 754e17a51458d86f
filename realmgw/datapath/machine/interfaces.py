"""Interfaces with their addresses, routers, and the networks behind. Edge: a routing socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface
from typing import Any

from pyroute2 import IPRoute

from realmgw.config.settings import Address, Network, Settings
from realmgw.datapath import links
from realmgw.datapath.links import Addresses
from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import InterruptedDumpError

_AF_INET, _AF_INET6 = 2, 10
_FAMILIES = _AF_INET, _AF_INET6
_MAIN = 254  # a routing table
_ADVERTISED = 9  # RTPROT_RA


def undisturbed(read: Callable[[], Iterable[Any]]) -> list[Any]:
    """What a listing by a routing socket gives that was not interrupted, which pyroute2 does not look for.

    Args:
        read: Has it listed.

    Raises:
        InterruptedDumpError: As `netlink.undisturbed` does.
    """

    def listed() -> list[Any]:
        found = list(read())
        if any(each["header"]["flags"] & codec.INTERRUPTED for each in found):
            raise InterruptedDumpError("netlink: addresses and routes changed while they were read")
        return found

    return codec.undisturbed(listed)


def addresses(channel: IPRoute) -> Addresses:
    """Every interface with its addresses."""
    names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in undisturbed(channel.get_links)}
    found: dict[str, list[str]] = {name: [] for name in names.values()}
    for address in undisturbed(channel.get_addr):
        # On a point-to-point link IFA_ADDRESS is the other end.
        own = address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS")
        if address["index"] in names:
            found[names[address["index"]]].append(f"{own}/{address['prefixlen']}")
    return {name: tuple(ip_interface(text) for text in texts) for name, texts in found.items()}


def routers(channel: IPRoute) -> frozenset[Address]:
    """The routers that default routes go by, those that have advertised themselves among them."""
    found = []
    for route in (each for family in _FAMILIES for each in _default_routes(channel, family)):
        hops = (route, *(route.get_attr("RTA_MULTIPATH") or ()))
        found += [gateway for hop in hops if (gateway := hop.get_attr("RTA_GATEWAY")) is not None]
    return frozenset(map(ip_address, found))


def towards_internet(channel: IPRoute) -> str:
    """The name of the interface that the default route of IPv4 goes by; empty: there is no such route."""
    for route in _default_routes(channel, _AF_INET):
        for link in channel.get_links(route.get_attr("RTA_OIF") or 0) if route.get_attr("RTA_OIF") else ():
            return str(link.get_attr("IFLA_IFNAME"))
    return ""


def _default_routes(channel: IPRoute, family: int) -> list[Any]:
    return undisturbed(lambda: channel.get_default_routes(family=family))


def advertises(channel: IPRoute, name: str) -> bool:
    """Whether there is a default route of IPv6 by the interface of that name that a router has advertised."""
    indices = channel.link_lookup(ifname=name)
    return any(
        route["proto"] == _ADVERTISED and route.get_attr("RTA_OIF") in indices
        for route in _default_routes(channel, _AF_INET6)
    )


def check_pool(channel: IPRoute, settings: Settings) -> tuple[str, ...]:
    """See `links.check_pool`; nothing is told while the machine does not have the interface towards the Internet."""
    found = addresses(channel)
    if settings.interfaces.wan not in found:
        return ()
    return links.check_pool(settings.pools, settings.interfaces, found, routers(channel))


def networks_behind(channel: IPRoute, name: str) -> tuple[Network, ...]:
    """The networks that routes of the main table lead to by the interface of that name, its own among them."""
    (index,) = channel.link_lookup(ifname=name)
    return tuple(
        kind((route.get_attr("RTA_DST") or 0, route["dst_len"]))
        for family, kind in ((_AF_INET, IPv4Network), (_AF_INET6, IPv6Network))
        for route in undisturbed(partial(channel.get_routes, family=family, oif=index, table=_MAIN))
        if route["family"] == family  # without IPv6, the kernel lists those of IPv4 again
    )

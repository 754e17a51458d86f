"""The testbed's second family: addresses and routes of IPv6 on every link, beside those of IPv4. docs/testbed.md.

The numbers are those of IPv4, so that one is known by the other: 100.64.3.10 is 2001:db8:3:10::1, 192.168.0.100 is
fd00::100.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from testbed.realm import links

AVAILABLE = Path("/proc/sys/net/ipv6").exists()
"""Whether this kernel has it; if not, the testbed is one of IPv4."""
LINK = 64
"""Prefix length of the links; that of the clients' is `PUBLIC_LINK`."""
ROUTER_WAN = "2001:db8:1::129"
"""The router on the link to the gateway: the gateway's default route."""
GATEWAY = "2001:db8:1::130"
"""The gateway on that link: its name server."""
ON_LINK = "2001:db8:1:0:1::/80"
"""A pool prefix that is part of the WAN link: the gateway answers neighbour solicitations for what lives in it."""
ROUTED = "2001:db8:2::/64"
"""A pool prefix that the router has a route for."""
PUBLIC_LINK = 48
"""Each client has a /64 of its own, 2001:db8:3:N::/64: as a resolver, it is one that others are not."""
ROUTER_PUBLIC = "2001:db8:3::1"
"""The router on the link to the clients."""
CLIENT = "2001:db8:3:10::1"
"""The first client."""
ROUTER_ATTACKER = "2001:db8:4::1"
"""The router on the link to the attackers."""
ATTACKERS = ("2001:db8:4::10", "2001:db8:4::11")
"""The attackers' own addresses."""
OWN = "2001:db8:5::/64"
"""Public addresses of the private hosts' own, for pinholes: the router has a route for them."""
GATEWAY_OWN = "2001:db8:5::1"
"""The gateway in that prefix, on the LAN."""
OUTSIDE = "2001:db8:6::/64"
"""What may stand in the place of the LAN's prefix outside (NPTv6): the router has a route for it."""
ROUTES = (ROUTED, OWN, OUTSIDE)
"""What the router always routes to the gateway."""
SOURCES = "2001:db8:66::/48"
"""Source addresses for generators of raw packets, when asked for: routed to `public`, and owned by nobody."""
LAN = "fd00::/64"
"""The private realm."""
GATEWAY_LAN = "fd00::1"
"""The gateway on the LAN."""

QUIET = {
    **{
        f"ipv6/conf/{which}/{parameter}": "0"
        for which in ("all", "default")
        for parameter in ("disable_ipv6", "accept_dad", "accept_ra", "autoconf", "router_solicitations", "use_tempaddr")
    },
    **{f"ipv6/conf/{which}/keep_addr_on_down": "1" for which in ("all", "default")},
    "ipv6/icmp/ratelimit": "0",
}
"""Kernel parameters of every namespace, below /proc/sys/net: an address is there at once, and stays, and there are no
others."""


class Built(Protocol):
    """A testbed whose links stand."""

    @property
    def hosts6(self) -> Sequence[str]:
        """The private addresses of its hosts."""

    @property
    def own6(self) -> Sequence[str]:
        """Their public ones."""

    @property
    def clients6(self) -> Sequence[str]:
        """The addresses of its clients."""

    @property
    def call(self) -> Callable[..., object]:
        """Calls a function in a namespace."""


def addresses(hosts: int, clients: int) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The private addresses of hosts, their own public ones, and the addresses of clients; none without IPv6.

    Args:
        hosts: How many hosts.
        clients: How many clients.
    """
    if not AVAILABLE:
        return (), (), ()
    numbers = range(100, 100 + hosts)
    public = tuple(f"2001:db8:3:{number}::1" for number in range(10, 10 + clients))
    return tuple(f"fd00::{number}" for number in numbers), tuple(f"2001:db8:5::{number}" for number in numbers), public


def connect(testbed: Built, routed: Sequence[str], sources: Sequence[str], *, attackers: bool) -> None:
    """Gives every interface its addresses, and tells everybody the way.

    Args:
        testbed: Which.
        routed: What the router routes to the gateway; here and below, IPv4 is left out.
        sources: Networks that nobody owns, routed to those who send from them.
        attackers: Whether there are any; then it is them.
    """
    if not AVAILABLE:
        return
    testbed.call("router", links.add_addresses, "gwa", [ROUTER_WAN], LINK)
    testbed.call("gwa", links.add_addresses, "wan0", [GATEWAY], LINK)
    testbed.call("router", links.add_addresses, "public", [ROUTER_PUBLIC], PUBLIC_LINK)
    testbed.call("public", links.add_addresses, "eth0", testbed.clients6, PUBLIC_LINK)
    testbed.call("gwa", links.add_addresses, "lan0", [GATEWAY_LAN, GATEWAY_OWN], LINK)
    testbed.call("test_gwa", links.add_addresses, "eth0", [*testbed.hosts6, *testbed.own6], LINK)
    testbed.call("router", links.set_parameters, {"ipv6/conf/all/forwarding": "1"})
    senders = ATTACKERS[0] if attackers else CLIENT
    hops = {**dict.fromkeys(routed, GATEWAY), **dict.fromkeys(sources, senders)}
    ways = {"gwa": ROUTER_WAN, "public": ROUTER_PUBLIC, "test_gwa": GATEWAY_LAN}
    if attackers:
        testbed.call("router", links.add_addresses, "attacker", [ROUTER_ATTACKER], LINK)
        testbed.call("attacker", links.add_addresses, "eth0", ATTACKERS, LINK)
        ways["attacker"] = ROUTER_ATTACKER
    testbed.call("router", links.add_routes, {network: hop for network, hop in hops.items() if ":" in network})
    for namespace, router in ways.items():
        testbed.call(namespace, links.add_routes, {"default": router})

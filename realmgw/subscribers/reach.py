"""What is around a gateway, as far as it decides which addresses a host can have."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import attrs


@attrs.frozen
class Around:
    """The machine's addresses and networks. Empty: nothing is known of them, and nothing is said against a host."""

    own: frozenset[IPv4Address] = frozenset()
    """Addresses of the machine itself."""
    routers: frozenset[IPv4Address] = frozenset()
    """Those that its default routes go by."""
    links: tuple[IPv4Network, ...] = ()
    """The networks of the LAN interfaces."""
    reached: tuple[IPv4Network, ...] = ()
    """All networks that routes lead to by the LAN interfaces; empty: it is not known."""

    def special(self) -> frozenset[int]:
        """The addresses, as numbers, that no host can have."""
        ends = {int(end) for link in self.links if link.prefixlen < 31 for end in (link[0], link[-1])}
        return frozenset(ends | {int(each) for each in (*self.own, *self.routers)})

    def refusals(self, address: IPv4Address) -> Iterator[str]:
        """Why a host can not have an address: what is wrong, and what to write instead.

        A private address may be behind a router that is not known yet. A public one that no route to the LANs has is
        the Internet's: flows would leave by the WAN.
        """
        if address in self.own:
            yield f"{address} is the gateway's own address: write the host's"
        if address in self.routers:
            yield f"{address} is the router that the gateway's default route goes by: write the host's"
        for link in self.links:
            if link.prefixlen < 31 and address in (link[0], link[-1]):
                yield f"{address} is no single host's, but stands for the network {link}: write the host's"
        if address.is_global and self.reached and not any(address in network for network in self.reached):
            yield f"{address} is on the Internet, and no route leads to it by a LAN: write the host's private address"


NOWHERE = Around()
"""Nothing is known."""

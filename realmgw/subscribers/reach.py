"""What is around a gateway, as far as it decides which addresses a host can have."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import attrs

from realmgw.config.steps import Steps, portions
from realmgw.config.values import Address, Network


@attrs.define
class Ranges:
    """Addresses of one family, as numbers; to find one takes hardly longer, however many networks they are of."""

    firsts: list[int] = attrs.Factory(list)
    """Where each range begins, in order; none meets another."""
    lasts: list[int] = attrs.Factory(list)
    """Where each ends."""

    @classmethod
    def of(cls, networks: Iterable[Network], version: int) -> Steps[Ranges]:
        """Those of networks of a family, 4 or 6, which may lie in each other; some at a time."""
        ranges, pairs = cls(), list[tuple[int, int]]()
        for some in portions(networks):
            ours = [each for each in some if each.version == version]
            pairs += [(int(each.network_address), int(each.broadcast_address)) for each in ours]
            yield None
        for portion in portions(sorted(pairs)):
            for first, last in portion:
                ranges._add(first, last)
            yield None
        return ranges

    def _add(self, first: int, last: int) -> None:
        """A range that begins where no earlier one does."""
        if self.lasts and first <= self.lasts[-1]:
            self.lasts[-1] = max(self.lasts[-1], last)
        else:
            self.firsts.append(first)
            self.lasts.append(last)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.firsts)

    def __contains__(self, number: int) -> bool:
        """Whether one of the networks has an address."""
        at = bisect_right(self.firsts, number)
        return at > 0 and number <= self.lasts[at - 1]


@attrs.frozen
class Around:
    """The machine's addresses and networks. Empty: nothing is known of them, and nothing is said against a host."""

    own: frozenset[Address] = frozenset()
    """Addresses of the machine itself."""
    routers: frozenset[Address] = frozenset()
    """Those that its default routes go by."""
    links: tuple[Network, ...] = ()
    """The networks of the LAN interfaces."""
    reached: tuple[Network, ...] = ()
    """All networks that routes lead to by the LAN interfaces; of a family of which there are none it is not known."""

    def special(self, version: int) -> frozenset[int]:
        """The addresses of a family, as numbers, that no host can have."""
        ends = (end for link in self.links for end in _ends(link))
        return frozenset(int(each) for each in (*ends, *self.own, *self.routers) if each.version == version)

    def refusals(self, address: Address) -> Iterator[str]:
        """Why a host can not have an address: what is wrong, and what to write instead.

        A private address may be behind a router that is not known yet. A public one that no route to the LANs has is
        the Internet's: flows would leave by the WAN.
        """
        if address in self.own:
            yield f"{address} is the gateway's own address: write the host's"
        if address in self.routers:
            yield f"{address} is the router that the gateway's default route goes by: write the host's"
        for link in self.links:
            if address in _ends(link):
                yield f"{address} is no single host's, but stands for the network {link}: write the host's"
        reached = [network for network in self.reached if network.version == address.version]
        if address.is_global and reached and not any(address in network for network in reached):
            yield f"{address} is on the Internet, and no route leads to it by a LAN: write the host's private address"


def _ends(link: Network) -> tuple[Address, ...]:
    """What stands for a network as a whole: itself and everybody in it (RFC 919), or any router (RFC 4291, 2.6.1)."""
    if link.max_prefixlen - link.prefixlen < 2:
        return ()
    return (link[0], link[-1]) if link.version == 4 else (link[0],)


NOWHERE = Around()
"""Nothing is known."""

"""Whose an address is: a host's, the gateway's own, or somebody's elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network

import attrs

from realmgw.config.settings import Network, Settings
from realmgw.subscribers.model import Host
from realmgw.subscribers.reach import Around


@attrs.define
class Ours:
    """What the gateway knows of addresses."""

    settings: Settings
    """In force."""
    host_at: Callable[[bytes], Host | None]
    """The host with a packed address."""
    around: Callable[[], Around]
    """The machine's addresses and networks."""

    def is_inside(self, packed: bytes) -> bool:
        """Whether an address is that of a host, or of somebody else on a LAN."""
        if self.host_at(packed) is not None:
            return True
        around, address = self.around(), ip_address(packed)
        return address not in around.own and any(address in each for each in (*around.links, *around.reached))

    def name_of(self, packed: bytes) -> str | None:
        """The name of the host with an address."""
        host = self.host_at(packed)
        return None if host is None else host.name

    def networks(self) -> Iterator[Network]:
        """The prefixes of nobody who could ever be banned: the LANs', the pools', and the gateway's own addresses."""
        around, pools = self.around(), self.settings.pools
        yield from (*around.links, *around.reached, *pools.networks)
        zones = (each for zone in self.settings.zones for each in zone.apex_addresses)
        every = (*around.own, *around.routers, *pools.service, *(pools.outbound or ()), *zones)
        yield from (ip_network(each) for each in every)

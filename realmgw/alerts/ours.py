"""Whose an address is: a host's, the gateway's own, or somebody's elsewhere.

Of each alert that is asked, of networks of which there may be thousands: so they are gone through when they change, and
not for an alert.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv6Network, ip_network

import attrs

from realmgw.alerts.recent import Way
from realmgw.config.addresses import Inside
from realmgw.config.protocols import TCP
from realmgw.config.settings import Network, Settings
from realmgw.datapath.netlink.tracked import Direction, Tracked
from realmgw.datapath.proxied import Proxied
from realmgw.subscribers.model import Host
from realmgw.subscribers.reach import NOWHERE, Around

SHARED = 64  # bits
"""Whoever has one address of such a prefix of IPv6 has all of them."""


@attrs.define
class Ours:
    """What the gateway knows of addresses."""

    settings: Settings
    """In force."""
    host_at: Callable[[bytes], Host | None]
    """The host with a packed address."""
    around: Callable[[], Around]
    """The machine's addresses and networks."""
    _known: tuple[Settings | None, Around] = None, NOWHERE
    _own: frozenset[bytes] = frozenset()
    _proxied: Proxied | None = None
    _inside: Inside = attrs.Factory(Inside)
    _guarded: Inside = attrs.Factory(Inside)

    def is_inside(self, packed: bytes) -> bool:
        """Whether an address is that of a host, or of somebody else on a LAN."""
        if self.host_at(packed) is not None:
            return True
        self._look()
        return packed not in self._own and is_of(self._inside, packed)

    def way(self, flow: Tracked) -> Way:
        """From where to where a flow was begun."""
        first, answer = flow.original.source, flow.reply.source
        if self.is_inside(answer):
            return Way.IN
        self._look()
        is_from_outside = first not in self._own and not self.is_inside(first)
        return Way.GATEWAY if answer in self._own and is_from_outside else Way.OUT

    def is_proxied(self, answer: Direction) -> bool:
        """Whether it is the web proxy of the gateway that answers so."""
        self._look()
        is_tcp = answer.protocol == TCP
        return is_tcp and self._proxied is not None and self._proxied.serves(answer.source, answer.sport)

    def is_guarded(self, packed: bytes) -> bool:
        """Whether an address is of nobody who could ever be banned, or of IPv6 its /64 has one that is."""
        self._look()
        return is_of(self._guarded, packed)

    def name_of(self, packed: bytes) -> str | None:
        """The name of the host with an address."""
        host = self.host_at(packed)
        return None if host is None else host.name

    def _look(self) -> None:
        """Go through what is around, if that is not what it was."""
        around, (settings, before) = self.around(), self._known
        if around is before and settings is self.settings:
            return
        self._known = self.settings, around
        self._proxied = Proxied.of(self.settings)
        self._own = frozenset(each.packed for each in around.own)
        self._inside, self._guarded = inside((*around.links, *around.reached)), guarding(self._networks())

    def _networks(self) -> Iterator[Network]:
        """The prefixes of nobody who could ever be banned: the LANs', the pools', and the gateway's own addresses."""
        around, pools = self.around(), self.settings.pools
        yield from (*around.links, *around.reached, *pools.networks)
        zones = (each for zone in self.settings.zones for each in zone.apex_addresses)
        every = (*around.own, *around.routers, *pools.service, *(pools.outbound or ()), *zones)
        yield from (ip_network(each) for each in every)


def inside(networks: Iterable[Network]) -> Inside:
    """Those networks, to be asked whether an address `is_of` one of them."""
    found = Inside()
    for number, network in enumerate(networks):
        found.add(number, network)
    return found


def guarding(networks: Iterable[Network]) -> Inside:
    """What no ban may be of, so that none is of the networks: these, and of IPv6 the /64 that each is in."""
    return inside(_around(network) for network in networks)


def is_of(networks: Inside, packed: bytes) -> bool:
    """Whether one of the networks has a packed address."""
    return any(True for _ in networks.of(packed))


def _around(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.prefixlen > SHARED:
        return network.supernet(new_prefix=SHARED)
    return network

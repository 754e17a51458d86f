"""A pool of settings that are not in force, as full as is said, to be asked what it would say.

Nobody has asked it for anything yet. It is a part of the real one: what is decided goes by shares of the pool, and a
whole one of 65 536 addresses would take too long to make.

Family: a part of the pool of IPv4 stands for it; prefixes of IPv6 cost nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import shake_128
from ipaddress import IPv4Network
from itertools import chain, count, islice
from typing import TYPE_CHECKING

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.ipv6.drawing import Drawn
from realmgw.config.steps import Steps, portions
from realmgw.config.values import Address
from realmgw.subscribers.host_indices import LAST_INDEX
from realmgw.subscribers.model import Host, Service

if TYPE_CHECKING:
    from realmgw.config.policy import Policy
    from realmgw.config.settings import Settings

SIZE = 100  # addresses
"""As large a part of the pool of IPv4, and what is asked for by its address."""

AT_ONCE = 25
"""So many of them are taken between two steps."""


class DryPools:
    """Makes pools for `realmgw.allocation.explain`, and for single questions.

    Args:
        settings: What would be in force. Of resolvers, what is preset is known.
        also: Addresses that have to be in a pool if they are in the real one.
        now: The present, in monotonic seconds.
    """

    def __init__(self, settings: Settings, also: Collection[Address], now: float) -> None:
        self._settings, self._now, self._pools = settings, now, settings.pools
        first = islice(_each(self._pools.networks4), SIZE)
        wanted = (each for each in also if any(each in network for network in self._pools.networks4))
        self._part = tuple(dict.fromkeys(IPv4Network(each) for each in chain(first, wanted)))
        self._numbers = count()
        self._drawn: Drawn | None = None

    def made(self, percent: float) -> Steps[Allocator]:
        """One of its own.

        Args:
            percent: So much of the pool's addresses is waited at, at the nearest whole number of addresses: by clients
                of hosts that share with nobody.
        """
        settings, now, share = self._settings, self._now, percent / 100
        allocator = Allocator(settings.allocation, self._part, now=now, ipv6=settings.ipv6, chance=self._chance)
        yield None
        drawing = allocator.fresh.drawing
        drawing.drawn = self._drawn
        allocator.fresh.extend(self._pools.networks6)
        self._drawn = drawing.drawn
        yield from allocator.askers.configuring_policy(settings.policy, now=now)
        yield from _known(allocator, settings.policy, now)
        yield from _filling(allocator, round(share * allocator.pool.size), now)
        allocator.counters.pending = round(share * self._pools.size)
        return allocator

    def _chance(self, octets: int) -> bytes:
        """The same for all pools of all runs: what is decided does not depend on it."""
        return shake_128(next(self._numbers).to_bytes(8, "big")).digest(octets)


def _each(networks: Collection[IPv4Network]) -> Iterator[Address]:
    return (address for network in networks for address in network)


def _known(allocator: Allocator, policy: Policy, now: float) -> Steps[None]:
    """The best reputation known is that of whoever is preset with the best one."""
    load = allocator.askers.load
    for portion in portions(policy.groups):
        for each in portion:
            group = allocator.groups.find(str(each.nodes[0].network_address))
            if load is not None and group is not None:
                load.share(group, now)
        yield None


def _filling(allocator: Allocator, addresses: int, now: float) -> Steps[None]:
    """So many are waited at, those first that would be lent first."""
    ledger, group = allocator.ledger, allocator.groups.known("others")
    for number, address in enumerate(tuple(islice(allocator.pool.vacant, addresses))):
        host = Host(LAST_INDEX - number, f"{number}.load.invalid.", b"")
        ledger.claim(ledger.settle(address, Service(host.name, host), group), group, number, None, now)
        if not number % AT_ONCE:
            yield None

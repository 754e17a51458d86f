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
from realmgw.config.steps import Steps, portions
from realmgw.config.values import Address, Network
from realmgw.subscribers.host_indices import LAST_INDEX
from realmgw.subscribers.model import Host, Service

if TYPE_CHECKING:
    from realmgw.config.policy import Policy
    from realmgw.config.settings import Pools, Settings

SIZE = 100  # addresses
"""As large a part of the pool of IPv4, and what is asked for by its address."""

AT_ONCE = 25
"""So many of them are taken between two steps."""


def dry_allocator(settings: Settings, percent: float, also: Collection[Address], now: float) -> Steps[Allocator]:
    """A pool for `realmgw.allocation.explain`, and for single questions.

    Args:
        settings: What would be in force. Of resolvers, what is preset is known.
        percent: So much of the pool's addresses is waited at, at the nearest whole number of addresses: by clients of
            hosts that share with nobody.
        also: Addresses that have to be in it if they are in the real one.
        now: The present, in monotonic seconds.
    """
    pools, drawn = settings.pools, count()
    allocator = Allocator(
        settings.allocation, _part(pools, also), now=now, ipv6=settings.ipv6,
        chance=lambda octets: shake_128(next(drawn).to_bytes(8, "big")).digest(octets),
    )  # fmt: skip
    yield None
    yield from allocator.askers.configuring_policy(settings.policy, now=now)
    yield from _known(allocator, settings.policy, now)
    yield from _filling(allocator, round(percent / 100 * allocator.pool.size), now)
    allocator.counters.pending = round(percent / 100 * pools.size)
    return allocator


def _part(pools: Pools, also: Collection[Address]) -> tuple[Network, ...]:
    """The prefixes of IPv6, the first addresses of IPv4, and those that have to be there."""
    first = islice(_each(pools.networks4), SIZE)
    wanted = (each for each in also if any(each in network for network in pools.networks4))
    return (*dict.fromkeys(IPv4Network(each) for each in chain(first, wanted)), *pools.networks6)


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

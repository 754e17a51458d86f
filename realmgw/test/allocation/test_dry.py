"""Tests for `realmgw.allocation.dry`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.dry import SIZE, DryPools
from realmgw.config.settings import Settings
from realmgw.config.steps import finish
from realmgw.config.values import Address
from realmgw.test.config.test_schema import MINIMAL, settings

LAST = ip_address("10.255.255.255")


class DryPoolsTests(SynchronousTestCase):
    """Pools that are tried only."""

    def pools(self, *networks: str, also: tuple[Address, ...] = (LAST,)) -> DryPools:
        """Those of settings."""
        return DryPools(self.settings(*networks), also, 0.0)

    def settings(self, *networks: str) -> Settings:
        """With these prefixes in the pool."""
        said = settings(MINIMAL)
        [piece] = said.pools.circular
        circular = tuple(attrs.evolve(piece, network=ip_network(each)) for each in networks)
        return attrs.evolve(said, pools=attrs.evolve(said.pools, circular=circular))

    def made(self, pools: DryPools, percent: float) -> Allocator:
        """One of them."""
        return finish(pools.made(percent))

    def test_are_as_full_as_is_said(self) -> None:
        """Of few addresses all, of many a part that has those that are asked for; as many claims as in the whole."""
        for network, percent, size, waiting, pending in (
            ("198.51.100.0/32", 40.0, 1, 0, 0),
            ("198.51.100.0/30", 50.0, 4, 2, 2),
            ("198.51.100.0/26", 100.0, 64, 64, 64),
            ("198.51.100.0/24", 33.0, SIZE, 33, 84),
            ("10.0.0.0/8", 12.5, SIZE + 1, 13, 2**21),
            ("2001:db8::/64", 50.0, 0, 0, 0),
        ):
            allocator = self.made(self.pools(network), percent)
            counted = allocator.pool.size, allocator.pool.waiting, allocator.counters.pending
            self.assertEqual(counted, (size, waiting, pending), network)
            self.assertEqual(LAST.packed in allocator.pool.addresses, network == "10.0.0.0/8")

    def test_share_what_is_large(self) -> None:
        """What was drawn of IPv6 is known by 4 MiB: one for all; where there is no prefix, there is none."""
        pools = self.pools("198.51.100.0/24", "2001:db8::/64")
        first, second = self.made(pools, 0.0), self.made(pools, 50.0)
        self.assertIsNotNone(first.fresh.drawing.drawn)
        self.assertIs(first.fresh.drawing.drawn, second.fresh.drawing.drawn)
        self.assertNotEqual(*(each.fresh.drawing.draw(lambda _: False) for each in (first, second)))
        self.assertIsNone(self.made(self.pools("198.51.100.0/24"), 0.0).fresh.drawing.drawn)

"""Tests of `realmgw.datapath.elements`: what is compared before a set is looked into."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import elements


class ToPoolTests(SynchronousTestCase):
    """`elements.to_pool`: the prefix before the set has all that the set has."""

    def test_is_the_smallest_prefix_around_all(self) -> None:
        """Of either family, in whatever order; nothing is said where it is everything, or where there is no pool."""
        for said, ipv6, expected in (
            ("192.0.2.16/28", False, "192.0.2.16/28"),
            ("192.0.2.16/28 192.0.2.0/28", False, "192.0.2.0/27"),
            ("192.0.2.0/24 192.0.2.128/25", False, "192.0.2.0/24"),
            ("203.0.113.7/32 198.51.100.0/24", False, "192.0.0.0/4"),
            ("2001:db8:0:2::/64 2001:db8:0:1::/64", True, "2001:db8::/62"),
            ("::1/128", True, "::1/128"),
            ("10.0.0.0/8 192.0.2.0/24", False, ""),
            ("", True, ""),
        ):
            networks = [ip_network(each) for each in said.split()]
            family, name = ("ip6", "pool6") if ipv6 else ("ip", "pool")
            first = f"{family} daddr {expected} " if expected else ""
            self.assertEqual(elements.to_pool(networks, ipv6=ipv6), f"{first}{family} daddr @{name}")
            if expected:
                self.assertTrue(all(each.subnet_of(ip_network(expected)) for each in networks))  # type: ignore[arg-type]

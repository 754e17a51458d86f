"""Tests for `realmgw.datapath.outbound6`; what the rules do is tried in the kernel's tests."""

from __future__ import annotations

from ipaddress import IPv6Network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Leave6, Outbound6
from realmgw.datapath import outbound6
from realmgw.datapath.outbound6 import Leaving

INSIDE, OUTSIDE = IPv6Network("fd01::/48"), IPv6Network("2001:db8:1::/48")


def leaving(*given: Outbound6) -> Leaving:
    """Two LANs, of which something is said or not."""
    return Leaving("wan0", ("lan0", "lan1"), given, (32768, 65535))


class ForwardedTests(SynchronousTestCase):
    """What is let out."""

    def test_public_sources_of_the_lan_leave_as_they_are(self) -> None:
        """Whoever is not of the LAN is dropped in silence, who is, and has no public address, is told."""
        ways = list(leaving(Outbound6("lan1", Leave6.NAT66)).forwarded())
        out, counted = 'iifname "lan0" oifname "wan0"', 'counter name "outbound6_source"'
        spoofed = f'{out} meta nfproto ipv6 fib saddr oifname != "lan0" {counted} drop'
        private = f"{out} ip6 saddr != 2000::/3 {counted} reject with icmpv6 type policy-fail"
        self.assertEqual(ways, [spoofed, private])

    def test_lan_that_is_off_is_told_so(self) -> None:
        """At once, so that its hosts use IPv4."""
        off = leaving(Outbound6("lan0", Leave6.OFF), Outbound6("lan1", Leave6.NAT66))
        [rule] = off.forwarded()
        self.assertEqual(
            rule,
            'iifname "lan0" oifname "wan0" meta nfproto ipv6'
            ' counter name "outbound6_off" reject with icmpv6 type admin-prohibited',
        )

    def test_prefix_inside_passes_and_the_rest_is_as_with_a_route(self) -> None:
        """A host may have a public address besides."""
        first, *rest = leaving(
            Outbound6("lan0", Leave6.NPTV6, INSIDE, OUTSIDE), Outbound6("lan1", Leave6.OFF)
        ).forwarded()
        self.assertIn("outbound6_off", first)
        self.assertEqual(rest[0], 'iifname "lan0" oifname "wan0" ip6 saddr fd01::/48 accept')
        self.assertEqual(rest[1:], list(leaving(Outbound6("lan1", Leave6.NAT66)).forwarded()))


class TranslatedTests(SynchronousTestCase):
    """What sources become."""

    def test_conntrack_is_told_the_prefix_outside(self) -> None:
        """By a translation to the very same address."""
        [rule] = leaving(Outbound6("lan0", Leave6.NPTV6, INSIDE, OUTSIDE)).translated()
        same = "{ 2001:db8:1::/48 : 2001:db8:1::/48 }"
        self.assertEqual(
            rule,
            f'iifname "lan0" oifname "wan0" ip6 saddr 2001:db8:1::/48 snat ip6 prefix to ip6 saddr map {same}',
        )

    def test_ports_are_drawn_by_chance_from_the_given_ones(self) -> None:
        """With the interface's address, with one, or with those of a prefix but for the routers' own."""
        for outside, by_port, other in (
            (None, "masquerade to :32768-65535 fully-random", "masquerade"),
            ("2001:db8:9::1/128", "snat ip6 to [2001:db8:9::1]:32768-65535 fully-random,persistent", ""),
            ("2001:db8:9::/126", "snat ip6 to [2001:db8:9::1]-[2001:db8:9::3]:32768-65535 fully-random,persistent", ""),
        ):
            way = Outbound6("lan1", Leave6.NAT66, outside=IPv6Network(outside) if outside else None)
            ported, rest = leaving(way).translated()
            self.assertTrue(ported.endswith(f"meta l4proto {outbound6.WITH_PORTS} {by_port}"), ported)
            self.assertTrue(rest.endswith(other or " persistent"), rest)

    def test_wall_knows_the_prefixes_outside(self) -> None:
        """They need not be public, where gateways are nested."""
        way = Outbound6("lan0", Leave6.NPTV6, INSIDE, IPv6Network("fd99::/48"))
        _, rule = leaving(way).wall()
        self.assertIn('iifname { "lan0", "lan1" } oifname "wan0" ip6 saddr != { 2000::/3, fd99::/48 }', rule)

"""Which packets are followed; `realmgw.test.kernel.test_tracing` has it in a kernel."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.tracing.match import Match, commands

ONE, ONE6, OTHER, OTHER6 = map(ip_network, ("192.0.2.1", "2001:db8::1", "198.51.100.0/24", "2001:db8:9::/48"))


class MatchTests(SynchronousTestCase):
    """`Match`."""

    def test_has_a_rule_for_each_family_that_a_packet_can_have(self) -> None:
        """Where both ends are named, both must have it."""
        for match, expected in (
            (Match((ONE,)), ["ip saddr { 192.0.2.1/32 }"]),
            (Match((ONE, ONE6)), ["ip saddr { 192.0.2.1/32 }", "ip6 saddr { 2001:db8::1/128 }"]),
            (Match((ONE, ONE6), (OTHER6,)), ["ip6 saddr { 2001:db8::1/128 } ip6 daddr { 2001:db8:9::/48 }"]),
            (Match((ONE,), (OTHER,)), ["ip saddr { 192.0.2.1/32 } ip daddr { 198.51.100.0/24 }"]),
            (Match((ONE,), (OTHER6,)), []),
        ):
            self.assertEqual(list(match.rules()), expected)
            self.assertEqual(bool(match), bool(expected))

    def test_the_table_ends_with_its_owner_and_follows_so_many_only(self) -> None:
        """What arrives, and what the machine itself sends."""
        text = commands("gw", Match((ONE,)))
        self.assertIn("table inet gw_trace {\n\tflags owner\n", text)
        self.assertIn("limit rate 50/second burst 50 packets meta nftrace set 1", text)
        self.assertEqual(text.count("ip saddr { 192.0.2.1/32 } goto followed"), 2)
        for hook in ("prerouting", "output"):
            self.assertIn(f"type filter hook {hook} priority -500; policy accept;", text)

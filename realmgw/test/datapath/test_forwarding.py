"""Tests for `realmgw.datapath.forwarding`; what passes is asked in realmgw.test.kernel."""

from __future__ import annotations

from itertools import product

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Datapath, Forward, Ipv6, Leave6, Outbound6, UnknownHosts, Verdict
from realmgw.datapath import forwarding, marks, ruleset
from realmgw.datapath.forwarding import Families
from realmgw.datapath.ruleset import Ruleset
from realmgw.test.datapath.moves import change
from realmgw.test.datapath.test_ruleset import SETTINGS

EVERY = [Forward(*pair) for pair in product(Verdict, repeat=2)]


class RulesTests(SynchronousTestCase):
    """`rules`."""

    def test_no_key_opens_a_lan_to_the_wan_or_to_others(self) -> None:
        """Whatever they are: what goes to a LAN comes from a LAN, or is of a flow that was admitted."""
        rules = attrs.evolve(Ruleset.of(SETTINGS, native_queue=False), wan="w", lan=("l", "m"))
        for forward in EVERY:
            made = forwarding.rules(rules.interfaces, forward, Families(), drop="drop", invalid="drop")
            self.assertEqual((made[0], made[-1]), ("type filter hook forward priority filter; policy drop;", "drop"))
            for rule in made[1:-1]:
                if rule.startswith("ct state") or "ct status dnat" in rule:
                    continue
                if rule == 'iifname { "l", "m" } jump host_out':  # which ends there, or comes back
                    continue
                to_lan = 'oifname { "l", "m" } ' in rule
                self.assertTrue(not to_lan or rule.startswith('iifname { "l", "m" } '), rule)
                self.assertTrue("oifname" in rule, rule)

    def test_of_ipv6_only_what_was_admitted_goes_to_a_lan(self) -> None:
        """Translated from the pool, or to a host at its own address: with the mark, or confirmed since it had it."""
        interfaces = attrs.evolve(Ruleset.of(SETTINGS, native_queue=False), wan="w", lan=("l",)).interfaces
        usual, more = (
            forwarding.rules(interfaces, Forward(), Families(ipv6_enters=each), drop="drop", invalid="drop")
            for each in (False, True)
        )
        to_lan = [rule for rule in more if rule not in usual]
        self.assertEqual([rule for rule in more if rule not in to_lan], usual)
        self.assertEqual(len(to_lan), 3)
        for rule in to_lan:
            self.assertTrue(rule.startswith('iifname "w" oifname { "l" } ct '), rule)
            admitted = ("ct status dnat", "ct state new ct status confirmed", f"{marks.ADMITTED:#x}")
            self.assertTrue(any(each in rule for each in admitted), rule)

    def test_without_a_public_address_no_ipv4_leaves(self) -> None:
        """What can not be translated would leave with a private address."""
        interfaces = attrs.evolve(Ruleset.of(SETTINGS, native_queue=False), wan="w", lan=("l",)).interfaces
        made = forwarding.rules(interfaces, Forward(), Families(ipv4_leaves=False), drop="drop", invalid="drop")
        self.assertLess(
            made.index('iifname { "l" } oifname "w" meta nfproto ipv4 drop'),
            made.index('iifname { "l" } oifname "w" accept'),
        )
        self.assertEqual(len(forwarding.outbound('"w"', '{ "l" }', None, (1024, 2048))), 1)

    def test_key_that_changes_fills_the_chain_anew(self) -> None:
        """The table stays, with its counters."""
        rules = Ruleset.of(SETTINGS, native_queue=False)
        for before, after in product(EVERY, repeat=2):
            pair = (attrs.evolve(rules, forward=before), attrs.evolve(rules, forward=after))
            made = ruleset.changes(*pair, change([], []))
            self.assertEqual(made.startswith("flush chain inet realmgw forwarding\n"), before != after)
            self.assertNotIn("table inet realmgw {", made)


class ToldTests(SynchronousTestCase):
    """`told`."""

    def test_says_what_becomes_of_each(self) -> None:
        """With the key that changes it."""
        for forward in EVERY:
            words = {Verdict.ACCEPT: "forwarded", Verdict.DROP: "dropped"}
            line = forwarding.told(attrs.evolve(SETTINGS, datapath=Datapath(forward=forward)))
            self.assertIn(f"{words[forward.lan_to_lan]} (datapath.forward.lan_to_lan)", line)
            self.assertIn(f"{words[forward.others]} (datapath.forward.others)", line)

    def test_says_whose_flows_leave(self) -> None:
        """Where not all do."""
        self.assertIn("LAN to WAN;", forwarding.told(SETTINGS))
        line = forwarding.told(attrs.evolve(SETTINGS, datapath=Datapath(unknown_hosts=UnknownHosts.DROP)))
        self.assertIn("LAN to WAN of subscribers (datapath.unknown_hosts: drop);", line)

    def test_says_how_lans_leave_by_ipv6(self) -> None:
        """Where anything is said of it."""
        self.assertNotIn("IPv6", forwarding.told(SETTINGS))
        ways = Ipv6(outbound=(Outbound6("lan0", Leave6.NAT66), Outbound6("lan1", Leave6.OFF)))
        line = forwarding.told(attrs.evolve(SETTINGS, ipv6=ways))
        self.assertIn("LAN to WAN, by IPv6: lan0 nat66, lan1 off (ipv6.outbound);", line)

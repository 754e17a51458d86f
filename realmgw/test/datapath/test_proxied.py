"""Tests for `realmgw.datapath.proxied`: the rules as text; what they do is asked in realmgw.test.kernel."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.alerts import Alerts
from realmgw.config.nflog import Nflog
from realmgw.config.settings import Settings, Webproxy
from realmgw.datapath import bans, ruleset
from realmgw.datapath.pipeline import stages
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.proxied import Proxied
from realmgw.datapath.ruleset import Ruleset
from realmgw.test.datapath.pipeline.test_stages import staged
from realmgw.test.datapath.test_ruleset import SETTINGS, host

ADDRESSES = ip_address("192.0.2.130"), ip_address("2001:db8::130")


def settings(**how: Any) -> Settings:
    """A gateway's with the proxy."""
    webproxy = Webproxy(**{"enabled": True, "runs_as": (108, 110), **how})
    return attrs.evolve(SETTINGS, webproxy=webproxy, pools=attrs.evolve(SETTINGS.pools, service=ADDRESSES))


def table(made: Settings) -> str:
    """The table, with a host."""
    return ruleset.replacement(Ruleset.of(made, native_queue=False), [host(1, "192.168.0.100")])


class RulesTests(SynchronousTestCase):
    """What stands in the table."""

    def test_nothing_is_said_where_there_is_none(self) -> None:
        """Nor where it can not be run."""
        for how in ({"enabled": False}, {"runs_as": None}):
            self.assertIsNone(Proxied.of(settings(**how)))
            self.assertEqual(table(settings(**how)), table(SETTINGS))

    def test_the_proxy_gets_to_subscribers_whose_rules_let_it_in(self) -> None:
        """By its user's number; who is a subscriber stands in a set."""
        chains = Proxied(108, ADDRESSES, 80, 443).chains('"wan0"', "{ lan0 }")
        self.assertEqual(chains["proxy_sends"], [
            "type filter hook output priority filter; policy accept;",
            "meta skuid 108 oifname { lan0 } meta mark set meta mark or 0x80000000 goto proxy_to_host",
        ])  # fmt: skip
        reset = 'counter name "proxy_refused" reject with tcp reset'
        self.assertEqual(chains["proxy_to_host"], [
            "ct state established,related accept",
            f"ip daddr != @subscribers {reset}",
            f"ip6 daddr != @subscribers6 {reset}",
            f"ct state invalid {reset}",
            "jump host_in",
        ])  # fmt: skip
        text = table(settings())
        self.assertIn("\tset subscribers { type ipv4_addr; }\n", text)
        self.assertIn("add element inet realmgw subscribers { 192.168.0.100 }", text)

    def test_quic_is_refused_at_its_addresses_only(self) -> None:
        """At the port that TLS has."""
        self.assertEqual(Proxied(108, ADDRESSES, 80, 8443).chains('"wan0"', "{ lan0 }")["proxy_receives"], [
            "type filter hook input priority filter - 20; policy accept;",
            "ip daddr { 192.0.2.130 } udp dport 8443 goto quic",
            "ip6 daddr { 2001:db8::130 } udp dport 8443 goto quic",
        ])  # fmt: skip

    def test_who_is_banned_does_not_get_to_it(self) -> None:
        """By TCP at its ports, of both families, whichever hosts have; only where somebody can be banned."""
        self.assertNotIn("banned", table(settings()))
        for refused in (0, 9):
            log = attrs.evolve(SETTINGS.datapath, log=Nflog(refused=refused))
            made = Ruleset.of(attrs.evolve(settings(), alerts=Alerts(), datapath=log), native_queue=False)
            self.assertFalse(made.ipv6)
            text, chains = ruleset.replacement(made, []), ruleset.texts(made, Classes())
            self.assertIn("\tset banned6 { type ipv6_addr;", text)
            self.assertEqual(list(chains["proxy_receives"][:2]), [
                'iifname "wan0" ip daddr { 192.0.2.130 } tcp dport { 80, 443 } jump proxy_banned',
                'iifname "wan0" ip6 daddr { 2001:db8::130 } tcp dport { 80, 443 } jump proxy_banned',
            ])  # fmt: skip
            self.assertEqual(list(chains["proxy_banned"]), bans.drops(made.nflog, ipv6=True))

    def test_it_serves_at_its_addresses_and_ports(self) -> None:
        """Of TCP."""
        made = Proxied(108, ADDRESSES, 80, 443)
        for address in (*ADDRESSES, ip_address("192.0.2.131")):
            for port in (80, 443, 53):
                self.assertEqual(made.serves(address.packed, port), address in ADDRESSES and port != 53)

    def test_other_addresses_replace_the_table(self) -> None:
        """All of it stands or falls together."""
        before, after = (Ruleset.of(each, native_queue=False) for each in (SETTINGS, settings()))
        self.assertTrue(ruleset.is_replaced(before, after))

    def test_stages_that_refuse_http_let_its_clients_in(self) -> None:
        """At its addresses; whoever manages the gateway comes first."""
        said = staged("{services: {http: {wan: drop}}}", settings())
        lines = stages.stages(said).chains["stage_services"]
        served = 'iifname "wan0" ip daddr { 192.0.2.130 } tcp dport { 80, 443 } accept'
        self.assertIn(served, lines)
        self.assertLess(lines.index(served), next(at for at, line in enumerate(lines) if "for_http" in line))
        without = stages.stages(staged("{services: {http: {wan: drop}}}", SETTINGS)).chains["stage_services"]
        self.assertNotIn("192.0.2.130", "".join(without))

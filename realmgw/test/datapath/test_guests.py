"""Tests for `realmgw.datapath.guests`: the rules as text; what they do is asked in realmgw.test.kernel."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.policy import UnknownHosts
from realmgw.config.settings import Datapath, Dns, DnsView, Portal, Settings
from realmgw.datapath import guests, ruleset
from realmgw.datapath.guests import Guests
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.ruleset import Ruleset
from realmgw.subscribers.model import Identity
from realmgw.system.endpoints import Endpoint
from realmgw.test.datapath.moves import change
from realmgw.test.datapath.test_ruleset import OF_STAGES, SETTINGS, host, host6

ONE, SECOND, SIX = (Endpoint(ip_address(each), 80) for each in ("192.168.0.1", "192.168.1.1", "fd00::1"))
RESOLVER = Endpoint(ip_address("192.168.0.1"), 5353)


def settings(how: UnknownHosts, *listen: Endpoint) -> Settings:
    """A gateway's with guests."""
    reachable = tuple(map(ip_network, ("192.0.2.0/24", "192.0.2.80", "2001:db8::/64")))
    portal = Portal(listen, reachable=reachable) if listen else None
    dns = Dns(lan=DnsView(listen=(RESOLVER,)))
    return attrs.evolve(SETTINGS, datapath=Datapath(unknown_hosts=how), portal=portal, dns=dns)


def rules(how: UnknownHosts, *listen: Endpoint) -> Ruleset:
    """What they ask for."""
    return Ruleset.of(settings(how, *listen), native_queue=False)


class RulesTests(SynchronousTestCase):
    """What stands in the table."""

    def setUp(self) -> None:
        self.text = ruleset.replacement(rules(UnknownHosts.GUEST, ONE, SECOND, SIX), [])

    def chain(self, name: str) -> list[str]:
        """The rules of a chain."""
        found = re.search(rf"\n\tchain {name} {{\n(.*?)\n\t}}\n", self.text, re.DOTALL)
        assert found is not None, name
        return [line.strip() for line in found[1].splitlines()]

    def test_where_all_are_let_out_nothing_is_said_of_it(self) -> None:
        """Nor is it remembered who is a subscriber."""
        text = ruleset.replacement(rules(UnknownHosts.ACCEPT, ONE), [host(1, "192.168.0.100")])
        self.assertEqual(text, ruleset.replacement(rules(UnknownHosts.ACCEPT), [host(1, "192.168.0.100")]))
        self.assertNotIn("guest", text)
        self.assertNotIn("subscribers", text)

    def test_unknown_hosts_meet_it_before_anything_passes(self) -> None:
        """Behind what is established, by either family; and before what conntrack can make nothing of."""
        for how, end in (
            (UnknownHosts.DROP, 'counter name "unknown_dropped" drop'),
            (UnknownHosts.GUEST, "jump guest_out"),
        ):
            self.text = ruleset.replacement(rules(how, ONE), [])
            _, _, established, four, six, invalid, *_ = self.chain("forwarding")
            self.assertEqual(established, "ct state established,related accept")
            self.assertEqual(four, f'iifname {{ "lan0", "lan1.7" }} ip saddr != @subscribers {end}')
            self.assertEqual(six, f'iifname {{ "lan0", "lan1.7" }} ip6 saddr != @subscribers6 {end}')
            self.assertIn("ct state invalid", invalid)

    def test_every_end_is_counted_and_every_refusal_is_told(self) -> None:
        """By both families, whether IPv6 is in use otherwise or not."""
        declared = set(re.findall(r"\n\tcounter (\w+) ", self.text))
        self.assertEqual(declared, {*ruleset.COUNTERS, *OF_STAGES, *guests.COUNTERS[UnknownHosts.GUEST]})
        self.assertLessEqual(set(re.findall(r'counter name "(\w+)"', self.text)), declared)
        for line in re.sub(r'comment "[^"]*"', "", self.text).splitlines():
            if re.search(r"\b(drop|reject)\b", line):
                self.assertTrue("counter name" in line or "policy drop" in line, line)
        self.assertEqual(self.chain("guest_refused")[1], 'limit name "guests_told" goto tell')
        self.assertIn("icmpv6 type port-unreachable", "".join(self.chain("tell")))

    def test_guests_are_sent_to_the_first_one_of_their_family(self) -> None:
        """But not from where everybody gets; a family without one is not redirected."""
        to_resolver = 'counter name "guest_redirected" dnat ip to 192.168.0.1:5353'
        self.assertEqual(
            self.chain("guest_to_portal"),
            [
                "ip daddr @guests_reach return",
                "ip6 daddr @guests_reach6 return",
                'meta nfproto ipv4 tcp dport 80 counter name "guest_redirected" dnat ip to 192.168.0.1:80',
                'meta nfproto ipv6 tcp dport 80 counter name "guest_redirected" dnat ip6 to [fd00::1]:80',
                f"meta nfproto ipv4 meta l4proto {{ tcp, udp }} th dport 53 {to_resolver}",
            ],
        )

    def test_the_gateway_hears_of_guests_what_they_need_only(self) -> None:
        """DHCP, DNS, neighbours, the portal at each of its addresses; the last rule refuses the rest."""
        *others, last = self.chain("guest_here")
        self.assertEqual(last, "goto guest_refused")
        accepted = [each for each in others if "accept" in each]
        self.assertEqual(len(accepted), 6)
        self.assertIn("meta l4proto { tcp, udp } th dport { 53, 5353 } accept", accepted)
        self.assertIn("udp dport { 67, 547 } accept", accepted)
        for address in ("ip daddr 192.168.0.1", "ip daddr 192.168.1.1", "ip6 daddr fd00::1"):
            self.assertIn(f"{address} tcp dport 80 goto guest_knocks", others)
        self.assertEqual(self.chain("own_sockets")[-2:], [
            f'iifname {{ "lan0", "lan1.7" }} {family} saddr != @{name} goto guest_here'
            for family, name in (("ip", "subscribers"), ("ip6", "subscribers6"))
        ])  # fmt: skip

    def test_guests_without_a_portal_are_dropped_by_no_rule_of_it(self) -> None:
        """The configuration refuses that; here it is as if nothing were said."""
        self.assertEqual(Guests.of(settings(UnknownHosts.GUEST)).portal, ())


class ElementsTests(SynchronousTestCase):
    """Who is a subscriber."""

    def commands(self, hosts: HostChange) -> list[str]:
        """What a change of hosts does to the two sets."""
        made = rules(UnknownHosts.DROP)
        return [line for line in ruleset.changes(made, made, hosts).splitlines() if " subscribers" in line]

    def test_every_address_of_a_host_is_in_a_set(self) -> None:
        """Those that flows are not translated to, too."""
        more = Identity(addresses=(ip_address("192.168.0.7").packed, ip_address("fd00::7").packed))
        one = attrs.evolve(host6(1, "fd00::1", "192.168.0.1"), identity=more)
        self.assertEqual(
            self.commands(change([], [one])),
            [
                "add element inet realmgw subscribers { 192.168.0.1, 192.168.0.7 }",
                "add element inet realmgw subscribers6 { fd00::1, fd00::7 }",
            ],
        )

    def test_a_change_of_a_host_touches_its_elements_only(self) -> None:
        """Of one that changes its further addresses, too."""
        one, two = host(1, "192.168.0.1"), host(2, "192.168.0.2")
        self.assertEqual(
            self.commands(change([one, two], [two])), ["delete element inet realmgw subscribers { 192.168.0.1 }"]
        )
        other = attrs.evolve(one, identity=Identity(addresses=(ip_address("fd00::7").packed,)))
        self.assertEqual(self.commands(change([one], [other]))[-1], "add element inet realmgw subscribers6 { fd00::7 }")

    def test_another_way_with_unknown_hosts_is_another_table(self) -> None:
        """In one transaction, with all hosts in it."""
        before, after = rules(UnknownHosts.ACCEPT), rules(UnknownHosts.DROP)
        self.assertTrue(ruleset.is_replaced(before, after))
        one = host(1, "192.168.0.1")
        text = ruleset.changes(before, after, change([one], [one]))
        self.assertIn("add element inet realmgw subscribers { 192.168.0.1 }\n", text)


class EndsTests(SynchronousTestCase):
    """Where flows of guests are sent to."""

    def test_they_are_the_portal_and_the_resolver(self) -> None:
        """Of each family the first; none where guests are none."""
        ends = Guests.of(settings(UnknownHosts.GUEST, SECOND, ONE, SIX)).ends
        self.assertEqual(ends, {each.address.packed for each in (SECOND, RESOLVER, SIX)})
        for how in (UnknownHosts.ACCEPT, UnknownHosts.DROP):
            self.assertEqual(Guests.of(settings(how, ONE)).ends, frozenset())

"""Rules of hosts in a kernel: each kind is met by real packets of both families, and read from its named counter."""

from __future__ import annotations

import contextlib
import socket
import struct
from functools import partial
from ipaddress import ip_address

import attrs

from realmgw.subscribers.model import Identity
from realmgw.test.kernel.datapath_case import must, until
from realmgw.test.kernel.dualstack_case import OWN

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6
    from testbed.realm.topology import GATEWAY_LAN

from realmgw.test.kernel.rules_case import EVERYTHING, FAMILIES, RulesTestCase, family_of

AROUND = """
table inet around {
    counter number { }
    counter others { }
    chain marked { meta priority set 1:7
    }
    chain before { type filter hook forward priority filter - 1; udp dport 98 jump marked; }
    chain behind { type filter hook forward priority filter + 1; jump looked; }
    chain looked {
        meta priority 7200:0-72ff:ffff counter name number
        meta priority 1:7 counter name others
    }
}
"""
"""Somebody else's rules, which give packets a priority before ours, and look at it behind them."""


class PriorityTests(RulesTestCase):
    """What a packet's priority is behind our chains."""

    def seen(self, counter: str) -> int:
        """How many packets had it."""
        return int(self.nft("list", "counter", "inet", "around", counter).split("packets ")[1].split()[0])

    def test_no_number_of_a_class_is_left_in_a_packet(self) -> None:
        """Whatever direction there are rules for; what others have put there stays with hosts that have none."""
        self.nft(AROUND)
        for direction in ("EGRESS", "INGRESS"):
            self.say(f"{{priority: 1, direction: {direction}, udp: {{dport: 9}}, target: DROP}}")
            for family in FAMILIES:
                for inwards in (True, False):
                    self.assertTrue(self.datagram(inwards=inwards, family=family, port=97))
        self.assertEqual(self.seen("number"), 0)
        before = self.seen("others")
        for family in FAMILIES:
            for inwards in (True, False):
                self.assertTrue(self.datagram(inwards=inwards, family=family, port=98, which=1))
        self.assertEqual(self.seen("others"), before + 4)


class MatchTests(RulesTestCase):
    """What rules match."""

    def each_way(self, port: int, expected: bool, source: int = 0) -> None:
        """Datagrams of both families, both ways."""
        for family in FAMILIES:
            for inwards in (True, False):
                came = self.datagram(inwards=inwards, family=family, port=port, source=source)
                self.assertEqual(came, expected, (family, inwards, port))

    def test_ports(self) -> None:
        """One, several, runs of them, all others; of the destination and of the source. The first match decides."""
        both = ("EGRESS", "INGRESS")
        rules = (
            "priority: 1, udp: {dport: 53}, target: DROP",
            "priority: 2, protocol: udp, multiport: {dports: '100,200:300'}, target: DROP",
            "priority: 3, udp: {sport: 77}, target: DROP",
            "priority: 4, udp: {dport: ['!', '1000:2000']}, target: ACCEPT",
            "priority: 5, target: DROP",
        )
        self.say(", ".join(f"{{{rule}, direction: {way}}}" for rule in rules for way in both))
        for port, expected in ((53, False), (100, False), (250, False), (301, True), (1500, False), (2001, True)):
            self.each_way(port, expected)
        self.each_way(301, False, source=77)
        self.assertEqual([self.rule(at) for at in range(1, 11)], [2, 2, 4, 4, 2, 2, 4, 4, 2, 2])
        self.assert_stands()

    def test_two_ports_that_are_not_meant(self) -> None:
        """Neither of them is: one of both is no match. nft 1.0.6 made one comparison of two single ports."""
        rule = "priority: 1, udp: {sport: ['!', 77], dport: ['!', 78]}, target: DROP"
        self.say(", ".join(f"{{{rule}, direction: {way}}}" for way in ("EGRESS", "INGRESS")))
        for port, source, expected in ((78, 76, True), (79, 77, True), (78, 77, True), (79, 76, False)):
            self.each_way(port, expected, source=source)
        self.assert_stands()

    def test_addresses(self) -> None:
        """Of the other side, a prefix or one; a host's own rules see its private address."""
        sides = (("100.64.3.0/24", "192.168.0.0/24"), (f"{ipv6.CLIENT}/128", f"{self.host[6][0]}/128"))
        parts = [
            f"{{priority: 1, direction: {way}, '{one}': '{far}', '{other}': '{near}', target: DROP}}"
            for far, near in sides
            for way, one, other in (("INGRESS", "src", "dst"), ("EGRESS", "dst", "src"))
        ]
        self.say(", ".join(parts))
        self.each_way(99, expected=False)
        self.assertEqual([self.rule(at) for at in range(1, 5)], [1, 1, 1, 1])
        self.say(parts[0].replace("100.64.3.0/24", "198.51.100.0/24"))
        self.each_way(99, expected=True)

    def test_protocols_and_icmp(self) -> None:
        """A type of ICMP is refused, another protocol passes; each family has its own."""
        self.say(
            "{priority: 1, direction: INGRESS, icmp: {icmp-type: echo-request}, target: DROP},"
            "{priority: 1, direction: INGRESS, icmpv6: {icmpv6-type: 128}, target: DROP},"
            "{priority: 2, direction: EGRESS, protocol: 1, target: DROP},"
            "{priority: 2, direction: EGRESS, protocol: 58, target: DROP}"
        )
        echo = {4: struct.pack("!BBHHH", 8, 0, 0xF7FF - 7, 7, 0), 6: self.echo()}
        kinds = {4: (socket.AF_INET, socket.IPPROTO_ICMP), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6)}
        for at, family in enumerate(FAMILIES, 1):
            for inwards, place in ((True, at), (False, at + 2)):
                here, _, to = self.ends(inwards, family)
                with self.testbed.inside(here[0]):
                    sender = socket.socket(kinds[family][0], socket.SOCK_RAW, kinds[family][1])
                self.addCleanup(sender.close)
                sender.bind((here[1], 0))
                sender.sendto(echo[family], (to, 0))
                self.assertTrue(until(partial(self.has_counted, place)), (family, inwards))
        self.each_way(99, expected=True)

    def test_flags_and_states(self) -> None:
        """The first segment of a connection."""
        self.say(
            "{priority: 1, direction: INGRESS, tcp: {dport: 80, tcp-flags: ['FIN,SYN,RST,ACK', SYN]}, target: REJECT},"
            "{priority: 1, direction: INGRESS, tcp: {dport: 81, tcp-flags: ['SYN,ACK', 'SYN,ACK']}, target: REJECT},"
            "{priority: 1, direction: INGRESS, tcp: {dport: 82, syn: }, target: REJECT},"
            "{priority: 1, direction: INGRESS, tcp: {dport: 83}, state: {state: NEW}, target: REJECT}"
        )
        for family in FAMILIES:
            told = [self.passes(inwards=True, family=family, port=port) for port in (80, 81, 82, 83)]
            self.assertEqual(told, [False, True, False, False], family)
        self.assertEqual([self.rule(at) for at in (1, 2, 3, 4)], [2, 0, 2, 2])


class TargetTests(RulesTestCase):
    """What becomes of what a rule matches."""

    def test_refusals_are_told_as_it_fits(self) -> None:
        """A reset, an error, or as the rule says; a drop tells nothing. Both ways, both families."""
        self.say(
            "{priority: 1, direction: INGRESS, tcp: {dport: 80}, target: REJECT},"
            "{priority: 1, direction: INGRESS, tcp: {dport: 81}, target: {REJECT: {reject-with: tcp-reset}}},"
            "{priority: 1, direction: INGRESS, tcp: {dport: 82},"
            " target: {REJECT: {reject-with: icmp-host-unreachable}}},"
            "{priority: 1, direction: INGRESS, tcp: {dport: 83}, target: DROP},"
            "{priority: 2, direction: EGRESS, target: REJECT}"
        )
        for family in FAMILIES:
            told = [self.connect(inwards=True, family=family, port=port) for port in (80, 81, 82, 83)]
            refused = "ConnectionRefusedError"
            self.assertEqual(told, [refused, refused, "OSError", "TimeoutError"], family)
            self.assertEqual(self.connect(inwards=False, family=family, port=90), refused)
            here, _, to = self.ends(inwards=False, family=family)
            with self.testbed.inside(here[0]):
                sender = socket.socket(family_of(to), socket.SOCK_DGRAM)
            self.addCleanup(sender.close)
            sender.bind((here[1], 0))
            sender.settimeout(1.0)
            sender.connect((to, 90))
            sender.send(b"")
            self.assertRaises(ConnectionRefusedError, sender.recv, 9)
        self.assertEqual([self.rule(at) for at in (1, 2, 3, 5)], [2, 2, 2, 4])
        self.assertGreater(self.rule(4), 1)  # it comes again: a claim would have to be asked for again

    def test_what_rules_accept_is_still_to_pass_the_gateway(self) -> None:
        """They open nothing from the WAN to a private address."""
        self.say("{priority: 1, direction: INGRESS, target: ACCEPT}")
        for family, route in ((4, "192.168.0.0/24"), (6, f"{self.host[6][0]}/128")):
            gateway = {4: "100.64.1.130", 6: ipv6.GATEWAY}[family]
            must(self.testbed, "router", ["ip", f"-{family}", "route", "replace", route, "via", gateway])
            with self.testbed.inside("public"), socket.socket(family_of(gateway), socket.SOCK_DGRAM) as client:
                before = self.packets("forward_refused")
                client.sendto(b"x", (self.host[family][0], 99))
            self.assertTrue(until(partial(self.has_refused, before)))
        self.assertEqual(self.rule(1), 0)

    def test_pinholes_have_rules(self) -> None:
        """A host at its own address, both ways."""
        self.host[6] = self.pool[6] = (OWN,)
        self.say(EVERYTHING, hosts=(2,))
        for inwards in (True, False):
            self.assertFalse(self.datagram(inwards=inwards, family=6, port=99))
        self.assertEqual((self.rule(1), self.rule(2)), (1, 1))
        self.say("", hosts=(2,))
        self.assertTrue(self.datagram(inwards=True, family=6, port=99))

    def test_what_a_host_sends_to_the_gateway_itself(self) -> None:
        """Its rules are asked, too."""
        with self.testbed.inside("gwa"):
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        server.bind((GATEWAY_LAN, 5353))
        server.settimeout(1.0)
        client = self.udp4(self.host[4][0])
        client.sendto(b"one", (GATEWAY_LAN, 5353))
        self.assertEqual(server.recv(9), b"one")
        self.say("{priority: 1, direction: EGRESS, udp: {dport: 5353}, target: DROP}")
        client = self.udp4(self.host[4][0])
        client.sendto(b"two", (GATEWAY_LAN, 5353))
        self.assertTrue(until(lambda: self.rule(1) == 1))
        self.udp4(self.host[4][1]).sendto(b"three", (GATEWAY_LAN, 5353))
        self.assertEqual(server.recv(9), b"three")

    def udp4(self, address: str) -> socket.socket:
        """A UDP socket of a host."""
        with self.testbed.inside("test_gwa"):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(made.close)
        made.bind((address, 0))
        return made

    def test_further_addresses_are_the_hosts_own(self) -> None:
        """A host does not get around its rules by another address of its."""
        first, *others = self.hosts
        [more] = [ip_address("192.168.0.77")]
        must(self.testbed, "test_gwa", ["ip", "address", "add", f"{more}/24", "dev", "eth0"])
        self.lead((attrs.evolve(first, identity=Identity(addresses=(more.packed,))), *others))
        self.say(EVERYTHING)
        self.host[4] = (str(more),)
        self.assertFalse(self.datagram(inwards=False, family=4, port=99))
        self.assertEqual(self.rule(1), 1)


class LimitTests(RulesTestCase):
    """So many at once, so many at the same time."""

    def test_rates_are_for_each_host(self) -> None:
        """Of a class, each has its own; both families have theirs."""
        limit = "hashlimit: {hashlimit-above: 1/hour, hashlimit-burst: 2, hashlimit-name: x, hashlimit-mode: srcip}"
        self.say(f"{{priority: 1, direction: EGRESS, {limit}, target: DROP}}", hosts=(0, 1))
        for family in FAMILIES:
            for which in (0, 1):
                came = [self.datagram(inwards=False, family=family, port=9, which=which) for _ in range(4)]
                self.assertEqual(came, [True, True, False, False], (family, which))
        self.assertEqual(self.rule(1), 8)

    def test_rates_within_and_by_port(self) -> None:
        """What is within the rate is accepted, for each port; the rest meets the next rule."""
        key = "hashlimit-name: x, hashlimit-mode: 'srcip,dstport'"
        limit = f"hashlimit: {{hashlimit-upto: 1/hour, hashlimit-burst: 1, {key}}}"
        self.say(f"{{priority: 1, direction: INGRESS, protocol: udp, {limit}, target: ACCEPT}}, {EVERYTHING}")
        for family in FAMILIES:
            came = [self.datagram(inwards=True, family=family, port=port) for port in (9, 9, 10, 10)]
            self.assertEqual(came, [True, False, True, False], family)

    def test_plain_limit_is_for_each_host(self) -> None:
        """Not one for all of a class."""
        rule = "{priority: 1, direction: EGRESS, limit: {limit: 1/day, limit-burst: 1}, target: ACCEPT}"
        self.say(f"{rule}, {EVERYTHING}", hosts=(0, 1))
        for which in (0, 1):
            came = [self.datagram(inwards=False, family=4, port=9, which=which) for _ in range(2)]
            self.assertEqual(came, [True, False], which)

    def test_connections(self) -> None:
        """Two at the same time from the same client; when one is gone, another may come."""
        self.say("{priority: 1, direction: INGRESS, protocol: tcp, connlimit: {connlimit-above: 2}, target: REJECT}")
        for family in FAMILIES:
            made = [self.connect(inwards=True, family=family, port=port) for port in (81, 82, 83)]
            self.assertEqual([isinstance(each, str) for each in made], [False, False, True], family)
        self.assertEqual(self.rule(1), 2)
        addresses = [ip_address(self.host[4][0]).packed]
        self.testbed.call("gwa", self.kernel.end_flows, addresses)
        self.assertFalse(isinstance(self.connect(inwards=True, family=4, port=84), str))

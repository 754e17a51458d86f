"""The operator's stages, in a kernel: each of them by packets of both families, and what it has counted."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from unittest import skipIf

from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.kernel.pipeline_case import FAMILIES, QUERY, RESPONSE, PipelineTestCase, kind

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6
    from testbed.realm.topology import CLIENT, GATEWAY_LAN


class PreemptiveTests(PipelineTestCase):
    """What is looked at first."""

    def test_who_is_on_a_list(self) -> None:
        """The first list that has somebody counts; who manages the gateway passes, by the interfaces that are said."""
        some = f"prefixes: [{CLIENT}, '{ipv6.CLIENT}']"
        lists = f"black_list: {{{some}}}, white_list: {{{some}}}"
        ways = {
            "checks: [black_list, white_list]": False,
            "checks: [white_list, black_list]": True,
            f"checks: [management, black_list], management: {{{some}}}": True,
            f"checks: [management, black_list], management: {{{some}, interfaces: [lan0]}}": False,
            f"checks: [management, white_list], management: {{{some}, interfaces: [lan0]}}": True,
        }
        for way, passes in ways.items():
            self.stage(f"{{preemptive: {{{way}, {lists}}}}}")
            for family in FAMILIES:
                counter = "presented" if "black" not in way else "stage_black_list"
                self.assertIs(self.arrives(family, counter), passes, (way, family))
        self.assert_stands()

    def test_forged_sources(self) -> None:
        """By a set of what is refused, of what is allowed, and by the way back; true ones pass."""
        ways = (
            ("wan0", "public", {4: "10.9.0.1", 6: "2001:db8:99::1"}, "refused: [10.9.0.0/16, '2001:db8:99::/64']"),
            ("lan0", "test_gwa", {4: "192.168.7.1", 6: "fd00:7::1"}, "allowed: [192.168.0.0/24, 'fd00::/64']"),
            ("lan0", "test_gwa", {4: "192.168.7.1", 6: "fd00:7::1"}, "fib: true"),
        )
        for interface, here, forged, how in ways:
            other = "wan0" if interface == "lan0" else "lan0"
            apart = f"{{interface: {other}, refused: [192.0.2.0/24]}}"
            said = f"checks: [sources], sources: [{apart}, {{interface: {interface}, {how}}}]"
            self.stage(f"{{preemptive: {{{said}}}}}")
            for family in FAMILIES:
                to = (self.gateway_lan if interface == "lan0" else self.gateway)[family]
                before = self.packets("stage_spoofed")
                self.raw(here, forged[family], to, 17, struct.pack("!HHHH", 9, 9, 8, 0))
                self.counted("stage_spoofed", before + 1)
                self.assertGreater(self.packets("rule_sources_2"), 0)
                self.assertEqual(self.packets("rule_sources_1"), 0)
                self.assertTrue(self.arrives(family, "stage_spoofed", lan=interface == "lan0"), (how, family))
        before = self.packets("stage_spoofed")
        self.raw("test_gwa", "0.0.0.0", GATEWAY_LAN, 17, struct.pack("!HHHH", 68, 67, 8, 0))
        self.assertTrue(self.arrives(4, "stage_spoofed", lan=True))
        self.assertEqual(self.packets("stage_spoofed"), before)

    def test_segments_that_nobody_sends(self) -> None:
        """Impossible flags are dropped by default; what begins nothing, and what is invalid, where that is said."""

        def send(family: int, flags: int) -> None:
            segment = struct.pack("!HHIIBBHHH", 4000 + flags, 80, 1, 1, 0x50, flags, 512, 0, 0)
            self.raw("public", self.client[family], self.gateway[family], 6, segment)

        for family in FAMILIES:
            for flags in (0x00, 0x29, 0x03, 0x06, 0x05, 0x01):
                before = self.packets("stage_flags")
                send(family, flags)
                self.counted("stage_flags", before + 1)
        for check in ("not_syn", "invalid"):
            self.stage(f"{{preemptive: {{checks: [{check}]}}}}")
            for family in FAMILIES:
                send(family, 0x10)
            self.counted(f"stage_{check}", 2)

    def test_ports_that_nobody_is_to_be_reached_at(self) -> None:
        """Neither here nor there; the sender is told."""
        self.stage("{preemptive: {checks: [ports]}}")
        for family in FAMILIES:
            for here, source, to in (
                ("public", self.client[family], self.gateway[family]),
                ("test_gwa", self.host[family], self.client[family]),
            ):
                with self.testbed.inside(here), socket.socket(kind(to), socket.SOCK_DGRAM) as client:
                    client.bind((source, 0))
                    client.settimeout(2)
                    client.connect((to, 138))
                    client.send(b"x")
                    with self.assertRaises(OSError) as raised:
                        client.recv(9)
                    self.assertEqual(raised.exception.errno, errno.ECONNREFUSED)
        self.assertEqual(self.packets("stage_ports"), 4)

    def test_fragments(self) -> None:
        """None come in where that is said; whole ones do."""
        self.stage("{preemptive: {fragments: [wan0]}}")
        for family in FAMILIES:
            self.assertFalse(self.arrives(family, "stage_fragments", said=bytes(3000)))
            self.assertTrue(self.arrives(family, "stage_fragments"))
        self.stage("{}")
        for family in FAMILIES:
            self.assertTrue(self.arrives(family, "presented", said=bytes(3000)))

    def test_how_many_flows_begin(self) -> None:
        """Beyond the rate of an interface they are dropped; those of others pass."""
        self.stage("{preemptive: {checks: [new_rates], new_rates: [{interface: wan0, rate: 1, burst: 5}]}}")
        self.assertTrue(12 <= self.burst(4, 20, "stage_new_rate", port=777) <= 15)
        self.assertGreaterEqual(self.burst(6, 5, "stage_new_rate", port=777), 3)
        self.assertEqual(self.burst(4, 20, "stage_new_rate", port=777, lan=True), 0)

    def test_own_rules(self) -> None:
        """In the words of rules of hosts, by priority, each with a counter and its place."""
        self.stage(
            "{preemptive: {rules: ["
            "{priority: 9, interface: wan0, tcp: {dport: 22}, target: REJECT, comment: {comment: no shell}},"
            "{priority: 1, interface: lan0, tcp: {dport: 22}, target: ACCEPT},"
            "{priority: 5, udp: {dport: 99}, hashlimit: {hashlimit-above: 1/min, hashlimit-burst: 2,"
            " hashlimit-mode: srcip}, target: DROP}]}}"
        )
        for family in FAMILIES:
            self.assertEqual(self.connects(family, 22), "ConnectionRefusedError")
            self.assertEqual(self.connects(family, 22, lan=True), "")
            self.assertEqual(self.burst(family, 5, "rule_preemptive_2", port=99), 3)
        counted = [self.packets(f"rule_preemptive_{at}") for at in (1, 2, 3)]
        self.assertEqual(counted, [2, 6, 2])
        listed = self.nft("list", "chain", "inet", "realmgw", "stage_preemptive")
        self.assertIn('comment "policies.d/50.yaml:1: no shell"', listed)


class ServicesTests(PipelineTestCase):
    """What comes in to the gateway itself."""

    def test_dhcp_and_http_by_side(self) -> None:
        """Requests from the WAN are dropped or refused, those of a LAN are served."""
        self.stage("{services: {dhcp: {wan: drop}, http: {wan: reject}}}")
        for family, port in ((4, 67), (6, 547)):
            self.assertFalse(self.arrives(family, "stage_dhcp", port=port))
            self.assertTrue(self.arrives(family, "stage_dhcp", port=port, lan=True))
        for family in FAMILIES:
            self.assertEqual(self.connects(family, 80), "ConnectionRefusedError")
            self.assertEqual(self.connects(family, 80, lan=True), "")
            self.assertEqual(self.connects(family, 8080), "")
        self.assertEqual(self.packets("stage_http"), 2)

    def test_rates_of_one_sender(self) -> None:
        """Of DHCP by Ethernet address, of everything else by address."""
        self.stage("{services: {dhcp: {rate: 2}, others: {rate: 3}}}")
        self.assertGreaterEqual(self.burst(4, 9, "stage_dhcp", port=67, lan=True), 6)
        self.assertGreaterEqual(self.burst(6, 9, "stage_dhcp", port=547, lan=True), 8)
        for family in FAMILIES:
            self.assertGreaterEqual(self.burst(family, 9, "stage_others", port=777), 5)

    def test_what_is_closed_lets_through_what_has_to_pass(self) -> None:
        """Neighbour discovery and pings, answers to the gateway's own flows, and who has a rule; nothing else."""
        self.stage(
            "{services: {others: {wan: drop}, rules: [{priority: 1, udp: {dport: 99}, target: ACCEPT}]},"
            " preemptive: {management: {prefixes: [192.168.0.0/24]}}}"
        )
        for family in FAMILIES:
            self.assertFalse(self.arrives(family, "stage_others"))
            self.assertTrue(self.arrives(family, "stage_others", port=99))
            self.assertTrue(self.arrives(family, "stage_others", lan=True))
            done = self.testbed.run("public", ["ping", "-c1", "-W2", self.gateway[family]])
            self.assertEqual(done.returncode, 0, done.stdout)
            with self.testbed.inside("public"):
                server = socket.create_server((self.client[family], 81), family=kind(self.client[family]))
            with server, self.testbed.inside("gwa"):
                socket.create_connection((self.client[family], 81), timeout=2).close()

    def test_dns_by_buckets(self) -> None:
        """The first list that has a sender counts; others have a rate of their own, LAN hosts another one."""
        some = f"{{prefixes: [{CLIENT}, '{ipv6.CLIENT}']}}"
        dns = "white_rate: 20, well_known_rate: 10, rate: 5, lan_rate: 15"
        self.stage(f"{{services: {{dns: {{{dns}}}}}}}")
        self.assertEqual([self.connects(6, 53, lan=lan) for lan in (False, True)], ["", ""])
        ways = (
            (f"white_list: {some}, well_known: {some}", "stage_dns_white", 20),
            (f"well_known: {some}", "stage_dns_known", 10),
            ("well_known: {prefixes: [192.0.2.1]}", "stage_dns_grey", 5),
            (f"black_list: {some}, white_list: {some}", "stage_dns_black", 0),
        )
        for said, counter, rate in ways:
            self.stage(f"{{services: {{dns: {{{said}, {dns}}}}}}}")
            for family in FAMILIES:
                dropped = self.burst(family, 30, counter)
                self.assertTrue(-1 <= 30 - dropped - rate <= 5, (counter, dropped))
        for family in FAMILIES:
            self.assertTrue(0 <= 30 - self.burst(family, 30, "stage_dns_lan", lan=True) - 15 <= 5)

    def test_queries_of_one_port_are_counted_each(self) -> None:
        """A flow that was answered is none that is free."""
        self.stage("{services: {dns: {rate: 5}}}")
        for family in FAMILIES:
            to, before = self.gateway[family], self.packets("stage_dns_grey")
            with (
                self.testbed.inside("gwa"), socket.socket(kind(to), socket.SOCK_DGRAM) as server,
                self.testbed.inside("public"), socket.socket(kind(to), socket.SOCK_DGRAM) as client,
            ):  # fmt: skip
                client.bind((self.client[family], 0))
                client.settimeout(2)
                with self.testbed.inside("gwa"):
                    server.bind((to, 53))
                client.sendto(QUERY, (to, 53))
                server.settimeout(2)
                server.sendto(RESPONSE, server.recvfrom(99)[1])
                self.assertEqual(client.recv(99), RESPONSE)
                for _ in range(20):
                    client.sendto(QUERY, (to, 53))
                self.counted("stage_dns_grey", before + 14)

    def test_responses_that_nobody_has_asked_for(self) -> None:
        """Are dropped by default, wherever they are for; queries are not, nor answers to questions of ours."""
        for family in FAMILIES:
            self.assertFalse(self.arrives(family, "stage_dns_unsolicited", port=53, said=RESPONSE))
            self.assertFalse(self.arrives(family, "stage_dns_unsolicited", source=53, said=RESPONSE))
            self.assertTrue(self.arrives(family, "stage_dns_unsolicited", port=53, said=QUERY))
        self.stage("{services: {dns: {unsolicited: true}}}")
        self.assertTrue(self.arrives(4, "presented", port=53, said=RESPONSE))


class ShippedTests(PipelineTestCase):
    """`conf/policies.d/network.yaml`, as it is."""

    @skipIf(NO_CHECKOUT is not None, "the package is installed: its checkout is not there")
    def test_does_what_it_says(self) -> None:
        """Who is forged, or asks for what is not served to the Internet, gets nowhere; who is at home, does."""
        text = (CHECKOUT / "conf" / "policies.d" / "network.yaml").read_text()
        self.stage("\n" + text.partition("\npipeline:\n")[2])
        self.raw("public", "10.9.0.1", self.gateway[4], 17, struct.pack("!HHHH", 9, 22, 8, 0))
        self.raw("public", "fd00:9::1", self.gateway[6], 17, struct.pack("!HHHH", 9, 22, 8, 0))
        self.counted("stage_spoofed", 2)
        for family in FAMILIES:
            self.assertFalse(self.arrives(family, "stage_dhcp", port={4: 67, 6: 547}[family]))
            self.assertFalse(self.arrives(family, "stage_others"))
            self.assertTrue(self.arrives(family, "stage_others", lan=True))
            ways = [(port, lan) for port in (22, 80, 9999) for lan in (False, True)]
            closed = [way for way in ways if self.connects(family, way[0], lan=way[1])]
            self.assertEqual(closed, [(80, False), (9999, False)])
            self.assertTrue(-1 <= 40 - self.burst(family, 40, "stage_dns_grey") - 25 <= 6)
        self.assert_stands()

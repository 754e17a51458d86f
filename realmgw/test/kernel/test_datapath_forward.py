"""The forward chain in a kernel: what else passes than admitted flows and the LAN's own, and what never does."""

from __future__ import annotations

import contextlib
import socket
from itertools import product

import attrs

from realmgw.config import settings as config
from realmgw.config.settings import Forward, Verdict
from realmgw.datapath.apply import Kernel
from realmgw.subscribers.firewall import Direction, Rule, Target, firewall
from realmgw.subscribers.model import Host, Profile
from realmgw.test.datapath.moves import change
from realmgw.test.kernel.datapath_case import DatapathTestCase, must, until

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import links
    from testbed.realm.topology import GATEWAY, ROUTER_WAN

LAN1, VPN, BRIDGE = "192.168.7.{}", "10.9.0.{}", "10.8.0.{}"
"""Further networks of the gateway, which is .1 in each, and the other end .2."""
FAR = {"lan1": ("public", LAN1), "vpn0": ("public", VPN), "bridge0": ("router", BRIDGE)}
"""Interfaces of the gateway besides its own, and where they lead. Only the first one is a LAN."""
ACCEPT, DROP = Verdict.ACCEPT, Verdict.DROP


class ForwardTests(DatapathTestCase):
    """A gateway with two LANs, and two interfaces that are none of its business."""

    def setUp(self) -> None:
        super().setUp()
        self.call = self.testbed.call
        for interface, (there, network) in FAR.items():
            self.call("gwa", links.connect, interface, f"{interface}x", self.testbed.name(there))
            for namespace, end, last in (("gwa", interface, 1), (there, f"{interface}x", 2)):
                self.call(namespace, links.switch_offloads_off, end)
                self.call(namespace, links.bring_up, end)
                self.call(namespace, links.add_addresses, end, [network.format(last)], 24)
        self.call("public", links.add_routes, {"10.8.0.0/24": VPN.format(1), f"{ROUTER_WAN}/32": VPN.format(1)})
        self.call("router", links.add_routes, {"10.9.0.0/24": BRIDGE.format(1)})
        interfaces = config.Interfaces(wan="wan0", lan=("lan0", "lan1"))
        self.settings = attrs.evolve(self.settings, interfaces=interfaces)
        self.kernel = Kernel(self.settings)
        self.addCleanup(self.kernel.close)
        self.testbed.call("gwa", self.kernel.apply, self.hosts)

    def allow(self, lan_to_lan: Verdict, others: Verdict) -> None:
        """Tells the kernel, as a reload does."""
        datapath = attrs.evolve(self.settings.datapath, forward=Forward(lan_to_lan, others))
        wanted = attrs.evolve(self.settings, datapath=datapath)
        self.testbed.call("gwa", self.kernel.change, wanted, change(self.hosts, self.hosts))

    def passes(self, here: str, source: str, there: str, destination: str) -> bool:
        """Whether a datagram arrives; what does not was dropped at the forward hook, which counts it."""
        with self.testbed.inside(there), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((destination, 0))
            server.settimeout(0)
            before = self.packets("forward_refused")
            with self.testbed.inside(here), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((source, 0))
                client.sendto(b"hello", server.getsockname())
            came = []

            def decided() -> bool:
                with contextlib.suppress(BlockingIOError):
                    came.append(server.recv(99))
                return bool(came) or self.packets("forward_refused") > before

            self.assertTrue(until(decided))
            return bool(came)

    def between_lans(self) -> bool:
        """Whether the second LAN reaches the first one."""
        route = ["ip", "route", "replace", "192.168.0.0/24", "via", LAN1.format(1)]
        must(self.testbed, "public", route)
        return self.passes("public", LAN1.format(2), "test_gwa", self.testbed.hosts[0])

    def between_others(self) -> bool:
        """Whether one interface that is none of ours reaches the other."""
        return self.passes("public", VPN.format(2), "router", BRIDGE.format(2))

    def others_and_the_wan(self) -> tuple[bool, bool]:
        """Whether an interface that is none of ours reaches the WAN, and the other way round."""
        must(self.testbed, "router", ["ip", "route", "replace", f"{VPN.format(2)}/32", "via", GATEWAY])
        there = self.passes("public", VPN.format(2), "router", ROUTER_WAN)
        return there, self.passes("router", ROUTER_WAN, "public", VPN.format(2))

    def into_the_lan(self) -> tuple[bool, bool]:
        """Whether the WAN, or an interface that is none of ours, reaches a private host."""
        host = self.testbed.hosts[0]
        must(self.testbed, "router", ["ip", "route", "replace", "192.168.0.0/24", "via", GATEWAY])
        wan = self.passes("router", ROUTER_WAN, "test_gwa", host)
        must(self.testbed, "router", ["ip", "route", "replace", "192.168.0.0/24", "via", BRIDGE.format(1)])
        return wan, self.passes("router", BRIDGE.format(2), "test_gwa", host)

    def test_only_what_is_allowed_passes(self) -> None:
        """Each key opens what it says, at once and for as long as it says; nothing opens a LAN to the WAN or others."""
        self.assertEqual((self.between_lans(), self.between_others()), (False, False))
        for lan_to_lan, others in product((ACCEPT, DROP), repeat=2):
            self.allow(lan_to_lan, others)
            self.assertEqual(self.between_lans(), lan_to_lan is ACCEPT, (lan_to_lan, others))
            self.assertEqual(self.between_others(), others is ACCEPT, (lan_to_lan, others))
            self.assertEqual(self.others_and_the_wan(), (others is ACCEPT,) * 2, (lan_to_lan, others))
            self.assertEqual(self.into_the_lan(), (False, False), (lan_to_lan, others))

    def test_rules_of_hosts_hold_between_lans(self) -> None:
        """Of both: what one may not send, and what the other may not receive."""
        self.allow(ACCEPT, DROP)
        self.assertTrue(self.between_lans())
        sender = Host(index=9, name="far.example.", address=socket.inet_aton(LAN1.format(2)))
        for at, way in ((0, Direction.INGRESS), (1, Direction.EGRESS)):
            said = Profile(firewall=firewall((), (Rule(0, way, Target.DROP),)))
            pair = [self.hosts[0], sender]
            pair[at] = attrs.evolve(pair[at], profile=said)
            hosts = (*pair, *self.hosts[1:])
            self.testbed.call("gwa", self.kernel.apply, hosts)
            must(self.testbed, "public", ["ip", "route", "replace", "192.168.0.0/24", "via", LAN1.format(1)])
            with self.testbed.inside("public"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((LAN1.format(2), 0))
                client.sendto(b"x", (self.testbed.hosts[0], 9))
            self.assertTrue(until(lambda: self.packets("rule_1_1") == 1), way)

    def test_a_start_has_what_a_reload_has(self) -> None:
        """The chain is the same whichever way it came about."""
        for lan_to_lan, others in product((ACCEPT, DROP), repeat=2):
            self.allow(lan_to_lan, others)
            reloaded = self.nft("list", "chain", "inet", "realmgw", "forwarding")
            datapath = attrs.evolve(self.settings.datapath, forward=Forward(lan_to_lan, others))
            started = Kernel(attrs.evolve(self.settings, datapath=datapath))
            self.addCleanup(started.close)
            self.testbed.call("gwa", started.apply, self.hosts)
            fresh = self.nft("list", "chain", "inet", "realmgw", "forwarding")
            self.assertEqual(reloaded, fresh)

    def test_flows_that_passed_go_on_when_it_is_forbidden(self) -> None:
        """And the table's counters go on, too: only the chain is filled anew."""
        self.allow(ACCEPT, DROP)
        must(self.testbed, "public", ["ip", "route", "replace", "192.168.0.0/24", "via", LAN1.format(1)])
        server = self.server("test_gwa", self.testbed.hosts[0], 80)
        client = self.make("public", socket.SOCK_STREAM, LAN1.format(2))
        client.connect((self.testbed.hosts[0], 80))
        connection, _ = server.accept()
        self.addCleanup(connection.close)
        self.udp("test_gwa").sendto(b"", ("100.64.2.1", 53))
        self.counted("pool_from_inside")
        self.allow(DROP, DROP)
        connection.sendall(b"still here")
        connection.settimeout(5.0)
        self.assertEqual(client.recv(99), b"still here")
        self.assertFalse(self.between_lans())
        self.assertEqual(self.packets("pool_from_inside"), 1)

"""A running gateway that flows can not get through: told, nothing is lent, and nobody pays for it."""

from __future__ import annotations

import contextlib
import re
import time

from realmgw.control.command.client import ask
from realmgw.test.kernel.datapath_case import must
from realmgw.test.kernel.realm_case import FIRST
from realmgw.test.kernel.watch_case import WatchTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import GATEWAY, GATEWAY_LAN, ON_LINK, ROUTER_WAN


class DegradedTests(WatchTestCase):
    """What is not ours to put back."""

    def assert_degraded_while(self, broken: str, well: str, told: str, *, asked: bool = True) -> None:
        """Somebody breaks it, and mends it: nothing is lent meanwhile, nobody pays for it, and both are told once."""
        self.assertEqual(self.fetch(), FIRST)
        self.ask("two.gwa.demo")  # whose client will not come
        unused = self.unused()
        self.shell(broken)
        try:
            self.wait(lambda: told in str(self.status()["troubles"]), broken)
            self.assertEqual(self.status()["state"], "degraded")
            if asked:
                with self.assertRaisesRegex(Exception, "SERVFAIL"):
                    self.ask("one.gwa.demo")
                self.assertGreater(self.status()["counts"]["allocation"]["refused"]["degraded"], 0)
                question = {"name": "one.gwa.demo", "resolver": "203.0.113.1", "tcp": "1"}
                explained = ask(self.gateway.control, "explain/name", question)
                self.assertEqual(explained.get("reason"), "degraded", explained)
            time.sleep(2.2)  # the claim is over
        finally:
            self.shell(well)
        self.wait(lambda: self.status()["state"] == "healthy", well)
        self.assertEqual(self.fetch(), FIRST)
        logged = self.log()  # of texts that come again within a minute, the first one only
        self.assertRegex(logged, f"error .*datapath: .*{re.escape(told)}")
        self.assertRegex(logged, f"info .*it is over: .*{re.escape(told)}")
        self.assertEqual(self.unused(), unused)

    def test_lan_down(self) -> None:
        """And up again."""
        self.assert_degraded_while("ip link set lan0 down", "ip link set lan0 up", "interface lan0 is down")

    def test_packets_that_go_past_the_queue(self) -> None:
        """By somebody else's rule before ours; it is not ours to take away."""
        if not any(each["what"] == "iptables chain of the queue step" for each in self.status()["placed"]):
            self.skipTest("the kernel queues in our own table, which nobody's rule comes before")
        self.assertEqual(self.fetch(), FIRST)
        self.shell("iptables -t mangle -I PREROUTING -j ACCEPT")
        try:
            for _ in range(3):
                with contextlib.suppress(Exception):
                    self.fetch()
            self.wait(lambda: self.status()["state"] == "degraded", "packets go past")
            self.assertIn("packets for the pool go past the packet queue", str(self.status()["troubles"]))
        finally:
            self.shell("iptables -t mangle -D PREROUTING -j ACCEPT")
        self.wait(lambda: self.status()["state"] == "healthy", "packets are queued")
        self.assertEqual(self.fetch(), FIRST)

    def test_lan_without_carrier(self) -> None:
        """Its cable is pulled."""
        must(self.testbed, "test_gwa", ["ip", "link", "set", "eth0", "down"])
        self.wait(lambda: self.status()["state"] == "degraded", "no carrier")
        self.assertIn("interface lan0 is without carrier", str(self.status()["troubles"]))
        self.testbed.run("test_gwa", ["sh", "-c", f"ip link set eth0 up; ip route add default via {GATEWAY_LAN}"])
        self.wait(lambda: self.status()["state"] == "healthy", "carrier")

    def test_lan_of_another_name(self) -> None:
        """It is gone, as far as the rules are concerned; with its name it is back."""
        back = "ip link set lanx down; ip link set lanx name lan0; ip link set lan0 up"
        self.assert_degraded_while("ip link set lan0 down; ip link set lan0 name lanx; ip link set lanx up", back,
                                   "interface lan0 is gone")  # fmt: skip

    def test_wan_down(self) -> None:
        """Its default route goes with it, and does not come back by itself."""
        back = f"ip link set wan0 up; ip route add default via {ROUTER_WAN}"
        self.assert_degraded_while("ip link set wan0 down", back, "interface wan0 is down", asked=False)

    def test_wan_of_another_name(self) -> None:
        """Renamed and named back."""
        back = (
            "ip link set wanx down; ip link set wanx name wan0; ip link set wan0 up;"
            f" ip route add default via {ROUTER_WAN}"
        )
        self.assert_degraded_while("ip link set wan0 down; ip link set wan0 name wanx; ip link set wanx up", back,
                                   "interface wan0 is gone", asked=False)  # fmt: skip

    def test_address_gone(self) -> None:
        """The one that DNS listens at on the WAN; its sockets work again when it is back."""
        back = f"ip addr add {GATEWAY}/25 dev wan0; ip route add default via {ROUTER_WAN}"
        gone = f"ip addr del {GATEWAY}/25 dev wan0"
        self.assert_degraded_while(gone, back, f"address {GATEWAY} is gone", asked=False)

    def test_default_route_gone(self) -> None:
        """Answers find no way to clients; there was one at the start."""
        back = f"ip route add default via {ROUTER_WAN}"
        self.assert_degraded_while("ip route del default", back, "default route wan0 is gone", asked=False)

    def test_nobody_would_answer_arp(self) -> None:
        """A setting that an operator may have changed on purpose: it is told, not changed back."""
        key = "net.ipv4.conf.wan0.arp_ignore"
        self.assert_degraded_while(f"sysctl -qw {key}=1", f"sysctl -qw {key}=0", f"{key} is 1, so nobody answers ARP")

    def test_machine_takes_an_address_of_the_pool(self) -> None:
        """It would answer itself."""
        words = f"addr add {ON_LINK[0]}/32 dev lan0", f"addr del {ON_LINK[0]}/32 dev lan0"
        self.assert_degraded_while(f"ip {words[0]}", f"ip {words[1]}", "the gateway's own address on lan0")

    def test_closing_waits_for_nothing(self) -> None:
        """What speaks against lending does not keep the table from being put back."""
        key = "net.ipv4.conf.wan0.arp_ignore"
        for broken, well in (
            (f"sysctl -qw {key}=1", f"sysctl -qw {key}=0"),
            (f"ip addr add {ON_LINK[0]}/32 dev lan0", f"ip addr del {ON_LINK[0]}/32 dev lan0"),
            ("ip link set wan0 down", f"ip link set wan0 up; ip route add default via {ROUTER_WAN}"),
        ):
            self.shell(broken)
            try:
                self.shell("nft flush ruleset")
                self.wait(self.is_closed, broken)
                self.wait(lambda: self.status()["state"] == "degraded", broken)
            finally:
                self.shell(well)
            self.wait(lambda: self.status()["state"] == "healthy", well)

    def is_closed(self) -> bool:
        """Whether our table is there."""
        listed = self.testbed.run("gwa", ["nft", "list", "chain", "inet", "realmgw", "forwarding"]).stdout
        return "policy drop" in listed

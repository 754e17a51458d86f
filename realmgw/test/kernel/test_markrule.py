"""The rule that takes the address from the mark, in a kernel."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from ipaddress import IPv4Address, IPv4Network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import markrule
from realmgw.errors import PlatformError
from realmgw.test.kernel import requirements

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.topology import ROUTED, Testbed

NETLINK_NETFILTER = 12
LAN = IPv4Network("192.168.0.0/24")
PREFIX = f"m{os.getpid()}-"
POOL = IPv4Network("100.64.2.0/28")


def netfilter() -> socket.socket:
    """A channel to nf_tables of the namespace that one is in."""
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    channel.bind((0, 0))
    channel.settimeout(5.0)
    return channel


class MarkRuleTests(SynchronousTestCase):
    """`markrule` against the kernel: a client, a gateway, two private hosts."""

    skip = requirements.missing_for_testbed()

    def setUp(self) -> None:
        """A gateway that forwards, and marks each flow to the pool by the last byte of the pool's address."""
        self.testbed = Testbed(PREFIX)
        self.addCleanup(self.testbed.close)
        self.testbed.__enter__()
        self.run_in_gateway("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.run_in_gateway("nft", "add table ip given")
        self.run_in_gateway("nft", "add chain ip given marking { type filter hook prerouting priority mangle; }")

    def run_in_gateway(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a program that must succeed."""
        done = self.testbed.run("gwa", command)
        self.assertEqual(0, done.returncode, done.stderr)
        return done

    def put(self, batch: bytes) -> None:
        """Has the gateway's kernel do a batch."""
        with self.testbed.inside("gwa"), netfilter() as channel:
            markrule.put(batch, channel)

    def give(self, pool: IPv4Address, mark: int) -> None:
        """Marks what is sent to a pool address."""
        self.run_in_gateway("nft", f"add rule ip given marking ip daddr {pool} meta mark set {mark}")

    def reached(self, pool: IPv4Address) -> str | None:
        """Which private host a datagram to a pool address comes to."""
        servers = []
        with self.testbed.inside("test_gwa"):
            for host in self.testbed.hosts:
                server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                server.bind((host, 7))
                servers.append(server)
        with self.testbed.inside("public"):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.ExitStack() as sockets:
            for one in (*servers, client):
                sockets.enter_context(one)
                one.settimeout(0.3)
            client.sendto(b"?", (str(pool), 7))
            for host, server in zip(self.testbed.hosts, servers, strict=True):
                with contextlib.suppress(TimeoutError):
                    _, peer = server.recvfrom(16)
                    server.sendto(b"!", peer)
                    self.assertEqual((b"!", (str(pool), 7)), client.recvfrom(16))
                    return host
        return None

    def test_translates_to_the_address_in_the_mark(self) -> None:
        """Both layouts of the mark send each flow to its own host, and the answer comes from the pool address."""
        for offset, layout in ((1, markrule.addressed), (3, markrule.indexed)):
            rule = layout(LAN)
            self.put(markrule.install([rule]))
            for number, host in enumerate(self.testbed.hosts):
                pool = POOL[offset + number]
                self.give(pool, rule.mark(IPv4Address(host).packed))
                self.assertEqual(host, self.reached(pool), layout.__name__)

    def test_lets_other_marks_alone(self) -> None:
        """A mark that is no address of the network translates nothing; neither does no mark."""
        self.put(markrule.install([markrule.addressed(LAN)]))
        self.give(POOL[1], 0xC0A80164)
        self.assertEqual((None, None), (self.reached(POOL[1]), self.reached(POOL[2])))

    def test_is_replaced_and_removed(self) -> None:
        """However often it is installed there is one rule; removed, twice even, there is no table."""
        for _ in range(2):
            self.put(markrule.install([markrule.indexed(LAN)]))
        listing = self.run_in_gateway("nft", "list", "table", "ip", markrule.TABLE).stdout
        self.assertEqual(1, listing.count("dnat to"), listing)
        for _ in range(2):
            self.put(markrule.remove())
        self.assertNotIn(markrule.TABLE, self.run_in_gateway("nft", "list", "tables").stdout)

    def test_changes_nothing_when_refused(self) -> None:
        """A batch that the kernel refuses (here: a name that is too long) leaves the rules as they were."""
        self.put(markrule.install([markrule.indexed(LAN)]))
        before = self.run_in_gateway("nft", "list", "ruleset").stdout
        self.assertRaises(PlatformError, self.put, markrule.install([markrule.addressed(LAN)], table="x" * 300))
        self.assertEqual(before, self.run_in_gateway("nft", "list", "ruleset").stdout)


if requirements.missing_for_testbed() is None:
    assert str(POOL) == ROUTED

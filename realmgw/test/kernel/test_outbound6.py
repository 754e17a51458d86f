"""How IPv6 leaves a LAN: as it is, with another prefix, with another address, or not at all."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from ipaddress import IPv6Address, IPv6Network, ip_network
from itertools import pairwise
from pathlib import Path

import attrs

from realmgw.config.settings import (
    Attachment,
    Interfaces,
    Ipv6,
    Leave6,
    Outbound6,
    PoolPrefix,
    Pools,
    Settings,
)
from realmgw.datapath.apply import Applied, Kernel
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.errors import PlatformError
from realmgw.test import programs
from realmgw.test.kernel.neighbours_case import WAN, NeighboursTestCase

LAN = "lan0"
INSIDE, OUTSIDE = IPv6Network("fd01:203:405::/48"), IPv6Network("2001:db8:1::/48")
PRIVATE, PUBLIC = "fd01:203:405:1::1234", "2001:db8:5:1::1234"
TRANSLATED = "2001:db8:1:d550::1234"
"""What RFC 6296 makes of `PRIVATE`: its own example."""
FAR = "2001:db8:0:9::1"
"""Beyond the router."""
NPTV6 = Outbound6(LAN, Leave6.NPTV6, INSIDE, OUTSIDE)
SERVE = """
import socket, sys, threading
tcp = socket.create_server(("::", 80), family=socket.AF_INET6)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], 80))
def talk():
    while True:
        client, address = tcp.accept()
        client.sendall(address[0].encode() + b"\\n" + bytes(200_000))
        client.close()
threading.Thread(target=talk, daemon=True).start()
print("ready", flush=True)
while True:
    asked, address = udp.recvfrom(2000)
    udp.sendto(address[0].encode() + b" %d" % address[1], address)
"""
"""Tells who has come."""


class OutboundTestCase(NeighboursTestCase):
    """A LAN with a host that has a private and a public address, and a server beyond the router."""

    skip = NeighboursTestCase.skip or programs.missing("ping")

    def setUp(self) -> None:
        """The gateway has nothing in place yet."""
        super().setUp()
        self.host = self.namespace()
        self.run_program("ip", "link", "add", LAN, "type", "veth", "peer", "name", "eth0", "netns", str(self.host.pid))
        self.run_program("sysctl", "-qw", f"net.ipv6.conf.{LAN}.accept_dad=0")
        self.run_program("ip", "link", "set", LAN, "up")
        self.at_host("ip", "link", "set", "lo", "up")
        self.at_host("ip", "link", "set", "eth0", "up")
        for ours, theirs in (("fd01:203:405:1::1", PRIVATE), ("2001:db8:5:1::1", PUBLIC)):
            self.run_program("ip", "addr", "add", f"{ours}/64", "dev", LAN, "nodad")
            self.at_host("ip", "addr", "add", f"{theirs}/64", "dev", "eth0", "nodad")
        self.at_host("ip", "-6", "route", "add", "default", "via", "fd01:203:405:1::1")
        self.run_program("ip", "-6", "route", "add", "default", "via", "2001:db8:0:1::1")
        self.at_router("ip", "addr", "add", f"{FAR}/128", "dev", "lo")
        for network in (str(OUTSIDE), "2001:db8:5::/48", "fd01:203:405::/48"):  # leaks would be answered
            self.at_router("ip", "-6", "route", "add", network, "via", "2001:db8:0:1::2")
        self.serve()

    def serve(self) -> None:
        """Starts the server."""
        argv = ["nsenter", "-t", str(self.router.pid), "-n", sys.executable, "-c", SERVE, FAR]
        server = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        assert server.stdout is not None
        self.addCleanup(server.stdout.close)
        self.assertEqual(server.stdout.readline(), b"ready\n")

    def at_host(self, *argv: str) -> str:
        """Runs a program at the host, to its end."""
        return self.run_program("nsenter", "-t", str(self.host.pid), "-n", *argv)

    def place(self, *ways: Outbound6) -> Kernel:
        """Places the datapath."""
        settings = Settings(
            name="gwa",
            zones=(),
            interfaces=Interfaces(wan=WAN, lan=(LAN,)),
            pools=Pools((PoolPrefix(ip_network("3fff:1::/64"), Attachment.ROUTED),)),
            ipv6=Ipv6(outbound=ways),
            state=Path(self.mktemp()),
        )
        self.kernel = Kernel(settings)
        self.addCleanup(self.kernel.close)
        self.applied: Applied = self.kernel.apply(())
        return self.kernel

    def from_host(self, source: str, kind: int) -> socket.socket:
        """A socket of the host's, with a source, towards the server."""
        made = self.socket_of(self.host, socket.AF_INET6, kind)
        made.settimeout(3)
        made.bind((source, 0))
        return made

    def tcp(self, source: str) -> str:
        """Who the server says has come, after it has sent all of it."""
        with self.from_host(source, socket.SOCK_STREAM) as client:
            client.connect((FAR, 80))
            received = b""
            while part := client.recv(65536):
                received += part
        said, _, rest = received.partition(b"\n")
        self.assertEqual(len(rest), 200_000)
        return said.decode()

    def udp(self, source: str) -> tuple[str, int]:
        """Who the server says has asked."""
        with self.from_host(source, socket.SOCK_DGRAM) as client:
            client.sendto(b"?", (FAR, 80))
            address, port = client.recv(99).decode().split()
            return address, int(port)

    def counted(self, name: str) -> int:
        """What a counter of the table says."""
        return self.kernel.figures()[0][name].packets

    def ping(self, source: str, *more: str) -> str:
        """What the host's ping says, whatever comes of it."""
        argv = ["nsenter", "-t", str(self.host.pid), "-n", "ping", "-n", "-c1", "-W2", "-I", source, *more, FAR]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10).stdout

    def look(self) -> Findings:
        """A look of the watch."""
        return self.kernel.look(Noticed(), lambda: ())

    def assert_path_mtu_is_learned(self, source: str) -> None:
        """Of a link beyond the gateway, whose router tells it to where the packet came from."""
        far = ["ip", "link", "set", "peer0", "mtu", "1300"]
        self.assertIn("1 received", self.ping(source, "-s", "1300"))
        self.at_router(*far)
        self.run_program("ip", "link", "set", WAN, "mtu", "1300")
        said = self.ping(source, "-s", "1300", "-M", "do")
        self.assertIn("mtu", said.replace("MTU", "mtu"))
        self.assertIn("mtu 1300", self.at_host("ip", "-6", "route", "get", FAR, "from", source))


class RouteTests(OutboundTestCase):
    """`Leave6.ROUTE`, the default."""

    def test_public_address_leaves_as_it_is(self) -> None:
        """By TCP, UDP and ping, and errors of the path come back."""
        self.place()
        self.assertEqual(self.tcp(PUBLIC), PUBLIC)
        self.assertEqual(self.udp(PUBLIC)[0], PUBLIC)
        self.assertIn("1 received", self.ping(PUBLIC))
        self.assert_path_mtu_is_learned(PUBLIC)
        self.assertEqual(self.counted("outbound6_source"), 0)

    def test_private_address_is_told_that_it_can_not(self) -> None:
        """At once, by RFC 4443, 3.1, code 5; nothing of it is on the WAN."""
        self.place()
        with self.from_host(PRIVATE, socket.SOCK_STREAM) as client, self.assertRaises(PermissionError):
            client.connect((FAR, 80))
        self.assertGreater(self.counted("outbound6_source"), 0)
        self.assertIn("code 5", self.ping(PRIVATE))

    def test_address_that_is_not_of_the_lan_is_dropped(self) -> None:
        """Nobody hears of it."""
        self.place()
        self.at_host("ip", "addr", "add", "2001:db8:7::1/128", "dev", "eth0", "nodad")
        self.assertIn("100% packet loss", self.ping("2001:db8:7::1"))
        self.assertEqual(self.counted("outbound6_source"), 1)

    def test_nobody_comes_in(self) -> None:
        """What was not begun inside is no flow."""
        self.place()
        self.assert_closed(PUBLIC)

    def assert_closed(self, address: str) -> None:
        """No packet of the router's comes to the host."""
        host = self.from_host("::", socket.SOCK_DGRAM)
        port = host.getsockname()[1]
        self.router_socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"!", (address, port))
        host.settimeout(0.3)
        self.assertRaises(TimeoutError, host.recv, 9)


class OffTests(OutboundTestCase):
    """`Leave6.OFF`."""

    def test_nothing_leaves_and_is_told_so(self) -> None:
        """Whatever the source."""
        self.place(Outbound6(LAN, Leave6.OFF))
        for source in (PUBLIC, PRIVATE):
            with self.from_host(source, socket.SOCK_STREAM) as client, self.assertRaises(PermissionError):
                client.connect((FAR, 80))
        self.assertGreater(self.counted("outbound6_off"), 1)


class Nptv6Tests(OutboundTestCase):
    """`Leave6.NPTV6`."""

    def test_prefix_is_another_outside(self) -> None:
        """As RFC 6296 computes it; a public address leaves as it is."""
        self.place(NPTV6)
        self.assertEqual(self.tcp(PRIVATE), TRANSLATED)
        self.assertEqual(self.udp(PRIVATE)[0], TRANSLATED)
        self.assertIn("1 received", self.ping(PRIVATE))
        self.assertEqual(self.tcp(PUBLIC), PUBLIC)
        self.assertEqual(self.look(), attrs.evolve(self.look(), repaired=(), broken=()))

    def test_ports_stay_what_they_are(self) -> None:
        """Only addresses are translated."""
        self.place(NPTV6)
        with self.from_host(PRIVATE, socket.SOCK_DGRAM) as client:
            client.sendto(b"?", (FAR, 80))
            self.assertEqual(client.recv(99).decode(), f"{TRANSLATED} {client.getsockname()[1]}")

    def test_translation_is_neutral_to_checksums(self) -> None:
        """What the server gets has the checksum that the host has written, of a protocol that nobody here knows."""
        self.place(NPTV6)
        protocol = 253  # for experiments (RFC 3692)
        server = self.router_socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
        host = self.socket_of(self.host, socket.AF_INET6, socket.SOCK_RAW, protocol)
        host.bind((PRIVATE, 0))
        host.sendto(b"sum", (FAR, 0))
        server.settimeout(2)
        _, (source, *_) = server.recvfrom(99)
        self.assertEqual(source, TRANSLATED)
        sums = [sum(struct.unpack("!8H", IPv6Address(each).packed)) % 0xFFFF for each in (PRIVATE, TRANSLATED)]
        self.assertEqual(sums[0], sums[1])

    def test_errors_about_its_flows_come_in(self) -> None:
        """The path's MTU, of a router beyond; a closed port."""
        self.place(NPTV6)
        with self.from_host(PRIVATE, socket.SOCK_DGRAM) as client:
            client.connect((FAR, 81))
            client.send(b"?")
            self.assertRaises(ConnectionRefusedError, client.recv, 9)
        self.assert_path_mtu_is_learned(PRIVATE)

    def test_nobody_comes_in(self) -> None:
        """Not to the prefix outside, with our rules, and not without them either."""
        kernel = self.place(NPTV6)
        host = self.socket_of(self.host, socket.AF_INET6, socket.SOCK_DGRAM)
        host.bind(("::", 99))
        host.settimeout(0.3)
        knock = self.router_socket(socket.AF_INET6, socket.SOCK_DGRAM)
        for prepare in (lambda: None, lambda: self.run_program("nft", "delete table inet realmgw")):
            prepare()
            knock.sendto(b"!", (TRANSLATED, 99))
            self.assertRaises(TimeoutError, host.recv, 9)
        self.assertEqual(self.look().broken, ())
        self.assertIsNotNone(kernel)

    def test_flow_lives_on_when_the_table_is_placed_anew(self) -> None:
        """Conntrack knows it by its address outside."""
        kernel = self.place(NPTV6)
        with self.from_host(PRIVATE, socket.SOCK_DGRAM) as client:
            for _ in range(2):
                client.sendto(b"?", (FAR, 80))
                self.assertIn(TRANSLATED, client.recv(99).decode())
                self.assertEqual(kernel.apply(()).warnings, self.applied.warnings)

    def test_what_others_take_away_is_put_back(self) -> None:
        """Until then nothing leaves with a private address."""
        self.place(NPTV6)
        self.run_program("ip6tables", "-t", "mangle", "-F", "POSTROUTING")
        self.assertRaises(TimeoutError, self.udp, PRIVATE)
        self.assertGreater(self.counted("outbound6_leak"), 0)
        [line] = self.look().repaired
        self.assertTrue(line.startswith("ip6tables chain of the prefix translation realmgw is changed"), line)
        self.assertEqual(self.udp(PRIVATE)[0], TRANSLATED)

    def test_machine_without_the_target_is_refused(self) -> None:
        """With what to do; nothing was placed."""
        hidden = Path(self.mktemp())
        hidden.mkdir()
        (hidden / "ip6tables-restore").symlink_to("/bin/false")
        self.patch(os, "environ", {**os.environ, "PATH": f"{hidden}:{os.environ['PATH']}"})
        error = self.assertRaises(PlatformError, self.place, NPTV6)
        self.assertIn("the target SNPT of ip6tables, for nptv6 is missing: install iptables", str(error))
        self.assertNotIn("realmgw", self.run_program("nft", "list", "tables"))

    def test_reload_leads_to_another_prefix_and_to_none(self) -> None:
        """And a purge leaves nothing behind."""
        kernel = self.place(NPTV6)
        settings = kernel.settings
        other = attrs.evolve(NPTV6, outside=IPv6Network("2001:db8:2::/48"))
        self.at_router("ip", "-6", "route", "add", str(other.outside), "via", "2001:db8:0:1::2")
        kernel.change(attrs.evolve(settings, ipv6=Ipv6(outbound=(other,))), HostChange({}))
        self.assertIn(IPv6Address(self.udp(PRIVATE)[0]), IPv6Network("2001:db8:2::/48"))
        kernel.change(attrs.evolve(settings, ipv6=Ipv6(outbound=(Outbound6(LAN, Leave6.OFF),))), HostChange({}))
        self.assertNotIn("SNPT", self.run_program("ip6tables", "-t", "mangle", "-S"))
        kernel.change(settings, HostChange({}))
        self.assertEqual(self.udp(PRIVATE)[0], TRANSLATED)
        self.assertIn("ip6tables chain realmgw_nptv6 removed from mangle", kernel.purge())
        self.assertNotIn("realmgw", self.run_program("ip6tables", "-t", "mangle", "-S"))


class Nat66Tests(OutboundTestCase):
    """`Leave6.NAT66`."""

    def test_address_is_the_interfaces(self) -> None:
        """And the port one of ours, by chance."""
        self.place(Outbound6(LAN, Leave6.NAT66))
        self.assertEqual(self.tcp(PRIVATE), "2001:db8:0:1::2")
        ports = []
        for _ in range(8):
            address, port = self.udp(PRIVATE)
            self.assertEqual(address, "2001:db8:0:1::2")
            ports.append(port)
        self.assertTrue(all(32768 <= port <= 65535 for port in ports), ports)
        self.assertGreater(len({after - before for before, after in pairwise(ports)}), 3)
        self.assertIn("1 received", self.ping(PRIVATE))
        self.assert_path_mtu_is_learned(PRIVATE)
        self.assertEqual(self.counted("outbound6_leak"), 0)

    def test_address_is_one_of_those_that_are_given(self) -> None:
        """The same for the same host."""
        self.place(Outbound6(LAN, Leave6.NAT66, outside=IPv6Network("2001:db8:1:7::/64")))
        found = {self.udp(PRIVATE)[0] for _ in range(5)}
        self.assertEqual(len(found), 1)
        self.assertIn(IPv6Address(found.pop()), IPv6Network("2001:db8:1:7::/64"))


class SegmentTests(OutboundTestCase):
    """How large segments are."""

    def test_both_sides_are_told_what_fits(self) -> None:
        """Where the WAN's MTU is smaller; of either family."""
        self.place()
        self.run_program("ip", "link", "set", WAN, "mtu", "1400")
        self.assertEqual(self.offered(PUBLIC), 1400 - 60)
        self.assertEqual(self.tcp(PUBLIC), PUBLIC)

    def test_nothing_is_changed_where_it_fits(self) -> None:
        """Nor is anybody told a larger one."""
        self.place()
        self.assertEqual(self.offered(PUBLIC), 1500 - 60)
        self.at_host("ip", "link", "set", "eth0", "mtu", "1320")
        self.assertEqual(self.offered(PUBLIC), 1320 - 60)

    def offered(self, source: str) -> int:
        """What the host is said to take, as the router hears it."""
        hearing = self.router_socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
        hearing.bind(("peer0", 0x86DD))
        self.tcp(source)
        while True:
            packet = hearing.recv(2000)
            if packet[6] == 6 and packet[53] & 0x3F == 2:
                self.assertEqual(packet[60:62], b"\x02\x04")
                return int.from_bytes(packet[62:64], "big")

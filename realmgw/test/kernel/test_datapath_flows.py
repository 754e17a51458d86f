"""The datapath in a kernel: what passes, what is refused and how, what is dropped."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import struct
import time
from pathlib import Path

import attrs
from twisted.trial.unittest import SkipTest

from realmgw.config.addresses import AddressRange
from realmgw.datapath import marks
from realmgw.test.datapath.moves import change
from realmgw.test.kernel.datapath_case import (
    REFUSED,
    TO_FIRST,
    TO_FIRST_ON_LINK,
    TO_NOBODY,
    TO_SECOND,
    UNDECIDED,
    DatapathTestCase,
    must,
    until,
)

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import sctp
    from testbed.realm.topology import CLIENT, ON_LINK

ENTRIES = Path("/proc/sys/net/netfilter/nf_conntrack_count")
"""How many conntrack has."""


class AdmittedTests(DatapathTestCase):
    """Flows that the program at the queue admits."""

    def setUp(self) -> None:
        super().setUp()
        self.queue = self.decide()

    def test_tcp_reaches_the_host_that_the_mark_selects(self) -> None:
        """A connection to a pool address ends at the host whose index its first packet was marked with."""
        for pool, host in zip((TO_FIRST, TO_SECOND), self.testbed.hosts, strict=True):
            client, connection = self.connected(pool, host)
            connection.sendall(host.encode())
            self.assertEqual((client.recv(99), connection.getpeername()[0]), (host.encode(), CLIENT))

    def test_udp_reaches_the_host_and_the_answer_comes_from_the_pool(self) -> None:
        """The host sees the client's own address, the client sees the pool's."""
        server = self.udp("test_gwa", self.testbed.hosts[1], 53)
        client = self.udp()
        client.sendto(b"question", (TO_SECOND, 53))
        question, sender = server.recvfrom(99)
        server.sendto(b"answer", sender)
        self.assertEqual((question, sender[0]), (b"question", CLIENT))
        self.assertEqual(client.recvfrom(99), (b"answer", (TO_SECOND, 53)))

    def test_icmp_echo_reaches_the_host(self) -> None:
        """A protocol without ports is translated like any other."""
        seen = self.make("test_gwa", socket.SOCK_RAW, self.testbed.hosts[1], protocol=socket.IPPROTO_ICMP)
        client = self.make("public", socket.SOCK_DGRAM, protocol=socket.IPPROTO_ICMP)
        client.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1), (TO_SECOND, 0))
        reply, sender = client.recvfrom(99)
        self.assertEqual((reply[0], sender[0], seen.recv(99)[20]), (0, TO_SECOND, 8))

    def test_on_link_pool_is_asked_for_by_arp_and_served(self) -> None:
        """The kernel answers ARP for an on-link pool address though no interface has it."""
        server = self.udp("test_gwa", self.testbed.hosts[0], 53)
        self.udp().sendto(b"question", (ON_LINK[0], 53))
        self.assertEqual(server.recv(99), b"question")
        neighbour = self.testbed.run("router", ["ip", "neigh", "show", ON_LINK[0]]).stdout
        self.assertIn("lladdr", neighbour)

    def test_strict_reverse_path_filter_does_no_harm(self) -> None:
        """With rp_filter strict on the WAN, clients behind the default route are served at an on-link address."""
        self.testbed.run("gwa", ["sysctl", "-w", "net.ipv4.conf.wan0.rp_filter=1"])
        self.test_on_link_pool_is_asked_for_by_arp_and_served()

    def test_flow_without_an_answer_yet_is_presented_once(self) -> None:
        """The second datagram of a flow that the host never answered goes to the host, not to user space again."""
        server = self.udp("test_gwa", self.testbed.hosts[0], 514)
        client = self.udp()
        for text in (b"one", b"two", b"three"):
            client.sendto(text, (TO_FIRST, 514))
            self.assertEqual(server.recv(99), text)
        self.assertEqual(self.packets("presented"), 1)

    def test_established_flow_survives_a_new_ruleset_and_nobody_at_the_queue(self) -> None:
        """Replacing the table, and the end of the deciding program, leave a connection alone."""
        client, connection = self.connected(TO_FIRST, self.testbed.hosts[0])
        self.queue.kill()
        self.queue.wait()
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        connection.sendall(b"still here")
        self.assertEqual(client.recv(99), b"still here")
        client.sendall(b"so am I")
        self.assertEqual(connection.recv(99), b"so am I")

    def test_purge_ends_flows(self) -> None:
        """Nobody translates them any more: what the client sends does not arrive."""
        client, connection = self.connected(TO_FIRST, self.testbed.hosts[0])
        self.testbed.call("gwa", self.kernel.purge)
        client.sendall(b"anybody there?")
        connection.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            connection.recv(99)

    def test_host_that_was_taken_away_is_not_reached(self) -> None:
        """A mark whose host is not in the map any more is dropped and counted."""
        self.testbed.call("gwa", self.kernel.change, self.settings, change(self.hosts, self.hosts[1:]))
        self.udp().sendto(b"", (TO_FIRST, 53))
        self.udp().sendto(b"", (TO_NOBODY, 53))
        self.counted("host_unknown", 2)

    def test_host_that_came_is_reached(self) -> None:
        """A host that is added to the map, and one whose address changed, are reached at once."""
        moved = (attrs.evolve(self.hosts[0], address=self.hosts[1].address), attrs.evolve(self.hosts[1], index=77))
        self.testbed.call("gwa", self.kernel.change, self.settings, change(self.hosts, moved))
        server = self.udp("test_gwa", self.testbed.hosts[1], 53)
        for pool in (TO_FIRST, TO_NOBODY):
            self.udp().sendto(pool.encode(), (pool, 53))
            self.assertEqual(server.recv(99), pool.encode())

    def test_mark_is_seen_where_the_chains_look(self) -> None:
        """The queue step is between our chains, and what its verdict sets is seen by the next ones."""
        queued, admitted = f"meta mark {marks.QUEUED:#x}", f"meta mark {marks.admitted(1):#x}"
        watch = {-159: queued, -149: admitted, -139: admitted, -111: admitted}
        for priority, match in watch.items():
            chain = f"chain at{-priority} {{ type filter hook prerouting priority {priority}; {match} counter; }}"
            self.nft(f"table inet watch {{ {chain} }}".replace("; }", ";\n}\n"))
        self.udp().sendto(b"", (TO_FIRST, 53))
        self.counted("admitted")
        self.assertEqual(self.nft("list", "table", "inet", "watch").count("counter packets 1 "), len(watch))


class RefusedTests(DatapathTestCase):
    """Flows that the program at the queue refuses, as the client sees it."""

    reject_rate = 20

    def setUp(self) -> None:
        super().setUp()
        self.decide()
        self.errors = self.make("public", socket.SOCK_RAW, protocol=socket.IPPROTO_ICMP)

    def told(self) -> tuple[int, int, int]:
        """Type and code of the next ICMP error at the client, and the protocol of what it is about."""
        while True:
            packet = self.errors.recv(999)
            if packet[20] == 3:
                return packet[20], packet[21], packet[28 + 9]

    def test_tcp_is_told_by_a_reset(self) -> None:
        """The client's connect fails at once."""
        with self.assertRaises(ConnectionRefusedError):
            self.make("public", socket.SOCK_STREAM).connect((REFUSED, 80))
        self.counted("refused_tcp")

    def test_udp_is_told_port_unreachable(self) -> None:
        """The client gets ICMP 3/3, and its socket an error."""
        client = self.udp()
        client.connect((REFUSED, 53))
        client.send(b"")
        self.assertEqual(self.told(), (3, 3, 17))
        with self.assertRaises(ConnectionRefusedError):
            client.recv(99)

    def test_echo_is_told_administratively_prohibited(self) -> None:
        """The client gets ICMP 3/13."""
        client = self.make("public", socket.SOCK_DGRAM, protocol=socket.IPPROTO_ICMP)
        client.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1), (REFUSED, 0))
        self.assertEqual(self.told(), (3, 13, 1))

    def test_sctp_and_others_are_told_protocol_unreachable(self) -> None:
        """The client gets ICMP 3/2, for an association that it wants to begin and for a protocol without ports."""
        initiation = sctp.Packet(4000, 5000, 0, sctp.INIT, sctp.initiation(7)).encode()
        for protocol, payload in ((132, initiation), (50, b"not empty")):
            self.make("public", socket.SOCK_RAW, protocol=protocol).sendto(payload, (REFUSED, 0))
            self.assertEqual(self.told(), (3, 2, protocol))
        self.counted("refused_other", 2)

    def test_what_is_not_admitted_leaves_no_entry_in_conntrack(self) -> None:
        """Of a burst by TCP, UDP and echo, refused aloud, in silence, or not decided about; a flood fills no table."""
        counters = ("refused_tcp", "refused_udp", "refused_icmp", "refused_silently", "not_admitted")
        udp, echo = self.udp(), self.make("public", socket.SOCK_DGRAM, protocol=socket.IPPROTO_ICMP)
        for number in range(40):
            for pool in (REFUSED, UNDECIDED):
                tcp = self.make("public", socket.SOCK_STREAM)
                tcp.setblocking(False)
                tcp.connect_ex((pool, 80))
                udp.sendto(b"", (pool, 1000 + number))
                echo.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, number), (pool, 0))
        self.assertTrue(until(lambda: sum(map(self.packets, counters)) >= 240), list(map(self.packets, counters)))
        self.assertTrue(until(lambda: not self.testbed.call("gwa", ENTRIES.read_text).strip("0\n")))

    def test_icmp_error_is_not_answered(self) -> None:
        """An error about a flow that there is not is dropped: no error about an error."""
        self.errors.sendto(struct.pack("!BBHI", 3, 3, 0xFCFC, 0) + bytes(28), (REFUSED, 0))
        self.counted("pool_invalid")
        self.assertEqual(self.packets("refused_icmp"), 0)

    def test_beyond_the_rate_refusals_are_silent(self) -> None:
        """Of a burst about reject_rate refusals are told, the rest is dropped and counted."""
        client = self.udp()
        for _ in range(100):
            client.sendto(b"", (REFUSED, 53))
        self.assertTrue(until(lambda: self.packets("refused_udp") + self.packets("refused_silently") == 100))
        self.assertTrue(20 <= self.packets("refused_udp") <= 60, self.packets("refused_udp"))

    def test_segment_that_opens_nothing_is_dropped(self) -> None:
        """A TCP segment without SYN, or with SYN and ACK, never reaches user space."""
        sender = self.make("public", socket.SOCK_RAW, protocol=socket.IPPROTO_TCP)
        for flags in (0x10, 0x12, 0x04, 0x03, 0x00):
            sender.sendto(struct.pack("!HHIIBBHHH", 4000 + flags, 80, 1, 1, 0x50, flags, 512, 0, 0), (REFUSED, 0))
        self.assertTrue(until(lambda: sum(map(self.packets, ("stage_flags", "not_syn", "pool_invalid"))) == 5))
        self.assertEqual(self.packets("presented"), 0)


class ClosedTests(DatapathTestCase):
    """What does not pass, with nobody at the queue."""

    def test_with_nobody_at_the_queue_everything_new_is_dropped(self) -> None:
        """The queue step lets the packet go on, and the rule after it drops what nobody admitted."""
        server = self.udp("test_gwa", self.testbed.hosts[0], 53)
        for pool in (TO_FIRST, ON_LINK[0]):
            self.udp().sendto(b"", (pool, 53))
        self.counted("not_admitted", 2)
        server.setblocking(False)
        with self.assertRaises(BlockingIOError):
            server.recv(99)

    def test_undecided_packet_is_dropped(self) -> None:
        """A packet that comes back from user space as it went there is dropped."""
        self.decide()
        self.udp().sendto(b"", (UNDECIDED, 53))
        self.counted("not_admitted")

    def test_without_the_queue_step_everything_new_is_dropped(self) -> None:
        """Somebody who flushes mangle closes the gateway; the next start puts the step back."""
        self.decide()
        if self.applied.found.native_queue:
            raise SkipTest("the queue step is in our own table on this kernel")
        self.testbed.run("gwa", ["iptables", "-t", "mangle", "-F"])
        self.udp().sendto(b"", (TO_FIRST, 53))
        self.counted("not_admitted")
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.udp().sendto(b"", (TO_FIRST, 53))
        self.counted("admitted")

    def test_mark_that_was_there_before_is_overwritten(self) -> None:
        """A packet that arrives with the mark of an admitted one is presented like any other, and dropped."""
        match = f'iifname "wan0" meta mark set {marks.admitted(1):#x}'
        self.nft(f"table inet forger {{\nchain c {{\ntype filter hook prerouting priority raw\n{match}\n}}\n}}\n")
        self.udp().sendto(b"", (TO_FIRST, 53))
        self.counted("not_admitted")
        self.assertEqual(self.packets("admitted"), 0)

    def test_wildcard_service_of_the_gateway_is_not_reached(self) -> None:
        """A server of the gateway that listens at every address is not found at an on-link pool address."""
        server = self.udp("gwa", "0.0.0.0", 7000)
        self.udp().sendto(b"", (ON_LINK[0], 7000))
        self.counted("not_admitted")
        # With the rules before them gone, the lines of defence behind: the guard, and in the end the table's own.
        self.nft("flush", "chain", "inet", "realmgw", "settle")
        self.udp().sendto(b"", (ON_LINK[0], 7000))
        self.testbed.call("gwa", self.kernel.close)
        self.udp().sendto(b"", (ON_LINK[0], 7000))
        self.counted("pool_local")
        self.assertEqual(self.packets("pool_local"), 1)
        server.setblocking(False)
        with self.assertRaises(BlockingIOError):
            server.recv(99)

    def test_lan_and_the_gateway_do_not_reach_the_pool(self) -> None:
        """Only the WAN may address the pool: a LAN host, and a process of the gateway, may not."""
        self.udp("test_gwa").sendto(b"", (TO_FIRST, 53))
        self.counted("pool_from_inside", 1)
        self.udp("gwa").sendto(b"", (ON_LINK[0], 53))
        self.counted("pool_from_inside", 2)

    def test_private_address_is_not_reached_from_the_wan(self) -> None:
        """A neighbour on the WAN that routes the LAN's prefix to us gets nothing through."""
        must(self.testbed, "router", ["ip", "route", "add", "192.168.0.0/24", "via", "100.64.1.130"])
        self.udp("router").sendto(b"", (self.testbed.hosts[0], 53))
        self.counted("forward_refused")

    def test_spoofed_source_is_dropped_before_it_uses_up_a_claim(self) -> None:
        """From the WAN with a LAN's source, the gateway's own or the pool's: never presented."""
        sender = self.make("public", socket.SOCK_RAW, protocol=socket.IPPROTO_RAW)
        for source in (self.testbed.hosts[1], "100.64.1.130", ON_LINK[1]):
            addresses = socket.inet_aton(source) + socket.inet_aton(TO_FIRST)
            header = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, 17, 0) + addresses
            sender.sendto(header + struct.pack("!HHHH", 4000, 53, 8, 0), (TO_FIRST, 0))
        self.counted("spoofed_source", 3)
        self.assertEqual(self.packets("presented"), 0)

    def test_stray_sender_is_kept_to_his_rate_and_others_are_not(self) -> None:
        """Of a stray sender's burst about stray_rate packets are presented, of another sender's all."""
        self.testbed.call("gwa", self.kernel.add_strays, [socket.inet_aton(CLIENT)])
        stray, other = (self.udp("public", address) for address in self.testbed.clients)
        for _ in range(50):
            stray.sendto(b"", (TO_FIRST, 53))
        self.assertTrue(until(lambda: self.packets("stray_limited") + self.packets("presented") == 50))
        let_in = self.packets("presented")
        self.assertTrue(5 <= let_in <= 20, let_in)
        for _ in range(50):
            other.sendto(b"", (TO_FIRST, 53))
        self.counted("presented", let_in + 50)

    def test_stray_sender_who_is_told_again_begins_his_time_anew(self) -> None:
        """Though the kernel has him; it keeps the time of an element that is added once more."""
        for _ in range(2):
            self.testbed.call("gwa", self.kernel.add_strays, [socket.inet_aton(CLIENT)])
            left = self.nft("-j", "list", "set", "inet", "realmgw", "strays")
            [element] = next(each["set"]["elem"] for each in json.loads(left)["nftables"] if "set" in each)
            self.assertGreaterEqual(element["elem"]["expires"], self.settings.admission.stray_timeout - 1)
            time.sleep(1.5)


class OutboundTests(DatapathTestCase):
    """The LAN's own flows."""

    def test_hosts_leave_from_the_pool(self) -> None:
        """A host's connections arrive from one outbound address, with nobody at the queue, and are answered."""
        server = self.server("public", CLIENT, 80)
        for host in self.testbed.hosts:
            left_from = {self.outbound(server, host) for _ in range(3)}
            self.assertEqual(len(left_from), 1)
            self.assertLessEqual(left_from, set(ON_LINK))

    def test_ports_of_outbound_flows_are_not_the_hosts_choice(self) -> None:
        """Protocols with one port for both sides (NTP, IKE) work from several hosts at once, by ports of the range."""
        for port in (123, 500):
            server = self.udp("public", CLIENT, port)
            seen = set()
            for host in self.testbed.hosts:
                client = self.udp("test_gwa", host, port)
                client.sendto(b"question", (CLIENT, port))
                _, peer = server.recvfrom(99)
                server.sendto(host.encode(), peer)
                self.assertEqual(client.recvfrom(99), (host.encode(), (CLIENT, port)))
                self.assertIn(peer[1], range(32768, 65536))
                seen.add(peer)
            self.assertEqual(len(seen), len(self.testbed.hosts))

    def test_outbound_flow_does_not_catch_a_clients_flow_to_another_host(self) -> None:
        """A host that sends from a service's port to a client gets nothing of what that client sends to the service."""
        one = ipaddress.IPv4Address(TO_FIRST_ON_LINK)
        pools = attrs.evolve(self.settings.pools, outbound=AddressRange(one, one))
        self.testbed.call(
            "gwa", self.kernel.change, attrs.evolve(self.settings, pools=pools), change(self.hosts, self.hosts)
        )
        self.decide()
        service = self.udp("test_gwa", self.testbed.hosts[0], 2000)
        other = self.udp("test_gwa", self.testbed.hosts[1], 2000)
        other.setblocking(False)
        for port in range(5000, 5032):
            client = self.udp("public", CLIENT, port)
            other.sendto(b"ahead", (CLIENT, port))
            self.assertNotEqual(client.recvfrom(99)[1][1], 2000)
            client.sendto(b"%d" % port, (TO_FIRST_ON_LINK, 2000))
            self.assertEqual(service.recv(99), b"%d" % port)
        self.assertRaises(BlockingIOError, other.recv, 99)

    def outbound(self, server: socket.socket, host: str) -> str:
        """Connect from a host, see that the connection carries data, and tell where it seems to come from."""
        client = self.make("test_gwa", socket.SOCK_STREAM, host)
        client.connect((CLIENT, 80))
        connection, peer = server.accept()
        self.addCleanup(connection.close)
        connection.sendall(b"welcome")
        self.assertEqual(client.recv(99), b"welcome")
        return str(peer[0])

    def test_error_about_an_outbound_flow_comes_back(self) -> None:
        """An ICMP error about a flow of a host reaches that host."""
        client = self.udp("test_gwa", self.testbed.hosts[1])
        client.connect((CLIENT, 9))
        client.send(b"")
        with self.assertRaises(ConnectionRefusedError):
            client.recv(99)

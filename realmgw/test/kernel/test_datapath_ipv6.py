"""The datapath's second family in a kernel: what passes, what is refused and how, what is dropped."""

from __future__ import annotations

import contextlib
import socket
import struct

import attrs

from realmgw.test import programs
from realmgw.test.datapath.moves import change
from realmgw.test.kernel.datapath_case import must, until
from realmgw.test.kernel.dualstack_case import (
    ECHO_REPLY,
    OWN,
    OWN_REFUSED,
    REFUSED6,
    TO_FIRST6,
    TO_NOBODY6,
    TO_SECOND6,
    UNDECIDED6,
    DualStackTestCase,
)

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.ipv6 import CLIENT, GATEWAY

SEE = """
from netfilterqueue import NetfilterQueue
from realmgw.admission.packet import parse
def see(packet):
    found = parse(packet.get_payload())
    print(found[2:] if isinstance(found, tuple) else found.name, flush=True)
    packet.drop()
queue = NetfilterQueue()
queue.bind(1, see)
print("bound", flush=True)
queue.run()
"""
"""Tells what admission reads in each packet."""


class AdmittedTests(DualStackTestCase):
    """Flows that the program at the queue admits."""

    def setUp(self) -> None:
        super().setUp()
        self.queue = self.decide()

    def test_tcp_reaches_the_host_that_the_mark_selects(self) -> None:
        """From a pool address to the host's own."""
        for pool, host in zip((TO_FIRST6, TO_SECOND6), self.testbed.hosts6, strict=True):
            client, connection = self.connected(pool, host)
            connection.sendall(host.encode())
            self.assertEqual((client.recv(99), connection.getpeername()[0]), (host.encode(), CLIENT))
        self.assertEqual((self.packets("presented6"), self.packets("admitted6")), (2, 2))
        self.assertEqual((self.packets("presented"), self.packets("admitted")), (2, 2))

    def test_udp_reaches_the_host_and_the_answer_comes_from_the_pool(self) -> None:
        """The host sees the client's own address, the client sees the pool's."""
        server = self.udp("test_gwa", self.testbed.hosts6[1], 53)
        client = self.udp()
        client.sendto(b"question", (TO_SECOND6, 53))
        question, sender = server.recvfrom(99)
        server.sendto(b"answer", sender)
        self.assertEqual((question, sender[0]), (b"question", CLIENT))
        answer, sender = client.recvfrom(99)
        self.assertEqual((answer, sender[:2]), (b"answer", (TO_SECOND6, 53)))

    def test_echo_reaches_the_host(self) -> None:
        """A protocol without ports is translated like any other."""
        client = self.heard_icmp()
        client.sendto(self.echo(), (TO_FIRST6, 0))
        self.assertTrue(until(lambda: client.recvfrom(99)[0][0] == ECHO_REPLY))
        self.assertEqual(self.packets("admitted6"), 1)

    def test_flow_without_an_answer_yet_is_presented_once(self) -> None:
        """By the pool, and at a host's own address."""
        for index, (to, host) in enumerate(((TO_FIRST6, self.testbed.hosts6[0]), (OWN, OWN)), 1):
            server, client = self.udp("test_gwa", host, 514), self.udp()
            for text in (b"one", b"two", b"three"):
                client.sendto(text, (to, 514))
                self.assertEqual(server.recv(99), text)
            self.assertEqual(self.packets("presented6"), index)

    def test_error_of_the_host_comes_back_translated(self) -> None:
        """A closed port: the client is told by the pool's address, and its socket knows."""
        client = self.udp()
        client.connect((TO_FIRST6, 9))
        client.send(b"")
        self.assertRaises(ConnectionRefusedError, client.recv, 99)

    def test_error_of_the_client_comes_to_the_host(self) -> None:
        """Whoever has gone: the host is told by the client's address, and its socket knows."""
        server, client = self.udp("test_gwa", self.testbed.hosts6[0], 53), self.udp()
        client.sendto(b"question", (TO_FIRST6, 53))
        server.connect(server.recvfrom(99)[1])
        client.close()
        server.send(b"answer")
        self.assertRaises(ConnectionRefusedError, server.recv, 99)

    def test_packet_that_is_too_big_is_told_both_ways(self) -> None:
        """A link of less than 1500 octets before the translation: both ends hear of it and go on."""
        client, connection = self.connected(TO_FIRST6, self.testbed.hosts6[0])
        connection.settimeout(5.0)
        for namespace, interface in (("gwa", "wan0"), ("router", "gwa")):
            must(self.testbed, namespace, ["ip", "link", "set", interface, "mtu", "1300"])
        much = bytes(20_000)
        for one, other in ((client, connection), (connection, client)):
            one.sendall(much)
            left = len(much)
            while left:
                left -= len(other.recv(left))

    def test_established_flow_survives_a_new_ruleset_and_nobody_at_the_queue(self) -> None:
        """By the pool, and at a host's own address."""
        pairs = []
        for to, host in ((TO_FIRST6, self.testbed.hosts6[0]), (OWN, OWN)):
            client, connection = self.connected(to, host)
            pairs.append((client, connection))
        self.queue.kill()
        self.queue.wait()
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        for client, connection in pairs:
            connection.sendall(b"still here")
            self.assertEqual(client.recv(99), b"still here")
            client.sendall(b"so am I")
            self.assertEqual(connection.recv(99), b"so am I")

    def test_host_that_was_taken_away_is_not_reached(self) -> None:
        """Neither by the pool nor at its own address; one that came is."""
        first, second, _, _ = self.hosts
        moved = attrs.evolve(second, address6=first.address6)
        self.testbed.call("gwa", self.kernel.change, self.settings, change(self.hosts, [moved]))
        self.udp().sendto(b"", (TO_FIRST6, 53))
        self.counted("host_unknown", 1)
        self.udp().sendto(b"", (OWN, 53))
        self.counted("forward_refused", 1)
        server = self.udp("test_gwa", self.testbed.hosts6[0], 53)
        self.udp().sendto(b"moved", (TO_SECOND6, 53))
        self.assertEqual(server.recv(99), b"moved")

    def test_flows_of_a_host_end_in_both_families(self) -> None:
        """By the addresses of either."""
        ended = 0
        for to, host in ((TO_FIRST6, self.testbed.hosts6[0]), (OWN, OWN)):
            server, client = self.udp("test_gwa", host, 53), self.udp()
            client.sendto(b"question", (to, 53))
            server.sendto(b"answer", server.recvfrom(99)[1])
            client.recv(99)
            packed = socket.inet_pton(socket.AF_INET6, host)
            ended += self.testbed.call("gwa", self.kernel.end_flows, [packed, self.hosts[0].address])
        self.assertEqual(ended, 2)

    def test_purge_ends_flows(self) -> None:
        """And leaves no route, no rule and no setting."""
        server, client = self.udp("test_gwa", self.testbed.hosts6[0], 53), self.udp()
        client.sendto(b"question", (TO_FIRST6, 53))
        server.recv(99)
        done = self.testbed.call("gwa", self.kernel.purge)
        self.assertIn("1 flows ended", done)
        self.assertEqual(self.testbed.run("gwa", ["ip", "-6", "route", "show", "proto", "82"]).stdout, "")
        self.assertNotIn("realmgw", self.testbed.run("gwa", ["ip6tables", "-t", "mangle", "-S"]).stdout)
        self.assertEqual(self.setting("all/forwarding"), "0")

    def setting(self, name: str) -> str:
        """A kernel setting of the gateway's."""
        return self.testbed.run("gwa", ["cat", f"/proc/sys/net/ipv6/conf/{name}"]).stdout.strip()


class PinholeTests(DualStackTestCase):
    """Hosts at their own addresses."""

    def test_is_open_for_what_was_admitted_only(self) -> None:
        """One is reached, the other's clients are refused, and a host without a pinhole is not reached at all."""
        self.decide()
        server = self.udp("test_gwa", OWN, 53)
        client = self.udp()
        client.sendto(b"question", (OWN, 53))
        self.assertEqual(server.recv(99), b"question")
        self.assertEqual(self.packets("admitted_pinhole"), 1)
        with self.assertRaises(ConnectionRefusedError):
            self.make("public", socket.SOCK_STREAM).connect((OWN_REFUSED, 80))
        self.testbed.call("gwa", self.kernel.change, self.settings, change(self.hosts, self.hosts[:2]))
        self.udp().sendto(b"", (OWN, 53))
        self.counted("forward_refused", 1)

    def test_is_closed_with_nobody_at_the_queue(self) -> None:
        """Nothing is forwarded that nobody has decided about."""
        self.udp().sendto(b"", (OWN, 53))
        self.counted("not_admitted", 1)

    def test_flows_from_its_host_are_answered(self) -> None:
        """With its own address, with nobody at the queue."""
        server = self.udp("public", CLIENT, 53)
        host = self.udp("test_gwa", OWN)
        host.sendto(b"question", (CLIENT, 53))
        question, sender = server.recvfrom(99)
        self.assertEqual((question, sender[0]), (b"question", OWN))
        server.sendto(b"answer", sender)
        self.assertEqual(host.recv(99), b"answer")

    def test_mark_alone_opens_nothing(self) -> None:
        """One that was there before is overwritten; one that comes later finds the packet gone."""
        for hook, priority in (("prerouting", "raw"), ("prerouting", "filter"), ("forward", "mangle")):
            chain = f'type filter hook {hook} priority {priority}\niifname "wan0" meta mark set 0x20000003'
            self.nft(f"table inet forger {{\nchain {hook}_{priority} {{\n{chain}\n}}\n}}\n")
        server = self.udp("test_gwa", OWN, 53)
        self.udp().sendto(b"", (OWN, 53))
        self.counted("not_admitted", 1)
        server.setblocking(False)
        self.assertRaises(BlockingIOError, server.recv, 99)


class UnusualTests(DualStackTestCase):
    """Packets with extension headers, as they come to the queue by a kernel."""

    def send(self, following: int, *rests: bytes) -> None:
        """Packets to the first host's pool address, each with what stands behind the header of IPv6."""
        sender = self.make("public", socket.SOCK_RAW, protocol=socket.IPPROTO_RAW)
        ends = b"".join(socket.inet_pton(socket.AF_INET6, each) for each in (CLIENT, TO_FIRST6))
        for rest in rests:
            sender.sendto(struct.pack("!IHBB", 6 << 28, len(rest), following, 64) + ends + rest, (TO_FIRST6, 0))

    def datagram(self, port: int, text: bytes) -> bytes:
        """A datagram for port 53 there, with its checksum."""
        ends = b"".join(socket.inet_pton(socket.AF_INET6, each) for each in (CLIENT, TO_FIRST6))
        blank = struct.pack("!HHHH", port, 53, 8 + len(text), 0) + text
        words = ends + struct.pack("!II", len(blank), 17) + blank
        return blank[:6] + (-int.from_bytes(words, "big") % 0xFFFF or 0xFFFF).to_bytes(2, "big") + blank[8:]

    def test_fragments_come_to_the_host_as_one_datagram(self) -> None:
        """In either order, for one decision; and so does what is a fragment by its header only (RFC 6946)."""
        self.decide()
        server, text = self.udp("test_gwa", self.testbed.hosts6[0], 53), bytes(range(256)) * 4
        for number, order in enumerate((1, -1)):
            whole = self.datagram(4000 + number, text)
            pieces = [fragment(number, 0, whole[:512], more=True), fragment(number, 512, whole[512:])]
            self.send(44, *pieces[::order])
            self.assertEqual(server.recv(2000), text)
        self.send(44, fragment(7, 0, self.datagram(4007, b"atomic")))
        self.assertEqual(server.recv(2000), b"atomic")
        self.assertEqual(self.packets("presented6"), 3)

    def test_what_leads_on_and_what_overlaps_is_not_let_in(self) -> None:
        """Overlapping fragments are gone before the queue (RFC 5722), a routing header is refused there (RFC 5095)."""
        said = self.at_queue(SEE).stdout
        assert said is not None
        whole = self.datagram(4001, bytes(64))
        self.send(44, fragment(1, 0, whole[:32], more=True), fragment(1, 24, whole[24:]), fragment(1, 32, whole[32:]))
        onwards, done = (struct.pack("!BBBBI", 17, 2, 0, left, 0) + bytes(16) for left in (1, 0))
        self.send(43, onwards + self.datagram(4002, b""), done + self.datagram(4003, b""))
        self.assertEqual([said.readline() for _ in range(2)], [b"BAD_HEADER\n", b"(17, 4003, 53)\n"])
        self.assertEqual(self.packets("presented6"), 2)


def fragment(identity: int, offset: int, piece: bytes, *, more: bool = False) -> bytes:
    """A piece of a datagram of UDP, with the header of a fragment (RFC 8200, 4.5)."""
    return struct.pack("!BBHI", 17, 0, offset | more, identity) + piece


class RefusedTests(DualStackTestCase):
    """Flows that the program at the queue refuses, as the client sees it (RFC 4443)."""

    def setUp(self) -> None:
        super().setUp()
        self.decide()
        self.errors = self.heard_icmp()

    def told(self) -> tuple[int, int, int]:
        """Type and code of the next error at the client, and the protocol of what it is about."""
        while True:
            message = self.errors.recv(999)
            if message[0] < 128:
                return message[0], message[1], message[8 + 6]

    def test_each_protocol_has_its_way(self) -> None:
        """A reset, port unreachable, administratively prohibited for the rest."""
        for refused in (REFUSED6, OWN_REFUSED):
            with self.assertRaises(ConnectionRefusedError):
                self.make("public", socket.SOCK_STREAM).connect((refused, 80))
            self.udp().sendto(b"", (refused, 53))
            self.assertEqual(self.told(), (1, 4, 17))
            self.errors.sendto(self.echo(), (refused, 0))
            self.assertEqual(self.told(), (1, 1, 58))
            self.make("public", socket.SOCK_RAW, protocol=50).sendto(b"not empty", (refused, 0))
            self.assertEqual(self.told(), (1, 1, 50))
        told = [self.packets(f"refused_{name}") for name in ("tcp", "udp", "icmp", "other")]
        self.assertEqual(told, [2, 2, 2, 2])

    def test_errors_and_groups_never_reach_user_space(self) -> None:
        """An error about a flow that there is not, listener and neighbour discovery: nothing of it is presented."""
        errors = ((1, 4), (2, 0), (3, 0), (4, 0))
        for kind, code in (*errors, (130, 0), (131, 0), (132, 0), (143, 0), (133, 0), (134, 0), (135, 0), (136, 0)):
            self.errors.sendto(struct.pack("!BBHI", kind, code, 0, 0) + bytes(48), (REFUSED6, 0))
            self.errors.sendto(struct.pack("!BBHI", kind, code, 0, 0) + bytes(48), (OWN_REFUSED, 0))
        ends = ("pool_invalid", "neighbours", "not_admitted")
        self.assertTrue(until(lambda: sum(map(self.packets, ends)) == 24), [*map(self.packets, ends)])
        self.assertEqual(self.packets("presented"), 0)

    def test_segment_that_opens_nothing_is_dropped(self) -> None:
        """It never reaches user space."""
        sender = self.make("public", socket.SOCK_RAW, protocol=socket.IPPROTO_TCP)
        for flags in (0x10, 0x12, 0x04, 0x03, 0x00):
            sender.sendto(struct.pack("!HHIIBBHHH", 4000 + flags, 80, 1, 1, 0x50, flags, 512, 0, 0), (REFUSED6, 0))
        self.assertTrue(until(lambda: sum(map(self.packets, ("stage_flags", "not_syn", "pool_invalid"))) == 5))
        self.assertEqual(self.packets("presented"), 0)


class ClosedTests(DualStackTestCase):
    """What does not pass."""

    skip = DualStackTestCase.skip or programs.missing("ping")

    def test_with_nobody_at_the_queue_everything_new_is_dropped(self) -> None:
        """As with a program that hands packets back undecided, and without the queue step."""
        self.udp().sendto(b"", (TO_FIRST6, 53))
        self.counted("not_admitted", 1)
        self.decide()
        self.udp().sendto(b"", (UNDECIDED6, 53))
        self.counted("not_admitted", 2)
        if not self.applied.found.native_queue:
            self.testbed.run("gwa", ["ip6tables", "-t", "mangle", "-F"])
            self.udp().sendto(b"", (TO_FIRST6, 53))
            self.counted("not_admitted", 3)
            self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.udp().sendto(b"", (TO_FIRST6, 53))
        self.counted("admitted6")
        self.udp().sendto(b"", (TO_NOBODY6, 53))
        self.counted("host_unknown")

    def test_private_address_is_not_reached_from_the_wan(self) -> None:
        """A neighbour on the WAN that routes the LAN's prefix to us gets nothing through."""
        must(self.testbed, "router", ["ip", "-6", "route", "add", "fd00::/64", "via", GATEWAY])
        self.udp("router").sendto(b"", (self.testbed.hosts6[0], 53))
        self.counted("forward_refused")

    def test_lan_and_the_gateway_do_not_reach_the_pool(self) -> None:
        """Only the WAN may address it."""
        self.udp("test_gwa").sendto(b"", (TO_FIRST6, 53))
        self.counted("pool_from_inside", 1)

    def test_spoofed_source_is_dropped_before_it_uses_up_a_claim(self) -> None:
        """From the WAN with a LAN's source, the gateway's own or the pool's; the kernel itself drops mapped ones."""
        sender = self.make("public", socket.SOCK_RAW, protocol=socket.IPPROTO_RAW)
        bad = (self.testbed.hosts6[1], GATEWAY, TO_SECOND6, "::ffff:100.64.3.10")
        for source in bad:
            addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, TO_FIRST6)
            sender.sendto(struct.pack("!IHBB", 6 << 28, 8, 50, 64) + addresses + bytes(8), (TO_FIRST6, 0))
        self.counted("spoofed_source", len(bad) - 1)
        self.assertEqual(self.packets("presented"), 0)

    def test_stray_sender_is_his_prefix(self) -> None:
        """Whoever has a /64 is kept to his rate, from whichever address of it; others are not."""
        first = self.testbed.clients6[0]
        near = first.replace("::1", "::2")
        must(self.testbed, "public", ["ip", "-6", "addr", "add", f"{near}/128", "dev", "eth0", "nodad"])
        self.testbed.call("gwa", self.kernel.add_strays, [socket.inet_pton(socket.AF_INET6, first)])
        strays = [self.udp("public", address) for address in (first, near)]
        other = self.udp("public", self.testbed.clients6[1])
        for number in range(50):
            strays[number % 2].sendto(b"", (TO_FIRST6, 53))
        self.assertTrue(until(lambda: self.packets("stray_limited") + self.packets("presented") == 50))
        let_in = self.packets("presented")
        self.assertTrue(5 <= let_in <= 20, let_in)
        for _ in range(50):
            other.sendto(b"", (TO_FIRST6, 53))
        self.counted("presented", let_in + 50)

    def test_neighbours_of_the_gateway_find_it_and_nobody_the_pool(self) -> None:
        """Neighbour discovery works in both directions; the kernel answers for no address of an on-link prefix."""
        for namespace in ("router", "gwa", "test_gwa"):
            must(self.testbed, namespace, ["ip", "-6", "neigh", "flush", "all"])
        pinged = self.testbed.run("router", ["ping", "-6", "-c1", "-W2", GATEWAY])
        self.assertEqual(pinged.returncode, 0, pinged.stdout)
        self.udp("router").sendto(b"", ("2001:db8:1:0:1::77", 53))
        asking = ["ip", "-6", "neigh", "show", "2001:db8:1:0:1::77"]
        self.assertTrue(until(lambda: "FAILED" in self.testbed.run("router", asking).stdout))
        self.assertEqual(self.packets("presented"), 0)

"""The parser of first packets."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.packet import COPY_RANGE, MAX_EXTENSIONS, parse, source_of
from realmgw.errors import Reason
from realmgw.test.admission import packets
from realmgw.test.admission.packets import CLIENT, CLIENT_V6, POOL, POOL_V6, icmp, ipv4, ipv6, sctp, tcp, udp

SYN, ACK, RST, FIN, PSH, URG, ECE, CWR = 0x02, 0x10, 0x04, 0x01, 0x08, 0x20, 0x40, 0x80
PORTS = st.integers(0, 0xFFFF)
SEGMENTS = {
    1: st.builds(icmp, st.integers(0, 255), st.integers(0, 255)),
    6: st.builds(
        tcp, PORTS, PORTS, flags=st.integers(0, 255), words=st.integers(0, 15), options=st.binary(max_size=40)
    ),
    17: st.builds(udp, PORTS, PORTS, st.binary(max_size=200), length=st.none() | PORTS),
    132: st.builds(sctp, PORTS, PORTS, chunk=st.integers(0, 3), length=st.integers(0, 40)),
    47: st.binary(max_size=30),
}


@st.composite
def ipv4_packets(draw: st.DrawFn) -> bytes:
    """IPv4 packets: mostly good, some with a lie in a header, some cut."""
    protocol = draw(st.sampled_from(sorted(SEGMENTS)))
    packet = ipv4(
        protocol,
        draw(SEGMENTS[protocol]),
        options=bytes(4) * draw(st.integers(0, 10)),
        total=draw(st.none() | st.integers(0, 300)),
        fragment=draw(st.sampled_from((0, 0, 0, 0x2000, 0x4000, 0x2001, 0x00FF))),
        header_words=draw(st.sampled_from((None, None, None, 0, 4, 5, 15))),
    )
    return packet[: draw(st.sampled_from((COPY_RANGE, COPY_RANGE, COPY_RANGE, *range(0, 64, 3))))]


@st.composite
def ipv6_packets(draw: st.DrawFn) -> bytes:
    """IPv6 packets without extension headers, alike."""
    protocol = draw(st.sampled_from(sorted({*SEGMENTS, 58})))
    segment = draw(SEGMENTS[1 if protocol == 58 else protocol])
    packet = ipv6(protocol, segment, length=draw(st.none() | st.integers(0, 300)))
    return packet[: draw(st.sampled_from((COPY_RANGE, COPY_RANGE, COPY_RANGE, *range(0, 84, 3))))]


class ParseTests(SynchronousTestCase):
    """What `parse` makes of IPv4 packets."""

    def test_names_the_five_fields_of_a_udp_datagram(self) -> None:
        """A datagram gives addresses, protocol and ports."""
        self.assertEqual(parse(ipv4(17, udp(4000, 53))), (CLIENT, POOL, 17, 4000, 53))

    def test_names_the_five_fields_of_a_syn(self) -> None:
        """A bare SYN may begin a flow."""
        self.assertEqual(parse(ipv4(6, tcp(4000, 80))), (CLIENT, POOL, 6, 4000, 80))

    def test_takes_a_syn_with_any_flags_that_do_not_concern_opening(self) -> None:
        """ECE and CWR negotiate ECN in a SYN (RFC 3168 section 6.1.1); PSH and URG say nothing about the connection."""
        for flags in (SYN | ECE | CWR, SYN | PSH, SYN | URG):
            self.assertEqual(parse(ipv4(6, tcp(flags=flags)))[2], 6)  # type: ignore[index]  # a packet, as asserted

    def test_refuses_segments_that_open_nothing(self) -> None:
        """Without SYN, or with one of ACK, RST and FIN, a segment belongs to a flow, or pretends to."""
        for flags in (0, ACK, SYN | ACK, RST, SYN | RST, FIN, SYN | FIN, 0xFF):
            self.assertIs(parse(ipv4(6, tcp(flags=flags))), Reason.NOT_INITIAL)

    def test_finds_the_ports_behind_ip_options(self) -> None:
        """The header's length says where the transport begins, for every length that it can have."""
        for words in range(1, 11):
            packet = ipv4(17, udp(4000, 53), options=b"\1" * (4 * words))
            self.assertEqual(parse(packet), (CLIENT, POOL, 17, 4000, 53))

    def test_has_no_ports_for_icmp_requests(self) -> None:
        """What conntrack takes as new may begin a flow."""
        for kind in (8, 13, 15, 17):
            self.assertEqual(parse(ipv4(1, icmp(kind))), (CLIENT, POOL, 1, 0, 0))

    def test_refuses_icmp_errors_and_replies(self) -> None:
        """An ICMP error that belongs to no flow must neither begin one nor be answered with another error."""
        for kind in (0, 3, 4, 5, 11, 12, 14, 16, 18, 40):
            self.assertIs(parse(ipv4(1, icmp(kind, 1))), Reason.NOT_INITIAL)

    def test_takes_an_sctp_init_only(self) -> None:
        """An association begins with INIT."""
        self.assertEqual(parse(ipv4(132, sctp(4000, 9))), (CLIENT, POOL, 132, 4000, 9))
        for chunk in (0, 2, 4, 6, 14):
            self.assertIs(parse(ipv4(132, sctp(chunk=chunk))), Reason.NOT_INITIAL)

    def test_has_no_ports_for_unknown_protocols(self) -> None:
        """What is no transport of ours is identified by its protocol alone, even without any content."""
        for protocol in (2, 33, 41, 47, 50, 136, 255):
            self.assertEqual(parse(ipv4(protocol, b"")), (CLIENT, POOL, protocol, 0, 0))

    def test_refuses_port_zero(self) -> None:
        """On either side, with every transport that has ports."""
        for protocol, build in ((6, tcp), (17, udp), (132, sctp)):
            self.assertIs(parse(ipv4(protocol, build(0, 80))), Reason.ZERO_PORT)
            self.assertIs(parse(ipv4(protocol, build(4000, 0))), Reason.ZERO_PORT)

    def test_refuses_later_fragments(self) -> None:
        """They have no ports; what stands in their place is somebody's data."""
        self.assertIs(parse(ipv4(17, udp(), fragment=0x0001)), Reason.FRAGMENT)
        self.assertIs(parse(ipv4(17, udp(), fragment=0x3FFF)), Reason.FRAGMENT)

    def test_takes_a_first_fragment_with_ports(self) -> None:
        """The UDP length of a first fragment speaks of the whole datagram."""
        self.assertEqual(parse(ipv4(17, udp(4000, 53, length=4000), fragment=0x2000)), (CLIENT, POOL, 17, 4000, 53))

    def test_refuses_a_tcp_header_cut_by_fragmentation(self) -> None:
        """RFC 1858: whoever sends flags in the second fragment wants to get by a filter."""
        self.assertIs(parse(ipv4(6, tcp()[:8], fragment=0x2000)), Reason.TRUNCATED)
        self.assertIs(parse(ipv4(6, tcp(words=6)[:20], fragment=0x2000)), Reason.TRUNCATED)

    def test_ignores_dont_fragment(self) -> None:
        """DF is no fragment."""
        self.assertEqual(parse(ipv4(17, udp(), fragment=0x4000)), (CLIENT, POOL, 17, 1025, 53))

    def test_takes_a_packet_of_which_only_the_headers_were_copied(self) -> None:
        """The queue copies the first octets of a long packet."""
        self.assertEqual(parse(ipv4(17, udp(data=bytes(1400)))[:28]), (CLIENT, POOL, 17, 1025, 53))
        self.assertEqual(parse(ipv4(6, tcp(words=15) + bytes(1400))[:34]), (CLIENT, POOL, 6, 1025, 80))

    def test_copies_enough_of_the_longest_header(self) -> None:
        """With 40 octets of options, every transport's fields are still among the copied ones."""
        for protocol, segment in ((6, tcp()), (17, udp()), (132, sctp()), (1, icmp())):
            packet = ipv4(protocol, segment + bytes(1200), options=bytes(40))
            self.assertIsInstance(parse(packet[:COPY_RANGE]), tuple)

    def test_refuses_lengths_that_contradict_each_other(self) -> None:
        """Each length field is compared with those around it."""
        lies = (
            ipv4(17, udp(), header_words=4),
            ipv4(17, udp(), total=19),
            ipv4(17, udp(), options=bytes(8), total=27),
            ipv4(17, udp(length=7)),
            ipv4(17, udp(length=0)),
            ipv4(6, tcp(words=4)),
            ipv4(132, sctp(length=19)),
        )
        for packet in lies:
            self.assertIs(parse(packet), Reason.BAD_HEADER, packet.hex())

    def test_refuses_packets_that_end_before_their_headers(self) -> None:
        """The total length ends the packet, whatever follows it."""
        short = (
            b"",
            ipv4(17, udp())[:19],
            ipv4(17, udp(), header_words=15)[:40],
            ipv4(17, udp(), total=27),
            ipv4(17, udp(length=13)),
            ipv4(6, tcp(), total=33),
            ipv4(6, tcp(words=6)),
            ipv4(132, sctp(), total=35),
            ipv4(1, icmp(), total=27),
        )
        for packet in short:
            self.assertIn(parse(packet), (Reason.TRUNCATED, Reason.BAD_HEADER), packet.hex())

    def test_refuses_other_versions(self) -> None:
        """What is neither IPv4 nor IPv6 is no packet for us."""
        for version in (0, 5, 7, 15):
            self.assertIs(parse(bytes((version << 4 | 5,)) + bytes(60)), Reason.BAD_HEADER)

    @given(st.binary(max_size=200))
    def test_never_raises(self, payload: bytes) -> None:
        """Every sequence of bytes is a packet or has a reason not to be."""
        self.assertIsInstance(parse(payload), (tuple, Reason))

    @given(
        st.sampled_from((0x45, 0x46, 0x4F, 0x60)), st.sampled_from((0, 1, 6, 17, 43, 44, 132)), st.binary(max_size=160)
    )
    def test_never_raises_near_the_truth(self, first: int, protocol: int, payload: bytes) -> None:
        """The same for what looks like a packet at its beginning."""
        packet = bytearray(bytes((first,)) + payload)
        for offset in (6, 9):
            packet[offset : offset + 1] = bytes((protocol,))
        self.assertIsInstance(parse(bytes(packet)), (tuple, Reason))

    @given(st.one_of(ipv4_packets(), ipv6_packets()))
    def test_agrees_with_a_naive_reader(self, packet: bytes) -> None:
        """A second parser that was written without the first in mind sees the same packets and the same reasons."""
        expected = packets.opinion(packet)
        if expected is None:
            self.assertIn(parse(packet), (Reason.TRUNCATED, Reason.BAD_HEADER))
        else:
            self.assertEqual(parse(packet), expected)


class ParseIPv6Tests(SynchronousTestCase):
    """What `parse` makes of IPv6 packets."""

    def test_names_the_five_fields(self) -> None:
        """Addresses have 16 octets; everything else is as with IPv4."""
        self.assertEqual(parse(ipv6(17, udp(4000, 53))), (CLIENT_V6, POOL_V6, 17, 4000, 53))
        self.assertEqual(parse(ipv6(6, tcp(4000, 80))), (CLIENT_V6, POOL_V6, 6, 4000, 80))
        self.assertEqual(parse(ipv6(58, icmp(128))), (CLIENT_V6, POOL_V6, 58, 0, 0))

    def test_refuses_icmp_messages_that_are_no_requests(self) -> None:
        """Errors, replies, listener and neighbour discovery, which no router forwards, and questions about nodes."""
        for kind in (1, 2, 3, 4, 129, *range(130, 138), 139, 143):
            self.assertIs(parse(ipv6(58, icmp(kind))), Reason.NOT_INITIAL)

    def test_skips_extension_headers(self) -> None:
        """Hop-by-hop options, destination options, routing, authentication and an atomic fragment."""
        chain = bytes((60, 0, *bytes(6))) + bytes((43, 1, *bytes(14))) + bytes((51, 0, *bytes(6)))
        chain += bytes((44, 4, *bytes(22))) + bytes((6, 0, *bytes(6)))
        self.assertEqual(parse(ipv6(0, chain + tcp())), (CLIENT_V6, POOL_V6, 6, 1025, 80))

    def test_refuses_hop_by_hop_options_that_are_not_first(self) -> None:
        """RFC 8200 section 4.1."""
        self.assertIs(parse(ipv6(60, bytes(8) + bytes((17, *bytes(7))) + udp())), Reason.BAD_HEADER)

    def test_takes_first_fragments_and_refuses_later_ones(self) -> None:
        """As with IPv4."""
        first, later = struct.pack("!BBHI", 17, 0, 1, 7), struct.pack("!BBHI", 17, 0, 8, 7)
        self.assertEqual(parse(ipv6(44, first + udp(length=3000))), (CLIENT_V6, POOL_V6, 17, 1025, 53))
        self.assertIs(parse(ipv6(44, later + udp())), Reason.FRAGMENT)

    def test_follows_a_bounded_chain_only(self) -> None:
        """As many headers as are allowed, and one more."""
        link, last = bytes((60, *bytes(7))), bytes((17, *bytes(7)))
        self.assertIsInstance(parse(ipv6(60, link * (MAX_EXTENSIONS - 1) + last + udp())), tuple)
        self.assertIs(parse(ipv6(60, link * MAX_EXTENSIONS + last + udp())), Reason.BAD_HEADER)

    def test_refuses_what_is_to_be_sent_on_from_here(self) -> None:
        """A routing header of whatever type that names further stops, type 0 (RFC 5095) above all; else it is over."""
        for kind in (0, 2, 4, 253):
            for left, found in ((1, Reason.BAD_HEADER), (0, (CLIENT_V6, POOL_V6, 17, 1025, 53))):
                routing = bytes((17, 2, kind, left, *bytes(20)))
                self.assertEqual(parse(ipv6(43, routing + udp())), found)

    def test_takes_an_atomic_fragment_and_refuses_a_header_cut_by_fragmentation(self) -> None:
        """RFC 6946: a fragment that is the whole packet; RFC 7112: the first one has all headers."""
        atomic, first = struct.pack("!BBHI", 17, 0, 0, 7), struct.pack("!BBHI", 6, 0, 1, 7)
        self.assertEqual(parse(ipv6(44, atomic + udp())), (CLIENT_V6, POOL_V6, 17, 1025, 53))
        self.assertIs(parse(ipv6(44, first + tcp()[:8])), Reason.TRUNCATED)

    def test_refuses_fragments_of_fragments(self) -> None:
        """Nobody makes them: the outer one has everything, and says that it is a part."""
        outer = struct.pack("!BBHI", 44, 0, 0, 7)
        for inner in (0, 1, 8):
            again = outer + struct.pack("!BBHI", 17, 0, inner, 7)
            self.assertIs(parse(ipv6(44, again + udp())), Reason.BAD_HEADER)

    def test_refuses_jumbograms(self) -> None:
        """RFC 2675: a length of 0, and the true one in a hop-by-hop option."""
        jumbo = bytes((17, 0, 0xC2, 4)) + struct.pack("!I", 100_000)
        self.assertIs(parse(ipv6(0, jumbo + udp(data=bytes(1000)), length=0)), Reason.TRUNCATED)

    def test_refuses_what_nobody_sends_from(self) -> None:
        """Groups, no address, the own machine, IPv4 in its clothes, and what no router forwards."""
        nobody = ("ff02::1", "ff0e::1", "::", "::1", "::192.0.2.1", "::ffff:192.0.2.1", "fe80::1", "febf::1")
        for text in nobody:
            source = IPv6Address(text).packed
            for packet in (ipv6(17, udp(), source=source), ipv6(6, tcp(), source=source)):
                self.assertIs(parse(packet), Reason.BAD_HEADER, text)
                self.assertEqual(source_of(packet), source)
        for text in ("64:ff9b::192.0.2.1", "fd00::1", "fec0::1", "::1:0:0:0:1", "2002:c000:201::1"):
            source = IPv6Address(text).packed
            self.assertEqual(parse(ipv6(17, udp(), source=source)), (source, POOL_V6, 17, 1025, 53), text)

    def test_refuses_what_has_nothing_in_it(self) -> None:
        """No next header (RFC 8200 section 4.7), at once or behind others."""
        self.assertIs(parse(ipv6(59, b"")), Reason.NOT_INITIAL)
        self.assertIs(parse(ipv6(60, bytes((59, *bytes(7))))), Reason.NOT_INITIAL)

    def test_copies_enough_of_the_longest_chain_of_usual_headers(self) -> None:
        """As many octets of extension headers as as many of them have that are followed."""
        link = bytes((60, *bytes(7)))
        for protocol, segment in ((6, tcp()), (17, udp()), (132, sctp()), (58, icmp(128))):
            chain = link * (MAX_EXTENSIONS - 1) + bytes((protocol, *bytes(7)))
            packet = ipv6(60, chain + segment + bytes(1200))
            self.assertIsInstance(parse(packet[:COPY_RANGE]), tuple)
            self.assertLess(40 + len(chain) + 20, COPY_RANGE)

    def test_refuses_packets_that_end_before_their_headers(self) -> None:
        """Whether the packet itself, its length field or an extension's length says so."""
        short = (
            ipv6(17, udp())[:39],
            ipv6(17, udp(), length=7),
            ipv6(17, b""),
            ipv6(60, bytes((17, 200, *bytes(6))) + udp()),
            ipv6(60, bytes(7)),
        )
        for packet in short:
            self.assertIs(parse(packet), Reason.TRUNCATED, packet.hex())


class SourceTests(SynchronousTestCase):
    """The sender of a packet that could not be parsed."""

    def test_is_known_from_the_fixed_header_on(self) -> None:
        """Whatever is wrong behind it."""
        self.assertEqual(source_of(ipv4(17, b"", total=3)[:20]), CLIENT)
        self.assertEqual(source_of(ipv6(17, b"")), CLIENT_V6)

    def test_is_unknown_without_a_header(self) -> None:
        """A stub, or no IP at all."""
        for payload in (b"", ipv4(17, b"")[:19], ipv6(17, b"")[:39], b"\x95" + bytes(60)):
            self.assertIsNone(source_of(payload))

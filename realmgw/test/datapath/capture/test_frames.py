"""Tests for `realmgw.datapath.capture.frames`: octets, and filters in the kernel."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.capture.frames import MOST_ADDRESSES, lets_through, network_of, seen
from realmgw.datapath.capture.pcapng import ETHERNET, RAW
from realmgw.datapath.netlink.client import attach
from realmgw.test.admission import packets

PATIENCE = 5.0  # seconds


class FrameTests(SynchronousTestCase):
    """What is in a frame."""

    def test_the_packet_of_a_frame(self) -> None:
        """Behind tags, too; of another protocol there is none; without Ethernet it is the frame."""
        head = bytes(12)
        self.assertEqual(network_of(head + b"\x08\x00E", ETHERNET), b"E")
        self.assertEqual(network_of(head + b"\x81\x00\x00\x05\x86\xdd\x60", ETHERNET), b"\x60")
        self.assertEqual(network_of(head + b"\x08\x06\0\1", ETHERNET), b"")
        self.assertEqual(network_of(b"short", ETHERNET), b"")
        self.assertEqual(network_of(b"E", RAW), b"E")

    def test_ends_and_payload_of_both_families(self) -> None:
        """Of TCP behind its options."""
        for packet in (packets.ipv4(17, packets.udp(data=b"data")), packets.ipv6(17, packets.udp(data=b"data"))):
            found = seen(packet)
            assert found is not None
            self.assertEqual((found.headers.sport, found.headers.dport, found.payload), (1025, 53, b"data"))
        found = seen(packets.ipv4(6, packets.tcp(words=6, options=bytes(4)) + b"data", options=bytes(8)))
        assert found is not None
        self.assertEqual((found.headers.source, found.headers.dport, found.payload), (packets.CLIENT, 80, b"data"))

    def test_an_error_is_about_a_packet(self) -> None:
        """As far as it is quoted; an echo is about none."""
        quoted = packets.ipv4(17, packets.udp())
        found = seen(packets.ipv4(1, packets.icmp(3, 1)[:8] + quoted[:28]))
        assert found is not None
        assert found.about is not None
        self.assertEqual((found.about.headers.dport, found.about.payload), (53, b""))
        for other in (packets.ipv4(1, packets.icmp(8) + quoted), packets.ipv4(1, packets.icmp(3)[:8])):
            found = seen(other)
            assert found is not None
            self.assertIsNone(found.about)

    def test_whatever_the_octets_are(self) -> None:
        """Cut off anywhere, there is something or nothing, and no fault."""
        whole = packets.ipv4(1, packets.icmp(3)[:8] + packets.ipv4(6, packets.tcp() + b"data"))
        for packet in (whole, packets.ipv6(6, packets.tcp()), b"\x41" + whole[1:], b"\x00"):
            for length in range(len(packet)):
                seen(packet[:length])
        self.assertIsNone(seen(b""))
        self.assertIsNone(seen(whole[:19]))


class FilterTests(SynchronousTestCase):
    """Which packets the kernel hands over, at sockets that everybody may have."""

    def is_heard(self, address: str, *wanted: str) -> bool:
        """Whether a datagram from and to an address comes through the filter for these; a later one does without."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as there, socket.socket(family, socket.SOCK_DGRAM) as here:
            there.settimeout(PATIENCE)
            there.bind((address, 0))
            here.bind((address, 0))
            attach(there, lets_through([ip_address(each).packed for each in wanted]))
            here.sendto(b"filtered", there.getsockname())
            attach(there, lets_through(()))
            here.sendto(b"not", there.getsockname())
            return there.recv(100) == b"filtered"

    def test_of_ipv4_by_either_end(self) -> None:
        """Wherever it stands among others."""
        self.assertTrue(self.is_heard("127.0.0.5", "127.0.0.5"))
        self.assertTrue(self.is_heard("127.0.0.5", "192.0.2.1", "::1", "127.0.0.5"))
        self.assertFalse(self.is_heard("127.0.0.5", "127.0.0.6", "192.0.2.1", "::1"))

    def test_of_ipv6_by_all_words(self) -> None:
        """The last one alone is not enough."""
        self.assertTrue(self.is_heard("::1", "192.0.2.1", "2001:db8::1", "::1"))
        self.assertFalse(self.is_heard("::1", "2001:db8::1", "::2", "127.0.0.1"))

    def test_for_none_and_for_too_many_there_is_everything(self) -> None:
        """A program has an end; the longest one is taken."""
        self.assertTrue(self.is_heard("::1"))
        many = [f"2001:db8::{number:x}" for number in range(1, MOST_ADDRESSES + 1)]
        self.assertFalse(self.is_heard("::1", *many))
        self.assertTrue(self.is_heard("::1", "192.0.2.1", *many))

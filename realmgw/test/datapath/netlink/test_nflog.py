"""What nfnetlink_log tells of packets, from octets; `kernel.test_refusals` has the kernel's own."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import nflog
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.netlink.test_counters import attribute, message
from realmgw.test.datapath.netlink.test_traces import ipv4, ipv6

# linux/netfilter/nfnetlink_log.h, written out once more
PACKET, MARK, PAYLOAD = 0x0400, 2, 9
PORTS = struct.pack("!HH", 1025, 80)


def told(payload: bytes, mark: int = 7) -> bytes:
    """The kernel's message about a packet."""
    body = struct.pack("!BBH", 2, 0, 6) + attribute(MARK, struct.pack("!I", mark)) + attribute(PAYLOAD, payload)
    return message(PACKET, body)


class NflogTests(SynchronousTestCase):
    """Marks and headers."""

    def test_a_packet_has_a_mark_and_headers(self) -> None:
        """Of both families; options of IPv4 lie before its ports."""
        longer = bytes([0x46]) + ipv4(17)[1:] + bytes(4)
        for payload in (ipv4(17) + PORTS, longer + PORTS, ipv6(17) + PORTS):
            [(mark, headers)] = nflog.packets(told(payload))
            self.assertEqual((mark, headers.protocol, headers.sport, headers.dport), (7, 17, 1025, 80))

    def test_what_is_no_packet_is_passed_over(self) -> None:
        """Acknowledgements, and what is not of IP."""
        self.assertEqual(list(nflog.packets(message(2, bytes(20)) + told(b"") + told(b"\x10x"))), [])

    def test_the_group_is_in_the_binding(self) -> None:
        """In network order, with the command."""
        self.assertIn(b"\x01\x02", nflog.binding(0x0102, 1))

    @given(st.binary(max_size=80))
    def test_nothing_worse_comes_of_any_octets(self, octets: bytes) -> None:
        """Than that they are refused."""
        for received in (octets, told(octets)):
            with contextlib.suppress(RealmGatewayError):
                list(nflog.packets(received))

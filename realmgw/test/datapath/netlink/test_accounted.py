"""Ends of flows, as the kernel tells of them."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import accounted, codec
from realmgw.errors import RealmGatewayError

UDP = bytes.fromhex(
    "f400000002010000000000002d2a000002000000"
    "3400018014000180080001007f000001080002007f0000021c000280050001001100000006000200177000000600030013880000"
    "3400028014000180080001007f000003080002007f0000011c000280050001001100000006000200138900000600030017700000"
    "08000c00e23d7e6a080003000000020a080007000000001d"
    "1c0009800c00010000000000000000010c00020000000000000000211c000a800c00010000000000000000020c0002000000000000000023"
    "1c0014800c00010018ebe2b19f64a7370c00020018ebe2b1a192bf210c001b0018ebe2b1a192bfad"
)  # fmt: skip
"""One that Linux 6.18 has told, with four addresses and ports that are different."""


class ParseTests(SynchronousTestCase):
    """Both ways to read."""

    def test_what_the_kernel_tells_is_read(self) -> None:
        """Quickly, and one by one: with the same result."""
        end = accounted.parse(UDP)
        one, two, three = (ip_address(f"127.0.0.{number}").packed for number in (1, 2, 3))
        self.assertEqual(end[:10], (one, two, 17, 6000, 5000, three, one, 17, 5001, 6000))
        self.assertEqual(end[10:15], (0x20A, 1, 33, 2, 35))
        self.assertEqual(end[15:], (1795778128948537143, 1795778128985112353))
        [said] = codec.messages(UDP)
        self.assertEqual(accounted.read(said), end)

    def test_usual_messages_are_read_where_they_are(self) -> None:
        """Of both families: what is between the values is as the kernel writes it."""
        for family, size in ((2, 4), (10, 16)):
            body = accounted._usual(family, b"\1")
            end = accounted.parse(codec.message(accounted.DESTROYED, 0, 0, body))
            self.assertEqual((end.source, end.sport, end.octets), (b"\1" * size, 0x101, 0x101010101010101))
            [said] = codec.messages(codec.message(accounted.DESTROYED, 0, 0, body))
            self.assertEqual(accounted.read(said), end)

    def test_a_flow_without_ports_counts_or_times(self) -> None:
        """What is not told is None, and ports are 0."""
        addresses = codec.nested(1, codec.attribute(1, b"\1" * 4), codec.attribute(2, b"\2" * 4))
        flow = addresses + codec.nested(2, codec.attribute(1, b"\x2f"))
        body = codec.nested(1, flow) + codec.nested(2, flow)
        end = accounted.parse(codec.message(accounted.DESTROYED, 0, 0, b"\2\0\0\0" + body))
        self.assertEqual((end.protocol, end.sport, end.status, end[11:]), (47, 0, 0, (None,) * 6))

    @given(st.integers(0, len(UDP) - 1), st.integers(0, 255))
    def test_anything_else_is_refused(self, at: int, octet: int) -> None:
        """Cut off or changed anywhere: it is read, or refused, and in the same way by both."""
        for said in (UDP[:at], UDP[:at] + bytes((octet,)) + UDP[at + 1 :]):
            with contextlib.suppress(RealmGatewayError):
                end = accounted.parse(said)
                message = next(codec.messages(said))
                self.assertEqual(accounted.read(message), end)

"""Tests for `realmgw.datapath.netlink.tracked`."""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import codec, tracked
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.answers import only
from realmgw.test.datapath.netlink.test_flows import CLIENT, HOST, POOL, attribute, entry, message, nested

CLIENT6, HOST6 = (b"\x20\x01\x0d\xb8" + bytes(11) + bytes((last,)) for last in (1, 2))


def entry6(sequence: int, *more: bytes) -> bytes:
    """A flow of a pinhole: the host is reached at its own address."""

    def tuple6(source: bytes, destination: bytes, sport: int, dport: int) -> bytes:
        ports = (struct.pack("!H", port) for port in (sport, dport))
        protocol = nested(2, attribute(1, b"\x06"), *(attribute(kind, port) for kind, port in enumerate(ports, 2)))
        return nested(1, attribute(3, source), attribute(4, destination)) + protocol

    body = struct.pack("!BBH", 10, 0, 0) + nested(1, tuple6(CLIENT6, HOST6, 4000, 443))
    return message(1 << 8, sequence, body + nested(2, tuple6(HOST6, CLIENT6, 443, 4000)) + b"".join(more))


class GlanceTests(SynchronousTestCase):
    """What says whether a flow is of interest."""

    def test_reads_both_families(self) -> None:
        """Where the kernel writes it."""
        self.assertEqual(tracked.glance(only(entry(1, HOST)).body), (17, CLIENT, POOL, HOST, CLIENT))
        self.assertEqual(tracked.glance(only(entry6(1)).body), (6, CLIENT6, HOST6, HOST6, CLIENT6))

    def test_finds_it_where_it_is_not_usually(self) -> None:
        """Another kernel may write other attributes first."""
        for told, found in (
            (entry(1, HOST), (17, CLIENT, POOL, HOST, CLIENT)), (entry6(1), (6, CLIENT6, HOST6, HOST6, CLIENT6)),
        ):  # fmt: skip
            body = only(told).body
            self.assertEqual(tracked.glance(body[:4] + attribute(99, b"xy") + body[4:]), found)

    def test_an_entry_that_is_cut_off_is_an_error(self) -> None:
        """Wherever it is, or it has no address there; nothing else is raised."""
        body = only(entry(1, HOST)).body
        for length in range(len(body)):
            try:
                self.assertEqual(len(tracked.glance(body[:length])), 5)
            except RealmGatewayError:  # noqa: PERF203 - what is to be seen
                continue


class TrackedTests(SynchronousTestCase):
    """A flow in full."""

    def test_tells_both_directions_and_how_it_is(self) -> None:
        """State, timeout, and what was counted in both directions."""
        count = attribute(1, struct.pack("!Q", 3)), attribute(2, struct.pack("!Q", 400))
        counted = nested(9, *count), nested(10, *count)
        state = nested(4, nested(1, attribute(1, b"\x03")))
        status, timeout = attribute(3, struct.pack("!I", 1 << 1 | 1 << 2)), attribute(7, struct.pack("!I", 300))
        found = tracked.tracked(only(entry6(1, status, timeout, state, *counted)))
        self.assertEqual(found.original, tracked.Direction(CLIENT6, HOST6, 6, 4000, 443))
        self.assertEqual(found.reply, tracked.Direction(HOST6, CLIENT6, 6, 443, 4000))
        told = (found.state, found.answered, found.assured, found.remaining, found.packets, found.octets)
        self.assertEqual(told, ("established", True, True, 300, 6, 800))

    def test_what_is_not_told_is_not_made_up(self) -> None:
        """No state, and no counters."""
        found = tracked.tracked(only(entry(1, HOST)))
        self.assertEqual((found.state, found.answered, found.packets, found.octets), ("", False, None, None))
        self.assertEqual(tracked.tracked(only(entry6(1, nested(4, nested(1, attribute(1, b"\xff")))))).state, "")

    def test_what_stands_where_it_usually_does_is_read_as_by_its_attributes(self) -> None:
        """Of both families; the kernel adds a zone where there is one."""
        for told, length in ((entry(1, HOST), 48), (entry6(1), 72)):
            usual = codec.fields(only(told))[1]
            self.assertIsNotNone(tracked._USUAL[length](usual))
            self.assertEqual(tracked._direction(usual), tracked._direction(usual + attribute(3, b"\0\1")))
            for at in (0, 4, 6):  # lengths and types of what is in it
                other = usual[:at] + bytes((usual[at] + 1,)) + usual[at + 1 :]
                self.assertIsNone(tracked._USUAL[length](other))

"""Tests of the kernel's answers about routes; `realmgw.test.kernel.test_datapath_watch` asks a kernel."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import netlink, routes
from realmgw.datapath.links import Kind, Route
from realmgw.datapath.routes import Way
from realmgw.errors import RealmGatewayError

SEQUENCE = 3
DONE = netlink.message(netlink.DONE, 0, SEQUENCE, bytes(4))


def answer(length: int, kind: int, *attributes: bytes, protocol: int = 82, sequence: int = SEQUENCE) -> bytes:
    """A route as the kernel writes it."""
    body = struct.pack("=BBBBBBBBI", 2, length, 0, 0, 254, protocol, 0, kind, 0) + b"".join(attributes)
    return netlink.message(24, 0, sequence, body)


class ListingTests(SynchronousTestCase):
    """`listing` and `parse`."""

    def test_finds_our_routes_only(self) -> None:
        """By protocol number and type, whatever else an older kernel sends; the default route has no destination."""
        destination = netlink.attribute(1, bytes((198, 51, 100, 0)))
        found: set[Route] = set()
        listed = (
            answer(24, 7, destination),
            answer(0, 2),
            answer(24, 1, destination),
            answer(24, 7, destination, protocol=3),
            answer(25, 7, destination, sequence=SEQUENCE - 1),
        )
        self.assertFalse(routes.parse(b"".join(listed), SEQUENCE, found))
        self.assertTrue(routes.parse(DONE, SEQUENCE, found))
        ours = {Route(ip_network("198.51.100.0/24"), Kind.UNREACHABLE), Route(ip_network("0.0.0.0/0"), Kind.LOCAL)}
        self.assertEqual(found, ours)

    def test_refusal_is_told(self) -> None:
        """With its number."""
        refusal = netlink.message(netlink.ERROR, 0, SEQUENCE, struct.pack("=i", -1))
        with self.assertRaisesRegex(RealmGatewayError, "error 1"):
            routes.parse(refusal, SEQUENCE, set())

    @given(st.binary(max_size=200))
    def test_garbage_raises_nothing_else(self, garbage: bytes) -> None:
        """Whatever comes."""
        for function in (lambda: routes.parse(garbage, SEQUENCE, set()), lambda: routes.way(garbage, SEQUENCE)):
            try:
                function()
            except RealmGatewayError:  # noqa: PERF203 - there are two
                continue


class WayTests(SynchronousTestCase):
    """`question` and `way`."""

    def test_says_where_an_address_leads(self) -> None:
        """To this machine, by an interface, or nowhere."""
        out = netlink.attribute(4, struct.pack("=I", 9))
        refusal = netlink.message(netlink.ERROR, 0, SEQUENCE, struct.pack("=i", -101))
        self.assertEqual(routes.way(answer(32, 2, out), SEQUENCE), Way(is_local=True, interface=9))
        self.assertEqual(routes.way(answer(0, 1, out), SEQUENCE), Way(is_local=False, interface=9))
        self.assertEqual(routes.way(refusal, SEQUENCE), Way(is_local=False, interface=0))

    def test_asks_for_one_address(self) -> None:
        """All 32 bits of it, or 128."""
        self.assertTrue(routes.question("192.0.2.1", SEQUENCE).endswith(bytes((8, 0, 1, 0, 192, 0, 2, 1))))
        asked = routes.question("2001:db8::1", SEQUENCE)
        self.assertEqual(asked[16:18], bytes((10, 128)))
        self.assertTrue(asked.endswith(ip_address("2001:db8::1").packed))

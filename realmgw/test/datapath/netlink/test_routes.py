"""Tests of the kernel's answers about routes; `realmgw.test.kernel.test_datapath_watch` asks a kernel."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.links import Route, RouteType
from realmgw.datapath.netlink import codec, routes
from realmgw.datapath.netlink.routes import Way
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel, done, only

SEQUENCE = 3


def answer(length: int, kind: int, *attributes: bytes, protocol: int = 82, sequence: int = SEQUENCE) -> bytes:
    """A route as the kernel writes it."""
    body = struct.pack("=BBBBBBBBI", 2, length, 0, 0, 254, protocol, 0, kind, 0) + b"".join(attributes)
    return codec.message(24, 0, sequence, body)


class ListingTests(SynchronousTestCase):
    """`listing` and `listed`."""

    def test_finds_our_routes_only(self) -> None:
        """By protocol number and type, whatever else an older kernel sends; the default route has no destination."""
        destination = codec.attribute(1, bytes((198, 51, 100, 0)))
        listed = (
            answer(24, 7, destination),
            answer(0, 2),
            answer(24, 1, destination),
            answer(24, 7, destination, protocol=3),
            answer(25, 7, destination, sequence=SEQUENCE - 1),
        )
        channel = AnsweringChannel(b"".join(listed), done(SEQUENCE))
        found = routes.listed(codec.dump(channel, routes.listing(SEQUENCE, routes.AF_INET), "routes"))
        ours = {
            Route(ip_network("198.51.100.0/24"), RouteType.UNREACHABLE),
            Route(ip_network("0.0.0.0/0"), RouteType.LOCAL),
        }
        self.assertEqual(found, ours)

    def test_finds_those_of_ipv6(self) -> None:
        """The family says how long a destination is; of other families there are none."""
        packed = ip_network("2001:db8:2::/64").network_address.packed
        for family, found in ((10, {Route(ip_network("2001:db8:2::/64"), RouteType.UNREACHABLE)}), (28, set())):
            body = struct.pack("=BBBBBBBBI", family, 64, 0, 0, 254, 82, 0, 7, 0) + codec.attribute(1, packed)
            self.assertEqual(routes.listed([only(codec.message(24, 0, SEQUENCE, body))]), found)
        self.assertEqual(routes.listing(SEQUENCE, routes.AF_INET6)[16], 10)

    def test_a_destination_that_is_none_is_told(self) -> None:
        """Longer than an address, or with bits beyond its length."""
        for address, length in ((bytes(4), 33), (bytes((192, 0, 2, 1)), 24), (bytes(3), 8)):
            malformed = only(answer(length, 7, codec.attribute(1, address)))
            self.assertRaises(RealmGatewayError, routes.listed, [malformed])


class WayTests(SynchronousTestCase):
    """`question` and `way`."""

    def test_says_where_an_address_leads(self) -> None:
        """To this machine, or by an interface."""
        out = codec.attribute(4, struct.pack("=I", 9))
        self.assertEqual(routes.way(only(answer(32, 2, out))), Way(is_local=True, interface=9))
        self.assertEqual(routes.way(only(answer(0, 1, out))), Way(is_local=False, interface=9))
        self.assertEqual(routes.way(only(answer(0, 7))), Way(is_local=False, interface=0))

    def test_asks_for_one_address(self) -> None:
        """All 32 bits of it, or 128."""
        self.assertTrue(routes.question("192.0.2.1", SEQUENCE).endswith(bytes((8, 0, 1, 0, 192, 0, 2, 1))))
        asked = routes.question("2001:db8::1", SEQUENCE)
        self.assertEqual(asked[16:18], bytes((10, 128)))
        self.assertTrue(asked.endswith(ip_address("2001:db8::1").packed))

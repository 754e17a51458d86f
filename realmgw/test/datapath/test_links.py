"""Which routes make the pool ours, and which pools are refused."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Attachment, Interfaces, PoolPrefix, Pools
from realmgw.datapath import links
from realmgw.datapath.links import Route, RouteType
from realmgw.errors import PlatformError

INTERFACES = Interfaces(wan="wan0", lan=("lan0",))
ADDRESSES = {
    "lo": (ip_interface("127.0.0.1/8"), ip_interface("::1/128")),
    "wan0": (ip_interface("192.0.2.1/24"), ip_interface("2001:db8::1/64")),
    "lan0": (ip_interface("192.168.0.1/24"),),
}


def pool(*prefixes: tuple[str, Attachment]) -> Pools:
    """A circular pool of these prefixes."""
    return Pools(circular=tuple(PoolPrefix(ip_network(network), how) for network, how in prefixes))


class RouteTests(SynchronousTestCase):
    """`wanted_routes` and `route_changes`."""

    def test_kind_follows_the_attachment(self) -> None:
        """What is routed to us is unreachable behind us, what is on-link is local."""
        prefixes = pool(("192.0.2.128/29", Attachment.ON_LINK), ("203.0.113.0/24", Attachment.ROUTED)).circular
        on_link, routed = Route(prefixes[0].network, RouteType.LOCAL), Route(prefixes[1].network, RouteType.UNREACHABLE)
        self.assertEqual(links.wanted_routes(prefixes), {on_link, routed})

    def test_no_prefix_of_ipv6_is_the_machines_own(self) -> None:
        """The kernel would answer for all of it, or listen there."""
        prefixes = pool(("2001:db8:1::/64", Attachment.ROUTED), ("2001:db8::8000:0/97", Attachment.ON_LINK)).circular
        self.assertEqual({route.kind for route in links.wanted_routes(prefixes)}, {RouteType.UNREACHABLE})

    def test_nothing_changes_when_all_is_there(self) -> None:
        """A second start touches no route."""
        wanted = links.wanted_routes(pool(("192.0.2.128/29", Attachment.ON_LINK)).circular)
        self.assertEqual([*links.route_changes(wanted, wanted)], [])

    def test_changed_attachment_replaces_the_route(self) -> None:
        """The new one is added, the stale one deleted."""
        network = ip_network("192.0.2.128/29")
        stale, new = Route(network, RouteType.UNREACHABLE), Route(network, RouteType.LOCAL)
        changes = links.route_changes(frozenset([stale]), frozenset([new]))
        self.assertEqual([*changes], [("add", new), ("del", stale)])


class CheckTests(SynchronousTestCase):
    """`missing_interfaces` and `check_pool`."""

    def test_missing_interface_is_named_with_its_key_and_those_that_there_are(self) -> None:
        """The operator sees at once which name to write."""
        for interfaces, key in (
            (Interfaces(wan="wan9", lan=("lan0",)), "interfaces.wan: there is no interface wan9"),
            (Interfaces(wan="wan0", lan=("lan0", "lan9")), "interfaces.lan: there is no interface lan9"),
        ):
            (line,) = links.missing_interfaces(interfaces, ADDRESSES)
            self.assertIn(f"{key} (there are lan0, lo, wan0)", line)
        self.assertEqual(links.missing_interfaces(INTERFACES, ADDRESSES), ())

    def test_pool_with_an_address_of_the_gateway_is_refused(self) -> None:
        """Everything new for that address, its own name server's queries included, would be dropped."""
        with self.assertRaisesRegex(PlatformError, "192.0.2.0/28 holds 192.0.2.1, the gateway's own address on wan0"):
            links.check_pool(pool(("192.0.2.0/28", Attachment.ON_LINK)), INTERFACES, ADDRESSES)

    def test_pool_that_overlaps_a_lan_is_refused(self) -> None:
        """The private hosts there could not be reached."""
        with self.assertRaisesRegex(PlatformError, "192.168.0.64/26 overlaps 192.168.0.0/24, the network of lan0"):
            links.check_pool(pool(("192.168.0.64/26", Attachment.ROUTED)), INTERFACES, ADDRESSES)

    def test_on_link_pool_with_an_end_of_the_link_is_refused(self) -> None:
        """The kernel broadcasts what is for the last address, so a client who was told it reached nobody."""
        for network, end in (("192.0.2.254/31", "192.0.2.255"), ("192.0.2.0/32", "192.0.2.0")):
            with self.assertRaisesRegex(
                PlatformError, f"{network} holds {end}, which stands for the network 192.0.2.0/24"
            ):
                links.check_pool(pool((network, Attachment.ON_LINK)), INTERFACES, ADDRESSES)

    def test_ends_of_prefixes_that_are_no_links_are_addresses_as_others(self) -> None:
        """What is routed to us has no broadcast address, nor has a link of two."""
        two = {**ADDRESSES, "wan0": (ip_interface("192.0.2.0/31"),)}
        links.check_pool(pool(("192.0.2.1/32", Attachment.ON_LINK)), INTERFACES, two)
        links.check_pool(pool(("203.0.113.0/24", Attachment.ROUTED)), INTERFACES, ADDRESSES)

    def test_prefix_that_looks_attached_the_other_way_is_doubted(self) -> None:
        """It may be right, so it is a warning."""
        for network, how, doubt in (
            ("192.0.2.128/29", Attachment.ROUTED, "is routed, but part of the network of wan0"),
            ("203.0.113.0/24", Attachment.ON_LINK, "is on-link, but no part of a network of wan0"),
        ):
            (warning,) = links.check_pool(pool((network, how)), INTERFACES, ADDRESSES)
            self.assertIn(f"{network} {doubt}", warning)

    def test_pool_of_ipv6_is_looked_at_alike(self) -> None:
        """An address of the gateway, a router, a LAN, and the way that it is attached."""
        lan = {**ADDRESSES, "lan0": (ip_interface("fd00::1/64"), ip_interface("fe80::1/64"))}
        for network, how, refused in (
            ("2001:db8::/121", Attachment.ON_LINK, "holds 2001:db8::1, the gateway's own address on wan0"),
            ("2001:db8::80/121", Attachment.ON_LINK, "holds 2001:db8::99, the router that our default route goes by"),
            ("fd00::8000:0/97", Attachment.ROUTED, "overlaps fd00::/64, the network of lan0"),
        ):
            with self.assertRaisesRegex(PlatformError, f"{network} {refused}"):
                links.check_pool(pool((network, how)), INTERFACES, lan, [ip_address("2001:db8::99")])
        for network, how, doubt in (
            ("2001:db8::8000:0/97", Attachment.ROUTED, "is routed, but part of the network of wan0"),
            ("3fff::/64", Attachment.ON_LINK, "is on-link, but no part of a network of wan0"),
        ):
            (warning,) = links.check_pool(pool((network, how)), INTERFACES, lan, [ip_address("fe80::1")])
            self.assertIn(f"{network} {doubt}", warning)
        fine = pool(("2001:db8::8000:0/97", Attachment.ON_LINK), ("3fff::/64", Attachment.ROUTED))
        self.assertEqual(links.check_pool(fine, INTERFACES, lan), ())

    def test_pool_as_it_should_be_is_not_doubted(self) -> None:
        """Neither family is compared with the other."""
        good = pool(
            ("192.0.2.128/29", Attachment.ON_LINK),
            ("203.0.113.0/24", Attachment.ROUTED),
            ("2001:db8:1::/64", Attachment.ROUTED),
        )
        self.assertEqual(links.check_pool(good, INTERFACES, ADDRESSES), ())

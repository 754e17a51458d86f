"""Tests for `realmgw.subscribers.reach`, and of `realmgw.subscribers.realm` with it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.config.settings import NameServer, Zone
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.reach import NOWHERE, Around
from realmgw.subscribers.realm import Realm
from realmgw.subscribers.schema import entries

AROUND = Around(
    own=frozenset({IPv4Address("192.168.0.1"), IPv4Address("192.0.2.1"), IPv6Address("fd00:5::1")}),
    routers=frozenset({IPv4Address("192.0.2.254"), IPv6Address("2001:db8::fe")}),
    links=(IPv4Network("192.168.0.0/24"), IPv4Network("10.9.0.0/31"), IPv6Network("fd00:5::/64")),
    reached=(
        *map(IPv4Network, ("192.168.0.0/24", "10.9.0.0/31", "9.9.9.0/24")),
        *map(IPv6Network, ("fd00:5::/64", "2a00:7::/64")),
    ),
)
ZONE = Zone("example.org.", (NameServer("ns.example.org.", (IPv4Address("192.0.2.1"),)),), "admin.example.org.")
REFUSED = {
    "192.168.0.1": "is the gateway's own address",
    "192.0.2.254": "is the router that the gateway's default route goes by",
    "192.168.0.0": "is no single host's, but stands for the network 192.168.0.0/24",
    "192.168.0.255": "is no single host's, but stands for the network 192.168.0.0/24",
    "8.8.8.8": "is on the Internet, and no route leads to it by a LAN",
}
REFUSED6 = {
    "fd00:5::1": "is the gateway's own address",
    "2001:db8::fe": "is the router that the gateway's default route goes by",
    "fd00:5::": "is no single host's, but stands for the network fd00:5::/64",
    "2a00:1450::1": "is on the Internet, and no route leads to it by a LAN",
}
GOOD6 = ("fd00:5::2", "fd00:5::ffff:ffff:ffff:ffff", "fd00:6::", "2a00:7::1", "2001:db8:9::1")
GOOD = ("192.168.0.2", "10.9.0.0", "10.9.0.1", "172.16.0.1", "9.9.9.9", "100.64.0.9")


def entry(address: str) -> Entry:
    """A host with one name."""
    problems = Problems("f")
    root = parse(f"a.example.org: {{address: {address if '[' in address else repr(address)}}}".encode(), problems)
    assert root is not None
    [found] = entries(root, problems)
    return found


class AroundTests(SynchronousTestCase):
    """What the machine's networks say against addresses of hosts."""

    def test_refuses_addresses_that_no_host_can_have_here(self) -> None:
        """With why, once."""
        realm = Realm([ZONE], around=AROUND)
        for address, why in {**REFUSED, **REFUSED6}.items():
            [line] = realm.contradictions(entry(address))
            self.assertIn(f"{address} {why}", line)

    def test_looks_at_both_addresses_of_a_host(self) -> None:
        """Each by itself."""
        realm = Realm([ZONE], around=AROUND)
        lines = list(realm.contradictions(entry("['fd00:5::1', 192.168.0.1]")))
        self.assertEqual([line.split(" ")[0] for line in lines], ["192.168.0.1", "fd00:5::1"])

    def test_a_family_without_routes_is_not_known(self) -> None:
        """Hosts of a machine whose IPv6 is off keep what they have."""
        around = attrs.evolve(AROUND, reached=tuple(each for each in AROUND.reached if each.version == 4))
        self.assertEqual(list(Realm([ZONE], around=around).contradictions(entry("2a00:1450::1"))), [])
        around = attrs.evolve(AROUND, reached=tuple(each for each in AROUND.reached if each.version == 6))
        self.assertEqual(list(Realm([ZONE], around=around).contradictions(entry("8.8.8.8"))), [])

    def test_takes_the_others(self) -> None:
        """A network of two has no broadcast address; private ones may be behind routers of the LAN."""
        realm = Realm([ZONE], around=AROUND)
        for address in (*GOOD, *GOOD6):
            self.assertEqual(list(realm.contradictions(entry(address))), [], address)

    def test_says_nothing_where_nothing_is_known(self) -> None:
        """On another machine than the gateway; and nothing of the Internet while a LAN has no network."""
        for address in (*REFUSED, *REFUSED6, *GOOD, *GOOD6):
            self.assertEqual(list(Realm([ZONE], around=NOWHERE).contradictions(entry(address))), [])
        self.assertEqual(list(Realm([ZONE], around=Around()).contradictions(entry("8.8.8.8"))), [])

    def test_realms_around_other_machines_are_different(self) -> None:
        """What was judged for one is judged anew for the other."""
        self.assertNotEqual(Realm([ZONE], around=AROUND), Realm([ZONE]))

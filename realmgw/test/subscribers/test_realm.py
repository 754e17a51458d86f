"""Tests for `realmgw.subscribers.realm`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, ip_network
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.config.steps import PORTION, finish
from realmgw.subscribers.entry import Entry, Offer
from realmgw.subscribers.reach import Around
from realmgw.subscribers.realm import Realm
from realmgw.subscribers.schema import entries
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read


class _Counted(tuple[Any, ...]):
    """Networks of IPv4; counts how often one of them is taken."""

    def __new__(cls, taken: list[int], networks: Iterable[Any]) -> _Counted:
        """With where it is counted."""
        self = super().__new__(cls, networks)
        self.taken = taken
        return self

    taken: list[int]

    def __iter__(self) -> Iterator[Any]:
        """Those that are taken one after the other."""
        for each in super().__iter__():
            self.taken[0] += 1
            yield each


class RealmTests(SynchronousTestCase):
    """`Realm` knows what subscribers may say beside the gateway's settings."""

    def setUp(self) -> None:
        """The realm of a gateway without a service pool."""
        text = MINIMAL.replace("dns: {", "dns: {lan: {listen: [192.168.0.1]}, ").replace(
            "contact: admin.example.org}",
            "contact: admin.example.org}, x.example.org: {aliases: true}",
        )
        self.realm = finish(Realm.of(read(text)))

    def add(self, text: str) -> list[str]:
        """What is wrong with a subscriber."""
        root = parse(text.encode(), Problems("f"))
        assert root is not None
        [entry] = entries(root, Problems("f"))
        return list(self.realm.contradictions(entry))

    def test_names_are_no_longer_than_names_may_be(self) -> None:
        """Those that are made of a registered host's may be; no file has them."""
        for length, count in ((254, 0), (255, 1)):
            name = f"{'a.' * 119}{'b' * (length - 251)}.example.org."
            self.assertEqual(len(name), length)
            entry = Entry("h.example.org.", IPv4Address("192.168.0.9"), (Offer(name),))
            found = list(self.realm.contradictions(entry))
            self.assertEqual(found, [f"{name} is no domain name: it may have 253 characters, shorten it"] * count)

    def test_hosts_do_not_have_the_gateways_addresses(self) -> None:
        """Neither those where it listens nor those of its pool."""
        [own] = self.add("a.example.org: {address: 192.168.0.1}")
        self.assertEqual(own, "192.168.0.1 is the gateway's own address: write the host's")
        [wan] = self.add("a.example.org: {address: 192.0.2.1}")
        self.assertIn("192.0.2.1 is the gateway's own address", wan)
        [pool] = self.add("a.example.org: {address: 198.51.100.7}")
        self.assertIn("198.51.100.7 is an address of the circular pool", pool)

    def test_hosts_do_not_have_the_gateways_addresses_of_ipv6(self) -> None:
        """Of the pool, of zones, and where it listens; told beside what is wrong with the other address."""
        text = MINIMAL.replace("dns: {", "dns: {lan: {listen: ['fd00::1']}, ").replace(
            "circular: [", "circular: [{addresses: '2001:db8:1::/64', attachment: on-link}, "
        )
        self.realm = finish(Realm.of(read(text.replace("contact:", "address: '2001:db8::1', contact:"))))
        for address, said in (
            ("2001:db8:1::", "2001:db8:1:: is an address of the circular pool: write the host's own one"),
            ("2001:db8:1::ffff:ffff:ffff:ffff", "is an address of the circular pool"),
            ("fd00::1", "fd00::1 is the gateway's own address: write the host's"),
            ("2001:db8::1", "2001:db8::1 is the gateway's own address"),
        ):
            [line] = self.add(f"a.example.org: {{address: '{address}'}}")
            self.assertIn(said, line)
            self.assertEqual(len(self.add(f"a.example.org: {{address: [192.0.2.1, '{address}']}}")), 2)
        self.assertEqual(self.add("a.example.org: {address: ['2001:db8:2::', 192.168.0.9]}"), [])

    def test_a_pinhole_needs_a_public_address(self) -> None:
        """Where the host itself asks for one."""
        [line] = self.add("a.example.org: {address: 'fd00::9', ipv6: pinhole}")
        self.assertEqual(
            line,
            "'ipv6: pinhole' needs a public address, and fd00::9 is none: write another, or 'ipv6: pool'",
        )
        for text in ("'2001:db8::9', ipv6: pinhole", "'fd00::9', ipv6: pool", "192.168.0.9, ipv6: pinhole"):
            self.assertEqual(self.add(f"a.example.org: {{address: {text}}}"), [])

    def test_the_gateway_itself_may_be_listed(self) -> None:
        """Existing collections do so, without any service."""
        self.assertEqual(self.add("gw.example.org.: {ID: {FQDN: [gw.example.org.], IPV4: [192.0.2.1]}}"), [])

    def test_a_proxy_needs_the_service_pool(self) -> None:
        """Of such a name."""
        text = "a.example.org: {address: 192.168.0.9, services: {w.example.org: {proxy_required: true}}}"
        [line] = self.add(text)
        self.assertTrue(line.startswith("w.example.org. needs the service pool"))
        self.realm = finish(Realm.of(read(MINIMAL.replace("pools: {", "pools: {service: [192.0.2.1], "))))
        self.assertEqual(self.add(text), [])

    def test_a_zone_of_aliases_has_no_services(self) -> None:
        """Their names come and go by themselves."""
        [line] = self.add("a.x.example.org: {address: 192.168.0.9}")
        self.assertEqual(
            line,
            "a.x.example.org. lies within a zone of one-time aliases: write a name within example.org.",
        )

    def test_is_made_in_steps_of_however_many_zones_and_prefixes(self) -> None:
        """The reactor has its turn between them, and threads would take it from the reactor."""
        settings = read(MINIMAL)
        [zone], [prefix] = settings.zones, settings.pools.circular
        zones = tuple(attrs.evolve(zone, name=f"z{number}.example.org.") for number in range(3 * PORTION))
        pool = tuple(attrs.evolve(prefix, network=each) for each in ip_network("10.0.0.0/8").subnets(new_prefix=19))
        settings = attrs.evolve(settings, zones=zones, pools=attrs.evolve(settings.pools, circular=pool))
        self.assertEqual(list(Realm.of(settings)), [None] * (3 + 3 * len(pool) // PORTION))

    def test_routes_are_taken_in_steps_once(self) -> None:
        """For each family: a LAN may have very many networks behind it."""
        routes, taken = tuple(ip_network("10.0.0.0/8").subnets(new_prefix=19)), [0]
        around, turns = Around(reached=_Counted(taken, routes)), list[int]()
        for _ in Realm.of(read(MINIMAL), around):
            turns.append(taken[0])
            taken[0] = 0
        self.assertLessEqual(max(turns), PORTION)
        self.assertEqual(sum((*turns, *taken)), 2 * len(routes))

    def test_is_another_one_when_something_else_can_be_said(self) -> None:
        """By zones and pool, as by what is around."""
        settings = read(MINIMAL)
        self.assertEqual(finish(Realm.of(settings)), finish(Realm.of(read(MINIMAL))))
        for other in (
            MINIMAL.replace("198.51.100.0/24", "198.51.100.0/25"),
            MINIMAL.replace("pools: {", "pools: {service: [192.0.2.1], "),
            MINIMAL.replace("example.org", "example.net"),
            MINIMAL + "policy: {pipeline: {groups: {a: }}}\n",
        ):
            self.assertNotEqual(finish(Realm.of(settings)), finish(Realm.of(read(other))))

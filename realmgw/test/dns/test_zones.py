"""The zone table."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import attrs
import dns.reversename
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.config.steps import finish
from realmgw.dns import reverse, zones
from realmgw.dns.codec import names
from realmgw.dns.codec.names import to_wire
from realmgw.dns.codec.wire import Type
from realmgw.subscribers.model import Directory
from realmgw.test.dns import realm


class CompileTests(SynchronousTestCase):
    """What is in the table."""

    def test_finds_services_by_wire_name(self) -> None:
        """The key is what a query brings; the value is the directory's own."""
        directory = realm.directory()
        table = zones.compile_table(realm.ZONES, directory)
        self.assertIs(table.services[b"\3one\7example\3org\0"], directory.services["one.example.org."])

    def test_many_zones_are_compared_and_made_in_steps(self) -> None:
        """However many there are, nobody waits for more than a portion of them."""
        [zone, *_] = realm.ZONES
        many = tuple(attrs.evolve(zone, name=f"z{number}.example.org.") for number in range(1000))
        other = (*many[:-1], attrs.evolve(many[-1], ttl=many[-1].ttl + 1))
        for ours, theirs, is_same in ((many, tuple(map(attrs.evolve, many)), True), (many, other, False)):
            steps = zones.same(ours, theirs)
            self.assertIsNone(next(steps))
            self.assertIs(finish(steps), is_same)
        self.assertFalse(finish(zones.same(many, many[1:])))
        made = list(zones.compiling(many, Directory({}, {})))
        self.assertGreaterEqual(len(made), 2 * len(many) // zones.ZONES_AT_ONCE)
        self.assertEqual(len(zones.compile_table(many, Directory({}, {})).zones.by_apex), len(many))

    def test_leaves_out_names_of_other_zones(self) -> None:
        """We are not asked for them, and would not be believed."""
        table = realm.table(extra=("one.example.net.", "org.", "badexample.org."))
        self.assertEqual(len(table.services), len(realm.directory().services))

    def test_prefers_the_zone_s_own_addresses(self) -> None:
        """A service can not take the name server's name or the apex's, if they have an address."""
        table = realm.table(extra=("ns1.example.org.", "example.org.", "child.example.org."))
        self.assertNotIn(to_wire("ns1.example.org."), table.services)
        self.assertNotIn(to_wire("example.org."), table.services)
        self.assertIn(to_wire("child.example.org."), table.services)

    def test_knows_the_names_between(self) -> None:
        """Names that have nothing themselves but stand above others, up to the apex."""
        below = {to_wire("empty.nodes.example.org."), to_wire("nodes.example.org.")}
        self.assertEqual(set(realm.table().below) - realm.table().services.keys(), below)
        self.assertEqual(set(realm.table().pointers_below), {to_wire("0.168.192.in-addr.arpa.")})

    def test_has_the_records_of_apex_and_name_server(self) -> None:
        """SOA, NS, and addresses where they are ours."""
        static = realm.table().static
        self.assertEqual(set(static[to_wire("example.org.")]), {Type.SOA, Type.NS, Type.A})
        self.assertEqual(set(static[to_wire("ns1.example.org.")]), {Type.A})
        self.assertNotIn(to_wire("ns.example.net."), static)

    def test_has_an_address_of_each_family(self) -> None:
        """Of apex and name server, where both are told."""
        both = (realm.GATEWAY, IPv6Address("2001:db8:3::1"))
        server = attrs.evolve(realm.SERVER, addresses=both)
        zone = attrs.evolve(realm.ZONE, name_servers=(server,), apex_addresses=both)
        static = zones.compile_table((zone,), Directory({}, {})).static
        for name in ("example.org.", "ns1.example.org."):
            said = {kind: records[0].rdata for kind, records in static[to_wire(name)].items() if records[0].rdata}
            self.assertEqual((said[Type.A], said[Type.AAAA]), tuple(address.packed for address in both))

    def test_has_each_record_once(self) -> None:
        """The same name server may serve several of our zones."""
        self.assertEqual(len(realm.table().static[to_wire("ns1.example.org.")][Type.A]), 1)

    def test_gives_negative_answers_the_lesser_ttl(self) -> None:
        """Of the SOA's own TTL and its MINIMUM (RFC 2308 section 3)."""
        for ttl, minimum in ((300, 5), (3, 5)):
            zone = attrs.evolve(realm.ZONE, ttl=ttl, negative_ttl=minimum)
            table = zones.compile_table((zone,), realm.directory())
            self.assertEqual(table.zones.by_apex[to_wire(zone.name)].negative.ttl, min(ttl, minimum))

    def test_refuses_bad_names(self) -> None:
        """And names the one that is bad."""
        zone = settings.Zone("example..org.", (realm.SERVER,), "hostmaster.example.org.")
        error = self.assertRaises(names.BadNameError, zones.compile_table, (zone,), Directory({}, {}))
        self.assertIn("example..org.", str(error))

    def test_is_empty_without_zones(self) -> None:
        """Nothing is ours then."""
        self.assertIsNone(zones.compile_table((), realm.directory()).zones.of(to_wire("one.example.org.")))


class AuthorityTests(SynchronousTestCase):
    """Which zone a name lies in."""

    def test_is_the_one_with_the_longest_apex(self) -> None:
        """A zone within a zone has its own names."""
        of = realm.table().zones.of
        for name, apex in (
            ("example.org.", "example.org."),
            ("a.b.c.d.e.example.org.", "example.org."),
            ("child.example.org.", "child.example.org."),
            ("a.child.example.org.", "child.example.org."),
            ("notchild.example.org.", "example.org."),
        ):
            authority = of(to_wire(name))
            assert authority is not None
            self.assertEqual(names.to_text(authority.apex), apex)

    def test_is_none_for_other_names(self) -> None:
        """Names above and beside our zones, and the root."""
        for name in ("org.", ".", "example.net.", "xexample.org."):
            self.assertIsNone(realm.table().zones.of(to_wire(name)))


class ReverseNameTests(SynchronousTestCase):
    """`reverse.name_of`."""

    @given(st.ip_addresses().filter(lambda address: not getattr(address, "ipv4_mapped", None)).map(str))
    def test_is_what_dnspython_makes(self, address: str) -> None:
        """For both families (of an IPv4-mapped address it makes the IPv4 name)."""
        expected = dns.reversename.from_address(address).to_wire()
        self.assertEqual(reverse.name_of(ip_address(address).packed), expected)

"""Names that have nothing themselves: between apexes, services and name servers, in every view."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs
import dns.message
import dns.name
import dns.rcode
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.config.steps import finish
from realmgw.dns.codec.wire import Rcode, decode
from realmgw.dns.explain import Question, explain_name
from realmgw.dns.lan import lan_view
from realmgw.dns.view import Asker, View
from realmgw.dns.zones import amending, compile_table, naming
from realmgw.subscribers.model import Directory, Host, Profile, Service, Terms
from realmgw.test.dns import realm

ROOT = "example.org."
LABELS = st.sampled_from("abc")
BELOW = st.lists(LABELS, max_size=5).map(lambda labels: ".".join([*labels, ROOT]))
ONE = realm.host(1, "one.example.org.")


def zone(name: str) -> settings.Zone:
    """A zone whose name server is elsewhere."""
    return settings.Zone(name, (settings.NameServer("ns.example.net."),), "h.example.net.")


def directory(services: set[str]) -> Directory:
    """One host of many names."""
    return Directory({name: Service(name, ONE, Terms(proxy_required=True)) for name in services}, {1: ONE})


class ExistenceTests(SynchronousTestCase):
    """Whether there is a name, by both paths of the WAN, on the LAN, and in an explanation."""

    def rcode(self, view: View, name: str, kind: str = "NS") -> dns.rcode.Rcode:
        """What both paths say."""
        query = dns.message.make_query(name, kind).to_wire()
        asker = Asker(realm.RESOLVER, print)
        full = view.answer(decode(query), asker, now=1.0)
        quick = view.fast(query, realm.RESOLVER, now=1.0)
        self.assertIn(quick, (full, None))
        return dns.message.from_wire(full or b"").rcode()

    @given(st.sets(BELOW, max_size=3), st.sets(BELOW, max_size=4), st.sets(BELOW, max_size=4), BELOW)
    @hypothesis_settings(max_examples=100, deadline=None)
    def test_there_is_what_something_is_below(
        self, apexes: set[str], before: set[str], after: set[str], asked: str
    ) -> None:
        """Whatever zones lie in each other, and whatever services came and went (RFC 8020, RFC 4592 section 2.2.2)."""
        zones = tuple(map(zone, sorted(apexes | {ROOT})))
        made = realm.make_settings(zones=zones)
        wan = realm.wan(made=made)
        wan.configure(made, compile_table(zones, directory(before)))
        changes = finish(naming(wan.table, before - after, directory(after).services.values(), (), ()))
        for _ in amending(wan.table, changes):
            pass
        wan.configure(made, wan.table)
        there = [dns.name.from_text(name) for name in apexes | after | {ROOT}]
        exists = any(name.is_subdomain(dns.name.from_text(asked)) for name in there)
        for view in (wan, lan_view(made, wan.table)):
            for kind in ("NS", "A", "TXT", "DS"):
                self.assertEqual(self.rcode(view, asked, kind) == dns.rcode.NOERROR, exists, (asked, kind))
        response = explain_name(wan, Question(asked, "198.51.100.53"), 1.0).response
        assert response is not None
        self.assertEqual(response.rcode is Rcode.NOERROR, exists)

    def test_a_strict_minimiser_finds_what_is_below(self) -> None:
        """It asks for NS, a label more each time (RFC 9156), and believes the first NXDOMAIN."""
        zones = (realm.ZONE, attrs.evolve(realm.CHILD, name="a.b.example.org."))
        wan = realm.wan(made=realm.make_settings(zones=zones))
        for name in ("org.", "example.org.", "b.example.org.", "a.b.example.org."):
            said = dns.rcode.REFUSED if name == "org." else dns.rcode.NOERROR
            self.assertEqual(self.rcode(wan, name), said)

    def test_reverse_zones_have_them_too(self) -> None:
        """On the LAN those above addresses of hosts, on the WAN only those above zones."""
        zones = (
            realm.ZONE,
            *(attrs.evolve(realm.REVERSE, name=name) for name in ("10.in-addr.arpa.", "4.3.2.10.in-addr.arpa.")),
        )
        hosts = [Host(1, "one.example.org.", bytes((10, 7, 8, 9)), Profile(10))]
        made = realm.make_settings(zones=zones)
        wan = realm.wan(made=made)
        wan.configure(made, compile_table(zones, Directory({}, {host.index: host for host in hosts})))
        lan = lan_view(made, wan.table)
        for name, on_wan, on_lan in (
            ("3.2.10.in-addr.arpa.", True, True),
            ("2.10.in-addr.arpa.", True, True),
            ("8.7.10.in-addr.arpa.", False, True),
            ("7.10.in-addr.arpa.", False, True),
            ("9.9.10.in-addr.arpa.", False, False),
        ):
            for view, exists in ((wan, on_wan), (lan, on_lan)):
                self.assertEqual(self.rcode(view, name, "PTR") == dns.rcode.NOERROR, exists, name)


class ClasslessTests(SynchronousTestCase):
    """Reverse zones for a part of a network (RFC 2317)."""

    def pointers(self, *names: str) -> dict[str, str]:
        """What the LAN says of some names, where it says something, with such zones."""
        zones = (
            realm.ZONE,
            *(
                attrs.evolve(realm.REVERSE, name=name)
                for name in ("0/25.0.168.192.in-addr.arpa.", "hosts.0.168.192.in-addr.arpa.")
            ),
        )
        hosts = [realm.host(index, f"h{index}.example.org.") for index in (5, 200)]
        everybody = Directory({}, {host.index: host for host in hosts})
        lan = lan_view(realm.make_settings(zones=zones), compile_table(zones, everybody))
        said = {}
        for name in names:
            query = dns.message.make_query(f"{name}.0.168.192.in-addr.arpa.", "PTR").to_wire()
            answer = dns.message.from_wire(lan.answer(decode(query), Asker(realm.RESOLVER, print), now=1.0) or b"")
            said[name] = answer.answer[0][0].target.to_text() if answer.answer else dns.rcode.to_text(answer.rcode())
        return said

    def test_its_addresses_have_their_names_there(self) -> None:
        """Those that its name says; with a name that says nothing, all of the network, which itself is not ours."""
        self.assertEqual(
            self.pointers("5.0/25", "200.0/25", "5.hosts", "200.hosts", "9.hosts", "5"),
            {
                "5.0/25": "h5.example.org.",
                "200.0/25": "NXDOMAIN",
                "5.hosts": "h5.example.org.",
                "200.hosts": "h200.example.org.",
                "9.hosts": "NXDOMAIN",
                "5": "REFUSED",
            },
        )

    def test_they_come_and_go_with_their_hosts(self) -> None:
        """A host that is gone, or has another address, leaves none of its names behind."""
        zones = (realm.ZONE, attrs.evolve(realm.REVERSE, name="0/25.0.168.192.in-addr.arpa."), realm.REVERSE)
        one, moved = realm.host(5, "h.example.org."), realm.host(6, "h.example.org.")
        table = compile_table(zones, Directory({}, {5: one}))
        self.assertEqual(len(table.pointers), 2)
        for gone, came, left in (([one], [moved], 2), ([moved], [], 0)):
            for _ in amending(table, finish(naming(table, (), (), gone, came))):
                pass
            self.assertEqual(
                (len(table.pointers), {host.index for host in table.pointers.values()}), (left, {6} if left else set())
            )
        self.assertEqual(table.pointers_below, {})

    def test_the_zone_itself_has_its_records(self) -> None:
        """SOA and NS, on both views."""
        name = "64/26.2.0.192.in-addr.arpa."
        made = realm.make_settings(
            zones=(realm.ZONE, settings.Zone(name, (realm.SERVER,), "h.example.org.", (IPv4Address("192.0.2.65"),)))
        )
        for view in (realm.wan(made=made), lan_view(made, compile_table(made.zones, realm.directory()))):
            query = dns.message.make_query(name, "SOA").to_wire()
            answer = dns.message.from_wire(view.answer(decode(query), Asker(realm.RESOLVER, print), now=1.0) or b"")
            self.assertEqual(answer.answer[0].name.to_text(), name)

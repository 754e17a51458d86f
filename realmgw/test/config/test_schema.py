"""Tests for `realmgw.config.schema`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import schema
from realmgw.config.document import Problems, parse
from realmgw.config.pipeline import DnsServed, Management, NewRate, Preemptive, PrefixList, Segment, Served, Source
from realmgw.config.settings import (
    Admission,
    Allocation,
    Attachment,
    Challenges,
    Datapath,
    Dns,
    DnsView,
    Interfaces,
    LoadBand,
    NameList,
    NameServer,
    PoolPrefix,
    ResolverGroup,
    Settings,
)
from realmgw.config.validators import Section
from realmgw.config.writing import dump
from realmgw.system.endpoints import Endpoint

STAGED = (DnsServed, Management, NewRate, Preemptive, PrefixList, Segment, Served, Source)
"""Sections whose values know where they stand."""
MINIMAL = """
name: gw.example.org
zones: {example.org: {name_servers: {ns.example.org: 192.0.2.1}, contact: admin.example.org}}
interfaces: {wan: wan0, lan: [lan0]}
pools: {circular: [{addresses: 198.51.100.0/24, attachment: routed}]}
dns: {wan: {listen: [192.0.2.1]}}
"""


def settings(text: str) -> Settings:
    """The settings of a text without problems."""
    problems = Problems("f")
    root = parse(text.encode(), problems)
    assert root is not None
    found = schema.GATEWAY(root, problems)
    assert found is not None, problems.lines()
    return found


def refusals(text: str) -> tuple[str, ...]:
    """The problems of a text."""
    problems = Problems("f")
    root = parse(text.encode(), problems)
    assert root is not None
    assert schema.GATEWAY(root, problems) is None
    return problems.lines()


class GatewayTests(SynchronousTestCase):
    """The main file's schema."""

    def test_a_minimal_file_leaves_the_defaults(self) -> None:
        """What is not written is as the settings have it."""
        found = settings(MINIMAL)
        self.assertEqual(found.name, "gw.example.org.")
        self.assertEqual(found.interfaces, Interfaces("wan0", ("lan0",)))
        self.assertEqual(found.pools.circular, (PoolPrefix(IPv4Network("198.51.100.0/24"), Attachment.ROUTED),))
        self.assertEqual(found.dns, Dns(wan=DnsView(listen=(Endpoint(IPv4Address("192.0.2.1"), 53),))))
        self.assertEqual(found.allocation, Allocation())
        self.assertEqual((found.admission, found.datapath, found.subscribers), (Admission(), Datapath(), ()))

    def test_every_field_of_the_settings_has_its_key(self) -> None:
        """A setting that nobody can write would be none; what is not written as it is held, zones, is tested below."""
        sections: list[Section[Any]] = [
            schema.GATEWAY,
            *map(Section, (Challenges, LoadBand, NameList, ResolverGroup, *STAGED)),
        ]
        for section in sections:
            made = section.build
            assert isinstance(made, type)
            self.assertEqual(set(section.keys), {field.name for field in attrs.fields(made) if field.eq is not False})
            sections += [key.validator for key in section.keys.values() if isinstance(key.validator, Section)]
        self.assertEqual(len(sections), 47)

    def test_every_default_is_within_the_range_of_its_key(self) -> None:
        """Writing a default out changes nothing."""
        written = settings(dump(settings(MINIMAL)))
        self.assertEqual(written, settings(MINIMAL))

    def test_missing_keys_are_all_told(self) -> None:
        """At the beginning of the mapping that lacks them."""
        lines = refusals("name: example.org\n")
        self.assertEqual(
            lines,
            tuple(f"f:1:1: the key '{key}' is missing: write it" for key in ("dns", "interfaces", "pools", "zones")),
        )

    def test_way_to_translate_that_is_gone_says_what_to_write(self) -> None:
        """In one line, at the place."""
        [line] = refusals(MINIMAL + "datapath: {dnat: mark}\n")
        self.assertRegex(
            line, r"^f:7:18: 'mark' is no longer there: write dnat: map, which needs no more of the machine$"
        )

    def test_a_range_of_the_pool_becomes_prefixes(self) -> None:
        """Each with the entry's attachment, in order."""
        text = MINIMAL.replace("198.51.100.0/24, attachment: routed", "198.51.100.3-198.51.100.4, attachment: on-link")
        self.assertEqual(
            settings(text).pools.circular,
            tuple(PoolPrefix(IPv4Network(f"198.51.100.{host}/32"), Attachment.ON_LINK) for host in (3, 4)),
        )

    def test_pools_have_both_families(self) -> None:
        """Either may be there alone; only addresses of IPv4 are counted."""
        six = "{addresses: '2001:db8:1::/64', attachment: routed}"
        pools = settings(MINIMAL.replace("circular: [", f"circular: [{six}, ")).pools
        self.assertEqual(pools.networks6, (IPv6Network("2001:db8:1::/64"),))
        self.assertEqual((pools.networks4, pools.size), ((IPv4Network("198.51.100.0/24"),), 256))
        pools = settings(MINIMAL.replace("198.51.100.0/24", "'2001:db8:1::/64'")).pools
        self.assertEqual((pools.networks4, pools.size), ((), 0))

    def test_outbound_is_a_range(self) -> None:
        """Or a single address, which is its first and last."""
        for written, last in (("203.0.113.1-203.0.113.9", 9), ("203.0.113.1", 1)):
            found = settings(MINIMAL.replace("pools: {", f"pools: {{outbound: {written}, "))
            self.assertEqual(found.pools.outbound, (IPv4Address("203.0.113.1"), IPv4Address(f"203.0.113.{last}")))

    def test_ports_of_outbound_flows_are_a_range(self) -> None:
        """The upper half unless another one is written."""
        self.assertEqual(settings(MINIMAL).pools.outbound_ports, (32768, 65535))
        found = settings(MINIMAL.replace("pools: {", "pools: {outbound_ports: 40000-49999, "))
        self.assertEqual(found.pools.outbound_ports, (40000, 49999))

    def test_paths_stay_as_they_are_written(self) -> None:
        """Where they start is not this module's business."""
        self.assertEqual(settings(MINIMAL + "subscribers: [a.d, /b.d]").subscribers, (Path("a.d"), Path("/b.d")))

    def test_bad_values_are_told_at_their_place(self) -> None:
        """One of each section."""
        for wrong, place in (
            ("interfaces: {wan: a-very-long-interface, lan: [lan0]}", "f:4:19: "),
            ("interfaces: {wan: wan0, lan: []}", "f:4:30: "),
            ("interfaces: {wan: wan0, lan: [a/b]}", "f:4:31: "),
        ):
            [line] = refusals(MINIMAL.replace("interfaces: {wan: wan0, lan: [lan0]}", wrong))
            self.assertEqual(line[: len(place)], place)
        for wrong in (
            "allocation: {share_load: 1.1}",
            "admission: {queue: 65536}",
            "datapath: {table: 'a b'}",
            "subscribers: [~]",
        ):
            [line] = refusals(MINIMAL + wrong)
            self.assertTrue(line.startswith("f:7:"))


class ZonesTests(SynchronousTestCase):
    """The zones."""

    def zones(self, text: str) -> str:
        """A main file with these zones."""
        return MINIMAL.replace(MINIMAL.split("zones: ")[1].split("\n", maxsplit=1)[0], text)

    def test_name_servers_and_zones_have_addresses_of_both_families(self) -> None:
        """One of either, or one each, in any order; that of IPv4 is first."""
        four, six = IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")
        for written, expected in (
            ("192.0.2.1", (four,)),
            ("'2001:db8::1'", (six,)),
            ("['2001:db8::1', 192.0.2.1]", (four, six)),
        ):
            [zone] = settings(
                self.zones(
                    f"{{example.org: {{name_servers: {{ns.example.org: {written}}}, contact: a.example.org, "
                    f"address: {written}}}}}"
                )
            ).zones
            self.assertEqual((zone.name_servers[0].addresses, zone.apex_addresses), (expected, expected))

    def test_refuses_two_addresses_of_one_family(self) -> None:
        """Of a name server and of a zone; and lists of none, or of three."""
        for written, said in (
            ("[192.0.2.1, 192.0.2.2]", "192.0.2.1 and 192.0.2.2 are both IPv4"),
            ("['2001:db8::1', '2001:db8::2']", "2001:db8::1 and 2001:db8::2 are both IPv6"),
            ("[]", "the list has 0 items: write one IPv4 address"),
            ("[192.0.2.1, '2001:db8::1', '2001:db8::2']", "the list has 3 items: write one IPv4 address"),
            ("['fe80::1%eth0']", "write it without '%...'"),
        ):
            for old in ("ns.example.org: 192.0.2.1", "contact:"):
                new = f"ns.example.org: {written}" if old[0] == "n" else f"address: {written}, contact:"
                [line] = refusals(MINIMAL.replace(old, new))
                self.assertIn(said, line)

    def test_a_zone_takes_from_the_first_what_it_lacks(self) -> None:
        """Name servers and contact, but no address."""
        text = self.zones(
            "{example.org: {name_servers: {ns.example.org: 192.0.2.1, ns.example.net: }, contact: admin.example.org,"
            " address: 192.0.2.1, ttl: 60}, 2.0.192.in-addr.arpa: {negative_ttl: 9}, 100.51.198.in-addr.arpa: }"
        )
        first, second, third = settings(text).zones
        self.assertEqual(
            first.name_servers,
            (NameServer("ns.example.org.", (IPv4Address("192.0.2.1"),)), NameServer("ns.example.net.")),
        )
        self.assertEqual((first.apex_addresses, first.ttl, first.negative_ttl), ((IPv4Address("192.0.2.1"),), 60, 5))
        self.assertEqual(second.name_servers, first.name_servers)
        self.assertEqual((second.contact, second.apex_addresses), ("admin.example.org.", ()))
        self.assertEqual((second.ttl, second.negative_ttl), (300, 9))
        self.assertEqual((third.name, third.contact), ("100.51.198.in-addr.arpa.", "admin.example.org."))

    def test_the_first_zone_must_be_whole(self) -> None:
        """There is nothing that it could take from."""
        for text in ("{example.org: }", "{example.org: {contact: admin.example.org}}"):
            [line] = refusals(self.zones(text))
            self.assertIn("the first zone needs both 'name_servers' and 'contact'", line)

    def test_there_must_be_a_zone_and_a_name_server(self) -> None:
        """Empty mappings are told at their place."""
        self.assertEqual(len(refusals(self.zones("[example.org]"))), 1)
        self.assertEqual(refusals(self.zones("{}")), ("f:3:8: there is no zone: write {name: {...}}",))
        [line] = refusals(self.zones("{example.org: {name_servers: {}, contact: admin.example.org}}"))
        self.assertIn("f:3:37: a zone has at least one name server", line)

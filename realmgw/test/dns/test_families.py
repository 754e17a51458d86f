"""Of which family an address is lent: by host, pool and mode; on the fast path, on the full one, and as explained."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from itertools import product

import attrs
import dns.message
import dns.rcode
import dns.rdatatype
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.config.ipv6 import Ipv6, Ipv6Mode, PrefixMode
from realmgw.dns.codec.wire import Type, decode
from realmgw.dns.explain import Question, explain_name
from realmgw.dns.families import Families, Source
from realmgw.dns.view import Asker, View
from realmgw.dns.wan import wan_view
from realmgw.dns.zones import compile_table
from realmgw.subscribers.families import unanswered
from realmgw.subscribers.model import Directory, Host, Service
from realmgw.test.dns import realm
from realmgw.test.dns.allocator import MemoryAllocator

NAME = "host.example.org."
POOLS: tuple[tuple[settings.Network, ...], ...] = ((realm.POOL,), (realm.POOL6,), (realm.POOL, realm.POOL6))
FOUR, SIX, PRIVATE = "192.168.0.9", "2001:db8:9::9", "fd00::9"
ADDRESSES = ((FOUR, ""), ("", SIX), (FOUR, SIX))


def make(own: tuple[str, str], mode: Ipv6Mode | None = None) -> Host:
    """A host with these addresses."""
    return realm.host(9, NAME, own[1], mode, four=bool(own[0]))


def view(host: Host, made: settings.Settings) -> tuple[View, MemoryAllocator]:
    """A WAN where that host is the only one, and its allocator."""
    allocator = MemoryAllocator()
    table = compile_table(made.zones, Directory({NAME: Service(NAME, host)}, {host.index: host}))
    return wan_view(made, table, allocator, realm.defences(made), realm.no_clock, lambda: 1.0), allocator


class FamilyTests(SynchronousTestCase):
    """The table: family, host, pool, and mode of the configuration and of the host."""

    def expected(
        self, kind: str, own: tuple[str, str], pools: tuple[settings.Network, ...], mode: Ipv6Mode
    ) -> tuple[Source, int | None]:
        """What there is, and of which family the allocator is asked."""
        family = 4 if kind == "A" else 6
        has_pool = any(network.version == family for network in pools)
        if not own[family == 6]:
            return Source.NO_ADDRESS, None
        if family == 6 and mode is Ipv6Mode.OFF:
            return Source.OFF, None
        if family == 6 and mode is Ipv6Mode.PINHOLE:
            return Source.PINHOLE, 6
        return (Source.POOL, family) if has_pool else (Source.NO_POOL, None)

    def test_lends_what_host_pool_and_mode_allow(self) -> None:
        """Everything else is NODATA with the SOA, by every path, and nothing is asked of the allocator."""
        for kind, own, pools, general, particular in product(
            ("A", "AAAA"), ADDRESSES, POOLS, Ipv6Mode, (None, *Ipv6Mode)
        ):
            made = realm.make_settings(pools=pools, ipv6=Ipv6(mode=general))
            host = make(own, particular)
            source, family = self.expected(kind, own, pools, particular or general)
            row = kind, own, pools, general, particular
            self.assertIs(Families(made).source(host, Type[kind]), source, row)
            wan, allocator = view(host, made)
            message = dns.message.make_query(NAME, kind).to_wire()
            quick = wan.fast(message, realm.RESOLVER, now=1.0)
            full = wan.answer(decode(message), Asker(realm.RESOLVER, self.fail), now=1.0)
            self.assertEqual(quick, full, row)
            self.assertEqual(allocator.families, [] if family is None else [family] * 2, row)
            assert isinstance(full, bytes)
            self.check(dns.message.from_wire(full), kind, has_address=family is not None)
            found = explain_name(wan, Question(NAME, "198.51.100.53", Type[kind]), 1.0)
            self.assertEqual((found.service is not None, found.family), (family is not None, family or 4), row)

    def check(self, answer: dns.message.Message, kind: str, *, has_address: bool) -> None:
        """The address of the pool, TTL 0, or NODATA."""
        self.assertEqual(answer.rcode(), dns.rcode.NOERROR)
        if has_address:
            (rrset,) = answer.answer
            said = realm.POOL_ADDRESS if kind == "A" else realm.POOL_ADDRESS6
            self.assertEqual((rrset.rdtype, rrset.ttl), (dns.rdatatype.from_text(kind), 0))
            self.assertEqual([ip_address(each.address) for each in rrset], [said])
        else:
            self.assertEqual((answer.answer, answer.authority[0].ttl), ([], 5))
            self.assertEqual(answer.authority[0].rdtype, dns.rdatatype.SOA)

    def test_goes_by_the_longest_prefix(self) -> None:
        """Of those that the host's address lies in; what is said of the host itself goes before."""
        prefixes = [("fd00::/8", Ipv6Mode.OFF), ("fd00::/64", Ipv6Mode.POOL), ("2001:db8:a::/48", Ipv6Mode.PINHOLE)]
        modes = tuple(PrefixMode(IPv6Network(prefix), mode) for prefix, mode in prefixes)
        made = Families(realm.make_settings(ipv6=Ipv6(prefixes=modes)))
        rows = {"fd00::9": True, "fd00:0:0:1::9": False, "fd01::9": False, "2001:db8:9::9": True}
        for address, is_lent in rows.items():
            host = make((FOUR, address))
            self.assertIs(made.lends6(host), is_lent, address)
        self.assertTrue(made.lends6(make((FOUR, "fd01::9"), Ipv6Mode.POOL)))
        self.assertFalse(made.lends6(make((FOUR, "fd00::9"), Ipv6Mode.PINHOLE)), "nobody outside reaches it there")

    def test_those_that_are_counted_have_none(self) -> None:
        """What `check` and the start tell of hosts without an answer is what those who ask find."""
        for kind, own, pools, mode in product(
            ("A", "AAAA"), (*ADDRESSES, (FOUR, PRIVATE), ("", PRIVATE)), POOLS, (None, *Ipv6Mode)
        ):
            made, host = realm.make_settings(pools=pools), make(own, mode)
            source = Families(made).source(host, Type[kind])
            is_private = kind == "AAAA" and mode is Ipv6Mode.PINHOLE and own[1] == PRIVATE
            self.assertIs(
                source is Source.OFF, kind == "AAAA" and bool(own[1]) and (mode is Ipv6Mode.OFF or is_private)
            )
            told = "".join(unanswered([host], made.pools, made.ipv6))
            self.assertEqual(f" no {kind}:" in told, source is Source.NO_POOL or is_private, (kind, own, pools, mode))

    def test_says_in_words_why_there_is_none(self) -> None:
        """Each reason by itself; of a family that there is, where it comes from."""
        rows = [
            ("AAAA", (FOUR, ""), POOLS[2], None, "the host has no address of that family"),
            ("A", ("", SIX), POOLS[2], None, "the host has no address of that family"),
            ("AAAA", (FOUR, SIX), POOLS[0], None, "pools.circular has no prefix of that family"),
            ("AAAA", (FOUR, SIX), POOLS[2], Ipv6Mode.OFF, "ipv6 is off for it"),
            ("AAAA", (FOUR, SIX), POOLS[2], Ipv6Mode.PINHOLE, "opened for the next flow (pinhole)"),
            ("AAAA", (FOUR, SIX), POOLS[2], None, "an address of the pool is lent"),
        ]
        for kind, own, pools, mode, said in rows:
            wan, _ = view(make(own, mode), realm.make_settings(pools=pools))
            found = explain_name(wan, Question(NAME, "198.51.100.53", Type[kind]), 1.0)
            self.assertIn(said, "\n".join(found.steps))
            self.assertEqual(found.steps[-1] == "answered: no data", found.response is not None)

    def test_the_service_pool_has_either_family(self) -> None:
        """A of its IPv4 addresses, AAAA of its IPv6 ones; of a family that it has not, no data."""
        both = (IPv4Address("203.0.113.2"), IPv6Address("2001:db8:2::2"))
        for pool, said in ((both, [["203.0.113.2"], ["2001:db8:2::2"]]), (both[1:], [[], ["2001:db8:2::2"]])):
            wan = realm.wan(made=realm.make_settings(service_pool=pool))
            for kind, addresses in zip(("A", "AAAA"), said, strict=True):
                message = dns.message.make_query("www.two.example.org.", kind).to_wire()
                answer = wan.fast(message, realm.RESOLVER, now=1.0)
                assert isinstance(answer, bytes)
                told = [each.address for rrset in dns.message.from_wire(answer).answer for each in rrset]
                self.assertEqual(told, addresses)

    def test_one_alias_is_one_question_of_each_type(self) -> None:
        """However often it is asked for, and from wherever."""
        switches = settings.Policy(system_load=(), challenges=settings.Challenges(cname=True))
        made = realm.make_settings(switches, zones=(*realm.ZONES, realm.ALIASES))
        wan, allocator = view(make((FOUR, SIX)), made)
        told = [
            wan.fast(dns.message.make_query(NAME, kind).to_wire(), realm.RESOLVER, now=1.0) for kind in ("A", "AAAA")
        ]
        aliases = {str(dns.message.from_wire(each).answer[0][0].target) for each in told if isinstance(each, bytes)}
        self.assertEqual(len(aliases), 1)
        for kind in ("A", "AAAA", "AAAA", "A"):
            wan.fast(dns.message.make_query(aliases.copy().pop(), kind).to_wire(), realm.RESOLVER, now=1.0)
        self.assertEqual(allocator.families, [4, 6, 6, 4])
        self.assertEqual(len({question for _, _, question, _ in allocator.asked}), 1)


class PointerTests(SynchronousTestCase):
    """Reverse names on the LAN."""

    def test_a_host_has_one_of_each_address(self) -> None:
        """In in-addr.arpa and in ip6.arpa; of an address that it has not, none."""
        zones = tuple(
            attrs.evolve(realm.REVERSE, name=name)
            for name in ("168.192.in-addr.arpa.", "9.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.")
        )
        for own in ADDRESSES:
            host = make(own)
            table = compile_table((realm.ZONE, *zones), Directory({}, {9: host}))
            self.assertEqual(len(table.pointers), sum(map(bool, own)))
            self.assertEqual({found.name for found in table.pointers.values()}, {NAME})

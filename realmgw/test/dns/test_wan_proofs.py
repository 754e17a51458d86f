"""Aliases and cookies, as they are given and taken."""

from __future__ import annotations

from ipaddress import IPv4Network

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.challenges import Challenge
from realmgw.config import settings
from realmgw.dns.codec.wire import decode
from realmgw.dns.counts import Count
from realmgw.dns.view import Asker
from realmgw.dns.zones import compile_table
from realmgw.errors import Reason
from realmgw.subscribers.model import Directory
from realmgw.test.dns import realm
from realmgw.test.dns.allocator import MemoryAllocator
from realmgw.test.dns.gateway import CLIENT_COOKIE, COOKIE, ELSEWHERE, RESOLVER, ZONES, WanTestCase


class AliasTests(WanTestCase):
    """One-time aliases."""

    def setUp(self) -> None:
        """With `cname`."""
        super().setUp()
        self.start("cname")

    def test_is_a_random_name_with_ttl_0(self) -> None:
        """In the zone for aliases, authoritative, with nothing beside it."""
        answer = self.ask("ONE.example.org.")
        assert answer is not None
        (found,) = answer.answer
        self.assertEqual((str(found.name), found.ttl), ("ONE.example.org.", 0))
        self.assertRegex(str(found[0].target), r"\A[a-z0-9]{32}\.a\.example\.org\.\Z")
        self.assertTrue(answer.flags & dns.flags.AA)
        self.assertEqual((answer.authority, answer.additional), ([], []))

    def test_is_one_claim_however_often_it_is_asked_for(self) -> None:
        """A resolver's repeated query, with another ID from another port, is the same question."""
        alias = self.alias()
        for number in range(3):
            answer = self.ask(alias, id=number)
            assert answer is not None
            self.assertEqual([str(rrset.name) for rrset in answer.answer], [alias])
        self.assertEqual(self.allocator.counters.pending, 1)
        self.assertEqual(self.allocator.counters.retransmitted, 2)

    def test_has_no_other_types(self) -> None:
        """While it lives it exists."""
        alias = self.alias()
        self.assertEqual([self.said(alias, kind) for kind in ("AAAA", "HTTPS", "TXT")], ["NODATA"] * 3)

    def test_does_not_stand_beside_other_records(self) -> None:
        """Where a service has an apex's name, with SOA and NS: another challenge is made (RFC 1034 section 3.6.2)."""
        for word in ("cname", "tcpcname", "adaptive", "cname tcp"):
            self.start(*word.split())
            self.wan.configure(self.settings, compile_table(ZONES, realm.directory(extra=("child.example.org.",))))
            name = "child.example.org."
            self.assertEqual(self.said(name, "SOA"), "SOA")
            self.assertEqual(self.said(name), "TC")
            self.assertEqual(self.said(name, cookie=CLIENT_COOKIE), "BADCOOKIE")
            self.assertEqual(self.said(name, cookie=self.cookie()), "A")
            self.assertEqual(self.said(name, tcp=True, id=1), "A")

    def test_is_any_case(self) -> None:
        """0x20."""
        self.assertEqual(self.said(self.alias().upper()), "A")

    def test_is_another_one_for_the_next_client(self) -> None:
        """Two clients of one resolver have a claim each."""
        for _ in range(2):
            self.assertEqual(self.said(self.alias()), "A")
        self.assertEqual(self.allocator.counters.pending, 2)

    def test_is_no_name_after_five_seconds(self) -> None:
        """Nor is one that was never given, or whose name has gone."""
        alias = self.alias()
        self.clock.advance(5.0)
        self.assertEqual([self.said(alias), self.said(f"{'a' * 32}.a.example.org.")], ["NXDOMAIN"] * 2)
        alias = self.alias()
        self.wan.configure(self.settings, compile_table(ZONES, Directory({}, {})))
        self.assertEqual(self.said(alias), "NXDOMAIN")

    def test_proves_where_its_resolver_is(self) -> None:
        """His group has passed CNAME; who only asked for a name has no group."""
        alias = self.alias()
        self.assertIsNone(self.allocator.groups.find(RESOLVER))
        self.said(alias)
        group = self.allocator.groups.find(RESOLVER)
        assert group is not None
        self.assertEqual((group.passed, group.proven_at), (Challenge.CNAME, 100.0))

    def test_merges_two_groups_if_both_are_there(self) -> None:
        """Asked for from elsewhere by TCP: one cluster."""
        self.assertEqual(self.said(self.alias(), resolver=ELSEWHERE, tcp=True), "A")
        self.assertIs(self.allocator.groups.find(ELSEWHERE), self.allocator.groups.find(RESOLVER))
        self.assertEqual(self.events[Count.MERGED], 1)
        self.assertEqual(self.said(self.alias(), resolver=ELSEWHERE), "A")
        self.assertEqual(self.events[Count.MERGED], 1)

    def test_merges_nobody_on_the_word_of_a_datagram(self) -> None:
        """Else anybody could put somebody else's name together with his own; who is there can come by TCP."""
        alias = self.alias()
        self.assertEqual(self.said(alias, resolver=ELSEWHERE), "TC")
        self.assertEqual(self.said(alias, resolver=ELSEWHERE, cookie=CLIENT_COOKIE), "BADCOOKIE")
        self.assertEqual(list(self.allocator.groups), [])
        self.assertEqual(self.said(alias, resolver=ELSEWHERE, cookie=self.cookie(ELSEWHERE)), "A")
        self.assertEqual(self.events[Count.MERGED], 1)

    def test_waits_like_any_other_query(self) -> None:
        """With the pool exhausted; a repeated query joins its twin."""
        allocator = MemoryAllocator()
        self.start("cname", allocator=allocator)
        allocator.refusal = Reason.EXHAUSTED
        alias = self.alias()
        self.assertIsNone(self.ask(alias, id=1))
        self.assertIsNone(self.ask(alias, id=2))
        self.assertEqual(len(allocator.held), 1)


class CookieTests(WanTestCase):
    """Cookies in answers."""

    def test_gives_a_cookie_to_who_has_one(self) -> None:
        """In every answer, on both paths; and to nobody else."""
        self.start()
        for name, kind in (
            ("one.example.org.", "A"),
            ("example.org.", "SOA"),
            ("nobody.example.org.", "A"),
            (".", "NS"),
        ):
            for cookie in (CLIENT_COOKIE, bytes(24), bytes(16)):
                answer = self.ask(name, kind, cookie=cookie)
                assert answer is not None
                (option,) = answer.options
                self.assertEqual((option.otype, len(option.to_wire() or b"")), (COOKIE, 24))
            plain = self.ask(name, kind, use_edns=0)
            self.assertEqual(plain and plain.options, ())

    def test_gives_the_right_cookie_with_badcookie(self) -> None:
        """With which the same query is answered; from nowhere else."""
        self.start("tcp")
        answer = self.ask(cookie=CLIENT_COOKIE)
        assert answer is not None
        right = bytes(answer.options[0].to_wire() or b"")
        self.assertEqual(answer.rcode(), 23)
        self.assertEqual(self.said(cookie=right), "A")
        self.assertEqual(self.said(cookie=right, resolver=ELSEWHERE), "BADCOOKIE")

    def test_says_formerr_to_malformed_options(self) -> None:
        """A cookie of no length that there is, a subnet with a scope; on both views."""
        self.start()
        for option in (dns.edns.GenericOption("10", b"short"), dns.edns.GenericOption("8", b"\0\1\x18\x18\xc0\0\2")):
            query = decode(dns.message.make_query("one.example.org.", "A", options=[option]).to_wire())
            for view in (self.wan, realm.lan()):
                asker = Asker((RESOLVER, 1), print)
                answer = dns.message.from_wire(view.answer(query, asker, now=1.0) or b"")
                self.assertEqual((answer.rcode(), answer.edns), (dns.rcode.FORMERR, 0))

    def test_has_none_if_they_are_off(self) -> None:
        """They are ignored then, as unknown options are."""
        self.start("tcp")
        made = realm.make_settings(
            settings.Policy(challenges=settings.Challenges(tcp=True)), cookies=settings.Cookies(enabled=False)
        )
        self.wan = realm.wan(self.allocator, made)
        answer = self.ask(cookie=CLIENT_COOKIE)
        assert answer is not None
        self.assertEqual((answer.options, bool(answer.flags & dns.flags.TC)), ((), True))


class WaitingTests(WanTestCase):
    """Queries that have to wait for an address."""

    def test_a_query_by_tcp_shows_where_it_is_whenever_it_is_looked_at_again(self) -> None:
        """The clock goes on between the fast path and the wait; the claim is none that anybody can have asked for."""
        allocator = Allocator(settings.Allocation(), [IPv4Network("192.0.2.1/32")], now=100.0)
        self.start("adaptive", allocator=allocator)
        self.assertEqual(self.said("one.example.org.", resolver=ELSEWHERE, tcp=True), "A")
        message, address = dns.message.make_query("two.example.org.", "A").to_wire(), (RESOLVER, 5353, 1)
        self.assertIs(self.wan.fast(message, address, now=100.1, tcp=True), Reason.EXHAUSTED)
        asker = Asker(address, self.outcomes.append, True)
        self.assertIsNone(self.wan.answer(decode(message), asker, now=100.101, refused=Reason.EXHAUSTED))
        allocator.expire(now=102.5)
        [reservation] = next(iter(allocator.pool.addresses.values())).reservations.values()
        self.assertEqual([claim.unproven for claim in reservation.claims.values()], [False])

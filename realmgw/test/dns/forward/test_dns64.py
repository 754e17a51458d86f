"""Tests for `realmgw.dns.forward.dns64`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.reversename
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Dns64
from realmgw.dns.forward.dns64 import embed, extract
from realmgw.dns.forward.events import Event
from realmgw.test.dns.forward.test_forwarder import SOA, ForwarderTestCase

PREFIX = "2001:db8:64::/96"
VECTORS = (
    ("2001:db8::/32", "2001:db8:c000:221::"),
    ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
    ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
    ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
    ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
    ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
)
"""RFC 6052 section 2.4, for 192.0.2.33."""


class EmbedTests(SynchronousTestCase):
    """`embed` and `extract`."""

    def test_as_the_standard_says(self) -> None:
        """For each length."""
        for prefix, address in VECTORS:
            packed = embed(IPv6Network(prefix), IPv4Address("192.0.2.33").packed)
            self.assertEqual(IPv6Address(packed), IPv6Address(address))

    @given(st.sampled_from([IPv6Network(prefix) for prefix, _ in VECTORS]), st.binary(min_size=4, max_size=4))
    def test_one_undoes_the_other(self, prefix: IPv6Network, packed: bytes) -> None:
        """And the address has the prefix."""
        made = embed(prefix, packed)
        self.assertIn(IPv6Address(made), prefix)
        self.assertEqual(extract(prefix, made), packed)


class MadeTests(ForwarderTestCase):
    """A LAN with a NAT64."""

    def setUp(self) -> None:
        """Its prefix is known."""
        super().setUp()
        self.configure(dns64=Dns64(IPv6Network(PREFIX)))

    def make(self, *four: str, six: tuple[str, ...] = (), **query: Any) -> dns.message.Message:
        """The answer for AAAA, where these are A and AAAA."""
        self.assertIsNone(self.ask(kind="AAAA", **query))
        self.elsewhere.last.say(*six, authority="" if six else SOA, flags=dns.flags.AD)
        if four:
            self.elsewhere.last.say(*four, flags=dns.flags.AD)
        return self.delivered[-1][1]

    def addresses(self, answer: dns.message.Message) -> list[str]:
        """Those of an answer, of whatever type."""
        return [each.to_text() for one in answer.answer for each in one]

    def test_addresses_are_made_where_there_are_none(self) -> None:
        """They live no longer than the SOA says that there are none, are not authentic, and are kept."""
        answer = self.make("300 IN CNAME b.example.net.", "b.example.net. 300 IN A 198.51.100.7", want_dnssec=True)
        self.assertEqual(self.addresses(answer), ["b.example.net.", "2001:db8:64::c633:6407"])
        self.assertEqual((answer.answer[1].ttl, answer.flags & dns.flags.AD), (60, 0))
        self.assertEqual(self.event(Event.MADE), 1)
        self.assertEqual(self.addresses(self.ask(kind="AAAA", want_dnssec=True)), self.addresses(answer))

    def test_those_that_there_are_stay(self) -> None:
        """And A is not asked for; those that are excluded do not count."""
        answer = self.make(six=("300 IN AAAA 2001:db8:9::7",))
        self.assertEqual(self.addresses(answer), ["2001:db8:9::7"])
        self.forwarder.cache.clear()
        answer = self.make("300 IN A 198.51.100.7", six=("300 IN AAAA ::ffff:198.51.100.9",))
        self.assertEqual(self.addresses(answer), ["2001:db8:64::c633:6407"])

    def test_nothing_is_made_for_who_checks_signatures(self) -> None:
        """DO and CD (RFC 6147 section 5.5)."""
        answer = self.make(want_dnssec=True, flags=dns.flags.RD | dns.flags.CD)
        self.assertEqual((answer.answer, len(self.elsewhere.transport.sent)), ([], 1))

    def test_what_there_is_not_stays_so(self) -> None:
        """NXDOMAIN at once; no A, and none that is public."""
        self.assertIsNone(self.ask(kind="AAAA"))
        self.elsewhere.last.say(rcode="NXDOMAIN", authority=SOA)
        self.assertEqual(self.delivered[-1][1].rcode(), dns.rcode.NXDOMAIN)
        for four in ("300 IN A 192.168.0.1", "300 IN TXT x"):
            self.forwarder.cache.clear()
            answer = self.make(four)
            self.assertEqual((answer.answer, answer.rcode(), len(answer.authority)), ([], dns.rcode.NOERROR, 1))

    def test_failures_for_aaaa_are_no_hindrance(self) -> None:
        """Some servers know no AAAA (RFC 6147 section 5.1.2)."""
        self.assertIsNone(self.ask(kind="AAAA"))
        for _ in range(3):
            self.elsewhere.last.say(rcode="SERVFAIL")
        self.elsewhere.last.say("300 IN A 198.51.100.7")
        self.assertEqual(self.addresses(self.delivered[-1][1]), ["2001:db8:64::c633:6407"])

    def test_failures_for_a_are_no_answer(self) -> None:
        """Else it would be kept that there are no addresses, though there are (RFC 6147 section 5.1.6)."""
        self.assertIsNone(self.ask(kind="AAAA"))
        self.elsewhere.last.say(authority=SOA)
        for _ in range(3):
            self.elsewhere.last.say(rcode="SERVFAIL")
        self.assertEqual((self.delivered[-1][1].rcode(), len(self.forwarder.cache)), (dns.rcode.SERVFAIL, 0))
        self.elsewhere.clock.advance(5)
        answer = self.make("300 IN A 198.51.100.7")
        self.assertEqual(self.addresses(answer), ["2001:db8:64::c633:6407"])

    def test_excluded_addresses_do_not_count(self) -> None:
        """Of IPv6, and of IPv4; they do for who checks signatures, and that there are no others is not kept."""
        exclude = (IPv6Network("2001:db8:bad::/48"), IPv4Network("198.51.100.128/25"))
        self.configure(dns64=Dns64(IPv6Network(PREFIX), exclude))
        bad = "300 IN AAAA 2001:db8:bad::7"
        answer = self.make("300 IN A 198.51.100.7", "300 IN A 198.51.100.129", six=(bad,))
        self.assertEqual(self.addresses(answer), ["2001:db8:64::c633:6407"])
        self.forwarder.cache.clear()
        self.assertEqual(self.addresses(self.make(six=(bad, "300 IN AAAA 2001:db8:9::7"))), ["2001:db8:9::7"])
        self.forwarder.cache.clear()
        answer = self.make("300 IN A 198.51.100.129", six=(bad,))
        self.assertEqual((self.addresses(answer), answer.rcode(), len(self.forwarder.cache)), ([], 0, 0))
        answer = self.make(six=(bad,), want_dnssec=True, flags=dns.flags.RD | dns.flags.CD)
        self.assertEqual(self.addresses(answer), ["2001:db8:bad::7"])

    def test_nobody_answers(self) -> None:
        """It fails, in bounded time."""
        self.assertIsNone(self.ask(kind="AAAA"))
        self.elsewhere.clock.pump((0.25,) * 6)
        self.assertEqual(self.delivered[-1][1].rcode(), dns.rcode.SERVFAIL)

    def test_a_prefix_of_private_addresses_may_be_used(self) -> None:
        """It is one's own; private addresses do not get the one that is everybody's."""
        self.configure(dns64=Dns64(IPv6Network("fd00:64::/96")), internal=("example.net.",))
        self.assertEqual(self.addresses(self.make("300 IN A 10.0.0.1")), ["fd00:64::a00:1"])
        self.configure(dns64=Dns64(IPv6Network("64:ff9b::/96")), internal=("example.net.",))
        self.assertEqual(self.addresses(self.make("300 IN A 10.0.0.1")), [])

    def test_pointers_lead_to_those_of_ipv4(self) -> None:
        """Private ones lead nowhere."""
        name = str(dns.reversename.from_address("2001:db8:64::198.51.101.7"))
        self.assertIsNone(self.ask(name, "PTR"))
        self.assertEqual(str(self.elsewhere.last.query.question[0].name).lower(), "7.101.51.198.in-addr.arpa.")
        self.elsewhere.last.say("300 IN PTR host.example.net.")
        answer = self.delivered[-1][1]
        self.assertEqual(self.addresses(answer), ["7.101.51.198.in-addr.arpa.", "host.example.net."])
        private = str(dns.reversename.from_address("2001:db8:64::10.0.0.1"))
        self.assertEqual(self.ask(private, "PTR").rcode(), dns.rcode.NXDOMAIN)
        self.ask(str(dns.reversename.from_address("::1.2.3.4")), "PTR")
        self.assertTrue(str(self.elsewhere.last.query.question[0].name).lower().endswith(".ip6.arpa."))

    def test_the_prefix_can_be_learned(self) -> None:
        """By a name of its own (RFC 7050); without a prefix resolvers are asked for that."""
        answer = self.ask("ipv4only.arpa.", "AAAA")
        self.assertEqual(self.addresses(answer), ["2001:db8:64::c000:aa", "2001:db8:64::c000:ab"])
        self.assertEqual(self.addresses(self.ask("ipv4only.arpa.", "A")), ["192.0.0.170", "192.0.0.171"])
        self.configure()
        self.assertIsNone(self.ask("ipv4only.arpa.", "AAAA"))

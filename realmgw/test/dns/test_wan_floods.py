"""The rate limit, and what floods leave behind."""

from __future__ import annotations

import tracemalloc
from ipaddress import IPv4Address
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from hypothesis import given
from hypothesis import strategies as st

from realmgw.config import settings
from realmgw.dns.codec.wire import decode
from realmgw.dns.counts import Count
from realmgw.dns.mitigation.ratelimit import FACTOR, HEADERS
from realmgw.dns.view import Asker
from realmgw.errors import Reason
from realmgw.test.dns.gateway import RESOLVER, WanTestCase

MANY = tuple(IPv4Address(f"203.0.113.{last}") for last in range(2, 14))
"""A service pool whose answers amplify."""
NAMES = st.sampled_from(
    ("example.org.", "ns1.example.org.", "www.two.example.org.", "one.example.org.", "no.example.org.", "x.", ".")
)
KINDS = st.sampled_from(("A", "AAAA", "NS", "SOA", "ANY", "HTTPS", "TXT", "OPT", "AXFR"))


class RateTests(WanTestCase):
    """The rate limit."""

    def said_often(self, count: int, *args: Any, **rest: Any) -> list[str]:
        """The answers to so many queries."""
        return [self.said(*args, **rest) for _ in range(count)]

    def test_never_limits_what_hardly_amplifies(self) -> None:
        """What resolvers ask for all day: types and names that are not, the zone's own records; whatever the path."""
        rows = [
            ("nobody.example.org.", "A", "NXDOMAIN"),
            ("example.net.", "A", "REFUSED"),
            ("one.example.org.", "AAAA", "NODATA"),
            ("one.example.org.", "HTTPS", "NODATA"),
            ("one.example.org.", "OPT", "FORMERR"),
            ("example.org.", "SOA", "SOA"),
            ("ns1.example.org.", "A", "A"),
            ("www.two.example.org.", "A", "A"),
        ]
        for name, kind, said in rows:
            for options in ([], [dns.edns.GenericOption("100", b"")]):
                self.start(rate=settings.RateLimit(2))
                self.assertEqual(set(self.said_often(100, name, kind, options=options)), {said}, (name, kind))
                self.assertEqual(self.events[Count.RATE_DROPPED] + self.events[Count.RATE_SLIPPED], 0)

    def test_never_limits_challenges(self) -> None:
        """They are hardly longer than what they answer."""
        for word, said in (("tcp", "TC"), ("cname", "CNAME"), ("adaptive", "TC")):
            self.start(word, rate=settings.RateLimit(2))
            self.assertEqual(set(self.said_often(100)), {said})

    def test_goes_by_a_prefix_of_its_own(self) -> None:
        """Whichever addresses of IPv6 are one resolver; on both paths."""
        for options in ([], [dns.edns.GenericOption("100", b"")]):
            self.start(service_pool=MANY, rate=settings.RateLimit(1, ipv6_prefix=120))
            said = [
                self.said("www.two.example.org.", resolver=f"2001:db8::{each}", options=options)
                for each in ("53", "54", "1:53", "1:54")
            ]
            self.assertEqual(said, ["A", "TC", "A", "TC"])

    def test_limits_what_amplifies(self) -> None:
        """Two a second, then TC, which is no more than was sent; whatever the path.

        Who is there comes by TCP at once: nothing is lost, as it would be by silence.
        """
        for options in ([], [dns.edns.GenericOption("100", b"")]):
            self.start(rate=settings.RateLimit(2), service_pool=MANY)
            found = self.said_often(6, "www.two.example.org.", options=options)
            self.assertEqual(found, ["A", "A", "TC", "TC", "TC", "TC"])
            self.assertEqual(self.events[Count.RATE_SLIPPED], 4)
            self.assertEqual(self.said("one.example.org.", "AAAA"), "NODATA")
            self.assertEqual(self.said("www.two.example.org.", tcp=True), "A")
        self.start(rate=settings.RateLimit(2, slip=0), service_pool=MANY)
        self.assertEqual(self.said_often(3, "www.two.example.org."), ["A", "A", "silence"])
        self.assertEqual(self.events[Count.RATE_DROPPED], 1)

    def test_an_answer_beyond_the_limit_is_no_longer_than_its_query(self) -> None:
        """However many addresses the service pool has."""
        self.start(rate=settings.RateLimit(2), service_pool=MANY)
        query = dns.message.make_query("www.two.example.org.", "A", use_edns=0).to_wire()
        answers = [self.wan.fast(query, (RESOLVER, 1), now=100.0) for _ in range(4)]
        lengths = [len(answer) for answer in answers if isinstance(answer, bytes)]
        self.assertGreater(lengths[0], 3 * len(query))
        self.assertEqual(lengths[2:], [len(query)] * 2)

    @given(st.lists(st.tuples(NAMES, KINDS, st.booleans(), st.booleans(), st.integers(1, 254)), max_size=60))
    def test_nobody_is_sent_much_more_than_was_sent_in_his_name(self, asked: list[Any]) -> None:
        """Three times the octets on the wire, and two long answers in a second; whatever is asked for, by no proof."""
        self.setUp()
        self.start("adaptive", rate=settings.RateLimit(2), service_pool=MANY)
        sent = received = 0
        for name, kind, edns, odd, last in asked:
            options: list[Any] | None = [dns.edns.GenericOption("100", b"")] if odd and edns else None
            query = dns.message.make_query(name, kind, use_edns=0 if edns else -1, options=options).to_wire()
            answer = self.answer(query, f"198.51.100.{last}")
            sent, received = sent + len(query) + HEADERS, received + (len(answer) + HEADERS if answer else 0)
        self.assertLessEqual(received, FACTOR * sent + 2 * (512 + HEADERS))

    def answer(self, query: bytes, resolver: str) -> bytes:
        """The octets of the answer by UDP; empty if there is none."""
        now, address = self.clock.seconds(), (resolver, 5353)
        given: bytes | Reason | None = self.wan.fast(query, address, now=now)
        if not isinstance(given, bytes):
            asker = Asker(address, print, False)
            given = self.wan.answer(decode(query), asker, now=now, refused=given)
        return given or b""

    def test_never_limits_addresses_that_are_reserved(self) -> None:
        """The pool does."""
        self.start(rate=settings.RateLimit(2))
        self.assertEqual(set(self.said_often(9)), {"A"})

    def test_never_limits_who_is_there(self) -> None:
        """By TCP, or with a valid cookie."""
        self.start(rate=settings.RateLimit(2), service_pool=MANY)
        cookie = self.cookie()
        self.assertEqual(set(self.said_often(20, "www.two.example.org.", tcp=True)), {"A"})
        self.assertEqual(set(self.said_often(20, "www.two.example.org.", cookie=cookie)), {"A"})

    def test_only_counts_in_audit_mode(self) -> None:
        """Everybody is answered."""
        self.start(rate=settings.RateLimit(2), audit=(settings.Audit.RATE,), service_pool=MANY)
        self.assertEqual(set(self.said_often(5, "www.two.example.org.")), {"A"})
        self.assertEqual(self.events[Count.RATE_AUDITED], 3)


class CostTests(WanTestCase):
    """What a flood leaves behind."""

    def test_spoofed_queries_leave_no_group(self) -> None:
        """With challenges on, whoever only writes addresses into queries costs nothing that lasts."""
        for word in ("tcp", "adaptive", "log_untrusted tcp"):
            self.start(*word.split())
            query = dns.message.make_query("one.example.org.", "A", use_edns=0).to_wire()
            self.wan.fast(query, ("192.0.2.1", 1), now=100.0)
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            for number in range(100_000):
                address = f"{number & 127}.{number >> 7 & 255}.{number >> 15}.1"
                self.wan.fast(query, (address, 1), now=100.0 + number / 10_000)
            self.assertLess(tracemalloc.get_traced_memory()[0], 100_000)
            tracemalloc.stop()
            self.assertEqual(len(self.allocator.groups), 0)

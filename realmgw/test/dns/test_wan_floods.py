"""The rate limit, and what floods leave behind."""

from __future__ import annotations

import tracemalloc
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from realmgw.config import settings
from realmgw.dns.counts import Count
from realmgw.test.dns.gateway import RESOLVER, WanTestCase


class RateTests(WanTestCase):
    """The rate limit."""

    def said_often(self, count: int, *args: Any, **rest: Any) -> list[str]:
        """The answers to so many queries."""
        return [self.said(*args, **rest) for _ in range(count)]

    def test_limits_what_nobody_wants_to_have(self) -> None:
        """Two a second, then silence and TC in turns; whatever the path."""
        rows = [
            ("nobody.example.org.", "A", "NXDOMAIN"),
            ("example.net.", "A", "REFUSED"),
            ("one.example.org.", "AAAA", "NODATA"),
            ("one.example.org.", "OPT", "FORMERR"),
        ]
        self.start(rate=settings.RateLimit(2))
        for name, kind, said in rows:
            self.clock.advance(2.0)
            found = self.said_often(6, name, kind)
            self.assertEqual(found[:2], [said, said])
            self.assertEqual(sorted(found[2:]), ["TC", "TC", "silence", "silence"])
        self.assertEqual(self.events[Count.RATE_DROPPED], 2 * len(rows))
        self.assertEqual(self.events[Count.RATE_SLIPPED], 2 * len(rows))

    def test_limits_challenges(self) -> None:
        """They go to whoever stands in the query, too."""
        for word, said in (("tcp", "TC"), ("cname", "CNAME")):
            self.start(word, rate=settings.RateLimit(2, slip=0))
            self.assertEqual(self.said_often(4), [said, said, "silence", "silence"])

    def test_limits_what_is_the_same_for_everybody(self) -> None:
        """Two a second of each kind, then TC, which is no more than was sent; whatever the path, whichever the name.

        Who is there comes by TCP at once: nothing is lost, as it would be by silence.
        """
        rows = [("example.org.", "SOA", "SOA"), ("ns1.example.org.", "A", "A"), ("www.two.example.org.", "A", "A")]
        for name, kind, said in rows:
            for options in ([], [dns.edns.GenericOption("100", b"")]):
                self.start(rate=settings.RateLimit(2))
                found = self.said_often(6, name, kind, options=options)
                self.assertEqual(found, [said, said, "TC", "TC", "TC", "TC"])
                self.assertEqual(self.events[Count.RATE_SLIPPED], 4)
                self.assertEqual(self.said(name, kind, tcp=True), said)
        self.start(rate=settings.RateLimit(2))
        several = [self.said(name) for name in ("ns1.example.org.", "example.org.", "www.two.example.org.")]
        self.assertEqual(several, ["A", "A", "TC"])
        self.start(rate=settings.RateLimit(2, slip=0))
        self.assertEqual(self.said_often(3, "example.org."), ["A", "A", "silence"])

    def test_an_answer_beyond_the_limit_is_no_longer_than_its_query(self) -> None:
        """However many addresses the service pool has."""
        self.start(rate=settings.RateLimit(2))
        query = dns.message.make_query("www.two.example.org.", "A", use_edns=0).to_wire()
        answers = [self.wan.quick(query, (RESOLVER, 1), now=100.0) for _ in range(4)]
        lengths = [len(answer) for answer in answers if isinstance(answer, bytes)]
        self.assertGreater(lengths[0], len(query))
        self.assertEqual(lengths[2:], [len(query)] * 2)

    def test_never_limits_addresses_that_are_reserved(self) -> None:
        """The pool does."""
        self.start(rate=settings.RateLimit(2))
        self.assertEqual(set(self.said_often(9)), {"A"})

    def test_never_limits_who_is_there(self) -> None:
        """By TCP, or with a valid cookie."""
        self.start(rate=settings.RateLimit(2))
        cookie = self.cookie()
        for name, said in (("nobody.example.org.", "NXDOMAIN"), ("example.org.", "NODATA")):
            self.assertEqual(set(self.said_often(20, name, "TXT", tcp=True)), {said})
            self.assertEqual(set(self.said_often(20, name, "TXT", cookie=cookie)), {said})

    def test_only_counts_in_audit_mode(self) -> None:
        """Everybody is answered."""
        self.start(rate=settings.RateLimit(2), audit=(settings.Audit.RATE,))
        self.assertEqual(set(self.said_often(5, "nobody.example.org.")), {"NXDOMAIN"})
        self.assertEqual(self.events[Count.RATE_AUDITED], 3)


class CostTests(WanTestCase):
    """What a flood leaves behind."""

    def test_spoofed_queries_leave_no_group(self) -> None:
        """With challenges on, whoever only writes addresses into queries costs nothing that lasts."""
        for word in ("tcp", "adaptive", "log_untrusted tcp"):
            self.start(*word.split())
            query = dns.message.make_query("one.example.org.", "A", use_edns=0).to_wire()
            self.wan.quick(query, ("192.0.2.1", 1), now=100.0)
            tracemalloc.start()
            self.addCleanup(tracemalloc.stop)
            for number in range(100_000):
                address = f"{number & 127}.{number >> 7 & 255}.{number >> 15}.1"
                self.wan.quick(query, (address, 1), now=100.0 + number / 10_000)
            self.assertLess(tracemalloc.get_traced_memory()[0], 100_000)
            tracemalloc.stop()
            self.assertEqual(len(self.allocator.groups), 0)

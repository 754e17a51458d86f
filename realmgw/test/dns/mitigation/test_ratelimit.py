"""Response rate limiting."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.dns.mitigation.ratelimit import MOST, RateLimit, Verdict, amplifies

SENDER = "198.51.100.53"


class RateLimitTests(SynchronousTestCase):
    """Five a second, unless a test says otherwise."""

    def setUp(self) -> None:
        """Nobody has asked."""
        self.limit = self.make()

    def make(self, per_second: int = 5, **rules: Any) -> RateLimit:
        """A limit."""
        return RateLimit(settings.RateLimit(per_second, **rules), now=0.0)

    def judge(self, count: int, now: float = 0.0, address: str = SENDER) -> list[Verdict]:
        """So many answers at once."""
        return [self.limit.judge(address, now=now) for _ in range(count)]

    def passed(self, *args: Any, **rest: Any) -> int:
        """How many of them are given."""
        return self.judge(*args, **rest).count(Verdict.PASS)

    def test_gives_one_seconds_worth_at_once(self) -> None:
        """And then as many as the rate says."""
        self.assertEqual(self.passed(20), 5)
        self.assertEqual(self.passed(20, now=0.4), 2)
        self.assertEqual(self.passed(20, now=10.0), 5)

    def test_what_is_three_times_as_long_amplifies(self) -> None:
        """On the wire: with 28 octets of headers each."""
        for asked, said, expected in ((33, 84, False), (30, 30, False), (33, 155, False), (33, 156, True)):
            self.assertIs(amplifies(asked, said), expected)

    def test_limits_a_network_together(self) -> None:
        """Of 24 bits, and 56 of IPv6; the next one is another."""
        rows = [
            ("198.51.100.1", "198.51.100.255", "198.51.101.1"),
            ("2001:db8::1", "2001:db8:0:ff::1", "2001:db8:0:100::1"),
        ]
        for one, same, other in rows:
            self.assertEqual(self.passed(20, address=one), 5)
            self.assertEqual(self.passed(20, address=same), 0)
            self.assertEqual(self.passed(20, address=other), 5)

    def test_has_prefixes_of_any_length(self) -> None:
        """Down to single addresses."""
        self.limit = self.make(ipv4_prefix=25, ipv6_prefix=128)
        for one, same, other in (
            ("192.0.2.1", "192.0.2.127", "192.0.2.128"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ):
            self.assertEqual(self.passed(20, address=one), 5)
            self.assertEqual(self.passed(20, address=same), 0)
            self.assertEqual(self.passed(20, address=other), 5)

    def test_knows_ipv4_as_ipv6(self) -> None:
        """As a socket of both families gives it; not the whole Internet is one network."""
        self.assertEqual(self.passed(20, address="::ffff:192.0.2.1"), 5)
        self.assertEqual(self.passed(20, address="::ffff:198.51.100.1"), 5)
        self.assertEqual(self.passed(20, address="192.0.2.2"), 0)
        self.assertEqual(self.passed(20, address="fe80::1%eth0"), 5)

    def test_slips_every_so_many(self) -> None:
        """With 2, the second; so who is really there can come by TCP."""
        self.limit = self.make(slip=2)
        verdicts = self.judge(9)[5:]
        self.assertEqual(verdicts, [Verdict.DROP, Verdict.SLIP] * 2)

    def test_slips_never_or_always(self) -> None:
        """0 and 1, which is the default: TC is no longer than the query."""
        for rules, verdict in (({"slip": 0}, Verdict.DROP), ({"slip": 1}, Verdict.SLIP), ({}, Verdict.SLIP)):
            self.limit = self.make(**rules)
            self.assertEqual(set(self.judge(9)[5:]), {verdict})

    def test_exempts_networks(self) -> None:
        """However many they ask for."""
        self.limit = self.make(exempt=(ip_network("198.51.100.0/26"), ip_network("2001:db8::/32")))
        self.assertEqual(self.passed(20), 20)
        self.assertEqual(self.passed(20, address="2001:db8::1"), 20)
        self.assertEqual(self.passed(20, address="198.51.100.64"), 0)

    def test_has_no_limit_with_0(self) -> None:
        """And none is kept."""
        self.limit = self.make(0)
        self.assertEqual(self.passed(1000), 1000)
        self.assertEqual(len(self.limit), 0)

    def test_goes_by_other_rules_after_a_reload(self) -> None:
        """At once."""
        self.limit.configure(settings.RateLimit(50))
        self.assertEqual(self.passed(100), 50)

    def test_forgets_whose_bucket_is_full(self) -> None:
        """In two seconds at most, whoever asks."""
        for number in range(1000):
            self.judge(1, address=f"192.0.{number % 250}.1", now=number / 1000)
        self.judge(1, now=1.1)
        self.judge(1, address="203.0.113.1", now=2.2)
        self.assertLessEqual(len(self.limit), 2)

    def test_is_bounded_under_spoofed_floods(self) -> None:
        """More networks in a second than are kept."""
        for number in range(3 * MOST):
            self.limit.judge(f"{number >> 16}.{number >> 8 & 255}.{number & 255}.1", now=0.5)
        self.assertLessEqual(len(self.limit), 2 * MOST)

    @given(st.lists(st.floats(0.0, 0.3), min_size=1, max_size=200))
    def test_never_gives_more_than_the_rate_and_one_bucket(self, gaps: list[float]) -> None:
        """In any span of time, whatever the pattern."""
        limit, now, times = self.make(), 0.0, []
        for gap in gaps:
            now += gap
            if limit.judge(SENDER, now=now) is Verdict.PASS:
                times.append(now)
        for first, start in enumerate(times):
            for last, end in enumerate(times[first:], first):
                self.assertLessEqual(last - first + 1, 5 * (end - start) + 5 + 1e-6)

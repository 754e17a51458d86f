"""Tests for `realmgw.dns.forward.cache`."""

from __future__ import annotations

import dns.flags
import dns.message
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec.message import Record
from realmgw.dns.codec.names import to_wire
from realmgw.dns.codec.wire import Type, decode
from realmgw.dns.forward.answers import BadAnswerError, Reply
from realmgw.dns.forward.cache import Cache, Packed, form, pack

QUESTION = to_wire("www.example.net.") + b"\0\1\0\1"
ALIAS = Record(to_wire("www.example.net."), Type.CNAME, 300, targets=(to_wire("b.example.net."),))
ADDRESS = Record(to_wire("b.example.net."), Type.A, 100, bytes(4))


def packed(*records: Record, authentic: bool = False) -> Packed:
    """An answer of these."""
    return pack(QUESTION, Reply(0, authentic=authentic, answers=records, life=100))


class FormTests(SynchronousTestCase):
    """What is given to who asks."""

    def formed(self, age: int, size: int = 1232, *, authentic: bool = False, **query: object) -> dns.message.Message:
        """The answer, as dnspython reads it."""
        asked = dns.message.make_query("wWw.example.net.", "A", **query)  # type: ignore[arg-type]  # as it has them
        octets = form(packed(ALIAS, ADDRESS, authentic=authentic), decode(asked.to_wire()), (), age, size, 1232)
        answer = dns.message.from_wire(octets)
        self.assertTrue(asked.is_response(answer))
        return answer

    def test_ttls_are_counted_down(self) -> None:
        """Each for itself, and not below 0."""
        for age, ttls in ((0, [300, 100]), (60, [240, 40]), (200, [100, 0]), (-1, [30, 30])):
            self.assertEqual([each.ttl for each in self.formed(age).answer], ttls)

    def test_has_the_question_as_it_was_asked(self) -> None:
        """Upper and lower case, also where names are compressed against it."""
        answer = self.formed(0)
        self.assertEqual(str(answer.question[0].name), "wWw.example.net.")
        self.assertEqual(str(answer.answer[0].name), "wWw.example.net.")

    def test_authentic_is_said_to_who_wants_to_know(self) -> None:
        """By AD or DO (RFC 6840 section 5.8)."""
        self.assertFalse(self.formed(0, authentic=True).flags & dns.flags.AD)
        self.assertTrue(self.formed(0, authentic=True, want_dnssec=True).flags & dns.flags.AD)
        self.assertFalse(self.formed(0, want_dnssec=True).flags & dns.flags.AD)
        self.assertTrue(self.formed(0, authentic=True, flags=dns.flags.RD | dns.flags.AD).flags & dns.flags.AD)

    def test_what_is_too_long_is_truncated(self) -> None:
        """With OPT, and nothing else."""
        answer = self.formed(0, 60, use_edns=0)
        self.assertTrue(answer.flags & dns.flags.TC)
        self.assertEqual((answer.answer, answer.edns), ([], 0))

    def test_reasons_do_not_make_it_longer_than_it_may_be(self) -> None:
        """Extended errors are left out where there is no room for them; by TCP there is."""
        query = decode(dns.message.make_query("www.example.net.", "A", use_edns=0).to_wire())
        said, reasons = packed(ALIAS, ADDRESS), ((15, bytes(258)),) * 4
        short, whole = form(said, query, reasons, 0, 512, 1232), form(said, query, reasons, 0, 65535, 1232)
        answer = dns.message.from_wire(short)
        self.assertEqual((bool(answer.flags & dns.flags.TC), answer.edns, answer.options), (True, 0, ()))
        self.assertEqual(len(dns.message.from_wire(whole).options), 4)

    def test_longer_than_any_message(self) -> None:
        """Once names are not compressed."""
        record = Record(to_wire("www.example.net."), 33, 5, bytes(6) + to_wire(f"{'a.' * 120}example.net."))
        with self.assertRaises(BadAnswerError):
            packed(*[record] * 300)


class CacheTests(SynchronousTestCase):
    """How long, and how much."""

    def test_keeps_what_lives(self) -> None:
        """As long as it lives; what does not is not kept."""
        cache = Cache(10_000)
        cache.put(b"a", packed(ADDRESS), 5.0)
        entry = cache.get(b"a")
        assert entry is not None
        self.assertEqual((entry.since, entry.until), (5.0, 105.0))
        cache.put(b"b", pack(QUESTION, Reply(0, answers=(ADDRESS,))), 5.0)
        self.assertIsNone(cache.get(b"b"))

    def test_what_was_not_asked_for_longest_goes(self) -> None:
        """When there is more than there may be; the count of octets is right all the while."""
        cache = Cache(3000)
        for key in (b"a", b"b", b"c"):
            cache.put(key, packed(ADDRESS), 0.0)
        cache.get(b"a")
        cache.put(b"d", packed(ADDRESS), 0.0)
        self.assertEqual([cache.get(key) is not None for key in (b"a", b"b", b"c", b"d")], [True, False, True, True])
        self.assertLessEqual(cache.octets, 3000)
        for key in (b"a", b"c", b"d"):
            cache.drop(key)
        self.assertEqual((cache.octets, len(cache)), (0, 0))

    def test_what_is_larger_than_all_of_it_is_not_kept(self) -> None:
        """And nothing goes for it."""
        cache = Cache(1000)
        cache.put(b"a", packed(ADDRESS), 0.0)
        cache.put(b"b", packed(*[ADDRESS] * 100), 0.0)
        self.assertEqual(len(cache), 1)

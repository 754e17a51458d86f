"""Tests for `realmgw.dns.forward.answers`."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec.names import to_text, to_wire
from realmgw.dns.codec.wire import Type
from realmgw.dns.forward.answers import LONGEST_LIFE, BadAnswerError, Reply, _plain, _read, is_answer, read

NAME = "wWw.Example.neT."
SOA = "example.net. 900 IN SOA ns.example.net. h.example.net. 1 2 3 4 60"


def question(name: str = NAME, kind: str = "A") -> bytes:
    """A question whose case is kept."""
    return bytes(dns.message.make_query(name, kind).to_wire()[12:])


def message(
    *answers: str, authority: tuple[str, ...] = (), kind: str = "A", rcode: str = "NOERROR", flags: int = 0, **edns: Any
) -> bytes:
    """An answer."""
    made = dns.message.make_response(dns.message.make_query(NAME, kind), recursion_available=True)
    made.flags |= flags
    if edns:
        made.use_edns(**edns)
    made.set_rcode(dns.rcode.from_text(rcode))
    for section, texts in ((made.answer, answers), (made.authority, authority)):
        for text in texts:
            name, ttl, cls, type_, data = text.split(" ", 4)
            section.append(dns.rrset.from_text(name, int(ttl), cls, type_, data))
    return bytes(made.to_wire(max_size=65535))


def kept(reply: Reply) -> list[tuple[str, int]]:
    """The owners and types of an answer section."""
    return [(to_text(record.owner), record.type) for record in reply.answers]


class ReadTests(SynchronousTestCase):
    """What is kept of an answer."""

    def test_keeps_the_chain_and_nothing_else(self) -> None:
        """Whatever else stands in the answer, in whichever order."""
        reply = read(
            message(
                "other.example.net. 300 IN A 198.51.100.9",
                "b.example.net. 60 IN A 198.51.100.7",
                "www.example.net. 300 IN CNAME b.example.net.",
                "b.example.net. 300 IN TXT x",
                authority=("example.net. 300 IN NS ns.example.net.",),
            ),
            question(),
        )
        self.assertEqual(kept(reply), [("www.example.net.", Type.CNAME), ("b.example.net.", Type.A)])
        self.assertEqual((reply.authority, reply.life), ((), 60))

    def test_what_there_is_not_lives_as_long_as_the_soa_says(self) -> None:
        """The lesser of its TTL and its minimum (RFC 2308)."""
        for rcode in ("NOERROR", "NXDOMAIN"):
            reply = read(message(authority=(SOA,), rcode=rcode), question())
            self.assertEqual((reply.life, reply.authority[0].ttl), (60, 60))

    def test_without_a_soa_it_is_not_kept(self) -> None:
        """And one that is not above the name is none."""
        for authority in ((), ("example.org. 900 IN SOA ns.example.net. h.example.net. 1 2 3 4 60",)):
            self.assertEqual(read(message(authority=authority, rcode="NXDOMAIN"), question()).life, 0)

    def test_ttls_are_bounded(self) -> None:
        """One with the highest bit set is 0 (RFC 2181 section 8)."""
        for ttl, life in ((2**31 - 1, LONGEST_LIFE), (5, 5)):
            self.assertEqual(read(message(f"www.example.net. {ttl} IN A 198.51.100.7"), question()).life, life)
        octets = bytearray(message("www.example.net. 5 IN A 198.51.100.7"))
        octets[-10] = 0x80
        self.assertEqual(read(bytes(octets), question()).answers[0].ttl, 0)

    def test_unknown_types_are_octets(self) -> None:
        """RFC 3597."""
        reply = read(
            message("www.example.net. 5 IN TYPE65280 \\# 3 010203", kind="TYPE65280"), question(kind="TYPE65280")
        )
        self.assertEqual(reply.answers[0].rdata, b"\1\2\3")

    def test_names_in_rdata_are_complete(self) -> None:
        """Though they were compressed."""
        for kind, data in (("MX", "10 www.example.net."), ("SRV", "1 2 3 www.example.net.")):
            octets = message(f"www.example.net. 5 IN {kind} {data}", kind=kind)
            self.assertTrue(read(octets, question(kind=kind)).answers[0].rdata.endswith(to_wire("www.example.net.")))
        naptr = message('www.example.net. 5 IN NAPTR 1 2 "s" "x" "" www.example.net.', kind="NAPTR")
        self.assertTrue(read(naptr, question(kind="NAPTR")).answers[0].rdata.endswith(to_wire("www.example.net.")))

    def test_signatures_come_along(self) -> None:
        """Those of what is kept."""
        signed = "8 3 300 20300101000000 20200101000000 1 example.net. AAAA"
        reply = read(
            message(
                "www.example.net. 300 IN A 198.51.100.7",
                f"www.example.net. 300 IN RRSIG A {signed}",
                f"www.example.net. 300 IN RRSIG TXT {signed}",
            ),
            question(),
        )
        self.assertEqual([kind for _, kind in kept(reply)], [Type.A, Type.RRSIG])

    def test_proofs_come_along(self) -> None:
        """Signed by a zone that the name is in; what another one says of its own names proves nothing."""
        signed = "8 2 300 20300101000000 20200101000000 1"
        proofs = (
            SOA,
            f"example.net. 60 IN RRSIG SOA {signed} example.net. AAAA",
            "v.example.net. 60 IN NSEC x.example.net. A RRSIG NSEC",
            f"v.example.net. 60 IN RRSIG NSEC {signed} example.net. AAAA",
            "a.example.org. 60 IN NSEC b.example.org. A",
            f"a.example.org. 60 IN RRSIG NSEC {signed} example.org. AAAA",
        )
        reply = read(message(authority=proofs, rcode="NXDOMAIN"), question())
        types = [record.type for record in reply.authority]
        self.assertEqual(sorted(types), sorted([Type.SOA, Type.RRSIG, Type.NSEC, Type.RRSIG]))
        self.assertTrue(all(record.owner.endswith(to_wire("example.net.")) for record in reply.authority))
        denied = (
            "v.example.net. 60 IN NSEC x.example.net. A",
            f"v.example.net. 60 IN RRSIG NSEC {signed} example.net. AAAA",
        )
        wildcard = read(message("www.example.net. 300 IN A 198.51.100.7", authority=denied), question())
        self.assertEqual((len(wildcard.authority), wildcard.life), (2, 60))

    def test_what_renames_all_below_a_name_is_kept_once(self) -> None:
        """However many aliases lie below that: else a short answer could become one of more than 65535 records."""
        reply = read(
            message(
                "example.net. 300 IN DNAME example.com.",
                "www.example.net. 300 IN CNAME a.example.net.",
                "a.example.net. 300 IN CNAME b.example.net.",
                "b.example.net. 300 IN CNAME c.example.com.",
                "c.example.com. 300 IN A 198.51.100.7",
            ),
            question(),
        )
        types = [kind for _, kind in kept(reply)]
        self.assertEqual(types, [Type.DNAME, Type.CNAME, Type.CNAME, Type.CNAME, Type.A])

    def test_says_why_and_how_sure(self) -> None:
        """Extended errors, AD, and response codes over 15."""
        error = dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "x")
        reply = read(message(rcode="SERVFAIL", edns=0, options=[error], flags=dns.flags.AD), question())
        self.assertEqual((reply.rcode, reply.authentic, reply.errors), (2, True, (b"\0\x06x",)))
        self.assertEqual(read(message(rcode="BADCOOKIE", edns=0), question()).rcode, 23)


COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"client88serverside")
EDNS: tuple[dict[str, Any], ...] = ({}, {"edns": 0}, {"edns": 0, "options": [COOKIE]})


class PlainTests(SynchronousTestCase):
    """Addresses of the name asked for, which are read with less."""

    def test_most_answers_are_plain(self) -> None:
        """One address or several, of both families, with an OPT record or without, with a cookie or without."""
        for kind, addresses in (("A", ("198.51.100.7", "198.51.100.8")), ("AAAA", ("2001:db8::7", "2001:db8::8"))):
            for edns, flags in itertools.product(EDNS, (0, dns.flags.AD)):
                records = [f"{NAME} {ttl} IN {kind} {each}" for ttl, each in zip((300, 60), addresses, strict=True)]
                octets = message(*records, kind=kind, flags=flags, **edns)
                reply = _plain(octets, question(kind=kind))
                assert reply is not None
                self.assertEqual(reply, _read(octets, question(kind=kind)))
                self.assertEqual((len(reply.answers), reply.life, reply.cookie is not None), (2, 60, len(edns) == 2))

    @given(
        st.sampled_from(EDNS),
        st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3),
        st.lists(st.tuples(st.integers(2, 120), st.integers(0, 255)), max_size=3),
        st.integers(0, 3),
    )
    def test_is_read_as_any_other(
        self, edns: dict[str, Any], ttls: list[int], changes: list[tuple[int, int]], less: int
    ) -> None:
        """Whatever of it is something else, or missing: it is not plain, or says the same by either way."""
        octets = bytearray(message(*[f"{NAME} 5 IN A 198.51.100.{each}" for each in range(len(ttls))], **edns))
        for number, ttl in enumerate(ttls):
            at = 12 + len(question()) + 16 * number + 6
            octets[at : at + 4] = ttl.to_bytes(4, "big")
        for at, value in changes:
            if at < len(octets) and not 12 <= at < 12 + len(question()):
                octets[at] = value
        whole = bytes(octets[: len(octets) - less])
        reply = _plain(whole, question())
        if reply is not None:
            self.assertEqual(reply, _read(whole, question()))

    def test_each_octet_counts(self) -> None:
        """Whichever one is another: it is not plain, or says the same by either way."""
        for edns in EDNS:
            octets = message(f"{NAME} 5 IN A 198.51.100.7", **edns)
            for at in {*range(2, len(octets))} - {*range(12, 12 + len(question()))}:
                for value in {0, 1, 0x80, 0xFF} - {octets[at]}:
                    changed = octets[:at] + bytes((value,)) + octets[at + 1 :]
                    reply = _plain(changed, question())
                    if reply is not None:
                        self.assertEqual(reply, _read(changed, question()), (at, value))

    def test_of_the_root(self) -> None:
        """Its name is shorter than what would lead to it."""
        root = b"\0\0\1\0\1"
        octets = b"\0\0\x81\x80\0\1\0\1\0\0\0\0" + root + b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\xc6\x33\x64\7"
        self.assertIsNone(_plain(octets, root))
        self.assertEqual(read(octets, root).answers[0].owner, b"\0")


class BadTests(SynchronousTestCase):
    """What can not be used."""

    def assert_bad(self, octets: bytes, why: str) -> None:
        """It can not be read, for that reason."""
        with self.assertRaisesRegex(BadAnswerError, why):
            read(octets, question())

    def test_aliases_in_a_circle(self) -> None:
        """Of one, of two."""
        self.assert_bad(message("www.example.net. 5 IN CNAME www.example.net."), "circle")
        circle = ("www.example.net. 5 IN CNAME b.example.net.", "b.example.net. 5 IN CNAME www.example.net.")
        self.assert_bad(message(*circle), "circle")

    def test_too_many_aliases(self) -> None:
        """One after the other."""
        names = ["www", *(f"n{number}" for number in range(20))]
        chain = [f"{one}.example.net. 5 IN CNAME {two}.example.net." for one, two in itertools.pairwise(names)]
        self.assert_bad(message(*chain), "more than 16 aliases")

    def test_compression_that_leads_nowhere(self) -> None:
        """To itself, forwards, into the header."""
        octets = message("www.example.net. 5 IN A 198.51.100.7")
        at = len(octets) - 16
        for pointer in (at, at + 8, 4):
            broken = octets[:at] + (0xC000 | pointer).to_bytes(2, "big") + octets[at + 2 :]
            self.assert_bad(broken, "compression pointer")

    def test_counts_that_are_not_met(self) -> None:
        """Too few, too many, octets left over, and more records than anybody has."""
        octets = message("www.example.net. 5 IN A 198.51.100.7")
        for count, why in ((0, "octets after"), (2, "over the end"), (0xFFFF, "more than 4500")):
            self.assert_bad(octets[:6] + count.to_bytes(2, "big") + octets[8:], why)
        self.assert_bad(octets + b"\0", "octets after")

    def test_another_edns_version(self) -> None:
        """And two OPT records."""
        octets = message(edns=0)
        self.assert_bad(octets[:-5] + b"\1" + octets[-4:], "version")
        self.assert_bad(octets[:10] + b"\0\2" + octets[12:] + octets[-11:], "OPT")

    def test_addresses_of_a_wrong_length(self) -> None:
        """Nobody downstream should have to wonder."""
        octets = bytearray(message("www.example.net. 5 IN A 198.51.100.7"))
        octets[-5] = 3
        self.assert_bad(bytes(octets[:-1]), "wrong length")

    def test_referrals(self) -> None:
        """Of a server that is no resolver."""
        octets = bytearray(message(authority=("net. 5 IN NS ns.example.net.",)))
        octets[3] &= 0x7F
        self.assert_bad(bytes(octets), "referral")

    @given(st.binary(max_size=200), st.binary(max_size=8))
    def test_nothing_else_is_raised(self, rest: bytes, counts: bytes) -> None:
        """Whatever comes after the question."""
        octets = b"\0\0\x81\x80\0\1" + counts[:6].ljust(6, b"\0") + question() + rest
        with contextlib.suppress(BadAnswerError):
            self.assertIsInstance(read(octets, question()), Reply)


class MatchTests(SynchronousTestCase):
    """What is an answer to a query."""

    def test_has_its_id_and_its_question_to_the_letter(self) -> None:
        """And is a response to a query, with one question."""
        octets = message("www.example.net. 5 IN A 198.51.100.7")
        self.assertTrue(is_answer(octets, octets, question()))
        for place, value in (
            (0, octets[0] ^ 1),
            (1, octets[1] ^ 1),
            (2, 0),
            (2, 0xA8),
            (5, 2),
            (13, ord("W")),
            (31, 28),
        ):
            other = bytearray(octets)
            other[place] = value
            self.assertFalse(is_answer(bytes(other), octets, question()), place)
        self.assertFalse(is_answer(octets[:11], octets, question()))
        self.assertFalse(is_answer(octets, octets, question(NAME.lower())))
        self.assertEqual(dns.name.from_wire(octets, 12)[0], dns.name.from_text(NAME))

"""Answers as they go, judged by dnspython."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rrset
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec import message, names, wire
from realmgw.dns.codec.message import ExtendedError, InfoCode, Record, Response
from realmgw.dns.codec.wire import Edns, Query, Rcode, Type

NAME = names.to_wire("one.example.org.")
QUESTION = b"\3oNe\7example\3ORG\0\0\1\0\1"
QUERY = Query(b"\x12\x34", 0x0110, QUESTION, NAME, 1, 1)
ADDRESS = Record(NAME, Type.A, 0, b"\xc0\0\2\1")
SOA = Record(
    names.to_wire("example.org."),
    Type.SOA,
    5,
    bytes(20),
    (names.to_wire("ns1.example.org."), names.to_wire("hostmaster.example.org.")),
)


def with_opt(do: bool = False) -> Query:
    """The query with an OPT record."""
    return Query(b"\x12\x34", 0x0110, QUESTION, NAME, 1, 1, Edns(4096, 0, do))


def encode(query: Query, response: Response, limit: int = 512) -> bytes:
    """An answer from a server that takes 1232 octets."""
    return message.encode(query, response, limit, 1232)


class EncodeTests(SynchronousTestCase):
    """`encode`."""

    def test_keeps_id_question_and_case(self) -> None:
        """What came goes back, and an owner that is the question's name points there."""
        octets = encode(QUERY, Response(answers=(ADDRESS,)))
        self.assertEqual((octets[:2], octets[12 : 12 + len(QUESTION)]), (b"\x12\x34", QUESTION))
        self.assertEqual(octets[12 + len(QUESTION) :][:2], b"\xc0\x0c")

    def test_copies_opcode_rd_and_cd_and_nothing_else(self) -> None:
        """RA, AD and Z stay 0, whatever the query has."""
        query = Query(b"\0\0", 0x7FFF & ~0x8000)
        flags = int.from_bytes(encode(query, Response(Rcode.NOTIMP))[2:4], "big")
        self.assertEqual(flags, wire.QR | 0x7800 | wire.RD | wire.CD | Rcode.NOTIMP)

    def test_says_whether_it_is_authoritative(self) -> None:
        """AA."""
        for authoritative in (True, False):
            flags = dns.message.from_wire(encode(QUERY, Response(authoritative=authoritative))).flags
            self.assertEqual(bool(flags & dns.flags.AA), authoritative)

    def test_has_opt_if_and_only_if_the_query_has(self) -> None:
        """With our size, version 0, and DO copied."""
        self.assertEqual(dns.message.from_wire(encode(QUERY, Response())).edns, -1)
        for do in (False, True):
            answer = dns.message.from_wire(encode(with_opt(do), Response()))
            self.assertEqual((answer.edns, answer.payload, answer.ednsflags), (0, 1232, dns.flags.DO if do else 0))

    def test_says_a_long_response_code_in_the_opt_record(self) -> None:
        """BADVERS is 16: the four low bits are in the header."""
        self.assertEqual(dns.message.from_wire(encode(with_opt(), Response(Rcode.BADVERS))).rcode(), 16)

    def test_tells_the_reason_to_who_knows_edns(self) -> None:
        """An Extended DNS Error needs an OPT record (RFC 8914)."""
        response = Response(Rcode.SERVFAIL, error=ExtendedError(InfoCode.NOT_READY, "no address"))
        options = dns.message.from_wire(encode(with_opt(), response)).options
        self.assertEqual(options, (dns.edns.EDEOption(dns.edns.EDECode.NOT_READY, "no address"),))
        self.assertEqual(dns.message.from_wire(encode(QUERY, response)).edns, -1)

    def test_compresses_names_within_records(self) -> None:
        """The SOA's two names share the zone's, which is in the question already."""
        octets = encode(QUERY, Response(authority=(SOA,)))
        self.assertEqual(len(octets), 12 + len(QUESTION) + 2 + 10 + (4 + 2) + (11 + 2) + 20)
        soa = dns.message.from_wire(octets).authority[0]
        self.assertEqual(soa.name, dns.name.from_text("example.org."))
        self.assertEqual(soa[0].mname, dns.name.from_text("ns1.example.org."))

    def test_points_nowhere_that_14_bits_do_not_reach(self) -> None:
        """A name that stands beyond 0x3FFF is written out each time."""
        filler = [Record(NAME, 65280, 0, bytes(8000))] * 2
        far = Record(names.to_wire("far.example.net."), Type.A, 0, b"abcd")
        answers = (*filler, far, far)
        octets = encode(QUERY, Response(answers=(*answers,)), 65535)
        self.assertEqual(octets.count(b"\3far\7example\3net\0"), 1)
        octets = encode(QUERY, Response(answers=(*filler, filler[0], far, far)), 65535)
        self.assertEqual(octets.count(b"\3far\7example\3net\0"), 2)
        self.assertEqual(len(dns.message.from_wire(octets).answer[-1]), 1)

    @given(st.lists(st.lists(st.binary(min_size=1, max_size=10), max_size=4), max_size=20))
    def test_is_understood_by_dnspython_whatever_the_names(self, owners: list[list[bytes]]) -> None:
        """Every name comes back, however it was compressed."""
        wires = [b"".join(bytes((len(label),)) + label for label in labels).lower() + b"\0" for labels in owners]
        records = tuple(Record(name, Type.PTR, 1, targets=(name,)) for name in wires)
        answer = dns.message.from_wire(encode(QUERY, Response(answers=records), 65535), one_rr_per_rrset=True)
        self.assertEqual([rrset.name.to_wire() for rrset in answer.answer], wires)
        self.assertEqual([rrset[0].target.to_wire() for rrset in answer.answer], wires)


class TruncationTests(SynchronousTestCase):
    """Answers longer than the asker takes."""

    def test_leaves_out_additional_records_first(self) -> None:
        """Nobody asked for them, so TC stays clear (RFC 2181 section 9)."""
        octets = encode(with_opt(), Response(answers=(ADDRESS,), additional=(ADDRESS,) * 40))
        answer = dns.message.from_wire(octets)
        self.assertEqual((len(answer.answer), answer.additional, answer.flags & dns.flags.TC), (1, [], 0))

    def test_says_tc_and_keeps_opt(self) -> None:
        """The asker comes again by TCP; he learns our size all the same."""
        octets = encode(with_opt(), Response(answers=(ADDRESS,) * 40))
        answer = dns.message.from_wire(octets)
        self.assertLessEqual(len(octets), 512)
        self.assertEqual((answer.answer, answer.edns, bool(answer.flags & dns.flags.TC)), ([], 0, True))

    def test_goes_up_to_the_last_octet(self) -> None:
        """An answer of just the length that is allowed is given whole."""
        response = Response(answers=(ADDRESS,) * 20)
        whole = encode(QUERY, response, 65535)
        self.assertEqual(encode(QUERY, response, len(whole)), whole)
        self.assertLess(len(encode(QUERY, response, len(whole) - 1)), len(whole))

    def test_takes_the_lesser_size_and_512_at_least(self) -> None:
        """Of the asker's and ours; TCP has no limit but the length field's."""
        self.assertEqual(message.limit(QUERY, False, 1232), 512)
        for said, limit in ((0, 512), (511, 512), (513, 513), (1232, 1232), (1233, 1232), (65535, 1232)):
            query = Query(b"", 0, edns=Edns(said, 0, False))
            self.assertEqual(message.limit(query, False, 1232), limit)
            self.assertEqual(message.limit(query, True, 1232), 65535)

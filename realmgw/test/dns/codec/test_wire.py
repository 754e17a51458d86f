"""Queries as they come."""

from __future__ import annotations

import struct
from typing import Any
from unittest import mock

import dns.edns
import dns.exception
import dns.message
import dns.rdatatype
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec import wire

NAME = b"\3One\7example\3org\0"
QUESTION = NAME + b"\0\1\0\1"
OPT = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0"
TSIG = b"\3Key\0\0\xfa\0\xff\0\0\0\0\0\x18\4hmac\0" + b"\0\0\0\0\0\x2a\1\x2c\0\2!!" + b"\xab\xcd\0\0\0\0"


def message(body: bytes = QUESTION, counts: tuple[int, int, int, int] = (1, 0, 0, 0), flags: int = 0x0100) -> bytes:
    """A message with the ID 0x1234."""
    return struct.pack("!6H", 0x1234, flags, *counts) + body


def record(owner: bytes, kind: int, data: bytes = b"", length: int | None = None, cls: int = 1) -> bytes:
    """A resource record, by default with its true RDLENGTH."""
    return owner + struct.pack("!HHIH", kind, cls, 0, len(data) if length is None else length) + data


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    """Queries of many shapes, all correct, written by dnspython."""
    label = st.text("abcXYZ-09", min_size=1, max_size=20)
    name = ".".join(draw(st.lists(label, min_size=1, max_size=6))) + ".example.org."
    kind = draw(st.sampled_from(["A", "AAAA", "HTTPS", "ANY", "SOA", "TYPE65280"]))
    options: dict[str, Any] = {}
    if draw(st.booleans()):
        options["use_edns"] = 0
        options["want_dnssec"] = draw(st.booleans())
        options["payload"] = draw(st.integers(0, 65535))
        options["options"] = [
            dns.edns.GenericOption(str(code), b"x" * code) for code in draw(st.lists(st.integers(40, 60)))
        ]
    return bytes(dns.message.make_query(name, kind, **options).to_wire(max_size=65535))


class UsualTests(SynchronousTestCase):
    """Queries that are read in one go."""

    def read(self, octets: bytes) -> object:
        """What is read, or what is wrong."""
        try:
            return wire.decode(octets)
        except wire.BadQueryError as error:
            return str(error), error.query, error.rcode

    def test_each_octet_counts(self) -> None:
        """Whichever one is another, or too much, it is read as it is where every query is read in the other way."""
        for octets in (message(), message(QUESTION + OPT, (1, 0, 0, 1))):
            changed = [octets, octets[:-1], octets + b"\0"]
            for at in range(len(octets)):
                changed += [octets[:at] + bytes((value,)) + octets[at + 1 :] for value in (0, 1, 0x80, 0xFF)]
            usual = [*map(self.read, changed)]
            with mock.patch.object(wire, "_usual", return_value=None):
                self.assertEqual([*map(self.read, changed)], usual)


class DecodeTests(SynchronousTestCase):
    """What is read from a correct query."""

    def test_reads_the_question(self) -> None:
        """The section is kept as it came, the name lower case beside it."""
        query = wire.decode(message())
        self.assertEqual((query.id, query.flags, query.question), (b"\x12\x34", 0x0100, QUESTION))
        self.assertEqual((query.name, query.type, query.cls, query.edns), (NAME.lower(), 1, 1, None))

    def test_reads_the_opt_record(self) -> None:
        """Size, version, DO and options."""
        opt = OPT[:-2] + b"\0\5" + b"\0\x0a\0\1!"
        query = wire.decode(message(QUESTION + opt, (1, 0, 0, 1)))
        self.assertEqual(query.edns, wire.Edns(1232, 0, True, ((10, b"!"),)))

    def test_passes_over_other_additional_records(self) -> None:
        """Before and behind the OPT record, with a compressed owner."""
        body = QUESTION + record(b"\xc0\x0c", 16, b"\1a") + OPT + record(b"\0", 65280)
        self.assertIsNotNone(wire.decode(message(body, (1, 0, 0, 3))).edns)

    def test_notes_a_signature(self) -> None:
        """What an error needs of the TSIG record."""
        found = wire.decode(message(QUESTION + TSIG, (1, 0, 0, 1))).tsig
        self.assertEqual(found, wire.Tsig(b"\3Key\0", b"\4hmac\0", b"\0\0\0\0\0\x2a\1\x2c", b"\xab\xcd"))

    def test_wants_the_signature_to_be_the_last_record_of_all(self) -> None:
        """One, in the additional section, of class ANY, with TTL 0, whole (RFC 8945 sections 4.2 and 5.1)."""
        rows = {
            "before an OPT record": (TSIG + OPT, (1, 0, 0, 2)),
            "twice": (TSIG + TSIG, (1, 0, 0, 2)),
            "in the authority section": (TSIG, (1, 0, 1, 0)),
            "of class IN": (TSIG.replace(b"\0\xff\0\0\0\0", b"\0\1\0\0\0\0"), (1, 0, 0, 1)),
            "with a TTL": (TSIG.replace(b"\0\xff\0\0\0\0", b"\0\xff\0\0\0\1"), (1, 0, 0, 1)),
            "empty": (record(b"\0", wire.Type.TSIG, cls=255), (1, 0, 0, 1)),
            "longer than its MAC": (TSIG.replace(b"\0\2!!", b"\0\1!!"), (1, 0, 0, 1)),
        }
        for what, (body, counts) in rows.items():
            with self.subTest(what):
                self.assertRaises(wire.BadQueryError, wire.decode, message(QUESTION + body, counts))
        self.assertIsNotNone(wire.decode(message(QUESTION + OPT + TSIG, (1, 0, 0, 2))).tsig)

    def test_needs_no_question_where_a_cookie_is_asked_for(self) -> None:
        """RFC 7873 section 5.4; with any other option, without one, or with a record, it does."""
        opt = OPT[:-2] + b"\0\x0c" + b"\0\x0a\0\x08" + bytes(8)
        query = wire.decode(message(opt, (0, 0, 0, 1)))
        self.assertEqual((query.question, query.name), (b"", b""))
        for body, counts in (
            (OPT, (0, 0, 0, 1)),
            (OPT[:-2] + b"\0\x0c" + b"\0\x0b\0\x08" + bytes(8), (0, 0, 0, 1)),
            (b"", (0, 0, 0, 0)),
            (record(b"\0", 16) + opt, (0, 1, 0, 1)),
            (QUESTION + QUESTION + opt, (2, 0, 0, 1)),
        ):
            self.assertRaises(wire.BadQueryError, wire.decode, message(body, counts))

    def test_takes_a_serial_with_ixfr(self) -> None:
        """IXFR has a SOA record in the authority section (RFC 1995 section 3)."""
        body = NAME + b"\0\xfb\0\1" + record(b"\xc0\x0c", wire.Type.SOA)
        self.assertEqual(wire.decode(message(body, (1, 0, 1, 0))).type, wire.Type.IXFR)

    def test_needs_only_the_header_of_other_opcodes(self) -> None:
        """Their sections may mean something else."""
        query = wire.decode(message(b"\xff", (9, 9, 9, 9), flags=0x7800))
        self.assertEqual((query.opcode, query.question), (15, b""))

    @given(queries())
    def test_reads_what_dnspython_writes(self, octets: bytes) -> None:
        """Name, type, class and OPT are the same."""
        theirs, ours = dns.message.from_wire(octets), wire.decode(octets)
        asked = theirs.question[0]
        name = asked.name.canonicalize().to_wire()
        self.assertEqual((ours.name, ours.type, ours.cls), (name, asked.rdtype, asked.rdclass))
        if ours.edns is None:
            self.assertEqual(theirs.edns, -1)
        else:
            self.assertEqual((ours.edns.size, ours.edns.version), (theirs.payload, theirs.edns))
            self.assertEqual(ours.edns.options, tuple((each.otype, each.to_wire()) for each in theirs.options))


class RefusalTests(SynchronousTestCase):
    """What is no query."""

    def refused(self, octets: bytes) -> wire.BadQueryError:
        """The error that a message gives."""
        error: wire.BadQueryError = self.assertRaises(wire.BadQueryError, wire.decode, octets)
        return error

    def test_is_silent_about_responses_and_less_than_a_header(self) -> None:
        """To answer them could begin a loop, or can not be done."""
        for octets in (b"", message()[:11], message(flags=0x8100)):
            self.assertIsNone(self.refused(octets).query)

    def test_refuses_any_number_of_questions_but_one(self) -> None:
        """RFC 9619; the answer has no question then, but has OPT if there is one."""
        for count in (0, 2):
            query = self.refused(message(QUESTION * count + OPT, (count, 0, 0, 1))).query
            assert query is not None
            self.assertEqual((query.question, query.edns is not None), (b"", True))

    def test_refuses_records_where_a_query_has_none(self) -> None:
        """In the answer section, and in the authority section but for IXFR; the question can still be answered."""
        for counts in ((1, 1, 0, 0), (1, 0, 1, 0)):
            query = self.refused(message(QUESTION + record(b"\0", 1, b"abcd"), counts)).query
            assert query is not None
            self.assertEqual(query.question, QUESTION)

    def test_refuses_an_opt_record_out_of_place(self) -> None:
        """A second one, one that is not the root's (even by a pointer to a root), one in another section."""
        named = b"\1a" + OPT
        for body, counts in ((OPT + OPT, (1, 0, 0, 2)), (named, (1, 0, 0, 1)), (OPT, (1, 0, 1, 0))):
            self.refused(message(QUESTION + body, counts))
        self.refused(message(QUESTION + b"\xc0\x1c" + OPT[1:], (1, 0, 0, 1)))

    def test_refuses_an_option_longer_than_its_record(self) -> None:
        """The OPT record itself was read, and is answered with one."""
        query = self.refused(message(QUESTION + OPT[:-2] + b"\0\5" + b"\0\x0a\0\2!", (1, 0, 0, 1))).query
        assert query is not None
        self.assertIsNotNone(query.edns)

    def test_refuses_a_record_longer_than_the_message(self) -> None:
        """RDLENGTH lies."""
        self.refused(message(QUESTION + record(b"\0", 16, b"\1a", length=3), (1, 0, 0, 1)))

    def test_refuses_many_records_unread(self) -> None:
        """The counts alone are enough."""
        self.refused(message(counts=(1, 0, 0, wire.MAX_RECORDS)))

    @given(queries(), st.data())
    def test_refuses_a_query_cut_anywhere_or_with_an_octet_more(self, octets: bytes, data: st.DataObject) -> None:
        """The end is exact."""
        self.refused(octets[: data.draw(st.integers(0, len(octets) - 1))])
        self.refused(octets + b"\0")

    @given(st.binary(max_size=80), st.integers(0, 0xFFFF), st.lists(st.integers(0, 3), min_size=4, max_size=4))
    def test_raises_nothing_else_whatever_comes(self, body: bytes, flags: int, counts: list[int]) -> None:
        """Any octets behind any header; and whatever we take as a query, dnspython takes."""
        octets = message(body, (counts[0], counts[1], counts[2], counts[3]), flags)
        try:
            query = wire.decode(octets)
        except wire.BadQueryError:
            return
        if query.opcode == wire.Opcode.QUERY and not counts[2] + counts[3]:
            self.assertEqual(len(dns.message.from_wire(octets, one_rr_per_rrset=True).question), 1)

    @given(queries(), st.data())
    def test_raises_nothing_else_when_octets_are_changed(self, octets: bytes, data: st.DataObject) -> None:
        """One octet of a correct query is another: it is a query still, or is refused as one."""
        at = data.draw(st.integers(0, len(octets) - 1))
        changed = octets[:at] + bytes((data.draw(st.integers(0, 255)),)) + octets[at + 1 :]
        try:
            wire.decode(changed)
        except wire.BadQueryError as error:
            self.assertTrue(error.query is None or error.rcode is wire.Rcode.FORMERR)

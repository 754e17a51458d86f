"""What RFC 8906 asks of a server, and what other RFCs say of queries that are not usual: over the whole way of a query.

Each row is one query and what the answer must be; views and both transports are asked the same.
"""

from __future__ import annotations

from typing import Any

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode

from realmgw.config import settings
from realmgw.dns.codec.wire import decode
from realmgw.dns.counts import Count
from realmgw.dns.view import Asker
from realmgw.test.dns import realm, transports
from realmgw.test.dns.transports import ServerTestCase

APEX = "example.org."
MBZ = 0x0040
"""The bit of the header that must be 0 (RFC 1035 section 4.1.1)."""
Z = 0x0080
"""One of the bits of an OPT record's flags that mean nothing yet."""
PRECISE = dns.flags.QR | dns.flags.AA | dns.flags.TC | dns.flags.RD | dns.flags.RA | MBZ | dns.flags.AD | dns.flags.CD


@attrs.frozen
class Row:
    """A query, and what is answered."""

    said: str
    """What it is."""
    asked: dict[str, Any] = attrs.Factory(dict)
    """For `dns.message.make_query`, besides the apex."""
    kind: str = "SOA"
    """The type."""
    flags: int = 0
    """Of the header, besides the opcode."""
    opcode: int = 0
    """What kind of query."""
    rcode: int = dns.rcode.NOERROR
    """Of the answer."""
    authoritative: bool = True
    """AA."""
    answers: bool = True
    """There is something in the answer section."""
    copied: int = 0
    """Flags that come back."""


def option(code: int, data: bytes = b"") -> dns.edns.GenericOption:
    """An EDNS option."""
    return dns.edns.GenericOption(str(code), data)


NOT_TOLD = option(8, b"\0\1\0\0")
"""A client subnet that tells nothing."""
EDNS: dict[str, Any] = {"use_edns": 0}
BADVERS: dict[str, Any] = {"rcode": dns.rcode.BADVERS, "authoritative": False, "answers": False}
BASIC = (
    Row("8.1.1 is it a server at all"),
    Row("8.1.2 an unknown type", kind="TYPE1000", answers=False),
    Row("8.1.3.1 CD", flags=dns.flags.CD, copied=dns.flags.CD),
    Row("8.1.3.2 AD", flags=dns.flags.AD),
    Row("8.1.3.3 a reserved bit", flags=MBZ),
    Row("8.1.3.4 RD", flags=dns.flags.RD, copied=dns.flags.RD),
    Row("AA, TC and RA of a query mean nothing", flags=dns.flags.AA | dns.flags.TC | dns.flags.RA),
    *(
        Row(f"8.1.4 opcode {opcode}", opcode=opcode, rcode=dns.rcode.NOTIMP, authoritative=False, answers=False)
        for opcode in (1, 2, 3, 4, 5, 6, 15)
    ),
)
WITH_EDNS = (
    Row("8.2.1 EDNS version 0", EDNS),
    Row("8.2.2 EDNS version 100", {"use_edns": 100}, **BADVERS),
    Row("8.2.2 EDNS version 1", {"use_edns": 1}, **BADVERS),
    Row("8.2.3 an unknown option", {**EDNS, "options": [option(100)]}),
    Row("8.2.4 an unknown flag", {**EDNS, "ednsflags": Z}),
    Row("8.2.5 version 100 and an unknown option", {"use_edns": 100, "options": [option(100)]}, **BADVERS),
    Row("8.2.6 version 100 and an unknown flag", {"use_edns": 100, "ednsflags": Z}, **BADVERS),
    Row("8.2.7 DO", {**EDNS, "ednsflags": dns.flags.DO}),
    Row("8.2.8 DO of version 100", {"use_edns": 100, "ednsflags": dns.flags.DO}, **BADVERS),
    Row("8.2.9 options that are known", {**EDNS, "options": [*map(option, (3, 9)), option(10, bytes(8)), NOT_TOLD]}),
    Row("options of the local range", {**EDNS, "options": [option(65281, b"x"), option(65282)]}),
    Row("a client subnet without a family", {**EDNS, "options": [option(8, bytes(4))]}),
    Row("padding and keep-alive", {**EDNS, "options": [option(12, bytes(40)), option(11)]}),
)
REFUSALS = (
    Row("AXFR", kind="AXFR", rcode=dns.rcode.REFUSED, authoritative=False, answers=False),
    Row("IXFR", kind="IXFR", rcode=dns.rcode.REFUSED, authoritative=False, answers=False),
    Row("class CH", {"rdclass": "CH"}, rcode=dns.rcode.REFUSED, authoritative=False, answers=False),
    Row("class ANY", {"rdclass": "ANY"}, rcode=dns.rcode.REFUSED, authoritative=False, answers=False),
    Row("type ANY, minimally (RFC 8482)", kind="ANY"),
    Row("the same with EDNS", EDNS, kind="ANY"),
    Row("type NXNAME", kind="TYPE128", rcode=dns.rcode.FORMERR, authoritative=False, answers=False),
    Row("type OPT", kind="OPT", rcode=dns.rcode.FORMERR, authoritative=False, answers=False),
)


COOKIE = 10


class GoodBehaviourTests(ServerTestCase):
    """Both views, by UDP and by TCP."""

    def ask(self, query: bytes, *, lan: bool = True) -> list[dns.message.Message]:
        """What all say."""
        answers = []
        for answering in (realm.wan(), realm.lan())[: 1 + lan]:
            server = self.make_server(answering)
            datagrams, sent = transports.datagrams(server, self.clock)
            datagrams.datagramReceived(query, realm.RESOLVER)
            connected = transports.connect(server)
            assert connected is not None
            stream, connection = connected
            stream.dataReceived(transports.framed(query))
            answers += [*sent.answers(), *connection.answers()]
        return answers

    def check(self, row: Row) -> None:
        """One row."""
        query = dns.message.make_query(APEX, row.kind, flags=row.flags, **row.asked)
        query.set_opcode(dns.opcode.Opcode.make(row.opcode))
        answers = self.ask(query.to_wire())
        self.assertEqual(len(answers), 4, "somebody is silent")
        for answer in answers:
            self.assertEqual((answer.id, answer.opcode()), (query.id, row.opcode))
            self.assertEqual(answer.rcode(), row.rcode)
            self.assertEqual(bool(answer.answer), row.answers)
            wanted = dns.flags.QR | row.copied | (dns.flags.AA if row.authoritative else 0)
            self.assertEqual(answer.flags & PRECISE, wanted)
            self.assertEqual(answer.edns, 0 if "use_edns" in row.asked else -1)
            self.assertEqual(answer.ednsflags & 0xFFFF, row.asked.get("ednsflags", 0) & dns.flags.DO)
            self.assertEqual(answer.question, query.question)
            if row.rcode == dns.rcode.BADVERS:
                self.assertEqual(answer.authority, [])
            self.assertLessEqual({each.otype for each in answer.options}, {8, COOKIE})

    def check_all(self, rows: tuple[Row, ...]) -> None:
        """Each by itself."""
        for row in rows:
            with self.subTest(row.said):
                self.check(row)

    def test_basic_queries_are_answered(self) -> None:
        """RFC 8906 section 8.1, and other opcodes."""
        self.check_all(BASIC)

    def test_queries_with_edns_are_answered(self) -> None:
        """RFC 8906 section 8.2, and further options."""
        self.check_all(WITH_EDNS)

    def test_what_is_refused_is_told(self) -> None:
        """Never by silence."""
        self.check_all(REFUSALS)

    def test_what_can_not_be_read_is_told(self) -> None:
        """FORMERR, with opcode, ID, RD and CD as they came, and neither AA nor RA, AD or Z."""
        query = dns.message.make_query(APEX, "SOA", use_edns=0, flags=0x01F0, id=7).to_wire()
        opt = query[-11:]
        question = query[12:-11]
        for said, octets in {
            "two questions": query[:5] + b"\2" + query[6:12] + question * 2 + opt,
            "no question": query[:5] + b"\0" + query[6:12] + opt,
            "two OPT records": query[:11] + b"\2" + query[12:] + opt,
            "an OPT record as answer": query[:7] + b"\1" + query[8:11] + b"\0" + query[12:],
            "an octet too many": query + b"\0",
            "cut": query[:-1],
            "a name that leads to itself": query[:12] + b"\xc0\x0c" + question[-4:] + opt,
        }.items():
            with self.subTest(said):
                answers = self.ask(octets)
                self.assertEqual(len(answers), 4)
                for answer in answers:
                    self.assertEqual((answer.id, answer.opcode(), answer.rcode()), (7, 0, dns.rcode.FORMERR))
                    self.assertEqual(answer.flags & PRECISE, dns.flags.QR | dns.flags.RD | dns.flags.CD)

    def test_what_is_no_query_meets_silence(self) -> None:
        """A response, whatever is in it; by TCP less than a header ends the connection."""
        response = dns.message.make_query(APEX, "SOA", flags=dns.flags.QR).to_wire()
        for octets in (response, response[:12], b"", response[:11]):
            self.assertEqual(self.ask(octets), [])
        for octets in (b"", bytes(11)):
            stream, connection = self.connect()
            stream.dataReceived(transports.framed(octets))
            self.assertTrue(connection.disconnecting)

    def test_queries_follow_each_other_on_a_connection(self) -> None:
        """RFC 7766 section 6.2.1.1: all in one segment, or octet by octet; each has its answer."""
        octets = transports.framed(*[transports.query(APEX, "SOA", id=number) for number in range(5)])
        for size in (len(octets), 1):
            stream, connection = self.connect()
            for at in range(0, len(octets), size):
                stream.dataReceived(octets[at : at + size])
            self.assertEqual([answer.id for answer in connection.answers()], list(range(5)))

    def test_a_cookie_can_be_had_without_a_question(self) -> None:
        """RFC 7873 section 5.4: NOERROR and a server cookie, which is confirmed, or BADCOOKIE if it is wrong."""
        wan = realm.wan()

        def ask(cookie: bytes) -> dns.message.Message:
            query = dns.message.Message(id=7)
            query.use_edns(0, options=[option(COOKIE, cookie)])
            answer = wan.answer(decode(query.to_wire()), Asker(realm.RESOLVER, print), now=1.0)
            return dns.message.from_wire(answer or b"")

        first = ask(bytes(8))
        [given] = first.options
        self.assertEqual((first.rcode(), first.question, first.flags), (dns.rcode.NOERROR, [], dns.flags.QR))
        cookie = given.to_wire() or b""
        self.assertEqual(len(cookie), 24)
        for said, rcode in ((cookie, dns.rcode.NOERROR), (cookie[:-1] + b"!", dns.rcode.BADCOOKIE)):
            answer = ask(said)
            self.assertEqual((answer.rcode(), answer.options[0].otype), (rcode, COOKIE))
        for malformed in (b"1234567", bytes(9)):
            self.assertEqual(ask(malformed).rcode(), dns.rcode.FORMERR)
        self.assertEqual(wan.counts.events[Count.COOKIES], 2)

    def test_without_cookies_a_question_is_needed(self) -> None:
        """Where none are given, and on the LAN: FORMERR."""
        query = dns.message.Message(id=7)
        query.use_edns(0, options=[option(COOKIE, bytes(8))])
        none = realm.make_settings(cookies=settings.Cookies(enabled=False))
        for view in (realm.wan(made=none), realm.lan()):
            answer = view.answer(decode(query.to_wire()), Asker(realm.RESOLVER, print), now=1.0)
            self.assertEqual(dns.message.from_wire(answer or b"").rcode(), dns.rcode.FORMERR)

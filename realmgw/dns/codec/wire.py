"""Queries as they come: bytes in, a `Query` out, or a `BadQueryError` that knows what can still be answered.

Strict: every count is met, every record ends where its length says, and nothing follows the last one
(RFC 1035 section 4, RFC 6891 section 6).
"""

from __future__ import annotations

import enum
import struct

import attrs

from realmgw.dns.codec import names
from realmgw.errors import MalformedError

HEADER = struct.Struct("!HHHHHH")
"""ID, flags, and the counts of questions, answers, authority and additional records (RFC 1035 section 4.1.1)."""
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
"""Bits of the flags word."""
OPCODE_SHIFT, OPCODE_MASK = 11, 0xF
DO = 0x8000
"""The only defined bit of an OPT record's flags (RFC 3225)."""
MAX_RECORDS = 8
"""So many questions and records of one query are looked at: more than any has, and few enough to cost little."""
MIN_UDP_SIZE = 512  # octets
"""What every asker takes, whatever its OPT says (RFC 6891 section 6.2.3)."""
IN, ANY_CLASS = 1, 255
"""The class Internet; and the one of records that say something about the message, like TSIG."""
COOKIE = 10
"""Option code of a COOKIE (RFC 7873); a query that has one need not have a question."""

RECORD = struct.Struct("!HHIH")  # TYPE, CLASS, TTL, RDLENGTH
QUESTION = struct.Struct("!HH")  # QTYPE, QCLASS
_ONE_QUESTION, _ONE_AND_OPT = b"\0\1\0\0\0\0\0\0", b"\0\1\0\0\0\0\0\1"
"""The counts of most queries."""
_OPT = struct.Struct("!BHHIH")  # root, TYPE, size, extended RCODE, version and flags, RDLENGTH
_OPTION = struct.Struct("!HH")  # OPTION-CODE, OPTION-LENGTH
_TIMES = struct.Struct("!6sHH")  # of a TSIG record: time signed, fudge, MAC size
_TSIG_END = struct.Struct("!2sHH")  # original ID, error, length of other data


class Type(enum.IntEnum):
    """Record and query types that mean something here."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    HINFO = 13
    MX = 15
    TXT = 16
    AAAA = 28
    SRV = 33
    NAPTR = 35
    DNAME = 39
    OPT = 41
    DS = 43
    RRSIG = 46
    NSEC = 47
    DHCID = 49
    NSEC3 = 50
    SVCB = 64
    HTTPS = 65
    NXNAME = 128
    TKEY = 249
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255


_OPT_HEAD = names.ROOT + Type.OPT.to_bytes(2, "big")


class Rcode(enum.IntEnum):
    """Response codes; those over 15 need an OPT record to be said."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    YXRRSET = 7
    NXRRSET = 8
    NOTAUTH = 9
    NOTZONE = 10
    BADVERS = 16
    BADCOOKIE = 23


class Opcode(enum.IntEnum):
    """The kinds of messages that we answer."""

    QUERY = 0
    UPDATE = 5


@attrs.frozen
class Edns:
    """What a query's OPT record says."""

    size: int
    """The longest UDP answer that the asker takes, in octets, as he gave it."""
    version: int
    """0 is the only one there is."""
    do: bool
    """DNSSEC OK: copied to the answer."""
    options: tuple[tuple[int, bytes], ...] = ()
    """Code and data of each option, in their order."""


@attrs.frozen
class Tsig:
    """What a query's TSIG record says of its key (RFC 8945 section 4.2), as far as an error needs it."""

    key: bytes
    """The key's wire name, as it came."""
    algorithm: bytes
    """The algorithm's, likewise."""
    times: bytes
    """Time signed and fudge, 8 octets."""
    original_id: bytes
    """The ID that was signed, 2 octets."""


@attrs.frozen
class Query:
    """A query, or of one that can not be read whole what there is of it."""

    id: bytes
    """The two octets of the ID."""
    flags: int
    """The flags word as it came."""
    question: bytes = b""
    """The question section as it came; empty unless there is exactly one question and it can be read."""
    name: bytes = b""
    """The name asked for: wire form, lower case. Empty without a question."""
    type: int = 0
    """The type asked for."""
    cls: int = 0
    """The class asked for."""
    edns: Edns | None = None
    """What the OPT record says, if there is one."""
    tsig: Tsig | None = None
    """What the TSIG record says, if there is one."""
    length: int = 0
    """The whole of it, in octets."""

    @property
    def opcode(self) -> int:
        """What kind of query it is, 0 to 15."""
        return self.flags >> OPCODE_SHIFT & OPCODE_MASK


class BadQueryError(MalformedError):
    """These octets are no query.

    Attributes:
        query: What could be read, for the answer; None where none may be given: a response, or less than a header.
        rcode: What to answer.
    """

    def __init__(self, why: str, query: Query | None = None, rcode: Rcode = Rcode.FORMERR) -> None:
        super().__init__(why)
        self.query = query
        self.rcode = rcode


def decode(message: bytes) -> Query:
    """Reads a query of any opcode.

    Of an opcode other than QUERY only the header must be right, since its sections may mean something else: question
    and OPT are given if they can be read.

    Raises:
        BadQueryError: And nothing else, whatever the octets are. QDCOUNT other than 1 is FORMERR (RFC 9619), unless it
            is 0 and there is a COOKIE option (RFC 7873 section 5.4). So are two OPT records, one that is not the root's
            or not in the additional section (RFC 6891 section 6.1.1), and a TSIG record that is not the last of all
            (RFC 8945 section 5.1).
    """
    if len(message) < HEADER.size:
        raise BadQueryError("shorter than a header")
    flags = message[2] << 8 | message[3]
    if flags & QR:
        raise BadQueryError("a response")
    usual = _usual(message, flags)
    if usual is not None:
        return usual
    reading = _Reading(message, list(HEADER.unpack_from(message)[2:]))
    problem = reading.problem()
    query = Query(message[:2], flags, *reading.question, reading.edns, reading.tsig, len(message))
    if problem and query.opcode == Opcode.QUERY:
        raise BadQueryError(problem, query)
    return query


def _usual(message: bytes, flags: int) -> Query | None:
    """A query of one question, and an OPT record without options at most, as most are; None of any other."""
    counts = message[4 : HEADER.size]
    if counts not in (_ONE_QUESTION, _ONE_AND_OPT):
        return None
    try:
        name, after = names.read(message, HEADER.size)
    except MalformedError:
        return None
    end, edns = after + QUESTION.size, None
    question = message[HEADER.size : end]
    if counts == _ONE_AND_OPT:
        opt = message[end:]
        if len(opt) != _OPT.size or opt[:3] != _OPT_HEAD or opt[9:] != b"\0\0":
            return None
        _, _, size, ttl, _ = _OPT.unpack(opt)
        edns = Edns(size, ttl >> 16 & 0xFF, bool(ttl & DO))
    elif end != len(message):
        return None
    kind, cls = QUESTION.unpack_from(message, after)
    return Query(message[:2], flags, question, name.lower(), kind, cls, edns, None, len(message))


class _Reading:
    """One pass over a message. What was read before a problem stays: it decides how the FORMERR looks."""

    def __init__(self, message: bytes, counts: list[int]) -> None:
        self.message = message
        self.counts = counts
        self.question: tuple[bytes, bytes, int, int] = (b"", b"", 0, 0)
        self.edns: Edns | None = None
        self.tsig: Tsig | None = None

    def problem(self) -> str | None:
        """Reads everything; what is wrong with it, if anything is."""
        try:
            return self._read()
        except (MalformedError, struct.error) as error:
            return str(error)

    def _read(self) -> str | None:
        questions, answers, authority, additional = self.counts
        if sum(self.counts) > MAX_RECORDS:
            return "more records than any query has"
        at = HEADER.size
        for _ in range(questions):
            at = self._read_question(at, questions == 1)
        for number in range(answers + authority + additional):
            at = self._read_record(at, number >= answers + authority)
        if at != len(self.message):
            return "octets after the last record"
        return self._judge(questions, answers, authority)

    def _judge(self, questions: int, answers: int, authority: int) -> str | None:
        if questions != 1 and (questions or not self._asks_for_cookie()):
            return "not exactly one question"
        if answers or (authority and self.question[2] != Type.IXFR):
            return "records in the answer or authority section"
        return None

    def _asks_for_cookie(self) -> bool:
        return self.edns is not None and any(code == COOKIE for code, _ in self.edns.options)

    def _read_question(self, at: int, only: bool) -> int:
        name, after = names.read(self.message, at)
        kind, cls = QUESTION.unpack_from(self.message, after)
        if only:
            self.question = (self.message[at : after + 4], name.lower(), kind, cls)
        return after + 4

    def _read_record(self, at: int, in_additional: bool) -> int:
        if self.tsig is not None:
            raise MalformedError("a record behind the TSIG record")
        is_root = self.message[at : at + 1] == names.ROOT
        after = at + 1 if is_root else names.read(self.message, at)[1]
        kind, cls, ttl, length = RECORD.unpack_from(self.message, after)
        start = after + RECORD.size
        end: int = start + length
        if end > len(self.message):
            raise MalformedError("a record runs over the end of the message")
        if kind == Type.OPT:
            self._read_opt(in_additional and is_root, cls, ttl, self.message[start:end])
        elif kind == Type.TSIG:
            self._read_tsig(in_additional and cls == ANY_CLASS and not ttl, at, start, end)
        return end

    def _read_tsig(self, in_place: bool, at: int, start: int, end: int) -> None:
        algorithm, after = names.read(self.message, start)
        times, fudge, mac = _TIMES.unpack_from(self.message, after)
        after += _TIMES.size + mac
        original_id, _, other = _TSIG_END.unpack_from(self.message, after)
        if not in_place or after + _TSIG_END.size + other != end:
            raise MalformedError("a TSIG record where none may be, or that is none")
        key = names.read(self.message, at)[0]
        self.tsig = Tsig(key, algorithm, times + fudge.to_bytes(2, "big"), original_id)

    def _read_opt(self, in_place: bool, size: int, ttl: int, data: bytes) -> None:
        if not in_place or self.edns is not None:
            raise MalformedError("an OPT record where none may be")
        self.edns = Edns(size, ttl >> 16 & 0xFF, bool(ttl & DO))
        if data:
            self.edns = attrs.evolve(self.edns, options=option_list(data))


def option_list(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Code and data of each option of an OPT record (RFC 6891 section 6.1.2).

    Raises:
        MalformedError: The last one is longer than the record.
        struct.error: Likewise.
    """
    options = []
    at = 0
    while at < len(data):
        code, length = _OPTION.unpack_from(data, at)
        at += _OPTION.size + length
        if at > len(data):
            raise MalformedError("an EDNS option runs over the end of its record")
        options.append((code, data[at - length : at]))
    return tuple(options)

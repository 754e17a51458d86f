"""Answers as they go: a `Query` and a `Response` in, bytes out."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable

import attrs

from realmgw.dns.codec import names
from realmgw.dns.codec.wire import (
    AA,
    ANY_CLASS,
    CD,
    DO,
    HEADER,
    IN,
    MIN_UDP_SIZE,
    OPCODE_MASK,
    OPCODE_SHIFT,
    QR,
    RD,
    TC,
    Query,
    Rcode,
    Tsig,
    Type,
)

MAX_MESSAGE = 65535  # octets
"""The longest message over TCP (RFC 1035 section 4.2.2)."""
LAST_TARGET = 0x3FFF
"""The farthest offset that the 14 bits of a compression pointer reach."""
COPIED = OPCODE_MASK << OPCODE_SHIFT | RD | CD
"""What of the query's flags goes back in the answer; RA stays 0, and so do Z and AD (RFC 6840 section 5.7)."""
BADKEY = 17
"""The error in a TSIG record that says that nobody here knows the key (RFC 8945 section 3)."""
EDE = 15
"""Option code of an Extended DNS Error (RFC 8914)."""

_RECORD = struct.Struct("!HHI")  # TYPE, CLASS, TTL
_HEAD = struct.Struct("!HHIH")  # the same, and RDLENGTH
_OPT = struct.Struct("!BHHBBHH")  # root, TYPE, size, extended RCODE, version, flags, RDLENGTH
_U16 = struct.Struct("!H")
_TO_QUESTION = bytes((names.POINTER, HEADER.size))
_TSIG_END = struct.Struct("!H2sHH")  # MAC size, original ID, error, length of other data


class InfoCode(enum.IntEnum):
    """INFO-CODEs of Extended DNS Errors that we use (RFC 8914 section 4)."""

    OTHER = 0
    STALE = 3
    NOT_READY = 14
    BLOCKED = 15
    CENSORED = 16
    FILTERED = 17
    PROHIBITED = 18
    UNREACHABLE = 22
    NETWORK_ERROR = 23


@attrs.frozen
class Record:
    """A resource record of class IN. Its RDATA is some names, which may be compressed, and then octets that may not."""

    owner: bytes
    """Wire name, lower case."""
    type: int
    """Its TYPE."""
    ttl: int
    """Seconds."""
    rdata: bytes = b""
    """What follows the names in the RDATA."""
    targets: tuple[bytes, ...] = ()
    """The names that the RDATA begins with (RFC 3597 section 4 allows compression only in types of RFC 1035)."""


@attrs.frozen
class ExtendedError:
    """Why there is an error, for the people who run the resolver (RFC 8914)."""

    code: int
    """INFO-CODE."""
    text: str = ""
    """EXTRA-TEXT."""


@attrs.frozen
class Response:
    """What is said to a query, before it has a form."""

    rcode: Rcode = Rcode.NOERROR
    """The response code."""
    authoritative: bool = False
    """AA: it comes from our zones."""
    answers: tuple[Record, ...] = ()
    """The answer section."""
    authority: tuple[Record, ...] = ()
    """The authority section."""
    additional: tuple[Record, ...] = ()
    """Records that the asker may like, left out without a word where they do not fit (RFC 2181 section 9)."""
    truncated: bool = False
    """TC: the asker shall come again by TCP."""
    options: tuple[tuple[int, bytes], ...] = ()
    """EDNS options, code and data, for an asker who sent an OPT record."""
    error: ExtendedError | None = None
    """Said only to an asker who sent an OPT record."""


def limit(query: Query, tcp: bool, udp_size: int) -> int:
    """The longest answer, in octets, that may be given to a query; `udp_size` is our own limit for UDP."""
    if tcp:
        return MAX_MESSAGE
    if query.edns is None:
        return MIN_UDP_SIZE
    return max(MIN_UDP_SIZE, min(query.edns.size, udp_size))


def encode(query: Query, response: Response, limit: int, udp_size: int) -> bytes:
    """Puts an answer into its form, with OPT if and only if the query has one (RFC 6891 section 6.1.1).

    What is longer than `limit` is given without the additional records, and if it is too long still, with no record but
    OPT, without extended errors, and with TC set, so that the asker comes again by TCP. NOTAUTH has the query's TSIG
    record behind all that, with the error BADKEY and without a signature (RFC 8945 section 5.2.1), unless that makes it
    too long.

    Args:
        query: What is answered.
        response: What is said.
        limit: The longest answer, in octets.
        udp_size: What our OPT record gives as the longest UDP message that we take.
    """
    opt = opt_record(query, response, udp_size)
    tsig = _tsig(query.tsig) if query.tsig is not None and response.rcode is Rcode.NOTAUTH else b""
    if tsig:
        octets = _written(query, response, bool(opt) + 1) + opt + tsig
        if len(octets) <= limit:
            return octets
    octets = _written(query, response, bool(opt)) + opt
    if len(octets) > limit and response.additional:
        octets = _written(query, attrs.evolve(response, additional=()), bool(opt)) + opt
    if len(octets) > limit:
        options = tuple([each for each in response.options if each[0] != EDE])
        cut = Response(response.rcode, response.authoritative, truncated=True, options=options)
        octets = _written(query, cut, bool(opt)) + opt_record(query, cut, udp_size)
    return octets


def _written(query: Query, response: Response, further: int) -> bytes:
    """A message up to where OPT comes, with so many further records counted in the header already."""
    writer = Writer(query.question, query.name)
    sections = (response.answers, response.authority, response.additional)
    for section in sections:
        writer.write(section)
    said = (AA if response.authoritative else 0) | (TC if response.truncated else 0) | response.rcode & 0xF
    flags, counts = QR | query.flags & COPIED | said, [len(section) for section in sections]
    counts[2] += further
    HEADER.pack_into(writer.out, 0, int.from_bytes(query.id, "big"), flags, bool(query.question), *counts)
    return bytes(writer.out)


def _tsig(signed: Tsig) -> bytes:
    rdata = signed.algorithm + signed.times + _TSIG_END.pack(0, signed.original_id, BADKEY, 0)
    return signed.key + _RECORD.pack(Type.TSIG, ANY_CLASS, 0) + _U16.pack(len(rdata)) + rdata


def opt_record(query: Query, response: Response, udp_size: int) -> bytes:
    """The OPT record of an answer, as for `encode`; empty where the query has none."""
    if query.edns is None:
        return b""
    error = response.error
    options = b"".join([_option(code, data) for code, data in response.options])
    if error is not None:
        options += _option(EDE, _U16.pack(error.code) + error.text.encode())
    flags = DO if query.edns.do else 0
    return _OPT.pack(0, Type.OPT, udp_size, response.rcode >> 4, 0, flags, len(options)) + options


def _option(code: int, data: bytes) -> bytes:
    return _U16.pack(code) + _U16.pack(len(data)) + data


class Writer:
    """A message in the making. Names are compressed against the question and whatever was written before.

    Args:
        question: It, as it goes; may be empty.
        name: The name in it, in lower case; empty with an empty question.

    Attributes:
        out: What was written, behind a header that is still empty.
        ttls: Where in it TTLs stand.
    """

    def __init__(self, question: bytes, name: bytes) -> None:
        self.out = bytearray(HEADER.size)
        self.out += question
        self.ttls: list[int] = []
        self._asked = name if name != names.ROOT else b""  # a pointer would be longer than the root
        self._places: dict[bytes, int] = {}

    def write(self, records: Iterable[Record]) -> None:
        """Writes records."""
        out, ttls = self.out, self.ttls
        for record in records:
            if record.owner == self._asked:  # as most are
                out += _TO_QUESTION
            else:
                self._name(record.owner)
            ttls.append(len(out) + 4)
            if not record.targets:
                out += _HEAD.pack(record.type, IN, record.ttl, len(record.rdata)) + record.rdata
                continue
            out += _RECORD.pack(record.type, IN, record.ttl)
            at = len(out)
            out += b"\0\0"
            for target in record.targets:
                self._name(target)
            out += record.rdata
            _U16.pack_into(out, at, len(out) - at - 2)

    def _note(self) -> None:
        """The question's name begins right behind the header; pointers may lead to it."""
        name, self._asked = self._asked, b""
        for above in names.ancestors(name)[:-1]:
            self._places[above] = HEADER.size + len(name) - len(above)

    def _name(self, name: bytes) -> None:
        if self._asked:
            if name == self._asked:  # as most are
                self.out += _TO_QUESTION
                return
            self._note()
        at = 0
        while name[at]:
            rest = name[at:]
            place = self._places.get(rest)
            if place is not None:
                self.out += _U16.pack(names.POINTER << 8 | place)
                return
            if len(self.out) <= LAST_TARGET:
                self._places[rest] = len(self.out)
            self.out += rest[: 1 + rest[0]]
            at += 1 + name[at]
        self.out += names.ROOT

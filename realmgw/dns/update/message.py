"""Messages of the update face as they come: bytes in, a `Message` out, with its signature beside it.

Strict, as `codec.wire` is: every count is met, and nothing follows the last record. A message is passed over first, to
its signature, which costs little whatever is in it; its records are read when it is known who sent them. What these
mean is not known here, but for names within them, which are not compressed and in lower case from there on.
"""

from __future__ import annotations

import struct

import attrs

from realmgw.dns.codec import names
from realmgw.dns.codec.wire import ANY_CLASS, DO, HEADER, QR, QUESTION, RECORD, Edns, Query, Type
from realmgw.errors import MalformedError

MAX_RECORDS = 1000
"""So many records of one message are read; none that a DHCP server sends has more than a few."""

_TIMES = struct.Struct("!HIHH")  # of a TSIG record: time signed (48 bits), fudge, MAC size
_END = struct.Struct("!HHH")  # original ID, error, length of other data
_NAMES: dict[int, tuple[int, int]] = {
    Type.NS: (0, 1), Type.CNAME: (0, 1), Type.SOA: (0, 2), Type.PTR: (0, 1), Type.MX: (2, 1), Type.SRV: (6, 1),
    Type.DNAME: (0, 1),
}  # fmt: skip
"""Where names stand in RDATA: after so many octets, so many."""


@attrs.frozen
class Entry:
    """A record as an update has it, where its class says what it means."""

    owner: bytes
    """Wire name, lower case."""
    type: int
    """Its type, or ANY."""
    cls: int
    """The zone's class, ANY, or NONE."""
    ttl: int
    """Seconds, where it means something."""
    data: bytes
    """RDATA: nothing is compressed, and names in it are lower case."""


@attrs.frozen
class Signature:
    """What a TSIG record says (RFC 8945 section 4.2)."""

    key: bytes
    """The key's wire name, lower case."""
    algorithm: bytes
    """The algorithm's, likewise."""
    time: int
    """When it was signed, in seconds since 1970."""
    fudge: int
    """For so many seconds before and after it is valid."""
    mac: bytes
    """The signature, or the beginning of it."""
    original_id: int
    """The ID that was signed."""
    other: bytes
    """Other data."""


@attrs.frozen
class Message:
    """A message, of which the records were not read yet."""

    query: Query
    """Header, question or zone section, and OPT, for the answer."""
    signature: Signature | None
    """Its TSIG record, if there is one."""
    unsigned: bytes
    """The message without that: what was signed, but for the ID."""
    begin: int
    """Where the records begin."""
    counts: tuple[int, int]
    """How many prerequisites and updates there are."""

    def entries(self) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """Its prerequisites, and what is to be changed.

        Raises:
            MalformedError: One of these is no record.
        """
        return _entries(self.unsigned, self.begin, self.counts)


class BadMessageError(MalformedError):
    """These octets are no such message.

    Attributes:
        query: Its header, for the answer; None where none may be given: a response, or less than a header.
    """

    def __init__(self, why: str, query: Query | None = None) -> None:
        super().__init__(why)
        self.query = query


def read(message: bytes) -> Message:
    """Reads a message of any opcode.

    Raises:
        BadMessageError: And nothing else, whatever the octets are.
    """
    if len(message) < HEADER.size:
        raise BadMessageError("shorter than a header")
    _, flags, *counts = HEADER.unpack_from(message)
    if flags & QR:
        raise BadMessageError("a response")
    query = Query(message[:2], flags, length=len(message))
    try:
        return _Reading(message, query).read(counts)
    except (MalformedError, struct.error) as error:
        raise BadMessageError(str(error), query) from None


class _Reading:
    """One pass over a message."""

    def __init__(self, message: bytes, query: Query) -> None:
        self._message = message
        self._query = query
        self._at = HEADER.size
        self._signature: Signature | None = None
        self._unsigned = message

    def read(self, counts: list[int]) -> Message:
        """To its end."""
        zones, prerequisites, updates, additional = counts
        if sum(counts) > MAX_RECORDS:
            raise MalformedError(f"more than {MAX_RECORDS} records")
        for _ in range(zones):
            self._read_question(is_only=zones == 1)
        begin = self._at
        for _ in range(prerequisites + updates):
            self._pass_over()
        for _ in range(additional):
            self._read_additional()
        if self._at != len(self._message):
            raise MalformedError("octets after the last record")
        return Message(self._query, self._signature, self._unsigned, begin, (prerequisites, updates))

    def _read_question(self, *, is_only: bool) -> None:
        name, after = names.read(self._message, self._at) if is_only else (b"", _end_of_name(self._message, self._at))
        kind, cls = QUESTION.unpack_from(self._message, after)
        end = after + QUESTION.size
        if is_only:
            octets = name + self._message[after:end]
            self._query = attrs.evolve(self._query, question=octets, name=name.lower(), type=kind, cls=cls)
        self._at = end

    def _pass_over(self) -> tuple[int, int, int, int]:
        """Type, class, TTL, and where the RDATA begins, of a record; what comes next begins where that ends."""
        after = _end_of_name(self._message, self._at)
        kind, cls, ttl, length = RECORD.unpack_from(self._message, after)
        start = after + RECORD.size
        self._at = start + length
        if self._at > len(self._message):
            raise MalformedError("a record runs over the end of the message")
        return kind, cls, ttl, start

    def _read_additional(self) -> None:
        if self._signature is not None:
            raise MalformedError("a record behind the TSIG record")
        begin = self._at
        kind, cls, ttl, start = self._pass_over()
        if kind == Type.OPT:
            if self._message[begin] or self._query.edns is not None:
                raise MalformedError("an OPT record where none may be")
            self._query = attrs.evolve(self._query, edns=Edns(cls, ttl >> 16 & 0xFF, bool(ttl & DO)))
        elif kind == Type.TSIG:
            if cls != ANY_CLASS or ttl:
                raise MalformedError("a TSIG record that is none")
            self._read_signature(names.read(self._message, begin)[0].lower(), start)
            count = int.from_bytes(self._message[10:12], "big") - 1
            self._unsigned = self._message[:10] + count.to_bytes(2, "big") + self._message[12:begin]

    def _read_signature(self, key: bytes, start: int) -> None:
        algorithm, at = names.read(self._message, start)
        high, low, fudge, size = _TIMES.unpack_from(self._message, at)
        at += _TIMES.size
        mac = self._message[at : at + size]
        original_id, error, length = _END.unpack_from(self._message, at + size)
        at += size + _END.size
        if at + length != self._at or error:
            raise MalformedError("a TSIG record that is none")
        other = self._message[at : self._at]
        self._signature = Signature(key, algorithm.lower(), high << 32 | low, fudge, mac, original_id, other)


def _end_of_name(message: bytes, at: int) -> int:
    """Where the octets after a name begin, which is not read: a pointer ends it."""
    end = at + names.MAX_NAME
    while at < min(end, len(message)):
        length = message[at]
        if length >= names.POINTER:
            return at + 2
        at += 1 + length
        if not length:
            return at
    raise MalformedError("a name runs over its bounds")


def _entries(message: bytes, at: int, counts: tuple[int, int]) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    found: list[Entry] = []
    for _ in range(sum(counts)):
        owner, after = names.read(message, at)
        kind, cls, ttl, length = RECORD.unpack_from(message, after)
        start = after + RECORD.size
        at = start + length
        if kind in (Type.OPT, Type.TSIG):
            raise MalformedError("an OPT or TSIG record where none may be")
        found.append(Entry(owner.lower(), kind, cls, ttl, _data(message, kind, start, at)))
    return tuple(found[: counts[0]]), tuple(found[counts[0] :])


def _data(message: bytes, kind: int, start: int, end: int) -> bytes:
    """RDATA in its plain form; a name in it that is not where it should be is an error."""
    if kind not in _NAMES or start == end:
        return message[start:end]
    before, count = _NAMES[kind]
    at, parts = start + before, [message[start : start + before]]
    for _ in range(count):
        name, at = names.read(message, at)
        parts.append(name.lower())
    if at > end or (at < end and kind != Type.SOA):
        raise MalformedError("a name does not end where its record does")
    return b"".join(parts) + message[at:end]

"""What resolvers said, as octets, for as long as it lives; bounded in octets, and what was not asked for longest goes.

An answer is given from here by writing its header, question and OPT record anew, for who asks, and its TTLs, whose
places were found when it was put in.
"""

from __future__ import annotations

import struct
from collections import OrderedDict

import attrs

from realmgw.dns.codec.message import EDE, MAX_MESSAGE, Response, Writer, opt_record
from realmgw.dns.codec.wire import AD, CD, HEADER, QR, RA, RD, TC, Query, Rcode
from realmgw.dns.forward.answers import BadAnswerError, Reply

ENTRY = 700  # octets
"""What an entry takes besides its records and twice its name."""
STALE_LIFE = 30  # seconds
"""TTL of what has outlived its own (RFC 8767 section 4)."""

_U32 = struct.Struct("!I")
_COPIED = RD | CD
_RCODES = {int(each): each for each in (Rcode.NOERROR, Rcode.NXDOMAIN)}


@attrs.frozen(eq=False)
class Packed:
    """An answer without ID, question and OPT record."""

    rcode: Rcode
    """NOERROR or NXDOMAIN."""
    authentic: bool
    """AD, for who wants it."""
    counts: tuple[int, int]
    """Of answer and authority records."""
    tail: bytes
    """They, as they follow the question: names are compressed against it."""
    ttls: tuple[tuple[int, int], ...]
    """Where in `tail` the TTLs are, and what they were, in seconds."""
    life: int
    """For how long it may be kept, in seconds; 0: not at all."""
    options: tuple[tuple[int, bytes], ...] = ()
    """EDNS options that belong to it, code and data: extended errors."""
    way: Reply | None = None
    """Aliases, of which it is made, that lead to a name of ours; what that has, is said when it is asked for."""


def pack(question: bytes, reply: Reply) -> Packed:
    """Puts what a resolver said into octets.

    Args:
        question: Name in lower case, type and class.
        reply: What it said: NOERROR or NXDOMAIN.

    Raises:
        BadAnswerError: With names that need not be compressed, it is longer than any message.
    """
    records, writer = (*reply.answers, *reply.authority), Writer(question, question[:-4])
    writer.write(records)
    if len(writer.out) > MAX_MESSAGE:
        raise BadAnswerError("an answer longer than any message, once its names are not compressed")
    before = HEADER.size + len(question)
    ttls = tuple([(at - before, record.ttl) for at, record in zip(writer.ttls, records, strict=True)])
    counts, tail = (len(reply.answers), len(reply.authority)), bytes(writer.out[before:])
    errors = tuple([(EDE, data) for data in reply.errors]) if reply.errors else ()
    return Packed(_RCODES[reply.rcode], reply.authentic, counts, tail, ttls, reply.life, errors)


def form(
    packed: Packed, query: Query, options: tuple[tuple[int, bytes], ...], age: int, limit: int, udp_size: int
) -> bytes:
    """A whole answer for who asks.

    Args:
        packed: What there is.
        query: His question.
        options: What his OPT record says, code and data.
        age: So many seconds of all TTLs are gone; a negative number: it has outlived them, and has `STALE_LIFE`.
        limit: The longest answer in octets; one that would be longer has TC, and nothing else.
        udp_size: What our OPT record gives as the longest UDP message that we take.
    """
    edns = query.edns
    wants_ad = packed.authentic and (query.flags & AD or (edns is not None and edns.do))
    flags = QR | RA | query.flags & _COPIED | packed.rcode | (AD if wants_ad else 0)
    opt = b"" if edns is None else opt_record(query, Response(options=options), udp_size)
    has_opt, size = bool(opt), HEADER.size + len(query.question)
    if size + len(packed.tail) + len(opt) > limit:
        bare = opt_record(query, Response(), udp_size)
        return query.id + HEADER.pack(0, flags | TC, 1, 0, 0, has_opt)[2:] + query.question + bare
    whole = query.id + HEADER.pack(0, flags, 1, *packed.counts, has_opt)[2:] + query.question + packed.tail
    if not age:
        return whole + opt
    octets = bytearray(whole)
    for place, ttl in packed.ttls:
        _U32.pack_into(octets, size + place, max(ttl - age, 0) if age >= 0 else STALE_LIFE)
    return bytes(octets + opt)


@attrs.define(eq=False)
class Entry:
    """What is kept of one question."""

    packed: Packed
    """The answer."""
    since: float
    """When it came, in monotonic seconds."""
    until: float
    """When it has outlived its TTL."""
    uses: int = 0
    """In how many different seconds, at least, it was given."""


class Cache:
    """Answers by question.

    Attributes:
        octets: How much there is, about.
        most: How much there may be.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.octets = 0
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """What was said to a question, be it too old or not."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, packed: Packed, now: float) -> None:
        """Keeps an answer for as long as it lives."""
        if key in self._entries:
            self.drop(key)
        size = _size(key, packed)
        if packed.life and size <= self.most:
            self._entries[key] = Entry(packed, now, now + packed.life)
            self.octets += size
            if self.octets > self.most:
                self.trim()

    def drop(self, key: bytes) -> None:
        """Forgets an answer, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.octets -= _size(key, entry.packed)

    def trim(self) -> None:
        """Forgets what was not asked for longest, until there is no more than there may be."""
        while self.octets > self.most:
            key, entry = self._entries.popitem(last=False)
            self.octets -= _size(key, entry.packed)

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self.octets = 0


def _size(key: bytes, packed: Packed) -> int:
    records = len(packed.ttls) if packed.way is None else 4 * len(packed.ttls)
    return ENTRY + len(key) + len(packed.tail) + 160 * records

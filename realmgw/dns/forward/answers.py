"""Answers of resolvers: octets in, records out that answer the question, and nothing else that came with them.

Strict as queries are read (`codec/wire.py`): counts are met, records end where they say, and names are no circles. What
is kept is the chain of aliases from the name asked for, what was asked for at its end, and the proofs of that.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

from realmgw.dns.codec import names
from realmgw.dns.codec.message import EDE, Record
from realmgw.dns.codec.wire import (
    AD,
    COOKIE,
    HEADER,
    IN,
    OPCODE_MASK,
    OPCODE_SHIFT,
    QR,
    RA,
    RECORD,
    TC,
    Rcode,
    Type,
    option_list,
)
from realmgw.errors import MalformedError

MOST_RECORDS = 4500
"""An answer of more is not looked at: a message has hardly room for more addresses."""
LONGEST_OWNERS = 2**17  # octets
"""The owners of its records have at most so many together, if those that are said once are counted once."""
MOST_ALIASES = 16
"""So many aliases (CNAME, DNAME) are followed from the name that was asked for."""
LONGEST_LIFE = 86_400  # seconds
"""Nothing is kept for longer, and no TTL is."""
LONGEST_NEGATIVE = 10_800  # seconds
"""The same of what there is not (RFC 2308 section 5)."""
MOST_ERRORS = 4
"""So many extended errors of a resolver are passed on."""

_U32 = struct.Struct("!I")
_OPTION = struct.Struct("!HH")
_NAPTR = 35
_NAMES = {
    2: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 1), 6: (0, 2), 7: (0, 1), 8: (0, 1), 9: (0, 1), 12: (0, 1), 14: (0, 2),
    15: (2, 1), 17: (0, 2), 18: (2, 1), 21: (2, 1), 24: (18, 1), 26: (2, 2), 30: (0, 1), 33: (6, 1), 36: (2, 1),
    39: (0, 1),
}  # fmt: skip
"""Types whose RDATA may have compressed names (RFC 3597 section 4): what stands before these, and how many."""
_COMPRESSIBLE = frozenset((Type.NS, Type.CNAME, Type.SOA, Type.PTR))
"""Those whose names are compressed again."""
_LENGTHS = {int(Type.A): 4, int(Type.AAAA): 16}
_ADDRESSES = {struct.pack("!HH", kind, IN): (kind, struct.pack("!H", size)) for kind, size in _LENGTHS.items()}
"""What stands behind the name in a question for addresses; their type, and RDLENGTH of their records."""
_OF_ROOT = len(names.ROOT) + 4
"""The length of a question for the root."""
_UNUSUAL = TC | 0xF
"""Flags of an answer that is no list of records."""
_OPT, _OPT_SIZE = names.ROOT + struct.pack("!H", Type.OPT), 11
"""What an OPT record begins with, and its length without options."""
_TO_QUESTION = bytes((names.POINTER, HEADER.size))
"""A pointer to the question's name."""
ANSWERS = frozenset((Rcode.NOERROR, Rcode.NXDOMAIN))
"""Response codes that say what there is, and is not."""
_PROOFS = frozenset((Type.NSEC, Type.NSEC3, Type.RRSIG))
_BESIDE = frozenset((Type.DNAME, Type.RRSIG))
"""What may be kept of a chain of aliases besides these and their end."""
_SIGNER = 18  # octets before the signer's name in an RRSIG


class BadAnswerError(MalformedError):
    """A resolver's answer can not be used; the text says why."""


class BadContentError(BadAnswerError):
    """It is whole, and what it says is of no use: whoever runs the zone can have had that said."""


@attrs.frozen
class Reply:
    """What a resolver said."""

    rcode: int
    """The response code, with its upper bits."""
    truncated: bool = False
    """It shall be asked by TCP; then there are no records."""
    authentic: bool = False
    """AD: it has checked the signatures."""
    answers: tuple[Record, ...] = ()
    """The chain of aliases, and what was asked for."""
    authority: tuple[Record, ...] = ()
    """The SOA of what there is not, and proofs."""
    life: int = 0  # seconds
    """For how long that may be kept; 0: not at all."""
    errors: tuple[bytes, ...] = ()
    """Its extended errors: the data of their options."""
    cookie: bytes | None = None
    """The data of its COOKIE option."""


def is_answer(message: bytes, sent: bytes, question: bytes) -> bool:
    """Whether a message answers a query: its ID, and its question to the letter, which is in upper and lower case.

    Args:
        message: What came.
        sent: The query, of which the ID counts.
        question: Its question.
    """
    if len(message) < HEADER.size + len(question) or message[:2] != sent[:2]:
        return False
    flags = int.from_bytes(message[2:4], "big")
    is_response = flags & QR and not flags >> OPCODE_SHIFT & OPCODE_MASK
    return bool(is_response) and message[4:6] == b"\0\1" and message[12 : 12 + len(question)] == question


def is_bare_error(message: bytes, sent: bytes) -> bool:
    """Whether a message is a header that says FORMERR, as some say who know no EDNS (RFC 6891 section 7).

    Nothing but its ID shows what it is about: it is believed only where nobody else can have sent it.
    """
    flags = int.from_bytes(message[2:4], "big")
    return len(message) == HEADER.size and message[:2] == sent[:2] and bool(flags & QR) and flags & 0xF == Rcode.FORMERR


def read(message: bytes, question: bytes) -> Reply:
    """Reads an answer, of which `is_answer` said that it is one.

    Args:
        message: It.
        question: The question: name, type and class, the name in upper and lower case.

    Raises:
        BadAnswerError: And nothing else, whatever the octets are; of it, `BadContentError` where they are whole.
    """
    try:
        return _plain(message, question) or _read(message, question)
    except BadAnswerError:
        raise
    except (MalformedError, struct.error, IndexError) as error:
        raise BadAnswerError(str(error)) from None


def _plain(message: bytes, question: bytes) -> Reply | None:
    """What most answers are, addresses of the name asked for, as `_read` reads them; None of any other."""
    _, flags, _, count, authority, additional = HEADER.unpack_from(message)
    wanted, start = _ADDRESSES.get(question[-4:]), HEADER.size + len(question)
    if wanted is None or flags & _UNUSUAL or not count or authority or additional > 1 or len(question) == _OF_ROOT:
        return None
    kind, length = wanted
    size = RECORD.size + 2 + _LENGTHS[kind]
    end, head = start + count * size, _TO_QUESTION + question[-4:]
    cookie = _cookie(message[end:]) if additional else b"" if end == len(message) else None
    if cookie is None:
        return None
    owner, records, life = question[:-4].lower(), [], LONGEST_LIFE
    for at in range(start, end, size):
        ttl = int.from_bytes(message[at + 6 : at + 10], "big")
        if message[at : at + 6] != head or message[at + 10 : at + 12] != length or ttl > LONGEST_LIFE:
            return None
        life = min(life, ttl)
        records.append(Record(owner, kind, ttl, message[at + 12 : at + size]))
    return Reply(0, False, bool(flags & AD), tuple(records), (), life, (), cookie or None)


def _cookie(rest: bytes) -> bytes | None:
    """The COOKIE option of an OPT record that has no other one; empty without any; None of whatever else it is."""
    data = rest[_OPT_SIZE:]
    if rest[:3] != _OPT or rest[5:7] != b"\0\0" or len(data) != int.from_bytes(rest[9:_OPT_SIZE], "big"):
        return None
    if not data:
        return b"" if len(rest) == _OPT_SIZE else None
    size = _OPTION.size
    return data[size:] or None if data[:size] == _OPTION.pack(COOKIE, len(data) - size) else None


def _read(message: bytes, question: bytes) -> Reply:
    flags = int.from_bytes(message[2:4], "big")
    asked = question[:-4].lower()  # what is compressed against it must not have our upper and lower case
    reading = _Reading(message[: HEADER.size] + asked + message[HEADER.size + len(asked) :], asked)
    try:
        sections = reading.sections(HEADER.size + len(question))
    except (MalformedError, struct.error, IndexError):
        if not flags & TC:
            raise
        sections = []  # some cut where there is no more room, and leave the counts (RFC 2181 section 9)
    rcode, errors, cookie = reading.upper | flags & 0xF, tuple(reading.errors), reading.cookie
    is_authentic = bool(flags & AD)
    if flags & TC or rcode not in ANSWERS:
        return Reply(rcode, bool(flags & TC), is_authentic, errors=errors, cookie=cookie)
    kind = int.from_bytes(question[-4:-2], "big")
    answers, chain, is_complete = _chain(asked, kind, sections[0])
    if not flags & RA and not answers and any(record.type == Type.NS for record in sections[1]):
        raise BadAnswerError("a referral: this is no resolver")
    authority = tuple(_proofs(sections[1], chain, negative=not is_complete)) if sections[1] else ()
    life = min([record.ttl for record in (*answers, *authority)], default=0)
    if not is_complete and not any(record.type == Type.SOA for record in authority):
        life = 0  # without a SOA nobody says for how long (RFC 2308 section 5)
    return Reply(rcode, False, is_authentic, answers, authority, life, errors, cookie)


class _Reading:
    """One pass over an answer; its question's name is known already, in lower case."""

    def __init__(self, message: bytes, asked: bytes) -> None:
        self.message = message
        self.upper = 0
        self.errors: list[bytes] = []
        self.cookie: bytes | None = None
        self._owners = {_TO_QUESTION: asked}
        self._has_opt = False
        self._room = LONGEST_OWNERS

    def sections(self, at: int) -> list[list[Record]]:
        """The records of class IN, by section."""
        counts = HEADER.unpack_from(self.message)[3:]
        if sum(counts) > MOST_RECORDS:
            raise BadContentError(f"more than {MOST_RECORDS} records")
        found: list[list[Record]] = []
        for section, count in enumerate(counts):
            records: list[Record] = []
            for _ in range(count):
                at = self._record(at, records, section)
            found.append(records)
        if at != len(self.message):
            raise BadAnswerError("octets after the last record")
        return found

    def _record(self, at: int, into: list[Record], section: int) -> int:
        owner, after = self._owner(at)
        kind, cls, ttl, length = RECORD.unpack_from(self.message, after)
        start = after + RECORD.size
        end: int = start + length
        if end > len(self.message):
            raise BadAnswerError("a record runs over the end of the message")
        if kind == Type.OPT:
            self._opt(owner, section, ttl, self.message[start:end])
        elif cls == IN:
            life = 0 if ttl >> 31 else min(ttl, LONGEST_LIFE)  # RFC 2181 section 8
            try:
                into.append(Record(owner, kind, life, *self._rdata(kind, start, end)))
            except (MalformedError, struct.error, IndexError) as error:
                raise BadContentError(str(error)) from None
        return end

    def _owner(self, at: int) -> tuple[bytes, int]:
        """A name in lower case; those that are a pointer only are looked up once."""
        pointer = self.message[at : at + 2]
        known = self._owners.get(pointer)
        if known is not None:
            return known, at + 2
        name, after = names.read(self.message, at)
        name = name.lower()
        self._room -= len(name)
        if self._room < 0:
            raise BadContentError("names that are too long together")
        if pointer[0] >= names.POINTER:
            self._owners[pointer] = name
        return name, after

    def _rdata(self, kind: int, start: int, end: int) -> tuple[bytes, tuple[bytes, ...]]:
        if kind in _LENGTHS:
            if end - start != _LENGTHS[kind]:
                raise MalformedError("an address of a wrong length")
            return self.message[start:end], ()
        if kind == _NAPTR:
            leading, count = 4, 1
            for _ in range(3):
                leading += 1 + self.message[start + leading]
        else:
            leading, count = _NAMES.get(kind, (0, 0))
        at = start + leading
        if at > end:
            raise MalformedError("a record is too short")
        targets = []
        for _ in range(count):
            name, at = names.read(self.message, at)
            targets.append(name)
            if at > end:
                raise MalformedError("a name runs over the end of its record")
        rest = self.message[at:end]
        if kind in _COMPRESSIBLE:
            if len(rest) != (20 if kind == Type.SOA else 0):
                raise MalformedError("octets too many or too few in a record")
            return rest, tuple(targets)
        return b"".join((self.message[start : start + leading], *targets, rest)), ()

    def _opt(self, owner: bytes, section: int, ttl: int, data: bytes) -> None:
        if self._has_opt or owner != names.ROOT or section != 2:
            raise BadAnswerError("an OPT record where none may be")
        if ttl >> 16 & 0xFF:
            raise BadAnswerError("an EDNS version other than 0")
        self._has_opt, self.upper = True, ttl >> 24 << 4
        for code, said in option_list(data):
            if code == EDE and len(said) >= 2 and len(self.errors) < MOST_ERRORS:
                self.errors.append(said[:258])
            elif code == COOKIE and self.cookie is None:
                self.cookie = said


def _chain(name: bytes, kind: int, records: list[Record]) -> tuple[tuple[Record, ...], list[bytes], bool]:
    """The records from a name to what was asked for, the names on the way, and whether that is there."""
    if records and all(record.type == kind and record.owner == name for record in records):  # as most are
        return tuple(records), [name], True
    by_owner: dict[bytes, list[Record]] = {}
    for record in records:
        by_owner.setdefault(record.owner, []).append(record)
    is_plain = _BESIDE.isdisjoint([record.type for record in records])
    kept: list[Record] = []
    chain, passed = [name], set[bytes]()
    while True:
        here = by_owner.get(chain[-1], [])
        found = here if kind == Type.ANY else [record for record in here if record.type == kind]
        if found:
            kept += [record for record in here if kind in (record.type, Type.ANY) or _covers(record, kind)]
            return tuple(kept), chain, True
        alias = next((record for record in here if record.type == Type.CNAME), None)
        if alias is None:
            return tuple(kept), chain, False
        for above in () if is_plain else names.ancestors(chain[-1])[1:]:
            if above in passed:
                continue
            passed.add(above)
            kept += (each for each in by_owner.get(above, ()) if each.type == Type.DNAME or _covers(each, Type.DNAME))
        kept += [alias, *(record for record in here if _covers(record, Type.CNAME))]
        target = alias.targets[0].lower()
        if target in chain:
            raise BadContentError("aliases lead in a circle")
        if len(chain) > MOST_ALIASES:
            raise BadContentError(f"more than {MOST_ALIASES} aliases, one after the other")
        chain.append(target)


def _covers(record: Record, kind: int) -> bool:
    return record.type == Type.RRSIG and record.rdata[:2] == kind.to_bytes(2, "big")


def _proofs(records: list[Record], chain: list[bytes], *, negative: bool) -> Iterator[Record]:
    """Of an authority section: the SOA of the chain's last name, and what is signed by a zone that has one of them."""
    ends = names.ancestors(chain[-1])
    zones = frozenset() if _PROOFS.isdisjoint([each.type for each in records]) else _signing(records, chain)
    for record in records:
        if record.type == Type.SOA and record.owner in ends and negative:
            ttl = min(record.ttl, _U32.unpack_from(record.rdata, 16)[0], LONGEST_NEGATIVE)
            yield Record(record.owner, Type.SOA, ttl, record.rdata, record.targets)
        elif record.type in _PROOFS and not zones.isdisjoint(names.ancestors(record.owner)):
            yield record


def _signing(records: list[Record], chain: list[bytes]) -> frozenset[bytes]:
    """The zones that have one of the names and have signed some of the records."""
    above = {each for name in chain for each in names.ancestors(name)}
    signers = {
        signer for record in records if record.type == Type.RRSIG and (signer := record.rdata[_SIGNER:].lower()) != b""
    }
    return frozenset(above.intersection(map(_first_name, signers)))


def _first_name(octets: bytes) -> bytes:
    """The uncompressed name that octets begin with; nothing if there is none."""
    at = 0
    while at < len(octets) and octets[at]:
        at += 1 + octets[at]
    return octets[: at + 1] if at < len(octets) else b""

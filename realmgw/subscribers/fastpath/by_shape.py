"""The quick way through subscriber files: most pieces look like one that was read before, but for names and numbers.

A piece (see `files.incremental`) is split into *fields* - words that hold a digit or a dot, and addresses of IPv6 - and
the text between them. Pieces with the same text between their fields, and fields of the same kind in it, have the same
*shape*. A word is a letter, a digit or an underscore, followed by more of these, dots and hyphens; an address neither
begins nor ends with a colon: whichever of them stand there, YAML makes the same collections and keys of the piece, with
other scalars in the same places. So when a piece was read in full, it is known what each field of its
shape is:

- a name, an address, a telephone number, a port or a limit, where it is a whole scalar at such a place: the value is
  taken from the field, by the rules of `schema`;
- something else: a piece must have the same there as one that was read in full, to which what it says is owed;
- nothing that matters (a comment, `IMSI`): found out by reading a piece with something else there.

Whatever does not fit, be it only an address that is none, is left to the full reading, which tells what is wrong and
where. The result is the same as of that, at a tenth of its cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from operator import itemgetter

import attrs

from realmgw.config.document import Node
from realmgw.config.names import MAX_NAME
from realmgw.config.protocols import PROTOCOLS
from realmgw.subscribers.entry import Entry, Offer
from realmgw.subscribers.fastpath.fields import ADDRESS6, FIELD, WORD, Places, ServicePlace, places
from realmgw.subscribers.model import MOST_CLAIMS, NO_MORE, Identity, Profile, Terms

MAX_SHAPES = 1024
"""So many shapes are remembered; then all are forgotten, and learned anew."""
MOST_PROBED = 16
"""So many fields of a shape it is tried at most whether they matter: each takes two full readings of a piece."""
MOST_READ = 16384  # characters
"""So much is read for that at once; of longer pieces, each that differs is read in full."""
MAX_VARIANTS = 32
"""The same for what stands in the fields of a shape that have no role."""

FREQUENT = 16
"""A shape that so many pieces have gets a pattern of its own, which is faster than to split them."""
RECENT = 3
"""So many of these are tried first."""

_GROUPS = {"\0": rf"((?=\w){WORD})", "\1": f"({ADDRESS6})"}
"""What stands for fields in the text between them: words, and addresses of IPv6. YAML has neither in a text."""
_BETWEEN = re.compile("([\0\1])")
# A backslash makes fields part of an escape, the others begin block scalars, whose heads have numbers with a meaning.
_UNSUITABLE = b"\\", b"|", b">", b"\0", b"\1"
_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+")
_is_name = _NAME.fullmatch
_PHONE = re.compile(r"[0-9]{3,18}")
_DIGITS = re.compile(r"[0-9]{1,7}")
_OCTETS = {str(number): number for number in range(256)}
_PROBES = {"\0": ("0.0", "z9.z"), "\1": ("2001:db8::9", "a:b::c")}
_ICMP = PROTOCOLS["icmp"]

Read = Callable[[bytes], "Entry | None"]
"""Reads a piece in full; None when that is not one subscriber without problems."""


class ByShapeReader:
    """The shapes of the pieces that were read in full.

    Attributes:
        taken: How many pieces were read the quick way, in all.
    """

    def __init__(self) -> None:
        self._shapes: dict[str, _Shape | None] = {}
        self._seen: set[str] = set()
        self._recent: list[_Shape] = []
        self.taken = 0

    def read(self, piece: bytes) -> Entry | None:
        """What a piece says, if it looks like one that was read in full, and nothing can be wrong with it."""
        text = _suitable(piece)
        if text is None:
            return None
        entry = self._by_pattern(text) if self._recent else None
        if entry is None:
            between, fields = _split(text)
            shape = self._shapes.get(between)
            entry = None if shape is None else shape.read(fields)
            if shape is not None and shape.count_up():
                groups = (_GROUPS.get(part) or re.escape(part) for part in _BETWEEN.split(between))
                shape.pattern = re.compile("".join(groups), re.ASCII)
                self._recent = [shape, *self._recent][:RECENT]
        self.taken += entry is not None
        return entry

    def _by_pattern(self, text: str) -> Entry | None:
        for shape in self._recent:
            match = None if shape.pattern is None else shape.pattern.fullmatch(text)
            if match is not None:
                return shape.read(match.groups())
        return None

    def learn(self, piece: bytes, root: Node, entry: Entry, read: Read) -> None:
        """Remembers what a piece looks like, when it is the second one that looks so: many are the only ones.

        Args:
            piece: It, which `read` did not know.
            root: What YAML makes of it.
            entry: What it says; it has no problem.
            read: How a piece is read in full.
        """
        text = _suitable(piece)
        if text is None:
            return
        between, fields = _split(text)
        shape = self._shapes.get(between)
        entry = _placed(text, entry)
        if shape is not None:
            shape.add(fields, entry, lambda other: read(_joined(between, other)))
        elif between in self._seen and between not in self._shapes:
            self._shapes[between] = _shape(text, root, fields, entry)
        elif len(self._seen) < MAX_SHAPES:
            self._seen.add(between)
        else:
            self._seen.clear()
            self._shapes.clear()
            self._recent.clear()


def _suitable(piece: bytes) -> str | None:
    """The text of a piece; None if it is none of those that have a shape."""
    for octet in _UNSUITABLE:
        if octet in piece:
            return None
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return None


def _split(text: str) -> tuple[str, list[str]]:
    """The text between the fields, and the fields."""
    parts = FIELD.split(text)
    fields = parts[1::2]
    parts[1::2] = ["\1" if ":" in field else "\0" for field in fields]
    return "".join(parts), fields


def _joined(between: str, fields: Sequence[str]) -> bytes:
    parts = _BETWEEN.split(between)
    parts[1::2] = fields
    return "".join(parts).encode()


class _Shape:
    """One shape: reads the pieces that have it.

    Attributes:
        pattern: Matches them, with a group for each field; None as long as they are not many.
    """

    def __init__(self, where: Places, count: int) -> None:
        self.pattern: re.Pattern[str] | None = None
        self._count = 0
        self._places = where
        known = where.known()
        self._others = [index for index in range(count) if index not in known]
        self._probed: set[int] = set()
        self._ignored: list[int] = []
        self._variants: dict[object, Entry] = {}
        self._last: tuple[str, ...] = ()
        self._fixed = _getter(self._others)

    def count_up(self) -> bool:
        """Counts a piece; returns whether a pattern is due."""
        self._count += 1
        return self._count == FREQUENT

    def read(self, fields: Sequence[str]) -> Entry | None:
        """What a piece with these fields says."""
        model = self._variants.get(self._fixed(fields))
        if model is None or any(len(fields[index]) > MAX_NAME for index in self._ignored):
            return None
        return self._entry(fields, model)

    def _entry(self, fields: Sequence[str], model: Entry) -> Entry | None:
        where = self._places
        key, names = _name(fields[where.key]), [_name(fields[index]) for index in where.names]
        others = [_address(fields[index]) for index in where.others]
        phones = [fields[index] for index, _ in where.phones]
        usual = model.profile.max_claims
        limit = usual if where.limit is None else _number(fields[where.limit], MOST_CLAIMS)
        if key is None or limit is None or None in names or None in others:
            return None
        address = None if where.address is None else _address4(fields[where.address])
        address6 = None if where.address6 is None else _address6(fields[where.address6])
        if (address is None and where.address is not None) or (address6 is None and where.address6 is not None):
            return None
        if not all(map(_PHONE.fullmatch, phones)):
            return None
        host = names.pop(0) if where.is_first_own else key
        if host is None:
            return None
        offers = (Offer(host),) if where.services is None else _offers(fields, where.services, model)
        if offers is None:
            return None
        identity = NO_MORE
        if names or others or phones:
            packed = tuple(each.packed for each in others if each is not None)
            full = tuple([sign + phone for (_, sign), phone in zip(where.phones, phones, strict=True)])
            identity = Identity(tuple(name for name in names if name is not None), packed, full)
        profile = model.profile if limit == usual else _with_limit(model.profile, limit)
        return Entry(host, address, offers, profile, identity, address6, model.groups_at)

    def add(self, fields: Sequence[str], entry: Entry, read: Callable[[Sequence[str]], Entry | None]) -> None:
        """Remembers a piece of this shape that could not be read."""
        if self._variants:
            self._probe(fields, entry, read)
        fixed = self._fixed(fields)
        if len(self._variants) >= MAX_VARIANTS:
            self._variants.clear()
        said = self._entry(fields, entry)
        if said is not None and _same(said, entry):
            self._variants[fixed] = entry
            self._last = tuple(fields)

    def _probe(self, fields: Sequence[str], entry: Entry, read: Callable[[Sequence[str]], Entry | None]) -> None:
        """Finds out which of the fields that differ from those of another piece do not matter at all."""
        differing = [
            index for index in self._others if fields[index] != self._last[index] and index not in self._probed
        ]
        size = sum(map(len, fields))
        del differing[max(0, min(MOST_PROBED - len(self._probed), MOST_READ // (2 * size))) :]
        for index in differing:
            self._probed.add(index)
            others = [
                read([*fields[:index], probe, *fields[index + 1 :]])
                for probe in _PROBES["\1" if ":" in fields[index] else "\0"]
            ]
            if all(other is not None and _same(other, entry) for other in others):
                self._ignored.append(index)
        if differing:
            self._others = [index for index in self._others if index not in self._ignored]
            self._fixed = _getter(self._others)
            self._variants.clear()


@lru_cache(4096)
def _with_limit(profile: Profile, limit: int) -> Profile:
    return attrs.evolve(profile, max_claims=limit)


def _offers(fields: Sequence[str], services: tuple[ServicePlace, ...], model: Entry) -> tuple[Offer, ...] | None:
    """The services; None if something is wrong with one of them."""
    assert model.services is not None
    names = [_name(fields[service.name]) for service in services]
    if None in names or len(set(names)) < len(names):
        return None
    offers = []
    for service, name, former in zip(services, names, model.services, strict=True):
        terms: Terms | None = former.terms
        if service.port is not None and fields[service.port] != str(former.terms.port):
            terms = _at_port(former.terms, fields[service.port])
        if terms is None or name is None:
            return None
        offers.append(Offer(name, terms))
    return tuple(offers)


@lru_cache(4096)
def _at_port(terms: Terms, text: str) -> Terms | None:
    """The same at another port; None if that is none."""
    port = _number(text, 65535)
    if port is None or (port and terms.protocol == _ICMP):
        return None
    return attrs.evolve(terms, port=port)


def _shape(text: str, root: Node, fields: Sequence[str], entry: Entry) -> _Shape | None:
    """The shape of a piece; None if it can not be read the quick way."""
    found = places(text, root)
    if found is None or (found.services is not None and len(found.services) != len(entry.services or ())):
        return None
    shape = _Shape(found, len(fields))
    shape.add(fields, entry, lambda _fields: None)
    return shape


def _getter(indices: list[int]) -> Callable[[Sequence[str]], object]:
    return itemgetter(*indices) if indices else lambda _fields: ()


def _same(one: Entry, other: Entry) -> bool:
    """Whether two say the same, wherever they do."""
    there = attrs.evolve(other, groups_at=one.groups_at)
    return attrs.astuple(one, recurse=False) == attrs.astuple(there, recurse=False)


def _placed(text: str, entry: Entry) -> Entry:
    """The same, without the column of its groups where that depends on fields before them."""
    if entry.groups_at is None:
        return entry
    line, column = entry.groups_at
    before = "".join(text.split("\n")[line - 1 : line])[: column - 1]
    return attrs.evolve(entry, groups_at=(line, 1)) if FIELD.search(before) else entry


# The kinds of `schema`, for fields. None: it is for the full reading to say what is wrong.


def _name(text: str) -> str | None:
    name = text.lower()
    if name[-1] != ".":
        name += "."
    return name if len(name) < MAX_NAME and _is_name(name) is not None else None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    return _address6(text) if ":" in text else _address4(text)


def _address6(text: str) -> IPv6Address | None:
    head, gap, tail = text.partition("::")
    first, last = _groups(head), _groups(tail) if gap else (0, 0)
    if first is None or last is None:
        return None
    number, count = first
    if count + last[1] > 7 if gap else count != 8:
        return None
    number = number << 16 * (8 - count) | last[0]
    beginning = number >> 112
    is_usual = 0x0100 < beginning < 0xFE80 or 0xFEC0 <= beginning < 0xFF00
    return IPv6Address(number) if is_usual else None


@lru_cache(4096)
def _groups(text: str) -> tuple[int, int] | None:
    """Groups of hexadecimal digits as a number, and how many there are."""
    groups = text.split(":")
    number = 0
    for group in groups:
        if not group:
            return None
        number = number << 16 | int(group, 16)
    return number, len(groups)


def _address4(text: str) -> IPv4Address | None:
    number = parts = 0
    for part in text.split("."):
        octet = _OCTETS.get(part)
        if octet is None:
            return None
        number = number << 8 | octet
        parts += 1
    is_usual = parts == 4 and 0x01000000 <= number < 0xE0000000 and number >> 24 != 127
    return IPv4Address(number) if is_usual and number >> 16 != 0xA9FE else None


def _number(text: str, last: int) -> int | None:
    if _DIGITS.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number <= last else None

"""Subscriber files piece by piece, so that a reload reads again only what is written differently.

A piece is one top-level key with everything under it. Its token is a digest of its text: of equal tokens, what was made
of one stands for both. So a file of a hundred thousand subscribers costs little more than its splitting when a few of
them have changed. What takes time is a generator here, which yields every now and then: the caller may do something
else meanwhile.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Hashable, Mapping

import attrs

from realmgw import __version__
from realmgw.config.document import Problems, parse
from realmgw.subscribers.schema import Entry, entries
from realmgw.subscribers.shapes import Shapes

TOKEN = 12  # octets
"""Of a token: two different pieces have the same one once in a universe."""
PIECES_AT_ONCE = 64
"""So many pieces are passed over between two yields; one that has to be parsed counts like that many."""

_ALIKE = f"realmgw {__version__} 1\n".encode()  # another schema may make something else of the same text
# Both in a text with a line end before it: what begins with a fixed octet is found several times as fast.
_BEGIN = re.compile(rb"\n[^\s#\]}]")
_WHOLE = re.compile(rb"\n(?:---|%|\?|[\[{\]}&*!|>@`-])")


@attrs.frozen(eq=False)
class Unit:
    """What one source (a file, a repository) says of subscribers at one moment."""

    source: str
    """Its name, as messages have it."""
    tokens: Mapping[str, Hashable] = attrs.Factory(dict)
    """For each host, by its name: equal tokens mean that nothing is said differently."""
    entries: Mapping[str, Entry] = attrs.Factory(dict)
    """What is said of a host; those whose tokens were there before may be missing. `Register.commit` empties it, unless
    it is the mapping of tokens itself: an entry is equal to nothing else, so it can be its own token."""
    problems: tuple[str, ...] = ()
    """What is wrong: then the rest of the unit is what the source said before, or nothing."""
    lines: Mapping[str, int] = attrs.Factory(dict)
    """The lines, counted from 1, where the hosts in `entries` stand, if the source is a file that was read.
    `Register.commit` empties it too."""

    def place(self, name: str) -> str:
        """Where a host stands, for messages; of a file that was not read now, the name has to do."""
        line = self.lines.get(name)
        return f"{self.source}: {name}" if line is None else f"{self.source}:{line}:1: {name}"


Recall = Callable[[bytes], "list[Entry] | None"]
"""What was made of a piece in an earlier life of the program, by its token; None when that is not known."""


def nothing_recalled(_token: bytes) -> None:
    """The memory of a program that never ran before."""


def read(
    source: str, text: bytes, former: Unit | None, recall: Recall = nothing_recalled, shapes: Shapes | None = None
) -> Generator[None, None, Unit]:
    """Reads a subscriber file.

    Args:
        source: Its name.
        text: All of it.
        former: What it said before.
        recall: What is known of pieces.
        shapes: What pieces of other files look like; gets those of this one.

    Returns:
        What it says now; with any problem in it, what it said before, and the problems.
    """
    reading = _Reading(source, former, recall, shapes or Shapes())
    for count, (line, piece) in enumerate(_pieces(text)):
        if reading.take(piece, line) or not count % PIECES_AT_ONCE:
            yield
    return reading.unit()


def _pieces(text: bytes) -> Generator[tuple[int, bytes], None, None]:
    """The pieces, each with the number of lines before it. What can not be split by lines is one piece."""
    after_end = b"\n" + text
    if _WHOLE.search(after_end):
        yield 0, text
        return
    lines, begin = 0, None
    for match in _BEGIN.finditer(after_end):
        start = match.start()  # in the text itself
        if begin is None:
            lines = text.count(b"\n", 0, start)
        else:
            piece = text[begin:start]
            yield lines, piece
            lines += piece.count(b"\n")
        begin = start
    if begin is not None:
        yield lines, text[begin:]


def alone(piece: bytes) -> Entry | None:
    """The only subscriber of a piece without problems; None if it is another piece."""
    problems = Problems("")
    root = parse(piece, problems)
    found = [] if root is None else entries(root, problems)
    return found[0] if len(found) == 1 and not problems.found else None


class _Reading:
    """One pass over the pieces of one file."""

    def __init__(self, source: str, former: Unit | None, recall: Recall, shapes: Shapes) -> None:
        self._source = source
        self._former = former
        self._recall = recall
        self._shapes = shapes
        self._names: dict[Hashable, list[str]] = {}
        for name, token in former.tokens.items() if former else ():
            self._names.setdefault(token, []).append(name)
        self._tokens: dict[str, Hashable] = {}
        self._entries: dict[str, Entry] = {}
        self._lines: dict[str, int] = {}
        self._problems: list[tuple[int, int, str]] = []

    def take(self, piece: bytes, line: int) -> bool:
        """A piece that begins after so many lines. Returns whether it had to be parsed, which takes its time."""
        token = hashlib.blake2b(_ALIKE + piece.rstrip(), digest_size=TOKEN).digest()
        names = self._names.get(token)
        if names is not None:
            for name in names:
                self._keep(name)
                self._lines[name] = line + 1
                self._add(name, token, line)
            return False
        found = self._recall(token)
        if found is None and (alike := self._shapes.read(piece)) is not None:
            found = [alike]
        parsed = found is None
        for entry in self._parse(piece, line) if found is None else found:
            self._entries[entry.name] = entry
            self._lines[entry.name] = line + 1
            self._add(entry.name, token, line)
        return parsed

    def _keep(self, name: str) -> None:
        """What was read before may not have been made into a host yet, since the source was refused."""
        entry = self._former.entries.get(name) if self._former else None
        if entry is not None:
            self._entries[name] = entry

    def _parse(self, piece: bytes, line: int) -> list[Entry]:
        problems = Problems(self._source)
        root = parse(piece, problems)
        found = [] if root is None else entries(root, problems)
        self._problems += [(line + at, column, text) for at, column, text in problems.found]
        if root is not None and len(found) == 1 and not problems.found:
            self._shapes.learn(piece, root, found[0], alone)
        return found

    def _add(self, name: str, token: Hashable, line: int) -> None:
        if name in self._tokens:
            self._problems.append((line + 1, 1, f"{name} stands in this file twice: remove one of them"))
        self._tokens[name] = token

    def unit(self) -> Unit:
        """What the file says."""
        if not self._problems:
            return Unit(self._source, self._tokens, self._entries, lines=self._lines)
        problems = Problems(self._source)
        problems.found = self._problems
        tokens = self._former.tokens if self._former else {}
        return Unit(self._source, tokens, problems=problems.lines())

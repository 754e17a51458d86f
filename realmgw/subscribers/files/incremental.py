"""Subscriber files piece by piece, so that a reload reads again only what is written differently.

A piece is one top-level key with everything under it. Its token is a digest of its text: of equal tokens, what was made
of one stands for both. So a file of a hundred thousand subscribers costs little more than its splitting when a few of
them have changed. What takes time is done in steps here (see `realmgw.config.steps`).

A file that is split says what it says as a whole: what is good in pieces is good as one document and means the same,
and where a piece is not good, the whole document has the last word. So keys may begin anywhere on a line, texts in
quotes may run over several, and there may be a document's begin and end; only such a file can not be long.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Generator, Hashable, Mapping

import attrs

from realmgw import __version__
from realmgw.config import document
from realmgw.config.document import MOST_FOUND, MOST_OF_ONE, Problems, parse, parsing
from realmgw.config.steps import Steps, emptying
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.fastpath.by_shape import ByShapeReader
from realmgw.subscribers.schema import entries, reading

TOKEN = 12  # octets
"""Of a token: two different pieces have the same one once in a universe."""
PIECES_AT_ONCE = 64
"""So many pieces are passed over between two steps; one that has to be parsed counts like that many."""
MAX_PIECE = 2**20  # octets
"""The longest piece, and the longest file that can not be split: the parser does a long text in quotes in one go."""
SHORT = 2**16  # octets
"""A piece that may be read by its shape, and in one go, if it looks like others."""
SEARCHED = 2**18  # octets
"""So much of a file is searched in one go: 3 ms at worst, where every line is empty."""
MARGIN = 2**14  # octets
"""So far from its begin and its end a file is searched for the begin and the end of its document."""

_ALIKE = f"realmgw {__version__} 3\n".encode()  # another schema may make something else of the same text
# Both in a text with a line end before it: what begins with a fixed octet is found several times as fast.
_BEGIN = re.compile(rb"\n[^\s#\]}]")
_WHOLE = re.compile(rb"\n(?:---|\.\.\.|%|\?|[\[{\]}&*!|>@`-])")
_REACH = 4  # octets: of what `_WHOLE` finds
_RETURN = re.compile(rb"\r[^\n]")
# Where YAML begins a line, too; and a mark that may stand at the begin only.
_OTHER_SIGNS = b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9", codecs.BOM_UTF8

_EMPTY = rb"(?:[ \t]*(?:#[^\r\n]*)?\r?\n)*"
_REST = rb"(?:[ \t]+#[^\r\n]*|[ \t]*)"
_HEAD = re.compile(_EMPTY + rb"(?:---" + _REST + rb"\r?\n" + _EMPTY + rb")?")
_TAIL = re.compile(rb"\.\.\." + _REST + rb"(?:\r?\n" + _EMPTY + rb"[ \t]*(?:#[^\r\n]*)?)?\Z")


@attrs.frozen(eq=False)
class Unit:
    """What one source (a file, a repository) says of subscribers at one moment."""

    source: str
    """Its name, as messages have it."""
    tokens: Mapping[str, Hashable] = attrs.Factory(dict)
    """For each host, by its name: equal tokens mean that nothing is said differently."""
    entries: Mapping[str, Entry] = attrs.Factory(dict)
    """What is said of a host; those whose tokens were there before may be missing. `Registry.commit` empties it, unless
    it is the mapping of tokens itself: an entry is equal to nothing else, so it can be its own token."""
    problems: tuple[str, ...] = ()
    """What is wrong: then the rest of the unit is what the source said before, or nothing."""
    lines: Mapping[str, int] = attrs.Factory(dict)
    """The lines, counted from 1, where the hosts in `entries` stand, if the source is a file that was read.
    `Registry.commit` empties it too."""
    digest: bytes = b""
    """Of the text that the tokens are of, if it is a file."""
    settled: bool = True
    """It has been found to say the same twice, some time apart; what comes as a whole, as from a repository, has no
    need of that."""
    is_gone: bool = False
    """There is no such source any more."""
    is_kept: bool = False
    """What it says now is not in force, or not all of it: what it said before is, if anything; `problems` say why."""

    yields: bool = False
    """Nobody has written it: names and addresses that it has belong to those sources that were, when they want them."""

    def place(self, name: str, at: tuple[int, int] | None = None) -> str:
        """Where a host stands, for messages; of a file that was not read now, the name has to do.

        Args:
            name: The host's.
            at: Where in its text the thing stands that is meant, if that is known.
        """
        line, (more, column) = self.lines.get(name), at or (1, 1)
        return f"{self.source}: {name}" if line is None else f"{self.source}:{line + more - 1}:{column}: {name}"

    def forgetting(self) -> Steps[None]:
        """Entries were made into hosts by now; kept, they would take more memory than these."""
        if isinstance(self.entries, dict) and self.entries is not self.tokens:
            yield from emptying(self.entries)
        if isinstance(self.lines, dict):
            yield from emptying(self.lines)


def read(source: str, text: bytes, former: Unit | None = None, by_shape: ByShapeReader | None = None) -> Steps[Unit]:
    """Reads a subscriber file.

    Args:
        source: Its name.
        text: All of it.
        former: What is in force of it: of pieces that it has already, no entries are made.
        by_shape: What pieces of other files look like; gets those of this one.

    Returns:
        What it says now; with any problem in it, what it said before, and the problems.
    """
    first = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0  # long texts are not copied
    pass_ = _Pass(source, former, by_shape or ByShapeReader())
    yield from pass_.recognize()
    bounds = yield from _bounds(text, first)
    is_split = bounds is not None
    if bounds is not None:
        yield from _take_all(pass_, _pieces(text, first, *bounds))
    if pass_.problems or not is_split:
        if len(text) - first <= MAX_PIECE:
            pass_.begin_anew()
            yield from pass_.parse(text, 0, is_whole=True)
        elif not is_split:
            pass_.add(
                0, f"this can not be read host by host, and is longer than {MAX_PIECE} octets: write every host as a"
                " key at the begin of a line, in one document without other line ends",
            )  # fmt: skip
    return pass_.unit()


def splitting(text: bytes) -> Steps[Generator[tuple[int, bytes] | None, None, None]]:
    """The pieces of a file, each with the number of lines before it; None in between where others may have their turn.

    A file that can not be split is one piece.
    """
    first = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
    bounds = yield from _bounds(text, first)
    return (each for each in [(0, text)]) if bounds is None else _pieces(text, first, *bounds)


def _take_all(pass_: _Pass, pieces: Generator[tuple[int, bytes] | None, None, None]) -> Steps[None]:
    for count, found in enumerate(pieces):
        if found is None:
            yield None
            continue
        line, piece = found
        yield from pass_.take(piece, line)
        if pass_.is_hopeless(line):
            break
        if not count % PIECES_AT_ONCE:
            yield None


def _bounds(text: bytes, first: int) -> Steps[tuple[int, int] | None]:
    """Where the text from `first` on that is split begins and ends; None if it has to be one piece."""
    head = _HEAD.match(text, first, first + MARGIN)
    begin = first if head is None else head.end()
    last = text.rfind(b"\n...", max(first, len(text) - MARGIN))
    end = last if last >= begin - 1 and last >= 0 and _TAIL.match(text, last + 1) else len(text)
    if begin < len(text) and text[begin : begin + 1] in b" \t\f\v":
        return None  # keys do not begin at the begin of a line
    begin = max(first, begin - 1)
    if _WHOLE.match(b"\n" + text[begin : begin + _REACH]) and begin == first:
        return None
    for at in range(begin, end, SEARCHED):
        if _is_whole(text, at, min(end, at + SEARCHED + _REACH)):
            return None
        yield None
    return begin, end


def _is_whole(text: bytes, begin: int, end: int) -> bool:
    """Whether there is anything in a part of a text because of which it can not be split."""
    has_returns = text.find(b"\r", begin, end) >= 0 and _RETURN.search(text, begin, end) is not None
    has_other_signs = any(text.find(each, begin, end) >= 0 for each in _OTHER_SIGNS)
    return has_returns or has_other_signs or _WHOLE.search(text, begin, end) is not None


def _pieces(text: bytes, first: int, begin: int, end: int) -> Generator[tuple[int, bytes] | None, None, None]:
    """The pieces, each with the number of lines before it; None in between where others may have their turn.

    What is before the first key and after the last one belongs to these. Of one that is too long, not all is given.
    """
    lines, start = 0, first
    more, counted = 0, first  # lines of the piece that begins at `start`, and how far they are counted
    for low in range(begin, end, SEARCHED):
        high = min(end, low + SEARCHED)
        for match in _BEGIN.finditer(text, low, min(end, high + 1)):
            at = match.start() + 1
            if at > begin + 1:
                yield lines, text[start : min(at, start + MAX_PIECE + 1)]
                lines, more = lines + more + text.count(b"\n", counted, at), 0
                start = counted = at
        more, counted = more + text.count(b"\n", counted, high), high
        yield None
    yield lines, text[start : start + MAX_PIECE + 1]


def alone(piece: bytes) -> Entry | None:
    """The only subscriber of a piece without problems; None if it is another piece."""
    problems = Problems("")
    root = parse(piece, problems)
    found = [] if root is None else entries(root, problems)
    return found[0] if len(found) == 1 and not problems.found else None


class _Pass:
    """One pass over the pieces of one file.

    Attributes:
        problems: What was found wrong, with line and column.
    """

    def __init__(self, source: str, former: Unit | None, by_shape: ByShapeReader) -> None:
        self._source = source
        self._former = former or Unit(source)
        self._by_shape = by_shape
        self._names: dict[Hashable, list[str]] = {}
        self.begin_anew()

    def begin_anew(self) -> None:
        """Nothing was read."""
        self._tokens: dict[str, Hashable] = {}
        self._entries: dict[str, Entry] = {}
        self._lines: dict[str, int] = {}
        self.problems: list[tuple[int, int, str]] = []

    def recognize(self) -> Steps[None]:
        """Finds out which pieces are known."""
        for count, (name, token) in enumerate(self._former.tokens.items()):
            self._names.setdefault(token, []).append(name)
            if not count % (8 * PIECES_AT_ONCE):
                yield None

    def take(self, piece: bytes, line: int) -> Steps[None]:
        """A piece that begins after so many lines."""
        if len(piece) > MAX_PIECE:
            self.add(line, f"this host has more than {MAX_PIECE} octets: too many")
            return
        token = _token(piece)
        names = self._names.get(token)
        if names is not None:
            for name in names:
                self._add(name, token, line)
            return
        alike = self._by_shape.read(piece) if len(piece) <= SHORT else None
        if alike is None:
            yield from self.parse(piece, line)
            yield None
        else:
            self._add(alike.name, token, line, alike)

    def parse(self, piece: bytes, line: int, *, is_whole: bool = False) -> Steps[None]:
        """A piece, or the whole file, by the full reading."""
        problems, found = Problems(self._source), list[Entry]()
        root = yield from parsing(piece, problems, reread=SHORT)
        if root is not None and (is_whole or isinstance(root, document.Mapping)):
            found = yield from reading(root, problems)
        elif root is not None:
            problems.add(root, "this is no key: write one for each host")
        self.problems += [(line + at, column, text) for at, column, text in problems.found]
        token = _token(piece)
        for count, entry in enumerate(found):
            self._add(entry.name, token, line, entry)
            if not count % PIECES_AT_ONCE:
                yield None
        if root is not None and len(found) == 1 and not problems.found and len(piece) <= SHORT and not is_whole:
            self._by_shape.learn(piece, root, found[0], alone)

    def is_hopeless(self, line: int) -> bool:
        """Whether so much is wrong that nobody should read on."""
        if len(self.problems) < MOST_FOUND:
            return False
        self.add(line, "there are too many problems: nothing is read from here on")
        return True

    def add(self, line: int, text: str) -> None:
        """Something is wrong after so many lines."""
        self.problems.append((line + 1, 1, text))

    def _add(self, name: str, token: Hashable, line: int, entry: Entry | None = None) -> None:
        if name in self._tokens:
            self.add(line, f"{name} stands in this file twice: remove one of them")
        self._tokens[name] = token
        self._lines[name] = line + 1
        if entry is not None and self._former.tokens.get(name) != token:
            self._entries[name] = entry

    def unit(self) -> Unit:
        """What the file says."""
        if not self.problems:
            return Unit(self._source, self._tokens, self._entries, lines=self._lines)
        problems = Problems(self._source)
        problems.found = self.problems
        return Unit(self._source, self._former.tokens, problems=problems.lines(MOST_OF_ONE))


def _token(piece: bytes) -> bytes:
    return hashlib.blake2b(_ALIKE + piece.rstrip(), digest_size=TOKEN).digest()

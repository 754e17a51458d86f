"""YAML text as nodes that know their place, and the list in which problems are gathered.

Only the plain part of YAML is accepted: mappings, sequences and scalars. Tags (they choose types; here the schema does
that), aliases (a few lines of them stand for gigabytes) and a second document are problems; so is a key that stands
twice in a mapping. Whether `on` is a boolean and `1` a number is not decided here either: a scalar is its text.
"""

from __future__ import annotations

import codecs
import enum
from collections.abc import Callable, Collection, Iterable, Iterator

import attrs
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

from realmgw.config import parsers
from realmgw.config.quoting import quoting, shortened
from realmgw.config.steps import PORTION, Steps, finish

MAX_DEPTH = 16
"""How deep collections may be nested; the schemas need half of it."""
EVENTS_AT_ONCE = 32
"""So many of the parser's events are looked at between two steps."""
MOST_OF_ONE = 20
"""So many problems of one file are told; the others are counted."""
MOST_OF_ALL = 200
"""So many problems are told at once."""
MOST_FOUND = 1000
"""After so many problems, a file is not read any further."""


@attrs.define(eq=False)
class Scalar:
    """A single value, not yet interpreted."""

    line: int
    """Of its first character, counted from 1."""
    column: int
    """Of its first character, counted from 1."""
    text: str
    """The value as text, without quotes."""
    plain: bool
    """It was written without quotes, so that it may be a number, a boolean or nothing (`~`)."""
    source: str | None = None
    """The file that it stands in, here and below; None: the one that is being read."""


@attrs.define(eq=False)
class Sequence:
    """A list of nodes."""

    line: int
    """Of its first character, counted from 1."""
    column: int
    """Of its first character, counted from 1."""
    items: list[Node] = attrs.Factory(list)
    """In the order of the text."""
    source: str | None = None
    """As in `Scalar`."""


@attrs.define(eq=False)
class Mapping:
    """Keys with their values."""

    line: int
    """Of its first character, counted from 1."""
    column: int
    """Of its first character, counted from 1."""
    pairs: dict[str, tuple[Scalar, Node]] = attrs.Factory(dict)
    """By the text of the key, in the order of the text: the key's node and the value's."""
    source: str | None = None
    """As in `Scalar`."""


Node = Scalar | Sequence | Mapping


@attrs.define(eq=False)
class Problems:
    """What is wrong in one file. Everything that reads goes on after a problem, so that all are told at once."""

    source: str
    """The file, as the operator named it."""
    found: list[tuple[int, int, str]] = attrs.Factory(list)
    """Each with its line and column, in the order in which they were found; those of other files too."""
    elsewhere: dict[int, str] = attrs.Factory(dict)
    """Of those in `found` that are of another file, by their position in it: that file."""
    remembered: dict[enum.Enum, list[tuple[object, Node]]] = attrs.Factory(dict)
    """Values that will be compared with each other, each with its place, in the order of the text."""
    outdated: list[str] = attrs.Factory(list)
    """What is read still, and has another name by now, in lines as those of problems."""
    are_ended: bool = False
    """It was noted that there are too many."""
    may_quote: Callable[[str], bool] | None = None
    """Whether a problem may quote something of the file; None: anything. A secret may stand anywhere."""

    def remember(self, label: enum.Enum, value: object, place: Node) -> None:
        """Keeps a value for such comparisons.

        Args:
            label: What it is.
            value: It.
            place: Where it stands.
        """
        self.remembered.setdefault(label, []).append((value, place))

    def outdate(self, place: Node, text: str) -> None:
        """Notes something that is read still; what is wrong with it, and what to write instead."""
        if len(self.outdated) <= MOST_FOUND:
            if len(self.outdated) == MOST_FOUND:
                text = "and from here on: there is more of that kind than is told"
            self.outdated.append(f"{place.source or self.source}:{place.line}:{place.column}: {shortened(text)}")

    def add(self, place: Node | None, text: str) -> None:
        """Notes a problem.

        Args:
            place: Where it is; None for the file as a whole.
            text: What is wrong, and what to write instead.
        """
        if place is not None and place.source not in (None, self.source):
            self.elsewhere[len(self.found)] = place.source
        self.at(place.line if place else 1, place.column if place else 1, text)

    def at(self, line: int, column: int, text: str) -> None:
        """Notes a problem at a place that is no node; lines and columns count from 1."""
        said = text if self.may_quote is None else quoting(text, self.may_quote)
        self.found.append((line, column, shortened(said)))

    def are_many(self, line: int, source: str | None = None) -> bool:
        """Whether there are so many that nobody should read on; then that is noted, too, once.

        Args:
            line: How far it was read.
            source: The file, if it is another one.
        """
        if len(self.found) < MOST_FOUND:
            return False
        if not self.are_ended:
            self.are_ended = True
            if source is not None:
                self.elsewhere[len(self.found)] = source
            self.at(line, 1, "there are too many problems: nothing is read from here on")
        return True

    def lines(self, most: int = MOST_OF_ALL) -> tuple[str, ...]:
        """Each as `file:line:column: what, and what to write instead`, in the order of the file; other files last.

        Args:
            most: So many; the last line counts the others.
        """
        placed = sorted((self.elsewhere.get(index, ""), *found) for index, found in enumerate(self.found))
        told = [f"{source or self.source}:{line}:{column}: {text}" for source, line, column, text in placed[:most]]
        return bounded(told, most, len(placed))

    def include(self, other: Problems) -> None:
        """Takes over what was found in another file."""
        for index, found in enumerate(other.found, len(self.found)):
            self.elsewhere[index] = other.source
            self.found.append(found)


_NONE = Problems("")


def bounded(lines: Collection[str], most: int, count: int | None = None, what: str = "problems") -> tuple[str, ...]:
    """Not more lines than somebody reads.

    Args:
        lines: Problems.
        most: So many are told; a line more counts the others.
        count: How many there are in all, if `lines` is only a part of them.
        what: They are, in a word.
    """
    every = len(lines) if count is None else count
    if every <= most:
        return tuple(lines)
    return (*tuple(lines)[:most], f"and {every - most} {what} more")


def place(node: Node) -> str:
    """Where a node of the file that is being read stands, for problems that name a second place."""
    return f"line {node.line}" if node.source is None else f"{node.source}:{node.line}"


def discarding(root: Node | None, problems: Problems) -> Steps[None]:
    """Takes a document apart, and what was remembered of it, a little at a time: freeing it at once would take long."""
    for values in problems.remembered.values():
        while values:
            del values[-PORTION:]
            yield None
    while isinstance(root, Mapping) and root.pairs:
        _, (_, value) = root.pairs.popitem()
        yield from discarding(value, _NONE)
        yield None
    while isinstance(root, Sequence) and root.items:
        yield from discarding(root.items.pop(), _NONE)
        yield None


def parse(
    text: bytes,
    problems: Problems,
    *,
    source: str | None = None,
    unread: Collection[str] = (),
    last_counts: bool = False,
) -> Node | None:
    """Reads a YAML document.

    Args:
        text: The whole file, in UTF-8.
        problems: Gets what is wrong.
        source: The nodes' `source`.
        unread: Keys of the outermost mapping whose values are for other programs: they must be YAML, and what they
            are is not looked at. An empty value stands in their place.
        last_counts: Of a key that stands twice in a mapping, the last value counts, as other readers have it.

    Returns:
        The document, without its faulty parts; None when it is empty, or when it is no YAML and a problem says so.
    """
    return finish(parsing(text, problems, source=source, unread=unread, last_counts=last_counts))


def parsing(
    text: bytes,
    problems: Problems,
    *,
    source: str | None = None,
    unread: Collection[str] = (),
    last_counts: bool = False,
    reread: int | None = None,
) -> Steps[Node | None]:
    """What `parse` does, step by step; how long a text may be that is read again by the slower parser can be told."""
    text = text.removeprefix(codecs.BOM_UTF8)
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        _add_at(problems, text[: error.start].decode(), f"byte 0x{text[error.start]:02x} is not UTF-8: save as UTF-8")
        return None
    for events in (yield from parsers.in_turn(decoded, reread)):
        attempt = Problems(problems.source, may_quote=problems.may_quote)
        root, readable = yield from _compose(
            decoded, events, _Composer(attempt, source, unread, last_counts=last_counts)
        )
        if readable:
            break
    problems.found += attempt.found
    return root


def _compose(
    text: str, events: Callable[[str], Iterator[Event]], composer: _Composer
) -> Steps[tuple[Node | None, bool]]:
    """The document, and whether the text was YAML for this parser; if not, a problem says why."""
    problems = composer.problems
    try:
        return (yield from composer.compose(events(text))), True
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        problems.at(mark.line + 1, mark.column + 1, f"this is no YAML: {what}")
    except ReaderError as error:  # a character that YAML does not allow
        _add_at(problems, text[: error.position], f"this is no YAML: {error.reason}")
    return None, False


def _add_at(problems: Problems, before: str, text: str) -> None:
    """Notes a problem at the end of the text `before`."""
    problems.at(before.count("\n") + 1, len(before) - before.rfind("\n"), text)


class _Composer:
    """Builds the nodes from events.

    ruamel.yaml's own composers are not used: the C one recurses on the C stack, which a file of brackets overflows.
    """

    def __init__(self, problems: Problems, source: str | None, unread: Collection[str], *, last_counts: bool) -> None:
        self.problems = problems
        self._source = source
        self._unread = unread
        self._last_counts = last_counts
        self._depth_unread = 0
        self._root: Node | None = None
        self._open: list[Sequence | Mapping] = []
        self._innermost: Sequence | Mapping | None = None
        self._key: Scalar | None = None  # of the innermost mapping, waiting for its value

    def compose(self, events: Iterable[Event]) -> Steps[Node | None]:
        """The root; None if there is none, or if the structure is one that cannot be followed (a problem says so)."""
        documents = 0
        for count, event in enumerate(events, 1):
            if not count % EVENTS_AT_ONCE:
                yield None
                if self.problems.are_many(event.start_mark.line + 1):
                    return None
            if self._unread and self._passes_over(event):
                continue
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document begins here: only one is read, make it a file of its own")
                    break
            elif not self._take(event):
                return None
        return self._root

    def _take(self, event: Event) -> bool:
        """What an event within the document says; returns whether to read on."""
        if isinstance(event, ScalarEvent):
            self._scalar(event)
        elif isinstance(event, CollectionStartEvent):
            return self._begin(event)
        elif isinstance(event, CollectionEndEvent):
            self._open.pop()
            self._innermost = self._open[-1] if self._open else None
        elif isinstance(event, AliasEvent):
            self._alias(event)
        return True

    def _passes_over(self, event: Event) -> bool:
        """Whether an event belongs to the value of a key that is not read."""
        if not self._depth_unread:
            parent, key = self._innermost, self._key
            if len(self._open) != 1 or type(parent) is not Mapping or key is None or key.text not in self._unread:
                return False
            parent.pairs.setdefault(key.text, (key, Scalar(key.line, key.column, "", True, self._source)))
            self._key = None
        self._depth_unread += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        return True

    def _scalar(self, event: ScalarEvent) -> None:
        if event.tag is not None:
            self._refuse_tag(event)
        mark = event.start_mark
        self._place(Scalar(mark.line + 1, mark.column + 1, event.value, not event.style, self._source))

    def _alias(self, event: AliasEvent) -> None:
        self._refuse(event, f"the alias {'*' + str(event.anchor)!r} is not accepted: write the value out")
        mark = event.start_mark
        self._place(Scalar(mark.line + 1, mark.column + 1, "", True, self._source))  # keys and values must stay in step

    def _begin(self, event: CollectionStartEvent) -> bool:
        """Opens a collection, unless that is where reading ends."""
        if len(self._open) >= MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} deep: no key of the configuration needs that")
            return False
        if type(self._innermost) is Mapping and self._key is None:
            self._refuse(event, "a collection can not be a key: write a single word, or a text in quotes")
            return False
        if event.tag is not None:
            self._refuse_tag(event)
        mark = event.start_mark
        kind = Mapping if isinstance(event, MappingStartEvent) else Sequence
        node = kind(mark.line + 1, mark.column + 1, source=self._source)
        self._attach(node)
        self._open.append(node)
        self._innermost = node
        return True

    def _place(self, node: Scalar) -> None:
        """A scalar is a key where one is due, else a value."""
        if self._key is None and type(self._innermost) is Mapping:
            self._key = node
        else:
            self._attach(node)

    def _attach(self, node: Node) -> None:
        parent = self._innermost
        if parent is None:
            self._root = node
        elif isinstance(parent, Sequence):
            parent.items.append(node)
        elif self._key is not None:
            key, self._key = self._key, None
            if key.text in parent.pairs and not self._last_counts:
                first = parent.pairs[key.text][0]
                self.problems.add(key, f"the key {key.text!r} stands twice, first on line {first.line}: remove one")
            else:
                parent.pairs[key.text] = key, node

    def _refuse_tag(self, event: ScalarEvent | CollectionStartEvent) -> None:
        self._refuse(event, f"the tag {str(event.tag)!r} is not accepted: the key says what type its value has")

    def _refuse(self, event: Event, text: str) -> None:
        self.problems.at(event.start_mark.line + 1, event.start_mark.column + 1, text)

"""What a metric is, and how its values are found in a tree of what was counted. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import attrs

PREFIX = "realmgw_"
"""Of all names."""
Tree = Mapping[str, Any]
"""What was counted: names to numbers, to texts, or to trees."""
Labels = tuple[tuple[str, str], ...]
"""Names and values of labels."""


class Kind(enum.Enum):
    """What a metric's values are."""

    COUNTER = "counter"
    """A number that only grows, but for a restart."""
    GAUGE = "gauge"
    """A number that is what it is now; a yes is 1, a no 0."""
    INFO = "info"
    """Texts, which are the labels of a 1: in the tree, a mapping of them."""
    STATE = "stateset"
    """One word out of some: each is a label of a 1 or a 0."""
    HISTOGRAM = "histogram"
    """How many values were up to each bound: in the tree, a mapping with `bounds`, `counts` of one more, and `sum`;
    and maybe `exemplars`, for each count None, or a value, its trace id, and when (monotonic seconds)."""


@attrs.frozen
class Source:
    """Where values of a metric are in the tree.

    A segment of the path is a name, or has `{label}` in it: then it stands for all names of that form, and what is
    there in each is the label's value; `{label:a|b}` is one of these only, `{label:!a|b}` any other. A `*` stands for
    anything, and what is found at all of these is summed up: they are named after what is no label, an address say.
    """

    path: tuple[str, ...]
    """Its segments."""
    labels: Labels = ()
    """Labels that all of its values have."""

    def __attrs_post_init__(self) -> None:
        """Makes ready what the first scrape would have to: it has others wait no longer than a later one."""
        for segment in self.path:
            _pattern(segment)

    def found(self, tree: Tree) -> Iterator[tuple[tuple[str, ...], Labels, Any]]:
        """All values that there are, each with its place in the tree and its labels."""
        at: Any = tree  # most paths are names only
        for depth, segment in enumerate(self.path):
            if _pattern(segment) is not None:
                yield from _walk(at, self.path[depth:], self.path[:depth], self.labels)
                return
            if not isinstance(at, Mapping) or segment not in at:
                return
            at = at[segment]
        yield self.path, self.labels, at


@attrs.frozen
class Metric:
    """A metric, as it is declared."""

    name: str
    """Without the prefix, and without what its kind adds to it (`_total`, `_info`)."""
    kind: Kind
    """What its values are."""
    help: str
    """What it is, in a line."""
    labels: tuple[str, ...]
    """The names of its labels."""
    sources: tuple[Source, ...]
    """Where its values are."""
    states: tuple[str, ...] = ()
    """Of a state: every word that there is."""

    @property
    def shown(self) -> str:
        """Its name as it is asked for: of a histogram, what is before `_bucket`."""
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")
        return f"{PREFIX}{self.name}{suffix}"

    def values(self, tree: Tree) -> Iterator[tuple[Labels, Any]]:
        """All of its values that there are in a tree, each with its labels in their order; those of `*` summed up."""
        sums: dict[Labels, Any] = {}
        for source in self.sources:
            for _, found, value in source.found(tree):
                if value is None:
                    continue
                if self.kind in (Kind.COUNTER, Kind.GAUGE):
                    sums[found] = sums.get(found, 0) + value
                else:
                    sums[found] = value
        yield from sums.items()


@cache
def _pattern(segment: str) -> re.Pattern[str] | None:
    """What names a segment stands for; None: for itself only."""
    if "{" not in segment and "*" not in segment:
        return None
    pieces = re.split(r"(\{[^}]*\}|\*)", segment)
    return re.compile("".join(_piece(each) for each in pieces), re.DOTALL)


def _piece(piece: str) -> str:
    if piece == "*":
        return ".*"
    if piece.startswith("{"):
        name, _, words = piece[1:-1].partition(":")
        if words.startswith("!"):
            return f"(?!(?:{words[1:]})$)(?P<{name}>.+)"
        return f"(?P<{name}>{words or '.+'})"
    return re.escape(piece)


def _walk(
    at: Any, path: tuple[str, ...], place: tuple[str, ...], labels: Labels
) -> Iterator[tuple[tuple[str, ...], Labels, Any]]:
    if not path:
        yield place, labels, at
        return
    if not isinstance(at, Mapping):
        return
    segment, rest = path[0], path[1:]
    pattern = _pattern(segment)
    if pattern is None:
        if segment in at:
            yield from _walk(at[segment], rest, (*place, segment), labels)
        return
    for name, below in at.items():
        match = pattern.fullmatch(name)
        if match is not None:
            yield from _walk(below, rest, (*place, name), (*labels, *match.groupdict().items()))


# How metrics are declared.


def at(path: str, **labels: str) -> Source:
    """A source, by its path with dots, and labels that its values have."""
    return Source(tuple(path.split(".")), tuple(labels.items()))


def by(label: str, head: str, *names: str, **others: str) -> tuple[Source, ...]:
    """Sources side by side, told apart by a label: its values are their names; of `others`, the keys.

    Args:
        label: The label.
        head: The path to all of them.
        names: The last segments of their paths, one or several in a text, with spaces between them.
        others: The same, by the label's value.
    """
    every = {**{name: name for name in " ".join(names).split()}, **others}
    return tuple(at(f"{head}.{name}", **{label: value}) for value, name in every.items())


def counter(name: str, text: str, *sources: Source) -> Metric:
    """A metric that only grows; named without `_total`."""
    return Metric(name, Kind.COUNTER, text, _names(sources), sources)


def gauge(name: str, text: str, *sources: Source) -> Metric:
    """A metric that goes up and down."""
    return Metric(name, Kind.GAUGE, text, _names(sources), sources)


def histogram(name: str, text: str, *sources: Source) -> Metric:
    """A metric that is a distribution."""
    return Metric(name, Kind.HISTOGRAM, text, _names(sources), sources)


def info(name: str, text: str, source: str, *labels: str) -> Metric:
    """A metric that is texts; named without `_info`."""
    return Metric(name, Kind.INFO, text, labels, (at(source),))


def state(name: str, text: str, source: str, label: str, *states: str) -> Metric:
    """A metric that is one word out of some."""
    return Metric(name, Kind.STATE, text, (label,), (at(source),), states)


def _names(sources: tuple[Source, ...]) -> tuple[str, ...]:
    """The names of the labels that values of sources have, which all have the same."""
    found = {_labels_of(source) for source in sources}
    if len(found) != 1:
        raise ValueError(f"sources of one metric have other labels: {found}")
    return found.pop()


def _labels_of(source: Source) -> tuple[str, ...]:
    in_path = (name for segment in source.path for name in re.findall(r"\{(\w+)", segment))
    return (*(name for name, _ in source.labels), *in_path)

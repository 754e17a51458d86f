"""Metrics as text, in the formats of Prometheus and OpenMetrics, some at a time.

How something is written is the library's business. It is asked once for each set of labels: as long as these are the
same, other numbers are put into the text that it gave.

Edge: prometheus_client, /proc.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import attrs
from prometheus_client import ProcessCollector
from prometheus_client.core import Exemplar
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from realmgw.config.steps import Steps
from realmgw.metrics.declared import Kind, Labels, Metric, Tree

OPENMETRICS = "application/openmetrics-text"
"""Whoever names this media type gets it; everybody else, the text format of Prometheus (version 0.0.4)."""
VALUES = 16
"""So many are written at once; of those that have buckets, one: the library takes 30 us for each line."""
_END = b"# EOF\n"
_PROCESS = ProcessCollector(registry=None)
Found = tuple[Labels, Any]
"""A value of a metric, with its labels."""
Name = tuple[str, dict[str, str]]
"""What stands behind a metric's name, and all labels of a number."""
_TYPES = {Kind.STATE: "gauge"}  # OpenMetrics has a type for it, whose label has the metric's own name


@attrs.frozen
class Format:
    """A text format."""

    content_type: str
    """Its media type."""
    encode: Callable[[Any], bytes]
    """Writes down what a `collect` gives."""
    end: bytes
    """What stands at the end of it all."""
    has_exemplars: bool
    """Whether values may have them."""


_encode, _type = choose_encoder("")
_PLAIN = Format(_type, _encode, b"", has_exemplars=False)
_encode, _type = choose_encoder(f"{OPENMETRICS}; version=1.0.0")
_OPEN = Format(_type, _encode, _END, has_exemplars=True)


def chosen(accept: str) -> Format:
    """The format that somebody wants: one of two. What he writes goes no further: the library takes it for well-formed.

    Args:
        accept: The field of his request, whatever is in it.
    """
    return _OPEN if OPENMETRICS in accept.lower() else _PLAIN


@attrs.frozen
class _Collected:
    """What prometheus_client asks for the metrics."""

    family: Family
    """One of them."""

    def collect(self) -> Iterator[Family]:
        """It."""
        yield self.family


@attrs.frozen
class _Template:
    """A metric as it was written, with holes for its numbers."""

    shape: Hashable
    """All that it depends on, but for these."""
    text: str
    """For `%`."""


class Writer:
    """Writes down what is declared, as far as there is something of it in a tree, and how the process is.

    Args:
        metrics: What is declared.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)
        self._templates: dict[tuple[str, int, str], _Template] = {}  # by metric, first value, and format

    def writing(self, tree: Tree, wanted: Format, epoch: float = 0.0) -> Steps[bytes]:
        """Goes through all metrics, `VALUES` of one in each step at most.

        Args:
            tree: What was counted.
            wanted: As what it is wanted.
            epoch: When it was 0 by the clock of the tree's exemplars, in seconds since 1970.
        """
        pieces = [wanted.encode(_PROCESS).removesuffix(_END)]
        yield None
        for metric in self._metrics:
            found = [*metric.values(tree)]
            most = 1 if metric.kind is Kind.HISTOGRAM else VALUES
            for first in range(0, len(found), most):
                pieces.append(self._written(metric, found[first : first + most], first, wanted, epoch))
                yield None
        return b"".join((*pieces, wanted.end))

    def _written(self, metric: Metric, found: Sequence[Found], first: int, wanted: Format, epoch: float) -> bytes:
        """Some values of a metric, and before the first of all what it is."""
        examples = _exemplars(metric, found, epoch) if wanted.has_exemplars else []
        if any(examples):
            return _encoded(metric, found, first, wanted, examples)
        shape = tuple([(labels, _WAYS[metric.kind].shape(metric, value)) for labels, value in found])
        place = metric.name, first, wanted.content_type
        template = self._templates.get(place)
        if template is None or template.shape != shape:
            text = _with_holes(_encoded(metric, found, first, wanted, examples).decode())
            template = self._templates[place] = _Template(shape, text)
        return (template.text % tuple(map(floatToGoString, _numbers(metric, found)))).encode()


def _encoded(
    metric: Metric, found: Sequence[Found], first: int, wanted: Format, examples: Sequence[Exemplar | None]
) -> bytes:
    """Values of a metric as the library writes them; before the first one, what it is."""
    made = Family(
        metric.shown.removesuffix("_total").removesuffix("_info"),
        metric.help,
        _TYPES.get(metric.kind, metric.kind.value),
    )
    names = [name for labels, value in found for name in _WAYS[metric.kind].names(metric, dict(labels), value)]
    for (suffix, labels), number, example in zip(
        names, _numbers(metric, found), examples or [None] * len(names), strict=True
    ):
        made.add_sample(metric.shown + suffix, labels, number, exemplar=example)
    octets = wanted.encode(_Collected(made)).removesuffix(_END)
    return b"".join(line for line in octets.splitlines(keepends=True) if not line.startswith(b"#")) if first else octets


def _with_holes(text: str) -> str:
    """A text without exemplars, whose lines that are no comment end with a number each."""
    lines = text.replace("%", "%%").split("\n")  # within a label, a new line is written otherwise
    return "\n".join(f"{line.rpartition(' ')[0]} %s" if line and not line.startswith("#") else line for line in lines)


def _numbers(metric: Metric, found: Iterable[Found]) -> list[float]:
    """The numbers of a metric, in the order of their names."""
    of = _WAYS[metric.kind].numbers
    return [float(number) for _, value in found for number in of(metric, value)]


def _exemplars(metric: Metric, found: Iterable[Found], epoch: float) -> list[Exemplar | None]:
    """By which trace id a value of each bucket can be looked at; nothing for what has no buckets."""
    if metric.kind is not Kind.HISTOGRAM:
        return []
    made = list[Exemplar | None]()
    for _, value in found:
        examples = value.get("exemplars") or [None] * len(value["counts"])
        made += (*(_exemplar(each, epoch) for each in examples), None, None)  # neither the count nor the sum has one
    return made


def _exemplar(example: tuple[float, str | None, float] | None, epoch: float) -> Exemplar | None:
    value, trace_id, at = example or (0.0, None, 0.0)
    return Exemplar({"trace_id": trace_id}, value, round(epoch + at, 3)) if trace_id else None


# What the kinds of metrics are written as: their numbers, their names' endings with labels, and what these depend on.


def _states(metric: Metric, value: str) -> Iterator[bool]:
    return (each == value for each in metric.states)


def _distributed(metric: Metric, value: Mapping[str, Any]) -> Iterator[Any]:
    del metric
    total = 0
    for total in accumulate(value["counts"]):
        yield total
    yield total
    yield value["sum"]


def _plain(metric: Metric, labels: dict[str, str], value: Any) -> Iterator[Name]:
    del metric, value
    yield "", labels


def _of_info(metric: Metric, labels: dict[str, str], value: Mapping[str, str]) -> Iterator[Name]:
    yield "", {**labels, **dict(zip(metric.labels, _words(metric, value), strict=True))}


def _of_state(metric: Metric, labels: dict[str, str], value: str) -> Iterator[Name]:
    del value
    for each in metric.states:
        yield "", {**labels, metric.labels[0]: each.replace(" ", "_")}


def _of_histogram(metric: Metric, labels: dict[str, str], value: Mapping[str, Any]) -> Iterator[Name]:
    del metric
    for bound in (*map(floatToGoString, value["bounds"]), "+Inf"):
        yield "_bucket", {**labels, "le": bound}
    yield "_count", labels
    yield "_sum", labels


def _words(metric: Metric, value: Mapping[str, str]) -> tuple[str, ...]:
    return tuple([value[name] for name in metric.labels])


def _bounds(metric: Metric, value: Mapping[str, Any]) -> tuple[float, ...]:
    del metric
    return tuple(value["bounds"])


@attrs.frozen
class _Way:
    """How metrics of a kind are written."""

    numbers: Callable[[Metric, Any], Iterable[Any]]
    """The numbers of a value."""
    names: Callable[[Metric, dict[str, str], Any], Iterator[Name]]
    """What each of them is called, in the same order."""
    shape: Callable[[Metric, Any], Hashable] = lambda *_: None
    """What this depends on beside the labels."""


_WAYS = {
    Kind.COUNTER: _Way(lambda _, value: (value,), _plain),
    Kind.GAUGE: _Way(lambda _, value: (value,), _plain),
    Kind.INFO: _Way(lambda *_: (1,), _of_info, _words),
    Kind.STATE: _Way(_states, _of_state),
    Kind.HISTOGRAM: _Way(_distributed, _of_histogram, _bounds),
}

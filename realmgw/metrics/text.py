"""Metrics as text, in the formats of Prometheus and OpenMetrics, some at a time. Edge: prometheus_client, /proc."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
from prometheus_client import ProcessCollector
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from realmgw.config.steps import Steps, Turns
from realmgw.metrics.declared import Kind, Labels, Metric, Tree

OPENMETRICS = "application/openmetrics-text"
"""Whoever names this media type gets it; everybody else, the text format of Prometheus (version 0.0.4)."""
SAMPLES = 25
"""So many are written down between two steps."""
_END = b"# EOF\n"
_PROCESS = ProcessCollector(registry=None)
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


_encode, _type = choose_encoder("")
_PLAIN = Format(_type, _encode, b"")
_encode, _type = choose_encoder(f"{OPENMETRICS}; version=1.0.0")
_OPEN = Format(_type, _encode, _END)


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


def writing(metrics: Iterable[Metric], tree: Tree, wanted: Format) -> Steps[bytes]:
    """Writes down what is declared, as far as there is something of it in a tree, and how the process is; in steps.

    Args:
        metrics: What is declared.
        tree: What was counted.
        wanted: As what it is wanted.
    """
    pieces, turns = [wanted.encode(_PROCESS).removesuffix(_END)], Turns(SAMPLES)
    yield None
    for metric in metrics:
        made = family(metric, tree)
        if made.samples:
            pieces.append(wanted.encode(_Collected(made)).removesuffix(_END))
        if turns.is_over(1 + len(made.samples)):
            yield None
    return b"".join((*pieces, wanted.end))


def family(metric: Metric, tree: Tree) -> Family:
    """One metric with all of its values; it has none where there is nothing of it in the tree."""
    made = Family(
        metric.shown.removesuffix("_total").removesuffix("_info"),
        metric.help,
        _TYPES.get(metric.kind, metric.kind.value),
    )
    for labels, value in metric.values(tree):
        _ADD[metric.kind](made, metric, labels, value)
    return made


def _number(made: Family, metric: Metric, labels: Labels, value: Any) -> None:
    made.add_sample(metric.shown, dict(labels), float(value))


def _info(made: Family, metric: Metric, labels: Labels, value: Mapping[str, str]) -> None:
    del labels
    made.add_sample(metric.shown, {name: value[name] for name in metric.labels}, 1.0)


def _state(made: Family, metric: Metric, labels: Labels, value: str) -> None:
    del labels
    for each in metric.states:
        made.add_sample(metric.shown, {metric.labels[0]: each.replace(" ", "_")}, float(each == value))


def _histogram(made: Family, metric: Metric, labels: Labels, value: Mapping[str, Any]) -> None:
    total, bounds = 0, [*map(floatToGoString, value["bounds"]), "+Inf"]
    for bound, count in zip(bounds, value["counts"], strict=True):
        total += count
        made.add_sample(f"{metric.shown}_bucket", {**dict(labels), "le": bound}, float(total))
    made.add_sample(f"{metric.shown}_count", dict(labels), float(total))
    made.add_sample(f"{metric.shown}_sum", dict(labels), float(value["sum"]))


_ADD: Mapping[Kind, Callable[[Family, Metric, Labels, Any], None]] = {
    Kind.COUNTER: _number,
    Kind.GAUGE: _number,
    Kind.INFO: _info,
    Kind.STATE: _state,
    Kind.HISTOGRAM: _histogram,
}

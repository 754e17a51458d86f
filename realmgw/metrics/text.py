"""Metrics as text, in the formats of Prometheus and OpenMetrics, some at a time. Edge: prometheus_client, /proc."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
from prometheus_client import ProcessCollector
from prometheus_client.core import Exemplar
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from realmgw.config.steps import Steps, Turns
from realmgw.metrics.declared import Kind, Labels, Metric, Tree

OPENMETRICS = "application/openmetrics-text"
"""Whoever names this media type gets it; everybody else, the text format of Prometheus (version 0.0.4)."""
SAMPLES = 10
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


def writing(metrics: Iterable[Metric], tree: Tree, wanted: Format, epoch: float = 0.0) -> Steps[bytes]:
    """Writes down what is declared, as far as there is something of it in a tree, and how the process is; in steps.

    Args:
        metrics: What is declared.
        tree: What was counted.
        wanted: As what it is wanted.
        epoch: When it was 0 by the clock of the tree's exemplars, in seconds since 1970.
    """
    pieces, turns = [wanted.encode(_PROCESS).removesuffix(_END)], Turns(SAMPLES)
    yield None
    for metric in metrics:
        made = family(metric, tree, epoch)
        if made.samples:
            pieces.append(wanted.encode(_Collected(made)).removesuffix(_END))
        if turns.is_over(1 + len(made.samples)):
            yield None
    return b"".join((*pieces, wanted.end))


def family(metric: Metric, tree: Tree, epoch: float) -> Family:
    """One metric with all of its values; it has none where there is nothing of it in the tree.

    An exemplar says by which trace id a value of its bucket can be looked at; only OpenMetrics has them.
    """
    made = Family(
        metric.shown.removesuffix("_total").removesuffix("_info"),
        metric.help,
        _TYPES.get(metric.kind, metric.kind.value),
    )
    for labels, value in metric.values(tree):
        _ADD[metric.kind](made, metric, labels, value, epoch)
    return made


def _number(made: Family, metric: Metric, labels: Labels, value: Any, epoch: float) -> None:
    del epoch
    made.add_sample(metric.shown, dict(labels), float(value))


def _info(made: Family, metric: Metric, labels: Labels, value: Mapping[str, str], epoch: float) -> None:
    del labels, epoch
    made.add_sample(metric.shown, {name: value[name] for name in metric.labels}, 1.0)


def _state(made: Family, metric: Metric, labels: Labels, value: str, epoch: float) -> None:
    del labels, epoch
    for each in metric.states:
        made.add_sample(metric.shown, {metric.labels[0]: each.replace(" ", "_")}, float(each == value))


def _histogram(made: Family, metric: Metric, labels: Labels, value: Mapping[str, Any], epoch: float) -> None:
    total, bounds = 0, [*map(floatToGoString, value["bounds"]), "+Inf"]
    examples: Any = value.get("exemplars") or [None] * len(bounds)
    for bound, count, example in zip(bounds, value["counts"], examples, strict=True):
        total += count
        exemplar = _exemplar(example, epoch)
        made.add_sample(f"{metric.shown}_bucket", {**dict(labels), "le": bound}, float(total), exemplar=exemplar)
    made.add_sample(f"{metric.shown}_count", dict(labels), float(total))
    made.add_sample(f"{metric.shown}_sum", dict(labels), float(value["sum"]))


def _exemplar(example: tuple[float, str | None, float] | None, epoch: float) -> Exemplar | None:
    value, trace_id, at = example or (0.0, None, 0.0)
    return Exemplar({"trace_id": trace_id}, value, round(epoch + at, 3)) if trace_id else None


_ADD: Mapping[Kind, Callable[[Family, Metric, Labels, Any, float], None]] = {
    Kind.COUNTER: _number,
    Kind.GAUGE: _number,
    Kind.INFO: _info,
    Kind.STATE: _state,
    Kind.HISTOGRAM: _histogram,
}

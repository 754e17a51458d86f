"""Tests for `realmgw.metrics.gateway`: what is declared, and what is written of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from twisted.trial.unittest import SynchronousTestCase

from realmgw.metrics.declared import Kind, Metric
from realmgw.metrics.gateway import GATEWAY
from realmgw.metrics.others import NODE, REPOSITORY
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LABELS = {
    "answer", "band", "kind", "operation", "book", "cost", "counter", "direction", "event", "face", "family", "group",
    "hash", "outcome", "python", "rcode", "reason", "result", "severity", "source", "state", "transport", "twisted",
    "type", "version", "what", "whose", "why",
}  # fmt: skip
"""All that metrics are told apart by: of each there are a few, whoever asks or comes. Never a name or an address;
of groups of subscribers, the first hundred."""
EVERY = (*GATEWAY, *NODE, *REPOSITORY)
DOCUMENT = CHECKOUT / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(realmgw_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", re.MULTILINE)


def rows(metrics: Iterable[Metric]) -> Iterator[str]:
    """What the document says of each."""
    for each in metrics:
        kind = {Kind.STATE: "gauge"}.get(each.kind, each.kind.value)
        labels = ", ".join(f"`{label}`" for label in each.labels)
        yield f"| `{each.shown}` | {kind} | {labels} | {each.help} |"


class DeclaredTests(SynchronousTestCase):
    """The lists of all metrics, of a gateway and of the programs beside it."""

    def test_names_are_those_of_prometheus(self) -> None:
        """Lower case, with units in full; what a kind adds is not written; none is there twice."""
        for each in EVERY:
            self.assertRegex(each.name, NAME)
            self.assertNotRegex(each.name, r"_(total|info|bucket|count|sum|ms|bytes)$|milli")
            self.assertRegex(each.help, r"\A[A-Z1][^\n|]+\.\Z")
        for program in (GATEWAY, NODE, REPOSITORY):
            names = [each.shown for each in program]
            self.assertEqual(sorted(names), sorted(set(names)))

    def test_labels_are_bounded(self) -> None:
        """None has what somebody else chooses."""
        self.assertEqual({label for each in EVERY for label in each.labels} - LABELS, set())

    def test_the_document_has_them_all_and_no_other(self) -> None:
        """A row each."""
        written = set(ROW.findall(DOCUMENT.read_text()))
        declared = {ROW.findall(row)[0] for row in rows(EVERY)}
        missing = "\n".join(row for row in rows(EVERY) if ROW.findall(row)[0] not in written)
        self.assertEqual(missing, "", f"docs/metrics.md lacks:\n{missing}")
        self.assertEqual(written - declared, set())

    test_the_document_has_them_all_and_no_other.skip = NO_CHECKOUT  # type: ignore[attr-defined]  # trial's way

"""Tests for `realmgw.metrics.text`, by the parsers of prometheus_client."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Exemplar, Timestamp
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_open
from prometheus_client.parser import text_string_to_metric_families as parsed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.distribution import Distribution
from realmgw.config.steps import finish
from realmgw.metrics.declared import at, counter, gauge, histogram, info, state
from realmgw.metrics.text import VALUES, Format, Writer, chosen

OPEN = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
"""What a Prometheus says that it takes."""
PIECES = ("application/openmetrics-text", "text/plain", ";version=", "1", ".", "q=", ",", "escaping=")
METRICS = (
    counter("asked", 'What "was" asked\\.', at("asked.{face}")),
    gauge("open", "What is open.", at("open")),
    info("build", "What runs.", "build", "version"),
    state("health", "How it is.", "state", "state", "healthy", "last good"),
    histogram("lag_seconds", "How late it was.", at("lag")),
    gauge("nothing", "What is not there.", at("nothing")),
)
TREE: dict[str, Any] = {
    "asked": {"wan": 3, 'l"\\\n': 5},
    "open": True,
    "build": {"version": "0.1.0", "more": "x"},
    "state": "last good",
    "lag": {"bounds": [0.01, 0.5], "counts": [4, 2, 1], "sum": 1.25},
}


def samples(text: bytes, parse: Any = parsed) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All values of a text, by name and labels."""
    found = [each for family in parse(text.decode()) for each in family.samples]
    own = [each for each in found if each.name.startswith("realmgw_")]
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in own}


class WritingTests(SynchronousTestCase):
    """What is written is read again."""

    def test_both_formats_say_the_same(self) -> None:
        """To the parsers of Prometheus' own library; a distribution counts up, and has an end."""
        texts = [finish(Writer(METRICS).writing(TREE, chosen(accept))) for accept in ("", OPEN)]
        plain, opened = samples(texts[0]), samples(texts[1], parsed_open)
        self.assertEqual(plain, opened)
        self.assertEqual(plain, {
            ("realmgw_asked_total", (("face", "wan"),)): 3.0, ("realmgw_asked_total", (("face", 'l"\\\n'),)): 5.0,
            ("realmgw_open", ()): 1.0, ("realmgw_build_info", (("version", "0.1.0"),)): 1.0,
            ("realmgw_health", (("state", "healthy"),)): 0.0, ("realmgw_health", (("state", "last_good"),)): 1.0,
            ("realmgw_lag_seconds_bucket", (("le", "0.01"),)): 4.0,
            ("realmgw_lag_seconds_bucket", (("le", "0.5"),)): 6.0,
            ("realmgw_lag_seconds_bucket", (("le", "+Inf"),)): 7.0,
            ("realmgw_lag_seconds_count", ()): 7.0, ("realmgw_lag_seconds_sum", ()): 1.25,
        })  # fmt: skip
        self.assertTrue(texts[1].endswith(b"\n# EOF\n"))
        self.assertEqual(texts[1].count(b"# EOF"), 1)
        self.assertNotIn(b"nothing", texts[0])
        self.assertIn(b"process_cpu_seconds_total ", texts[0])

    def test_an_exemplar_says_where_to_look(self) -> None:
        """In OpenMetrics alone: the trace id of a value of its bucket, and when that was."""
        found = Distribution((0.1, 0.5))
        for value, number, now in (
            (0.2, 0x2F3, 90.0),
            (0.3, 0x2F4, 100.5),
            (0.01, 0, 101.0),
            (0.02, 0x2F5, 102.0),
            (9.0, 0, 103.0),
        ):
            found.come(value, number, now)
        tree = {"lag": found.counts()}
        text = finish(Writer(METRICS).writing(tree, chosen(OPEN), 1_700_000_000.0)).decode()
        told = {each.labels["le"]: each.exemplar for family in parsed_open(text) for each in family.samples
                if each.name == "realmgw_lag_seconds_bucket"}  # fmt: skip
        self.assertEqual(told["0.1"], Exemplar({"trace_id": "2f5"}, 0.02, Timestamp(1_700_000_102, 0)))
        self.assertEqual(told["0.5"], Exemplar({"trace_id": "2f4"}, 0.3, Timestamp(1_700_000_100, 500_000_000)))
        self.assertIsNone(told["+Inf"])
        plain = finish(Writer(METRICS).writing(tree, chosen(""), 1_700_000_000.0))
        self.assertNotIn(b"trace_id", plain)
        self.assertEqual(samples(plain), samples(text.encode(), parsed_open))

    def test_kinds_are_told(self) -> None:
        """As each format names them."""
        text = finish(Writer(METRICS).writing(TREE, chosen(OPEN))).decode()
        kinds = {each.name: each.type for each in parsed_open(text) if each.name.startswith("realmgw_")}
        self.assertEqual(kinds, {
            "realmgw_asked": "counter", "realmgw_open": "gauge", "realmgw_build": "info", "realmgw_health": "gauge",
            "realmgw_lag_seconds": "histogram",
        })  # fmt: skip

    def test_others_have_their_turn_meanwhile(self) -> None:
        """After each metric, however many there are, and after a few values of one that has many."""
        many = tuple(gauge(f"g{number}", "G.", at("open")) for number in range(100))
        steps = Writer(many).writing(TREE, chosen(""))
        self.assertGreater(sum(1 for _ in steps), 100)
        tree = {**TREE, "asked": {f"face{number}": number for number in range(10 * VALUES)}}
        for accept, parse in (("", samples), (OPEN, lambda text: samples(text, parsed_open))):
            writer, octets = Writer(METRICS), list[int]()
            wanted = chosen(accept)
            for _ in range(2):
                steps = writer.writing(tree, attrs.evolve(wanted, encode=self._measuring(wanted, octets)))
                self.assertGreater(sum(1 for _ in steps), 10)
            self.assertLess(max(octets[1:]), 100 * VALUES)
            told = finish(writer.writing(tree, wanted))
            self.assertEqual(told.count(b"# TYPE realmgw_asked"), 1)
            found = {value for (name, _), value in parse(told).items() if name == "realmgw_asked_total"}
            self.assertEqual(found, {*range(10 * VALUES)})

    def _measuring(self, wanted: Format, octets: list[int]) -> Any:
        def encode(collected: Any) -> bytes:
            octets.append(len(text := wanted.encode(collected)))
            return text

        return encode

    def test_numbers_are_put_into_what_was_written_before(self) -> None:
        """It is the same text as if all of it were written anew, whatever has changed: numbers, labels, texts."""
        trees: tuple[dict[str, Any], ...] = (
            {**TREE, "asked": {"100 %s": 1, "wan": 2}}, {**TREE, "asked": {"100 %s": 7, "wan": 1e21}},
            {**TREE, "asked": {}, "state": "healthy"}, {**TREE, "build": {"version": "0.2.0"}, "open": float("nan")},
            {**TREE, "lag": {"bounds": [0.01, 0.5], "counts": [5, 2, 9], "sum": 9.5}},
            {**TREE, "lag": {"bounds": [0.02, 0.5], "counts": [5, 2, 9], "sum": 9.5}},
            {**TREE, "lag": {**TREE["lag"], "exemplars": [(0.003, "2f3", 9.0), None, None]}}, TREE,
        )  # fmt: skip
        for accept in ("", OPEN):
            writer = Writer(METRICS)
            for tree in trees:
                first, again = (finish(each.writing(tree, chosen(accept))) for each in (writer, Writer(METRICS)))
                self.assertEqual(
                    *([line for line in text.split(b"\n") if b"realmgw_" in line] for text in (first, again))
                )

    def test_the_library_is_asked_once_for_each_set_of_labels(self) -> None:
        """Not for other numbers; so what is scraped again and again costs no more than these."""
        formats = [attrs.evolve(chosen(accept), encode=self._counting(chosen(accept))) for accept in ("", OPEN)]
        writer, self._encoded = Writer(METRICS), 0
        for wanted in formats:
            finish(writer.writing(TREE, wanted))
        before = self._encoded
        for number, wanted in enumerate(formats * 3):
            finish(writer.writing({**TREE, "open": number}, wanted))
        self.assertEqual(self._encoded, before + 6)  # the process's own figures

    def _counting(self, wanted: Format) -> Any:
        def encode(collected: Any) -> bytes:
            self._encoded += 1
            return wanted.encode(collected)

        return encode

    def test_the_format_is_what_is_wanted(self) -> None:
        """By its media type; who says nothing of it, or nonsense, gets the plain one."""
        opened, plain = "application/openmetrics-text", "text/plain"
        for accept, kind in (
            (OPEN, opened), (f"{opened}; version=x.y", opened), (opened.upper(), opened),
            ("", plain), ("*/*", plain), ("text/html", plain), (";;==,,", plain),
        ):  # fmt: skip
            self.assertTrue(chosen(accept).content_type.startswith(kind), (accept, chosen(accept).content_type))

    @given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
    def test_nothing_that_somebody_wants_is_a_fault(self, accept: str) -> None:
        """Whatever it is, there is a format for it, and it can be read."""
        text = finish(Writer(METRICS).writing(TREE, chosen(accept)))
        self.assertIn(b"realmgw_open 1.0", text)

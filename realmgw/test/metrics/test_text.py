"""Tests for `realmgw.metrics.text`, by the parsers of prometheus_client."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Exemplar, Timestamp
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_open
from prometheus_client.parser import text_string_to_metric_families as parsed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.distribution import Distribution
from realmgw.config.steps import finish
from realmgw.metrics.declared import at, counter, gauge, histogram, info, state
from realmgw.metrics.text import SAMPLES, chosen, writing

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
        texts = [finish(writing(METRICS, TREE, chosen(accept))) for accept in ("", OPEN)]
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
        text = finish(writing(METRICS, tree, chosen(OPEN), 1_700_000_000.0)).decode()
        told = {each.labels["le"]: each.exemplar for family in parsed_open(text) for each in family.samples
                if each.name == "realmgw_lag_seconds_bucket"}  # fmt: skip
        self.assertEqual(told["0.1"], Exemplar({"trace_id": "2f5"}, 0.02, Timestamp(1_700_000_102, 0)))
        self.assertEqual(told["0.5"], Exemplar({"trace_id": "2f4"}, 0.3, Timestamp(1_700_000_100, 500_000_000)))
        self.assertIsNone(told["+Inf"])
        plain = finish(writing(METRICS, tree, chosen(""), 1_700_000_000.0))
        self.assertNotIn(b"trace_id", plain)
        self.assertEqual(samples(plain), samples(text.encode(), parsed_open))

    def test_kinds_are_told(self) -> None:
        """As each format names them."""
        text = finish(writing(METRICS, TREE, chosen(OPEN))).decode()
        kinds = {each.name: each.type for each in parsed_open(text) if each.name.startswith("realmgw_")}
        self.assertEqual(kinds, {
            "realmgw_asked": "counter", "realmgw_open": "gauge", "realmgw_build": "info", "realmgw_health": "gauge",
            "realmgw_lag_seconds": "histogram",
        })  # fmt: skip

    def test_others_have_their_turn_meanwhile(self) -> None:
        """After a few values each time, however many there are."""
        many = tuple(gauge(f"g{number}", "G.", at("open")) for number in range(10 * SAMPLES))
        steps = writing(many, TREE, chosen(""))
        self.assertGreaterEqual(sum(1 for _ in steps), 15)

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
        text = finish(writing(METRICS, TREE, chosen(accept)))
        self.assertIn(b"realmgw_open 1.0", text)

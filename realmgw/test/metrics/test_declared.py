"""Tests for `realmgw.metrics.declared`: how values are found in a tree."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.metrics.declared import Kind, Metric, at, by, counter, gauge, info, state
from realmgw.test.metrics.telling import covered, leaves

TREE: dict[str, Any] = {
    "dns": {
        "wan": {"queries": 3, "tcp_open": 1, "tcp_idle": 4},
        "lan": {"queries": 5, "tcp_open": 0, "tcp_idle": 0},
        "updates": {"queries": 7, "last": None},
        "resolver 192.0.2.1:53": {"answers": 2},
        "resolver [2001:db8::1]:53": {"answers": 9},
    },
    "failing": True,
}


class SourceTests(SynchronousTestCase):
    """Where values are."""

    def values(self, metric: Metric) -> dict[tuple[str, ...], Any]:
        """By their labels."""
        return {tuple(value for _, value in labels): value for labels, value in metric.values(TREE)}

    def test_a_label_stands_for_all_names_of_its_form(self) -> None:
        """Or for some of them, or for all but some, or for a part of a name."""
        for path, found in (
            ("dns.{face}.queries", {("wan",): 3, ("lan",): 5, ("updates",): 7}),
            ("dns.{face:wan|lan}.queries", {("wan",): 3, ("lan",): 5}),
            ("dns.{face:!wan|lan}.queries", {("updates",): 7}),
            ("dns.{face:wa|la}.queries", {}),
            ("dns.wan.tcp_{what}", {("open",): 1, ("idle",): 4}),
            ("dns.{face}.tcp_{what:open}", {("wan", "open"): 1, ("lan", "open"): 0}),
        ):
            self.assertEqual(self.values(gauge("x", "X.", at(path))), found, path)

    def test_what_is_named_after_an_address_is_summed_up(self) -> None:
        """No label has the address."""
        self.assertEqual(self.values(counter("x", "X.", at("dns.resolver *.answers"))), {(): 11})

    def test_what_is_not_there_has_no_value(self) -> None:
        """Nor what is not known, or lies below a number."""
        for path in ("nothing", "dns.updates.last", "dns.wan.queries.more", "failing.x"):
            self.assertEqual(self.values(gauge("x", "X.", at(path))), {}, path)

    def test_sources_side_by_side_have_a_label(self) -> None:
        """Its values are their names, or others."""
        found = self.values(counter("x", "X.", *by("event", "dns.wan", "tcp_open", idle="tcp_idle")))
        self.assertEqual(found, {("tcp_open",): 1, ("idle",): 4})

    def test_all_values_of_a_metric_have_the_same_labels(self) -> None:
        """Or it is none."""
        with self.assertRaisesRegex(ValueError, "other labels"):
            counter("x", "X.", at("a.{b}"), at("c"))

    def test_what_is_covered_is_known(self) -> None:
        """With everything below it."""
        sources = (at("dns.{face:wan|lan}"), at("failing"))
        places = {(*place, name) for place in (("dns", "wan"), ("dns", "lan")) for name in TREE["dns"]["wan"]}
        self.assertEqual(covered(sources, TREE), {*places, ("failing",)})
        self.assertEqual(len(dict(leaves(TREE))), 11)

    def test_names_are_as_they_are_asked_for(self) -> None:
        """Each kind adds its own."""
        there = at("a")
        metrics = (
            counter("a", "A.", there),
            gauge("a", "A.", there),
            info("a", "A.", "a", "b"),
            state("a", "A.", "a", "b"),
        )
        shown = [each.shown for each in metrics]
        self.assertEqual(shown, ["realmgw_a_total", "realmgw_a", "realmgw_a_info", "realmgw_a"])
        self.assertEqual(state("a", "A.", "a", "b", "c").kind, Kind.STATE)

"""The dashboard and the alerts in `conf/`: every metric, label and value in them is one that there is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from prometheus_client import ProcessCollector
from ruamel.yaml import YAML
from twisted.trial.unittest import SynchronousTestCase

from realmgw.metrics.declared import Kind, Metric
from realmgw.metrics.gateway import GATEWAY
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT

RULES = CHECKOUT / "conf" / "prometheus" / "realmgw.rules.yaml"
TRIED = CHECKOUT / "conf" / "prometheus" / "realmgw.rules.test.yaml"
DASHBOARD = CHECKOUT / "conf" / "grafana" / "realmgw.json"
ADDED = {"instance", "job", "le"}
"""Labels that Prometheus adds, and that of bounds."""
SELECTOR = re.compile(r"\b((?:realmgw|process)_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
BY = re.compile(r"\bby \(([^)]*)\)")


def names_of(metric: Metric) -> list[str]:
    """What can be asked for of a metric."""
    if metric.kind is Kind.HISTOGRAM:
        return [f"{metric.shown}_{part}" for part in ("bucket", "count", "sum")]
    return [metric.shown]


KNOWN = {name: metric for metric in GATEWAY for name in names_of(metric)}
OTHERS = {"up", *(each.name for family in ProcessCollector(registry=None).collect() for each in family.samples)}


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    [group] = YAML(typ="safe").load(RULES.read_text())["groups"]
    return list(group["rules"])


def tries() -> list[dict[str, Any]]:
    """What promtool tries of the alerts."""
    return list(YAML(typ="safe").load(TRIED.read_text())["tests"])


def panels() -> list[dict[str, Any]]:
    """What the dashboard shows."""
    return [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


def expressions() -> Iterator[str]:
    """All that is asked for in either, and what alerts are tried with."""
    yield from (each["expr"] for each in rules())
    yield from (each["series"] for case in tries() for each in case["input_series"])
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (
        each["definition"] for each in json.loads(DASHBOARD.read_text())["templating"]["list"] if "definition" in each
    )


def values_of(metric: Metric, label: str) -> set[str] | None:
    """All values of a label; None where they are found in the tree only."""
    if metric.states:
        return {each.replace(" ", "_") for each in metric.states}
    found = [dict(source.labels).get(label) for source in metric.sources]
    return None if None in found else {each for each in found if each is not None}


def wrong(expression: str) -> Iterator[str]:
    """What in an expression there is not."""
    for name, matchers in SELECTOR.findall(expression):
        metric = KNOWN.get(name)
        if metric is None:
            yield from () if name in OTHERS else (name,)
            continue
        for label, how, text in MATCHER.findall(matchers):
            if label in ADDED:
                continue
            values = values_of(metric, label) if label in metric.labels else set()
            for value in text.split("|") if "~" in how else [text]:
                if values is not None and not any(re.fullmatch(value, each) for each in values):
                    yield f"{name}{{{label}{how}{value}}}"
    labels = {label for name, _ in SELECTOR.findall(expression) if name in KNOWN for label in KNOWN[name].labels}
    for listed in BY.findall(expression):
        yield from {each.strip() for each in listed.split(",")} - labels - ADDED


class ConfTests(SynchronousTestCase):
    """All of them."""

    skip = NO_CHECKOUT

    def test_what_they_ask_for_is_there(self) -> None:
        """Metrics, labels, and values of labels as far as they are declared."""
        every = list(expressions())
        self.assertGreater(len(every), 60)
        self.assertEqual([(expression, list(wrong(expression))) for expression in every if list(wrong(expression))], [])

    def test_what_is_not_there_is_seen(self) -> None:
        """A metric, a label, a value, or a label that is summed by."""
        for expression, found in (
            ("rate(realmgw_dns_query_total[5m])", "realmgw_dns_query_total"),
            ('realmgw_claims_total{evnt="made"}', "realmgw_claims_total{evnt=made}"),
            ('realmgw_claims_total{event=~"made|maid"}', "realmgw_claims_total{event=~maid}"),
            ('realmgw_health{state="last good"}', "realmgw_health{state=last good}"),
            ("sum by (instance, why) (realmgw_hosts)", "why"),
            ("process_resident_memory", "process_resident_memory"),
            ("realmgw_reactor_lag_seconds", "realmgw_reactor_lag_seconds"),
        ):
            self.assertEqual(list(wrong(expression)), [found])

    def test_alerts_say_what_to_do(self) -> None:
        """Each with a name of its own, how bad it is, and of which gateway it is."""
        names = [each["alert"] for each in rules()]
        self.assertEqual(sorted(names), sorted(set(names)))
        for each in rules():
            self.assertRegex(each["alert"], r"\ARealmgw[A-Z]\w+\Z")
            self.assertIn(each["labels"]["severity"], ("critical", "warning", "info"))
            self.assertIn("{{ $labels.instance }}", each["annotations"]["summary"])

    def test_the_dashboard_is_whole(self) -> None:
        """No two panels are one, or cover each other; each asks the data source that was chosen, for one gateway."""
        every = json.loads(DASHBOARD.read_text())["panels"]
        self.assertEqual(len({each["id"] for each in every}), len(every))
        taken = set[tuple[int, int]]()
        for each in every:
            at = each["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            self.assertFalse(taken & cells, each["title"])
            taken |= cells
            for target in each.get("targets", ()):
                self.assertEqual(target["datasource"]["uid"], "${datasource}")
                self.assertIn('instance=~"$instance"', target["expr"])

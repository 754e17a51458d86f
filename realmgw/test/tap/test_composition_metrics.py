"""Every counter reaches a metric: what is told by `realmgw status` alone can not be watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw import config, tap
from realmgw.config.steps import finish
from realmgw.datapath.netlink.counters import Count, QueueFigures
from realmgw.metrics.declared import Tree
from realmgw.metrics.gateway import GATEWAY
from realmgw.tap.composition import compose
from realmgw.tap.plugin import read
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.metrics.telling import UNTOLD, covered, leaves
from realmgw.test.tap.test_composition_counters import PORTAL, reachable

EVERYTHING = f"""{PORTAL}
repository: {{url: 'http://192.0.2.9', cache: false}}
synproxy: {{proxies: [192.0.2.7, 192.0.2.8]}}
"""
FORWARD = (
    "dns: {wan: {listen: [192.0.2.1]}, lan: {listen: [192.168.0.1]},"
    " forward: {resolvers: [203.0.113.53, '2001:db8::53'], process: own}}"
)
KERNEL: dict[str, Any] = {
    "kernel": {"presented": attrs.asdict(Count(3, 180)), "forbidden": attrs.asdict(Count(4, 240))},
    "queue": {each.name: 1 for each in attrs.fields(QueueFigures) if each.name != "owner"},
    "conntrack": {"entries": 1, "most": 2},
}
"""What the kernel tells, as `realmgw.tap.parts.Packets.figures` has it."""


class MetricsTests(SynchronousTestCase):
    """A gateway with everything that counts, which is not started."""

    def setUp(self) -> None:
        """Makes it."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        main = folder / "realmgw.yaml"
        text = MINIMAL.replace("dns: {wan: {listen: [192.0.2.1]}}", FORWARD)
        text = text.replace("pools: {", "pools: {service: [192.0.2.9], ") + "webproxy: {enabled: true}\n"
        main.write_text(f"{text}state: {folder}\n{EVERYTHING}")
        self.gateway = compose(read(main, config.load(main)), tap.Options())
        [self.counting] = {each for each in reachable(self.gateway) if type(each).__name__ == "Counting"}
        self.counting._kernel = lambda: succeed(KERNEL)  # type: ignore[attr-defined]  # a Counting

    def tree(self) -> Tree:
        """All that is told to whoever asks for metrics."""
        [present] = {each for each in reachable(self.gateway) if type(each).__name__ == "Present"}
        present._drive = lambda steps: succeed(finish(steps))  # type: ignore[attr-defined]  # a Present
        tree: Tree = self.successResultOf(present.read())  # type: ignore[attr-defined]  # a Present
        return tree

    def test_every_counter_reaches_a_metric(self) -> None:
        """Or it is said why not; and nothing is excused that is not there."""
        tree = self.tree()
        told = covered((source for metric in GATEWAY for source in metric.sources), tree)
        excused = covered(UNTOLD, tree)
        self.assertEqual([".".join(place) for place, _ in leaves(tree) if place not in told | excused], [])
        self.assertEqual([each for each in UNTOLD if not covered([each], tree)], [])
        self.assertEqual(told & excused, set())

    def test_every_metric_has_a_counter(self) -> None:
        """But for what there is later only: others' answers, a reload, flows that have ended, links, sockets, names."""
        tree = self.tree()
        later = {"reload_last", "dns_messages", "flow_group_flows", "flow_group_octets"}
        seen = {each.name for each in GATEWAY if list(each.values(tree))}
        without = {each.name for each in GATEWAY if not each.name.startswith(("synproxy_", "forwarder_listed"))}
        self.assertEqual(without - seen, later)

    def test_no_two_values_are_one(self) -> None:
        """Each has labels of its own."""
        tree = self.tree()
        for metric in GATEWAY:
            labels = [labels for labels, _ in metric.values(tree)]
            self.assertEqual(len(labels), len(set(labels)), metric.name)
            for each in labels:
                self.assertEqual(tuple(name for name, _ in each), () if metric.states or not each else metric.labels)

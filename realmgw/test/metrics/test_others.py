"""Tests for `realmgw.metrics.others`: the programs beside the gateway tell everything that they count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Metrics
from realmgw.config.steps import finish
from realmgw.metrics.declared import Metric, Tree
from realmgw.metrics.others import NODE, REPOSITORY
from realmgw.metrics.service import MetricsService
from realmgw.metrics.text import Writer, chosen
from realmgw.repository import tap as repository
from realmgw.synnode import tap as node
from realmgw.synnode.insight import Insight
from realmgw.test.metrics import promtool
from realmgw.test.metrics.telling import covered, leaves
from realmgw.test.synnode.test_files import LEAST
from realmgw.test.tap.test_composition_counters import reachable


class OthersTests(SynchronousTestCase):
    """Programs that are made, and not started."""

    def service(self, program: object) -> Any:
        """What tells their metrics."""
        [found] = {each for each in reachable(program) if isinstance(each, MetricsService)}
        return found

    def assert_told(self, metrics: tuple[Metric, ...], tree: Tree, later: set[str]) -> None:
        """Every number is a metric, and every metric has a number, but for those that come later."""
        told = covered((source for metric in metrics for source in metric.sources), tree)
        self.assertEqual([".".join(place) for place, _ in leaves(tree) if place not in told], [])
        self.assertEqual({each.name for each in metrics if not list(each.values(tree))}, later)

    def node(self) -> Tree:
        """What a node has counted."""
        path = Path(self.mktemp())
        path.write_text(f"{LEAST}control: {{socket: sock}}\nmetrics: {{listen: ['127.0.0.1:9101']}}\n")
        options = node.Options()
        options.parseOptions(["--config", str(path)])
        service = self.service(node.make_service(options))
        insight = next(each for each in reachable(service) if isinstance(each, Insight))
        insight._server.counts.refused["unreadable"] += 1
        self.patch(node, "deferToThreadPool", lambda *_: succeed({"presented": 3}))
        return self.successResultOf(service._read())

    def repository(self) -> Tree:
        """What a repository has counted."""
        options = repository.Options()
        options.parseOptions(
            ["--database", str(Path(self.mktemp()) / "db"), "--listen", "/run/x", "--metrics", "127.0.0.1"]
        )
        service = self.service(repository.make_service(options))
        documents = next(each for each in reachable(service) if type(each).__name__ == "StoreService")
        documents.read = lambda function: succeed({"subscribers": 2, "policies": 0})  # type: ignore[attr-defined]  # it is one
        return self.successResultOf(service._read())

    def test_nodes(self) -> None:
        """What gateways said, what the kernel took, and how the table is."""
        self.assert_told(NODE, self.node(), set())

    def test_repositories(self) -> None:
        """Connections by what became of them, and documents by kind."""
        self.assert_told(REPOSITORY, self.repository(), set())

    def test_promtool_has_nothing_to_say(self) -> None:
        """Of how they are named and told."""
        if reason := promtool.missing():
            self.skipTest(reason)
        for metrics, tree in ((NODE, self.node()), (REPOSITORY, self.repository())):
            self.assertEqual(promtool.found_in(finish(Writer(metrics).writing(tree, chosen("")))), (0, ""))

    def test_what_a_repository_is_not_told_together(self) -> None:
        """Who may ask, and not where; or where it listens itself."""
        for arguments, said in (
            (["--metrics-clients", "192.0.2.1"], "write --metrics"),
            (["--metrics", "/run/x", "--listen", "/run/x"], "the repository itself listens there"),
            (["--metrics", "x"], "'x'"),
        ):
            options = repository.Options()
            options.parseOptions(arguments)
            with self.assertRaises(SystemExit) as caught:
                repository.make_service(options)
            self.assertIn(said, str(caught.exception))

    def test_nothing_listens_by_itself(self) -> None:
        """Neither of them."""
        options = repository.Options()
        options.parseOptions([])
        self.assertEqual(self.service(repository.make_service(options))._settings, Metrics())

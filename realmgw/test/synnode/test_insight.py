"""Tests for `realmgw.synnode.insight`, and of how it is shown."""

from __future__ import annotations

from unittest.mock import Mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.watch.keeper import Findings
from realmgw.datapath.watch.placed import DOWN, UP, Deviation, Kind, Thing
from realmgw.synnode import shown
from realmgw.synnode.entries import Entries
from realmgw.synnode.insight import Insight
from realmgw.synnode.server import ControlServer
from realmgw.synnode.service import TableService
from realmgw.test.synnode.keys import GATEWAY, HOST, HOST6, PLAIN, key, mod, packed
from realmgw.test.synnode.test_service import RecordingKernel
from realmgw.test.synnode.test_settings import SETTINGS
from realmgw.testing import MemoryListener, MemoryWorker


class InsightTests(SynchronousTestCase):
    """What a node says of itself."""

    def setUp(self) -> None:
        """A node with three entries, one of them for nobody that it guards."""
        self.entries = Entries(100, SETTINGS.guards)
        for where in (key(HOST, 80, 6), key(HOST6), key("192.0.2.1")):
            self.entries.apply(GATEWAY, mod(where, PLAIN))
        self.table = TableService(
            RecordingKernel(), self.entries, clock=Clock(), worker=MemoryWorker(), listener=MemoryListener()
        )
        self.server = ControlServer(self.entries, bool, bool, 1, Clock())
        self.insight = Insight(SETTINGS, self.entries, self.table, self.server, lambda: {"written": 1})

    def test_says_what_is_wrong(self) -> None:
        """What keeps clients away is degraded; entries of no effect are told."""
        self.assertEqual(self.insight.status({})["state"], "healthy")
        link = Thing(Kind.INTERFACE, "wan0", UP, needed=True)
        self.table.findings = Findings(broken=("wan0 is down",), things=(link,), left=(Deviation(link, DOWN),))
        answer = self.insight.status({"syns": 7})
        self.assertEqual((answer["state"], answer["broken"]), ("degraded", ["wan0 is down"]))
        self.assertEqual(answer["doubtful"], [
            "1 entries are of addresses that are not `guarded` here: they have no effect",
        ])  # fmt: skip
        lines = list(shown.status(answer))
        for line in ("  broken: wan0 is down", "interface wan0: down", "kernel.syns: 7", "connected: nobody"):
            self.assertIn(line, lines)

    def test_what_it_says_does_not_cost_more_where_there_are_more_entries(self) -> None:
        """Gateways wait meanwhile."""
        entries = Mock(wraps=self.entries, idle=7, varieties=1)
        entries.__len__ = lambda _: 262_144
        entries.__iter__ = Mock(side_effect=AssertionError("goes through all entries"))
        insight = Insight(SETTINGS, entries, self.table, self.server, dict)
        self.assertIn("7 entries are of addresses that are not `guarded`", insight.status({})["doubtful"][0])
        self.assertEqual((insight.metrics({})["now"]["entries"], entries.method_calls), (262_144, []))

    def test_tells_every_counter(self) -> None:
        """Of the server, of the table, of the log and of the kernel."""
        self.server.refuse("sack")
        self.server.counts.connections["half"] += 1
        lines = list(shown.counters(self.insight.counters({"syn_received": 5})))
        for line in (
            "requests.flush: 0", "refused.sack: 1", "connections.half: 1", "table.transactions: 0", "log.written: 1",
            "kernel.syn_received: 5",
        ):  # fmt: skip
            self.assertIn(line, lines)
        self.assertEqual({*vars(self.server.counts)}, {"requests", "refused", "connections"})

    def test_lists_entries(self) -> None:
        """As the control protocol has them."""
        lines = list(shown.entries(self.insight.entries()))
        self.assertEqual(lines[:2], [
            f"{HOST} tcp 80: mss 536, no sack, window scale 1; of {GATEWAY}",
            f"{HOST6} any any: mss 536, no sack, window scale 1; of {GATEWAY}",
        ])  # fmt: skip
        entries = Entries(1)
        entries.adopt({(packed(HOST), 80): PLAIN})
        insight = Insight(SETTINGS, entries, self.table, self.server, dict)
        self.assertEqual([line.partition("; ")[2] for line in shown.entries(insight.entries())], ["of an earlier run"])

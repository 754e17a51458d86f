"""What the log is told of the gateway as a whole. Edge: the log, the clock."""

from __future__ import annotations

from time import monotonic

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from realmgw.control import lines
from realmgw.control.gateway import Insight
from realmgw.control.running import unsupported_of
from realmgw.datapath.machine import capabilities
from realmgw.datapath.service import DatapathService

_log = Logger()


class LifecycleLog:
    """What the log is told of the gateway as a whole."""

    def __init__(self, insight: Insight, datapath: DatapathService, begun: float) -> None:
        self.running = insight.running
        self.health = insight.health
        self.datapath = datapath
        self._insight = insight
        self._begun = begun

    def started(self) -> None:
        """Is called when all services run."""
        settings, directory = self.running.settings, self.running.registry.directory
        assert self.datapath.applied is not None
        found = self.datapath.applied.found
        for note in (*unsupported_of(settings, directory), *capabilities.doubts(found, settings)):
            _log.warn("{note}", note=note)
        line = lines.started(settings, directory, found, monotonic() - self._begun)
        _log.info("{started}", started=line)

    def stopped(self) -> None:
        """Is called when all services have stopped again."""
        line = lines.stopped(self.running.settings, monotonic() - self._begun, purged=self.datapath.purged)
        _log.info("{stopped}", stopped=line)

    def summary(self) -> Deferred[str | None]:
        """What has happened since this was called last."""
        insight = self._insight
        said: Deferred[str | None] = insight.counting.read().addCallback(
            lambda counts: lines.summary(insight.counting.since(counts), insight.allocator.pool.load)
        )
        return said

"""What a running node says of itself, as values for programs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from itertools import islice
from typing import Any

import attrs

from realmgw import __version__
from realmgw.synnode.entries import Entries
from realmgw.synnode.server import ControlServer
from realmgw.synnode.service import TableService
from realmgw.synnode.settings import NodeSettings

MOST = 100_000
"""So many entries are told at most."""
Figures = Mapping[str, object]
"""What the kernel has counted."""
Answer = dict[str, Any]


@attrs.frozen(eq=False)
class Insight:
    """Answers what operators ask."""

    _settings: NodeSettings
    """The node's."""
    _entries: Entries
    """Its table."""
    _table: TableService
    """That in the kernel."""
    _server: ControlServer
    """Who is connected."""
    _logged: Callable[[], Mapping[str, int]]
    """Tells what became of events of the log."""

    def status(self, figures: Figures) -> Answer:
        """How the node is, what stands outside of it, and what was counted."""
        findings, entries = self._table.findings, self._entries
        return {
            "version": __version__,
            "table": self._settings.table,
            "state": "degraded" if findings.broken else "healthy",
            "broken": list(findings.broken),
            "doubtful": [*findings.doubtful, *self._unguarded()],
            "entries": len(entries),
            "most_entries": self._settings.entries,
            "varieties": entries.varieties,
            "peers": self._server.peers,
            "placed": list(findings.placed()),
            "counts": self.counters(figures),
        }

    def counters(self, figures: Figures) -> Answer:
        """What was counted since the start; by the kernel since the table was placed, by its SYN proxy ever since."""
        counts = self._server.counts
        return {
            "requests": dict(counts.requests),
            "refused": dict(counts.refused),
            "connections": dict(counts.connections),
            "table": self._table.counts(),
            "log": dict(self._logged()),
            "kernel": dict(figures),
        }

    def metrics(self, figures: Figures) -> Answer:
        """The same counters, and how the node is, in numbers."""
        findings, entries = self._table.findings, self._entries
        now = {
            "state": "degraded" if findings.broken else "healthy",
            "entries": len(entries),
            "most_entries": self._settings.entries,
            "varieties": entries.varieties,
            "peers": len(self._server.peers),
            "placed": findings.counts(),
        }
        return {**self.counters(figures), "now": now}

    def entries(self) -> list[Answer]:
        """The entries, as the control protocol has them; `MOST` at most."""
        return [
            {
                "client": each.client, "key": str(each.key), "address": str(ip_address(each.key.address)),
                "port": each.key.port, "protocol": each.key.protocol, "mss": each.options.mss,
                "sack": each.options.sack, "window_scale": each.options.window_scale,
            }
            for each in islice(self._entries, MOST)
        ]  # fmt: skip

    def _unguarded(self) -> Iterator[str]:
        if count := self._entries.idle:
            yield f"{count} entries are of addresses that are not `guarded` here: they have no effect"

"""How the gateway is now, in numbers, for monitoring systems: beside what its parts have counted.

Reputations are gone through a few at a time, at most once in `FRESH` seconds: meanwhile the former result is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.requestors import Requestor
from realmgw.config.distribution import SHARE_BOUNDS, Distribution
from realmgw.config.settings import Settings
from realmgw.config.steps import Steps
from realmgw.config.writing import digesting
from realmgw.control.gateway import Insight
from realmgw.control.health import Severity
from realmgw.control.pool import PoolView
from realmgw.datapath.watch.keeper import Findings

FRESH = 60.0  # seconds
"""So old may be what is told of reputations, before they are looked at again."""
TURN = 50
"""So many of them are looked at between two steps."""
DIGITS = 16
"""So much of the configuration's digest is told."""
IN_STEP = "in step"
"""The state of a SYN proxy that knows all."""

Drive = Callable[[Steps[Any]], Any]
"""Goes through steps beside everything else; a Deferred of what they return."""


class Present:
    """Tells how the gateway is, once it was told what to look into.

    Args:
        proxies: How each SYN proxy is.
        wall: The time of day, in seconds since 1970.
        build: What runs, and since when, as trees have it.
    """

    _insight: Insight
    _findings: Callable[[], Findings]
    _drive: Drive

    def __init__(
        self,
        proxies: Callable[[], Iterable[Mapping[str, object]]],
        wall: Callable[[], float],
        build: Mapping[str, object],
    ) -> None:
        self._proxies = proxies
        self._wall = wall
        self._build = build
        self._since = wall()
        self._digested: Settings | None = None
        self._hash = ""
        self._due = 0.0
        self._reputations: dict[str, object] = {}

    def look_into(self, insight: Insight, findings: Callable[[], Findings], drive: Drive) -> None:
        """From now on, it tells of these.

        Args:
            insight: Into the parts of the gateway.
            findings: Gives what the last look at the kernel has found.
            drive: Goes through steps.
        """
        self._insight = insight
        self._findings = findings
        self._drive = drive

    def configure(self) -> None:
        """Other settings are in force since now."""
        self._since = self._wall()

    def read(self) -> Any:
        """All counters by part, and how the gateway is; a Deferred."""
        insight = self._insight
        done = insight.counting.read_beside(self._drive)
        if insight.running.settings is not self._digested:
            done.addCallback(lambda tree: self._digest(insight.running.settings).addCallback(lambda _: tree))
        if insight.monotonic() >= self._due:
            self._due = insight.monotonic() + FRESH
            self._drive(self._distributed()).addCallback(self._reputations.update)
        return done.addCallback(lambda tree: {**tree, "now": self._now()})

    def _digest(self, settings: Settings) -> Any:
        return self._drive(digesting(settings)).addCallback(self._keep, settings)

    def _keep(self, digest: str, settings: Settings) -> None:
        self._digested, self._hash = settings, digest[:DIGITS]

    def _distributed(self) -> Steps[dict[str, object]]:
        """How the reputations of those who ask lie between 0 and 1."""
        known = self._insight.reputations
        resolvers, clients = Distribution(SHARE_BOUNDS), Distribution(SHARE_BOUNDS)
        yield from _gone_through(known.groups, resolvers, self._insight.monotonic())
        yield from _gone_through(known.requestors, clients, self._insight.monotonic())
        return {"resolver": resolvers.counts(), "client": clients.counts()}

    def _now(self) -> dict[str, object]:
        insight = self._insight
        directory, troubles = (
            insight.running.registry.directory,
            Counter(each.severity for each in insight.health.troubles),
        )
        return {
            **self._build,
            "config": {"hash": self._hash},
            "config_since": round(self._since, 3),
            "hosts": len(directory.hosts),
            "services": len(directory.services),
            "state": insight.health.state.value,
            "troubles": {severity.name.lower(): troubles[severity] for severity in Severity},
            "pool": self._pool(),
            "placed": self._findings().counts(),
            "synproxies": self._in_step(),
            "reputation": self._reputations,
        }

    def _pool(self) -> dict[str, object]:
        insight = self._insight
        keepers = insight.allocator.ledger.keepers.present(insight.monotonic())
        counts = PoolView(insight.running, insight.allocator, insight.monotonic).counts()
        return {**counts, "keepers": sum(1 for _ in keepers)}

    def _in_step(self) -> dict[str, int]:
        states = [each["state"] == IN_STEP for each in self._proxies()]
        return {"in_step": sum(states), "behind": len(states) - sum(states)} if states else {}


def _gone_through(known: Iterable[Group | Requestor], found: Distribution, now: float) -> Steps[None]:
    for count, each in enumerate(known, 1):
        found.add(each.reputation.value(now))
        if count % TURN == 0:
            yield None

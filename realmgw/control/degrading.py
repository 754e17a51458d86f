"""What follows from the kernel's side for the rest: what is wrong is told, and claims it may have cost are excused."""

from __future__ import annotations

from collections.abc import Callable

from realmgw.allocation.allocator import Allocator
from realmgw.control.health import Health, Severity
from realmgw.datapath.watch.keeper import Findings


def looked_at(health: Health, allocator: Allocator, monotonic: Callable[[], float], findings: Findings) -> None:
    """Everything outside of the process was looked at, and this was found."""
    if findings.disturbed:
        allocator.outage.excuse(now=monotonic())
    health.tell("datapath", findings.broken, Severity.DEGRADED)
    health.tell("datapath", findings.doubtful, Severity.NOTICE)
    health.tell("nft.d", findings.unloaded, Severity.LAST_GOOD)


def looked_at_neighbours(health: Health, broken: tuple[str, ...], doubtful: tuple[str, ...]) -> None:
    """The neighbours' interface was looked at, and this was found."""
    health.tell("neighbours", broken, Severity.DEGRADED)
    health.tell("neighbours", doubtful, Severity.NOTICE)

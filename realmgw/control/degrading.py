"""What follows from the kernel's side for the rest: what is wrong is told, and nothing is lent that would be dead."""

from __future__ import annotations

from collections.abc import Callable

from realmgw.allocation.allocator import Allocator
from realmgw.control.health import Health, Severity, Trouble
from realmgw.datapath.watch.keeper import Findings


def watched(
    allocator: Allocator,
    monotonic: Callable[[], float],
    began: Callable[[Trouble], object],
    ended: Callable[[Trouble, bool], object],
) -> Health:
    """Health, by which addresses are lent no more while something that flows need is broken.

    Args:
        allocator: Lends them.
        monotonic: The present, in seconds.
        began: Called with each trouble that is new.
        ended: Called with each trouble that is over, and whether nothing is wrong with its part any more.
    """
    degrade = allocator.outage.degrade
    return Health(monotonic, began, ended, lambda degraded: degrade(degraded=degraded, now=monotonic()))


def looked_at(health: Health, allocator: Allocator, monotonic: Callable[[], float], findings: Findings) -> None:
    """Everything outside of the process was looked at, and this was found."""
    if findings.disturbed:
        allocator.outage.excuse(now=monotonic())
    health.tell("datapath", findings.broken, Severity.DEGRADED)
    health.tell("datapath", findings.doubtful, Severity.NOTICE)

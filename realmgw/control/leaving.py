"""What follows for claims and flows when hosts go, or have another address. Edge: Deferreds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from realmgw.allocation.allocator import Allocator
from realmgw.config.steps import Steps, portions
from realmgw.subscribers.registry import Changes

TARGETS_AT_ONCE = 4096
"""So many services that lead nowhere any more are forgotten between two steps."""


class Flows(Protocol):
    """See `realmgw.datapath.service.DatapathService`."""

    def end_flows(self, gone: Collection[bytes], came: Collection[bytes], *, soon: bool) -> Deferred[int]: ...


def forgetting(allocator: Allocator, changes: Changes, monotonic: Callable[[], float]) -> Steps[None]:
    """Nobody is led to services that are no more."""
    for portion in portions(changes.targets_gone, TARGETS_AT_ONCE):
        allocator.forget(frozenset(portion), now=monotonic())
        if len(portion) == TARGETS_AT_ONCE:
            yield None


def ending(
    allocator: Allocator,
    flows: Flows,
    changes: Changes,
    monotonic: Callable[[], float],
    welcome: Callable[[Collection[bytes]], object],
    *,
    soon: bool = False,
) -> Generator[Deferred[Any], Any, int]:
    """End their flows, and those that a new host had as nobody (soon: with those of others); returns how many.

    Raises:
        RealmGatewayError: The kernel refused; some may have been ended.
    """
    allocator.ended.bar(changes.addresses_gone, now=monotonic())
    welcome(changes.addresses_came)
    ended: int = yield flows.end_flows(changes.addresses_gone, changes.addresses_came, soon=soon)
    return ended

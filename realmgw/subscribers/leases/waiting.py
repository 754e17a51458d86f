"""A change that waits to be in force, and what it waits for. Edge: Deferreds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred

from realmgw.config.settings import Settings
from realmgw.config.steps import Steps
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.leases.book import Lease
from realmgw.subscribers.leases.records import Transaction
from realmgw.subscribers.registry import Changes, Registry

T = TypeVar("T")


class Running(Protocol):
    """What runs; see `realmgw.control.running.Running`."""

    settings: Settings
    registry: Registry


class InForce(Protocol):
    """How hosts come into force; see `realmgw.control.amending.Amending`."""

    def exclusively(self, doing: Callable[[], Deferred[None]]) -> Deferred[None]: ...
    def changes(self, source: str, now: Mapping[str, Entry | None]) -> Deferred[Changes]: ...
    def put(self, changes: Changes, *, soon: bool = True) -> Deferred[None]: ...
    def drive(self, steps: Steps[T]) -> Deferred[T]: ...


@attrs.define(eq=False)
class Waiting:
    """A change that is in the book, and not in force yet."""

    change: Transaction
    """It."""
    life: float
    """For how long it counts, in seconds; 0: as long as all others."""
    word: str
    """What it is counted as; empty: by what it does."""
    following: Mapping[str, Lease | None]
    """What the names become."""
    before: Mapping[str, Lease | None] = attrs.Factory(dict)
    """What they were."""
    done: Deferred[None] = attrs.Factory(Deferred)
    """Fires when it is in force."""

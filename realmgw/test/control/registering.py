"""A gateway for tests with hosts that are registered."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.amending import Amending
from realmgw.subscribers.leases.journal import Journal
from realmgw.subscribers.leases.records import Record, Transaction
from realmgw.subscribers.leases.service import LeaseService
from realmgw.subscribers.reach import Around
from realmgw.test.control.parts import TestGateway

P = ParamSpec("P")
T = TypeVar("T")
NAMES = ["a.example.org.", "b.example.org."]


class Inline:
    """A thread that is none.

    Attributes:
        refusal: What the disk says.
        held: If set, the disk answers when this fires.
    """

    def __init__(self) -> None:
        """All is well."""
        self.refusal: Exception | None = None
        self.held: Deferred[None] | None = None

    def start(self) -> None:
        """Nothing is to be done."""

    stop = start

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Makes a call at once, unless the disk refuses."""
        if self.refusal is not None:
            return fail(self.refusal)
        done: Deferred[T] = Deferred()

        def call(_: object) -> None:
            maybeDeferred(function, *args, **kwargs).chainDeferred(done)

        (succeed(None) if self.held is None else self.held).addCallbacks(call, done.errback)
        return done


def address(label: str, text: str) -> Record:
    """The record of a host's address."""
    packed = ip_address(text).packed
    return Record(f"{label}.example.org.", 1 if len(packed) == 4 else 28, 600, packed)


def adding(*records: Record, removed: tuple[Record, ...] = (), key: str = "dhcp.") -> Transaction:
    """An update."""
    return Transaction(key, removed, records)


def begun(gateway: TestGateway, disk: Inline, wall: Callable[[], float], told: list[tuple[str, ...]]) -> LeaseService:
    """A service that knows what is kept, and runs.

    Args:
        gateway: What runs.
        disk: The thread of the disk.
        wall: The time of day, in seconds.
        told: Gets what is wrong.
    """
    journal = Journal(gateway.folder / "leases.sqlite", wall)
    leases = LeaseService(gateway.running, journal, disk, gateway.clock, wall, lambda lines: told.append(tuple(lines)))
    leases.restore()
    leases.in_force = Amending(gateway.reloader, gateway.reloader._parts, gateway.clock.seconds)
    gateway.running.settled = leases.settled
    leases.startService()
    return leases


class LeaseTestCase(SynchronousTestCase):
    """A gateway with two subscribers in a file, at 192.168.0.1 and .2."""

    def setUp(self) -> None:
        """Makes it; the LAN is 192.168.0.0/24."""
        self.gateway = TestGateway(Path(self.mktemp()))
        self.calls, self.clock = self.gateway.parts.calls, self.gateway.clock
        self.wall = 1e9
        self.disk, self.told = Inline(), list[tuple[str, ...]]()
        self.leases = self.begin()

    def begin(self) -> LeaseService:
        """A service that knows what is kept."""
        return begun(self.gateway, self.disk, lambda: self.wall + self.clock.seconds(), self.told)

    def again(self) -> LeaseService:
        """The gateway is started again, as after `kill -9`: nothing was said to the former one."""
        gateway = TestGateway(Path(self.mktemp()))
        (self.gateway.folder / "leases.sqlite").rename(gateway.folder / "leases.sqlite")
        for end in ("-wal", "-shm"):
            (self.gateway.folder / f"leases.sqlite{end}").rename(gateway.folder / f"leases.sqlite{end}")
        self.gateway, self.clock = gateway, gateway.clock
        return self.begin()

    def change(self, *changes: Transaction, **how: float) -> list[str]:
        """What becomes of updates that come in one turn: empty, or why not."""
        found: dict[int, str] = {}

        def note(number: int, done: Deferred[None]) -> None:
            done.addCallbacks(
                lambda _: found.update({number: ""}), lambda failure: found.update({number: failure.getErrorMessage()})
            )

        for number, each in enumerate(changes):
            note(number, self.leases.change(each, **how))
        self.gateway.pass_time()
        return [found[number] for number in sorted(found)]

    def know(self, around: Around) -> None:
        """What is around the gateway; it reloads."""
        self.gateway.running.around = around
        self.gateway.reload()

    def host(self, label: str) -> tuple[bytes, ...]:
        """Where a host is; empty if there is none."""
        service = self.gateway.running.registry.directory.services.get(f"{label}.example.org.")
        return () if service is None else service.host.own

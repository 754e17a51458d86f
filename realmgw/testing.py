"""Fakes for tests of several rooms: `Memory…` works without a kernel or network, `Recording…` notes what it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

from realmgw.admission.packet import Packet
from realmgw.datapath.watch.keeper import Noticed
from realmgw.datapath.watch.port import Heard
from realmgw.errors import Reason

_P = ParamSpec("_P")
_T = TypeVar("_T")


class RecordingAllocator:
    """An allocator's `admit` that knows its answers beforehand and remembers what it was asked.

    Attributes:
        hosts: Host index by destination address, protocol and destination port: who is waited for.
        refusal: The answer to everybody else, a `Reason`.
        asked: The packets it was asked about, each with the time it was asked at.
    """

    def __init__(
        self, hosts: dict[tuple[bytes, int, int], int] | None = None, refusal: int = Reason.NO_RESERVATION
    ) -> None:
        """Remember the answers; without `hosts`, everybody is refused."""
        self.hosts = hosts or {}
        self.refusal = refusal
        self.asked: list[tuple[Packet, float]] = []

    def admit(self, packet: Packet, /, *, now: float) -> int:
        """See `realmgw.admission.gate.Allocator`."""
        _, dst, protocol, _, dport = packet
        self.asked.append((packet, now))
        return self.hosts.get((dst, protocol, dport), -self.refusal)


class MemoryListener:
    """A listener that hears what a test says.

    Attributes:
        heard: Told what is heard; None while closed.
        ignored: Ports that nothing is to be heard of.
        waiting: What the kernel has told and nobody has read.
    """

    def __init__(self) -> None:
        self.heard: Heard | None = None
        self.ignored: frozenset[int] = frozenset()
        self.waiting: list[Noticed] = []

    def open(self, heard: Heard) -> None:
        """See `realmgw.datapath.watch.port.Listener`."""
        self.heard = heard

    def ignore(self, ports: frozenset[int]) -> None:
        """See `realmgw.datapath.watch.port.Listener`."""
        self.ignored |= ports

    def listen(self) -> None:
        """See `realmgw.datapath.watch.port.Listener`."""
        while self.waiting:
            self.say(self.waiting.pop(0))

    def close(self) -> None:
        """See `realmgw.datapath.watch.port.Listener`."""
        self.heard = None

    def say(self, noticed: Noticed) -> None:
        """Something happens."""
        assert self.heard is not None
        self.heard(noticed)


class MemoryWorker:
    """A worker (`realmgw.system.worker.Worker`) that makes its calls when it is told to, in this thread.

    Attributes:
        waiting: The calls that were handed over and not made yet.
        started: Whether it was started.
        stopped: Whether it was stopped.
    """

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], object]] = deque()
        self.started = self.stopped = False

    def start(self) -> None:
        """Notes it."""
        self.started = True

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        """Keeps the call until `work`."""
        called: Deferred[_T] = Deferred()
        self.waiting.append(lambda: maybeDeferred(function, *args, **kwargs).chainDeferred(called))
        return called

    def stop(self) -> None:
        """Notes it."""
        self.stopped = True

    def work(self) -> None:
        """Makes every call that waits, those that come meanwhile included."""
        while self.waiting:
            self.waiting.popleft()()

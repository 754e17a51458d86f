"""Fakes for tests, ours and yours.

`Memory…` works without a kernel or network, `Recording…` notes what it is told, `Raising…` fails.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from ipaddress import ip_network
from typing import ParamSpec, TypeVar

import attrs
from twisted.internet.defer import Deferred, maybeDeferred

from realmgw.admission.client import Judge
from realmgw.admission.packet import COPY_RANGE
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.requestors import Requestor
from realmgw.allocation.trace import Trace
from realmgw.config import settings
from realmgw.datapath.apply import Applied
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.machine.capabilities import Capabilities
from realmgw.datapath.netlink.counters import Count, QueueFigures
from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.datapath.watch.port import Heard
from realmgw.errors import PlatformError, RealmGatewayError, Reason
from realmgw.subscribers.model import Host, Service

_P = ParamSpec("_P")
_T = TypeVar("_T")


class MemoryAllocator(Allocator):
    """An allocator for the DNS server that has one address, for everybody, or none.

    Attributes:
        address: What every question is answered with.
        refusal: If set, no address is given, for this reason.
        wait_refusal: If set, no question may wait, for this reason.
        asked: What `ask` was called with: name of the service, resolver, question, time.
        clients: For whom each of them was.
        held: What waits, by question.
    """

    def __init__(self, address: bytes = b"\xc0\x00\x02\x01") -> None:
        """Begins to give out a packed address, 192.0.2.1 unless told otherwise."""
        super().__init__(settings.Allocation(), [ip_network((address, len(address) * 8))], now=0.0)
        self.address = address
        self.refusal: Reason | None = None
        self.wait_refusal: Reason | None = None
        self.asked: list[tuple[str, Hashable, Hashable, float]] = []
        self.clients: list[Requestor | None] = []
        self.held: dict[Hashable, Callable[[bytes | Reason], None]] = {}

    def ask(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        *,
        now: float,
        client: Requestor | None = None,
        trace: Trace | None = None,
    ) -> bytes | Reason:
        """The address, or the refusal."""
        del trace
        self.clients.append(client)
        self.asked.append((service.name, resolver, question, now))
        return self.address if self.refusal is None else self.refusal

    def wait(
        self,
        service: Service,
        resolver: Hashable,
        question: Hashable,
        deliver: Callable[[bytes | Reason], None],
        *,
        tcp: bool,
        now: float,
        client: Requestor | None = None,
    ) -> Reason | None:
        """Keeps `deliver` for `finish`, unless waiting is refused."""
        del service, resolver, tcp, now, client
        if self.wait_refusal is None:
            self.held[question] = deliver
        return self.wait_refusal

    def finish(self, outcome: bytes | Reason) -> None:
        """Ends the waiting of the question that began to wait first."""
        self.held.pop(next(iter(self.held)))(outcome)


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
        self.asked: list[tuple[tuple[bytes, bytes, int, int, int], float]] = []

    def admit(self, src: bytes, dst: bytes, protocol: int, sport: int, dport: int, *, now: float) -> int:
        """See `realmgw.admission.gate.Allocator`."""
        self.asked.append(((src, dst, protocol, sport, dport), now))
        return self.hosts.get((dst, protocol, dport), -self.refusal)


class RaisingAllocator:
    """An allocator whose every answer is a fault."""

    def __init__(self, fault: Exception) -> None:
        """Remember the fault."""
        self.fault = fault

    def admit(self, src: bytes, dst: bytes, protocol: int, sport: int, dport: int, *, now: float) -> int:
        """Raise the fault.

        Raises:
            Exception: The fault.
        """
        del src, dst, protocol, sport, dport, now
        raise self.fault


class MemoryQueuedPacket:
    """A packet in a `MemoryPacketQueue`.

    Attributes:
        verdicts: What it was given: the mark it was accepted with, or None for a drop. One entry, or the code is wrong.
    """

    def __init__(self, packet: bytes) -> None:
        """Arrive."""
        self.packet = packet
        self.verdicts: list[int | None] = []


class MemoryPacketQueue:
    """A packet queue in memory; the tests of the kernel's run against it, too.

    Attributes:
        passed: The packets that went on, each with its mark, in the order of their verdicts.
        packets: Every packet that was queued, for its `verdicts`.
        faults: What `run` shall raise, one after the other, before it takes anything.
    """

    def __init__(self, others: set[int] | None = None) -> None:
        """Bind nothing yet.

        Args:
            others: Numbers of the queues that somebody has already; queues that share the set see each other.
        """
        self._taken = others if others is not None else set()
        self._number: int | None = None
        self._length = 0
        self._judge: Judge | None = None
        self._undelivered: deque[MemoryQueuedPacket] = deque()
        self._waiting: list[MemoryQueuedPacket] = []
        self._lost = 0
        self._queue_dropped = 0
        self.overruns = 0
        self.passed: list[tuple[bytes, int]] = []
        self.packets: list[MemoryQueuedPacket] = []
        self.faults: deque[Exception] = deque()

    def bind(self, admission: settings.Admission, judge: Judge) -> None:
        """See `realmgw.admission.client.PacketQueue`."""
        if admission.queue in self._taken:
            raise PlatformError(f"packet queue {admission.queue} is taken by another process")
        self._taken.add(admission.queue)
        self._number, self._length, self._judge = admission.queue, admission.queue_length, judge
        self._queue_dropped = 0

    def arrive(self, packet: bytes) -> None:
        """A packet comes to the queue's rule: without a listener it goes on as it is."""
        if self._number is None:
            self.passed.append((packet, 0))
        elif len(self._waiting) >= self._length:
            self._queue_dropped += 1
        else:
            queued = MemoryQueuedPacket(packet)
            self.packets.append(queued)
            self._waiting.append(queued)
            self._undelivered.append(queued)

    def overrun(self) -> None:
        """The next message tells that some were lost."""
        self._lost += 1

    def fileno(self) -> int:
        """See `realmgw.admission.client.PacketQueue`. No descriptor of this process has that number."""
        return -1 if self._number is None else 1 << 20

    def run(self, limit: int) -> int:
        """See `realmgw.admission.client.PacketQueue`."""
        if self.faults:
            raise self.faults.popleft()
        taken = 0
        while taken < limit and (self._lost or self._undelivered):
            taken += 1
            if self._lost:
                self._lost -= 1
                self.overruns += 1
            elif self._judge is not None:
                self._decide(self._undelivered.popleft(), self._judge)
        return taken

    def _decide(self, packet: MemoryQueuedPacket, judge: Judge) -> None:
        mark = 0
        try:
            mark = judge(packet.packet[:COPY_RANGE])
        finally:
            packet.verdicts.append(mark or None)
            self._waiting.remove(packet)
            if mark:
                self.passed.append((packet.packet, mark))

    def figures(self) -> QueueFigures | None:
        """See `realmgw.admission.client.PacketQueue`."""
        return None if self._number is None else QueueFigures(1, len(self._waiting), self._queue_dropped, 0, 0)

    def close(self) -> None:
        """See `realmgw.admission.client.PacketQueue`."""
        if self._number is not None:
            self._taken.discard(self._number)
        self._number = self._judge = None
        self._undelivered.clear()
        self._waiting.clear()


class RecordingKernel:
    """A kernel that notes what it is told (`realmgw.datapath.apply.Kernel` puts it into a real one).

    Attributes:
        calls: Name and arguments of each call, in order.
        befores: The hosts that each `change` was told to begin with.
        refusal: If set, each call that changes something raises it.
        counters: What `figures` has of them.
        wrong: What the next `look` finds and puts back.
        findings: What a `look` finds besides.
        heard: What each `look` was told.
        applied: What `apply` returns: a machine that has everything, nothing to change, nothing to warn of.
        was_installed: Whether the table stood before.
        breaks: If set, the next `apply` raises it, after it was noted and has placed something.
    """

    def __init__(self) -> None:
        """Begins with no calls."""
        self.calls: list[tuple[object, ...]] = []
        self.befores: list[tuple[Host, ...]] = []
        self.refusal: Exception | None = None
        self.counters = {"presented": Count(packets=1, octets=60)}
        self.was_installed: bool | None = True
        self.breaks: Exception | None = None
        self.wrong: tuple[str, ...] = ()
        self.findings = Findings()
        self.heard: list[Noticed] = []
        found = Capabilities(privileges=0, lowest_port=0, missing=())
        self.applied = Applied(found=found, changes=(), warnings=())

    def own_ports(self) -> frozenset[int]:
        """One."""
        return frozenset((5,))

    def apply(self, hosts: Iterable[Host]) -> Applied:
        """Notes it, and returns `applied`."""
        self._note("apply", hosts)
        if self.breaks is not None:
            raise self.breaks
        return self.applied

    def change(self, settings: settings.Settings, hosts: HostChange) -> None:
        """Notes it: settings, hosts that are gone, and hosts that came; those of before in `befores`."""
        self.befores.append(tuple(hosts.before.values()))
        self._note("change", settings, hosts.gone, hosts.came)

    def end_flows(self, addresses: Iterable[bytes]) -> int:
        """Notes it; each address had one flow."""
        self._note("end_flows", addresses)
        return len(tuple(addresses))

    def add_strays(self, sources: Iterable[bytes]) -> None:
        """Notes it."""
        self._note("add_strays", sources)

    def purge(self) -> tuple[str, ...]:
        """Has something to tell."""
        self._note("purge")
        return ("purged",)

    def close(self) -> None:
        """Notes it; never refused."""
        self.calls.append(("close",))

    def look(self, noticed: Noticed, hosts: Callable[[], Iterable[Host]]) -> Findings:
        """Notes what was heard; whatever is in `wrong` is put back, with the hosts, unless that is refused."""
        self.heard.append(noticed)
        if not self.wrong:
            return self.findings
        try:
            self._note("repair", tuple(hosts()))
        except RealmGatewayError as error:
            return Findings(broken=(*self.wrong, str(error)))
        repaired, self.wrong = self.wrong, ()
        return attrs.evolve(self.findings, repaired=repaired, disturbed=True)

    def figures(self) -> tuple[dict[str, Count], QueueFigures | None]:
        """What `counters` says; nobody listens at the queue."""
        return self.counters, None

    def _note(self, *call: object) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.calls.append(call)


class MemoryEars:
    """Ears that hear what a test says.

    Attributes:
        heard: Told what is heard; None while closed.
        ignored: Ports that nothing is to be heard of.
        waiting: What the kernel has told and nobody has read.
    """

    def __init__(self) -> None:
        """Closed."""
        self.heard: Heard | None = None
        self.ignored: frozenset[int] = frozenset()
        self.waiting: list[Noticed] = []

    def open(self, heard: Heard) -> None:
        """See `realmgw.datapath.watch.port.Ears`."""
        self.heard = heard

    def ignore(self, ports: frozenset[int]) -> None:
        """See `realmgw.datapath.watch.port.Ears`."""
        self.ignored |= ports

    def listen(self) -> None:
        """See `realmgw.datapath.watch.port.Ears`."""
        while self.waiting:
            self.say(self.waiting.pop(0))

    def close(self) -> None:
        """See `realmgw.datapath.watch.port.Ears`."""
        self.heard = None

    def say(self, noticed: Noticed) -> None:
        """Something happens."""
        assert self.heard is not None
        self.heard(noticed)


class MemoryWorker:
    """A worker (`realmgw.datapath.service.Worker`) that makes its calls when it is told to, in this thread.

    Attributes:
        waiting: The calls that were handed over and not made yet.
        started: Whether it was started.
        stopped: Whether it was stopped.
    """

    def __init__(self) -> None:
        """Begins with nothing to do."""
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

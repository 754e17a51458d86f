"""A packet queue in memory."""

from __future__ import annotations

from collections import deque

from realmgw.admission.client import Judge
from realmgw.admission.packet import COPY_RANGE
from realmgw.config import settings
from realmgw.datapath.netlink.counters import QueueFigures
from realmgw.errors import PlatformError


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

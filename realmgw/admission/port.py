"""The packet queue in the reactor.

`QueuePort` is what the reactor sees: a descriptor to read from, which takes a bounded number of packets per turn and
gives each exactly one verdict. `PacketQueue` is the narrow interface to the kernel behind it; `KernelPacketQueue` is
the kernel's NFQUEUE by way of the NetfilterQueue library, and `realmgw.testing.MemoryPacketQueue` behaves alike in
memory (the same tests run against both).

Three things of that library and of Twisted shape this module:

* `NetfilterQueue.run` reads until the queue is empty, which a flood makes never happen. `run_socket` reads from
  whatever has a `recv` method, so it is given one that ends the turn after so many messages. The descriptor stays
  readable, and the reactor comes back after everybody else had his turn.
* An exception that leaves `doRead` removes the descriptor from the reactor for good, and an exception that leaves the
  library's callback leaves the packet without verdict in the kernel's queue. So nothing leaves either.
* The library swallows ENOBUFS. Here it is counted, and the receive buffer is made large enough that the queue's own
  length, not the buffer, is what limits: after an overrun, netlink delivers nothing at all until the buffer was
  emptied.

The queue is never set to fail open (NFQA_CFG_F_FAIL_OPEN): what does not fit is dropped.
"""

from __future__ import annotations

import errno
import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.admission.counters import QueueStatus, parse_status
from realmgw.admission.faults import Faults
from realmgw.admission.packet import COPY_RANGE
from realmgw.config import settings
from realmgw.errors import PlatformError

if TYPE_CHECKING:
    from netfilterqueue import NetfilterQueue

QUEUE_TABLE = Path("/proc/thread-self/net/netfilter/nfnetlink_queue")
"""The kernel's table of queues, of the network namespace that this thread is in."""
MESSAGE_SPACE = 1024  # octets
"""What one message is counted with against the socket's receive buffer; the kernel doubles it for its own overhead."""
_CAP_NET_ADMIN = 12


class QueuedPacket(Protocol):
    """A packet that waits in the kernel; it must get its verdict before the callback that it came with returns."""

    def get_payload(self) -> bytes:
        """Its first octets, from the IP header on."""

    def set_mark(self, mark: int) -> None:
        """The mark that it shall have when it goes on."""

    def accept(self) -> None:
        """Let it go on. Raises RuntimeError if it has a verdict already."""

    def drop(self) -> None:
        """End it. Raises RuntimeError if it has a verdict already."""


Judge = Callable[[QueuedPacket], None]
"""Gives a packet its verdict. Must not raise."""


class PacketQueue(Protocol):
    """One packet queue of the kernel."""

    @property
    def overruns(self) -> int:
        """How often the kernel told that messages were lost for want of buffer space (ENOBUFS)."""

    def bind(self, admission: settings.Admission, judge: Judge) -> None:
        """Become the listener of a queue.

        Args:
            admission: The queue's number and length.
            judge: Is called, from `run`, with every packet.

        Raises:
            PlatformError: It can not be had; nothing is bound.
        """

    def fileno(self) -> int:
        """The descriptor that is readable when packets wait, -1 when nothing is bound."""

    def run(self, limit: int) -> int:
        """Take packets, without blocking.

        Args:
            limit: How many messages to take at most.

        Returns:
            How many were taken; 0 means that none waits.

        Raises:
            OSError: The descriptor can not be read.
        """

    def status(self) -> QueueStatus | None:
        """What the kernel counts, None when nothing is bound."""

    def close(self) -> None:
        """Give the queue back: the kernel drops what waits in it. Nothing happens when nothing is bound."""


@implementer(IReadDescriptor)
class QueuePort:
    """The descriptor in the reactor.

    Attributes:
        hangups: How often the reactor took the descriptor for lost and was told better.
    """

    def __init__(
        self,
        decide: Callable[..., int],
        queue: PacketQueue,
        reactor: IReactorFDSet,
        monotonic: Callable[[], float],
        faults: Faults,
    ) -> None:
        """Bind nothing yet.

        Args:
            decide: `Gate.decide`: payload and `now` in, mark out.
            queue: The kernel's queue.
            reactor: Where to be read.
            monotonic: The clock, in seconds; read once per turn.
            faults: Is told of faults of our own.
        """
        self._decide = decide
        self._queue = queue
        self._reactor = reactor
        self._monotonic = monotonic
        self._faults = faults
        self._now = 0.0
        self._per_turn = 0
        self._length = 0
        self.hangups = 0

    def start(self, admission: settings.Admission) -> None:
        """Bind the queue and let the reactor read it.

        Args:
            admission: Number and length of the queue, packets per turn.

        Raises:
            PlatformError: The queue can not be had; nothing was changed.
        """
        self._per_turn = admission.per_turn
        self._length = admission.queue_length
        self._queue.bind(admission, self._judge)
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Leave the reactor, decide once more about what waits, and give the queue back.

        At most the queue's length is decided about: under a flood it would never be empty. The kernel drops the rest.
        """
        self._reactor.removeReader(self)
        left = self._length
        while left > 0 and (taken := self._take(min(left, self._per_turn))):
            left -= taken
        self._queue.close()

    def fileno(self) -> int:
        """See `IFileDescriptor`."""
        return self._queue.fileno()

    def logPrefix(self) -> str:
        """See `ILoggingContext`."""
        return "admission"

    def doRead(self) -> None:
        """Decide about at most `per_turn` packets. Never raises: that would end all reading."""
        self._take(self._per_turn)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor removed the descriptor.

        Epoll-like reactors do so when they see an error without data (`ConnectionDone`), which for a netlink socket is
        only an overrun: reading takes the error away, and the descriptor goes back. Everything else (the reactor ends
        with us still in it) is final: the queue is given back.
        """
        if isinstance(reason.value, ConnectionDone) and self._queue.fileno() >= 0:
            self.hangups += 1
            self.doRead()
            self._reactor.addReader(self)
        else:
            self._queue.close()

    def _take(self, limit: int) -> int:
        """Decide about some packets; 0 when none waits, or when a fault kept us from it."""
        try:
            self._now = self._monotonic()
            return self._queue.run(limit)
        except Exception as fault:  # noqa: BLE001 - see above: nothing may leave
            self._faults.record(fault, now=self._now)
            return 0

    def _judge(self, packet: QueuedPacket) -> None:
        """Give a packet its one verdict."""
        try:
            mark = self._decide(packet.get_payload(), now=self._now)
            if mark:
                packet.set_mark(mark)
                packet.accept()
            else:
                packet.drop()
        except Exception as fault:  # noqa: BLE001 - see above: no packet may stay undecided
            self._faults.record(fault, now=self._now)
            self._drop_undecided(packet)

    def _drop_undecided(self, packet: QueuedPacket) -> None:
        """After a fault: drop the packet, unless its verdict was given before the fault."""
        try:
            packet.drop()
        except RuntimeError:
            return  # it has its verdict
        except Exception as fault:  # noqa: BLE001 - see above: nothing may leave
            self._faults.record(fault, now=self._now)


class KernelPacketQueue:
    """NFQUEUE, by the NetfilterQueue library. One object binds one queue, again after `close` if need be."""

    def __init__(self) -> None:
        """Bind nothing yet."""
        self._binding: NetfilterQueue | None = None
        self._messages: _Messages | None = None
        self._number = 0

    @property
    def overruns(self) -> int:
        """See `PacketQueue`; since `bind`."""
        return self._messages.overruns if self._messages else 0

    @property
    def receive_buffer(self) -> int:
        """The socket's receive buffer in octets, with the kernel's overhead; 0 when nothing is bound."""
        return self._messages.receive_buffer if self._messages else 0

    def bind(self, admission: settings.Admission, judge: Judge) -> None:
        """See `PacketQueue`."""
        binding = _open_binding()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # about the buffer; see `receive_buffer`
            try:
                binding.bind(
                    admission.queue,
                    judge,
                    max_len=admission.queue_length,
                    range=COPY_RANGE,
                    sock_len=admission.queue_length * MESSAGE_SPACE,
                )
            except OSError as fault:
                raise PlatformError(_why_not_bound(admission.queue)) from fault
        self._number = admission.queue
        self._messages = _Messages(socket.socket(fileno=os.dup(binding.get_fd())))
        self._binding = binding

    def fileno(self) -> int:
        """See `PacketQueue`."""
        return self._binding.get_fd() if self._binding else -1

    def run(self, limit: int) -> int:
        """See `PacketQueue`."""
        if self._binding is None or self._messages is None:
            return 0
        self._messages.left = limit
        self._binding.run_socket(self._messages)  # type: ignore[arg-type]  # all it calls is recv
        return limit - self._messages.left

    def status(self) -> QueueStatus | None:
        """See `PacketQueue`."""
        return parse_status(QUEUE_TABLE.read_text(), self._number) if self._binding else None

    def close(self) -> None:
        """See `PacketQueue`."""
        binding, self._binding = self._binding, None
        messages, self._messages = self._messages, None
        if binding and messages:
            binding.unbind()
            messages.close()


class _Messages:
    """What `NetfilterQueue.run_socket` takes for a socket: it runs dry after `left` messages."""

    def __init__(self, duplicate: socket.socket) -> None:
        """Read from a duplicate of the library's own descriptor. Both become non-blocking: unbinding must not block."""
        duplicate.setblocking(False)
        self._socket = duplicate
        self._recv = duplicate.recv
        self.left = 0
        self.overruns = 0

    @property
    def receive_buffer(self) -> int:
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def recv(self, size: int) -> bytes:
        """Receive a message.

        Raises:
            BlockingIOError: None waits, or the turn is over: the library returns.
            OSError: ENOBUFS: some were lost, and the library tries again. Others it lets pass.
        """
        if self.left <= 0:
            raise BlockingIOError(errno.EAGAIN, "the turn is over")
        try:
            message = self._recv(size)
        except OSError as fault:
            if fault.errno == errno.ENOBUFS:
                self.left -= 1
                self.overruns += 1
            raise
        self.left -= 1
        return message

    def close(self) -> None:
        self._socket.close()


def _open_binding() -> NetfilterQueue:
    """Open the netlink socket."""
    try:
        from netfilterqueue import NetfilterQueue  # noqa: PLC0415 - the rest of the gateway can do without
    except ImportError as fault:
        raise PlatformError(
            f"the NetfilterQueue library can not be loaded ({fault}): pip install NetfilterQueue (on Debian it needs"
            " build-essential, python3-dev and libnetfilter-queue-dev)"
        ) from fault
    try:
        return NetfilterQueue()
    except OSError as fault:
        raise PlatformError(_why_not_opened(fault)) from fault


def _why_not_opened(fault: OSError) -> str:
    """What keeps this process from packet queues at all; the library does not tell."""
    if not _may_administer_network():
        return "packet queues need the capability CAP_NET_ADMIN: run as root, or set AmbientCapabilities=CAP_NET_ADMIN"
    if not QUEUE_TABLE.exists():
        return "the kernel has no packet queues: modprobe nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE)"
    return f"packet queues can not be opened: {fault}"


def _why_not_bound(number: int) -> str:
    """What keeps this process from that queue."""
    status = parse_status(QUEUE_TABLE.read_text(), number)
    if status is not None:
        return (
            f"packet queue {number} is taken by another process (netlink port {status.owner}): stop that one, or set"
            " admission: queue: to another number"
        )
    return f"packet queue {number} can not be bound, although nobody has it: see the kernel's log"


def _may_administer_network() -> bool:
    """Whether this process has CAP_NET_ADMIN in effect."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1)
    return True

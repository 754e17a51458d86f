"""The kernel's packet queue.

`PacketQueue` is the narrow interface; `KernelPacketQueue` is the kernel's NFQUEUE by way of the NetfilterQueue library,
and one in memory, of the tests, behaves alike (the same tests run against both).

Three things of that library shape this module:

* `NetfilterQueue.run` reads until the queue is empty, which a flood makes never happen. `run_socket` reads from
  whatever has a `recv` method, so it is given one that ends the turn after so many messages. The descriptor stays
  readable, and the reactor comes back after everybody else had his turn.
* It sends each verdict by itself. What a turn has decided is sent here in one message for all, which the kernel carries
  out in the order of the packets: that is one system call instead of up to 32.
* It swallows ENOBUFS. Here it is counted, and the receive buffer is made large enough that the queue's own length, not
  the buffer, is what limits: after an overrun, netlink delivers nothing at all until the buffer was emptied.

The queue is never set to fail open (NFQA_CFG_F_FAIL_OPEN): what does not fit is dropped.

Family: none; four octets are a packet's number, or its mark.

Edge: the kernel's packet queue.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from realmgw.admission.gate import DROP
from realmgw.admission.packet import COPY_RANGE
from realmgw.config import settings
from realmgw.datapath.client import QUEUES, privileges, read_queue
from realmgw.datapath.machine.capabilities import CAP_NET_ADMIN
from realmgw.datapath.netlink.counters import QueueFigures
from realmgw.errors import PlatformError

if TYPE_CHECKING:
    from netfilterqueue import NetfilterQueue, Packet

MESSAGE_SPACE = 1024  # octets
"""What one message is counted with against the socket's receive buffer; the kernel doubles it for its own overhead."""

# linux/netfilter/nfnetlink_queue.h
_VERDICT_MESSAGE = 3 << 8 | 1  # NFNL_SUBSYS_QUEUE, NFQNL_MSG_VERDICT
_NLM_F_REQUEST = 1
_NFQA_VERDICT_HDR, _NFQA_MARK = 2, 3
_NF_DROP, _NF_ACCEPT = 0, 1
_MARK_ATTRIBUTE = struct.pack("=HH", 8, _NFQA_MARK)
_NUMBER_AND_MARK = struct.Struct("!I4sI").pack

Judge = Callable[[bytes], int]
"""By a packet's first octets, from the IP header on, the mark that it goes on with; `DROP` ends it. Must not raise."""


class PacketQueue(Protocol):
    """One packet queue of the kernel."""

    @property
    def overruns(self) -> int:
        """How often the kernel told that messages were lost for want of buffer space (ENOBUFS)."""

    def bind(self, admission: settings.Admission, judge: Judge) -> None:
        """Become the listener of a queue.

        Args:
            admission: The queue's number and length.
            judge: Is called, from `run`, with every packet; its verdict stands when `run` returns.

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

    def figures(self) -> QueueFigures | None:
        """What the kernel counts, None when nothing is bound."""

    def close(self) -> None:
        """Give the queue back: the kernel drops what waits in it. Nothing happens when nothing is bound."""


class KernelPacketQueue(PacketQueue):
    """NFQUEUE, by the NetfilterQueue library. One object binds one queue, again after `close` if need be."""

    def __init__(self) -> None:
        self._binding: NetfilterQueue | None = None
        self._descriptor = -1
        self._messages: _Messages | None = None
        self._number = 0
        self._judge: Judge = _drop_all
        self._verdicts: list[bytes] = []
        self._drop = self._accept = b""

    @property
    def overruns(self) -> int:
        """How often messages were lost for want of buffer space, since `bind`."""
        return self._messages.overruns if self._messages else 0

    def bind(self, admission: settings.Admission, judge: Judge) -> None:
        binding = _open_binding()
        self._judge, self._verdicts = judge, []
        self._drop, self._accept = _verdict(admission.queue, accept=False), _verdict(admission.queue, accept=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # about the buffer, which is as large as is asked
            try:
                binding.bind(
                    admission.queue,
                    self._note,
                    max_len=admission.queue_length,
                    range=COPY_RANGE,
                    sock_len=admission.queue_length * MESSAGE_SPACE,
                )
            except OSError as fault:
                raise PlatformError(_why_not_bound(admission.queue)) from fault
        self._number = admission.queue
        self._messages = _Messages(socket.socket(fileno=os.dup(binding.get_fd())))
        self._binding, self._descriptor = binding, binding.get_fd()

    def fileno(self) -> int:
        return self._descriptor

    def run(self, limit: int) -> int:
        """Take packets, without blocking; verdicts that could not be sent are sent by the next run."""
        if self._binding is None or self._messages is None:
            return 0
        self._messages.left = limit
        try:
            self._binding.run_socket(self._messages)  # type: ignore[arg-type]  # all it calls is recv
        finally:
            if self._verdicts:
                self._messages.send(b"".join(self._verdicts))
                self._verdicts.clear()
        return limit - self._messages.left

    def _note(self, packet: Packet) -> None:
        """Note the verdict of a packet; it is sent with the others of this turn."""
        mark = DROP
        try:
            mark = self._judge(packet.get_payload())
        finally:
            if mark:
                self._verdicts.append(self._accept + _NUMBER_AND_MARK(packet.id, _MARK_ATTRIBUTE, mark))
            else:
                self._verdicts.append(self._drop + packet.id.to_bytes(4, "big"))

    def figures(self) -> QueueFigures | None:
        return read_queue(self._number) if self._binding else None

    def close(self) -> None:
        binding, self._binding, self._descriptor = self._binding, None, -1
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
        self.send = duplicate.send
        self.left = 0
        self.overruns = 0

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


def _verdict(queue: int, *, accept: bool) -> bytes:
    """The message of a verdict up to the packet's number: nlmsghdr, nfgenmsg, and the attribute NFQA_VERDICT_HDR."""
    length = 40 if accept else 32
    return (
        struct.pack("=IHHII", length, _VERDICT_MESSAGE, _NLM_F_REQUEST, 0, 0)
        + struct.pack("!BBH", 0, 0, queue)
        + struct.pack("=HH", 12, _NFQA_VERDICT_HDR)
        + struct.pack("!I", _NF_ACCEPT if accept else _NF_DROP)
    )


def _drop_all(payload: bytes) -> int:
    """Judges for a queue that nobody has bound."""
    del payload
    return DROP


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
    if not privileges().has(CAP_NET_ADMIN):
        return "packet queues need the capability CAP_NET_ADMIN: run as root, or set AmbientCapabilities=CAP_NET_ADMIN"
    if not QUEUES.exists():
        return "the kernel has no packet queues: modprobe nfnetlink_queue (CONFIG_NETFILTER_NETLINK_QUEUE)"
    return f"packet queues can not be opened: {fault}"


def _why_not_bound(number: int) -> str:
    """What keeps this process from that queue."""
    figures = read_queue(number)
    if figures is not None:
        return (
            f"packet queue {number} is taken by another process (netlink port {figures.owner}): stop that one, or set"
            " admission: queue: to another number"
        )
    return f"packet queue {number} can not be bound, although nobody has it: see the kernel's log"

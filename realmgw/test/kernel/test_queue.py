"""The kernel's packet queue: the contract, the errors at start, and a flood."""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.client import MESSAGE_SPACE, KernelPacketQueue
from realmgw.admission.faults import Faults
from realmgw.admission.gate import Gate
from realmgw.admission.packet import Packet
from realmgw.admission.service import AdmissionService, log_fault
from realmgw.admission.unsolicited import Unsolicited
from realmgw.config import settings
from realmgw.datapath import marks
from realmgw.datapath.client import QUEUES
from realmgw.datapath.netlink.counters import QueueFigures
from realmgw.errors import PlatformError, Reason
from realmgw.test import programs
from realmgw.test.admission.packet_queue_contract import PacketQueueTestsMixin, accept
from realmgw.test.kernel.namespace import fresh_namespace
from realmgw.testing import RecordingAllocator

POOL = "192.0.2.1"
SO_RCVMARK = 75  # asm-generic/socket.h, Linux 5.19; Python has no name for it
PATIENCE = 5.0  # seconds
"""How long we wait for the kernel to deliver what it was given."""
QUEUE_RULE = ("-t", "mangle", "-A", "PREROUTING", "-d", "192.0.2.0/24", "-j", "NFQUEUE")


def missing() -> str | None:
    """What these tests need and do not have, or None."""
    if os.geteuid() != 0:
        return "needs root (network namespaces, packet queues)"
    if reason := programs.missing("ip", "iptables", "setpriv"):
        return reason
    try:
        with fresh_namespace(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            _queue_to(1)
            receiver.setsockopt(socket.SOL_SOCKET, SO_RCVMARK, 1)
    except (OSError, subprocess.CalledProcessError):
        return "needs CAP_SYS_ADMIN and CAP_NET_ADMIN, and a kernel (5.19 or newer) with the NFQUEUE target"
    return None


def _queue_to(number: int) -> None:
    """Puts the rule that leads to a queue, as the gateway's own where the kernel has no native statement."""
    command = ["iptables", *QUEUE_RULE, "--queue-num", str(number), "--queue-bypass"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def send(count: int) -> None:
    """Sends datagrams to the queue."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(count):
            client.sendto(b"data", (POOL, 5353))


class KernelTestCase(SynchronousTestCase):
    """Runs in a namespace of its own where what comes for 192.0.2.0/24 is queued."""

    skip = missing()

    def setUp(self) -> None:
        """A namespace, a rule, a socket that senders use and one that receives what came through."""
        stack = ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(fresh_namespace())
        subprocess.run(["ip", "address", "add", f"{POOL}/32", "dev", "lo"], check=True, stdin=subprocess.DEVNULL)
        _queue_to(77)
        self.sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        self.receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.receiver.setsockopt(socket.SOL_SOCKET, SO_RCVMARK, 1)
        self.receiver.bind((POOL, 5353))
        self.receiver.setblocking(False)


class KernelPacketQueueTests(PacketQueueTestsMixin, KernelTestCase):
    """The kernel keeps the contract."""

    def make_queue(self) -> KernelPacketQueue:
        """See the mixin."""
        queue = KernelPacketQueue()
        self.addCleanup(queue.close)
        return queue

    def arrive(self, *packets: bytes) -> None:
        """See the mixin: until the kernel's last packet id grew by as many, unless nobody listens."""
        before = self.handled()
        for packet in packets:
            self.sender.sendto(packet, (POOL, 0))
        deadline = time.monotonic() + PATIENCE
        while before is not None and (self.handled() or 0) < before + len(packets) and time.monotonic() < deadline:
            select.select([], [], [], 0.001)

    def handled(self) -> int | None:
        """How many packets came to the queue so far: those with an id, and those that found it full."""
        for line in QUEUES.read_text().splitlines():
            columns = [int(column) for column in line.split()]
            return columns[7] + columns[5]
        return None

    def came_through(self) -> list[tuple[bytes, int]]:
        """See the mixin. A verdict's system call returns when the packet has gone where it goes."""
        passed = []
        while select.select([self.receiver], [], [], 0)[0]:
            data, ancillary, _, _ = self.receiver.recvmsg(2048, 64)
            passed.append((data, struct.unpack("=I", ancillary[0][2])[0]))
        return passed


class StartTests(KernelTestCase):
    """What keeps the queue from being bound, in one line."""

    def test_has_a_buffer_for_as_many_packets_as_the_queue_holds(self) -> None:
        """So that it is the queue's length that limits, and no overrun stops all delivery."""
        queue = KernelPacketQueue()
        self.addCleanup(queue.close)
        queue.bind(settings.Admission(queue=77, queue_length=4096), accept)
        with socket.socket(fileno=os.dup(queue.fileno())) as its:
            self.assertEqual(its.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), 2 * 4096 * MESSAGE_SPACE)

    def test_survives_a_buffer_that_overflows(self) -> None:
        """Messages are lost and counted; afterwards everything is as before."""
        queue = KernelPacketQueue()
        self.addCleanup(queue.close)
        queue.bind(settings.Admission(queue=77, queue_length=4096), accept)
        shrunk = socket.socket(fileno=os.dup(queue.fileno()))
        self.addCleanup(shrunk.close)
        shrunk.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        send(200)
        self.assertEqual(queue.run(1), 1)
        self.assertEqual(queue.overruns, 1)
        taken = queue.run(300)
        figures = queue.figures()
        assert figures is not None
        self.assertEqual((figures.unsent, figures.waiting), (200 - taken, 0))
        send(1)
        self.assertEqual((queue.run(10), queue.overruns), (1, 1))

    def test_names_the_missing_capability(self) -> None:
        """A process without CAP_NET_ADMIN is told so."""
        program = (
            "from realmgw.admission.client import KernelPacketQueue\nfrom realmgw.config.settings import Admission\n"
            "from realmgw.errors import PlatformError\n"
            "try:\n    KernelPacketQueue().bind(Admission(), print)\nexcept PlatformError as error:\n    print(error)"
        )
        without = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
        done = subprocess.run(
            [*without, sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
        )
        self.assertIn("need the capability CAP_NET_ADMIN", done.stdout)
        self.assertEqual(done.stdout.count("\n"), 1)

    def test_names_the_owner_of_a_taken_queue(self) -> None:
        """By its netlink port, which is its process id as a rule."""
        first = KernelPacketQueue()
        self.addCleanup(first.close)
        first.bind(settings.Admission(queue=77), accept)
        figures = first.figures()
        assert figures is not None
        error = self.assertRaises(PlatformError, KernelPacketQueue().bind, settings.Admission(queue=77), accept)
        self.assertIn(f"(netlink port {figures.owner})", str(error))


class FloodTests(KernelTestCase):
    """A bounded flood of strays, through the reactor."""

    def setUp(self) -> None:
        """A service that runs in a reactor of its own; its allocator refuses everybody."""
        super().setUp()
        self.admission = settings.Admission(queue=77)
        self.gate = Gate(RefusingAllocator(), Unsolicited(self.admission, lambda _: False), Faults(log_fault), 1000)
        self.reactor = EPollReactor()
        self.addCleanup(self.reactor.removeAll)
        self.queue = KernelPacketQueue()
        self.service = AdmissionService(self.admission, self.gate, self.reactor, time.monotonic, self.queue)
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def turns(self, child: subprocess.Popen[str]) -> Iterator[int]:
        """Turns the reactor until a child process has ended and nothing waits; how many packets each turn decided."""
        ended = None
        while ended is None or self.figures().waiting:  # a flood's queue is polled: one without work is not the end
            ended, before = child.poll(), self.gate.refused[Reason.NO_RESERVATION]
            self.reactor.iterate(0.01)
            yield self.gate.refused[Reason.NO_RESERVATION] - before

    def figures(self) -> QueueFigures:
        """What the kernel counts."""
        figures = self.queue.figures()
        assert figures is not None
        return figures

    def test_keeps_the_turns_short(self) -> None:
        """60 000 strays a second from 30 000 addresses: the reactor turns, and every packet is accounted for."""
        with flooding(60000, 1.0, 30000) as child:
            turns = list(self.turns(child))
            assert child.stdout is not None
            sent = int(child.stdout.read())
        decided = self.gate.refused[Reason.NO_RESERVATION]
        self.assertEqual(decided + self.figures().full, sent)
        self.assertEqual((self.figures().unsent, self.service.counts()["overruns"]), (0, 0))
        self.assertLessEqual(max(turns), 2 * self.admission.per_turn)  # of a timer, and of the descriptor
        self.assertGreater(decided, sent // 10)

    def test_stays_in_the_reactor_when_the_buffer_overflows(self) -> None:
        """Epoll tells of an error, messages are lost, and the next packet is decided as if nothing had been."""
        with socket.socket(fileno=os.dup(self.queue.fileno())) as shrunk:
            shrunk.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        send(300)
        for _ in range(300 // 32 + 3):
            self.reactor.iterate(0.01)
        lost = self.figures().unsent
        self.assertGreater(lost, 0)
        overruns = self.service.counts()["overruns"]
        assert isinstance(overruns, int)
        self.assertGreater(overruns, 0)
        self.assertEqual(self.gate.refused[Reason.NO_RESERVATION], 300 - lost)
        send(1)
        self.reactor.iterate(0.1)
        self.assertEqual(self.gate.refused[Reason.NO_RESERVATION], 301 - lost)


class RefusingAllocator(RecordingAllocator):
    """Refuses everybody, and remembers nobody."""

    def admit(self, packet: Packet, /, *, now: float) -> int:
        """Nobody is waited for."""
        del packet, now
        return -Reason.NO_RESERVATION


@contextmanager
def flooding(rate: int, seconds: float, sources: int) -> Iterator[subprocess.Popen[str]]:
    """A process that floods the pool address, in this thread's namespace; what is refused ends before a receiver."""
    rejected = f"{marks.REJECTED:#x}/{marks.STEP_MASK:#x}"
    rule = ["iptables", "-t", "mangle", "-A", "INPUT", "-m", "mark", "--mark", rejected, "-j", "DROP"]
    subprocess.run(rule, check=True, stdin=subprocess.DEVNULL)
    command = [sys.executable, "-m", "realmgw.test.kernel.flood", POOL, str(rate), str(seconds), str(sources)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as child:
        try:
            yield child
        finally:
            child.kill()

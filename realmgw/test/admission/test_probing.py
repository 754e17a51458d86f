"""Tests for `realmgw.admission.probing`: a queue in memory, and a socket that is none."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.faults import Faults
from realmgw.admission.gate import Gate
from realmgw.admission.port import OURS, QueuePort
from realmgw.admission.probing import LENGTH, QueueProbe
from realmgw.admission.unsolicited import Unsolicited
from realmgw.config import settings
from realmgw.datapath import marks
from realmgw.test.admission.packet_queue import MemoryPacketQueue
from realmgw.test.admission.packets import CLIENT, ipv4, tcp, udp
from realmgw.testing import RecordingAllocator

ADMISSION = settings.Admission(queue=77)
PATIENCE = 5.0  # seconds
OCTETS = bytes(range(LENGTH))


class Reactor(Clock):
    """Has one UDP socket, which is its own handle, transport and port."""

    def __init__(self) -> None:
        """Without it."""
        super().__init__()
        self.protocol: Any = None
        self.sent: list[tuple[bytes, tuple[str, int]]] = []
        self.marked = 0
        self.refusal: Exception | None = None
        self.port = 4000

    def listenUDP(self, port: int, protocol: Any, *, interface: str) -> Reactor:
        """Opens it."""
        if self.refusal is not None:
            raise self.refusal
        assert (port, interface) == (0, "127.0.0.1")
        self.protocol, protocol.transport = protocol, self
        protocol.startProtocol()
        return self

    def addReader(self, reader: object) -> None:
        """The test itself has it read."""

    def getHandle(self) -> Reactor:
        """Has options."""
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """The mark is all that is set."""
        assert (level, option) == (socket.SOL_SOCKET, 36)
        self.marked = value

    def getHost(self) -> Reactor:
        """Has a port."""
        return self

    def write(self, octets: bytes, to: tuple[str, int]) -> None:
        """It is under way."""
        self.sent.append((octets, to))

    def stopListening(self) -> None:
        """It is closed."""
        self.protocol = None


class QueueProbeTests(SynchronousTestCase):
    """A packet of our own."""

    def setUp(self) -> None:
        """A gate that knows nobody, and a queue that is read."""
        self.reactor = Reactor()
        self.queue = MemoryPacketQueue()
        self.gate = Gate(RecordingAllocator({}), Unsolicited(ADMISSION, lambda _: False), Faults(print), 1000)
        self.port = QueuePort(self.gate, self.queue, self.reactor, self.reactor.seconds)
        self.port.start(ADMISSION)
        self.probe = QueueProbe(self.port, self.reactor, lambda length: OCTETS[:length])

    def arrive(self, packet: bytes) -> list[tuple[bytes, int]]:
        """A packet comes into the queue. Returns what goes on."""
        self.queue.arrive(packet)
        self.port.doRead()
        passed, self.queue.passed = self.queue.passed, []
        return passed

    def test_comes_through_and_the_gate_sees_nothing_of_it(self) -> None:
        """It has the mark by which the kernel's rules know what is for the queue; nothing of it is left."""
        looking, before = self.probe.look(PATIENCE), self.gate.counts()
        self.assertEqual((self.reactor.sent, self.reactor.marked), ([(OCTETS, ("127.0.0.1", 4000))], marks.QUEUED))
        ours = ipv4(17, udp(4000, 4000, OCTETS), source=b"\x7f\0\0\1")
        self.assertEqual(self.arrive(ours), [(ours, OURS)])
        self.assertEqual(self.gate.counts(), before)
        self.assertNoResult(looking)
        self.reactor.protocol.datagramReceived(b"something else", ("127.0.0.1", 1))
        self.assertNoResult(looking)
        self.reactor.protocol.datagramReceived(OCTETS, ("127.0.0.1", 4000))
        self.assertEqual(self.successResultOf(looking), [])
        self.assertIsNone(self.reactor.protocol)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.arrive(ours)  # again, which is not ours any more
        self.assertNotEqual(self.gate.counts(), before)

    def test_others_are_decided_about_meanwhile(self) -> None:
        """As ever, and that they come is as good a sign."""
        looking = self.probe.look(PATIENCE)
        self.arrive(ipv4(6, tcp(), source=CLIENT))
        self.assertEqual(sum(self.gate.refused), 1)
        self.reactor.advance(PATIENCE)
        self.assertEqual(self.successResultOf(looking), [])

    def test_nothing_comes(self) -> None:
        """In time."""
        looking = self.probe.look(PATIENCE)
        self.reactor.advance(PATIENCE - 0.1)
        self.assertNoResult(looking)
        self.reactor.advance(0.1)
        self.assertEqual(self.successResultOf(looking), ["no packet comes through the packet queue"])

    def test_it_comes_and_was_not_in_the_queue(self) -> None:
        """Somebody's rule takes packets before."""
        looking = self.probe.look(PATIENCE)
        self.reactor.protocol.datagramReceived(OCTETS, ("127.0.0.1", 4000))
        self.assertEqual(self.successResultOf(looking), ["packets go past the packet queue"])

    def test_it_can_not_be_sent(self) -> None:
        """It is said why."""
        self.reactor.refusal = OSError(24, "Too many open files")
        looking = self.probe.look(PATIENCE)
        self.assertIn("can not be asked: [Errno 24] Too many", self.successResultOf(looking)[0])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

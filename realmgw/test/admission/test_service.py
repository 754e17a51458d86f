"""The admission as a service."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from realmgw.admission.faults import Faults
from realmgw.admission.gate import Gate
from realmgw.admission.service import AdmissionService, log_fault
from realmgw.admission.unsolicited import Unsolicited
from realmgw.config import settings
from realmgw.datapath import marks
from realmgw.errors import PlatformError, Reason
from realmgw.test.admission.packet_queue import MemoryPacketQueue
from realmgw.test.admission.packets import POOL, ipv4, tcp
from realmgw.testing import RecordingAllocator

SYN = ipv4(6, tcp(4000, 80))
ADMISSION = settings.Admission(queue=77)


class AdmissionServiceTests(SynchronousTestCase):
    """Start, stop, and the way of a packet between them."""

    def setUp(self) -> None:
        """A service that is not started, with a host that is waited for at port 80."""
        self.reactor = MemoryReactor()
        self.queue = MemoryPacketQueue()
        strays = Unsolicited(ADMISSION, lambda source: False)
        self.gate = Gate(RecordingAllocator({(POOL, 6, 80): 5}), strays, Faults(log_fault), 1000)
        self.service = AdmissionService(ADMISSION, self.gate, self.reactor, Clock().seconds, self.queue)

    def deliver(self, packet: bytes) -> list[tuple[bytes, int]]:
        """A packet comes and the reactor turns. Returns what went on."""
        self.queue.arrive(packet)
        for reader in self.reactor.getReaders():
            reader.doRead()
        passed, self.queue.passed = self.queue.passed, []
        return passed

    def test_admits_while_it_runs(self) -> None:
        """The packet goes on with the mark of its host."""
        self.service.startService()
        self.assertEqual(self.deliver(SYN), [(SYN, marks.admitted(5))])

    def test_does_not_run_when_the_queue_is_taken(self) -> None:
        """One line says why."""
        service = AdmissionService(ADMISSION, self.gate, self.reactor, Clock().seconds, MemoryPacketQueue({77}))
        error = self.assertRaises(PlatformError, service.startService)
        self.assertNotIn("\n", str(error))
        self.assertEqual((service.running, self.reactor.getReaders()), (0, []))

    def test_drops_what_waits_when_it_stops(self) -> None:
        """It is not refused aloud: its sender tries again, perhaps at the next process."""
        self.service.startService()
        self.queue.arrive(SYN)
        self.service.stopService()
        self.assertEqual([packet.verdicts for packet in self.queue.packets], [[None]])
        self.assertEqual((self.gate.refused[Reason.STOPPED], self.service.running), (1, 0))

    def test_gives_the_queue_back_when_it_stops(self) -> None:
        """What comes later passes it by, without a mark."""
        self.service.startService()
        self.service.stopService()
        self.assertEqual(self.deliver(SYN), [(SYN, 0)])

    def test_can_be_started_again(self) -> None:
        """And admits as before."""
        self.service.startService()
        self.service.stopService()
        self.service.startService()
        self.assertEqual(self.deliver(SYN), [(SYN, marks.admitted(5))])


class LogFaultTests(SynchronousTestCase):
    """The report of a fault."""

    def test_writes_the_fault_and_its_number(self) -> None:
        """With its traceback, once."""
        events = list[LogEvent]()

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            events.append(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        log_fault(ZeroDivisionError("broken"), 17)
        self.assertEqual([str(logged.value) for logged in self.flushLoggedErrors(ZeroDivisionError)], ["broken"])
        self.assertEqual([event["faults"] for event in events if "faults" in event], [17])

"""The packet queue in the reactor."""

from __future__ import annotations

import sys
from itertools import pairwise
from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from realmgw.admission.client import KernelPacketQueue
from realmgw.admission.faults import Faults
from realmgw.admission.port import FLOOD, OBSERVED, PAUSE, Flood, QueuePort
from realmgw.config import settings
from realmgw.config.distribution import SPENT_BOUNDS
from realmgw.errors import PlatformError
from realmgw.test.admission.packet_queue import MemoryPacketQueue
from realmgw.test.admission.packet_queue_contract import PacketQueueTestsMixin, accept, datagram

ADMISSION = settings.Admission(queue=77, queue_length=100, per_turn=4)


class MemoryPacketQueueTests(PacketQueueTestsMixin, SynchronousTestCase):
    """The queue in memory keeps the contract."""

    def setUp(self) -> None:
        """One kernel for all queues of a test."""
        self.taken = set[int]()
        self.queues = list[MemoryPacketQueue]()

    def make_queue(self) -> MemoryPacketQueue:
        """See the mixin."""
        self.queues.append(MemoryPacketQueue(self.taken))
        return self.queues[-1]

    def arrive(self, *packets: bytes) -> None:
        """See the mixin; the first queue is the one that was bound."""
        for packet in packets:
            self.queues[0].arrive(packet)

    def came_through(self) -> list[tuple[bytes, int]]:
        """See the mixin."""
        passed, self.queues[0].passed = self.queues[0].passed, []
        return [(packet[28:], mark) for packet, mark in passed]


class KernelPacketQueueTests(SynchronousTestCase):
    """What needs no kernel; the rest is in `realmgw.test.kernel.test_queue`."""

    def test_names_the_missing_library(self) -> None:
        """And how to get it."""
        loaded = sys.modules.pop("netfilterqueue", None)
        sys.modules["netfilterqueue"] = None  # type: ignore[assignment]  # Python's own way to say "not there"
        if loaded is not None:
            self.addCleanup(sys.modules.__setitem__, "netfilterqueue", loaded)
        self.addCleanup(sys.modules.pop, "netfilterqueue")  # runs first
        error = self.assertRaises(PlatformError, KernelPacketQueue().bind, ADMISSION, accept)
        self.assertIn("pip install NetfilterQueue", str(error))
        self.assertNotIn("\n", str(error))


class QueuePortTestCase(SynchronousTestCase):
    """Has a port on a queue in memory, and is its gate."""

    def setUp(self) -> None:
        """A port that is not started; `self.marks` are the next decisions, an exception among them is raised."""
        self.queue = MemoryPacketQueue()
        self.reactor = MemoryReactorClock()
        self.clock = self.reactor
        self.admitted = 0
        self.faults = Faults(lambda _fault, _count: None)
        self.marks = list[int | Exception]()
        self.decided = list[tuple[bytes, float]]()
        self.behind = list[tuple[float, float]]()
        self.cost = 0.0  # seconds
        self.port = QueuePort(self, self.queue, self.reactor, self.clock.seconds, self.note, self.clock.seconds)

    def note(self, seconds: float, lost_at: float) -> None:
        """For how long packets wait, and when some were lost."""
        self.behind.append((seconds, lost_at))

    def decide(self, payload: bytes, *, now: float) -> int:
        """The next decision, which takes its time; accept with mark 1 when none was laid ready."""
        self.decided.append((payload, now))
        self.clock.advance(self.cost)
        mark = self.marks.pop(0) if self.marks else 1
        if isinstance(mark, Exception):
            raise mark
        self.admitted += mark == 1
        return mark

    def started(self, packets: int = 0) -> None:
        """Starts the port; so many packets wait."""
        self.port.start(ADMISSION)
        for number in range(packets):
            self.queue.arrive(datagram(b"%d" % number))

    def verdicts(self) -> list[list[int | None]]:
        """Of every packet that was queued."""
        return [packet.verdicts for packet in self.queue.packets]


class QueuePortTests(QueuePortTestCase):
    """Turns, verdicts, start and stop."""

    def test_is_a_read_descriptor(self) -> None:
        """With all that a reactor asks of one."""
        self.assertTrue(verifyObject(IReadDescriptor, self.port))
        self.assertEqual(self.port.logPrefix(), "admission")

    def test_is_read_from_start_to_stop(self) -> None:
        """And the queue is bound as long."""
        self.assertEqual(self.port.fileno(), -1)
        self.started()
        self.assertEqual((self.reactor.getReaders(), self.port.fileno()), ([self.port], self.queue.fileno()))
        self.port.stop()
        self.assertEqual((self.reactor.getReaders(), self.port.fileno()), ([], -1))

    def test_is_not_read_when_the_queue_is_taken(self) -> None:
        """The reactor never sees a port that could not start."""
        port = QueuePort(self, MemoryPacketQueue({77}), self.reactor, self.clock.seconds)
        self.assertRaises(PlatformError, port.start, ADMISSION)
        self.assertEqual(self.reactor.getReaders(), [])

    def test_decides_about_so_many_packets_per_turn(self) -> None:
        """Whatever waits: the others in the reactor have their turn, too. These have taken next to no time."""
        self.started(packets=10)
        for decided in (4, 8, 10, 10):
            self.port.doRead()
            self.assertEqual(len(self.decided), decided)

    def test_takes_half_of_the_time_while_packets_wait(self) -> None:
        """Others take 6 ms each time: so it is twelve packets in the end, and not four, since one takes 0.75 ms."""
        self.cost = 0.00075
        self.started(packets=100)
        decided = [0]
        for _ in range(5):
            self.clock.advance(0.006)
            self.port.doRead()
            decided.append(len(self.decided))
        self.assertEqual([later - sooner for sooner, later in pairwise(decided)], [4, 12, 12, 12, 12])

    def test_tells_how_long_packets_took(self) -> None:
        """Each its part of the time in which they were taken together, the first time and the ninth."""
        self.cost = 0.00075
        self.started(packets=3)
        for _ in range(9):
            self.port.doRead()
            self.queue.arrive(datagram(b"one more"))
        told: dict[str, Any] = self.port.times.counts()
        self.assertEqual((told["counts"][SPENT_BOUNDS.index(0.001)], sum(told["counts"])), (4, 4))
        self.assertAlmostEqual(told["sum"], 4 * 0.00075)

    def test_takes_no_more_than_a_while_at_once(self) -> None:
        """However long the others took: 5 ms, and the packets that are begun by then."""
        self.cost = 0.001
        self.started(packets=100)
        self.port.doRead()
        self.clock.advance(1.0)
        self.port.doRead()
        self.assertEqual(len(self.decided), 4 + 4 + 8)

    def test_takes_no_more_of_packets_that_are_refused(self) -> None:
        """Half of them, or fewer than that admitted: nobody has brought these by an answer."""
        self.cost = 0.001
        for admitted, taken in ((2, 12), (1, 4), (0, 4)):
            self.setUp()
            self.cost = 0.001
            self.marks += ([1] * admitted + [0] * (4 - admitted)) * 10
            self.started(packets=40)
            self.port.doRead()
            self.clock.advance(0.01)
            self.port.doRead()
            self.assertEqual(len(self.decided) - 4, taken)

    def test_takes_what_waits_and_no_more(self) -> None:
        """The turn ends with the queue, and the next full one is the first again."""
        self.started(packets=9)
        self.port.doRead()
        self.clock.advance(1.0)
        self.port.doRead()
        self.assertEqual((len(self.decided), self.reactor.getReaders()), (9, [self.port]))
        for number in range(9):
            self.queue.arrive(datagram(b"%d" % number))
        self.clock.advance(1.0)
        self.port.doRead()
        self.assertEqual(len(self.decided), 13)

    def test_reads_the_clock_once_for_so_many_packets(self) -> None:
        """All of them have the same time."""
        self.cost = 1 / 256
        self.started(packets=5)
        self.clock.advance(3.0)
        self.port.doRead()
        self.clock.advance(1.0)
        self.port.doRead()
        self.assertEqual([now for _, now in self.decided], [3.0] * 4 + [4.015625])

    def test_tells_for_how_long_packets_wait(self) -> None:
        """When there are more and more of them; and that they wait no longer, when the last was taken."""
        self.cost = 1 / 256
        self.started(packets=41)
        for _ in range(11):
            self.clock.advance(0.02)
            self.port.doRead()
        self.assertEqual(len(self.decided), 41)
        self.assertAlmostEqual(max(self.behind)[0], (0.02 + 4 * self.cost) * 33 / 4)
        self.assertEqual(self.behind[-1], (0.0, -inf))

    def test_accepts_with_the_mark_and_drops_without(self) -> None:
        """A mark of 0 is a drop."""
        self.marks = [0x2000_0001, 0, 0x4000_0000]
        self.started(packets=3)
        self.port.doRead()
        self.assertEqual(self.verdicts(), [[0x2000_0001], [None], [0x4000_0000]])

    def test_counts_overruns_and_goes_on(self) -> None:
        """ENOBUFS is the loss of some packets, not of the queue."""
        self.started(packets=2)
        self.queue.overrun()
        self.port.doRead()
        self.assertEqual((self.queue.overruns, len(self.decided), self.faults.count), (1, 2, 0))

    def test_decides_about_what_waits_before_it_stops(self) -> None:
        """In as many turns as it takes."""
        self.started(packets=10)
        self.port.stop()
        self.assertEqual(self.verdicts(), [[1]] * 10)

    def test_stops_under_a_flood(self) -> None:
        """It decides about one queue's length; the kernel drops what comes on and on."""

        def refill(payload: bytes, *, now: float) -> int:
            self.queue.arrive(datagram(b"more"))
            return self.decide(payload, now=now)

        self.patch(self.port, "_decide", refill)
        self.started(packets=1)
        self.port.stop()
        self.assertEqual(len(self.decided), ADMISSION.queue_length)

    def test_can_be_stopped_without_having_started(self) -> None:
        """As after another service failed to start."""
        self.port.stop()
        self.assertEqual(self.reactor.getReaders(), [])


class QueuePortFaultTests(QueuePortTestCase):
    """What goes wrong neither leaves a packet undecided nor the reactor without its reader."""

    def test_drops_the_packet_when_deciding_raises(self) -> None:
        """And decides about the next one."""
        self.marks = [ValueError("broken")]
        self.started(packets=2)
        self.port.doRead()
        self.assertEqual((self.verdicts(), self.faults.count), ([[None], [1]], 1))

    def test_drops_the_packet_when_the_mark_is_impossible(self) -> None:
        """It has no verdict yet when that shows."""
        self.marks = [1 << 40]
        self.started(packets=1)
        self.port.doRead()
        self.assertEqual((self.verdicts(), self.faults.count), ([[None]], 1))

    def test_does_not_raise_when_the_descriptor_can_not_be_read(self) -> None:
        """An exception would end all reading; it is counted, and the next turn tries again."""
        self.started(packets=1)
        self.queue.faults.append(OSError("bad file descriptor"))
        self.port.doRead()
        self.assertEqual((self.decided, self.faults.count), ([], 1))
        self.port.doRead()
        self.assertEqual(self.verdicts(), [[1]])

    def test_goes_back_when_the_reactor_took_an_overrun_for_the_end(self) -> None:
        """Epoll shows a pending ENOBUFS as an error; reading takes it away."""
        self.started(packets=1)
        self.reactor.removeReader(self.port)
        self.port.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.reactor.getReaders(), self.port.hangups), ([self.port], 1))
        self.assertEqual(self.verdicts(), [[1]])

    def test_gives_the_queue_back_when_the_reactor_ends(self) -> None:
        """With the port still in it."""
        self.started(packets=1)
        self.reactor.removeReader(self.port)
        self.port.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((self.reactor.getReaders(), self.port.fileno()), ([], -1))
        self.assertEqual(self.verdicts(), [[]])

    @given(st.lists(st.one_of(st.integers(-1, 1 << 33), st.builds(ValueError), st.builds(RuntimeError)), max_size=12))
    def test_gives_every_packet_exactly_one_verdict(self, marks: list[int | Exception]) -> None:
        """Whatever is decided, and whatever is raised instead."""
        self.setUp()
        self.marks = list(marks)
        self.started(packets=len(marks))
        for _ in range(4):
            self.port.doRead()
        good = [mark if isinstance(mark, int) and 0 < mark < 1 << 32 else None for mark in marks]
        self.assertEqual(self.verdicts(), [[mark] for mark in good])


class FloodTests(SynchronousTestCase):
    """When so many are refused that the queue is polled."""

    def test_rages_from_that_rate_on(self) -> None:
        """Whatever a turn takes; admitted packets do not count."""
        for taken, admitted, rages in ((200, 0, True), (199, 0, False), (300, 100, True), (300, 101, False)):
            flood = Flood()
            flood.note(0, 0, 0.0)
            flood.note(taken, admitted, 0.01)
            self.assertEqual(flood.rages, rages, (taken, admitted))

    def test_is_the_sum_of_several_turns(self) -> None:
        """Within the time after which it is found out, nothing is decided."""
        flood = Flood()
        flood.note(0, 0, 100.0)
        for turn in range(1, 10):
            flood.note(32, 0, 100.0 + turn / 1000)
            self.assertFalse(flood.rages)
        flood.note(32, 0, 100.0101)
        self.assertTrue(flood.rages)

    def test_ends_when_fewer_come(self) -> None:
        """And a burst after a long silence is none."""
        flood = Flood()
        flood.note(400, 0, 0.01)
        self.assertTrue(flood.rages)
        flood.note(200, 0, 0.03)
        self.assertFalse(flood.rages)
        flood.note(1000, 0, 200.0)
        self.assertFalse(flood.rages)


class PollingTests(QueuePortTestCase):
    """A port while a flood rages."""

    def rage(self) -> None:
        """Refuses so many packets in one observation that the flood is seen."""
        self.started()
        self.port.doRead()
        self.refuse(int(FLOOD * OBSERVED * 2))
        while self.queue.run(0) == 0 and self.marks:
            self.port.doRead()
        self.clock.advance(OBSERVED)
        self.refuse(1)
        self.port.doRead()

    def refuse(self, count: int) -> None:
        """So many packets come that will be refused."""
        for _ in range(count):
            self.queue.arrive(datagram(b"stray"))
            self.marks.append(0)
            if len(self.marks) == ADMISSION.queue_length:
                while self.marks:
                    self.port.doRead()

    def test_is_out_of_the_reactor_and_looks_again(self) -> None:
        """After a millisecond, and takes what came meanwhile."""
        self.rage()
        self.assertEqual(self.reactor.getReaders(), [])
        self.refuse(3)
        self.reactor.advance(PAUSE)
        self.assertEqual(self.marks, [])

    def test_looks_again_at_once_when_more_waits(self) -> None:
        """So many packets per turn hold all the same."""
        self.rage()
        taken, run = list[int](), self.queue.run

        def note(limit: int) -> int:
            taken.append(run(limit))
            return taken[-1]

        self.patch(self.queue, "run", note)
        self.refuse(3 * ADMISSION.per_turn + 1)
        self.reactor.advance(PAUSE)
        self.assertEqual(taken, [*[ADMISSION.per_turn] * 3, 1])

    def test_waits_for_packets_again_when_it_is_over(self) -> None:
        """At the first look after the observation."""
        self.rage()
        for _ in range(int(OBSERVED / PAUSE) + 2):
            self.reactor.advance(PAUSE)
        self.assertEqual((self.reactor.getReaders(), self.reactor.getDelayedCalls()), ([self.port], []))

    def test_can_be_stopped(self) -> None:
        """What waits is decided, and nothing is left in the reactor."""
        self.rage()
        self.refuse(9)
        self.port.stop()
        self.assertEqual((self.reactor.getReaders(), self.reactor.getDelayedCalls(), self.marks), ([], [], []))
        self.assertEqual(self.port.fileno(), -1)

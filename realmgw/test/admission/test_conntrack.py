"""What conntrack is asked, and how its answers are read."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.conntrack import Conntrack, Seen
from realmgw.admission.port import EndedFlows
from realmgw.admission.service import Hearing
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.claims.ended import HANDSHAKES
from realmgw.config.settings import Allocation
from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.destroyed import Flow
from realmgw.datapath.netlink.port import PER_TURN, NetlinkListener
from realmgw.errors import PlatformError
from realmgw.test.datapath.netlink.test_destroyed import ASSURED, FLOW, HOST, POOL, SEEN_REPLY, SOURCE, UDP, side

IDENTITY = b"\1\2\3\4"


class MemoryChannel:
    """A netlink socket whose kernel has one flow, or fails.

    Attributes:
        sent: The kinds of the messages that it was sent.
        fault: What it fails with next.
    """

    def __init__(self, *, status: int = SEEN_REPLY, remaining: int = 20) -> None:
        self.body = (
            struct.pack("!BBH", 2, 0, 0)
            + codec.attribute(1 | codec.NESTED, side(SOURCE, POOL, UDP, (5000, 2000)))
            + codec.attribute(2 | codec.NESTED, side(HOST, SOURCE, UDP, (2000, 5000)))
            + codec.attribute(3, status.to_bytes(4, "big"))
            + codec.attribute(7, remaining.to_bytes(4, "big"))
            + codec.attribute(12, IDENTITY)
        )
        self.there = True
        self.read = 0
        self.sent: list[codec.Message] = []
        self.fault: OSError | None = None

    def send(self, data: bytes) -> int:
        """Take questions; answers to former ones are read already, or lost."""
        self.read = len(self.sent)
        self.sent += codec.messages(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        """Answer it."""
        del size
        if self.fault is not None:
            raise self.fault
        asked = self.sent[self.read]
        self.read += 1
        if self.there and asked.kind & 0xFF == 1:
            return codec.message(1 << 8, 0, asked.sequence, self.body)
        error, self.there = 0 if self.there else -codec.ENOENT, False
        return codec.message(codec.ERROR, 0, asked.sequence, struct.pack("=i", error) + bytes(16))

    def close(self) -> None:
        """Go."""


class SomeChannel(MemoryChannel):
    """A netlink socket whose kernel has the flows from ports of 5000 and above.

    Attributes:
        sends: How often it was sent something.
    """

    def __init__(self, most: int = 99) -> None:
        """It has room for so many answers."""
        super().__init__()
        self.sends, self._most = 0, most

    def send(self, data: bytes) -> int:
        """Take some; the answers may have no room."""
        self.sends += 1
        super().send(data)
        self.fault = OSError(errno.ENOBUFS, "") if len(self.sent) - self.read > self._most else None
        return len(data)

    def recv(self, size: int) -> bytes:
        """Answer the next."""
        asked = self.sent[self.read].body
        self.there = any(side(SOURCE, POOL, UDP, (port, 2000)) in asked for port in range(5000, 5010))
        return super().recv(size)


class ConntrackTestCase(SynchronousTestCase):
    """Conntrack with the kernel's usual settings."""

    def setUp(self) -> None:
        """Writes them."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        for name, value in {"udp_timeout": 30, "udp_timeout_stream": 120, "events": 2}.items():
            self.set(name, value)
        self.clock = Clock()

    def set(self, name: str, value: int) -> None:
        """The operator sets something."""
        (self.folder / f"nf_conntrack_{name}").write_text(f"{value}\n")

    def conntrack(self, channel: MemoryChannel) -> Conntrack:
        """Asks by this channel."""
        return Conntrack(self.clock.seconds, lambda **_: channel, self.folder)


class FindTests(ConntrackTestCase):
    """`Conntrack.find`."""

    def found(self, channel: MemoryChannel, flow: Flow = FLOW) -> Seen | None:
        """One flow."""
        [seen] = self.conntrack(channel).find((flow,))
        return seen

    def test_a_flow_by_a_packet_of_its(self) -> None:
        """And it can be ended; of UDP nothing is proven."""
        channel = MemoryChannel(status=SEEN_REPLY | ASSURED)
        conntrack = self.conntrack(channel)
        [seen] = conntrack.find((FLOW,))
        assert seen is not None
        self.assertEqual((seen.tracked.original.source, seen.tracked.reply.source), (SOURCE, HOST))
        self.assertEqual((seen.tracked.assured, seen.is_proven, len(channel.sent)), (True, False, 1))
        self.assertEqual(conntrack.end((seen, seen)), [True, False])
        channel.fault = OSError()
        self.assertEqual((conntrack.end((seen, seen)), conntrack.unasked), ([False, False], 1))

    def test_a_handshake_is_proof(self) -> None:
        """When it came to its end, of whichever protocol begins with one."""
        for protocol in HANDSHAKES:
            flow = (SOURCE, POOL, protocol, 5000, 2000)
            for status, expected in ((SEEN_REPLY | ASSURED, True), (SEEN_REPLY, False)):
                seen = self.found(MemoryChannel(status=status), flow)
                self.assertEqual(seen and seen.is_proven, expected)

    def test_a_packet_is_looked_for_both_ways(self) -> None:
        """What is not there is none."""
        channel = MemoryChannel()
        channel.there = False
        self.assertIsNone(self.found(channel))
        self.assertEqual(len(channel.sent), 2)
        self.assertIn(side(SOURCE, POOL, UDP, (5000, 2000))[:20], channel.sent[0].body)
        self.assertIn(side(POOL, SOURCE, UDP, (2000, 5000))[:20], channel.sent[1].body)

    def test_several_are_asked_for_at_once(self) -> None:
        """And those that are not there the other way round; each has its own answer."""
        channel = SomeChannel()
        wanted = [(SOURCE, POOL, UDP, port, 2000) for port in (1, 5000, 2, 5001)]
        found = self.conntrack(channel).find(wanted)
        self.assertEqual([each is not None for each in found], [False, True, False, True])
        self.assertEqual((channel.sends, len(channel.sent)), (2, 6))
        self.assertEqual(self.conntrack(channel).find(()), [])

    def test_a_kernel_that_does_not_tell_has_none(self) -> None:
        """And what it does not tell of several, it is asked for again, of each by itself."""
        channel = MemoryChannel()
        channel.fault = TimeoutError()
        conntrack = self.conntrack(channel)
        self.assertEqual((conntrack.find((FLOW,)), conntrack.unasked), ([None], 1))
        full = SomeChannel(most=2)
        conntrack = self.conntrack(full)
        found = conntrack.find([(SOURCE, POOL, UDP, 5000 + number, 2000) for number in range(4)])
        self.assertEqual(([each is not None for each in found], conntrack.unasked), ([True] * 4, 1))


class IdleTests(ConntrackTestCase):
    """`Conntrack.idle`."""

    def test_what_remains_tells_since_when_a_flow_is_idle(self) -> None:
        """By the time that flows of its kind are remembered for."""
        for status, expected in ((SEEN_REPLY, (10, False)), (SEEN_REPLY | ASSURED, (100, True))):
            idle = self.conntrack(MemoryChannel(status=status)).idle(FLOW)
            assert idle is not None
            self.assertEqual((idle.seconds, idle.assured, idle.remaining), (*expected, 20))

    def test_follows_the_operator(self) -> None:
        """Soon after he has set other times; a flow that has more time than them is not idle."""
        conntrack = self.conntrack(MemoryChannel())
        conntrack.idle(FLOW)
        self.set("udp_timeout", 15)
        self.clock.advance(20)
        idle = conntrack.idle(FLOW)
        assert idle is not None
        self.assertEqual(idle.seconds, 0)

    def test_a_flow_that_is_not_there_is_none(self) -> None:
        """That is an answer, not a fault."""
        channel = MemoryChannel()
        channel.there = False
        conntrack = self.conntrack(channel)
        self.assertIsNone(conntrack.idle(FLOW))
        self.assertEqual(conntrack.unasked, 0)

    def test_ends_the_very_entry_that_it_has_asked_about(self) -> None:
        """Once; another flow with these ports is another entry."""
        channel = MemoryChannel()
        idle = self.conntrack(channel).idle(FLOW)
        assert idle is not None
        self.assertTrue(idle.end())
        self.assertIn(IDENTITY, channel.sent[-1].body)
        self.assertFalse(idle.end())

    def test_faults_are_counted_and_pass(self) -> None:
        """The kernel does not answer, or nothing that can be understood, or the settings are not there."""
        channel = MemoryChannel()
        conntrack = self.conntrack(channel)
        idle = conntrack.idle(FLOW)
        assert idle is not None
        channel.fault = OSError(errno.ENOBUFS, "No buffer space available")
        self.assertIsNone(conntrack.idle(FLOW))
        self.assertFalse(idle.end())
        channel.fault = None
        self.clock.advance(20)
        (self.folder / "nf_conntrack_udp_timeout").unlink()
        self.assertIsNone(conntrack.idle(FLOW))
        self.assertEqual(conntrack.unasked, 3)


class MemoryEnds(EndedFlows):
    """Ends of flows that a test tells of."""

    def __init__(self) -> None:
        self.heard = self.lost = 0
        self.hears = False
        self.fault: PlatformError | None = None
        self.waiting: list[tuple[Flow, bytes]] = []

    def open(self, told: object) -> None:
        if self.fault is not None:
            raise self.fault
        self.told, self.hears = told, True

    def listen(self) -> None:
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            self.told(*each)  # type: ignore[operator]  # a callable

    @property
    def is_open(self) -> bool:
        return self.hears

    def close(self) -> None:
        self.hears = False


class HearingTests(ConntrackTestCase):
    """`Hearing`."""

    def setUp(self) -> None:
        """An allocator that listens."""
        super().setUp()
        self.reactor, self.ends = MemoryReactorClock(), MemoryEnds()
        self.allocator = Allocator(Allocation(), [], now=0.0, host_at=lambda _: None)
        self.told: list[tuple[str, ...]] = []
        self.hearing = Hearing(
            self.conntrack(MemoryChannel()),
            self.allocator,
            lambda part, lines: self.told.append((part, *lines)),
            self.reactor,
            self.reactor.seconds,
            self.ends,
        )

    def start(self) -> None:
        """Until the test is over."""
        self.hearing.start()
        self.addCleanup(self.hearing.stop)

    def test_all_is_well_where_conntrack_tells(self) -> None:
        """Nothing is told, and it is listened before a packet is decided about."""
        self.start()
        self.assertEqual(self.told, [("conntrack",)])
        self.ends.waiting = [(FLOW, HOST)]
        self.allocator.datagrams.listen()
        self.assertEqual(self.ends.waiting, [])

    def test_hears_of_answers_while_somebody_asks(self) -> None:
        """The allocator's questions; it is looked now and then whether there are still any."""
        asked = self.allocator.ledger.candidates.answers
        assert asked is not None
        self.start()
        self.clock.advance(1.0)
        self.assertIs(asked.has((SOURCE, POOL, 6, 5000, 2000), 1.0), False)
        self.assertEqual(self.hearing.counts()["answers_heard"], 0)
        self.clock.advance(20.0)
        self.reactor.advance(10)
        self.assertIsNone(asked.has((SOURCE, POOL, 6, 5000, 2000), 1.0))

    def test_tells_when_the_operator_has_switched_it_off(self) -> None:
        """And when it is on again."""
        self.start()
        self.set("events", 0)
        self.reactor.advance(10)
        self.assertIn("nf_conntrack_events is 0", self.told[-1][1])
        self.set("events", 1)
        self.reactor.advance(10)
        self.assertEqual(self.told[-1], ("conntrack",))

    def test_listens_to_nothing_where_nothing_is_remembered(self) -> None:
        """And begins and ends with a reload."""
        self.start()
        for ended_flows in (0, 100):
            self.allocator.configure(Allocation(ended_flows=ended_flows))
            self.reactor.advance(10)
            self.assertEqual(self.ends.is_open, ended_flows > 0)

    def test_goes_on_where_the_kernel_does_not_let_it_listen(self) -> None:
        """That is told, and tried again."""
        self.ends.fault = PlatformError("conntrack does not tell (Operation not permitted)")
        self.start()
        self.assertIn("not permitted", self.told[-1][1])
        self.ends.fault = None
        self.reactor.advance(10)
        self.assertEqual((self.told[-1], self.ends.is_open), (("conntrack",), True))


class BrokenChannel:
    """A socket of which each read gives the next of these, or fails with it."""

    def __init__(self, *reads: bytes | OSError) -> None:
        self.reads, self.number = list(reads), 7

    def fileno(self) -> int:
        """Some number, -1 when it is closed."""
        return self.number

    def recv(self, size: int) -> bytes:
        """The next one."""
        del size
        read = self.reads.pop(0) if self.reads else BlockingIOError()
        if isinstance(read, OSError):
            raise read
        return read

    def close(self) -> None:
        """It has no number any more."""
        self.number = -1


class NetlinkListenerTests(SynchronousTestCase):
    """`NetlinkListener`, which hears them."""

    def setUp(self) -> None:
        """Nothing was heard."""
        self.reactor = MemoryReactorClock()
        self.taken: list[bytes] = []
        self.lost: list[None] = []

    def listener(self, channel: BrokenChannel) -> NetlinkListener:
        """Hears what this channel gives."""
        return NetlinkListener(channel, self.taken.append, lambda: self.lost.append(None), self.reactor)  # type: ignore[arg-type]

    def test_goes_on_after_an_overrun(self) -> None:
        """It is counted, and what comes behind is heard."""
        self.listener(BrokenChannel(b"1", OSError(errno.ENOBUFS, ""), b"2")).doRead()
        self.assertEqual((self.taken, len(self.lost)), ([b"1", b"2"], 1))

    def test_takes_a_bounded_number_in_a_turn(self) -> None:
        """Others have their turn, too."""
        self.listener(BrokenChannel(*[b"x"] * 1000)).doRead()
        self.assertEqual(len(self.taken), PER_TURN)

    def test_who_takes_may_close_it(self) -> None:
        """Nothing is read then, and nothing is wrong."""
        channel: Any = BrokenChannel(b"1", OSError(errno.EBADF, "Bad file descriptor"), b"2")
        listener = NetlinkListener(channel, lambda _: listener.close(), lambda: self.lost.append(None), self.reactor)
        with capturedLogs() as logged:
            listener.doRead()
        self.assertEqual((channel.reads, self.lost, logged), ([b"2"], [], []))

    def test_a_socket_that_is_broken_is_given_back(self) -> None:
        """It is read no more; whoever has opened it may see that."""
        listener = self.listener(BrokenChannel(OSError(errno.EBADF, "Bad file descriptor")))
        listener.doRead()
        self.assertEqual((listener.fileno(), self.reactor.getReaders()), (-1, []))

    def test_a_socket_that_is_broken_is_told_of_once(self) -> None:
        """However often somebody would hear from it still."""
        listener = self.listener(BrokenChannel(*[OSError(errno.EBADF, "Bad file descriptor")] * 2))
        with capturedLogs() as logged:
            listener.doRead()
            listener.read(1)
        self.assertEqual(len(logged), 1)

"""What every packet queue does: these tests run against the one in memory and against the kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.admission.client import Judge, PacketQueue
from realmgw.admission.gate import DROP
from realmgw.admission.packet import COPY_RANGE
from realmgw.config import settings
from realmgw.errors import PlatformError
from realmgw.test.admission.packets import ipv4, udp

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase
else:
    SynchronousTestCase = object

ADMISSION = settings.Admission(queue=77, queue_length=6)


def datagram(data: bytes) -> bytes:
    """A packet that `came_through` will tell by its data."""
    return ipv4(17, udp(4000, 5353, data))


def accept(payload: bytes) -> int:
    """Judge everything fit to go on."""
    del payload
    return 1


def drop(payload: bytes) -> int:
    """Judge nothing fit to go on."""
    del payload
    return DROP


class PacketQueueTestsMixin(SynchronousTestCase):
    """The contract of `realmgw.admission.client.PacketQueue`."""

    def make_queue(self) -> PacketQueue:
        """A queue that is bound to nothing; it is closed after the test."""
        raise NotImplementedError

    def arrive(self, *packets: bytes) -> None:
        """Packets come, and are there on return, at a rule for queue 77 that is bypassed when nobody listens."""
        raise NotImplementedError

    def came_through(self) -> list[tuple[bytes, int]]:
        """The data and the mark of the datagrams that went on since the last call, in their order."""
        raise NotImplementedError

    def bound(self, judge: Judge) -> PacketQueue:
        """A queue that is bound."""
        queue = self.make_queue()
        queue.bind(ADMISSION, judge)
        return queue

    def test_lets_an_accepted_packet_go_on_with_its_mark(self) -> None:
        """Any mark of 32 bits but 0."""
        marks = [0x2000_0007, 1, 0xFFFF_FFFF]
        queue = self.bound(lambda _: marks.pop())
        for mark in list(reversed(marks)):
            self.arrive(datagram(b"one"))
            self.assertEqual(self.came_through(), [])
            self.assertEqual(queue.run(10), 1)
            self.assertEqual(self.came_through(), [(b"one", mark)])

    def test_ends_a_dropped_packet(self) -> None:
        """And nobody hears of it."""
        queue = self.bound(drop)
        self.arrive(datagram(b"one"))
        self.assertEqual((queue.run(10), self.came_through()), (1, []))

    def test_gives_each_packet_of_a_turn_its_own_verdict(self) -> None:
        """Whatever those before and behind it get, and in their order."""
        verdicts = {b"0": 7, b"1": DROP, b"2": 0x4000_0000, b"3": DROP, b"4": 9}
        queue = self.bound(lambda payload: verdicts[payload[28:]])
        self.arrive(*(datagram(data) for data in verdicts))
        self.assertEqual(queue.run(10), 5)
        self.assertEqual(self.came_through(), [(data, mark) for data, mark in verdicts.items() if mark])
        figures = queue.figures()
        assert figures is not None
        self.assertEqual(figures.waiting, 0)

    def test_drops_a_packet_whose_judge_raises(self) -> None:
        """It must not, but nothing may stay undecided; what was judged before it has its verdict."""

        def judge(payload: bytes) -> int:
            if payload[28:] == b"bad":
                raise ValueError("broken")
            return 5

        queue = self.bound(judge)
        self.arrive(datagram(b"one"), datagram(b"bad"), datagram(b"two"))
        self.assertRaises(ValueError, queue.run, 10)
        queue.run(10)
        self.assertEqual(self.came_through(), [(b"one", 5), (b"two", 5)])
        figures = queue.figures()
        assert figures is not None
        self.assertEqual(figures.waiting, 0)

    def test_takes_as_many_as_it_may(self) -> None:
        """The rest waits, in its order."""
        queue = self.bound(accept)
        self.arrive(*(datagram(b"%d" % number) for number in range(5)))
        self.assertEqual(queue.run(3), 3)
        self.assertEqual([data for data, _ in self.came_through()], [b"0", b"1", b"2"])
        self.assertEqual((queue.run(3), queue.run(3)), (2, 0))
        self.assertEqual([data for data, _ in self.came_through()], [b"3", b"4"])

    def test_runs_dry_when_nothing_waits(self) -> None:
        """It does not block."""
        self.assertEqual(self.bound(accept).run(10), 0)

    def test_shows_the_beginning_of_a_packet(self) -> None:
        """From the IP header on, as many octets as the parser may need."""
        seen = list[bytes]()

        def judge(payload: bytes) -> int:
            seen.append(payload)
            return 1

        queue = self.bound(judge)
        short, long = datagram(b"short"), datagram(b"long" * 300)
        self.arrive(short, long)
        queue.run(2)
        self.assertEqual([len(payload) for payload in seen], [len(short), COPY_RANGE])
        self.assertEqual([payload[12:] for payload in seen], [short[12:], long[12:COPY_RANGE]])

    def test_drops_what_exceeds_its_length(self) -> None:
        """And counts it."""
        queue = self.bound(accept)
        self.arrive(*(datagram(b"%d" % number) for number in range(8)))
        figures = queue.figures()
        assert figures is not None
        self.assertEqual((figures.waiting, figures.full, figures.unsent), (6, 2, 0))
        self.assertEqual((queue.run(10), len(self.came_through())), (6, 6))

    def test_drops_what_waits_when_it_is_closed(self) -> None:
        """Nothing that was not decided goes on."""
        queue = self.bound(accept)
        self.arrive(datagram(b"one"), datagram(b"two"))
        queue.close()
        self.assertEqual(self.came_through(), [])
        self.assertEqual((queue.figures(), queue.fileno(), queue.run(1)), (None, -1, 0))

    def test_is_bypassed_when_it_is_closed(self) -> None:
        """What comes later goes on without a mark, for the rules behind to drop."""
        queue = self.bound(accept)
        queue.close()
        self.arrive(datagram(b"one"))
        self.assertEqual(self.came_through(), [(b"one", 0)])

    def test_can_be_closed_twice_and_bound_again(self) -> None:
        """Closing what is closed does nothing."""
        queue = self.bound(drop)
        queue.close()
        queue.close()
        queue.bind(ADMISSION, accept)
        self.arrive(datagram(b"one"))
        self.assertEqual((queue.run(1), self.came_through()), (1, [(b"one", 1)]))

    def test_can_not_be_had_twice(self) -> None:
        """The second one is told who has it; the first one goes on."""
        first, second = self.bound(accept), self.make_queue()
        error = self.assertRaises(PlatformError, second.bind, ADMISSION, drop)
        self.assertIn("packet queue 77 is taken", str(error))
        self.assertEqual(second.fileno(), -1)
        self.arrive(datagram(b"one"))
        self.assertEqual((first.run(1), self.came_through()), (1, [(b"one", 1)]))

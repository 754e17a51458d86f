"""Which connections are established, as conntrack tells of them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission import answers
from realmgw.admission.answers import EVERY, MEMORY, MESSAGES, MISHEARD, RESTS, Answers
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.netlink.test_destroyed import POOL, SOURCE, TCP, UDP, told

FLOW = (SOURCE, POOL, TCP, 5000, 2000)


class MemoryChannel:
    """A socket with what conntrack has told."""

    def __init__(self) -> None:
        self.waiting = list[bytes | OSError]()
        self.is_closed = False
        self.passing: Callable[[], object] = int

    def send(self, data: bytes) -> int:
        """Nothing is asked by it."""
        raise AssertionError(data)

    def recv(self, size: int) -> bytes:
        """The next message; meanwhile time passes."""
        self.passing()
        if not self.waiting:
            raise BlockingIOError
        message = self.waiting.pop(0)
        if isinstance(message, OSError):
            raise message
        return message[:size]

    def close(self) -> None:
        """Go."""
        self.is_closed = True


class AnswersTests(SynchronousTestCase):
    """`Answers`."""

    def setUp(self) -> None:
        """It is 100.0; conntrack tells what happens."""
        self.clock = Clock()
        self.clock.advance(100.0)
        self.channels = list[MemoryChannel]()
        self.is_told, self.fault = True, False
        self.answers = Answers(self.clock.seconds, lambda: self.is_told, self.open)

    def open(self, **_: Any) -> MemoryChannel:
        """Another socket."""
        if self.fault:
            raise RealmGatewayError("netlink: Operation not permitted")
        self.channels.append(MemoryChannel())
        return self.channels[-1]

    def later(self, seconds: float, *told: bytes | OSError) -> None:
        """Conntrack tells something, after some time."""
        self.clock.advance(seconds)
        self.channels[-1].waiting += told

    def test_a_flow_is_answered_when_that_was_told(self) -> None:
        """From the first question on it is known of all that come later."""
        self.assertIs(self.answers.has(FLOW, 100.0), False)
        self.later(0.1, told(TCP))
        self.assertIs(self.answers.has(FLOW, 100.0), True)
        self.assertIs(self.answers.has((*FLOW[:3], 5001, 2000), 100.05), False)

    def test_there_is_news_of_an_address_when_a_connection_to_it_was_told(self) -> None:
        """And when that is not sure any more, or may just wait; not of another address."""
        address, other = FLOW[1], bytes(4)
        before = self.answers.news(address), self.answers.news(other)
        self.assertNotIn(None, before)
        self.later(0.1)
        self.assertEqual((self.answers.news(address), self.answers.news(other)), before)
        self.later(0.1, told(TCP))
        after = self.answers.news(address)
        self.assertNotEqual(after, before[0])
        self.assertEqual(self.answers.news(other), before[1])
        self.later(0.1, OSError(errno.ENOBUFS, "lost"))
        self.assertNotEqual(self.answers.news(other), before[1])
        self.later(0.1, *[told(TCP)] * (MESSAGES + 1))
        self.assertIsNone(self.answers.news(other))
        self.answers.close()
        self.fault = True
        self.assertIsNone(self.answers.news(other))

    def test_what_can_not_be_known_is_to_be_asked_for(self) -> None:
        """Whoever came before, or long ago, and what is no connection of TCP by IPv4."""
        self.assertIsNone(self.answers.has(FLOW, 99.9))
        self.assertIsNone(self.answers.has((*FLOW[:2], UDP, 5000, 2000), 100.0))
        self.assertIsNone(self.answers.has((bytes(16), bytes(16), *FLOW[2:]), 100.0))
        self.later(MEMORY + 0.1)
        self.assertIsNone(self.answers.has(FLOW, 100.0))

    def test_what_may_wait_behind_a_go_is_to_be_asked_for(self) -> None:
        """Until all was taken; whoever was heard by then is known, and nothing is mistrusted meanwhile."""
        self.answers.has(FLOW, 100.0)
        other = (*FLOW[:3], 5001, 2000)
        self.later(EVERY, *[told(TCP)] * (MESSAGES + 1))
        self.assertIs(self.answers.has(FLOW, 100.0), True)
        self.assertIsNone(self.answers.has(other, 100.0))
        self.assertEqual(len(self.channels[0].waiting), 1)
        self.later(EVERY, *[told(TCP)] * MESSAGES)
        self.answers.mistrust(other)
        self.assertEqual((self.answers.misheard, len(self.channels[0].waiting)), (0, 1))
        self.later(EVERY)
        self.assertIs(self.answers.has(other, 100.0), False)
        self.assertEqual(self.channels[0].waiting, [])

    def test_a_flood_has_half_of_the_time(self) -> None:
        """Conntrack tells without end, and it is asked all the time: as long as a go takes, there is none after it."""
        self.answers.has(FLOW, 100.0)
        channel, taking = self.channels[0], 0.0
        channel.waiting = [told(TCP)] * (20 * MESSAGES)
        channel.passing = lambda: self.clock.advance(0.00001)
        self.clock.advance(EVERY)
        begun = self.clock.seconds()
        while len(channel.waiting) > MESSAGES:
            before = self.clock.seconds()
            self.answers.has(FLOW, 100.0)
            taking += self.clock.seconds() - before
            self.clock.advance(0.0001)
        self.assertEqual(self.answers.heard, 19 * MESSAGES)
        self.assertLess(taking, 0.53 * (self.clock.seconds() - begun))

    def test_is_remembered_as_long_as_it_is_asked_for(self) -> None:
        """And no longer than twice that."""
        self.answers.has(FLOW, 100.0)
        self.later(MEMORY - 0.1, told(TCP))
        self.assertIs(self.answers.has(FLOW, 101.0), True)
        self.later(MEMORY)
        self.assertIs(self.answers.has(FLOW, self.clock.seconds()), True)
        self.later(MEMORY)
        self.assertIs(self.answers.has(FLOW, self.clock.seconds()), False)

    def test_the_socket_is_read_now_and_then(self) -> None:
        """Not for each of thousands of questions."""
        self.answers.has(FLOW, 100.0)
        self.later(EVERY)
        self.answers.has(FLOW, 100.0)
        self.later(EVERY / 2, told(TCP))
        self.assertIs(self.answers.has(FLOW, 100.0), False)
        self.later(EVERY)
        self.assertIs(self.answers.has(FLOW, 100.0), True)

    def test_after_a_loss_who_came_before_is_asked_for(self) -> None:
        """Also if more are told than can be remembered; who comes later is known."""
        self.patch(answers, "MOST", 3)
        full = [told(TCP, ports=(port, 2000)) for port in range(4)]
        for lost in ([OSError(errno.ENOBUFS, "No buffer space available")], full):
            now = self.clock.seconds()
            self.answers.has(FLOW, now)
            self.later(0.1, *lost)
            self.assertIsNone(self.answers.has(FLOW, now))
            self.assertIs(self.answers.has(FLOW, now + 0.1), False)
        self.assertEqual(self.answers.lost, 2)

    def test_where_nothing_is_told_all_are_asked_for(self) -> None:
        """Since it is switched off, not allowed, or breaks; that is tried again."""
        self.is_told = False
        self.assertIsNone(self.answers.has(FLOW, 100.0))
        self.is_told, self.fault = True, True
        self.clock.advance(RESTS)
        self.assertIsNone(self.answers.has(FLOW, 110.0))
        self.fault = False
        self.clock.advance(RESTS / 2)
        self.assertIsNone(self.answers.has(FLOW, 115.0))
        self.clock.advance(RESTS / 2)
        self.assertIs(self.answers.has(FLOW, 120.0), False)
        self.later(1.0, OSError(errno.EBADF, "Bad file descriptor"))
        self.assertIsNone(self.answers.has(FLOW, 120.0))
        self.assertIs(self.answers.has(FLOW, 121.0), False)

    def test_what_tells_nothing_is_not_believed_for_long(self) -> None:
        """Flows turn out to be answered, and nothing was heard at all; what is told just then was heard."""
        for answered in (True, False):
            for _ in range(MISHEARD):
                self.answers.has(FLOW, self.clock.seconds())
                self.later(1.0, *([told(TCP)] if answered else []))
                self.answers.mistrust(FLOW if answered else (*FLOW[:3], 5001, 2000))
        self.assertEqual((self.answers.heard, self.answers.misheard), (MISHEARD, MISHEARD))
        self.assertTrue(self.channels[-1].is_closed)
        self.clock.advance(10 * RESTS)
        self.assertIsNone(self.answers.has(FLOW, self.clock.seconds()))

    def test_nobody_listens_where_nobody_asks(self) -> None:
        """It begins again with the next question."""
        self.answers.has(FLOW, 100.0)
        self.clock.advance(RESTS)
        self.answers.rest()
        self.assertFalse(self.channels[-1].is_closed)
        self.clock.advance(1.0)
        self.answers.rest()
        self.assertTrue(self.channels[-1].is_closed)
        self.assertIs(self.answers.has(FLOW, 111.0), False)
        self.assertEqual(len(self.channels), 2)

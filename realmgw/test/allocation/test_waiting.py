"""Tests of the queue of those who wait for an address."""

from __future__ import annotations

from collections.abc import Hashable

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.group import Group
from realmgw.allocation.waiting import PREFERENCE, Waiter, WaitingQueue
from realmgw.errors import Reason
from realmgw.subscribers.model import Service
from realmgw.test.allocation.scene import service

ONE, TWO, THREE = service(1), service(2), service(3)


def ignore(outcome: bytes | Reason) -> None:
    """Nobody listens."""


def waiter(asked: Service, question: Hashable, *, now: float, standing: float = 0.45, lasts: float = 1.0) -> Waiter:
    """A query that waits from `now` on."""
    return Waiter(asked, Group("203.0.113.1", standing=standing), question, ignore, now, now + lasts)


class WaitingQueueTests(SynchronousTestCase):
    """Who waits, who is first, and who gives up."""

    def setUp(self) -> None:
        self.queue = WaitingQueue(limit=4)

    def test_the_first_host_is_served_first(self) -> None:
        """Among equals, the query that waits longest is first."""
        for asked in (TWO, ONE, THREE):
            self.queue.join(waiter(asked, asked.name, now=0.0))
        first = self.queue.first(now=0.1)
        assert first is not None
        self.assertIs(first.service, TWO)

    def test_nobody_is_first_in_an_empty_queue(self) -> None:
        """Without waiters there is no first one."""
        self.assertIsNone(self.queue.first(now=0.0))

    def test_all_who_wait_for_a_target_leave_together(self) -> None:
        """The queries for one target leave in the order in which they came; the others stay."""
        for question, asked in enumerate((ONE, TWO, ONE)):
            self.queue.join(waiter(asked, question, now=0.0))
        self.assertEqual([left.question for left in self.queue.leave(ONE.target)], [0, 2])
        self.assertEqual(self.queue.size, 1)

    def test_a_retransmission_joins_its_twin(self) -> None:
        """The same question again waits once, until the first one's deadline, and answers go to the later one."""
        heard: list[str] = []
        first, second = waiter(ONE, "same", now=0.0), waiter(ONE, "same", now=0.5)
        first.deliver = lambda outcome: heard.append("first")
        second.deliver = lambda outcome: heard.append("second")
        self.assertTrue(self.queue.join(first))
        self.assertTrue(self.queue.join(second))
        (left,) = self.queue.give_up(now=1.0)
        left.deliver(Reason.WAITED)
        self.assertEqual((heard, self.queue.size), (["second"], 0))

    def test_the_same_question_for_another_target_is_another_one(self) -> None:
        """Only the same question for the same target is a retransmission."""
        self.queue.join(waiter(ONE, "same", now=0.0))
        self.queue.join(waiter(TWO, "same", now=0.0))
        self.assertEqual(self.queue.size, 2)

    def test_the_queue_is_bounded(self) -> None:
        """The one too many does not wait; a retransmission still joins its twin."""
        for question in range(4):
            self.assertTrue(self.queue.join(waiter(ONE, question, now=0.0)))
        self.assertFalse(self.queue.join(waiter(TWO, 4, now=0.0)))
        self.assertTrue(self.queue.join(waiter(ONE, 3, now=0.0)))
        self.assertEqual(self.queue.size, 4)

    def test_a_better_standing_goes_first(self) -> None:
        """Among the hosts that wait longest, the best standing is served first."""
        self.queue.join(waiter(ONE, 1, now=0.0, standing=0.2))
        self.queue.join(waiter(TWO, 2, now=0.1, standing=0.8))
        first = self.queue.first(now=0.2)
        assert first is not None
        self.assertIs(first.service, TWO)

    def test_nobody_is_overtaken_for_ever(self) -> None:
        """Who has used up half of his time is served next, whatever his standing."""
        self.queue.join(waiter(ONE, 1, now=0.0, standing=0.2))
        self.queue.join(waiter(TWO, 2, now=0.1, standing=0.8))
        first = self.queue.first(now=0.51)
        assert first is not None
        self.assertIs(first.service, ONE)

    def test_only_the_first_few_are_preferred(self) -> None:
        """A best standing far behind in the queue does not overtake."""
        queue = WaitingQueue(limit=100)
        for index in range(1, PREFERENCE + 1):
            queue.join(waiter(service(index), index, now=0.0, standing=0.2))
        queue.join(waiter(service(100), 100, now=0.0, standing=0.9))
        first = queue.first(now=0.0)
        assert first is not None
        self.assertEqual(first.question, 1)

    def test_who_waited_long_enough_gives_up(self) -> None:
        """At its deadline a query gives up, in the order of deadlines; the others wait on."""
        self.queue.join(waiter(ONE, "long", now=0.0, lasts=1.0))
        self.queue.join(waiter(ONE, "short", now=0.0, lasts=0.9))
        self.queue.join(waiter(TWO, "later", now=0.5, lasts=0.9))
        self.assertEqual([one.question for one in self.queue.give_up(now=0.9)], ["short"])
        self.assertEqual([one.question for one in self.queue.give_up(now=1.0)], ["long"])
        self.assertEqual((self.queue.size, self.queue.next_deadline()), (1, 1.4))

    def test_who_was_served_does_not_give_up(self) -> None:
        """A query that has left does not come up again, and no deadline is left of it."""
        self.queue.join(waiter(ONE, 1, now=0.0))
        self.queue.leave(ONE.target)
        self.assertEqual(self.queue.give_up(now=5.0), [])
        self.assertIsNone(self.queue.next_deadline())

    def test_it_knows_who_waits(self) -> None:
        """A question is held for its target from joining to leaving."""
        self.assertFalse(self.queue.holds(ONE.target, 1))
        self.queue.join(waiter(ONE, 1, now=0.0))
        self.assertTrue(self.queue.holds(ONE.target, 1))
        self.assertFalse(self.queue.holds(TWO.target, 1))
        self.queue.leave(ONE.target)
        self.assertFalse(self.queue.holds(ONE.target, 1))

    def test_all_are_dismissed(self) -> None:
        """After dismissal nobody waits and no deadline is left."""
        for question, asked in enumerate((ONE, TWO)):
            self.queue.join(waiter(asked, question, now=0.0))
        self.assertEqual([one.question for one in self.queue.dismiss()], [0, 1])
        self.assertEqual((self.queue.size, self.queue.next_deadline()), (0, None))

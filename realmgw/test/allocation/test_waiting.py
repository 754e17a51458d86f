"""Tests of the queue of those who wait for an address."""

from __future__ import annotations

from collections.abc import Hashable

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.habits import FEW
from realmgw.allocation.waiting import ASKS_AGAIN, IN_LINE, PREFERENCE, TWINS, Waiter, WaitingQueue
from realmgw.errors import Reason
from realmgw.subscribers.model import Service
from realmgw.test.allocation.scene import TCP, service

ONE, TWO, THREE = service(1), service(2), service(3)


def ignore(outcome: bytes | Reason) -> None:
    """Nobody listens."""


def waiter(
    asked: Service,
    question: Hashable,
    *,
    now: float,
    group: Group | None = None,
    standing: float = 0.45,
    lasts: float = 1.0,
) -> Waiter:
    """A query that waits from `now` on, of a group of its own unless it is told."""
    return Waiter(asked, group or Group("203.0.113.1", standing=standing), question, ignore, now, now + lasts)


def everybody(waiter: Waiter) -> bool:
    """Whoever waits may be given an address."""
    return waiter is not None


class WaitingQueueTests(SynchronousTestCase):
    """Who waits, who is first, and who gives up."""

    def setUp(self) -> None:
        self.queue = WaitingQueue(limit=4)

    def test_the_first_host_is_served_first(self) -> None:
        """Among equals, the query that waits longest is first."""
        for asked in (TWO, ONE, THREE):
            self.queue.join(waiter(asked, asked.name, now=0.0))
        first = self.queue.heads(everybody, now=0.1)[0]
        self.assertIs(first.service, TWO)

    def test_nobody_is_first_in_an_empty_queue(self) -> None:
        """Without waiters there is no first one."""
        self.assertEqual(self.queue.heads(everybody, now=0.0), [])

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
        self.assertIsNone(self.queue.join(first))
        self.assertIsNone(self.queue.join(second))
        (left,) = self.queue.give_up(now=1.0)
        left.tell(Reason.WAITED)
        self.assertEqual((heard, self.queue.size), (["second"], 0))

    def test_by_tcp_each_is_told(self) -> None:
        """Though it is one question, which waits once: in bounds, and while one of them is there still."""
        heard: list[int] = []
        delivers = [lambda _, number=number: heard.append(number) for number in range(TWINS + 2)]
        every = [attrs.evolve(waiter(ONE, "same", now=0.0), deliver=each, tcp=True) for each in delivers]
        self.assertEqual([self.queue.join(each) for each in every], [None] * (TWINS + 1) + [every[-1]])
        for number in (0, TWINS, TWINS + 1):
            self.queue.hang_up(ONE.target, "same", delivers[number])
        self.assertEqual(self.queue.size, 1)
        (left,) = self.queue.leave(ONE.target)
        left.tell(Reason.GONE)
        self.assertEqual(heard, list(range(1, TWINS)))

    def test_the_same_question_for_another_target_is_another_one(self) -> None:
        """Only the same question for the same target is a retransmission."""
        self.queue.join(waiter(ONE, "same", now=0.0))
        self.queue.join(waiter(TWO, "same", now=0.0))
        self.assertEqual(self.queue.size, 2)

    def test_the_queue_is_bounded(self) -> None:
        """The one too many does not wait; a retransmission still joins its twin."""
        for question in range(4):
            self.assertIsNone(self.queue.join(waiter(ONE, question, now=0.0)))
        too_many = waiter(TWO, 4, now=0.0)
        self.assertIs(self.queue.join(too_many), too_many)
        self.assertIsNone(self.queue.join(waiter(ONE, 3, now=0.0)))
        self.assertEqual(self.queue.size, 4)

    def test_a_better_standing_goes_first(self) -> None:
        """Among the hosts that wait longest, the best standing is served first."""
        self.queue.join(waiter(ONE, 1, now=0.0, standing=0.2))
        self.queue.join(waiter(TWO, 2, now=0.1, standing=0.8))
        first = self.queue.heads(everybody, now=0.2)[0]
        self.assertIs(first.service, TWO)

    def test_nobody_is_overtaken_for_ever(self) -> None:
        """Who has used up half of his time is served next, whatever his standing."""
        self.queue.join(waiter(ONE, 1, now=0.0, standing=0.2))
        self.queue.join(waiter(TWO, 2, now=0.1, standing=0.8))
        first = self.queue.heads(everybody, now=0.51)[0]
        self.assertIs(first.service, ONE)

    def test_only_the_first_few_are_preferred(self) -> None:
        """A best standing far behind in the queue does not overtake."""
        queue = WaitingQueue(limit=100)
        for index in range(1, PREFERENCE + 1):
            queue.join(waiter(service(index), index, now=0.0, standing=0.2))
        queue.join(waiter(service(100), 100, now=0.0, standing=0.9))
        first = queue.heads(everybody, now=0.0)[0]
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


class FairnessTests(SynchronousTestCase):
    """What groups may have of a queue."""

    def setUp(self) -> None:
        self.many, self.few = Group("203.0.113.1"), Group("203.0.113.2")

    def serve(self, queue: WaitingQueue, *, now: float) -> Waiter:
        """The first one, who leaves with all who wait for the same."""
        first = queue.heads(everybody, now=now)[0]
        queue.leave(first.service.target)
        return first

    def test_no_group_has_many_hosts_in_the_line(self) -> None:
        """Who asks for one host is served soon, however many others were asked for before; then the rest in order."""
        queue = WaitingQueue(limit=1000)
        for index in range(1, 501):
            queue.join(waiter(service(1, TCP, index), index, now=0.0, group=self.many))
        queue.join(waiter(service(1, TCP, 600), 600, now=0.1, group=self.few))
        served = [self.serve(queue, now=0.2).question for _ in range(501)]
        self.assertEqual(served, [*range(1, IN_LINE + 1), 600, *range(IN_LINE + 1, 501)])

    def test_a_host_behind_is_in_the_line_when_others_ask_for_it(self) -> None:
        """It counts as theirs then."""
        queue = WaitingQueue(limit=1000)
        for index in range(1, 501):
            queue.join(waiter(service(1, TCP, index), index, now=0.0, group=self.many))
        queue.join(waiter(service(1, TCP, 400), 600, now=0.1, group=self.few))
        served = [self.serve(queue, now=0.2).question for _ in range(IN_LINE + 2)]
        self.assertEqual(served, [*range(1, IN_LINE + 1), 400, IN_LINE + 1])

    def test_few_hosts_of_many_groups_are_served_in_the_order_in_which_they_came(self) -> None:
        """As long as no group has many, nothing but time counts among equals; a host keeps its place."""
        queue = WaitingQueue(limit=100)
        for index in range(1, 10):
            group = self.many if index % 3 else self.few
            queue.join(waiter(service(1, TCP, index), index, now=0.0, group=group))
        self.assertEqual([self.serve(queue, now=0.1).question for _ in range(9)], list(range(1, 10)))

    def test_a_group_that_fills_the_queue_makes_room_for_others(self) -> None:
        """Its latest queries go, until the others have their share."""
        queue = WaitingQueue(limit=100)
        for index in range(1, 101):
            queue.join(waiter(service(1, TCP, index), index, now=0.0, group=self.many))
        displaced = [
            queue.join(waiter(service(1, TCP, index), index, now=0.1, group=self.few)) for index in range(201, 301)
        ]
        gone = [one.question for one in displaced if one is not None and one.group is self.many]
        self.assertEqual(gone, list(range(100, 100 - len(gone), -1)))
        self.assertGreaterEqual(len(gone), 40)
        self.assertEqual(queue.size, 100)
        self.assertLessEqual(len(gone), 50)
        itself = waiter(service(1, TCP, 999), 999, now=0.2, group=self.many)
        self.assertIs(queue.join(itself), itself)

    def test_a_better_standing_displaces_a_worse_one(self) -> None:
        """A queue that is full of strangers with one query each has room for who is known."""
        queue = WaitingQueue(limit=8)
        for index in range(1, 9):
            queue.join(waiter(service(1, TCP, index), index, now=0.0))
        displaced = queue.join(waiter(service(1, TCP, 9), 9, now=0.0, standing=0.9))
        assert displaced is not None
        self.assertNotEqual(displaced.question, 9)
        stranger = waiter(service(1, TCP, 10), 10, now=0.0)
        self.assertIs(queue.join(stranger), stranger)

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 60), st.sampled_from("jjjlg")), max_size=200))
    def test_counts_agree_whatever_happens(self, course: list[tuple[int, int, str]]) -> None:
        """Who has most is known, and nobody is left over."""
        queue, groups = WaitingQueue(limit=60), [Group(str(number)) for number in range(5)]
        for number, (group, target, what) in enumerate(course):
            if what == "j":
                queue.join(waiter(service(target), number, now=number / 10, group=groups[group]))
            elif what == "l" and queue.waits_for(service(target).target):
                queue.leave(service(target).target)
            else:
                queue.give_up(now=number / 10)
            counts = {each: len(waiters) for each, waiters in queue._shares.waiters.items()}
            self.assertEqual(sum(counts.values()), queue.size)
            self.assertLessEqual(max(queue._line._in_line.values(), default=0), IN_LINE)
            self.assertEqual(set(queue._line.order) | set(queue._line._whose), set(queue._targets))
            self.assertEqual(queue._shares._most, max(counts.values(), default=0))
        queue.give_up(now=1000.0)
        self.assertEqual((queue.size, queue._shares._by_count, *vars(queue._line).values()), (0, *[{}] * 5))

    def test_who_waited_in_vain_has_waited_since_he_asked_first(self) -> None:
        """If he asks again soon; it is said once, and how he waited."""
        queue = WaitingQueue(limit=4)
        group, other = Group("203.0.113.1"), Group("203.0.113.2")
        queue.join(waiter(ONE, "one", now=0.0, group=group))
        queue.join(attrs.evolve(waiter(ONE, "other", now=0.0, group=other), tcp=True))
        self.assertEqual(len(queue.give_up(now=1.0)), 2)
        self.assertEqual(queue.waited_before(ONE.target, group, 1.5), (1.5, False))
        self.assertEqual(queue.waited_before(ONE.target, other, 1.5), (1.5, True))
        self.assertEqual(queue.waited_before(ONE.target, group, 1.5), (0.0, False))
        for begun in (2.0, 4.0):
            queue.join(waiter(ONE, begun, now=begun, group=group))
            queue.give_up(now=begun + 1.0)
        self.assertEqual(queue.waited_before(TWO.target, group, 5.5), (0.0, False))
        self.assertEqual(queue.waited_before(ONE.target, group, 5.5), (3.5, False))

    def test_not_who_asks_once_for_each_client(self) -> None:
        """As three that wait for one name at one time show; it does not matter once it is known who comes together."""
        for count, known, expected in ((2, False, 1), (3, False, 0), (3, True, 1)):
            queue, group = WaitingQueue(limit=4), Group("203.0.113.1")
            for _ in range(FEW if known else 0):
                group.habits.came_together(0.1)
            for number in range(count):
                queue.join(waiter(ONE, number, now=number / 10, group=group))
            queue.give_up(now=1.0)
            self.assertEqual(len(queue.given_up), expected)

    def test_that_is_forgotten(self) -> None:
        """When he asks no more; and of very many the first ones."""
        queue = WaitingQueue(limit=4)
        group = Group("203.0.113.1")
        queue.join(waiter(ONE, "one", now=0.0, group=group))
        queue.give_up(now=1.0)
        queue.give_up(now=1.0 + ASKS_AGAIN)
        self.assertEqual(queue.given_up, {})
        for index in range(1, 10):
            queue.join(waiter(service(index), index, now=5.0, group=group))
            queue.give_up(now=6.0)
        self.assertEqual(len(queue.given_up), 4)

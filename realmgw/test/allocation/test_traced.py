"""Trace ids of flows, looked up when somebody asks."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation import traced as module
from realmgw.allocation.decisionlog import DecisionLog, Way
from realmgw.allocation.flow import Flow
from realmgw.allocation.traced import Traced
from realmgw.config.settings import Allocation
from realmgw.config.steps import finish
from realmgw.test.pauses import Bytecodes

MOST = 100


def flow(number: int) -> Flow:
    """One of many."""
    return b"\xcb\0\x71\x07", b"\xc0\0\2\3", 6, number, 80


class TracedTests(SynchronousTestCase):
    """What is known of flows."""

    def setUp(self) -> None:
        """A log."""
        self.log = DecisionLog(Allocation(decisions=MOST))
        self.traced = Traced(self.log)

    def admit(self, *numbers: int) -> None:
        """Flows are let in, each by an answer of its own number."""
        for number in numbers:
            self.log.admit(0.0, number, "www.example.org.", flow(number), Way.CLAIM)

    def test_each_is_told_once(self) -> None:
        """Also when the log has forgotten what was told last."""
        self.assertEqual(list(self.traced.further()), [])
        self.admit(1, 2)
        self.assertEqual(list(self.traced.further()), [(flow(1), 1), (flow(2), 2)])
        self.admit(3)
        self.assertEqual(list(self.traced.further()), [(flow(3), 3)])
        self.assertEqual(list(self.traced.further()), [])
        self.admit(*range(10, 10 + 2 * MOST))
        self.assertEqual([number for _, number in self.traced.further()], [*range(10 + MOST, 10 + 2 * MOST)])

    def test_of_one_moment_none_is_told_twice(self) -> None:
        """Nor is one left out that came later, within it or after."""
        self.admit(1, 2)
        self.traced.further()
        self.admit(3)
        self.log.admit(1.0, 4, "www.example.org.", flow(4), Way.CLAIM)
        self.assertEqual([number for _, number in self.traced.further()], [3, 4])
        self.log.admit(2.0, 5, "www.example.org.", flow(5), Way.CLAIM)
        self.assertEqual([number for _, number in self.traced.further()], [5])

    def test_what_was_asked_for_is_known_when_the_log_has_forgotten_it(self) -> None:
        """What was let in without an answer has no id."""
        self.admit(1)
        self.log.admit(0.0, 0, "www.example.org.", flow(2), Way.RETURN)
        finish(self.traced.learn())
        self.admit(*range(10, 10 + MOST))
        self.assertEqual([self.traced.of(flow(number)) for number in (1, 2, 3, 10)], [1, 0, 0, 10])

    def test_a_flow_that_looks_the_same_has_the_younger_id(self) -> None:
        """A port was used again."""
        self.admit(1)
        self.log.admit(1.0, 7, "www.example.org.", flow(1), Way.CLAIM)
        self.assertEqual(self.traced.of(flow(1)), 7)

    def test_one_question_takes_no_longer_however_many_there_are(self) -> None:
        """Only the latest ones are learned then."""
        self.patch(module, "AT_ONCE", 2)
        self.admit(1, 2, 3)
        self.assertEqual([self.traced.of(flow(number)) for number in (1, 2, 3)], [0, 2, 3])

    def test_those_that_are_passed_over_cost_nothing(self) -> None:
        """As many calls where a thousand came since as where a few more than are learned did."""
        log = DecisionLog(Allocation(decisions=10_000))
        traced, counts = Traced(log), [Bytecodes(), Bytecodes()]
        for many, each in zip((300, 9000), counts, strict=True):
            for number in range(many):
                log.admit(float(many), number, "www.example.org.", flow(number), Way.CLAIM)
            with each.counting():
                self.assertEqual(traced.of(flow(many - 1)), many - 1)
        self.assertLess(counts[1].steps, counts[0].steps + 200)  # the log is searched by halves

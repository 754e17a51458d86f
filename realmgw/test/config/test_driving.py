"""Tests for `realmgw.config.driving`."""

from __future__ import annotations

from itertools import count
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.driving import SLICE, Driver
from realmgw.config.steps import Blocking, Steps


class BusyClock(Clock):
    """Counts how often it is to call somebody.

    Attributes:
        made: So often.
    """

    made = 0

    def callLater(self, *given: Any, **more: Any) -> IDelayedCall:
        self.made += 1
        return super().callLater(*given, **more)


def counted(many: int) -> Steps[int]:
    """As many steps."""
    for _ in range(many):
        yield None
    return many


def asking() -> Steps[str]:
    """A step that has to be made elsewhere, and one whose failure is met."""
    first = yield Blocking("a file", lambda: "read")
    try:
        yield Blocking("another one", lambda: "")
    except OSError as error:
        return f"{first}, {error}"
    return "no failure"


class DriverTests(SynchronousTestCase):
    """A clock on which each look takes a quarter of a slice."""

    def setUp(self) -> None:
        """Nothing was driven."""
        self.clock, ticks = Clock(), count()
        self.results: list[Deferred[str]] = []
        self.driver = Driver(self.clock, lambda: next(ticks) * SLICE / 4, lambda _blocking: self.results.pop())

    def test_others_have_their_turn(self) -> None:
        """After each slice; the longest is told."""
        turns: list[int] = []
        for _ in range(40):
            self.clock.callLater(0, turns.append, len(turns))
        done = self.driver.drive(counted(100))
        self.assertEqual((done.called, turns), (False, []))
        self.clock.advance(0)
        self.assertEqual((self.successResultOf(done), len(turns)), (100, 40))
        self.assertGreaterEqual(self.driver.longest, SLICE)

    def test_whoever_is_in_less_of_a_hurry_takes_shorter_turns(self) -> None:
        """So others have more of theirs for the same steps."""
        turns = []
        for part in (1, 4):
            clock, now = BusyClock(), count()
            driver = Driver(clock, lambda now=now: next(now) * SLICE / 4, lambda _: succeed(None), SLICE / part)  # type: ignore[misc]  # mypy takes the default for any
            done = driver.drive(counted(100))
            clock.pump([0] * 200)
            self.assertEqual(self.successResultOf(done), 100)
            turns.append(clock.made)
        self.assertGreater(turns[1], 2 * turns[0])

    def test_what_others_take_of_the_processor_is_not_spent(self) -> None:
        """A turn was long by the clock; the longest is told of each."""
        now, spent = iter((0.0, 9.0, 9.0, 10.0, 10.001, 10.001)), iter((0.0, 0.001, 0.001, 0.005))
        driver = Driver(self.clock, lambda: next(now), lambda _: succeed(None), SLICE, lambda: next(spent))
        done = driver.drive(counted(1))
        self.clock.advance(0)
        self.successResultOf(done)
        self.assertEqual((driver.longest, round(driver.most, 6)), (9.0, 0.004))

    def test_what_blocks_is_done_elsewhere(self) -> None:
        """The steps are handed what came of it, be it a failure."""
        self.results = [fail(OSError("gone")), succeed("read")]
        self.assertEqual(self.successResultOf(self.driver.drive(asking())), "read, gone")

    def test_a_fault_ends_it(self) -> None:
        """Whoever asked is told."""

        def faulty() -> Steps[None]:
            yield None
            raise ValueError("ours")

        self.failureResultOf(self.driver.drive(faulty()), ValueError)

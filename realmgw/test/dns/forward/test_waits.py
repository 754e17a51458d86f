"""Tests for `realmgw.dns.forward.waits`."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.forward.asking import Cancel
from realmgw.dns.forward.waits import Waits


class WaitsTests(SynchronousTestCase):
    """Who waits, and for how long."""

    def setUp(self) -> None:
        """Nobody does."""
        self.clock = Clock()
        self.over: list[tuple[float, object]] = []
        self.waits = Waits(self.timer, self.clock.seconds)

    def timer(self, seconds: float, function: Callable[[], object]) -> Cancel:
        """The clock's."""
        call = self.clock.callLater(seconds, function)
        return lambda: call.cancel() if call.active() else None

    def wait(self, seconds: float, what: object = None) -> Cancel:
        """Somebody waits, which is told when that is over."""
        return self.waits.later(seconds, lambda: self.over.append((self.clock.seconds(), what)))

    def advance(self, *times: float) -> None:
        """Time goes by; what is due at once is done."""
        for seconds in times:
            self.clock.advance(seconds)
            self.clock.advance(0)

    def test_each_is_told_in_its_time(self) -> None:
        """Whichever began first, be it long or short."""
        for seconds, what in ((2.0, "a"), (0.5, "b"), (2.0, "c"), (0.0, "d")):
            self.wait(seconds, what)
        self.advance(*[0.25] * 8)
        self.assertEqual(self.over, [(0.25, "d"), (0.5, "b"), (2.0, "a"), (2.0, "c")])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_waits_no_more_is_not_told(self) -> None:
        """Not when others are told in the same moment, of whom one says so."""
        cancel = self.wait(1.0, "a")
        later = list[Cancel]()
        self.waits.later(1.0, lambda: [each() for each in later])
        later.append(self.wait(1.0, "b"))
        cancel()
        self.advance(1.0)
        self.assertEqual((self.over, self.clock.getDelayedCalls()), ([], []))

    def test_there_is_one_timer(self) -> None:
        """Of ten thousand, all of which are answered but the last one."""
        for _ in range(10_000):
            self.wait(0.25)()
            self.clock.advance(0.0001)
        self.wait(0.25, "last")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.advance(0.25)
        self.assertEqual([what for _, what in self.over], ["last"])

    def test_a_fault_of_one_is_not_anothers(self) -> None:
        """They are told all the same."""
        self.waits.later(1.0, lambda: 1 / 0)
        self.wait(1.0, "b")
        self.wait(2.0, "c")
        with self.assertRaises(ZeroDivisionError):
            self.advance(1.0)
        self.advance(0.0, 1.0)
        self.assertEqual([what for _, what in self.over], ["b", "c"])

    def test_who_is_told_may_wait_again(self) -> None:
        """Also for no time at all."""
        self.waits.later(0.0, lambda: self.wait(0.0, "again"))
        self.advance(0.0, 0.0)
        self.assertEqual([what for _, what in self.over], ["again"])

    def test_the_end(self) -> None:
        """Nobody is told, and there is no timer."""
        self.wait(1.0)
        self.waits.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.advance(2.0)
        self.assertEqual(self.over, [])

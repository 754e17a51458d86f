"""Tests for `realmgw.subscribers.leases.turns`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.subscribers.leases.turns import PAUSE, Turns


class TurnsTests(SynchronousTestCase):
    """Turns that are asked for, and when they begin."""

    def setUp(self) -> None:
        """Nobody has asked for one."""
        self.clock, self.begun = Clock(), list[float]()
        self.turns = Turns(self.clock, lambda: self.begun.append(self.clock.seconds()))
        self.turns.start()

    def turn(self, names: int) -> None:
        """What was asked for is done: so many names are in force."""
        self.turns.begun()
        self.turns.done(names)

    def test_all_who_ask_before_it_begins_have_the_same_one(self) -> None:
        """Also while it waits for others; who asks when it has begun has another one."""
        for _ in range(3):
            self.turns.after(0.0)
        self.clock.advance(0)
        self.turns.after(0.0)
        self.clock.advance(1.0)
        self.assertEqual(self.begun, [0.0])
        self.turns.begun()
        self.turns.after(0.0)
        self.clock.advance(1.0)
        self.assertEqual(self.begun, [0.0])
        self.turns.done(1)
        self.clock.advance(0)
        self.assertEqual(self.begun, [0.0, 2.0])

    def test_it_begins_when_the_first_wants_it(self) -> None:
        """Whoever has asked before for a later one."""
        for seconds in (2.0, 1.0, 1.5):
            self.turns.after(seconds)
        self.clock.pump([0.5] * 6)
        self.assertEqual(self.begun, [1.0])

    def test_a_turn_of_several_names_is_followed_by_a_pause(self) -> None:
        """From its end; who asks for later than that has what he asks for, and one name is followed by none."""
        self.turns.after(0.0)
        self.clock.advance(0)
        self.turns.begun()
        self.turns.after(0.0)
        self.clock.advance(1.0)
        self.turns.done(2)
        self.turns.after(-1.0)
        self.clock.advance(PAUSE / 2)
        self.assertEqual(self.begun, [0.0])
        self.clock.advance(PAUSE)
        self.assertEqual(len(self.begun), 2)
        self.turn(1)
        self.turns.after(0.0)
        self.clock.advance(0)
        self.assertEqual(len(self.begun), 3)
        self.turn(9)
        self.turns.after(1.0)
        self.clock.advance(1.0)
        self.assertEqual(len(self.begun), 4)

    def test_one_that_fails_is_followed_by_none(self) -> None:
        """What was asked for is tried again when it is asked for again."""
        self.turn(2)
        self.turn(0)
        self.turns.after(0.0)
        self.clock.advance(0)
        self.assertEqual(len(self.begun), 1)

    def test_there_is_none_before_the_start_nor_after_the_stop(self) -> None:
        """Nor one that was asked for before."""
        self.turns.after(1.0)
        self.turns.stop()
        self.turns.after(0.0)
        Turns(self.clock, lambda: self.begun.append(0.0)).after(0.0)
        self.clock.advance(2.0)
        self.assertEqual((self.begun, self.clock.getDelayedCalls()), ([], []))

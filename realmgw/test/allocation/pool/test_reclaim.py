"""Tests of finding the address to which nobody comes any more."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.pool.reclaim import RESENT, SLACK, STALLED, ReclaimHeap
from realmgw.allocation.state import Address, State


def waiting(number: int, *, held_until: float, standing: float = 0.45) -> Address:
    """An address where somebody is expected until then."""
    return Address(bytes((192, 0, 2, number)), State.WAITING, held_until=held_until, standing=standing)


class ReclaimHeapTests(SynchronousTestCase):
    """The order in which addresses die, and in which dead ones are taken."""

    def setUp(self) -> None:
        self.dead = ReclaimHeap()

    def test_none_is_taken_while_somebody_is_expected_at_each(self) -> None:
        """Before its hold is over, an address is not dead."""
        self.dead.watch([waiting(1, held_until=1.0)])
        self.assertIsNone(self.dead.take(now=0.99))

    def test_an_address_is_dead_at_the_end_of_its_hold(self) -> None:
        """When its hold is over, it is taken, once."""
        address = waiting(1, held_until=1.0)
        self.dead.watch([address])
        self.assertIs(self.dead.take(now=1.0), address)
        self.assertIsNone(self.dead.take(now=1.0))

    def test_the_worst_standing_is_taken_first(self) -> None:
        """Among the dead, the address of the worst standing goes first; among equals, the one that died first."""
        good, bad = waiting(1, held_until=0.1, standing=0.8), waiting(2, held_until=0.3, standing=0.1)
        late, early = waiting(3, held_until=0.4), waiting(4, held_until=0.2)
        self.dead.watch([good, bad, late, early])
        self.assertEqual([self.dead.take(now=1.0) for _ in range(4)], [bad, early, late, good])

    def test_a_new_claim_keeps_an_address_alive(self) -> None:
        """An address whose hold was prolonged is dead at the new end only, also when it was dead already."""
        address = waiting(1, held_until=1.0)
        self.dead.watch([address, waiting(2, held_until=1.0, standing=0.1)])
        self.dead.take(now=1.0)
        address.held_until = 2.0
        self.dead.held(address)
        self.assertIsNone(self.dead.take(now=1.5))
        self.assertIs(self.dead.take(now=2.0), address)

    def test_an_address_that_went_on_is_passed_over(self) -> None:
        """An address that lingers is not taken, nor waited for."""
        address = waiting(1, held_until=1.0)
        self.dead.watch([address])
        address.state = State.LINGERING
        self.assertIsNone(self.dead.next_death(now=0.0))
        self.assertIsNone(self.dead.take(now=1.0))

    def test_the_next_death_is_that_of_the_earliest(self) -> None:
        """The next death is the earliest hold that still stands; without any there is none."""
        one = waiting(1, held_until=1.0)
        self.dead.watch([one, waiting(2, held_until=2.0)])
        self.assertEqual(self.dead.next_death(now=0.0), 1.0)
        one.held_until = 3.0
        self.dead.held(one)
        self.assertEqual(self.dead.next_death(now=0.0), 2.0)

    def test_it_knows_when_a_look_is_worthwhile(self) -> None:
        """Before the earliest hold is over nothing is due; without knowledge of the addresses anything may be."""
        self.assertTrue(self.dead.due(now=0.0))
        self.dead.watch([waiting(1, held_until=1.0), waiting(2, held_until=1.0)])
        self.assertFalse(self.dead.due(now=0.9))
        self.assertTrue(self.dead.due(now=1.0))
        self.dead.take(now=1.0)
        self.assertTrue(self.dead.due(now=1.0))

    def test_at_rest_nothing_is_followed(self) -> None:
        """After `rest` it knows no address, until it watches again."""
        address = waiting(1, held_until=1.0)
        self.dead.watch([address])
        self.dead.rest()
        self.dead.held(address)
        self.assertFalse(self.dead.watching)
        self.assertIsNone(self.dead.next_death(now=0.0))
        self.assertIsNone(self.dead.take(now=5.0))

    def test_memory_is_bounded_while_holds_change(self) -> None:
        """A million claims on one address while the pool is nearly full do not make a million entries."""
        address, other = waiting(1, held_until=0.0), waiting(2, held_until=0.5)
        self.dead.watch([address, other])
        for number in range(1000):
            address.held_until = 1.0 + number
            self.dead.held(address)
        self.assertLessEqual(len(self.dead._holds or ()), 2 * 2 + SLACK)
        self.assertIs(self.dead.take(now=0.5), other)
        self.assertEqual(self.dead.next_death(now=0.0), 1000.0)

    def test_memory_is_bounded_while_a_hold_comes_back(self) -> None:
        """An address whose hold falls back to the same time again and again has one entry that counts."""
        address = waiting(1, held_until=0.5)
        self.dead.watch([address])
        for _ in range(1000):
            self.dead.held(address)
        self.assertLessEqual(len(self.dead._holds or ()), 2 + SLACK)

    def test_memory_is_bounded_among_the_dead(self) -> None:
        """An address of good standing that dies and revives while worse ones are taken leaves no trail."""
        good, bad = waiting(1, held_until=0.0, standing=0.9), waiting(2, held_until=0.0, standing=0.1)
        self.dead.watch([good, bad])
        for number in range(1000):
            good.held_until = bad.held_until = float(number)
            self.dead.held(good)
            self.dead.held(bad)
            self.assertIs(self.dead.take(now=float(number)), bad)
        self.assertLessEqual(len(self.dead._dead), 2 * 2 + SLACK)
        self.assertIs(self.dead.take(now=1000.0), good)

    def test_nobody_is_dead_whose_packet_was_lost(self) -> None:
        """It is sent again, and may wait in the queue then; after that, nobody is waited for any more."""
        self.dead.lost_at = 1.0
        self.assertEqual([self.dead.unseen(now=now) for now in (1.0, 2.2, 2.3)], [RESENT, RESENT, 0.0])
        self.dead.queued = 0.5
        self.assertEqual([self.dead.unseen(now=now) for now in (2.7, 2.8)], [0.5 + RESENT, 0.5])

    def test_many_stalls_are_not_added_without_end(self) -> None:
        """A process that can not keep up is late at each turn; that is not one stall that grows and grows."""
        for number in range(100):
            self.dead.stalled(0.05, now=number * 0.06)
        self.assertLessEqual(self.dead.unseen(now=6.0), STALLED)
        self.dead.stalled(5.0, now=11.0)
        self.assertEqual(self.dead.unseen(now=15.9), 5.0)

    def test_nobody_is_dead_whose_packet_may_lie_unread(self) -> None:
        """A stall does not count: who was alive when it began has as much time after it as he would have had."""
        address = waiting(1, held_until=1.0)
        self.dead.watch([address])
        self.dead.stalled(0.5, now=1.2)
        self.assertIsNone(self.dead.take(now=1.2))
        self.assertFalse(self.dead.due(now=1.49))
        self.assertAlmostEqual(self.dead.next_death(now=1.2) or 0.0, 1.5)
        self.assertIs(self.dead.take(now=1.5), address)

    def test_stall_is_forgiven_for_as_long_as_it_was(self) -> None:
        """After that, what it left behind has been worked off."""
        self.dead.stalled(0.5, now=1.2)
        self.assertEqual([self.dead.unseen(now=now) for now in (1.2, 1.69, 1.71)], [0.5, 0.5, 0.0])

    def test_short_stall_does_not_undo_a_long_one(self) -> None:
        """While a long stall is worked off, turns are long: both are forgiven, and the end comes all the same."""
        self.dead.stalled(0.5, now=1.2)
        self.dead.stalled(0.02, now=1.3)
        self.assertAlmostEqual(self.dead.unseen(now=1.3), 0.52)
        self.assertAlmostEqual(self.dead.unseen(now=1.71), 0.52)
        self.assertEqual(self.dead.unseen(now=1.73), 0.0)

    def test_steady_overload_adds_nothing_up(self) -> None:
        """A timer that is always late by as much is forgiven that much, however long it goes on."""
        now = 0.0
        for _ in range(1000):
            now += 0.05 + 0.2
            self.dead.stalled(0.2, now=now)
            self.assertAlmostEqual(self.dead.unseen(now=now), 0.2)

    def test_nobody_dies_while_the_timer_is_overdue(self) -> None:
        """When the timer should have been heard of, nobody is taken for dead who was alive when it was due."""
        self.dead.watch([waiting(1, held_until=1.0)])
        self.dead.awake_until = 0.9
        self.assertIsNone(self.dead.take(now=1.4))
        self.dead.awake_until = 1.4
        self.assertIsNotNone(self.dead.take(now=1.4))

    def test_overdue_timer_adds_to_a_stall(self) -> None:
        """What is being forgiven goes on being so while the timer is overdue again."""
        self.dead.stalled(0.5, now=1.2)
        self.dead.awake_until = 1.3
        self.assertAlmostEqual(self.dead.unseen(now=1.8), 1.0)

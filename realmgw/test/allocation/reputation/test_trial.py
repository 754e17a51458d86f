"""Tests of what a trial whether a new resolver waits for its answers says where strangers come."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.flow import Flow
from realmgw.allocation.reputation.caution import CAUTIOUS, MOST_STRAYS, WITHHELD, Caution
from realmgw.allocation.reputation.habits import Habits
from realmgw.allocation.reputation.trial import ANSWERED, LOOK_AGAIN
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, Scene, service

ONE, TWO, THREE, FOUR = (service(index) for index in range(1, 5))
ASKED = 1.0
"""When it is told nothing of the first one, until `ENDS`, in monotonic seconds."""
ENDS = ASKED + WITHHELD


class TrialTests(SynchronousTestCase):
    """It asks as often as its clients do, and was told of hosts; clients came, and conntrack tells who is answered."""

    def setUp(self) -> None:
        self.answered = set[Flow]()
        self.scene = Scene(6, answered=self.answered.__contains__)
        for number, asked in enumerate((ONE, TWO, THREE, FOUR)):
            address, source = self.scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2]
            self.answered.add((source, address, 6, 1000 + number, 80))
            self.scene.come(address, source, sport=1000 + number, now=0.1 * number + 0.01)
        self.caution.asks_each_time = True
        self.assertIs(self.scene.ask(ONE, now=ASKED), Reason.EXHAUSTED)
        self.assertTrue(self.caution.withholds(ONE.target, ASKED))

    @property
    def caution(self) -> Caution:
        """What is thought of it."""
        return self.scene.allocator.groups.of("203.0.113.1").habits.caution

    def come(self, last: int, now: float) -> Flow:
        """Somebody comes where the first host is, who was not there before, and is let in."""
        flow = (bytes((203, 0, 113, last)), self.scene.allocator.ledger.last[ONE.target].packed, 6, 2000 + last, 80)
        self.assertEqual(self.scene.allocator.admit(flow, now=now), ONE.host.index)
        return flow

    def said(self, now: float) -> tuple[int, bool, bool]:
        """How many were taken for clients, whether it waits for its answers, and whether it is still tried there."""
        self.caution.look(now)
        return self.caution._strays, self.caution.waits, self.caution._trial is not None

    def test_who_is_not_answered_is_nobody(self) -> None:
        """He is taken for a client until that is known: half a second after he came, and not before it is over."""
        self.come(1, ASKED + 0.1)
        self.come(2, ENDS - 0.1)
        self.assertEqual(self.said(ENDS - 0.01), (2, False, True))
        self.assertTrue(self.caution.is_suspected)
        self.assertFalse(self.caution.withholds(ONE.target, ENDS))
        [reservation] = self.scene.allocator.ledger.last[ONE.target].reservations.values()
        self.assertIs(reservation.trial, self.scene.allocator.groups.of("203.0.113.1").habits)
        self.assertEqual(self.said(ENDS - 0.11 + ANSWERED), (2, False, True))
        self.assertIsNone(reservation.trial)  # the address may be lent, and another one tried there
        reservation.trial = another = Habits()
        self.assertEqual(self.said(ENDS - 0.1 + ANSWERED), (0, True, False))
        self.assertEqual(self.caution._came, {})
        self.assertIs(reservation.trial, another)

    def test_also_if_it_is_known_meanwhile_that_strangers_come(self) -> None:
        """Whoever counted before that is forgotten once, whenever it is found out that he was not answered."""
        for seen in (ENDS + ANSWERED, ASKED + 3 * CAUTIOUS):
            self.setUp()
            self.come(1, ASKED + 0.1)
            self.scene.allocator.ledger.candidates.alarmed_until = 99.0
            self.come(2, ASKED + 0.2)
            self.assertEqual(self.caution._strays, 0)
            self.assertEqual(self.said(seen), (0, True, False))

    def test_nor_does_he_count_when_the_trial_was_given_up(self) -> None:
        """Since somebody else came who is refused: who is not answered is forgotten in the end, and once."""
        self.scene.allocator.ledger.candidates.alarmed_until = 99.0
        flow = self.come(1, ASKED + 0.1)
        place = self.scene.allocator.ledger.last[ONE.target].reservations[0]
        self.scene.allocator.arrivals._late.tell(place, flow, -1.0, ASKED + 0.2, let_in=False)
        self.assertEqual(self.said(ASKED + 0.2), (0, False, False))
        self.assertEqual(self.said(self.caution._until), (0, False, False))

    def test_who_is_answered_has_been_told(self) -> None:
        """As soon as that is known it is tried elsewhere; whoever else came."""
        self.come(1, ASKED + 0.1)
        flow = self.come(2, ASKED + 0.2)
        self.assertEqual(self.said(ASKED + 0.2), (2, False, True))
        self.answered.add(flow)
        self.assertEqual(self.said(ASKED + 0.2 + LOOK_AGAIN / 2), (2, False, True))
        self.assertEqual(self.said(ASKED + 0.2 + LOOK_AGAIN), (2, False, False))
        self.assertIs(self.scene.ask(TWO, now=ASKED + 0.3), Reason.EXHAUSTED)

    def test_also_if_that_is_known_when_it_is_over(self) -> None:
        """It is looked at last of all."""
        flow = self.come(1, ENDS - 0.01)
        self.said(ENDS - 0.01 + ANSWERED - LOOK_AGAIN / 2)
        self.answered.add(flow)
        self.assertEqual(self.said(ENDS - 0.01 + ANSWERED), (1, False, False))

    def test_who_comes_when_it_is_over_says_nothing(self) -> None:
        """Whatever it is told then, he may have been told."""
        flow = (CLIENT, self.scene.allocator.ledger.last[ONE.target].packed, 6, 3000, 80)
        self.assertFalse(self.caution.came(flow, -1.0, ENDS, known=False, let_in=True, forged=False))
        self.assertEqual(self.said(ENDS), (0, True, False))

    def test_what_has_passed_on_when_it_is_over_says_nothing(self) -> None:
        """Whoever comes finds another host; also if that is known only later."""
        self.come(1, ENDS - 0.1)
        ledger = self.scene.allocator.ledger
        address = ledger.last[ONE.target]
        [reservation] = address.reservations.values()
        ledger.remove(reservation, ENDS - 0.05)
        self.assertEqual(self.said(ENDS), (1, False, True))
        self.assertEqual(self.said(ENDS + ANSWERED), (0, False, False))

    def test_of_very_many_nothing_can_be_told(self) -> None:
        """Each is looked for in conntrack, also where it is known that strangers come."""
        self.scene.allocator.ledger.candidates.alarmed_until = 99.0
        for number in range(MOST_STRAYS + 1):
            self.come(number, ASKED + 0.1 + 0.005 * number)
        self.assertFalse(self.said(ASKED + 0.2)[2])

    def test_who_knocks_everywhere_is_nobody(self) -> None:
        """It is no client who may have been told."""
        knocking = bytes((203, 0, 113, 9))
        for number in range(5, 9):
            self.scene.come(bytes((192, 0, 2, number)), knocking, now=ASKED + 0.01 * number)
        self.assertTrue(self.scene.allocator.ledger.candidates.is_stranger(knocking))
        self.come(9, ASKED + 0.1)
        self.assertEqual(self.said(ENDS), (0, True, False))

    def test_who_is_refused_while_strangers_come_says_nothing(self) -> None:
        """Nor does he make it a suspect that was seen to wait before; it is tried anew."""
        self.assertEqual(self.said(ENDS), (0, True, False))
        for alarmed, strays in ((True, 0), (False, 1)):
            self.scene.allocator.ledger.candidates.alarmed_until = 99.0 if alarmed else 0.0
            late = self.caution._until - 5.0
            self.assertIs(self.scene.ask(TWO, now=late), Reason.EXHAUSTED)
            address = self.scene.allocator.ledger.last[TWO.target].packed
            flow = (bytes((203, 0, 113, 20)), address, 6, 3000, 80)
            self.scene.allocator.arrivals._late.tell(
                self.scene.allocator.pool.addresses[address].reservations[0], flow, -1.0, late + 0.01, let_in=False
            )
            self.assertEqual(self.said(late + 0.02), (strays, alarmed, False))

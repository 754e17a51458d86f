"""Tests of what resolvers do with answers, and of what follows from it."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.explain import explain_ask
from realmgw.allocation.reputation.caution import ASSUMED
from realmgw.allocation.reputation.habits import (
    COMPANIONS,
    FEW,
    LATECOMERS,
    LONGER,
    MOVES,
    REMEMBERED,
    REPEATS,
    SECOND,
    STRAYING,
    TOGETHER,
    Habits,
)
from realmgw.allocation.state import Reservation, State
from realmgw.errors import Reason
from realmgw.subscribers.model import Service, Terms
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, TCP, THIRD, Scene, host, service

ONE, TWO, THREE = (service(index) for index in range(1, 4))
PATIENCE = 0.1
LATE = [bytes((203, 0, 113, number)) for number in range(LATECOMERS)]


def keeper(seconds: float, now: float = 0.0) -> Habits:
    """Of somebody who keeps answers for so long."""
    habits = Habits()
    for src in LATE:
        habits.came_again(src, seconds, PATIENCE, now)
    for _ in range(REPEATS):
        habits.asked_again(seconds, PATIENCE, now)
    return habits


class HabitsTests(SynchronousTestCase):
    """What is learned of whom."""

    def test_of_a_stranger_nothing_is_known(self) -> None:
        """One client comes for each answer, as far as is known."""
        habits = Habits()
        self.assertEqual(
            (habits.window(PATIENCE, 0.0), habits.spell(PATIENCE), habits.keeps_answers), (0.0, 0.0, False)
        )

    def test_clients_who_come_late_give_a_keeper_away(self) -> None:
        """Several of them; how long it keeps answers is told by when it asks again."""
        habits = Habits()
        for number, src in enumerate(LATE):
            self.assertEqual(habits.keeps_answers, False, number)
            habits.came_again(src, 3.0, PATIENCE, 0.0)
        self.assertEqual(habits.window(PATIENCE, 0.0), LONGER * 3.0 + PATIENCE)
        for gap in (5.2, 5.4, 5.1):
            habits.asked_again(gap, PATIENCE, 1.0)
        self.assertEqual(habits.window(PATIENCE, 1.0), 5.4 + PATIENCE)

    def test_one_client_alone_is_no_evidence(self) -> None:
        """He may have come by himself, as often as he likes."""
        habits = Habits()
        for _ in range(100):
            habits.came_again(CLIENT, 3.0, PATIENCE, 0.0)
        self.assertFalse(habits.is_known)

    def test_how_close_together_clients_come_is_learned_and_forgotten(self) -> None:
        """A quarter longer than the last ones took, never less than a moment; of few only that it is hardly longer."""
        habits = Habits()
        for number in range(COMPANIONS):
            company = 0.125 * (1 + COMPANIONS / number) if number >= FEW else math.inf
            self.assertTrue(math.isclose(habits.company, company), number)
            habits.came_together(0.04 if number else 0.1)
        self.assertEqual(habits.company, 0.125)
        for _ in range(COMPANIONS):
            habits.came_together(0.001)
        self.assertEqual(habits.company, TOGETHER)
        habits.came_together(0.01)
        self.assertEqual(habits.company, 0.0125)

    def test_who_comes_as_soon_as_others_was_told_with_them(self) -> None:
        """That resolver asks once for all who ask meanwhile, and keeps nothing."""
        habits = Habits()
        habits.came_again(CLIENT, PATIENCE / 2, PATIENCE, 0.0)
        self.assertEqual((habits.is_known, habits.keeps_answers), (True, False))
        self.assertLess(habits.window(PATIENCE, 0.0), PATIENCE * 1.1)

    def test_who_asks_again_at_once_keeps_nothing_for_long(self) -> None:
        """Not for longer than a second: late clients may have been sent to make him look so."""
        habits = keeper(3.0)
        for _ in range(REPEATS):
            habits.asked_again(0.01, PATIENCE, 0.0)
        self.assertEqual(habits.window(PATIENCE, 0.0), SECOND + PATIENCE)

    def test_is_forgotten_when_it_was_not_seen_for_long(self) -> None:
        """Resolvers are set otherwise at times."""
        habits = keeper(5.0)
        self.assertGreater(habits.window(PATIENCE, REMEMBERED - 1.0), 5.0)
        self.assertEqual(habits.window(PATIENCE, REMEMBERED + 1.0), 0.0)


class KeeperTests(SynchronousTestCase):
    """Those who keep answers, in the pool."""

    def scene(self, addresses: int) -> Scene:
        """A gateway that knows that."""
        scene = Scene(addresses)
        group = scene.allocator.groups.of(RESOLVER)
        group.habits, group.delay_p999, group.learned_from_first = keeper(5.0), PATIENCE, True
        return scene

    def test_as_many_clients_as_come_reach_the_host(self) -> None:
        """For as long as their resolver tells the answer."""
        scene = self.scene(1)
        address = scene.get(ONE, now=0.0)
        for tenth in range(1, 50):
            scene.allocator.expire(now=tenth / 10)
            self.assertEqual(scene.come(address, bytes((10, 0, 0, tenth)), now=tenth / 10), 1)

    def test_the_address_is_held_for_them(self) -> None:
        """Whoever waits; then it is handed on, and who comes now is told that he is late."""
        scene = self.scene(1)
        address = scene.get(ONE, now=0.0)
        scene.come(address, CLIENT, now=0.1)
        self.assertIsNone(scene.wait(TWO, OTHER, "two", tcp=True, now=4.5))
        scene.allocator.expire(now=5.0)
        self.assertEqual(scene.told, [])
        scene.allocator.expire(now=5.2)
        self.assertEqual(scene.told, [("two", address)])
        self.assertEqual(scene.come(address, NEIGHBOUR, now=5.3), 2)

    def test_unused_it_is_held_as_well(self) -> None:
        """That nobody came so far says nothing."""
        scene = self.scene(1)
        scene.get(ONE, now=0.0)
        self.assertIs(scene.ask(TWO, OTHER, now=4.9), Reason.EXHAUSTED)

    def test_others_find_room_beside_them(self) -> None:
        """While others ask as well, no more than their share of the pool stands for them."""
        scene = self.scene(4)
        scene.get(service(9), OTHER, now=0.0)
        for index in (1, 2):
            scene.get(service(index), now=0.0)
        self.assertIs(scene.ask(service(3), now=0.0), Reason.EXHAUSTED)
        scene.get(service(4), OTHER, now=0.0)
        self.assertEqual(scene.allocator.ledger.kept, 2)
        self.assertEqual([group.resolver for group in scene.allocator.ledger.keepers.present(0.1)], [RESOLVER])

    def test_who_keeps_them_for_a_moment_has_as_many_as_anybody(self) -> None:
        """However slow its clients are, or seem: none of them counts as kept for long, used or not."""
        for seconds, may_have, kept in ((SECOND, 3, 0), (1.9, 3, 0), (2.1, 2, 2)):
            scene = self.scene(4)
            group = scene.allocator.groups.of(RESOLVER)
            group.habits, group.delay_p999 = keeper(seconds), 1.25
            scene.get(service(9), OTHER, now=0.0)
            given = [scene.ask(service(index), now=0.0) for index in range(1, 4)]
            self.assertEqual(sum(isinstance(each, bytes) for each in given), may_have, seconds)
            assert isinstance(given[0], bytes)
            scene.come(given[0], CLIENT, now=0.1)  # the address is kept for others
            self.assertEqual(scene.allocator.ledger.kept, kept, seconds)

    def test_beyond_their_share_they_are_told_of_no_address_where_their_own_may_come_for_another_host(self) -> None:
        """Where the host is kept for them already they are, as that costs nothing."""
        scene = self.scene(4)
        scene.get(service(9), OTHER, now=0.0)
        first, _ = (scene.get(service(index), now=0.0) for index in (1, 2))
        self.assertEqual(scene.get(service(1), now=0.1), first)
        group = scene.allocator.groups.of(RESOLVER)
        scene.allocator.pool.addresses[first].before.note(99, {group: 0.1})
        self.assertIs(scene.ask(service(1), now=0.2), Reason.EXHAUSTED)

    def test_alone_they_have_all_of_it(self) -> None:
        """Where nobody else asks."""
        scene = self.scene(4)
        self.assertEqual(len({scene.get(service(index), now=0.0) for index in range(1, 5)}), 4)

    def test_no_other_host_is_placed_where_their_clients_may_come(self) -> None:
        """Where an address was handed on before it was known, it is left alone until that is over."""
        scene = Scene(2)
        first = scene.visit(ONE, now=0.0, after=0.01)
        scene.visit(TWO, now=0.0, after=0.02)
        scene.get(THREE, OTHER, now=0.1)  # takes the first one
        group = scene.allocator.groups.of(RESOLVER)
        group.habits, group.delay_p999, group.learned_from_first = keeper(5.0), PATIENCE, True
        self.assertTrue(scene.allocator.pool.addresses[first].is_spoilt(4, group, 0.2))
        scene.allocator.expire(now=3.0)
        self.assertNotEqual(scene.ask(service(4), OTHER, now=3.0), first)
        scene.allocator.expire(now=5.2)
        self.assertFalse(scene.allocator.pool.addresses[first].is_spoilt(4, group, 5.2))

    def test_when_less_is_known_what_stands_is_shortened(self) -> None:
        """As soon as it asks again."""
        scene = Scene(2)
        group = scene.allocator.groups.of(RESOLVER)
        group.delay_p999, group.learned_from_first = PATIENCE, True
        for src in LATE:
            group.habits.came_again(src, 3.0, PATIENCE, 0.0)
        first = scene.get(ONE, now=0.0)
        scene.come(first, CLIENT, now=0.01)
        self.assertEqual(scene.allocator.pool.addresses[first].held_until, LONGER * 3.0 + PATIENCE)
        for _ in range(REPEATS + 1):
            scene.get(TWO, now=1.0)
        scene.allocator.expire(now=1.0 + 2 * PATIENCE)
        self.assertEqual(scene.allocator.pool.addresses[first].state, State.LINGERING)
        scene.allocator.expire(now=3.0)  # when anybody's claims would end
        self.assertEqual(scene.allocator.ledger.kept, 0)

    def test_what_is_kept_for_a_moment_only_does_not_stand_for_long(self) -> None:
        """When that is found out, however slow its clients are."""
        scene = self.scene(3)
        group = scene.allocator.groups.of(RESOLVER)
        group.delay_p999 = 1.25
        scene.get(ONE, now=0.0)
        self.assertEqual(scene.allocator.ledger.kept, 1)
        for _ in range(REPEATS + 1):
            scene.get(TWO, now=1.0)
        self.assertEqual((group.spell, scene.allocator.ledger.kept), (SECOND + 1.25, 0))

    def test_what_stands_is_shortened_also_when_less_is_known_of_whom_it_was_merged_with(self) -> None:
        """It was made by what was known before."""
        scene = Scene(2)
        groups = scene.allocator.groups
        group, other = (groups.proven(each, now=0.0) for each in (RESOLVER, OTHER))
        group.delay_p999, group.learned_from_first = PATIENCE, True
        for src in LATE:
            group.habits.came_again(src, 3.0, PATIENCE, 0.0)
        first = scene.get(ONE, now=0.0)
        scene.come(first, CLIENT, now=0.01)
        other.habits = keeper(SECOND)
        other.habits.keeps_until = group.habits.keeps_until + 1.0
        self.assertIs(groups.merge(group, other, now=0.5), group)
        for _ in range(REPEATS + 1):
            scene.get(TWO, now=1.0)
        scene.allocator.expire(now=1.0 + 2 * PATIENCE)
        self.assertEqual(scene.allocator.pool.addresses[first].state, State.LINGERING)

    def test_what_they_were_told_before_it_was_known_is_not_reclaimed(self) -> None:
        """Their claims there are dead by experience, and clients come all the same; then it is another host's."""
        scene = Scene(1)
        group = scene.allocator.groups.of(RESOLVER)
        address = scene.get(ONE, now=0.0)
        group.habits, group.delay_p999, group.learned_from_first = keeper(5.0), PATIENCE, True
        scene.wait(TWO, OTHER, "two", now=0.6)
        said = explain_ask(scene.allocator, THREE, THIRD, now=1.0)
        self.assertIs(said.reason, Reason.EXHAUSTED)
        scene.allocator.expire(now=1.0)
        self.assertEqual(scene.told, [])
        self.assertEqual(scene.come(address, now=1.5), ONE.host.index)
        scene.allocator.expire(now=5.5)
        self.assertEqual(scene.told, [("two", address)])

    def test_how_soon_clients_come_is_told_by_the_first_ones(self) -> None:
        """Later ones may have been told later: what was learned of them before it was known is forgotten."""
        scene = Scene(2)
        group = scene.allocator.groups.of(RESOLVER)
        for _ in range(200):
            group.arrived(2.0, b"1234")
        self.assertGreater(group.delay_p999, 2.0)
        group.habits = keeper(1.0)
        for number in range(60):
            begin = 3.0 * number
            for question in ("a", "b"):  # it has asked twice
                address = scene.get(ONE, question=question, now=begin)
            for later, src in ((0.02, CLIENT), (0.9, NEIGHBOUR)):
                scene.come(address, src, now=begin + later)
        self.assertLess(group.delay_p999, 0.06)

    def test_is_explained(self) -> None:
        """Who it is, and for how long."""
        scene = self.scene(2)
        said = explain_ask(scene.allocator, ONE, RESOLVER, now=1.0)
        self.assertIn("it keeps answers: its clients come for up to 5.1 s after one", said.steps)

    def test_how_close_together_clients_come_is_explained(self) -> None:
        """Once it is known."""
        scene = Scene(2)
        habits = scene.allocator.groups.of(RESOLVER).habits
        for known in (False, True):
            said = explain_ask(scene.allocator, ONE, RESOLVER, now=1.0)
            told = "those of its clients who are told at one time come within 50 ms" in said.steps
            self.assertIs(told, known)
            for _ in range(COMPANIONS):
                habits.came_together(0.04)

    def test_who_predicts_is_explained(self) -> None:
        """As long as it is believed, and no longer."""
        scene = Scene(2)
        group = scene.allocator.groups.of(RESOLVER)
        group.delay_p999, group.habits.predicts_until = PATIENCE, 2.0
        wanted = f"asks again each time: its clients come for up to {ASSUMED + PATIENCE:.1f} s after one"
        for now, told in ((1.0, True), (3.0, False)):
            said = explain_ask(scene.allocator, ONE, RESOLVER, now=now)
            self.assertIs(wanted in str(said.steps), told)


class PredictingTests(SynchronousTestCase):
    """Those who tell what they keep and ask again each time."""

    def test_are_known_by_their_clients_at_addresses_of_before(self) -> None:
        """One in four moves is enough, over some dozens."""
        habits = Habits()
        for number in range(MOVES + 1):
            habits.moved(1.0)
            if number % STRAYING == 0:
                habits.strayed()
        self.assertTrue(habits.keeps_answers)
        self.assertEqual(habits.window(PATIENCE, 1.0), ASSUMED + PATIENCE)
        self.assertEqual(habits.window(PATIENCE, REMEMBERED + 2.0), 0.0)

    def test_one_now_and_then_proves_nothing(self) -> None:
        """He may have kept the address himself."""
        habits = Habits()
        for number in range(20 * MOVES):
            habits.moved(1.0)
            if number % (2 * STRAYING) == 0:
                habits.strayed()
        self.assertFalse(habits.is_known)

    def test_only_their_own_clients_count(self) -> None:
        """A stranger, however often he comes, and a client of another one say nothing."""
        scene = Scene(2)
        group, other = scene.allocator.groups.of(RESOLVER), scene.allocator.groups.of(OTHER)
        claim = next(iter(self.reservation(scene).claims.values()))
        address = claim.reservation.address
        self.assertFalse(address.was_told(group, 0.1))  # and is told no other one yet
        address.moved = claim
        self.assertFalse(address.was_told(None, 0.1))
        self.assertFalse(address.was_told(other, 0.1))
        self.assertFalse(address.was_told(group, 1.0))  # too late
        self.assertTrue(address.was_told(group, 0.1))

    def reservation(self, scene: Scene) -> Reservation:
        """Where somebody is expected for a resolver."""
        address = scene.allocator.pool.addresses[scene.get(ONE, now=0.0)]
        return next(iter(address.reservations.values()))


class ProbeTests(SynchronousTestCase):
    """Resolvers that ask for the name above first."""

    above = Service("h1.gwa.demo.", host(1))
    below = Service("http.h1.gwa.demo.", host(1), Terms(TCP, 80))

    def test_cost_no_address_and_no_reputation(self) -> None:
        """The name below stands where the one above was placed, and nobody is held responsible for that."""
        scene = Scene(2)
        for visit in range(50):
            address = scene.get(self.above, now=float(visit))
            self.assertEqual(scene.get(self.below, now=visit + 0.01), address)
            self.assertEqual(scene.come(address, CLIENT, now=visit + 0.02), 1)
            scene.allocator.expire(now=visit + 0.9)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual((group.ok, group.nok), (50, 0))
        self.assertEqual((scene.counters.probes, scene.allocator.pool.counts()[State.FREE]), (50, 1))

    def test_who_means_the_name_above_gets_through_all_the_same(self) -> None:
        """His client comes when the other name was asked for as well."""
        scene = Scene(2)
        address = scene.get(self.above, now=0.0)
        scene.get(self.below, now=0.01)
        self.assertEqual(scene.come(address, CLIENT, TCP, 22, now=0.3), 1)
        self.assertEqual(scene.come(address, NEIGHBOUR, TCP, 80, now=0.3), 1)

    def test_a_name_of_one_label_is_its_own_probe_for_nobody(self) -> None:
        """Nor is the root above anything."""
        scene = Scene(1)
        scene.get(Service("b.", host(1)), now=0.0)
        self.assertEqual((scene.counters.probes, scene.counters.pending), (0, 1))

    def test_another_resolvers_question_is_none(self) -> None:
        """Nor one that was long ago, nor one whose client has come."""
        scene = Scene(4)
        scene.get(self.above, OTHER, now=0.0)
        scene.get(self.below, RESOLVER, now=0.1)
        scene.visit(self.above, THIRD, now=0.2, after=0.01)
        scene.get(self.below, THIRD, now=0.3)
        self.assertEqual(scene.counters.probes, 0)

    def test_holds_the_address_against_nobody(self) -> None:
        """When the client of the name below has come, it is handed on."""
        scene = Scene(1)
        address = scene.get(self.above, now=0.0)
        scene.get(self.below, now=0.01)
        self.assertIsNone(scene.wait(TWO, OTHER, "two", now=0.02))
        scene.come(address, CLIENT, now=0.05)
        self.assertEqual(scene.told, [("two", address)])

    def test_strangers_are_still_refused(self) -> None:
        """Where nothing was asked for lately."""
        scene = Scene(1)
        address = scene.get(self.above, now=0.0)
        scene.get(self.below, now=0.01)
        scene.allocator.expire(now=3.0)
        self.assertLess(scene.come(address, STRAY, now=3.0), 0)

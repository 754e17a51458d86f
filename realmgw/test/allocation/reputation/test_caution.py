"""Tests of what is assumed of resolvers of which nothing is known, and how they show that it is otherwise."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims.candidates import POLL
from realmgw.allocation.explain import explain_ask
from realmgw.allocation.flow import Flow
from realmgw.allocation.reputation.caution import (
    AGAIN,
    ASSUMED,
    BUSY,
    CAUTIOUS,
    MOST_STRAYS,
    NAMES,
    SECOND,
    SHORT,
    SHORTEST,
    STRAYS,
    SURE,
    TIMES,
    TRIED,
    TRUST,
    WITHHELD,
    Caution,
    spread,
)
from realmgw.allocation.reputation.delays import Delays
from realmgw.allocation.reputation.group import OBSERVATIONS
from realmgw.allocation.state import State
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, Scene, serve, service

ONE, TWO, THREE, FOUR, FIVE = (service(index) for index in range(1, 6))


def new(now: float = 0.0) -> Caution:
    """Of somebody who asks for several names, for several clients."""
    caution = Caution()
    serve(caution, CLIENT, NEIGHBOUR)
    for _ in range(NAMES):
        caution.asked(now)
    caution.look(now)
    return caution


class WhoTests(SynchronousTestCase):
    """Of whom something is assumed, and for how long."""

    def test_who_asks_for_several_of_whom_nothing_is_known(self) -> None:
        """For clients of several addresses."""
        self.assertTrue(new().is_on)

    def test_not_who_asks_for_himself_alone(self) -> None:
        """He comes back to what he has kept, where he is known."""
        caution = Caution()
        for _ in range(10):
            serve(caution, CLIENT)
            caution.asked(0.0)
        caution.look(0.0)
        self.assertFalse(caution.is_on)

    def test_not_who_asks_for_one_name_at_a_time(self) -> None:
        """He has all the addresses that he needs."""
        caution = Caution()
        serve(caution, CLIENT, NEIGHBOUR)
        for number in range(10):
            caution.asked(number * (ASSUMED + 0.1))
            caution.look(number * (ASSUMED + 0.1))
        self.assertFalse(caution.is_on)

    def test_not_where_the_operator_says_so(self) -> None:
        """Then it is believed."""
        scene = Scene(3, caution=False)
        for number, asked in enumerate((ONE, TWO, THREE)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
        self.assertFalse(scene.allocator.groups.of(RESOLVER).habits.caution.is_on)

    def test_not_for_long(self) -> None:
        """Who shows nothing is believed after a while, and for long."""
        caution = new()
        caution.look(CAUTIOUS - 0.1)
        self.assertTrue(caution.is_on)
        caution.look(CAUTIOUS)
        self.assertFalse(caution.is_on)
        for _ in range(NAMES):
            caution.asked(TRUST - 1.0)
        caution.look(TRUST - 1.0)
        self.assertFalse(caution.is_on)
        caution.look(TRUST)
        self.assertTrue(caution.is_on)

    def test_for_longer_who_asks_often_and_shows_nothing(self) -> None:
        """He could not be tried, or he asks as one does who keeps answers for a second."""
        caution = new()
        for number in range(AGAIN + 1):
            caution.asked_again(number * 0.35, SHORT * 2, 3 * SECOND)
        caution.look(CAUTIOUS)
        self.assertTrue(caution.is_on)
        caution.look(2 * CAUTIOUS)
        self.assertFalse(caution.is_on)

    def test_not_who_asks_for_very_many(self) -> None:
        """Whoever waited for him would wait in vain."""
        caution = new()
        for _ in range(BUSY - NAMES):
            caution.asked(0.1)
        caution.look(0.1)
        self.assertFalse(caution.is_on)
        self.assertFalse(caution.asked(1.0))

    def test_once_it_is_sure_nothing_more_is_remembered(self) -> None:
        """Nor is what it asks for then: there are many resolvers, and most are sure."""
        for waited, is_over in ((SURE - 1, False), (SURE, True)):
            caution = new()
            caution.asks_each_time, caution.waits, caution._waited = True, True, waited
            caution.look(0.3)
            self.assertEqual((caution.is_on, caution.is_tried, caution.seen is None), (False, not is_over, is_over))


class TrialTests(SynchronousTestCase):
    """Whether a resolver waits for its answers."""

    def scene(self, addresses: int = 3, answered: Callable[[Flow], bool] = bool, claim_sources: int = 0) -> Scene:
        """A gateway that a new resolver has asked for two names; all of its clients have come."""
        scene = Scene(addresses, answered=answered, claim_sources=claim_sources)
        for number, asked in enumerate((ONE, TWO)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number], now=0.1 * number + 0.01)
            self.assertIs(self.caution(scene).is_on, number > 0)
        scene.allocator.ask(THREE, OTHER, "three", now=0.2)
        self.assertIs(isinstance(scene.ask(FOUR, now=0.2), bytes), addresses > 3)
        self.assertTrue(self.caution(scene).is_on)
        return scene

    def test_who_has_to_wait_shows_at_once_that_he_asks(self) -> None:
        """Whatever he is told, and when: no moment of the second lies between what he was told and both questions."""
        scene = self.scene()
        scene.allocator.ask(THREE, question="three", resolver=RESOLVER, now=0.2)
        for _ in range(TIMES):
            self.assertFalse(self.caution(scene).asks_each_time)
            for asked, now in ((ONE, SHORTEST + 0.001), (TWO, SHORT)):
                scene.allocator.wait(asked, RESOLVER, ("again", now), print, tcp=False, now=now)
        self.assertTrue(self.caution(scene).asks_each_time)

    def test_who_had_to_wait_by_tcp_shows_it_the_first_time(self) -> None:
        """Once it can have had the answer: its first client took 10 ms."""
        scene = self.scene()
        for asked, now, shows in ((ONE, SHORTEST + 0.001, False), (TWO, SHORT, True)):
            scene.allocator.wait(asked, RESOLVER, ("again", now), print, tcp=True, now=now)
            self.assertIs(self.caution(scene).asks_each_time, shows)

    def test_who_can_not_have_had_the_answer_yet_shows_nothing(self) -> None:
        """What was asked before its soonest client can have come, was asked before it was told, if it is far away."""
        for took, shows in ((SHORT, False), (0.02, True)):
            scene = self.scene()
            group = scene.allocator.groups.of(RESOLVER)
            group.delays = Delays()
            group.delays.add(took)
            for asked, now in ((ONE, SHORTEST + 0.001), (TWO, SHORT)):
                scene.allocator.wait(asked, RESOLVER, ("again", now), print, tcp=True, now=now)
            self.assertIs(self.caution(scene).asks_each_time, shows)

    def caution(self, scene: Scene) -> Caution:
        """What is thought of it."""
        return scene.allocator.groups.of(RESOLVER).habits.caution

    def test_it_is_tried_for_less_only_if_many_came_sooner(self) -> None:
        """Of few, the slow ones may not have been seen."""
        delays = Delays()
        for _ in range(OBSERVATIONS - 1):
            delays.add(0.01)
        self.assertEqual(spread(delays), WITHHELD)
        delays.add(0.01)
        self.assertLess(spread(delays), WITHHELD)

    def test_one_that_waits(self) -> None:
        """It is told nothing for a while, nobody comes meanwhile, and then it is told as ever."""
        scene = self.scene(4)
        self.assertIs(scene.ask(ONE, now=0.6), Reason.EXHAUSTED)
        self.assertIsNone(scene.wait(ONE, RESOLVER, "one", now=0.6))
        scene.allocator.expire(now=0.6 + WITHHELD - 0.01)
        self.assertEqual(scene.told, [])
        scene.allocator.expire(now=0.6 + WITHHELD)
        self.assertEqual([question for question, _ in scene.told], ["one"])
        self.assertTrue(self.caution(scene).waits)
        self.assertEqual(self.caution(scene).assumed, SECOND)
        self.assertEqual(scene.counters.tried, 1)

    def test_one_that_tells_what_it_keeps(self) -> None:
        """Its clients come although it was told nothing; that is known when it was no accident."""
        scene = self.scene(6)
        habits, now = scene.allocator.groups.of(RESOLVER).habits, 1.6
        first = scene.get(FIVE, OTHER, now=0.3)
        for number in range(STRAYS):
            self.assertFalse(habits.keeps_answers)
            self.assertIs(scene.ask((ONE, TWO, ONE)[number], now=now), Reason.EXHAUSTED)
            address = self.address(scene, (ONE, TWO, ONE)[number].host.index)
            scene.come(address, bytes((203, 0, 113, number)), now=now + 0.1)
            now += 0.2
        self.assertTrue(habits.keeps_answers)
        self.assertEqual(habits.window(0.25, now), ASSUMED + 0.25)
        self.assertNotIn(first, (self.address(scene, 1), self.address(scene, 2)))

    def test_who_was_there_before_says_nothing(self) -> None:
        """He comes again by himself."""
        scene = self.scene(4)
        self.assertIs(scene.ask(ONE, now=0.6), Reason.EXHAUSTED)
        scene.come(self.address(scene, 1), CLIENT, now=0.7)
        scene.allocator.expire(now=0.6 + WITHHELD)
        self.assertFalse(self.caution(scene).waits)
        self.assertEqual(self.caution(scene)._strays, 0)

    def test_who_is_refused_says_the_same(self) -> None:
        """He may have been told what was kept, whether he is let in or not; until it is otherwise, he is suspected."""
        scene = self.scene(4, claim_sources=1)
        self.assertIs(scene.ask(ONE, now=1.6), Reason.EXHAUSTED)
        self.assertEqual(scene.come(self.address(scene, 1), STRAY, now=1.7), -Reason.NO_CLAIM)
        self.caution(scene).look(1.6 + WITHHELD)
        self.assertFalse(self.caution(scene).waits)
        self.caution(scene).look(2 * CAUTIOUS)
        self.assertTrue(self.caution(scene).is_suspected)

    def test_who_is_known_to_be_another_ones_client_says_nothing(self) -> None:
        """It is not seen to wait either."""
        scene, (stranger, known) = self.scene(5), [bytes((203, 0, 113, last)) for last in (7, 8)]
        scene.get(FIVE, OTHER, now=0.3)
        claim = scene.allocator.groups.of(OTHER).told.last(FIVE.name)
        assert claim is not None
        scene.allocator.arrivals._homes.came(known, claim, 0.3)
        self.assertIs(scene.ask(ONE, now=0.6), Reason.EXHAUSTED)
        scene.come(self.address(scene, 1), stranger, now=0.7)
        self.caution(scene).look(0.6 + WITHHELD)
        self.assertEqual((self.caution(scene)._strays, self.caution(scene).waits), (0, False))

    def test_not_where_somebody_came_a_moment_before(self) -> None:
        """He may be the one for whom it asks again, sooner than the question was there."""
        scene = self.scene(4)
        scene.come(self.address(scene, 1), STRAY, now=0.599)
        self.assertIsInstance(scene.ask(ONE, now=0.6), bytes)

    def test_what_may_be_asked_once_more_says_half(self) -> None:
        """Nobody comes for a question that was not answered, and is repeated, where others are told."""
        for others, waited in ((True, 0.5), (False, 1.0)):
            scene, told = self.scene(4) if others else self.alone(), list[object]()
            scene.allocator.wait(TWO, RESOLVER, "two", told.append, tcp=False, now=0.3)
            scene.allocator.hang_up(TWO, "two", told.append, now=0.4)
            self.assertIs(scene.ask(TWO, now=1.2), Reason.EXHAUSTED)
            self.caution(scene).look(1.2 + WITHHELD)
            self.assertEqual((self.caution(scene)._waited, self.caution(scene).waits), (waited, not others))

    def alone(self) -> Scene:
        """A gateway that nobody else asks."""
        scene = Scene(4, answered=bool)
        for number, asked in enumerate((ONE, TWO, FOUR)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
        return scene

    def test_forged_packets_say_nothing(self) -> None:
        """However many come meanwhile: they are not answered."""
        scene = self.scene(6, answered=lambda flow: flow[0] in (CLIENT, NEIGHBOUR))
        habits, now = scene.allocator.groups.of(RESOLVER).habits, 0.6
        for number in range(4 * MOST_STRAYS):
            scene.allocator.ask((ONE, TWO)[number % 2], RESOLVER, ("again", number), now=now)
            address = self.address(scene, (ONE, TWO)[number % 2].host.index)
            scene.come(address, bytes((203, 0, 113, number)), now=now + 0.01)
            now += 0.02
        self.assertFalse(habits.keeps_answers)
        self.assertFalse(habits.caution.is_tried)

    def test_clients_of_others_say_nothing(self) -> None:
        """Who was told while it is told nothing."""
        scene = self.scene(4)
        self.assertIs(scene.ask(ONE, now=0.6), Reason.EXHAUSTED)
        address = scene.get(ONE, OTHER, now=0.7)
        scene.come(address, STRAY, now=0.8)
        scene.allocator.groups.of(RESOLVER).habits.look(0.6 + WITHHELD)
        self.assertTrue(self.caution(scene).waits)

    def test_two_of_whom_nothing_is_known_are_not_tried_at_one_place(self) -> None:
        """Who comes there would speak of one of them, and the other would seem to wait."""
        scene = Scene(5, answered=bool)
        for number, asked in enumerate((ONE, TWO)):
            for whose, resolver in enumerate((RESOLVER, OTHER)):
                client = bytes((198, 51, 100 + whose, number))
                scene.come(scene.get(asked, resolver, now=0.1 * number), client, now=0.1 * number)
        scene.get(THREE, RESOLVER, now=0.2)
        scene.get(FOUR, OTHER, now=0.2)
        self.assertIs(scene.ask(ONE, RESOLVER, now=1.0), Reason.EXHAUSTED)
        self.assertIsInstance(scene.ask(ONE, OTHER, now=1.0), bytes)
        self.assertIs(scene.ask(TWO, OTHER, now=1.0), Reason.EXHAUSTED)
        scene.come(self.address(scene, 2), STRAY, now=1.1)
        other = scene.allocator.groups.of(OTHER).habits.caution
        self.assertEqual((other._strays, self.caution(scene)._strays), (0, 0))  # he may be anybody's
        other.look(1.0 + WITHHELD)
        self.assertFalse(other.waits)
        scene.allocator.groups.of(RESOLVER).habits.look(1.0 + WITHHELD)
        self.assertTrue(self.caution(scene).waits)

    def test_where_clients_are_expected_nothing_is_tried(self) -> None:
        """They may come yet."""
        scene = self.scene(4)
        scene.get(TWO, OTHER, now=0.5)
        self.assertIsInstance(scene.ask(TWO, now=0.6), bytes)

    def test_is_explained(self) -> None:
        """Since it delays others, and its own clients."""
        scene = self.scene(4)
        said = explain_ask(scene.allocator, TWO, RESOLVER, now=0.6)
        self.assertIn("it is new, and asks for several: until it is known, its clients come for up to 6.3 s", str(said))

    def address(self, scene: Scene, host: int) -> bytes:
        """Where a host stands."""
        return next(
            address.packed
            for address in scene.allocator.pool.addresses.values()
            if any(each.service.host.index == host for each in address.reservations.values())
        )


class HoldTests(SynchronousTestCase):
    """What it means for addresses."""

    def scene(self, **settings: float) -> Scene:
        """A gateway with three addresses, where a new resolver's clients came."""
        scene = Scene(3, **settings)  # type: ignore[arg-type]  # numbers
        for number, asked in enumerate((ONE, TWO, FIVE)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
        self.assertTrue(scene.allocator.groups.of(RESOLVER).habits.caution.is_on)
        return scene

    def test_not_in_a_pool_of_two(self) -> None:
        """There names have the addresses in turn."""
        scene = Scene(2)
        for number, asked in enumerate((ONE, TWO, THREE, FOUR, FIVE)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)

    def test_its_addresses_are_not_lent_to_it_for_another_host(self) -> None:
        """A client who was told before would reach that one."""
        scene = self.scene()
        self.assertIs(scene.ask(THREE, now=ASSUMED - 0.1), Reason.EXHAUSTED)
        scene.allocator.expire(now=ASSUMED + 0.5)
        self.assertIsInstance(scene.ask(THREE, now=ASSUMED + 0.5), bytes)

    def test_others_let_them_alone_for_half_of_their_time(self) -> None:
        """Then they count more than what is only assumed."""
        scene = self.scene()
        self.assertIs(scene.ask(THREE, OTHER, now=1.0), Reason.EXHAUSTED)
        self.assertIsNone(scene.wait(THREE, OTHER, "three", tcp=True, now=1.0))
        half = Allocation().wait_tcp / 2
        scene.allocator.expire(now=1.0 + half)
        self.assertEqual(scene.told, [])
        scene.allocator.expire(now=1.1 + half)
        self.assertEqual(len(scene.told), 1)

    def test_others_let_them_alone_until_it_can_be_tried(self) -> None:
        """However long they have waited: where addresses are few, it would never be found out."""
        scene = self.scene(wait_tcp=TRIED)
        self.assertIsNone(scene.wait(THREE, OTHER, "three", tcp=True, now=0.3))
        scene.allocator.expire(now=TRIED - 0.1)
        self.assertEqual(scene.told, [])
        scene.allocator.expire(now=TRIED + 0.1)
        self.assertEqual(len(scene.told), 1)

    def test_nobody_overtakes_those_who_let_them_alone(self) -> None:
        """A host whose address is free again has to ask as others do, and is served while these may not have it."""
        scene = self.scene(linger=1.0, linger_loaded=1.0)
        scene.allocator.expire(now=1.5)
        self.assertEqual(scene.allocator.pool.counts()[State.FREE], 3)
        self.assertIsNone(scene.wait(THREE, OTHER, "three", now=1.5))
        said = explain_ask(scene.allocator, ONE, OTHER, now=1.5)
        self.assertEqual(said.reason, Reason.EXHAUSTED)
        self.assertIn("is not for who asks now, since others wait", "\n".join(said.steps))
        self.assertIsNone(scene.wait(ONE, OTHER, "one", now=1.5))
        scene.allocator.expire(now=1.5)
        self.assertEqual([question for question, _ in scene.told], ["one"])

    def test_meanwhile_what_dies_is_looked_at_in_time(self) -> None:
        """That there are some of which nobody knows when they may be had, makes nobody late for the others."""
        scene = self.scene()
        scene.get(ONE, OTHER, now=1.0)
        self.assertIsNone(scene.wait(THREE, OTHER, tcp=True, now=1.0))
        self.assertEqual(scene.allocator.expire(now=1.4), 1.4 + POLL)
        self.assertEqual(scene.allocator.expire(now=1.5 - POLL / 2), 1.5)

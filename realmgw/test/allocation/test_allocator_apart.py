"""Tests of resolvers that ask once for each of their clients, and of the first moments of a busy one."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.explain import habits as told_of
from realmgw.allocation.reputation.group import CLAIM_TIMEOUT_UNKNOWN, OBSERVATIONS
from realmgw.allocation.reputation.habits import AT_ONCE, LONERS, TOGETHER
from realmgw.subscribers.model import Service
from realmgw.test.allocation.scene import OTHER, RESOLVER, Scene, service

ONE, TWO, THREE, FOUR = (service(index) for index in range(1, 5))
QUICK = 0.002  # seconds
"""So soon the clients of a busy resolver come."""


def source(number: int) -> bytes:
    """The packed address of a client, another one for each number."""
    return bytes((203, 0, 113, number))


class AtOnceTests(SynchronousTestCase):
    """Several queries for one name wait at one time, and one client comes for each."""

    def waited(self, times: int, *, unproven: bool = False) -> Scene:
        """So many queries of one resolver for a name are told together after 0.3 s, and their clients have come."""
        scene = Scene(1)
        scene.learn_delays(OTHER, 0.05)
        scene.allocator.groups.of(OTHER).passed = int(unproven)
        address = scene.get(ONE, now=0.0)
        for number in range(times):
            self.assertIsNone(scene.wait(TWO, OTHER, number, now=0.01))
        scene.come(address, now=0.31)
        for number in range(times):
            self.assertEqual(scene.come(address, source(number), now=0.32), TWO.host.index)
        scene.allocator.expire(now=0.6)
        return scene

    def alone(self, scene: Scene) -> float:
        """How often nobody else came."""
        return scene.allocator.groups.of(OTHER).habits._alone[False].times

    def test_each_says_as_much_as_one(self) -> None:
        """But the first two: it may ask by two threads, and each of these for several clients."""
        for times, expected in ((1, 1.0), (2, 1.0), (3, 2.0), (9, 8.0)):
            self.assertAlmostEqual(self.alone(self.waited(times)), expected)

    def test_not_without_bound(self) -> None:
        """One name does not tell it all."""
        self.assertLess(self.alone(self.waited(60)), LONERS)

    def test_nor_what_anybody_can_have_asked_in_its_name(self) -> None:
        """Who does so, and comes himself for each answer, makes nobody look as if he asked for each client."""
        self.assertAlmostEqual(self.alone(self.waited(9, unproven=True)), 1.0)

    def test_if_another_one_came_it_says_nothing(self) -> None:
        """One more than had asked: it asks for several at once, however often it does."""
        scene = Scene(1)
        scene.learn_delays(OTHER, 0.05)
        address = scene.get(ONE, now=0.0)
        for number in range(9):
            self.assertIsNone(scene.wait(TWO, OTHER, number, now=0.01))
        scene.come(address, now=0.31)
        for number in range(10):
            self.assertEqual(scene.come(address, source(number), now=0.32), TWO.host.index)
        scene.allocator.expire(now=0.6)
        self.assertEqual(self.alone(scene), 0.0)

    def test_who_has_waited_for_longer_than_the_first_says_no_more(self) -> None:
        """BIND asks again what it has waited for in vain: what waited before the first did was not asked beside it."""
        scene = Scene(1)
        scene.learn_delays(OTHER, 0.05)
        scene.allocator.groups.of(RESOLVER).claim_timeout = 2.0
        address = scene.get(ONE, now=0.0)
        self.assertIsNone(scene.wait(TWO, OTHER, "in vain", now=0.01))
        scene.allocator.expire(now=1.0)
        self.assertIsNone(scene.wait(TWO, OTHER, "again", now=1.01))
        scene.come(address, now=1.31)
        self.assertEqual(scene.told[1:], [("again", address)])
        self.assertEqual(scene.get(TWO, OTHER, "once more", now=1.315), address)
        for number in range(2):
            self.assertEqual(scene.come(address, source(number), now=1.32), TWO.host.index)
        scene.allocator.expire(now=1.6)
        self.assertAlmostEqual(self.alone(scene), 1.0)
        self.assertEqual(scene.allocator.groups.of(OTHER).habits._alone[False].at_once, 0.0)

    def test_by_tcp_it_says_nothing_of_what_is_asked_by_udp(self) -> None:
        """So dnsmasq does: it asks once for each client by TCP. Of a mixed crowd only those like the first count."""
        for first, others, udp, tcp in ((True, True, 0.0, 8.0), (True, False, 0.0, 1.0), (False, True, 1.0, 0.0)):
            scene = Scene(1)
            scene.learn_delays(OTHER, 0.05)
            address = scene.get(ONE, now=0.0)
            for number in range(9):
                self.assertIsNone(scene.wait(TWO, OTHER, number, tcp=others if number else first, now=0.01))
            scene.come(address, now=0.31)
            for number in range(9):
                self.assertEqual(scene.come(address, source(number), now=0.32), TWO.host.index)
            scene.allocator.expire(now=0.6)
            habits = scene.allocator.groups.of(OTHER).habits
            self.assertAlmostEqual(habits._alone[False].times, udp)
            self.assertAlmostEqual(habits._alone[True].times, tcp)

    def test_what_is_known_of_tcp_is_applied_there_only(self) -> None:
        """Whether others are waited for, and what `explain` says."""
        habits = Scene(1).allocator.groups.of(OTHER).habits
        for _ in range(LONERS):
            habits.met(others=False, likely=2.0, tcp=True)
        self.assertEqual([habits.asks_for_each(tcp=tcp) for tcp in (False, True)], [False, True])
        self.assertEqual([habits.may_coalesce(tcp=tcp) for tcp in (False, True)], [True, False])
        habits.caution.serves_several = True
        self.assertTrue(habits.may_have_company(0.001))
        habits.met(others=True, tcp=True)
        self.assertTrue(habits.may_coalesce(tcp=True))

    def test_one_at_a_time_it_is_never_sure(self) -> None:
        """However often nobody else came for one query, others may have by chance not asked meanwhile."""
        habits = Scene(1).allocator.groups.of(OTHER).habits
        for _ in range(10 * (AT_ONCE + LONERS)):
            habits.met(others=False)
        self.assertFalse(habits.asks_for_each(tcp=False))
        for _ in range(AT_ONCE):
            self.assertFalse(habits.asks_for_each(tcp=False))
            habits.met(others=False, likely=2.0)
        self.assertTrue(habits.asks_for_each(tcp=False))

    def test_nor_once_another_one_came(self) -> None:
        """All of it has to be seen again; nor by what is seen at one name, nor of one that keeps answers."""
        habits = Scene(1).allocator.groups.of(OTHER).habits
        habits.met(others=False, likely=1.0 + AT_ONCE)
        self.assertFalse(habits.asks_for_each(tcp=False))
        habits.met(others=True)
        for _ in range(LONERS):
            habits.met(others=False)
        self.assertFalse(habits.asks_for_each(tcp=False))
        habits.met(others=False, likely=1.0 + AT_ONCE)
        self.assertTrue(habits.asks_for_each(tcp=False))
        habits.remember(5.0, 5.0, until=9.0)
        self.assertFalse(habits.asks_for_each(tcp=False))


class SureTests(SynchronousTestCase):
    """A resolver surely asks once for each client: nobody else is waited for, though queries wait."""

    def passes_on(self, *, surely: bool, other: str = "", tcp: bool = False, nearly_all: float = 0.05) -> Scene:
        """One client comes for each of two queries, the later of which nobody had to wait for; another host waits.

        Args:
            surely: It is known for sure that they come alone.
            other: A resolver that was told of that name as well.
            tcp: It was seen of what waited by TCP.
            nearly_all: Within so many seconds nearly all of its clients come.
        """
        scene = Scene(1)
        scene.learn_delays(OTHER, 0.05)
        group = scene.allocator.groups.of(OTHER)
        group.nearly_all = nearly_all
        group.habits.caution.trust(9.0)
        for _ in range(LONERS):
            group.habits.met(others=False, likely=2.0 if surely else 1.0, tcp=tcp)
        if other:
            scene.come(scene.get(TWO, other, now=0.099), source(5), now=0.0995)
        address = scene.get(TWO, OTHER, "first", now=0.1)
        self.assertEqual(scene.get(TWO, OTHER, "second", now=0.102), address)
        self.assertIsNone(scene.wait(THREE, OTHER, "waits", now=0.104))
        for number in range(2):
            self.assertEqual(scene.come(address, source(number), now=0.105), TWO.host.index)
        return scene

    def test_its_address_passes_on_at_once(self) -> None:
        """Else it is kept for a moment, as who asked within one round trip would come together."""
        scene = self.passes_on(surely=True)
        self.assertEqual([question for question, _ in scene.told], ["waits"])
        said = "it asks once for each of its clients by UDP"
        self.assertIn(said, [*told_of(scene.allocator.groups.of(OTHER), 0.105)])
        scene = self.passes_on(surely=False)
        self.assertEqual(scene.told, [])
        scene.allocator.expire(now=0.105 + 10 * TOGETHER)
        self.assertEqual([question for question, _ in scene.told], ["waits"])
        self.assertNotIn(said, [*told_of(scene.allocator.groups.of(OTHER), 0.2)])

    def test_not_by_what_was_seen_by_tcp(self) -> None:
        """What is answered at once was asked by UDP, and there it may ask once for several."""
        scene = self.passes_on(surely=True, tcp=True)
        self.assertEqual(scene.told, [])
        scene.allocator.expire(now=0.105 + 10 * TOGETHER)
        self.assertEqual([question for question, _ in scene.told], ["waits"])

    def test_nobody_is_waited_for_when_nearly_all_have_come(self) -> None:
        """They take no longer than 3 ms, and the second one was told 3 ms ago."""
        scene = self.passes_on(surely=False, nearly_all=0.003)
        self.assertEqual([question for question, _ in scene.told], ["waits"])

    def test_not_where_another_resolver_was_told_the_same(self) -> None:
        """Its clients may have used the claims of this one's."""
        scene = self.passes_on(surely=True, other=RESOLVER)
        self.assertEqual(scene.told, [])
        scene.allocator.expire(now=0.105 + 10 * TOGETHER)
        self.assertEqual([question for question, _ in scene.told], ["waits"])


class FirstMomentsTests(SynchronousTestCase):
    """A busy resolver is new: an address is kept for others until it is known how soon its clients come."""

    def served(self, scene: Scene, asked: Service, question: str, start: float) -> bytes:
        """The address of a name that was waited for, whose first client has come."""
        [address] = [found for its, found in scene.told if its == question and isinstance(found, bytes)]
        self.assertEqual(scene.come(address, source(len(scene.told)), now=start), asked.host.index)
        return address

    def kept(self, clients: int, after: float = 0.02, *, may_keep: bool = False) -> tuple[Scene, float]:
        """Two addresses are kept for a new resolver's further clients, when so many are known, and one comes later.

        Also when they have been told.
        """
        scene = Scene(2)
        for asked in (ONE, TWO):
            scene.get(asked, now=0.0)
        for asked, question in ((THREE, "three"), (FOUR, "four")):
            for number in range(2):
                self.assertIsNone(scene.wait(asked, OTHER, question if not number else (question, number), now=0.01))
        scene.allocator.expire(now=CLAIM_TIMEOUT_UNKNOWN + 0.01)
        start = CLAIM_TIMEOUT_UNKNOWN + 0.011
        self.served(scene, THREE, "three", start)
        four = self.served(scene, FOUR, "four", start)
        group = scene.allocator.groups.of(OTHER)
        for _ in range(clients - group.delays.total if group.delays else clients):
            group.arrived(QUICK, b"1234")
        if may_keep:
            caution = group.habits.caution
            caution.is_on, caution.is_tried, caution._until = True, True, math.inf
            group.habits.is_plain = False
        self.assertEqual(scene.come(four, source(9), now=start + after), FOUR.host.index)
        scene.allocator.expire(now=start + after)
        return scene, start

    def held(self, scene: Scene) -> int:
        """How many addresses are kept."""
        addresses = scene.allocator.pool.addresses.values()
        return sum(each.hold is not None for address in addresses for each in address.reservations.values())

    def test_then_all_of_them_pass_on(self) -> None:
        """Not after half a second, as was assumed; that where nobody came since as well."""
        scene, start = self.kept(OBSERVATIONS)
        self.assertEqual(self.held(scene), 0)
        self.assertIsNotNone(scene.get(ONE, RESOLVER, now=start + 0.03))

    def test_not_before_they_have_come(self) -> None:
        """Within the time that is known by now."""
        scene, start = self.kept(OBSERVATIONS, QUICK / 2)
        self.assertEqual(self.held(scene), 2)
        scene.allocator.expire(now=start + 3 * QUICK)
        self.assertEqual(self.held(scene), 0)

    def test_not_while_it_is_not_known(self) -> None:
        """Too few have come."""
        self.assertEqual(self.held(self.kept(OBSERVATIONS - 10)[0]), 2)

    def test_nor_where_it_may_keep_answers(self) -> None:
        """How soon the first one comes says nothing of those who are told later."""
        self.assertEqual(self.held(self.kept(OBSERVATIONS, may_keep=True)[0]), 2)

    def test_only_then(self) -> None:
        """Later on, one who is slower is not taken for nobody since the last few dozens were quicker."""
        self.assertEqual(self.held(self.kept(3 * OBSERVATIONS)[0]), 2)

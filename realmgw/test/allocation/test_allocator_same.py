"""Tests of rules that hold on every way to an answer: by another name, in the queue, after a stall, in a try."""

from __future__ import annotations

import gc

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims.candidates import ALARM
from realmgw.allocation.explain import explain_ask
from realmgw.allocation.reputation.caution import MOST_STRAYS
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.serving import Serving
from realmgw.allocation.state import Reservation
from realmgw.errors import Reason
from realmgw.subscribers.model import Service, Terms
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, Scene, host, serve, service

ONE, TWO, THREE = service(1), service(2), service(3)


class NamesTests(SynchronousTestCase):
    """Several names of one place."""

    def test_who_asks_for_another_one_does_not_ask_again(self) -> None:
        """What is kept of both is left to them for as long."""
        its = host(1)
        names = [Service(f"{each}.h.", its, Terms()) for each in "ab"]
        scene = Scene(4)
        habits = scene.allocator.groups.of(RESOLVER).habits
        habits.remember(60.0, 60.0, until=1e9)
        for number in range(5):
            for place, each in enumerate(names):
                address = scene.visit(each, now=number * 61.0 + place * 0.2, after=0.1)
        self.assertGreaterEqual(habits.renews, 60.0)
        others = [scene.ask(service(number), OTHER, now=254.0) for number in range(5, 10)]
        self.assertNotIn(address, others)

    def test_its_terms_are_those_of_now(self) -> None:
        """A reload has changed them, while it was in use."""
        scene = Scene(4)
        scene.get(ONE, now=0.0)
        brief = service(1, timeout=0.5)
        self.assertEqual(brief.target, ONE.target)
        scene.get(brief, now=1.0)
        scene.allocator.expire(now=1.6)
        self.assertEqual([claim.created for claim in scene.allocator.ledger.expected[ONE.target][
            scene.allocator.groups.of(RESOLVER)].claims.values()], [0.0])  # fmt: skip

    def test_so_it_is_for_those_who_waited(self) -> None:
        """They may have asked for either."""
        scene = Scene(1)
        address = scene.get(TWO, now=0.0)
        brief = service(1, timeout=0.5)
        for asked in (ONE, brief):
            scene.wait(asked, question=asked.terms.timeout, now=0.1)
        scene.come(address, now=0.2)
        scene.allocator.expire(now=0.8)
        self.assertEqual((len(scene.told), scene.counters.pending), (2, 1))


class ForgottenTests(SynchronousTestCase):
    """What groups were told."""

    def alive(self) -> int:
        """How many groups and reservations there are."""
        gc.collect()
        return sum(isinstance(each, Group | Reservation) for each in gc.get_objects())

    def test_groups_that_are_forgotten_do_not_keep_each_other(self) -> None:
        """Each was told of a reservation together with the next one, and never asks again."""
        scene = Scene(1, max_groups=8)
        counts = []
        for turn in range(200):
            asked = service(1 + turn % 2)
            for resolver in (f"r{turn}", f"r{turn + 1}"):
                scene.ask(asked, resolver, now=turn * 3.0)
            scene.allocator.expire(now=turn * 3.0 + 2.9)
            if turn in (99, 199):
                counts.append(self.alive())
        self.assertLess(counts[1] - counts[0], 20)


class WaitingTests(SynchronousTestCase):
    """Those who may be told nothing for now."""

    def test_each_group_is_looked_at_once_for_each_host(self) -> None:
        """However many of its queries wait: the next one comes in a moment, and all would be looked at for it."""
        scene = Scene(16)
        scene.allocator.groups.of(RESOLVER).habits.remember(60.0, 60.0, until=1e9)
        scene.visit(service(100), OTHER, now=0.0, after=0.0)
        for index in range(1, 9):
            scene.get(service(index), now=0.0)
        for number in range(300):
            scene.wait(service(10 + number % 16), now=0.1)
        looked: list[int] = []
        may = Serving._may_be_told

        def count(*arguments: object) -> bool:
            looked.append(1)
            return may(*arguments)  # type: ignore[arg-type]

        self.patch(Serving, "_may_be_told", count)
        scene.ask(service(200), OTHER, now=0.2)
        self.assertLessEqual(len(looked), 17)


class StallTests(SynchronousTestCase):
    """The gateway has looked at nothing for a while."""

    def test_who_may_have_come_meanwhile_finds_his_host(self) -> None:
        """One of those who were told together came before; the others lie in the queue."""
        scene = Scene(4)
        group = scene.allocator.groups.of(RESOLVER)
        scene.learn_delays(RESOLVER, 0.3)
        serve(group.habits.caution, CLIENT, NEIGHBOUR)
        group.habits.caution.trust(1e9)
        for index in range(1, 5):
            scene.visit(service(index), now=index / 100, after=0.01)
        self.assertIs(scene.ask(service(9), OTHER, now=0.055), Reason.EXHAUSTED)
        scene.allocator.heard(late=0.0, due=0.06, now=0.055)
        scene.allocator.heard(late=0.34, due=1.0, now=0.4)
        self.assertIs(scene.ask(service(9), OTHER, now=0.401), Reason.EXHAUSTED)

    def test_who_was_robbed_finds_his_host_until_he_is_dead(self) -> None:
        """Though it lingers for less than that."""
        scene = Scene(2, answered=lambda flow: flow[0] != STRAY, linger_loaded=0.2, linger=0.2)
        scene.allocator.ledger.candidates.alarmed_until = ALARM
        address = scene.get(ONE, now=0.0)
        scene.come(address, STRAY, now=0.01)
        scene.get(TWO, OTHER, now=0.02)
        scene.allocator.expire(now=0.3)
        self.assertIs(scene.ask(THREE, OTHER, now=0.35), Reason.EXHAUSTED)
        self.assertEqual(scene.come(address, CLIENT, now=0.4), 1)
        scene.allocator.expire(now=1.4)
        self.assertEqual(scene.get(THREE, OTHER, now=1.5), address)


class TriedTests(SynchronousTestCase):
    """What is only explained."""

    def test_nobody_is_believed_for_it(self) -> None:
        """However often it is asked while strangers come."""
        scene = Scene(4)
        address = scene.visit(service(2), now=0.0, after=0.01)
        for number, source in enumerate((NEIGHBOUR, CLIENT), 1):
            scene.visit(service(2 + number), source=source, now=number / 20, after=0.01)
        habits = scene.allocator.groups.of(RESOLVER).habits
        self.assertTrue(habits.caution.is_on)
        for number in range(2 * MOST_STRAYS):
            now = 0.8 + number / 1000
            scene.come(address, CLIENT, now=now)
            explain_ask(scene.allocator, service(2), RESOLVER, now=now)
        self.assertTrue(habits.caution.is_on)

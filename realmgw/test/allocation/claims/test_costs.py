"""Tests of what an idle claim costs, and what follows for who asked."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.caution import CAUTIOUS
from realmgw.config.policy import Policy
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, OTHER, RESOLVER, TCP, THIRD, Scene, service

ONE, TWO, THREE = service(1), service(2), service(3)


class CostTests(SynchronousTestCase):
    """Weights of idle claims."""

    def blame(self, scene: Scene, resolver: str = RESOLVER, *, now: float = 60.0) -> float:
        """What all idle claims of a resolver weigh, when they are over."""
        scene.allocator.expire(now=now)
        return round(scene.allocator.groups.of(resolver).nok, 3)

    def test_nothing_while_there_is_room_for_everybody(self) -> None:
        """With less than half of the pool taken, and nobody waiting, an idle claim counts neither for nor against."""
        scene = Scene(8)
        for number in range(40):
            scene.get(service(number % 3 + 1), now=number * 1.0)
        self.assertEqual(self.blame(scene), 0.0)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual((group.ok, group.neutral, group.weigh(60.0)), (0, 0, 0.45))

    def test_a_whole_one_for_an_address_that_others_may_have_needed(self) -> None:
        """Half of the pool was taken, or somebody waited."""
        scene = Scene(2)
        scene.get(ONE, now=0.0)
        self.assertEqual(self.blame(scene), 1.0)

    def test_nothing_for_the_time_in_which_it_was_held_anyway(self) -> None:
        """Clients of the host came there: until the last of them, the address was theirs."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        scene.get(ONE, OTHER, now=0.0)
        scene.come(scene.get(ONE, OTHER, now=0.1), now=0.2)
        scene.come(scene.get(ONE, OTHER, now=0.3), CLIENT, now=0.4)
        scene.allocator.groups.set(RESOLVER, 0.2, now=0.4)
        scene.come(scene.get(ONE, OTHER, now=0.45), now=0.5)
        self.assertEqual(self.blame(scene), 0.0)

    def test_who_drains_the_pool_is_blamed_for_what_he_asked_for_before(self) -> None:
        """What was free when it was asked for, and stood when there was not enough, was kept from others as well."""
        scene = Scene(8)
        for number in range(8):
            scene.get(service(number + 1), now=0.01 * number)
        self.assertIs(scene.wait(service(9), OTHER, now=0.1), None)
        self.assertEqual(self.blame(scene), 8.0)

    def test_who_asked_while_the_pool_was_free_is_a_stranger_when_he_drains_it(self) -> None:
        """He gets as much of it as one of whom nothing is known, and falls as soon."""
        courses = []
        for before in (0, 100):
            scene = Scene(8, policy=Policy())
            for number in range(20):
                scene.visit(ONE, OTHER, now=20.0 + number, after=0.001)
            for number in range(before):
                scene.get(service(1), THIRD, now=20.0 + number / 5)
            scene.allocator.expire(now=43.0)
            got = [scene.ask(service(number % 12 + 2), THIRD, now=43.0 + number * 0.05) for number in range(100)]
            courses.append([type(each) if isinstance(each, bytes) else each for each in got])
        self.assertEqual(courses[0], courses[1])
        self.assertIn(Reason.POLICY, courses[0])

    def test_who_is_refused_for_want_of_room_makes_it_scarce(self) -> None:
        """Below half of the pool as well, where the policy keeps the rest for those who are better."""
        scene = Scene(5, policy=Policy())
        scene.allocator.groups.set(OTHER, 0.9, now=0.0)
        for number in (1, 2):
            scene.get(service(number), OTHER, now=0.0)
        self.assertIs(scene.ask(THREE, RESOLVER, now=0.1), Reason.POLICY)
        self.assertEqual(self.blame(scene, OTHER), 2.0)

    def test_who_is_next_to_nothing_makes_nothing_scarce(self) -> None:
        """Else he could have others blamed by asking for what he does not get."""
        scene = Scene(5, policy=Policy())
        for resolver, standing in ((OTHER, 0.9), (RESOLVER, 0.1)):
            scene.allocator.groups.set(resolver, standing, now=0.0)
        scene.get(ONE, OTHER, now=0.0)
        self.assertIs(scene.ask(THREE, RESOLVER, now=0.1), Reason.POLICY)
        self.assertIs(scene.ask(THREE, RESOLVER, now=0.2), Reason.POLICY)
        self.assertEqual(self.blame(scene, OTHER), 0.0)

    def test_the_place_of_a_host_that_others_need(self) -> None:
        """At a host's limit an idle claim costs, however large the pool is."""
        scene = Scene(64)
        limited, other = service(1, TCP, 80, max_claims=1), service(1, TCP, 443, max_claims=1)
        scene.get(limited, now=0.0)
        scene.get(service(2, TCP, 443), OTHER, now=0.0)  # beside it
        self.assertIs(scene.ask(other, OTHER, now=0.1), Reason.HOST_LIMIT)
        self.assertEqual(self.blame(scene), 1.0)

    def test_a_resolver_that_asks_again_by_itself_keeps_its_good_name(self) -> None:
        """Two of three queries are its own, for names whose clients do come: prefetch, serve-expired."""
        for addresses in (4, 16):
            scene = Scene(addresses, policy=Policy())
            now = 0.0
            for number in range(600):
                asked = service(number % 4 + 1)
                address = scene.ask(asked, now=now)
                if isinstance(address, bytes):
                    scene.come(address, number.to_bytes(4, "big"), now=now + 0.02)
                else:  # it is told nothing as long as it is tried whether it keeps answers
                    self.assertTrue(scene.allocator.groups.of(RESOLVER).habits.caution.is_tried, number)
                    self.assertLess(now, CAUTIOUS)
                for _ in range(2):
                    now += 0.1
                    scene.allocator.expire(now=now)
                    if isinstance(scene.ask(asked, now=now), Reason):
                        break
                now += 0.1
            standing = scene.allocator.groups.of(RESOLVER).weigh(now)
            self.assertGreaterEqual(standing, 0.8, addresses)

    def test_whose_clients_never_come_falls_within_seconds_where_there_is_not_enough(self) -> None:
        """Ten queries for as many hosts, and he is next to nothing."""
        scene = Scene(3, policy=Policy(system_load=()))
        for number in range(10):
            if scene.ask(service(number + 1), now=number * 0.2) is Reason.EXHAUSTED:
                scene.allocator.wait(service(number + 1), RESOLVER, number, print, tcp=False, now=number * 0.2)
            scene.allocator.expire(now=number * 0.2 + 0.1)
        scene.allocator.expire(now=6.0)
        self.assertLess(scene.allocator.groups.of(RESOLVER).weigh(6.0), 0.15)

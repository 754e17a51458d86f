"""Tests of what the habits of resolvers do to the books: addresses kept for further clients, and who needs them."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.habits import LATECOMERS, MOST, SECOND, TOGETHER
from realmgw.errors import Reason
from realmgw.test.allocation.scene import (
    CLIENT,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
    TCP,
    THIRD,
    Network,
    Scene,
    service,
)

ONE, TWO, THREE = service(1), service(2), service(3)
LIMITED, WEB, MAIL = service(1, max_claims=1), service(1, TCP, 80, max_claims=1), service(1, TCP, 25, max_claims=1)


def keeping(scene: Scene, resolver: str = RESOLVER) -> None:
    """A resolver is known to keep answers for very long."""
    group = scene.allocator.groups.of(resolver)
    for source in range(LATECOMERS):
        group.habits.came_again(bytes((203, 0, 113, source)), 10.0, group.delay_p999, 0.0)


def suspected(scene: Scene) -> None:
    """A resolver is taken to keep answers, as any is of which nothing is known."""
    for number, source in enumerate((CLIENT, NEIGHBOUR, CLIENT)):
        scene.visit(service(2 + number), source=source, now=number / 20, after=0.01)


class SuspicionTests(SynchronousTestCase):
    """Who has asked for many names, and for none of them again."""

    def many(self, scene: Scene, clients: tuple[bytes, ...]) -> list[bytes | Reason]:
        """A query for each of twenty names, whose clients come at once."""
        found = []
        for number in range(20):
            now = number * 0.01
            found.append(outcome := scene.ask(service(number + 1), now=now))
            if isinstance(outcome, bytes):
                scene.come(outcome, clients[number % len(clients)], now=now + 0.001)
        return found

    def test_who_asks_for_himself_does_not_wait(self) -> None:
        """Nobody else comes for what he was told."""
        self.assertNotIn(Reason.EXHAUSTED, self.many(Scene(3), (CLIENT,)))

    def test_who_asks_for_others_does(self) -> None:
        """One of them may still come."""
        self.assertIn(Reason.EXHAUSTED, self.many(Scene(3), (CLIENT, NEIGHBOUR)))

    def begun(self) -> Scene:
        """Three hosts at as many addresses; a client came for the first one. The second one's may come twice."""
        scene = Scene(3)
        scene.visit(ONE, source=CLIENT, now=0.0, after=0.001)
        self.address = scene.get(TWO, now=0.01)
        scene.get(TWO, now=0.02)
        scene.get(service(3), OTHER, now=0.03)
        return scene

    def test_as_soon_as_it_is_seen(self) -> None:
        """Its second client is enough: the very next question may be for another host where he came."""
        for source, may in ((CLIENT, True), (NEIGHBOUR, False)):
            scene = self.begun()
            for last in range(2):
                scene.come(self.address, source, now=0.1 + last / 100)
            self.assertIs(isinstance(scene.ask(service(4), now=0.2), bytes), may)

    def test_also_who_waits_already(self) -> None:
        """The address is kept for a moment, for company; then for whoever may have been told what is kept."""
        scene = self.begun()
        scene.get(ONE, now=0.04)
        self.assertIsNone(scene.wait(service(4), now=0.05))
        for last in range(2):
            scene.come(self.address, NEIGHBOUR, now=0.1 + last / 100)
        self.assertIsNone(scene.wait(service(5), now=0.111 + TOGETHER))  # which looks for what is dead
        for number in range(1, 20):
            scene.allocator.expire(now=0.111 + number * TOGETHER)
        self.assertEqual(scene.told, [])


class CourtesyTests(SynchronousTestCase):
    """Addresses that are kept for further clients."""

    def test_the_last_one_who_is_let_in_counts_while_the_address_is_his(self) -> None:
        """When it passes on as soon as he came, he is remembered there no more."""
        scene = Scene(1, claim_sources=2)
        habits = scene.allocator.groups.of(RESOLVER).habits
        habits.came_again(CLIENT, 0.0, 0.1, 0.0)  # they come together
        address = scene.get(ONE, now=0.0)
        scene.wait(TWO, OTHER, "waits", now=0.1)
        for source in (CLIENT, NEIGHBOUR):
            self.assertEqual(scene.come(address, source, now=0.2), 1)
        self.assertEqual((scene.told, scene.allocator.ledger.remembered), ([("waits", address)], 0))

    def test_nobody_new_is_sent_to_a_withdrawn_address(self) -> None:
        """Not even where the first of several clients came there after it was withdrawn."""
        scene = Scene(2)
        keeping(scene)
        address = scene.get(ONE, now=0.0)
        scene.get(ONE, now=0.0)
        scene.allocator.withdraw([ip_network("192.0.2.1/32")], now=0.1)
        scene.come(address, now=0.2)
        self.assertNotEqual(scene.get(ONE, now=0.3), address)

    def test_it_is_prolonged_at_the_limit_of_a_host(self) -> None:
        """The host has that address already: it costs nothing more."""
        scene = Scene()
        keeping(scene)
        for now in (0.0, 100.0):
            scene.come(scene.get(LIMITED, now=now), now=now + 0.1)
            scene.allocator.expire(now=now + 0.2)
        scene.allocator.expire(now=MOST + 50.0)
        self.assertEqual(scene.counters.pending, 1)

    def test_who_asks_again_soon_is_still_expected_as_long_as_any(self) -> None:
        """A resolver that turns out not to keep answers has its claims for the time that its service says."""
        scene = Scene()
        keeping(scene)
        for number in range(4):
            address = scene.get(ONE, now=number / 10)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual(group.spell, SECOND + group.delay_p999)
        self.assertAlmostEqual(scene.allocator.pool.addresses[address].held_until, 0.3 + group.spell)
        scene.allocator.expire(now=1.99)
        self.assertEqual((scene.counters.pending, scene.counters.lapsed), (4, 0))
        scene.allocator.expire(now=2.3)
        self.assertEqual((scene.counters.pending, scene.counters.lapsed), (0, 4))

    def test_who_may_have_no_more_keeps_nothing_from_others(self) -> None:
        """A query of those who keep answers, and have their share, waits; those behind it are served."""
        scene = Scene()
        keeping(scene)
        scene.visit(THREE, OTHER, now=0.0, after=0.0)
        for index in (1, 2):
            scene.get(service(index), now=0.0)
        scene.wait(service(4), RESOLVER, "keeps", now=0.1)
        scene.wait(service(5), THIRD, "modest", now=0.1)
        scene.allocator.expire(now=0.11)
        self.assertEqual([question for question, _ in scene.told], ["modest"])

    def test_services_of_one_host_count_once(self) -> None:
        """Those who keep answers have their share of the addresses, whatever stands at one."""
        scene = Scene()
        keeping(scene)
        scene.visit(THREE, OTHER, now=0.0, after=0.0)
        scene.get(ONE, now=0.0)
        scene.get(service(1, TCP, 80), now=0.0)
        self.assertEqual(scene.allocator.ledger.kept, 1)
        scene.get(TWO, now=0.0)


class KnownLaterTests(SynchronousTestCase):
    """What a resolver was told before it was known that it keeps answers: its clients come for that as well."""

    def test_its_host_stays_there_for_as_long(self) -> None:
        """Whatever others may linger; then it goes as any does."""
        for linger in (0.0, 0.5, 3.0):
            scene = Scene(2, linger=linger, linger_loaded=linger)
            address = scene.visit(ONE, now=0.0, after=0.1)
            other = scene.visit(TWO, OTHER, now=0.0, after=0.1)
            keeping(scene)
            now = 0.1
            while now < MOST:
                wanted = scene.allocator.expire(now=now)
                assert wanted is not None
                self.assertGreater(wanted, now + min(1.0, 0.9 * linger), "the timer would not rest")
                now = wanted
            self.assertEqual(
                [scene.come(each, NEIGHBOUR, now=now) for each in (address, other)], [1, -Reason.NO_RESERVATION]
            )
            for _ in range(9):
                now = scene.allocator.expire(now=now) or now
            scene.allocator.expire(now=2 * MOST)
            self.assertEqual(scene.allocator.pool.addresses[address].reservations, {})

    def test_its_address_is_left_to_it_when_the_host_is_back(self) -> None:
        """Somebody else asked for it, whose client does not come."""
        for known in (True, False):
            scene = Scene(1, linger=0.5, linger_loaded=0.5)
            scene.learn_delays(OTHER, 0.1)
            address = scene.visit(ONE, now=0.0, after=0.1)
            scene.allocator.expire(now=1.0)
            self.assertEqual(scene.get(ONE, OTHER, now=1.1), address)
            if known:
                keeping(scene)
            scene.wait(TWO, THIRD, "waits", now=1.2)
            scene.allocator.expire(now=1.7)
            self.assertEqual(scene.told, [] if known else [("waits", address)])


class LessonTests(SynchronousTestCase):
    """How soon the clients of a resolver come, beside one that keeps answers."""

    def left_over(self, scene: Scene, after: float = 1.5) -> int:
        """A claim of one resolver is used by whoever comes next, late, where another one was told the same before.

        Args:
            scene: Where.
            after: Seconds after it was made.

        Returns:
            How many delays of its clients it has learned then.
        """
        scene.visit(ONE, RESOLVER, now=0.2, after=0.1)
        address = scene.get(ONE, OTHER, now=0.5)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.5 + after), 1)
        scene.allocator.expire(now=3.0)
        delays = scene.allocator.groups.of(OTHER).delays
        return 0 if delays is None else delays.total

    def alarmed(self) -> Scene:
        """Where it is found out later who came."""
        scene = Scene(share_load=0.0, answered=lambda _: True)
        scene.allocator.ledger.candidates.alarmed_until = 9.0
        return scene

    def test_who_comes_late_may_have_been_told_by_the_one_that_keeps_them(self) -> None:
        """Nothing is learned of the other one's clients, who would be waited for as long from then on."""
        scene = Scene(share_load=0.0)
        keeping(scene)
        self.assertEqual(self.left_over(scene), 0)

    def test_so_it_is_beside_one_that_is_taken_to_keep_them(self) -> None:
        """As any is that nobody knows; also where it is found out later who came."""
        for scene in (Scene(share_load=0.0), self.alarmed()):
            suspected(scene)
            self.assertEqual(self.left_over(scene), 0)

    def test_who_comes_soon_may_teach_it(self) -> None:
        """It is waited for no longer for that."""
        for scene in (Scene(share_load=0.0), self.alarmed()):
            suspected(scene)
            self.assertEqual(self.left_over(scene, 0.1), 1)

    def test_beside_one_that_keeps_nothing_it_is_learned(self) -> None:
        """Whoever came had asked."""
        for scene in (Scene(share_load=0.0), self.alarmed()):
            self.assertEqual(self.left_over(scene), 1)


class StackTests(SynchronousTestCase):
    """Services of one host at one address."""

    def test_at_its_limit_a_host_has_all_its_services_where_it_is(self) -> None:
        """One that stands there already, too, though nobody was expected for it any more."""
        scene = Scene()
        address = scene.visit(MAIL, now=0.0, after=0.1)
        self.assertEqual([scene.get(asked, now=0.2) for asked in (WEB, MAIL)], [address, address])

    def test_at_its_limit_it_has_them_when_they_waited(self) -> None:
        """Whoever waits for one is sent where the host is."""
        scene = Scene(1)
        address = scene.get(TWO, now=0.0)
        for asked in (WEB, MAIL):
            scene.wait(asked, question=asked.terms.port, now=0.1)
        scene.come(address, now=0.2)
        self.assertEqual(scene.told, [(80, address), (25, address)])

    def test_a_claim_for_another_network_is_in_nobodys_way(self) -> None:
        """A packet that it is not for goes to the service of the host that it may be meant for as well."""
        scene = Scene()
        address = scene.get(ONE, now=0.0)
        self.assertEqual(scene.ask(WEB, OTHER, now=0.0, network=Network(CLIENT)), address)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.1), 1)
        self.assertEqual(scene.come(address, CLIENT, now=0.1), 1)
        self.assertEqual(scene.counters.by_claim, 2)

"""Tests of the ledger: what stands where, how long, and how outcomes are told."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims.books import SENDERS
from realmgw.allocation.state import State
from realmgw.errors import Reason
from realmgw.test.allocation.scene import (
    CLIENT,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
    STRAY,
    TCP,
    Network,
    Scene,
    pool_address,
    service,
)

ONE, TWO, THREE = service(1), service(2), service(3)


class ClaimTests(SynchronousTestCase):
    """The life of a claim."""

    def test_a_claim_ends_at_its_deadline(self) -> None:
        """A claim that nobody uses is there until 2.0 s have passed, and not after."""
        for after, outcome in ((1.99, 1), (2.0, -Reason.NO_CLAIM)):
            scene = Scene()
            address = scene.get(ONE, now=0.0)
            scene.allocator.expire(now=after)
            self.assertEqual(scene.come(address, now=after), outcome)

    def test_a_service_may_have_a_time_of_its_own(self) -> None:
        """Claims of services with different timeouts end each at its own."""
        scene, short, long = Scene(), service(1, timeout=0.5), service(2, timeout=30.0)
        patient, quick = scene.get(long, now=0.0), scene.get(short, now=0.0)
        scene.allocator.expire(now=0.5)
        self.assertEqual(scene.come(quick, now=0.5), -Reason.NO_CLAIM)
        scene.allocator.expire(now=29.9)
        self.assertEqual(scene.come(patient, now=29.9), 2)

    def test_a_claim_is_used_once(self) -> None:
        """With strict claims, a second sender finds nothing."""
        scene = Scene(claim_sources=1)
        address = scene.get(ONE, now=0.0)
        self.assertEqual(scene.come(address, CLIENT, now=0.1), 1)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.1), -Reason.NO_CLAIM)

    def test_the_places_of_a_host_are_counted_down_in_every_way(self) -> None:
        """A host at its limit has room again when a claim was used, when one lapsed, and when one was reclaimed."""
        scene, limited, other = Scene(1), service(1, TCP, 80, max_claims=1), service(1, TCP, 25, max_claims=1)
        scene.visit(limited, now=0.0, after=0.1)
        scene.get(limited, now=0.2)
        scene.get(service(3, TCP, 25), now=0.2)  # beside it
        self.assertIs(scene.ask(other, now=0.3), Reason.HOST_LIMIT)
        scene.allocator.expire(now=2.2)
        scene.get(limited, now=2.2)
        scene.get(TWO, now=2.8)  # takes the address
        self.assertIs(scene.ask(limited, now=2.9), Reason.EXHAUSTED)

    def test_a_lapsed_claim_is_held_against_its_group(self) -> None:
        """A claim that nobody used is nok for its resolver group, a used one ok."""
        scene = Scene(1)
        scene.visit(ONE, now=0.0, after=0.1)
        scene.get(ONE, now=0.2)
        scene.allocator.expire(now=5.0)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual((group.ok, group.nok, group.neutral), (1, 1, 0))

    def test_a_reclaimed_claim_is_held_against_its_group(self) -> None:
        """Nobody came before the address was taken away: nok."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        scene.get(TWO, OTHER, now=0.6)
        self.assertEqual(scene.allocator.groups.of(RESOLVER).nok, 1)


class NeutralTests(SynchronousTestCase):
    """Outcomes of claims of different groups at one address."""

    def setUp(self) -> None:
        self.scene = Scene(2)
        self.scene.get(TWO, now=0.0)  # a load of a half
        self.address = self.scene.get(ONE, RESOLVER, now=0.0)

    def outcomes(self, resolver: str) -> tuple[float, float, float]:
        """A group's ok, nok and neutral."""
        group = self.scene.allocator.groups.of(resolver)
        return group.ok, group.nok, round(group.neutral, 2)

    def test_joined_claims_are_neutral_for_both(self) -> None:
        """Who came can not be told apart: neither the used nor the lapsed claim counts for or against anybody."""
        self.scene.get(ONE, OTHER, now=0.1)
        self.scene.come(self.address, now=0.2)
        self.scene.allocator.expire(now=3.0)
        self.assertEqual(self.outcomes(OTHER), (0, 0, 0.8))  # a fifth of its time the address was held anyway
        self.assertEqual(self.outcomes(RESOLVER), (0, 1, 1))  # nok for TWO

    def test_a_claim_bound_to_a_network_is_told_apart(self) -> None:
        """A claim that only one network can use counts, joined or not."""
        self.scene.ask(ONE, OTHER, now=0.1, network=Network(NEIGHBOUR))
        self.scene.come(self.address, NEIGHBOUR, now=0.2)
        self.assertEqual(self.outcomes(OTHER), (1, 0, 0))

    def test_claims_are_told_apart_again_when_all_were_gone(self) -> None:
        """After the last joined claim, a group that waits there alone is told its outcomes again."""
        self.scene.get(ONE, OTHER, now=0.1)
        for source in (CLIENT, NEIGHBOUR):
            self.scene.come(self.address, source, now=0.2)
        self.scene.visit(ONE, OTHER, now=0.3, after=0.1)
        self.assertEqual(self.outcomes(OTHER), (1, 0, 1))

    def test_memory_of_groups_is_that_of_pending_claims(self) -> None:
        """However many groups join a reservation that never rests, only those with pending claims are kept there."""
        now = 0.1
        for number in range(500):
            self.scene.get(ONE, f"2001:db8::{number:x}", now=now)
            now += 0.03
            self.scene.allocator.expire(now=now)
            self.scene.ask(TWO, now=now)
        (expected,) = (one for target, one in self.scene.allocator.ledger.expected.items() if target == ONE.target)
        reservation = next(iter(expected.values()))
        assert reservation.shares is not None
        self.assertLessEqual(len(reservation.shares), 2.0 / 0.03 + 1)
        self.assertEqual(set(reservation.shares), {claim.group for claim in reservation.claims.values()})
        self.assertEqual(set(expected), set(reservation.shares))


class LingerTests(SynchronousTestCase):
    """How long an address belongs to its host after its last claim."""

    def lingers(self, scene: Scene, address: bytes, *, now: float) -> bool:
        """Whether an address lingers, after the timer."""
        scene.allocator.expire(now=now)
        return scene.allocator.pool.addresses[address].state is State.LINGERING

    def test_it_lingers_ten_minutes(self) -> None:
        """Where addresses are free, a client who keeps one finds his host there again for minutes."""
        scene = Scene()
        address = scene.visit(ONE, now=0.0, after=0.5)
        self.assertTrue(self.lingers(scene, address, now=600.49))
        self.assertEqual(scene.come(address, CLIENT, now=600.49), 1)
        self.assertFalse(self.lingers(scene, address, now=600.5))

    def test_what_lingers_is_lent_when_nothing_else_is_left(self) -> None:
        """The one that lingers longest first: nobody waits for its host's former clients."""
        scene = Scene(2)
        first, second = (scene.visit(asked, now=float(at), after=0.0) for at, asked in enumerate((ONE, TWO)))
        self.assertEqual([scene.get(service(index), now=2.0) for index in (3, 4)], [first, second])

    def test_it_shrinks_while_many_senders_are_remembered(self) -> None:
        """The memory for those who may come again is bounded for the gateway as a whole."""
        scene = Scene()
        scene.allocator.ledger.remembered = SENDERS
        address = scene.visit(ONE, now=0.0, after=0.5)
        self.assertFalse(self.lingers(scene, address, now=1.5))

    def test_it_lingers_as_long_as_the_operator_says(self) -> None:
        """Below half load, from the moment that its last claim was gone."""
        scene = Scene(linger=10.0)
        address = scene.visit(ONE, now=0.0, after=0.5)
        self.assertTrue(self.lingers(scene, address, now=10.49))
        self.assertFalse(self.lingers(scene, address, now=10.5))

    def test_it_lingers_one_second_under_load(self) -> None:
        """From a load of 90 % on it lingers for 1 s."""
        scene = Scene(10, linger=10.0)
        address = scene.visit(service(99), now=0.0, after=0.0)
        for index in range(1, 10):
            scene.get(service(index), now=0.0)
        self.assertTrue(self.lingers(scene, address, now=0.99))
        self.assertFalse(self.lingers(scene, address, now=1.0))

    def test_it_shrinks_linearly_in_between(self) -> None:
        """At 70 % load it lingers for 5.5 s."""
        scene = Scene(10, linger=10.0)
        address = scene.visit(service(99), now=0.0, after=0.0)
        for index in range(1, 8):
            scene.get(service(index, timeout=60.0), now=0.0)
        self.assertTrue(self.lingers(scene, address, now=5.49))
        self.assertFalse(self.lingers(scene, address, now=5.51))

    def test_an_unused_address_lingers_too(self) -> None:
        """When nobody came, the address still belongs to its host for a while: a cache may be late."""
        scene = Scene(linger=10.0)
        address = scene.get(ONE, now=0.0)
        self.assertTrue(self.lingers(scene, address, now=2.0))
        self.assertTrue(self.lingers(scene, address, now=11.9))
        self.assertFalse(self.lingers(scene, address, now=12.0))

    def test_services_of_one_address_linger_each_for_itself(self) -> None:
        """A service that nobody asked for is gone from an address that goes on with another one."""
        scene, web, mail = Scene(linger=10.0), service(1, TCP, 80), service(2, TCP, 25)
        address = scene.visit(web, now=0.0, after=0.0)
        self.assertEqual(scene.visit(mail, now=9.0, after=0.0), address)
        scene.allocator.expire(now=10.0)
        self.assertEqual(scene.come(address, CLIENT, TCP, 80, now=10.0), -Reason.LATE)
        self.assertEqual(scene.come(address, CLIENT, TCP, 25, now=10.0), 2)

    def test_the_end_of_linger_is_reached_when_it_is_announced(self) -> None:
        """Called at the very time that `expire` announced, it has nothing left to do before a later time."""
        scene = Scene(1, linger=0.3)
        now = 0.0
        for _ in range(50):
            scene.visit(ONE, now=now, after=0.1)
            due = scene.allocator.expire(now=now + 0.1)
            while due is not None:
                now, due = due, scene.allocator.expire(now=due)
                self.assertTrue(due is None or due > now, (due, now))

    def test_a_host_finds_its_address_again_when_it_is_free(self) -> None:
        """The last host of a free address gets it again, as long as nobody else had it."""
        scene = Scene(linger=10.0)
        first, second = scene.visit(ONE, now=0.0, after=0.0), scene.visit(TWO, now=0.0, after=0.0)
        scene.allocator.expire(now=20.0)
        self.assertEqual(scene.allocator.pool.counts()[State.FREE], 4)
        self.assertEqual((scene.get(TWO, now=20.0), scene.get(ONE, now=20.0)), (second, first))

    def test_a_host_does_not_find_an_address_that_others_had(self) -> None:
        """An address that was passed on is another's last one."""
        scene = Scene(1, linger=10.0)
        scene.visit(ONE, now=0.0, after=0.0)
        scene.visit(TWO, now=0.1, after=0.0)
        scene.allocator.expire(now=20.0)
        self.assertEqual(len(scene.allocator.ledger.last), 1)
        scene.visit(ONE, now=20.0, after=0.0)
        self.assertEqual(scene.counters.sticky, 0)


class HoldTests(SynchronousTestCase):
    """Until when an address is out of reach."""

    def hold(self, scene: Scene, number: int = 1) -> float:
        """The hold of an address."""
        return scene.allocator.pool.addresses[pool_address(number)].held_until

    def test_it_is_held_for_the_guard_of_the_last_claim(self) -> None:
        """A second claim prolongs the hold."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        scene.get(ONE, now=0.3)
        self.assertEqual(self.hold(scene), 0.8)

    def test_it_is_held_no_longer_for_a_claim_that_was_used(self) -> None:
        """When the claim that would be dead last is gone, the others decide."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        scene.ask(ONE, now=0.3, network=Network(NEIGHBOUR))
        scene.come(pool_address(1), NEIGHBOUR, now=0.4)
        self.assertEqual(self.hold(scene), 0.5)

    def test_claims_of_a_guard_that_shrinks_are_all_waited_for(self) -> None:
        """When the last claim is not the one that is dead last, the hold is still that of the latest."""
        scene = Scene(1)
        scene.get(ONE, question="a", now=0.0)  # dead at 0.5
        scene.ask(ONE, question="b", now=0.1, network=Network(NEIGHBOUR))  # dead at 0.6
        scene.allocator.groups.of(RESOLVER).rate(0.01)
        scene.get(ONE, question="c", now=0.2)  # dead at 0.3
        scene.come(pool_address(1), NEIGHBOUR, now=0.25)
        self.assertEqual(self.hold(scene), 0.5)

    def test_a_claim_is_never_waited_for_beyond_its_deadline(self) -> None:
        """The claim timeout of a short-lived service is its own."""
        scene = Scene(1)
        scene.get(service(1, timeout=0.2), now=0.0)
        self.assertEqual(self.hold(scene), 0.2)

    def test_a_new_wait_begins_anew(self) -> None:
        """What held an address before it lingered does not hold it any more."""
        scene = Scene(1)
        scene.visit(ONE, now=0.0, after=0.1)
        scene.allocator.groups.of(OTHER).rate(0.01)
        scene.get(ONE, OTHER, now=0.2)
        self.assertEqual(self.hold(scene), 0.2 + 0.1)


class LearningTests(SynchronousTestCase):
    """What a group learns from a client that came."""

    def test_it_learns_the_age_of_the_only_claim(self) -> None:
        """A client of the only claim tells how long he took."""
        scene = Scene()
        scene.learn(ONE, visits=100, now=0.0, after=0.04)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertTrue(0.04 <= group.delay_p999 <= 0.08, group.delay_p999)

    def test_it_learns_nothing_while_packets_are_lost(self) -> None:
        """Whoever comes then may have come before, a second ago, and again."""
        scene = Scene()
        now = scene.learn(ONE, visits=100, now=0.0, after=0.04)
        group = scene.allocator.groups.of(RESOLVER)
        assert group.delays is not None
        before = group.delays.total
        scene.allocator.behind(0.0, lost_at=now)
        scene.visit(ONE, now=now, after=1.02)
        self.assertEqual(group.delays.total, before)
        scene.visit(ONE, now=now + 1.3, after=0.04)
        self.assertEqual(group.delays.total, before + 1)

    def test_it_learns_nothing_doubtful_once_it_is_experienced(self) -> None:
        """With several claims pending nobody knows whose client came: an experienced group learns nothing from him."""
        scene = Scene()
        now = scene.learn(ONE, visits=60, now=0.0, after=0.001)
        scene.get(ONE, now=now)
        address = scene.get(ONE, now=now + 0.4)
        delays = scene.allocator.groups.of(RESOLVER).delays
        assert delays is not None
        before = delays.total
        scene.come(address, STRAY, now=now + 0.4)
        self.assertEqual(delays.total, before)

    def test_it_learns_the_least_that_it_can_have_been_before(self) -> None:
        """An inexperienced group takes the age of the youngest claim."""
        scene = Scene()
        scene.get(ONE, now=0.0)
        address = scene.get(ONE, now=0.4)
        scene.come(address, now=0.41)
        delays = scene.allocator.groups.of(RESOLVER).delays
        assert delays is not None
        self.assertLess(delays.quantile(1.0), 0.02)

    def test_it_learns_from_one_in_a_millisecond_once_it_is_experienced(self) -> None:
        """A thousand lessons a second are enough, however many clients come; the first ones all count."""
        scene = Scene()
        now = scene.learn(ONE, visits=600, now=0.0, after=0.001)
        delays = scene.allocator.groups.of(RESOLVER).delays
        assert delays is not None
        before = delays.total
        for visit in range(20):
            begun = now + 1.0 + visit * 0.0005
            scene.come(scene.get(ONE, now=begun), now=begun + 0.0001)
        self.assertTrue(before + 7 <= delays.total <= before + 10, delays.total - before)


@contextmanager
def no_collector() -> Iterator[None]:
    """Nothing is collected meanwhile."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class GarbageTests(SynchronousTestCase):
    """What is over is gone at once: a collector with a million claims to walk through stops the gateway for long."""

    def test_leaves_nothing_to_the_collector(self) -> None:
        """Claims that were used, with something to spare or without, that lapsed, were shared or taken from others."""
        for scene in [Scene(size) for size in (2, 4, 16)]:
            with no_collector():
                kinds = [service(1), service(2, TCP, 80), service(3, TCP, 25), service(4, loose_packet=3), service(5)]
                for number in range(600):
                    now = number / 20
                    scene.allocator.expire(now=now)
                    answer = scene.ask(kinds[number % 5], (RESOLVER, OTHER)[number % 2], now=now)
                    if isinstance(answer, bytes) and number % 7:
                        asked = kinds[number % 5]
                        scene.come(
                            answer, (CLIENT, NEIGHBOUR)[number % 3 % 2], dport=asked.terms.port or 80, now=now + 0.01
                        )
                self.assertGreater(scene.counters.by_claim, 100)
                self.assertGreater(scene.counters.lapsed, 10)
                self.assertEqual(gc.collect(), 0)

"""Tests of what changes while the gateway runs: prefixes that come and go, services that end, settings."""

from __future__ import annotations

from ipaddress import ip_network
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.state import State
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, OTHER, RESOLVER, TCP, Scene, pool_address, service

ONE, TWO = service(1), service(2)
FIRST = [ip_network("192.0.2.1/32")]
FURTHER = [ip_network("192.0.2.128/30")]


class ExtendTests(SynchronousTestCase):
    """Further prefixes."""

    def test_those_who_wait_are_served(self) -> None:
        """At once, by the new addresses."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        scene.wait(TWO, question="q", now=0.0)
        scene.allocator.extend(FURTHER, now=0.1)
        self.assertEqual(scene.told, [("q", pool_address(128))])
        self.assertEqual(scene.allocator.pool.size, 5)

    def test_addresses_that_are_there_stay_as_they_are(self) -> None:
        """With their claims."""
        scene = Scene(2)
        address = scene.get(ONE, now=0.0)
        scene.allocator.extend([ip_network("192.0.2.0/30")], now=0.0)
        self.assertEqual(scene.allocator.pool.size, 4)
        self.assertEqual(scene.come(address, now=0.1), 1)


class WithdrawTests(SynchronousTestCase):
    """Prefixes that are taken away."""

    def test_free_and_lingering_addresses_leave_at_once(self) -> None:
        """And what lingers there is gone."""
        scene = Scene(2)
        address = scene.visit(ONE, now=0.0, after=0.1)
        self.assertEqual(scene.allocator.withdraw([ip_network("192.0.2.0/30")], now=0.2), 0)
        self.assertEqual((scene.allocator.pool.size, dict(scene.allocator.pool.addresses)), (0, {}))
        self.assertEqual(scene.come(address, now=0.3), -Reason.NOT_OURS)

    def test_who_is_expected_may_still_come(self) -> None:
        """Nobody new is sent there, and it leaves when he has come."""
        scene = Scene(2)
        address = scene.get(ONE, now=0.0)
        self.assertEqual(scene.allocator.withdraw(FIRST, now=0.1), 1)
        self.assertNotEqual(scene.get(ONE, now=0.1), address)
        self.assertEqual(scene.come(address, now=0.2), 1)
        self.assertEqual((scene.allocator.leaving, scene.allocator.pool.size), (0, 1))

    def test_who_does_not_come_is_not_waited_for_beyond_his_deadline(self) -> None:
        """The address leaves when its claim ends."""
        scene = Scene(2)
        scene.get(ONE, now=0.0)
        scene.allocator.withdraw(FIRST, now=0.1)
        scene.allocator.expire(now=2.1)
        self.assertEqual((scene.allocator.leaving, scene.allocator.pool.size), (0, 1))

    def test_address_that_leaves_is_not_reclaimed_for_others(self) -> None:
        """However long nobody has come."""
        scene = Scene(2)
        scene.get(ONE, now=0.0)
        scene.get(TWO, now=0.0)
        scene.allocator.withdraw(FIRST, now=0.1)
        self.assertEqual(scene.get(service(3), now=1.9), pool_address(2))
        self.assertIs(scene.ask(service(4), OTHER, now=1.9), Reason.EXHAUSTED)

    def test_abandoned_claims_are_nobodys_fault(self) -> None:
        """Their outcome is neutral."""
        scene = Scene(2)
        scene.get(ONE, now=0.0)
        scene.allocator.withdraw(FIRST, now=0.1)
        scene.allocator.abandon(now=0.2)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual((group.ok, group.nok, group.neutral, scene.allocator.leaving), (0, 0, 1, 0))

    def test_those_who_wait_are_told_when_nothing_is_left(self) -> None:
        """With the reason."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        scene.wait(TWO, question="q", now=0.0)
        scene.allocator.withdraw(FIRST, now=0.1)
        self.assertEqual(scene.told, [("q", Reason.WITHDRAWN)])

    def test_prefix_that_comes_back_is_lent_again(self) -> None:
        """Its claims are as they were."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        scene.allocator.withdraw(FIRST, now=0.1)
        scene.allocator.extend(FIRST, now=0.2)
        self.assertEqual(scene.allocator.leaving, 0)
        self.assertEqual(scene.come(address, now=0.3), 1)
        self.assertEqual((scene.allocator.pool.size, scene.get(ONE, now=0.4)), (1, address))


class ForgetTests(SynchronousTestCase):
    """Services that lead nowhere any more."""

    def test_their_claims_and_memories_end(self) -> None:
        """Of that host, and of no other."""
        scene = Scene(4)
        pending, stays = scene.get(ONE, now=0.0), scene.get(TWO, now=0.0)
        scene.allocator.forget({ONE.target}, now=0.1)
        self.assertLess(scene.come(pending, now=0.2), 0)
        self.assertEqual(scene.come(stays, now=0.2), 2)

    def test_a_flow_that_was_just_admitted_is_not_admitted_again(self) -> None:
        """Its memory goes with the service, and so does that of its sender."""
        scene = Scene(4)
        address = scene.get(ONE, now=0.0)
        self.assertEqual(scene.come(address, CLIENT, TCP, 80, sport=1000, now=0.1), 1)
        scene.allocator.forget({ONE.target}, now=0.2)
        self.assertLess(scene.come(address, CLIENT, TCP, 80, sport=1000, now=0.3), 0)
        self.assertIs(scene.allocator.pool.addresses[address].state, State.FREE)

    def test_queries_that_wait_are_told(self) -> None:
        """With the reason."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        scene.wait(TWO, question="q", now=0.0)
        scene.allocator.forget({TWO.target}, now=0.1)
        self.assertEqual(scene.told, [("q", Reason.WITHDRAWN)])


class SettingsTests(SynchronousTestCase):
    """Other settings."""

    def test_count_from_now_on(self) -> None:
        """How long an address lingers, and how many may wait."""
        scene = Scene(1, linger=10.0)
        scene.visit(ONE, now=0.0, after=0.1)
        scene.allocator.configure(Allocation(linger=0.5, linger_loaded=0.1, max_waiting=0))
        scene.allocator.expire(now=0.7)
        self.assertEqual(scene.allocator.pool.counts()[State.FREE], 1)
        scene.get(ONE, now=0.8)
        self.assertIs(scene.wait(TWO, now=0.8), Reason.QUEUE_FULL)


class RandomTests(SynchronousTestCase):
    """Whatever comes in whatever order."""

    def test_the_books_agree(self) -> None:
        """Every address is in its state, claims are counted as they are, and in the end nothing is left."""
        services = [service(index, TCP if index % 2 else 0, 80 * (index % 2)) for index in range(1, 7)]
        prefixes = [ip_network(f"192.0.2.{first}/31") for first in (2, 4, 6)]
        for seed in range(60):
            scene, random, now = Scene(1), Random(seed), 0.0
            allocator = scene.allocator
            for _ in range(120):
                now += random.choice((0.0, 0.05, 0.6))
                self.act(scene, random, services, prefixes, now)
                counts = allocator.pool.counts()
                self.assertEqual(sum(counts.values()), allocator.pool.size, f"seed {seed}")
                self.assertEqual(len(allocator.pool.addresses), allocator.pool.size, f"seed {seed}")
                claims = sum(address.claims for address in allocator.pool.addresses.values())
                self.assertEqual(allocator.counters.pending, claims, f"seed {seed}")
            allocator.forget({each.target for each in services}, now=now)
            allocator.expire(now=now + 100)
            self.assertEqual((len(allocator.ledger.places), allocator.ledger.expected, allocator.leaving), (0, {}, 0))

    def act(self, scene: Scene, random: Random, services: list, prefixes: list, now: float) -> None:  # type: ignore[type-arg]
        """Something happens."""
        what, allocator = random.random(), scene.allocator
        if what < 0.4:
            asked = random.choice(services)
            if (
                scene.ask(asked, random.choice((RESOLVER, OTHER)), now=now) is Reason.EXHAUSTED
                and random.random() < 0.5
            ):
                allocator.wait(asked, RESOLVER, object(), lambda _outcome: None, tcp=False, now=now)
        elif what < 0.7:
            scene.come(pool_address(random.randrange(1, 8)), now=now)
        elif what < 0.8:
            allocator.expire(now=now)
        elif what < 0.87:
            allocator.extend([random.choice(prefixes)], now=now)
        elif what < 0.94:
            allocator.withdraw([random.choice(prefixes)], now=now)
        elif what < 0.97:
            allocator.abandon(now=now)
        else:
            allocator.forget({random.choice(services).target}, now=now)

"""Limits: what a host may hold, what the load policy permits, and when what ends."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims.candidates import STRAYS
from realmgw.allocation.claims.ledger import MOST_CLAIMS
from realmgw.allocation.reputation.load_policy import Kind
from realmgw.allocation.state import State
from realmgw.errors import Reason
from realmgw.test.allocation.scene import (
    CLIENT,
    ICMP,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
    STRAY,
    TCP,
    THIRD,
    RecordingPolicy,
    Scene,
    service,
)

ONE, TWO, THREE, FOUR = (service(index) for index in range(1, 5))
WEB, MAIL = service(1, TCP, 80), service(2, TCP, 25)


class LimitTests(SynchronousTestCase):
    """The most claims that a host may have, and the load policy."""

    def test_a_host_has_a_limit(self) -> None:
        """A host whose clients are expected at as many addresses as may be gets no further one; others do."""
        scene = Scene()
        mail = service(1, TCP, 25, max_claims=1)
        scene.get(service(1, TCP, 80, max_claims=1), now=0.0)
        scene.get(MAIL, now=0.0)  # beside it
        self.assertIs(scene.ask(mail, THIRD, now=0.1), Reason.HOST_LIMIT)
        scene.get(THREE, now=0.1)
        self.assertEqual(scene.counters.refused[Reason.HOST_LIMIT], 1)

    def test_who_finds_the_host_at_a_place_joins(self) -> None:
        """Claims cost nothing: no asker can use up what others need, whatever his own share of the pool."""
        scene = Scene(16)
        limited = service(1, max_claims=2)
        places = {scene.get(limited, f"203.0.113.{number}", now=0.0) for number in range(1, 200)}
        self.assertEqual(len(places), 2)
        self.assertEqual(scene.counters.refused[Reason.HOST_LIMIT], 0)

    def test_the_claims_of_one_asker_at_a_place_are_bounded(self) -> None:
        """Whoever asks without end displaces his own oldest claims, and nobody else's."""
        scene = Scene(1)
        address = scene.get(ONE, OTHER, now=0.0)
        for number in range(1000):
            self.assertEqual(scene.get(ONE, now=number * 0.001), address)
        self.assertLessEqual(scene.counters.pending, 2 * MOST_CLAIMS)
        self.assertEqual(scene.come(address, CLIENT, now=1.0), 1)
        self.assertLess(scene.allocator.groups.of(RESOLVER).reputation.value(1.0), 0.2)

    def test_whose_claim_made_room_is_no_stray(self) -> None:
        """A name of whose many clients each has asked: they come, and are let in, and nobody is alarmed by them."""
        scene = Scene(1, answered=lambda _: True)
        address = scene.get(ONE, now=0.0)
        for number in range(3 * MOST_CLAIMS):
            scene.get(ONE, now=number * 0.001)
        for number in range(3 * MOST_CLAIMS):
            self.assertEqual(scene.come(address, bytes((203, 0, 113, number)), now=0.3), 1)
        self.assertEqual(scene.allocator.ledger.candidates.alarmed_until, -math.inf)

    def test_who_comes_beside_them_is_one(self) -> None:
        """And so is whoever comes when their time is over, or beside those whose claims made room since."""
        for later in (None, 0, MOST_CLAIMS):
            scene = Scene(1, answered=lambda _: True)
            for number in range(2 * MOST_CLAIMS):
                address = scene.get(ONE, now=number * 0.001)
            now, expected = 0.3, 2 * MOST_CLAIMS
            if later is not None:
                now, expected = 3.0, later + 1
                scene.allocator.expire(now=now)
                for _ in range(expected):
                    scene.get(ONE, now=now)
            for number in range(expected + STRAYS):
                self.assertEqual(scene.allocator.ledger.candidates.alarmed_until, -math.inf, (later, number))
                scene.come(address, bytes((203, 0, 113, number)), now=now)
            self.assertGreater(scene.allocator.ledger.candidates.alarmed_until, now)

    def test_those_who_waited_make_no_room(self) -> None:
        """However many they are, all were told now, and their clients are yet to come."""
        scene = Scene(1)
        address = scene.get(TWO, now=0.0)
        for _ in range(3 * MOST_CLAIMS):
            scene.wait(ONE, now=0.0)
        scene.come(address, now=0.1)
        self.assertEqual((len(scene.told), scene.counters.pending), (3 * MOST_CLAIMS, 3 * MOST_CLAIMS))
        self.assertEqual(scene.counters.lapsed, 0)

    def test_a_better_standing_has_room_made(self) -> None:
        """Who is known for clients that do not come makes room at a host that is at its limit."""
        scene = Scene()
        scene.allocator.groups.set(OTHER, 0.05, now=0.0)
        scene.allocator.groups.of(OTHER).weigh(0.0)
        web, mail = service(1, TCP, 80, max_claims=1), service(1, TCP, 25, max_claims=1)
        scene.get(web, OTHER, now=0.0)
        scene.get(MAIL, now=0.0)  # beside it
        self.assertIs(scene.ask(mail, OTHER, now=0.1), Reason.HOST_LIMIT)
        scene.get(mail, RESOLVER, now=0.1)
        self.assertEqual((scene.counters.displaced, scene.counters.lapsed), (1, 1))

    def test_services_of_a_host_stand_at_one_address(self) -> None:
        """Where no other host's service is in the way, they cost no more than one of them."""
        scene = Scene()
        every = [service(1, *key, max_claims=1) for key in ((TCP, 80), (TCP, 25), (0, 80), (TCP, 0), (0, 0))]
        [address] = {scene.get(asked, now=0.0) for asked in every}
        self.assertEqual([scene.come(address, CLIENT, TCP, port, now=0.1) for port in (80, 25, 7)], [1, 1, 1])
        self.assertEqual(scene.come(address, NEIGHBOUR, ICMP, 0, now=0.1), 1)

    def permits(self, *refused: Kind) -> Scene:
        """A scene of 4 addresses whose load policy refuses these kinds, and notes what it was asked."""
        scene = Scene(4)
        policy = RecordingPolicy(refused, scene.counters)
        scene.allocator.askers.load, self.asked = policy, policy.asked
        return scene

    def test_the_load_policy_is_asked_by_kind(self) -> None:
        """A whole address, an address that can be shared, and a share are different kinds; the load is told."""
        scene = self.permits()
        for asked in (THREE, WEB, MAIL):
            scene.get(asked, now=0.0)
        self.assertEqual(self.asked, [(Kind.FQDN_NEW, 0.0), (Kind.SFQDN_NEW, 0.25), (Kind.SFQDN_REUSE, 0.5)])

    def test_the_load_policy_refuses(self) -> None:
        """What it does not permit is refused for that reason, and nothing is claimed."""
        scene = self.permits(Kind.FQDN_NEW, Kind.SFQDN_REUSE)
        self.assertIs(scene.ask(ONE, now=0.0), Reason.POLICY)
        scene.get(WEB, now=0.0)
        self.assertIs(scene.ask(MAIL, now=0.0), Reason.POLICY)
        self.assertEqual((scene.allocator.pool.waiting, scene.counters.refused[Reason.POLICY]), (1, 2))

    def test_what_costs_nothing_needs_no_permission(self) -> None:
        """Retransmissions, joined claims and a host's last address are not asked for."""
        scene = self.permits()
        scene.get(ONE, question="q", now=0.0)
        for question in ("q", "r"):
            scene.come(scene.get(ONE, question=question, now=0.1), now=0.2)
        scene.get(ONE, now=0.3)
        self.assertEqual(len(self.asked), 1)

    def test_an_exhausted_pool_needs_no_permission(self) -> None:
        """To be told to wait, and to get an address to which nobody comes any more, no standing is needed."""
        scene = self.permits()
        for asked in (ONE, TWO, THREE, FOUR):
            scene.get(asked, now=0.0)
        self.asked.clear()
        self.assertIs(scene.ask(service(5), now=0.4), Reason.EXHAUSTED)
        scene.get(service(5), now=0.6)
        self.assertEqual(self.asked, [])


class TimeTests(SynchronousTestCase):
    """What `expire` announces, and what is left in the end."""

    def test_nothing_is_announced_while_nothing_is_pending(self) -> None:
        """An idle pool needs no timer."""
        self.assertIsNone(Scene().allocator.expire(now=1.0))

    def test_the_earliest_end_is_announced(self) -> None:
        """Claims, and what lingers, are announced with their ends."""
        scene = Scene()
        scene.get(ONE, now=0.5)
        self.assertEqual(scene.allocator.expire(now=0.6), 2.5)
        scene.visit(TWO, now=0.6, after=0.0)
        scene.allocator.expire(now=2.5)
        self.assertEqual(scene.allocator.expire(now=2.6), 600.6)

    def test_a_time_near_the_clocks_zero_is_a_time(self) -> None:
        """What ends at the zero of the monotonic clock is announced like anything else."""
        scene = Scene()
        scene.get(ONE, now=-2.0)
        self.assertEqual(scene.allocator.expire(now=-1.0), 0.0)

    def test_everything_is_over_in_the_end(self) -> None:
        """When nobody asks any more, all addresses come free and nothing is remembered but who had each last."""
        scene = Scene(8, max_groups=16)
        for number in range(500):
            asked = (ONE, WEB, MAIL, service(5, 0, 80), service(6, TCP, 0))[number % 5]
            answer = scene.ask(asked, f"2001:db8::{number % 50:x}", now=0.01 * number)
            if isinstance(answer, bytes) and number % 3:
                scene.come(answer, STRAY, asked.terms.protocol or TCP, asked.terms.port or 80, now=0.01 * number)
        scene.allocator.expire(now=60.0)
        scene.allocator.expire(now=700.0)
        ledger = scene.allocator.ledger
        self.assertEqual(scene.allocator.pool.counts(), {State.FREE: 8, State.WAITING: 0, State.LINGERING: 0})
        self.assertEqual(
            (ledger.expected, len(ledger.places), len(ledger.deadlines), len(ledger.lingers)), ({}, 0, 0, 0)
        )
        self.assertLessEqual(len(ledger.last), 8)
        self.assertLessEqual(len(scene.allocator.groups), 16)
        self.assertFalse(ledger.dead.watching)

    def test_spoofed_resolvers_cost_no_memory(self) -> None:
        """Claims of ever new resolvers leave no more behind than their deadlines."""
        scene = Scene(4, max_groups=64)
        for number in range(20_000):
            scene.ask((ONE, TWO, THREE, FOUR, service(5))[number % 5], f"2001:db8::{number:x}", now=0.001 * number)
            if number % 50 == 0:
                scene.allocator.expire(now=0.001 * number)
        ledger = scene.allocator.ledger
        pending = scene.counters.pending
        self.assertLessEqual(pending, 2000)  # of two seconds
        self.assertLessEqual(len(ledger.deadlines), 2 * 2000)
        self.assertLessEqual(len(ledger.dead._holds or ()) + len(ledger.dead._dead), 2 * (2 * 4 + 64))
        self.assertLessEqual(sum(map(len, ledger.expected.values())), pending)
        self.assertLessEqual(len(scene.allocator.groups), 64)

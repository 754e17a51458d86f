"""Tests of what is served at once although others wait."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.state import Claim
from realmgw.config.policy import Policy
from realmgw.errors import Reason
from realmgw.subscribers.model import Service
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, Scene, service

ONE, TWO, THREE = service(1), service(2), service(3)
LATER = 1.0  # seconds


class AtOnceTests(SynchronousTestCase):
    """One resolver waits for what it is told nothing of, to see whether it keeps it; another one asks for something."""

    def setUp(self) -> None:
        self.scene = Scene(3, policy=Policy(max_claims=1000), max_waiting=2)
        caution = self.scene.allocator.groups.of(OTHER).habits.caution
        self.scene.visit(ONE, OTHER, CLIENT, now=0.0, after=0.01)
        caution.is_on, caution.is_tried, caution._until, caution._clients = True, True, math.inf, None
        self.scene.allocator.groups.of(OTHER).habits.is_plain = False
        self.assertIsNone(self.scene.wait(ONE, OTHER, "on trial", now=LATER))

    def ask(self, asked: Service, resolver: str = RESOLVER, question: str = "new") -> bytes | Reason | None:
        """What is served at once of what was told that there is nothing."""
        self.assertIs(self.scene.allocator.ask(asked, resolver, question, now=LATER), Reason.EXHAUSTED)
        return self.scene.allocator.at_once(asked, resolver, question, now=LATER)

    def claims(self, asked: Service) -> list[Claim]:
        """Those that are pending for a service."""
        expected = self.scene.allocator.ledger.expected.get(asked.target) or {}
        return [claim for reservation in expected.values() for claim in reservation.claims.values()]

    def test_what_nobody_who_waits_may_have(self) -> None:
        """It has not waited, and its client finds his host; who waits, waits on, and is served in his turn."""
        address = self.ask(TWO)
        assert isinstance(address, bytes)
        self.assertEqual([claim.waited for claim in self.claims(TWO)], [0.0])
        self.assertEqual(self.scene.come(address, NEIGHBOUR, now=LATER + 0.01), TWO.host.index)
        self.assertEqual((self.scene.allocator.waiting, self.scene.told), (1, []))
        self.assertEqual((self.scene.counters.waited, self.scene.counters.served), (1, 0))
        self.scene.allocator.expire(now=LATER + 0.6)
        self.assertEqual([question for question, _ in self.scene.told], ["on trial"])

    def test_not_before_somebody_who_waits_for_the_same(self) -> None:
        """He is told with them."""
        self.assertIsNone(self.ask(ONE))
        self.assertEqual((self.scene.allocator.waiting, self.claims(ONE)), (1, []))

    def test_not_what_somebody_who_waits_would_have(self) -> None:
        """Nothing is changed where there is but the address that is on trial, and nobody has to go for it."""
        scene = self.scene
        for asked in (TWO, THREE):
            self.assertIsNotNone(self.ask(asked))
        waiting = service(4)
        self.assertIsNone(self.ask(waiting))
        self.assertIsNone(scene.wait(waiting, RESOLVER, "waits", now=LATER))
        self.assertIsNone(self.ask(service(5)))
        self.assertEqual((scene.allocator.waiting, scene.told), (2, []))

    def test_not_where_somebody_would_have_to_go_for_it(self) -> None:
        """As many wait as may."""
        self.assertIsNone(self.scene.wait(ONE, OTHER, "on trial as well", now=LATER))
        self.assertIsNone(self.ask(TWO))
        self.assertEqual(self.scene.allocator.waiting, 2)

    def test_not_for_who_would_wait_in_vain(self) -> None:
        """Whose reputation is next to nothing, by the load policy."""
        self.scene.allocator.groups.of(RESOLVER).reputation.nok = 1000.0
        self.assertIsNone(self.scene.allocator.at_once(TWO, RESOLVER, "new", now=LATER))
        self.assertEqual(self.claims(TWO), [])

    def test_who_is_refused_for_good_is_told_so(self) -> None:
        """And that is counted once: as many claims stand as may."""
        self.scene.counters.pending = 1000
        self.assertIs(self.scene.allocator.at_once(TWO, RESOLVER, "new", now=LATER), Reason.CLAIM_LIMIT)
        self.assertEqual((self.scene.counters.refused[Reason.CLAIM_LIMIT], self.scene.allocator.waiting), (1, 1))

    def test_not_where_nobody_waits(self) -> None:
        """Then there was nothing to be had at all."""
        self.scene.allocator.dismiss()
        self.assertIsNone(self.scene.allocator.at_once(TWO, RESOLVER, "new", now=LATER))

"""Tests of what is learned where several were expected, while the gateway is alarmed."""

from __future__ import annotations

from realmgw.allocation.reputation.caution import CAUTIOUS, NAMES
from realmgw.allocation.reputation.group import OBSERVATIONS
from realmgw.errors import Reason
from realmgw.test.allocation.claims.test_candidates import ONE, TWO, Conntrack, RobberyTestCase
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, RESOLVER, STRAY, Scene, serve


class KeptTests(RobberyTestCase):
    """Those of a resolver that may keep answers."""

    def test_are_let_in_for_as_long_as_that_is_assumed(self) -> None:
        """They were told what it kept, after the first one had come; for no longer than others are kept waiting for."""
        for begun, outcome in ((0.2, ONE.host.index), (0.2 - CAUTIOUS, -Reason.NO_CLAIM)):
            scene = self.scene()
            address = scene.visit(ONE, now=0.1, after=0.1)
            habits = scene.allocator.groups.of(RESOLVER).habits
            serve(habits.caution, NEIGHBOUR)
            for _ in range(NAMES):
                habits.asked(begun)
            habits.caution._until, habits.caution._waited = 99.0, 0.5
            self.assertTrue(habits.caution.is_on)
            scene.come(address, STRAY, now=0.3)
            self.conntrack.said[CLIENT] = True
            self.assertEqual(scene.come(address, NEIGHBOUR, now=0.7), outcome)


class SeveralTests(RobberyTestCase):
    """How soon a group's clients come."""

    def test_who_has_little_experience_learns_the_least_that_it_can_have_been(self) -> None:
        """Of several claims the youngest; or nothing would ever be learned where names wait, and clients come together.

        It would be believed then that clients take as long as they may, and names would wait for that.
        """
        for answered in (True, False):
            scene = self.scene()
            scene.get(ONE, now=0.1)
            address = scene.get(ONE, now=0.4)
            scene.come(address, CLIENT, now=0.41)
            self.conntrack.said[CLIENT] = answered
            self.end(scene)
            delays = scene.allocator.groups.of(RESOLVER).delays
            self.assertEqual(delays is not None and 0.0 < delays.quantile(1.0) < 0.02, answered)

    def test_who_comes_together_with_the_first_one_teaches_as_well(self) -> None:
        """Their resolver had asked once for both; it is not known yet then whether the first one is answered.

        It says nothing of a habit. Who is not answered teaches nothing.
        """
        for answered in (True, False):
            scene = self.scene()
            address = scene.get(ONE, now=0.1)
            for source in (CLIENT, NEIGHBOUR):
                scene.come(address, source, now=0.11)
            self.conntrack.said = {CLIENT: True, NEIGHBOUR: answered}
            self.end(scene)
            group = scene.allocator.groups.of(RESOLVER)
            assert group.delays is not None
            self.assertEqual(group.delays.total, 1 + answered)
            self.assertLess(group.delays.quantile(1.0), 0.02)
            self.assertFalse(group.habits.is_known)

    def test_a_stranger_before_him_teaches_nothing_of_several(self) -> None:
        """Who comes later than the first one may be the client of a claim that was made since."""
        scene = self.scene()
        scene.get(ONE, now=0.1)
        address = scene.get(ONE, now=0.15)
        self.strangers(scene, address, 1, now=0.2)
        scene.come(address, CLIENT, now=0.5)
        self.conntrack.said[CLIENT] = True
        self.end(scene)
        delays = scene.allocator.groups.of(RESOLVER).delays
        self.assertTrue(delays is None or not delays.total)

    def test_nothing_is_learned_while_packets_are_lost(self) -> None:
        """Who comes then may have come before, a second ago: alone, or one of several."""
        for queries in (1, 2):
            scene = self.scene()
            for _ in range(queries):
                address = scene.get(ONE, now=0.1)
            scene.allocator.behind(0.0, lost_at=0.2)
            scene.come(address, CLIENT, now=1.12)
            self.conntrack.said[CLIENT] = True
            self.end(scene)
            group = scene.allocator.groups.of(RESOLVER)
            self.assertGreater(group.ok, 0)
            self.assertTrue(group.delays is None or not group.delays.total, queries)

    def test_who_is_slower_than_all_before_is_doubted(self) -> None:
        """Without any alarm: of a claim whose client came otherwise a stranger finds what is left."""
        for after, is_doubted in ((0.02, False), (0.5, True)):
            self.conntrack = Conntrack()
            scene = Scene(4, answered=self.conntrack.answered)
            now = scene.learn(ONE, visits=2 * OBSERVATIONS, now=0.1, after=0.02) + 1.0
            address = scene.get(TWO, now=now)
            claim = scene.allocator.groups.of(RESOLVER).told.last(TWO.name)
            assert claim is not None
            self.assertEqual(scene.come(address, NEIGHBOUR, now=now + after), TWO.host.index)
            self.assertEqual(claim.doubt is not None, is_doubted, after)

    def test_nothing_is_learned_from_who_knocks_everywhere(self) -> None:
        """He is answered where another one's claim was used; he was no company of that one's."""
        for places, learned in ((1, 1), (2, 0)):
            scene = self.scene()
            address = scene.get(ONE, now=0.1)
            self.conntrack.said.update({CLIENT: True, STRAY: True})
            for source in (CLIENT, STRAY):
                scene.come(address, source, now=0.2)
            for last in range(places):
                scene.allocator.ledger.candidates.refused(STRAY, bytes((192, 0, 2, last)), 0.2)
            self.end(scene)
            self.assertEqual(scene.allocator.groups.of(RESOLVER).habits._companions, learned)

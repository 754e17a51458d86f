"""Tests of candidates who came before any claim that is left, as after a flood: no more is asked than is of use."""

from __future__ import annotations

from realmgw.allocation.claims.candidates import KEPT
from realmgw.allocation.reputation.habits import LONERS
from realmgw.test.allocation.claims.test_candidates import ONE, TWO, RobberyTestCase
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY


class PastTests(RobberyTestCase):
    """What they came for has ended."""

    def test_who_came_before_any_claim_that_is_left_is_not_asked_for_again(self) -> None:
        """However many came in a flood: a flow after it costs a question or two, not one for each of them."""
        scene = self.scene()
        address = scene.visit(ONE, now=0.1, after=0.0)
        self.conntrack.said[CLIENT] = True
        self.strangers(scene, address, KEPT, now=0.2)
        asked = 0
        for number in range(80):  # each claim is doubted, and found out about when its time is over
            asked = scene.counters.questions if number == 40 else asked
            now = 3.0 + 0.1 * number
            scene.allocator.ledger.candidates.alarmed_until = now + 1.0
            scene.allocator.expire(now=now)
            scene.come(scene.get(ONE, now=now), CLIENT, sport=2000 + number, now=now)
        self.assertLess(scene.counters.questions - asked, 160)

    def test_who_came_before_any_claim_that_is_left_is_asked_for_once_more(self) -> None:
        """He may have been answered since: else he is taken for forged, when a later one is answered."""
        scene = self.scene()
        address = scene.get(ONE, now=0.1)
        self.strangers(scene, address, 2, now=0.2)
        self.end(scene)
        counted = [1]
        for number in range(4):
            now = 5.1 + 0.1 * number
            scene.allocator.ledger.candidates.alarmed_until = now + 1.0
            scene.come(scene.get(ONE, now=now), STRAY, sport=2000 + number, now=now)
            counted.append(sum(flow[0] == b"\0\0\0\1" for flow in self.conntrack.asked))
        self.assertEqual(counted, [1, 2, 2, 2, 2])

    def test_for_whom_an_address_is_kept_counts_though_the_next_claim_is_doubted(self) -> None:
        """He came before that one was made, and together with the client of the one before."""
        scene = self.scene(1)
        habits = scene.allocator.groups.of(RESOLVER).habits
        for _ in range(LONERS - 1):
            habits.met(others=False)
        scene.get(TWO, OTHER, now=0.1)
        self.assertIsNone(scene.wait(ONE, question="waits", now=0.11))
        scene.allocator.expire(now=0.61)
        [(_, address)] = scene.told
        assert isinstance(address, bytes)
        self.assertEqual([scene.come(address, source, now=0.62) for source in (CLIENT, NEIGHBOUR)], [1, 1])
        self.conntrack.said[CLIENT] = True
        scene.get(ONE, now=0.625)
        for now in (0.63, 0.635, 0.64):
            self.assertEqual(scene.come(address, bytes((203, 0, 113, round(now * 200))), now=now), 1)
        self.conntrack.said[NEIGHBOUR] = True
        scene.allocator.expire(now=1.2)
        self.assertTrue(habits.may_coalesce(tcp=False))

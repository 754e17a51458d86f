"""Tests for `realmgw.allocation.claims.candidates`: forged packets where several clients come for one answer."""

from __future__ import annotations

import math
from collections import deque

from realmgw.allocation.claims.candidates import FORGED, JUDGED, KEPT
from realmgw.allocation.claims.company import ANSWERED, LATEST, LEFT, Parted
from realmgw.allocation.claims.crowd import Candidate, Crowd
from realmgw.allocation.explain import explain_ask
from realmgw.allocation.homes import NETWORK, _Network
from realmgw.allocation.reputation.habits import COALESCES, COMPANIONS, FEW, LATER, Habits
from realmgw.errors import Reason
from realmgw.test.allocation.claims.test_candidates import Conntrack, RobberyTestCase
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, TCP, Scene, service

ONE, TWO, THREE = (service(index) for index in range(1, 4))


class CompanyTests(RobberyTestCase):
    """Addresses that are kept for further clients."""

    def test_finds_his_address_where_it_was_kept_for_company(self) -> None:
        """For a moment after a stranger came for his claim: that it is over is no reason to hand the address on."""
        scene = self.scene(1)
        self.conntrack.said[NEIGHBOUR] = True
        address = scene.get(ONE, now=0.1)
        self.assertIsNone(scene.wait(TWO, question="two", now=0.12))
        self.assertIsNone(scene.wait(THREE, OTHER, now=0.13))
        for _ in range(COMPANIONS):
            scene.allocator.groups.of(RESOLVER).habits.came_together(0.0)
        scene.come(address, NEIGHBOUR, now=0.15)
        scene.allocator.expire(now=0.16)
        self.assertEqual(scene.told, [("two", address)])
        self.strangers(scene, address, 1, now=0.17)
        self.assertLess(scene.allocator.pool.addresses[address].held_until, 0.2)
        self.assertIsNone(scene.wait(ONE, now=0.25))  # which looks for what is dead, before the timer does
        self.assertIs(explain_ask(scene.allocator, ONE, RESOLVER, now=0.25).reason, Reason.EXHAUSTED)
        self.assertEqual(len(scene.told), 1)
        self.assertEqual(scene.come(address, CLIENT, now=0.26), 2)

    def test_peace_ends_where_many_come_for_each_answer(self) -> None:
        """When many of them are not answered, though a later one is; not while companions come."""
        for forged in (False, True):
            self.conntrack = Conntrack()
            scene = Scene(2, answered=self.conntrack.answered)
            scene.allocator.groups.of(RESOLVER).habits.remember(COALESCES, 1.0, until=100.0)
            for number in range(10):
                now = 0.2 * number
                address = scene.get(ONE, now=now)
                for last in range(1, 4):
                    source = bytes((198, 51, 100 + number, last))
                    self.conntrack.said[source] = not forged or last == 3
                    scene.come(address, source, now=now + 0.01 * last)
                scene.allocator.expire(now=now + 0.1)
            self.assertEqual(scene.allocator.ledger.candidates.alarmed_until > now, forged)

    def test_no_address_is_kept_for_it_where_packets_are_forged(self) -> None:
        """As long as nothing is known of it: it was hardly the client who came. What he is answered is found out."""
        for forged, is_known, is_kept in ((False, False, True), (True, False, False), (True, True, True)):
            self.conntrack = Conntrack()
            scene = Scene(1, answered=self.conntrack.answered)
            address = scene.get(TWO, OTHER, now=0.0)
            self.assertIsNone(scene.wait(ONE, now=0.1))
            scene.come(address, NEIGHBOUR, now=0.2)
            for _ in range(COMPANIONS if is_known else 0):
                scene.allocator.groups.of(RESOLVER).habits.came_together(0.01)
            scene.allocator.ledger.candidates._forged = 0.5 if forged else 0.0
            scene.allocator.expire(now=0.21)
            self.assertEqual(scene.come(address, CLIENT, now=0.25), ONE.host.index)
            [reservation] = scene.allocator.pool.addresses[address].reservations.values()
            self.assertEqual(reservation.hold is not None, is_kept, (forged, is_known))

    def test_nor_for_who_knocks_everywhere(self) -> None:
        """Whatever is known of the company that others come in."""
        for places in (1, 2):
            scene = Scene(1)
            address = scene.get(TWO, OTHER, now=0.0)
            self.assertIsNone(scene.wait(ONE, now=0.1))
            scene.come(address, NEIGHBOUR, now=0.2)
            for _ in range(COMPANIONS):
                scene.allocator.groups.of(RESOLVER).habits.came_together(0.01)
            for last in range(places):
                scene.allocator.ledger.candidates.refused(CLIENT, bytes((192, 0, 2, last)), 0.2)
            scene.allocator.expire(now=0.21)
            self.assertEqual(scene.come(address, CLIENT, now=0.25), ONE.host.index)
            [reservation] = scene.allocator.pool.addresses[address].reservations.values()
            self.assertEqual(reservation.hold is not None, places == 1)

    def test_but_for_one_in_whose_network_its_clients_live(self) -> None:
        """Where addresses are few, honest clients are refused here and there as well."""
        for is_home in (False, True):
            scene = Scene(1)
            group = scene.allocator.groups.of(RESOLVER)
            scene.allocator.ledger.homes._networks.put(CLIENT[:NETWORK], _Network(group, 1.0 if is_home else 0.5))
            address = scene.get(TWO, OTHER, now=0.0)
            self.assertIsNone(scene.wait(ONE, now=0.1))
            scene.come(address, bytes((203, 0, 113, 1)), now=0.2)
            for _ in range(COMPANIONS):
                group.habits.came_together(0.01)
            for last in range(2):
                scene.allocator.ledger.candidates.refused(CLIENT, bytes((192, 0, 2, last)), 0.2)
            scene.allocator.expire(now=0.21)
            self.assertEqual(scene.come(address, CLIENT, now=0.25), ONE.host.index)
            [reservation] = scene.allocator.pool.addresses[address].reservations.values()
            self.assertEqual(reservation.hold is not None, is_home)

    def test_of_more_than_are_remembered_the_first_are_judged_at_once(self) -> None:
        """Or a flood that displaces each before his time would never be known for one."""
        scene = self.scene(4, candidate_rate=100 * KEPT)
        address = scene.get(ONE, now=0.1)
        self.strangers(scene, address, KEPT, now=0.11)
        self.conntrack.said[CLIENT] = True
        scene.come(address, CLIENT, now=0.12)
        candidates, lent = scene.allocator.ledger.candidates, scene.allocator.pool.addresses[address]
        self.assertEqual([candidates.is_doubted(lent, 0.13 + 0.003 * step) for step in (0, 20)], [True, True])
        steps = [candidates.is_doubted(lent, 0.2 + 0.003 * step) for step in range(20)]
        self.assertFalse(steps[-1])
        self.assertFalse(candidates.are_forged)
        for number in range(20):
            scene.come(address, bytes((203, 0, 113, number)), now=0.3)
        self.assertTrue(candidates.are_forged)

    def test_who_is_answered_later_has_forged_nothing(self) -> None:
        """Of those who come together, one is the first to be answered; the others are judged when they had time."""
        for answered in (False, True):
            scene = self.scene(4)
            address = scene.get(ONE, now=0.1)
            sources = [bytes((203, 0, 113, last)) for last in range(1, 11)]
            for source in sources:
                scene.come(address, source, now=0.11)
            self.conntrack.said[CLIENT] = True
            scene.come(address, CLIENT, now=0.12)
            candidates = scene.allocator.ledger.candidates
            [reservation] = scene.allocator.pool.addresses[address].reservations.values()
            candidates.ask(reservation, 0.13, at_once=True)
            self.assertFalse(candidates.are_forged)
            self.conntrack.said.update(dict.fromkeys(sources, answered))
            candidates.ask(reservation, 0.12 + JUDGED, at_once=True)
            self.assertIs(candidates.are_forged, not answered)
            self.assertFalse(reservation.crowd is not None and reservation.crowd.candidates)

    def test_nor_when_another_claim_was_used_meanwhile(self) -> None:
        """What he may have come for was made before, and it is known who came for that one."""
        for at, forged in ((0.13, False), (0.12 + JUDGED, True)):
            scene = self.scene(4)
            address = scene.get(ONE, now=0.1)
            for last in range(1, 11):
                scene.come(address, bytes((203, 0, 113, last)), now=0.11)
            scene.get(ONE, now=0.115)
            self.conntrack.said[CLIENT] = True
            scene.come(address, CLIENT, now=0.12)
            scene.come(address, NEIGHBOUR, now=0.125)
            [reservation] = scene.allocator.pool.addresses[address].reservations.values()
            candidates = scene.allocator.ledger.candidates
            for step in range(3):
                candidates.ask(reservation, at + 0.01 * step, at_once=True)
            self.assertIs(candidates.are_forged, forged)

    def test_who_came_with_the_one_who_was_answered_is_remembered_while_the_address_is_kept(self) -> None:
        """For such as he it is; and not for longer than he may be judged where it is not."""
        for is_kept in (False, True):
            scene = Scene(4, answered=lambda _: False)
            address = scene.get(ONE, now=0.1)
            [reservation] = scene.allocator.pool.addresses[address].reservations.values()
            [claim] = reservation.claims.values()
            reservation.hold = claim if is_kept else None
            flow = NEIGHBOUR, address, TCP, 1234, 80
            candidate = Candidate(flow, 0.13, 0.2, beyond=False)
            reservation.crowd = Crowd(candidates=deque([candidate]), answered_at=0.12)
            for at, remembered in ((0.13 + 0.9 * JUDGED, True), (0.13 + 2 * JUDGED, is_kept)):
                scene.allocator.ledger.candidates.ask(reservation, at, at_once=True)
                self.assertEqual(list(reservation.crowd.candidates), [candidate] if remembered else [])


class PartedTests(RobberyTestCase):
    """Who came last, and was not answered yet when the address passed on."""

    def pass_on(self, scene: Scene, sources: tuple[bytes, ...] = (NEIGHBOUR,), begin: float = 0.0) -> None:
        """A client comes, then others 0.1 s later; before it is known who of these is answered, another host has it."""
        scene.visit(ONE, source=CLIENT, now=begin, after=0.05)
        for source in sources:
            scene.come(self.address, source, now=begin + 0.15)
        self.assertEqual(scene.get(TWO, OTHER, now=begin + 0.16), self.address)
        self.assertEqual(scene.come(self.address, STRAY, now=begin + 0.165), TWO.host.index)

    def quiet(self) -> Scene:
        """One address, and nobody is alarmed."""
        self.conntrack = Conntrack()
        self.conntrack.said[CLIENT] = True
        scene = Scene(1, answered=self.conntrack.answered)
        self.address = next(iter(scene.allocator.pool.addresses))
        return scene

    def lags(self, scene: Scene) -> list[float]:
        """How long after the first one others came, as that is learned."""
        lags: list[float] = []
        self.patch(Habits, "came_together", lambda _, after, counts: lags.append(round(after, 3)))
        self.pass_on(scene)
        self.assertEqual(lags, [])
        return lags

    def test_is_learned_of_when_he_was(self) -> None:
        """Or only the quick ones would be, and an address would pass on the sooner the more come."""
        scene = self.quiet()
        lags = self.lags(scene)
        self.conntrack.said[NEIGHBOUR] = True
        scene.allocator.expire(now=0.16 + ANSWERED - 0.01)
        self.assertEqual(lags, [])
        for _ in range(2):  # once
            scene.allocator.expire(now=0.16 + ANSWERED)
            self.assertEqual(lags, [0.1])

    def test_those_who_come_together_tell_no_more_than_one_of_them(self) -> None:
        """A crowd of quick ones does not make all quick: its slow ones are still to come."""
        counted: list[bool] = []
        self.patch(Habits, "came_together", lambda _, after, counts: counted.append(counts))
        sources = tuple(bytes((203, 0, 113, last)) for last in range(20, 30))
        scene = self.quiet()
        self.conntrack.said.update(dict.fromkeys(sources, True))
        self.pass_on(scene, sources)
        scene.allocator.expire(now=0.16 + ANSWERED)
        self.assertEqual(counted, [True] + [False] * 9)

    def test_but_however_many_they_are_the_latest_counts(self) -> None:
        """Where it is known how close together clients come, and where it is not."""
        habits = Habits()
        for number in range(FEW * COMPANIONS):
            habits.came_together(0.001 * number, counts=number % COMPANIONS == 0)
            self.assertEqual(habits.company < math.inf, number >= COMPANIONS * (FEW - 1))
        self.assertAlmostEqual(habits.company, LATER * 0.001 * number * (1 + COMPANIONS / FEW))

    def test_not_who_was_not(self) -> None:
        """Anybody can send a packet."""
        scene = self.quiet()
        lags = self.lags(scene)
        scene.allocator.expire(now=0.16 + ANSWERED)
        self.assertEqual(lags, [])

    def test_nor_who_knocks_everywhere(self) -> None:
        """As is known by then."""
        scene = self.quiet()
        lags = self.lags(scene)
        self.conntrack.said[NEIGHBOUR] = True
        for last in (1, 2):
            scene.allocator.ledger.candidates.refused(NEIGHBOUR, bytes((192, 0, 2, last)), 0.2)
        scene.allocator.expire(now=0.16 + ANSWERED)
        self.assertEqual(lags, [])

    def test_nobody_where_packets_are_forged(self) -> None:
        """They would all be asked for."""
        scene = self.quiet()
        scene.allocator.ledger.candidates._forged = 0.5
        lags = self.lags(scene)
        self.conntrack.said[NEIGHBOUR] = True
        scene.allocator.expire(now=0.16 + ANSWERED)
        self.assertEqual(lags, [])

    def test_what_was_forged_is_found_out_afterwards(self) -> None:
        """By those who were not answered, though one is who came later; those who were speak against it.

        Of whom it can not be told, nothing is said.
        """
        for answered, others in ((range(0), False), (range(8), False), (range(0), None)):
            scene = self.scene(1)
            address = scene.get(ONE, now=0.1)
            sources = [bytes((203, 0, 113, last)) for last in range(1, 10)]
            for source in sources:
                scene.come(address, source, now=0.11)
            self.conntrack.said[CLIENT] = True
            scene.come(address, CLIENT, now=0.12)
            candidates = scene.allocator.ledger.candidates
            candidates._forged = 0.9 * FORGED
            self.assertFalse(candidates.is_doubted(scene.allocator.pool.addresses[address], 0.13))
            self.assertEqual(scene.get(TWO, OTHER, now=0.14), address)
            self.conntrack.said.update(dict.fromkeys(sources, others))
            self.conntrack.said.update({sources[last]: True for last in answered})
            scene.allocator.expire(now=0.14 + ANSWERED)
            self.assertEqual(candidates.are_forged, not answered and others is False)

    def test_in_bounds(self) -> None:
        """So many reservations, and the last ones who came there, whatever comes; and there is room again."""
        scene, parted = self.quiet(), Parted()
        scene.get(ONE, now=0.0)
        [reservation] = scene.allocator.pool.addresses[self.address].reservations.values()
        flows = [(bytes((198, 51, 100, last)), self.address, TCP, 1234, 80) for last in range(2 * LATEST)]
        candidates = [Candidate(flow, 0.1, 0.2, beyond=True) for flow in flows]
        for _ in range(2):
            for _ in range(LEFT + 10):
                parted.enter(reservation, candidates, 0.3)
            left = list(parted.over(0.3 + ANSWERED))
            self.assertEqual(len(left), LEFT)
            self.assertEqual({each for _, _, each in left}, {tuple(candidates[LATEST:])})

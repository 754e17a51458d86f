"""Tests of the clients of a resolver that asked once for several of them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims import outcomes
from realmgw.allocation.claims.outcomes import TELLING
from realmgw.allocation.claims.used import KEPT
from realmgw.allocation.reputation.group import OBSERVATIONS
from realmgw.allocation.reputation.habits import COMPANIONS, LATECOMERS, LONERS, LOOK_AGAIN, TOGETHER
from realmgw.allocation.state import State
from realmgw.errors import Reason
from realmgw.test.allocation.scene import (
    CLIENT,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
    STRAY,
    TCP,
    Scene,
    service,
)

ONE, TWO, THREE, FOUR = (service(index) for index in range(1, 5))
WEB, MAIL = service(1, TCP, 80), service(2, TCP, 25)


class CompanyTests(SynchronousTestCase):
    """Clients of a resolver that asked once for several of them, while others wait."""

    def crowded(self, **settings: Any) -> tuple[Scene, bytes]:
        """One address, whose client is there; two queries wait, and the first of them is served at 0.1."""
        scene = Scene(1, **settings)
        scene.learn_delays(OTHER, 0.02)
        address = scene.get(ONE, now=0.0)
        for number, asked in enumerate((TWO, THREE)):
            self.assertIsNone(scene.wait(asked, OTHER, number, now=0.01))
        scene.come(address, now=0.1)
        self.assertEqual(scene.told, [(0, address)])
        return scene, address

    def test_the_address_is_kept_for_a_second_client(self) -> None:
        """He comes a moment after the first, and reaches the same host; if none is to come it passes on at once."""
        scene, address = self.crowded(claim_sources=2)
        self.assertEqual(scene.come(address, CLIENT, now=0.11), TWO.host.index)
        self.assertEqual(len(scene.told), 1)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.12), TWO.host.index)
        self.assertEqual(scene.told, [(0, address), (1, address)])

    def test_not_for_long(self) -> None:
        """Without a second client it passes on when the time is over, and that is nobody's fault."""
        scene, address = self.crowded()
        scene.come(address, CLIENT, now=0.11)
        group = scene.allocator.groups.of(OTHER)
        before = group.reputation.ok, group.reputation.nok, group.reputation.neutral, scene.counters.lapsed
        scene.allocator.expire(now=0.12)
        self.assertEqual(len(scene.told), 1)
        self.assertEqual(scene.allocator.expire(now=0.16), scene.allocator.expire(now=0.16))
        self.assertEqual(scene.told, [(0, address), (1, address)])
        after = group.reputation.ok, group.reputation.nok, group.reputation.neutral, scene.counters.lapsed
        self.assertEqual(before, after)

    def test_for_no_more_than_a_claim_lets_in(self) -> None:
        """Three senders: the first, and two more while it is kept."""
        scene, address = self.crowded(claim_sources=3)
        for number, source in enumerate((CLIENT, NEIGHBOUR, STRAY)):
            self.assertEqual(len(scene.told), 1)
            self.assertEqual(scene.come(address, source, now=0.11 + number / 1000), TWO.host.index)
        self.assertEqual(len(scene.told), 2)

    def test_for_nobody_where_claims_are_strict_or_the_operator_says_so(self) -> None:
        """Then the address passes on as soon as it may; else it lingers after that time."""
        for settings in ({"claim_sources": 1}, {"hold_after_use": 0.0}):
            scene, address = self.crowded(**settings)
            scene.come(address, CLIENT, now=0.11)
            self.assertEqual(scene.told, [(0, address), (1, address)])
        scene, address = self.crowded()
        scene.allocator.forget({THREE.target}, now=0.1)
        scene.come(address, CLIENT, now=0.11)
        scene.allocator.expire(now=0.16)
        self.assertEqual(scene.allocator.pool.counts()[State.LINGERING], 1)

    def test_from_those_who_were_there_for_the_host_before(self) -> None:
        """While it is kept, whoever comes is taken for one of the company, and not for one who comes too late."""
        scene, address = self.crowded()
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.11), TWO.host.index)
        self.assertEqual(scene.come(address, CLIENT, now=0.115), TWO.host.index)
        self.assertEqual(scene.counters.late, 0)

    def test_for_no_longer_however_many_come(self) -> None:
        """Who sends packets without end holds no address by it."""
        scene, address = self.crowded()
        for number in range(30):
            scene.come(address, bytes((203, 0, 113, number)), now=0.11 + number / 1000)
        scene.allocator.expire(now=0.1601)
        self.assertEqual(scene.told, [(0, address), (1, address)])

    def test_for_nobody_whose_clients_always_come_alone(self) -> None:
        """Then the address passes on as soon as the one came; seldom it is looked whether that is still so."""
        scene, address = self.crowded()
        habits = scene.allocator.groups.of(OTHER).habits
        for _ in range(LONERS):
            habits.met(others=False)
        scene.come(address, CLIENT, now=0.11)
        self.assertEqual(scene.told, [(0, address), (1, address)])
        self.assertEqual([habits.may_coalesce(tcp=False) for _ in range(2 * LOOK_AGAIN)].count(True), 2)

    def test_a_short_wait_says_as_little_as_others_were_likely_to_ask_meanwhile(self) -> None:
        """Who asks ten times a second, and waits for a hundredth, has hardly company; of a new one nobody knows."""
        for again, expected in ((True, TELLING * 0.01 / 0.1), (False, 0.0)):
            scene = Scene(1)
            scene.learn_delays(OTHER, 0.002)
            for now in (0.0, 0.1) if again else ():
                scene.come(scene.get(TWO, OTHER, now=now), now=now + 0.001)
            address = scene.get(ONE, now=0.15)
            self.assertIsNone(scene.wait(TWO, OTHER, "later", now=0.19))
            scene.come(address, now=0.2)
            self.assertEqual(scene.told, [("later", address)])
            scene.come(address, CLIENT, now=0.201)
            scene.allocator.expire(now=0.9)
            self.assertAlmostEqual(scene.allocator.groups.of(OTHER).habits._alone[False].times, expected)

    def test_for_as_long_as_companions_were_seen_to_need(self) -> None:
        """A little longer after the first client than the others came, at other times."""
        scene, address = self.crowded(answered=lambda _: True)
        habits = scene.allocator.groups.of(OTHER).habits
        for _ in range(COMPANIONS):
            habits.came_together(0.0064)
        scene.come(address, CLIENT, now=0.11)
        scene.allocator.expire(now=0.117)
        self.assertEqual(scene.told, [(0, address)])
        scene.allocator.expire(now=0.119)
        self.assertEqual(scene.told, [(0, address), (1, address)])

    def test_one_of_them_may_use_the_claim_of_a_later_query(self) -> None:
        """The client of that one comes behind him: the address is kept as long as its own clients take."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        self.assertIsNone(scene.wait(TWO, OTHER, 2, now=0.01))
        scene.come(address, now=0.1)
        group = scene.allocator.groups.of(OTHER)
        for _ in range(OBSERVATIONS):
            group.arrived(0.3, b"1234")
            group.habits.came_together(0.16)
        scene.come(address, CLIENT, now=0.11)
        self.assertEqual(scene.get(TWO, OTHER, now=0.2), address)
        self.assertIsNone(scene.wait(THREE, OTHER, 3, now=0.21))
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.25), TWO.host.index)
        scene.allocator.expire(now=0.49)
        self.assertEqual(scene.come(address, STRAY, now=0.5), TWO.host.index)
        scene.allocator.expire(now=0.9)
        self.assertEqual(scene.told, [(2, address), (3, address)])

    def test_nor_of_any_query_after_that(self) -> None:
        """Who lost his claim to a companion uses that of a later query, whoever asked: all are waited for."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        self.assertIsNone(scene.wait(TWO, OTHER, 2, now=0.01))
        scene.come(address, now=0.1)
        for resolver in (OTHER, RESOLVER):
            group = scene.allocator.groups.of(resolver)
            for _ in range(OBSERVATIONS):
                group.arrived(0.3, b"1234")
                group.habits.came_together(0.16)
        scene.come(address, CLIENT, now=0.11)
        for now in (0.15, 0.25):
            self.assertEqual(scene.get(TWO, RESOLVER, now=now), address)
        self.assertIsNone(scene.wait(THREE, OTHER, 3, now=0.26))
        for number in range(2):
            self.assertEqual(scene.come(address, bytes((203, 0, 113, number)), now=0.27), TWO.host.index)
        scene.allocator.expire(now=0.53)
        self.assertEqual(scene.come(address, STRAY, now=0.55), TWO.host.index)
        scene.allocator.expire(now=0.9)
        self.assertEqual(scene.told, [(2, address), (3, address)])

    def test_who_is_refused_is_not_taken_for_nobody(self) -> None:
        """Where clients of the host before may come, further ones are refused: that does not say that none came."""
        for kept, expected in ((0.0, False), (5.0, True)):
            scene = Scene(1)
            address = scene.get(ONE, now=0.0)
            self.assertIsNone(scene.wait(TWO, OTHER, now=0.01))
            scene.come(address, now=0.35)
            scene.allocator.groups.of(RESOLVER).habits.remember(kept, kept, until=9.0)
            habits = scene.allocator.groups.of(OTHER).habits
            for _ in range(LONERS - 1):
                habits.met(others=False)
            scene.come(address, CLIENT, now=0.36)
            scene.allocator.expire(now=1.4)
            self.assertEqual(habits.may_coalesce(tcp=False), expected)

    def test_with_whom_they_asked_is_known_however_many_came_since(self) -> None:
        """An answer was waited for a moment ago, and more came than asked: their resolver has no habit of it."""
        scene = Scene(1, answered=lambda _: True)
        address = scene.get(ONE, now=0.0)
        self.assertIsNone(scene.wait(TWO, OTHER, now=0.01))
        scene.come(address, now=0.1)
        for number in range(2 * KEPT):
            scene.visit(TWO, OTHER, bytes((203, 0, 113, number)), now=0.101 + number / 10000, after=0.0)
        scene.learn_delays(OTHER, 0.3)
        for number in range(4):
            self.assertEqual(scene.come(address, bytes((10, 0, 0, number)), now=0.12 + number / 100), TWO.host.index)
        self.assertFalse(scene.allocator.groups.of(OTHER).habits.is_known)

    def test_those_who_come_after_the_first_tell_how_long_clients_take(self) -> None:
        """Or the first ones alone would, who are quick, and nobody would wait for the others."""
        scene = Scene(1, answered=lambda _: True)
        for number in range(OBSERVATIONS):
            address = scene.get(TWO, OTHER, number, now=number)
            for source, after in ((CLIENT, 0.01), (NEIGHBOUR, 0.05), (STRAY, 0.3)):
                self.assertEqual(scene.come(address, source, now=number + after), TWO.host.index)
            scene.allocator.expire(now=number + 0.9)
        self.assertGreater(scene.allocator.groups.of(OTHER).delay_p999, 0.25)

    def test_where_answers_are_kept_they_do_not(self) -> None:
        """They may have been told much later than the first one."""
        scene = Scene(1, answered=lambda _: True)
        group = scene.allocator.groups.of(OTHER)
        for number in range(LATECOMERS):
            group.habits.came_again(bytes((203, 0, 113, number)), 0.5, group.delay_p999, 0.0)
        for number in range(OBSERVATIONS):
            address = scene.get(TWO, OTHER, number, now=number)
            for source, after in ((CLIENT, 0.01), (NEIGHBOUR, 0.05), (STRAY, 0.3)):
                self.assertEqual(scene.come(address, source, now=number + after), TWO.host.index)
            scene.allocator.expire(now=number + 0.9)
        self.assertTrue(group.habits.keeps_answers)
        self.assertLess(group.delay_p999, 0.05)

    def test_how_close_together_they_come_is_seen(self) -> None:
        """Of those who were answered, from the first one on."""
        scene, address = self.crowded(answered=lambda _: True)
        scene.allocator.ledger.candidates.alarmed_until = 9.0
        for now, source in ((0.110, CLIENT), (0.118, NEIGHBOUR)):
            scene.come(address, source, now=now)
        habits = scene.allocator.groups.of(OTHER).habits
        for _ in range(COMPANIONS - 1):
            habits.came_together(0.001)
        scene.allocator.expire(now=3.0)
        self.assertAlmostEqual(habits.company, 0.010)

    def test_for_a_moment_who_asked_at_one_time_comes_together(self) -> None:
        """Nothing had waited; of a resolver of several clients a second one may come with the first, and no later."""
        for others in (True, False):
            scene = Scene(1)
            address = scene.get(ONE, now=0.0)
            scene.allocator.groups.of(RESOLVER).habits.caution.serves_several = others
            scene.wait(TWO, OTHER, "waits", now=0.1)
            scene.come(address, CLIENT, now=0.2)
            self.assertEqual(scene.told, [] if others else [("waits", address)])
            second = scene.come(address, NEIGHBOUR, now=0.2 + TOGETHER / 2)
            self.assertEqual(second, ONE.host.index if others else TWO.host.index)
            scene.allocator.expire(now=0.2 + 2 * TOGETHER)
            self.assertEqual(scene.told, [("waits", address)])

    def test_for_what_was_waited_for_says_nothing_of_other_answers(self) -> None:
        """Their resolver asked once for all who asked while it waited; whether it does so at other times is unknown."""
        waiting, _ = self.crowded(answered=lambda _: True)
        for scene, now in ((waiting, 0.11), (Scene(2, answered=lambda _: True), 0.2)):
            scene.allocator.ledger.candidates.alarmed_until = 9.0
            scene.learn_delays(OTHER, 0.02)
            address = (
                scene.allocator.ledger.last[TWO.target].packed if scene is waiting else scene.get(TWO, OTHER, now=now)
            )
            for number, source in enumerate((CLIENT, NEIGHBOUR, STRAY)):
                self.assertEqual(scene.come(address, source, now=now + number / 1000), TWO.host.index)
            scene.allocator.expire(now=now + 3.0)
            self.assertIs(scene.allocator.groups.of(OTHER).habits.is_known, scene is not waiting)

    def test_strangers_are_none(self) -> None:
        """Of those who came as well, only whoever was answered is taken for company, since others knock everywhere."""
        self.patch(outcomes, "LONG_WAIT", 0.05)
        answered = {CLIENT: True}
        for neighbour, alone in ((False, 1), (True, 0)):
            scene, address = self.crowded(answered=lambda flow: answered.get(flow[0], False))
            scene.allocator.ledger.candidates.alarmed_until = 9.0
            scene.come(address, CLIENT, now=0.11)
            for source in (STRAY, NEIGHBOUR):
                scene.come(address, source, now=0.115)
            answered[NEIGHBOUR] = neighbour
            for now in (0.12, 0.13, 0.16):
                scene.allocator.expire(now=now)
            self.assertEqual(scene.told, [(0, address), (1, address)])
            self.assertEqual(scene.allocator.groups.of(OTHER).habits._alone[False].times, alone)

    def test_for_the_client_whose_claim_another_one_used(self) -> None:
        """Who asks while another one's question is under way is told with him, and may come when more have asked.

        As long as it is known how soon clients come, they are its own, and nobody else is seen to find no address.
        """
        for asked_again, is_known, is_stranger, is_short in (
            (True, True, False, True),
            (False, True, False, True),
            (True, False, False, True),
            (True, True, True, True),
            (True, True, False, False),
        ):
            scene = Scene(1)
            if is_known:
                scene.learn_delays(RESOLVER, 0.3)
            address = scene.get(ONE, now=0.0)
            scene.come(address, CLIENT, now=0.01)
            if asked_again:
                scene.get(ONE, now=0.05)
            else:
                address = scene.get(ONE, now=0.4)
            for last in range(2 if is_stranger else 0):
                scene.allocator.ledger.candidates.refused(NEIGHBOUR, bytes((192, 0, 2, last)), 0.2)
            now = 0.29 if asked_again else 0.41
            if is_short:
                self.assertIsNone(scene.wait(TWO, OTHER, "waits", now=now - 0.01))
            self.assertEqual(scene.come(address, NEIGHBOUR, now=now), ONE.host.index)
            is_kept = asked_again and is_known and not is_stranger and is_short
            if not is_short:
                self.assertEqual(scene.get(TWO, OTHER, now=now + 0.01), address)
                continue
            for step in range(10):
                scene.allocator.expire(now=now + 0.001 * step)
            self.assertEqual(scene.told, [] if is_kept else [("waits", address)])
            self.assertEqual(scene.come(address, STRAY, now=now + 0.04), (ONE if is_kept else TWO).host.index)

    def test_goes_when_the_host_goes(self) -> None:
        """And the next one is served."""
        scene, address = self.crowded()
        scene.come(address, CLIENT, now=0.11)
        scene.allocator.forget({TWO.target}, now=0.115)
        self.assertEqual(scene.told, [(0, address), (1, address)])
        self.assertEqual(scene.counters.voided, 0)


class InVainTests(SynchronousTestCase):
    """A resolver that asks again for what it has waited for in vain."""

    def test_its_clients_have_waited_all_the_time(self) -> None:
        """Those who asked meanwhile are told together: the address is kept for them, also of a new one's clients."""
        for tcp in (False, True):
            scene = Scene(1)
            scene.get(service(2), OTHER, now=0.0)
            self.assertIsNone(scene.wait(service(1), tcp=tcp, now=0.1))
            self.assertEqual(len(scene.allocator._queue.give_up(now=2.2)), 1)
            scene.allocator.expire(now=2.5)
            address = scene.get(service(1), now=2.6)
            claim = scene.allocator.groups.of(RESOLVER).told.last(service(1).name)
            assert claim is not None
            self.assertAlmostEqual(claim.waited, 2.5)
            self.assertEqual(claim.by_tcp, tcp)
            self.assertEqual(scene.come(address, CLIENT, now=2.601), 1)
            self.assertIs(scene.ask(service(3), OTHER, now=2.61), Reason.EXHAUSTED)
            self.assertEqual(scene.come(address, NEIGHBOUR, now=2.9), 1)

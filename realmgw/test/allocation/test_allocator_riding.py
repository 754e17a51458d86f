"""Tests of those who wait for an address, and of those who ride on one meanwhile."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation import courtesies
from realmgw.allocation.habits import LONERS, LOOK_AGAIN, SPREADS, TOGETHER
from realmgw.allocation.state import State
from realmgw.config.policy import Policy
from realmgw.errors import Reason
from realmgw.test.allocation.scene import (
    CLIENT,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
    STRAY,
    TCP,
    UDP,
    Scene,
    service,
)

ONE, TWO, THREE, FOUR = (service(index) for index in range(1, 5))
WEB, MAIL = service(1, TCP, 80), service(2, TCP, 25)


class WaitTests(SynchronousTestCase):
    """Rules 8 and 9: waiting for an address, and giving up."""

    def setUp(self) -> None:
        self.scene = Scene(1)
        self.address = self.scene.get(ONE, now=0.0)

    def test_a_waiting_query_gets_the_address_that_lingers(self) -> None:
        """When the client came for whom the address was held, it goes to the one who waits."""
        self.assertIsNone(self.scene.wait(TWO, question="q", now=0.1))
        self.assertEqual(self.scene.told, [])
        self.scene.come(self.address, now=0.2)
        self.assertEqual(self.scene.told, [("q", self.address)])
        self.assertEqual(self.scene.come(self.address, NEIGHBOUR, now=0.3), 2)

    def test_a_waiting_query_gets_the_address_of_the_dead(self) -> None:
        """When nobody is expected any more at an address, `expire` gives it to the one who waits, just then."""
        self.scene.wait(TWO, question="q", now=0.1)
        self.assertEqual(self.scene.allocator.expire(now=0.1), 0.5)
        self.scene.allocator.expire(now=0.5)
        self.assertEqual(self.scene.told, [("q", self.address)])

    def test_a_query_waits_for_as_long_as_is_set(self) -> None:
        """By UDP 0.9 s, unless set otherwise; then it is told that it waited in vain."""
        for tcp, patience in ((False, 0.9), (True, 1.9)):
            scene = Scene(1, wait_tcp=1.9)
            scene.learn(ONE, visits=60, now=0.0, after=1.5)
            scene.get(ONE, now=100.0)
            scene.wait(TWO, question="q", tcp=tcp, now=100.0)
            scene.allocator.expire(now=100.0 + patience - 0.01)
            self.assertEqual(scene.told, [])
            scene.allocator.expire(now=100.0 + patience)
            self.assertEqual((scene.told, scene.allocator.waiting), ([("q", Reason.WAITED)], 0))

    def test_who_stands_worse_than_others_waits_no_longer_by_tcp(self) -> None:
        """So that the line is no longer for those whose clients come; who is alone is the best."""
        for best, patience in ((0.9, 0.9), (0.4, 1.5)):
            scene = Scene(1, policy=Policy(), wait_udp=0.9, wait_tcp=1.5)
            scene.learn(ONE, visits=60, now=0.0, after=1.5)
            scene.allocator.groups.of(RESOLVER).reputation.set(best, now=100.0)
            scene.allocator.groups.of(OTHER).reputation.set(0.3, now=100.0)
            scene.get(ONE, now=100.0)
            scene.wait(TWO, OTHER, tcp=True, now=100.0)
            scene.allocator.expire(now=100.0 + patience - 0.01)
            self.assertEqual(scene.told, [])
            scene.allocator.expire(now=100.0 + patience)
            self.assertEqual(len(scene.told), 1)

    def test_a_retransmission_joins_its_waiting_twin(self) -> None:
        """The same question again waits with the first one, and one answer is given, to the later one."""
        self.scene.wait(TWO, question="q", now=0.1)
        self.scene.wait(TWO, question="q", now=0.3)
        self.assertEqual(self.scene.allocator.waiting, 1)
        self.scene.come(self.address, now=0.4)
        self.assertEqual(self.scene.told, [("q", self.address)])

    def test_a_retransmission_does_not_overtake_its_twin(self) -> None:
        """While a question waits it is not answered beside its twin, though it could ride by now."""
        scene = Scene(1)
        scene.get(WEB, now=0.0)
        scene.wait(TWO, now=0.1)
        scene.wait(MAIL, OTHER, "q", now=0.3)  # the hold of 0.5 is too short for its client
        scene.learn_patience(OTHER, 0.01)
        self.assertIs(scene.ask(MAIL, OTHER, "q", now=0.31), Reason.EXHAUSTED)

    def test_a_host_is_served_for_all_who_wait_for_it(self) -> None:
        """All queries for one host ride on the address that its first one gets."""
        for question, asked in enumerate((TWO, THREE, TWO)):
            self.scene.wait(asked, question=question, now=0.1)
        self.scene.come(self.address, now=0.2)
        self.assertEqual(self.scene.told, [(0, self.address), (2, self.address)])
        self.assertEqual(self.scene.counters.served, 2)

    def test_hosts_are_served_in_the_order_of_their_first(self) -> None:
        """First come, first served by host."""
        for question, asked in enumerate((THREE, TWO)):
            self.scene.wait(asked, question=question, now=0.1)
        self.scene.come(self.address, now=0.2)
        self.scene.come(self.address, NEIGHBOUR, now=0.3)
        self.scene.allocator.expire(now=0.8)  # others may have been told the same as the neighbour
        self.assertEqual([question for question, _ in self.scene.told], [0, 1])

    def test_the_queue_is_bounded(self) -> None:
        """As many as may wait do; the next one is refused for that reason."""
        scene = Scene(1, max_waiting=2)
        scene.get(ONE, now=0.0)
        outcomes = [scene.wait(asked, now=0.1) for asked in (TWO, THREE, FOUR)]
        self.assertEqual(outcomes, [None, None, Reason.QUEUE_FULL])
        self.assertEqual((scene.allocator.waiting, scene.counters.refused[Reason.QUEUE_FULL]), (2, 1))

    def test_a_hosts_limit_holds_for_those_who_wait(self) -> None:
        """All who wait for one host are told the one place that it holds then."""
        limited = service(2, max_claims=1)
        for question in range(3):
            self.scene.wait(limited, question=question, now=0.1)
        self.scene.come(self.address, now=0.2)
        self.assertEqual(self.scene.told, [(question, self.address) for question in range(3)])

    def test_a_host_without_room_takes_no_address(self) -> None:
        """Who waits for a host that is at its limit by now is refused, and the address goes to the next one."""
        scene = Scene(2)
        names, web = service(2, UDP, 53, max_claims=1), service(2, TCP, 80, max_claims=1)
        first = scene.get(ONE, now=0.0)
        scene.get(service(3, TCP, 80), now=0.0)
        scene.wait(web, question="web", now=0.05)
        scene.get(names, now=0.06)  # rides beside the third host's service
        scene.wait(FOUR, question="four", now=0.1)
        scene.come(first, now=0.2)
        self.assertEqual(scene.told, [("web", Reason.HOST_LIMIT), ("four", first)])

    def test_who_waits_does_not_displace_his_own_host(self) -> None:
        """A host that waits while its own claims are dead goes on at its address, and knows its senders still."""
        scene = Scene(2, claim_sources=1)
        mine = scene.visit(ONE, source=CLIENT, now=0.0, after=0.0)
        theirs = scene.get(TWO, now=0.0)
        scene.get(ONE, now=0.1)
        scene.wait(THREE, question="three", now=0.2)
        scene.wait(ONE, question="one", now=0.4)
        scene.allocator.expire(now=0.6)
        self.assertEqual(scene.told, [("three", theirs), ("one", mine)])
        self.assertEqual([scene.come(mine, source, now=0.7) for source in (NEIGHBOUR, CLIENT)], [1, 1])

    def test_who_waits_goes_back_to_his_own_host(self) -> None:
        """Where several addresses can be had, a host that waits takes the one where it was last."""
        scene = Scene(2)
        scene.allocator.groups.of(OTHER).regard(0.2)
        now = scene.learn(ONE, visits=60, now=0.0, after=1.5)  # claims are held for all of their 2 s
        first, second = scene.get(ONE, now=now), scene.get(TWO, now=now + 0.1)
        scene.wait(THREE, OTHER, "three", now=now + 1.8)
        scene.wait(TWO, RESOLVER, "two", now=now + 1.9)  # of better standing
        scene.allocator.expire(now=now + 2.15)
        self.assertEqual(scene.told, [("two", second), ("three", first)])

    def test_all_are_told_when_the_gateway_stops(self) -> None:
        """Each waiting query is dismissed with the reason, once."""
        for question, asked in enumerate((TWO, THREE)):
            self.scene.wait(asked, question=question, now=0.1)
        self.scene.allocator.dismiss()
        self.scene.allocator.dismiss()
        self.scene.allocator.expire(now=5.0)
        self.assertEqual(self.scene.told, [(0, Reason.STOPPING), (1, Reason.STOPPING)])

    def test_the_timer_is_told_when_somebody_begins_to_wait(self) -> None:
        """`wake` hears when the address is dead that the query waits for."""
        woken: list[float] = []
        self.scene.allocator.wake = woken.append
        self.scene.wait(TWO, now=0.1)
        self.assertEqual(woken, [0.5])

    def test_who_is_told_may_come_back_at_once(self) -> None:
        """Whoever asks again from within `deliver` finds all claims made that were promised with his."""
        answers: list[bytes | Reason] = []
        allocator = self.scene.allocator

        def deliver(outcome: bytes | Reason) -> None:
            answers.append(allocator.ask(TWO, RESOLVER, "second", now=0.2))

        for question in ("first", "second"):
            self.assertIs(allocator.ask(TWO, RESOLVER, question, now=0.1), Reason.EXHAUSTED)
            allocator.wait(TWO, RESOLVER, question, deliver, tcp=False, now=0.1)
        self.scene.come(self.address, now=0.2)
        self.assertEqual((answers, self.scene.counters.retransmitted), ([self.address] * 2, 2))


class RideTests(SynchronousTestCase):
    """New queries while others wait."""

    def setUp(self) -> None:
        self.scene = Scene(1)
        self.address = self.scene.get(ONE, now=0.0)  # held until 0.5
        self.scene.wait(TWO, question="waits", now=0.1)

    def test_a_query_rides_when_its_client_has_time(self) -> None:
        """A hold that lasts longer than the group's clients take carries a new query."""
        self.assertEqual(self.scene.get(ONE, now=0.15), self.address)
        self.assertEqual(self.scene.come(self.address, NEIGHBOUR, now=0.3), 1)

    def test_a_rider_does_not_prolong_the_hold(self) -> None:
        """The one who waits gets the address when he would have without the rider."""
        self.scene.get(ONE, now=0.17)
        self.scene.allocator.expire(now=0.5)
        self.assertEqual(self.scene.told, [("waits", self.address)])

    def test_a_query_waits_when_its_client_has_no_time(self) -> None:
        """With less of the hold left than its clients take, a query waits too, behind the others."""
        self.assertIsNone(self.scene.wait(ONE, question="later", now=0.3))
        self.scene.allocator.expire(now=0.5)
        self.assertEqual(self.scene.told, [("waits", self.address)])

    def test_a_busy_host_does_not_capture_its_address(self) -> None:
        """However often a host is asked for, whoever waits for another one is served at the end of the hold."""
        for number in range(50):
            now = 0.1 + 0.01 * number
            if self.scene.ask(ONE, question=number, now=now) is Reason.EXHAUSTED:
                self.scene.allocator.wait(ONE, RESOLVER, number, lambda outcome: None, tcp=False, now=now)
            self.scene.allocator.expire(now=now)
        self.assertEqual(self.scene.told, [("waits", self.address)])

    def test_a_riders_claim_ends_with_its_own_timeout_at_the_latest(self) -> None:
        """A service whose claims live shorter than the hold does not get a longer one by riding."""
        scene, brief = Scene(1), service(1, TCP, 80, timeout=0.05)
        address = scene.get(MAIL, now=0.0)
        scene.wait(THREE, now=0.1)
        self.assertEqual(scene.get(brief, now=0.1), address)
        scene.allocator.expire(now=0.16)
        self.assertEqual(scene.come(address, CLIENT, TCP, 80, now=0.16), -Reason.NO_CLAIM)

    def test_a_service_rides_beside_others(self) -> None:
        """A service that does not overlap rides on another host's address."""
        scene = Scene(1)
        address = scene.get(WEB, now=0.0)
        scene.wait(TWO, question="waits", now=0.1)
        self.assertEqual(scene.get(MAIL, now=0.15), address)
        scene.allocator.expire(now=0.5)
        self.assertEqual(scene.told, [("waits", address)])

    def test_nobody_overtakes_at_an_address_that_comes_free(self) -> None:
        """An address that died meanwhile goes to those who wait before a new query is looked at."""
        self.assertIs(self.scene.ask(THREE, now=0.6), Reason.EXHAUSTED)
        self.assertEqual(self.scene.told, [("waits", self.address)])


class CompanyTests(SynchronousTestCase):
    """Clients of a resolver that asked once for several of them, while others wait."""

    def crowded(self, **settings: Any) -> tuple[Scene, bytes]:
        """One address, whose client is there; two queries wait, and the first of them is served at 0.1."""
        scene = Scene(1, **settings)
        scene.learn_patience(OTHER, 0.02)
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
        for settings in ({"claim_sources": 1}, {"company": 0.0}):
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
        self.assertEqual([habits.may_coalesce() for _ in range(2 * LOOK_AGAIN)].count(True), 2)

    def test_for_as_long_as_companions_were_seen_to_need(self) -> None:
        """A little longer after the first client than the others came, at other times."""
        scene, address = self.crowded(answered=lambda _: True)
        habits = scene.allocator.groups.of(OTHER).habits
        for _ in range(SPREADS):
            habits.came_together(0.0064)
        scene.come(address, CLIENT, now=0.11)
        scene.allocator.expire(now=0.117)
        self.assertEqual(scene.told, [(0, address)])
        scene.allocator.expire(now=0.119)
        self.assertEqual(scene.told, [(0, address), (1, address)])

    def test_how_close_together_they_come_is_seen(self) -> None:
        """Of those who were answered, from the first one on."""
        scene, address = self.crowded(answered=lambda _: True)
        scene.allocator.ledger.candidates.alarmed_until = 9.0
        for now, source in ((0.110, CLIENT), (0.118, NEIGHBOUR)):
            scene.come(address, source, now=now)
        habits = scene.allocator.groups.of(OTHER).habits
        for _ in range(SPREADS - 1):
            habits.came_together(0.001)
        scene.allocator.expire(now=3.0)
        self.assertAlmostEqual(habits.spread, 0.010)

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
            scene.learn_patience(OTHER, 0.02)
            address = (
                scene.allocator.ledger.last[TWO.target].packed if scene is waiting else scene.get(TWO, OTHER, now=now)
            )
            for number, source in enumerate((CLIENT, NEIGHBOUR, STRAY)):
                self.assertEqual(scene.come(address, source, now=now + number / 1000), TWO.host.index)
            scene.allocator.expire(now=now + 3.0)
            self.assertIs(scene.allocator.groups.of(OTHER).habits.is_known, scene is not waiting)

    def test_strangers_are_none(self) -> None:
        """Of those who came as well, only whoever was answered is taken for company, since others knock everywhere."""
        self.patch(courtesies, "LONG_WAIT", 0.05)
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
            self.assertEqual(scene.allocator.groups.of(OTHER).habits._alone, alone)

    def test_goes_when_the_host_goes(self) -> None:
        """And the next one is served."""
        scene, address = self.crowded()
        scene.come(address, CLIENT, now=0.11)
        scene.allocator.forget({TWO.target}, now=0.115)
        self.assertEqual(scene.told, [(0, address), (1, address)])
        self.assertEqual(scene.counters.voided, 0)

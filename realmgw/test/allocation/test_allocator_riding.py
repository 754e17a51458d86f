"""Tests of those who wait for an address, and of those who ride on one meanwhile."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.policy import Policy
from realmgw.errors import Reason
from realmgw.test.allocation.scene import (
    CLIENT,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
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

    def test_who_is_gone_waits_no_more(self) -> None:
        """He is told so, once; the address goes to the next one, and no client is expected for him."""
        heard: list[bytes | Reason] = []
        self.scene.allocator.ask(TWO, RESOLVER, "gone", now=0.1)
        self.scene.allocator.wait(TWO, RESOLVER, "gone", heard.append, tcp=True, now=0.1)
        self.scene.wait(THREE, question="q", now=0.2)
        for _ in range(2):
            self.scene.allocator.hang_up(TWO, "gone", heard.append, now=0.3)
        self.assertEqual((heard, self.scene.allocator.waiting), ([Reason.GONE], 1))
        self.scene.come(self.address, now=0.3)
        self.assertEqual(self.scene.told, [("q", self.address)])
        self.assertEqual(self.scene.allocator.counters.refused[Reason.GONE], 1)
        self.assertEqual(self.scene.allocator.counters.pending, 1)

    def test_who_has_asked_the_same_since_goes_on_waiting(self) -> None:
        """When the first one is gone, who is told so; another one who hangs up is none of those who wait."""
        heard: list[bytes | Reason] = []
        self.scene.allocator.wait(TWO, RESOLVER, "q", heard.append, tcp=True, now=0.1)
        self.scene.allocator.wait(TWO, RESOLVER, "q", print, tcp=True, now=0.2)
        self.scene.allocator.hang_up(TWO, "q", heard.append, now=0.3)
        self.scene.allocator.hang_up(THREE, "q", print, now=0.3)
        self.assertEqual((heard, self.scene.allocator.waiting), ([Reason.GONE], 1))

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
        scene.learn_delays(OTHER, 0.01)
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
        scene.allocator.groups.of(OTHER).rate(0.2)
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

    def test_one_whose_client_might_be_among_the_slowest_waits(self) -> None:
        """Nearly all come within 100 ms: with 110 ms left he waits, with 130 ms he rides."""
        scene = Scene(1)
        now = scene.learn(ONE, visits=3000, now=0.0, after=0.1)
        address = scene.get(ONE, now=now)
        scene.wait(TWO, question="waits", now=now)
        left = scene.allocator.pool.addresses[address].held_until - now
        slowest = scene.allocator.groups.of(RESOLVER).slowest
        self.assertIs(scene.ask(ONE, question="late", now=now + left - 1.2 * slowest), Reason.EXHAUSTED)
        self.assertEqual(scene.ask(ONE, question="in time", now=now + left - 1.3 * slowest), address)

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

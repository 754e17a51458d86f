"""Tests for `realmgw.allocation.claims.candidates`, through the allocator: forged packets, and who is believed."""

from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims.candidates import ALARM, KEPT, STRAYS
from realmgw.allocation.claims.crowd import Crowd
from realmgw.allocation.flow import Flow
from realmgw.allocation.reputation.score import PERIOD
from realmgw.allocation.strangers import GENERATION, MOST, Strangers
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, Scene, service

ONE, TWO, THREE = (service(index) for index in range(1, 4))
NOWHERE_LENT = bytes((192, 0, 2, 4))
"""An address of the pool that is lent to nobody in these tests."""
NOWHERE = bytes((192, 0, 2, 250))


class Conntrack:
    """What conntrack says: nothing is answered that is not named.

    Attributes:
        said: By the source of a flow.
        asked: Every flow that it was asked about.
    """

    def __init__(self) -> None:
        self.said: dict[bytes, bool | None] = {}
        self.asked: list[Flow] = []

    def answered(self, flow: Flow) -> bool | None:
        """The answer."""
        self.asked.append(flow)
        return self.said.get(flow[0], False)


class RobberyTestCase(SynchronousTestCase):
    """A gateway that can ask, and is alarmed."""

    def scene(self, addresses: int = 4, candidate_rate: int = 2000, linger: float = 600.0) -> Scene:
        """It has seen a packet that nobody expected."""
        self.conntrack = Conntrack()
        scene = Scene(addresses, answered=self.conntrack.answered, candidate_rate=candidate_rate, linger=linger)
        self.alarm(scene, now=0.0)
        return scene

    def alarm(self, scene: Scene, *, now: float) -> None:
        """Packets that nobody expected."""
        for _ in range(STRAYS):
            self.assertLess(scene.come(scene.allocator.pool.next().packed, b"\x01\x02\x03\x04", now=now), 0)  # type: ignore[union-attr]

    def strangers(self, scene: Scene, address: bytes, count: int, *, now: float) -> list[int]:
        """So many packets, each from another source; what became of them."""
        return [scene.come(address, number.to_bytes(4, "big"), now=now) for number in range(1, count + 1)]

    def end(self, scene: Scene) -> None:
        """All claims end."""
        scene.allocator.expire(now=5.0)


class ClientTests(RobberyTestCase):
    """The client of a claim."""

    def test_is_let_in_whoever_came_before(self) -> None:
        """Strangers use up the claim, and take nothing from him."""
        scene = self.scene()
        address = scene.get(ONE, now=0.1)
        self.assertEqual(set(self.strangers(scene, address, 100, now=0.2)), {1})
        self.assertEqual(scene.come(address, CLIENT, now=0.3), 1)

    def test_is_let_in_without_an_alarm(self) -> None:
        """Two forged packets, the first of the day."""
        self.conntrack = Conntrack()
        scene = Scene(1, answered=self.conntrack.answered)
        address = scene.get(ONE, now=0.1)
        self.assertEqual(self.strangers(scene, address, 2, now=0.15), [1, 1])
        self.assertIs(scene.ask(TWO, now=0.2), Reason.EXHAUSTED)
        self.assertEqual(scene.come(address, CLIENT, now=0.3), 1)

    def test_finds_his_address_where_it_was(self) -> None:
        """It is not handed on while he may still come, though it was used."""
        scene = self.scene(1)
        address = scene.get(ONE, now=0.1)
        self.strangers(scene, address, 3, now=0.15)
        self.assertIsNone(scene.wait(TWO, OTHER, now=0.2))
        scene.allocator.expire(now=0.3)
        self.assertEqual(scene.told, [])
        self.assertEqual(scene.come(address, CLIENT, now=0.35), 1)

    def test_frees_his_address_when_he_is_answered(self) -> None:
        """It is asked for every now and then as long as others wait."""
        scene = self.scene(1)
        address = scene.get(ONE, now=0.1)
        self.assertIsNone(scene.wait(TWO, OTHER, now=0.12))
        self.strangers(scene, address, 3, now=0.15)
        scene.come(address, CLIENT, now=0.2)
        due = scene.allocator.expire(now=0.21)
        self.assertIsNotNone(due)
        self.assertLess(due or 9.0, 0.22)
        self.conntrack.said[CLIENT] = True
        scene.allocator.expire(now=0.24)
        self.assertEqual([outcome for _, outcome in scene.told], [address])

    def test_is_not_dead_while_his_packet_may_lie_in_the_queue(self) -> None:
        """Whether a stranger's has used his claim or none has: time in which nobody could see it does not count."""
        for strangers in (0, 3):
            scene = self.scene(1)
            address = scene.get(ONE, now=0.1)
            self.strangers(scene, address, strangers, now=0.15)
            self.assertIsNone(scene.wait(TWO, OTHER, now=0.2))
            scene.allocator.behind(0.3, -inf)
            scene.allocator.expire(now=0.85)
            self.assertEqual(scene.told, [])
            scene.allocator.behind(0.0, -inf)
            scene.allocator.expire(now=0.86)
            self.assertEqual([outcome for _, outcome in scene.told], [address])

    def test_is_not_waited_for_when_he_is_dead_by_experience(self) -> None:
        """Whoever waits gets the address then, answered or not."""
        scene = self.scene(1)
        address = scene.get(ONE, now=0.1)
        self.strangers(scene, address, 3, now=0.15)
        self.assertIsNone(scene.wait(TWO, OTHER, now=0.2))
        scene.allocator.expire(now=0.61)
        self.assertEqual([outcome for _, outcome in scene.told], [address])

    def test_is_refused_when_he_comes_too_late_to_anothers_address(self) -> None:
        """Whom the host before had let in is not taken for a client of the one behind him."""
        scene = self.scene(1)
        address = scene.visit(ONE, now=0.1, after=0.1)
        self.conntrack.said[CLIENT] = self.conntrack.said[STRAY] = True
        scene.visit(TWO, OTHER, STRAY, now=0.7, after=0.05)
        self.assertEqual(scene.come(address, CLIENT, now=0.8), -Reason.LATE)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.8), 2)

    def forged(self, scene: Scene) -> bytes:
        """Until 1.0 several strangers come before each client, the last of whom was at the address for another host."""
        for number, client in enumerate((*(bytes((203, 0, 113, last)) for last in range(8)), CLIENT)):
            self.conntrack.said[client] = True
            begin = 0.1 + number / 10
            address = scene.get((ONE, TWO)[number % 2], now=begin)
            self.strangers(scene, address, 3, now=begin + 0.01)
            scene.come(address, client, now=begin + 0.02)
            lent = scene.allocator.pool.addresses[address]
            self.assertFalse(scene.allocator.ledger.candidates.is_doubted(lent, begin + 0.04))
        return address

    def test_is_let_in_where_he_was_for_another_host_while_packets_are_forged(self) -> None:
        """It is his own claim that a stranger has used, as far as can be told."""
        scene = self.scene(1)
        address = self.forged(scene)
        scene.allocator.expire(now=1.69)  # by now it is known that those were not answered
        scene.visit(THREE, OTHER, STRAY, now=1.7, after=0.05)
        self.assertEqual(scene.come(address, CLIENT, now=1.8), 3)

    def test_is_let_in_where_others_clients_are_only_assumed_to_come(self) -> None:
        """For the host before, while packets are forged; of those who are known to keep answers he is late."""
        scene = self.scene(1)
        address = self.forged(scene)
        scene.visit(THREE, OTHER, STRAY, now=1.7, after=0.05)
        habits = scene.allocator.groups.of(RESOLVER).habits
        habits.caution.is_on, habits.is_plain, habits.caution.is_tried, habits.caution._until = True, False, True, 99.0
        self.assertEqual(scene.come(address, NEIGHBOUR, now=1.8), 3)
        habits.remember(5.0, 5.0, until=99.0)
        self.assertEqual(scene.come(address, CLIENT, now=1.81), -Reason.LATE)

    def test_is_late_where_he_was_for_another_host_when_the_claim_is_dead(self) -> None:
        """Whoever was to come would have come by then."""
        scene = self.scene(1)
        address = self.forged(scene)
        scene.visit(THREE, OTHER, STRAY, now=1.7, after=0.05)
        self.assertEqual(scene.come(address, CLIENT, now=2.3), -Reason.LATE)


class StrangerTests(RobberyTestCase):
    """Those who were not asked for."""

    def test_are_let_in_no_longer_once_the_client_was_answered(self) -> None:
        """When the time is over in which others come who were told the same."""
        scene = self.scene()
        address = scene.visit(ONE, now=0.1, after=0.1)
        self.assertEqual(scene.come(address, STRAY, now=0.3), 1)
        self.conntrack.said[CLIENT] = True
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.7), -Reason.NO_CLAIM)

    def test_settle_nothing_when_they_knock_everywhere(self) -> None:
        """Though they are answered as clients are: the client may still come, and nobody is to blame if he does not."""
        for everywhere, expected in ((True, 2), (False, -Reason.LATE)):
            scene = self.scene(2)
            self.conntrack.said[CLIENT] = self.conntrack.said[STRAY] = True
            address = scene.visit(ONE, now=0.1, after=0.1)
            other = next(each for each in scene.allocator.pool.addresses if each != address)
            for knocked in (address, other if everywhere else address):
                self.assertLess(scene.come(knocked, STRAY, now=0.65), 0)
            scene.get(THREE, now=0.66)
            self.assertEqual(scene.get(TWO, OTHER, now=0.7), address)
            self.assertEqual(scene.come(address, STRAY, now=0.75), 2)
            scene.allocator.expire(now=0.78)
            self.assertEqual(scene.come(address, CLIENT, now=0.8), expected)
            self.end(scene)
            self.assertEqual(scene.allocator.groups.of(OTHER).nok, 0)

    def test_are_known_for_some_seconds(self) -> None:
        """Those who came to two addresses; in a flood of senders not all are noted."""
        strangers = Strangers()
        for number, (knocked, known) in enumerate(((NOWHERE, False), (NOWHERE, False), (NOWHERE_LENT, True))):
            strangers.note(STRAY, knocked, GENERATION - 1 + number)
            self.assertIs(STRAY in strangers, known)
        for number in range(2 * MOST):
            strangers.note(number.to_bytes(4, "big"), NOWHERE, 2 * GENERATION)
        strangers.note(CLIENT, NOWHERE, 2 * GENERATION)
        strangers.note(CLIENT, NOWHERE_LENT, 2 * GENERATION)
        self.assertEqual((STRAY in strangers, CLIENT in strangers), (True, False))
        strangers.note(CLIENT, NOWHERE, 4 * GENERATION)
        self.assertNotIn(STRAY, strangers)

    def test_are_let_in_at_a_rate(self) -> None:
        """What goes beyond is dropped in silence: an honest one among them comes again."""
        scene = self.scene(candidate_rate=100)
        address = scene.get(ONE, now=0.1)
        results = self.strangers(scene, address, 30, now=0.2)
        self.assertEqual(results, [1] * 11 + [-Reason.CROWDED] * 19)  # one by the claim, a tenth of a second's at once
        self.assertEqual(scene.come(address, CLIENT, now=0.25), 1)

    def test_are_forgotten_while_they_only_knock(self) -> None:
        """The right to come again is renewed by flows that were answered, and by nothing else."""
        scene = self.scene(linger=10)
        address = scene.get(ONE, now=0.1)
        for source in (STRAY, CLIENT):
            self.assertEqual(scene.come(address, source, now=0.2), 1)
        self.conntrack.said[CLIENT] = True
        for second in range(2, 11, 2):
            self.assertEqual(scene.come(address, STRAY, now=float(second)), 1)
            self.assertEqual(scene.come(address, CLIENT, now=float(second)), 1)
        self.assertEqual(scene.come(address, CLIENT, now=11.0), 1)
        self.assertEqual(scene.come(address, STRAY, now=11.0), -Reason.NO_CLAIM)

    def test_are_bounded(self) -> None:
        """Whoever is forgotten for another one is asked for before."""
        scene = self.scene()
        address = scene.get(ONE, now=0.1)
        self.conntrack.said[CLIENT] = True
        scene.come(address, CLIENT, now=0.2)
        for number in range(2 * KEPT):
            scene.come(address, number.to_bytes(4, "big"), now=0.2 + number * 0.001)
        (reservation,) = scene.allocator.pool.addresses[address].reservations.values()
        assert reservation.crowd is not None
        self.assertLessEqual(len(reservation.crowd.candidates), KEPT)
        self.end(scene)
        self.assertEqual(scene.allocator.groups.of(RESOLVER).ok, 1)


class OutcomeTests(RobberyTestCase):
    """Merit and fault, while the gateway is alarmed."""

    def test_nobody_has_the_merit_of_a_strangers_packet(self) -> None:
        """A claim that only strangers used is one that nobody came for."""
        scene = self.scene(1)
        self.strangers(scene, scene.get(ONE, now=0.1), 3, now=0.2)
        self.end(scene)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual((group.ok, group.nok), (0, 1))

    def test_a_client_who_was_answered_is_merit(self) -> None:
        """And his group learns how long he took, not how soon strangers were there."""
        scene = self.scene()
        address = scene.get(ONE, now=0.1)
        self.strangers(scene, address, 3, now=0.11)
        scene.come(address, CLIENT, now=0.4)
        self.conntrack.said[CLIENT] = True
        self.end(scene)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual((group.ok, group.nok), (1, 0))
        assert group.delays is not None
        self.assertGreaterEqual(group.delays.quantile(0.5), 0.3)

    def test_a_client_who_was_answered_counts_whoever_comes_after_his_time(self) -> None:
        """A claim that waits to be judged is not forgotten when the next one is used."""
        scene = self.scene()
        scene.come(scene.get(ONE, now=0.1), CLIENT, now=0.2)
        address = scene.get(ONE, now=2.0)
        self.conntrack.said[CLIENT] = self.conntrack.said[NEIGHBOUR] = True
        scene.come(address, NEIGHBOUR, now=2.11)
        self.end(scene)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual((group.ok, group.nok), (2, 0))

    def test_what_can_not_be_told_is_neutral(self) -> None:
        """A connection that was reset, a datagram that needs no reply."""
        scene = self.scene()
        scene.come(scene.get(ONE, now=0.1), CLIENT, now=0.2)
        self.conntrack.said[CLIENT] = None
        self.end(scene)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual((group.ok, group.nok, group.neutral), (0, 0, 1))

    def test_each_of_several_clients_counts(self) -> None:
        """Whichever claim they came for."""
        scene = self.scene(1)
        address = scene.get(ONE, now=0.1)
        for _ in range(2):
            scene.get(ONE, now=0.12)
        self.strangers(scene, address, 5, now=0.15)
        for source in (CLIENT, NEIGHBOUR):
            scene.come(address, source, now=0.2)
            self.conntrack.said[source] = True
        self.end(scene)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual((group.ok, group.nok), (2, 1))

    def test_a_resolver_is_found_to_keep_answers(self) -> None:
        """When somebody is answered who came for a claim whose client had been answered before."""
        scene = self.scene()
        address = scene.visit(ONE, now=0.1, after=0.1)
        self.conntrack.said[CLIENT] = self.conntrack.said[NEIGHBOUR] = True
        group = scene.allocator.groups.of(RESOLVER)
        scene.come(address, STRAY, now=0.25)
        scene.come(address, NEIGHBOUR, now=0.3)
        scene.allocator.expire(now=0.35)
        self.end(scene)
        self.assertGreater(group.habits.keeps_until, 100.0)


class PeaceTests(RobberyTestCase):
    """As long as nobody comes who is not expected."""

    def test_asks_nothing(self) -> None:
        """First packets are believed, whatever else happens."""
        self.conntrack = Conntrack()
        scene = Scene(2, answered=self.conntrack.answered)
        for number in range(20):
            scene.visit((ONE, TWO, THREE)[number % 3], now=number * 0.1, after=0.01)
        scene.allocator.expire(now=9.0)
        self.assertEqual(self.conntrack.asked, [])
        self.assertEqual(scene.allocator.groups.of(RESOLVER).ok, 20)

    def test_one_stray_now_and_then_is_no_alarm(self) -> None:
        """It may be a client that comes too late; nobody pays for it."""
        self.conntrack = Conntrack()
        scene = Scene(4, answered=self.conntrack.answered)
        for second in range(20):
            self.assertLess(scene.come(NOWHERE_LENT, b"\x01\x02\x03\x04", now=float(second)), 0)
            scene.visit(ONE, now=second + 0.1, after=0.1)
        scene.allocator.expire(now=30.0)
        self.assertEqual(self.conntrack.asked, [])

    def test_ends_when_many_come_on_claims_that_were_used(self) -> None:
        """Also when they are let in: nobody expected them, and the client may still come."""
        self.conntrack = Conntrack()
        scene = Scene(1, answered=self.conntrack.answered)
        address = scene.get(ONE, now=0.1)
        self.assertEqual(set(self.strangers(scene, address, STRAYS + 1, now=0.12)), {1})
        self.assertEqual(scene.get(TWO, OTHER, now=0.61), address)
        self.assertIsNone(scene.wait(THREE, now=0.62))
        scene.come(address, STRAY, now=0.63)
        self.assertEqual(scene.told, [])
        self.assertEqual(scene.come(address, CLIENT, now=0.64), 2)

    def test_comes_again_some_seconds_after_the_last_stranger(self) -> None:
        """An alarm is over by itself."""
        scene = self.scene()
        scene.visit(ONE, now=ALARM + 0.1, after=0.1)
        scene.allocator.expire(now=ALARM + PERIOD)
        self.assertEqual((self.conntrack.asked, scene.allocator.groups.of(RESOLVER).ok), ([], 1))

    def test_without_conntrack_it_is_always_peace(self) -> None:
        """Every first packet is believed."""
        scene = Scene(2)
        self.assertLess(scene.come(NOWHERE, now=0.0), 0)
        scene.visit(ONE, now=0.1, after=0.1)
        self.assertEqual(scene.allocator.groups.of(RESOLVER).ok, 1)


class CrowdTests(SynchronousTestCase):
    """`Crowd`: a token bucket."""

    def test_lets_in_by_rate(self) -> None:
        """A tenth of a second's worth at once, then as many as the time has earned."""
        crowd = Crowd()

        def may_enter(now: float) -> bool:
            if crowd.room(20, now) < 1:
                return False
            crowd.enter(20, now)
            return True

        self.assertEqual([may_enter(1.0) for _ in range(4)], [True, True, False, False])
        self.assertTrue(may_enter(1.05))
        self.assertFalse(may_enter(1.06))
        self.assertEqual(sum(may_enter(2.0 + number / 1000) for number in range(1000)), 2 + 19)

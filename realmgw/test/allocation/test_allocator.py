"""Tests of the order in which an address is looked for; waiting and riding have their own (test_allocator_riding)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.state import State
from realmgw.errors import Reason
from realmgw.test.allocation.scene import (
    CLIENT,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
    TCP,
    UDP,
    Network,
    Scene,
    pool_address,
    service,
)

ONE, TWO, THREE, FOUR = (service(index) for index in range(1, 5))
WEB, MAIL = service(1, TCP, 80), service(2, TCP, 25)


class RetransmissionTests(SynchronousTestCase):
    """Rule 1: the same question again."""

    def test_the_same_question_has_the_same_claim(self) -> None:
        """A resolver's retransmission gets the same address, and costs no second claim."""
        scene = Scene()
        address = scene.get(ONE, question="q", now=0.0)
        self.assertEqual(scene.get(ONE, question="q", now=1.0), address)
        self.assertEqual(scene.counters.retransmitted, 1)
        scene.allocator.expire(now=2.0)
        self.assertEqual(scene.counters.lapsed, 1)

    def test_a_question_that_was_served_is_a_new_one(self) -> None:
        """Once its client has come, the same question makes a new claim."""
        scene = Scene()
        scene.come(scene.get(ONE, question="q", now=0.0), now=0.1)
        scene.get(ONE, question="q", now=0.2)
        self.assertEqual((scene.counters.retransmitted, scene.counters.sticky), (0, 1))

    def test_a_retransmission_is_answered_at_the_hosts_limit(self) -> None:
        """A host with as many claims as it may have still answers the same question again."""
        scene = Scene()
        limited = service(1, max_claims=1)
        address = scene.get(limited, question="q", now=0.0)
        self.assertEqual(scene.get(limited, question="q", now=0.1), address)

    def test_the_same_question_of_another_resolver_is_another_one(self) -> None:
        """Questions of two groups are never one, even if they look the same."""
        scene = Scene()
        first = scene.get(ONE, RESOLVER, "q", now=0.0)
        self.assertNotEqual(scene.get(ONE, OTHER, "q", now=0.0), first)

    def test_two_groups_of_one_question_share_without_confusion(self) -> None:
        """Under pressure, a question that looks the same as one pending there is answered with its address."""
        scene = Scene(1)
        address = scene.get(ONE, RESOLVER, "q", now=0.0)
        self.assertEqual(scene.get(ONE, OTHER, "q", now=0.0), address)
        scene.allocator.expire(now=2.0)
        self.assertEqual(scene.allocator.pool.counts()[State.WAITING], 0)


class JoinTests(SynchronousTestCase):
    """Rule 2: where the host is expected already."""

    def test_claims_of_one_group_share(self) -> None:
        """A group's questions for one service need one address, however many they are."""
        scene = Scene()
        self.assertEqual(len({scene.get(ONE, now=0.01 * number) for number in range(50)}), 1)
        self.assertEqual((scene.counters.joined, scene.allocator.pool.waiting), (49, 1))

    def test_claims_of_two_groups_do_not_share_below_the_load(self) -> None:
        """With room in the pool, another group gets an address of its own, so that outcomes can be told apart."""
        scene = Scene(4)
        self.assertNotEqual(scene.get(ONE, RESOLVER, now=0.0), scene.get(ONE, OTHER, now=0.0))

    def test_claims_of_two_groups_share_under_pressure(self) -> None:
        """From half load on, another group joins: a flash crowd on one name is content with half of the pool."""
        scene = Scene(4)
        for number in range(50):
            scene.get(ONE, f"2001:db8::{number:x}", now=0.0)
        self.assertEqual(scene.allocator.pool.waiting, 2)

    def test_the_load_from_which_groups_share_can_be_configured(self) -> None:
        """With `share_load` 0, claims of different groups always share."""
        scene = Scene(4, share_load=0.0)
        self.assertEqual(scene.get(ONE, RESOLVER, now=0.0), scene.get(ONE, OTHER, now=0.0))

    def test_each_group_comes_back_to_its_own(self) -> None:
        """With addresses of two groups for one service, each goes on with its own one."""
        scene = Scene(8)
        mine, theirs = scene.get(ONE, RESOLVER, now=0.0), scene.get(ONE, OTHER, now=0.0)
        self.assertEqual([scene.get(ONE, RESOLVER, now=0.1), scene.get(ONE, OTHER, now=0.1)], [mine, theirs])

    def test_names_of_one_place_share(self) -> None:
        """Two names that lead to the same service of the same host are one target."""
        scene = Scene()
        self.assertEqual(scene.get(service(1), now=0.0), scene.get(ONE, now=0.0))

    def test_k_names_hold_k_addresses(self) -> None:
        """However often and from wherever an attacker asks, he holds one address a name, beside half the pool."""
        scene = Scene(8)
        for number in range(240):
            scene.get((ONE, TWO, THREE)[number % 3], f"2001:db8::{number:x}", now=0.001 * number)
        self.assertLessEqual(scene.allocator.pool.waiting, 4 + 2)

    def test_an_attackers_reservations_are_found_at_once(self) -> None:
        """Each group finds its own reservation by itself; nobody looks through those of the others."""
        scene = Scene(64)
        for number in range(32):
            scene.get(service(1, max_claims=1000), f"2001:db8::{number:x}", now=0.0)
        by_group = scene.allocator.ledger.expected[ONE.target]
        self.assertEqual([reservation.group for reservation in by_group.values()], list(by_group))


class StickyTests(SynchronousTestCase):
    """Rule 3: the address that the host had last."""

    def test_a_lingering_address_is_taken_again(self) -> None:
        """A host whose address lingers gets it again: caches that ignore TTL 0 stay right."""
        scene = Scene()
        address = scene.visit(ONE, now=0.0, after=0.1)
        self.assertEqual(scene.get(ONE, OTHER, now=5.0), address)
        self.assertEqual(scene.counters.sticky, 1)

    def test_a_free_address_is_taken_again(self) -> None:
        """Also when it is free, though another was released longer ago."""
        scene = Scene()
        address = scene.visit(ONE, now=0.0, after=0.1)
        scene.allocator.expire(now=60.0)
        self.assertEqual(scene.get(ONE, now=60.0), address)

    def test_what_was_known_there_is_known_still(self) -> None:
        """The senders that were admitted before are admitted beside the new claim."""
        scene = Scene(claim_sources=1)
        address = scene.visit(ONE, now=0.0, after=0.1)
        scene.ask(ONE, now=5.0, network=Network(NEIGHBOUR))
        self.assertEqual(scene.come(address, CLIENT, now=5.1), 1)

    def test_an_address_that_is_shared_is_taken_again(self) -> None:
        """Also where another service is waited for at the same address."""
        scene = Scene()
        address = scene.visit(WEB, now=0.0, after=0.1)
        self.assertEqual(scene.get(MAIL, now=0.2), address)
        self.assertEqual(scene.get(WEB, OTHER, now=0.3), address)
        self.assertEqual(scene.counters.sticky, 1)

    def test_an_address_that_others_had_is_not_taken_again(self) -> None:
        """A host does not come back to an address that has passed on."""
        scene = Scene(2)
        first = scene.visit(ONE, now=0.0, after=0.1)
        for asked in (TWO, THREE):
            scene.visit(asked, now=0.2, after=0.1)
        self.assertNotEqual(scene.visit(ONE, now=0.4, after=0.1), first)


class ShareTests(SynchronousTestCase):
    """Rule 4: beside services that do not overlap."""

    def test_services_that_do_not_overlap_share(self) -> None:
        """Hosts of different services need one address."""
        scene = Scene()
        self.assertEqual(len({scene.get(one, now=0.0) for one in (WEB, MAIL, service(3, UDP, 80))}), 1)
        self.assertEqual(scene.counters.shared, 2)

    def test_services_that_overlap_do_not_share(self) -> None:
        """Of two hosts with the same service, each needs its own address; so do whole names."""
        for other in (service(2, TCP, 80), service(2, 0, 80), service(2, TCP, 0), service(2)):
            scene = Scene()
            self.assertNotEqual(scene.get(WEB, now=0.0), scene.get(other, now=0.0))

    def test_any_protocol_of_a_port_and_any_port_of_a_protocol_do_not_share(self) -> None:
        """(0, 80) and (6, 0) have TCP port 80 in common."""
        scene = Scene()
        self.assertNotEqual(scene.get(service(1, 0, 80), now=0.0), scene.get(service(2, TCP, 0), now=0.0))

    def test_a_lingering_service_is_not_overlapped(self) -> None:
        """Who lingers at an address keeps its service there while others share it."""
        scene = Scene()
        address = scene.visit(WEB, now=0.0, after=0.1)
        self.assertEqual(scene.get(MAIL, now=0.2), address)
        self.assertNotEqual(scene.get(service(3, TCP, 80), now=0.3), address)
        self.assertEqual(scene.come(address, CLIENT, TCP, 80, now=0.4), 1)


class NewTests(SynchronousTestCase):
    """Rules 5 and 6: free and lingering addresses."""

    def test_the_address_that_is_free_longest_is_taken(self) -> None:
        """A late client finds nobody else at his address for as long as the pool allows."""
        scene = Scene(3)
        addresses = [scene.visit(ONE, now=0.0, after=0.0)]
        scene.allocator.expire(now=20.0)
        addresses += [scene.get(asked, now=20.0) for asked in (TWO, THREE, FOUR)]
        self.assertEqual(addresses, [pool_address(number) for number in (1, 2, 3, 1)])

    def test_a_free_address_goes_before_a_lingering_one(self) -> None:
        """Nobody loses what lingers while something is free."""
        scene = Scene(2)
        address = scene.visit(ONE, now=0.0, after=0.0)
        self.assertNotEqual(scene.get(TWO, now=0.1), address)

    def test_the_address_that_lingers_longest_is_taken(self) -> None:
        """Without a free one, the one whose linger began longest ago passes on."""
        scene = Scene(2)
        first, second = scene.get(ONE, now=0.0), scene.get(TWO, now=0.0)
        scene.come(second, now=0.2)
        scene.come(first, now=0.3)
        self.assertEqual([scene.get(THREE, now=0.4), scene.get(FOUR, now=0.4)], [second, first])

    def test_who_lingered_there_is_gone(self) -> None:
        """After an address has passed on, all of its former services are gone from it."""
        scene = Scene(1)
        address = scene.visit(WEB, now=0.0, after=0.0)
        scene.visit(MAIL, now=0.0, after=0.0)
        self.assertEqual(scene.get(ONE, now=0.1), address)
        self.assertEqual(len(scene.allocator.pool.addresses[address].reservations), 1)


class ReclaimTests(SynchronousTestCase):
    """Rule 7: addresses to which nobody comes any more."""

    def test_an_unknown_group_is_waited_for_half_a_second(self) -> None:
        """Before 500 ms nobody else gets the address, then the first who asks."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        self.assertIs(scene.ask(TWO, now=0.499), Reason.EXHAUSTED)
        self.assertEqual(scene.get(TWO, now=0.5), address)
        self.assertEqual(scene.counters.reclaimed, 1)

    def test_a_group_with_fast_clients_is_waited_for_less(self) -> None:
        """A group whose clients come within milliseconds is waited for 100 ms."""
        scene = Scene(1)
        now = scene.learn(ONE, visits=60, now=0.0, after=0.001)
        address = scene.get(ONE, now=now)
        self.assertIs(scene.ask(TWO, now=now + 0.099), Reason.EXHAUSTED)
        self.assertEqual(scene.get(TWO, now=now + 0.101), address)

    def test_a_group_with_slow_clients_is_waited_for_longer(self) -> None:
        """A group whose clients take 0.4 s is waited for more than 0.8 s."""
        scene = Scene(1)
        now = scene.learn(ONE, visits=300, now=0.0, after=0.4)
        scene.get(ONE, now=now)
        self.assertIs(scene.ask(TWO, now=now + 0.8), Reason.EXHAUSTED)

    def test_nobody_is_waited_for_beyond_the_deadline(self) -> None:
        """A group whose clients take 1.5 s is waited for 2.0 s all the same."""
        scene = Scene(1)
        now = scene.learn(ONE, visits=60, now=0.0, after=1.5)
        address = scene.get(ONE, now=now)
        self.assertEqual(scene.get(TWO, now=now + 2.0), address)

    def test_the_worst_standing_loses_its_address_first(self) -> None:
        """Among several dead ones, that of the worst standing is reclaimed."""
        scene = Scene(2)
        scene.allocator.groups.of(OTHER).rate(0.2)
        scene.get(ONE, RESOLVER, now=0.0)
        worse = scene.get(TWO, OTHER, now=0.1)
        self.assertEqual(scene.get(THREE, now=1.0), worse)

    def test_an_address_is_held_until_each_of_its_claims_is_dead(self) -> None:
        """Sharing alone never moves a host away from clients that are under way."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        scene.get(ONE, now=0.4)
        self.assertIs(scene.ask(TWO, now=0.89), Reason.EXHAUSTED)
        self.assertEqual(scene.get(TWO, now=0.9), pool_address(1))

    def test_an_address_is_held_for_each_of_its_services(self) -> None:
        """An address with two services is reclaimed when the claims on both are dead, and then from both."""
        scene = Scene(1)
        scene.get(WEB, now=0.0)
        scene.get(MAIL, OTHER, now=0.3)
        self.assertIs(scene.ask(THREE, now=0.79), Reason.EXHAUSTED)
        address = scene.get(THREE, now=0.8)
        self.assertEqual([scene.come(address, CLIENT, TCP, port, now=0.9) for port in (80, 25)], [3, 3])
        self.assertEqual([scene.allocator.groups.of(one).nok for one in (RESOLVER, OTHER)], [1, 1])

    def test_nothing_is_reclaimed_while_there_is_room(self) -> None:
        """Dead by experience or not, a claim lives 2.0 s where nobody needs its address."""
        scene = Scene(2)
        address = scene.get(ONE, now=0.0)
        scene.get(TWO, now=1.9)
        self.assertEqual(scene.come(address, now=1.95), 1)

"""Tests of who is taken to come for the host that had an address before: whose client he is."""

from __future__ import annotations

import math
from ipaddress import ip_address, ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation import vacancies
from realmgw.allocation.explain import explain_admit, explain_ask
from realmgw.allocation.formers import FORMERS, TOLD, Formers
from realmgw.allocation.reputation.caution import ASSUMED, NAMES, OFTEN, TIMES
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.vacancies import AGAIN
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Service, Terms
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, Scene, serve, service

HERS = [ip_address(f"198.51.101.{last}").packed for last in range(1, 9)]
"""Clients of the other resolver, in a network of theirs."""
HALF = Allocation().wait_tcp / 2
ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN = (service(index) for index in range(1, 8))


def told(addresses: int = 3) -> Scene:
    """One resolver asked for three hosts, and clients of it came to each: it may keep answers."""
    scene = Scene(addresses)
    for number, asked in enumerate((ONE, TWO, FIVE)):
        scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
    return scene


class LentTestCase(SynchronousTestCase):
    """What one resolver was told of is lent to another one's client, who had waited for half of his time."""

    def lend(self, scene: Scene) -> bytes:
        """The address that he is told."""
        self.assertIsNone(scene.wait(THREE, OTHER, "three", tcp=True, now=1.0))
        scene.allocator.expire(now=1.1 + HALF)
        [(_, address)] = scene.told
        assert isinstance(address, bytes)
        return address


class LatecomerTests(LentTestCase):
    """Two resolvers; the one may keep answers, and what it was told of was handed on to the other one's client."""

    def setUp(self) -> None:
        """Its clients came to three addresses; the other one waits for one of them, and is told it."""
        self.scene = scene = told()
        self.address, self.now = self.lend(scene), 1.2 + HALF

    def test_a_neighbour_of_its_clients_is_late(self) -> None:
        """He was told before, by what it kept; the claim is left to whom it was made for."""
        said = explain_admit(self.scene.allocator, (STRAY, self.address, 6, 1024, 80), now=self.now)
        self.assertIn("clients of his network ask a resolver that was told of the host that was here", str(said))
        self.assertEqual(self.scene.come(self.address, STRAY, now=self.now), -Reason.LATE)
        self.assertEqual(self.scene.come(self.address, HERS[0], now=self.now), THREE.host.index)

    def test_whoever_else_comes_uses_the_claim(self) -> None:
        """Of him nothing is known."""
        self.assertEqual(self.scene.come(self.address, HERS[0], now=self.now), THREE.host.index)

    def test_who_was_there_for_this_host_is_not(self) -> None:
        """He may come again, wherever he lives."""
        self.scene.come(self.address, HERS[0], now=self.now)
        self.scene.get(THREE, OTHER, now=self.now)
        self.assertEqual(self.scene.come(self.address, HERS[0], now=self.now), THREE.host.index)

    def test_not_when_its_time_is_over(self) -> None:
        """Nobody keeps answers for so long: then he has asked anew."""
        later = self.now + ASSUMED + 1.0
        address = self.scene.get(THREE, OTHER, now=later)
        self.assertEqual(self.scene.come(address, STRAY, now=later), THREE.host.index)


class OwnTests(LentTestCase):
    """Where clients of a resolver that most likely keeps answers may come for a former host, it is told of no other."""

    def setUp(self) -> None:
        """It was told of three hosts; at one's address is another one now, that the other one asked for."""
        self.scene = scene = told()
        self.address, self.now = self.lend(scene), 1.1 + HALF
        self.caution = scene.allocator.groups.of(RESOLVER).habits.caution
        self.caution._strays = 1  # somebody came while it was told nothing

    def fill(self, now: float) -> None:
        """Somebody is expected at each address."""
        for asked in (TWO, FIVE):
            self.scene.get(asked, OTHER, now=now)

    def test_not_where_somebody_is_expected_for_it(self) -> None:
        """To join the other one's client there would bring its own, who come for what was kept, to that host."""
        scene, now = self.scene, self.now + 0.1
        self.fill(now)
        self.assertIs(scene.ask(THREE, now=now), Reason.EXHAUSTED)
        said = explain_ask(scene.allocator, THREE, RESOLVER, now=now)
        self.assertIn("but this one can not join them", str(said))
        self.assertEqual(scene.get(THREE, OTHER, now=now), self.address)

    def test_what_it_was_told_of_another_service_counts_as_well(self) -> None:
        """That leaves first, while its host stays for a moment."""
        scene = Scene(1, linger=10.0)
        caution = scene.allocator.groups.of(RESOLVER).habits.caution
        web = Service(f"www.{ONE.name}", ONE.host, Terms(6, 80))
        for number, asked in enumerate((web, ONE)):
            scene.come(scene.get(asked, (RESOLVER, OTHER)[number], now=0.1), CLIENT, now=0.2)
        serve(caution, CLIENT, NEIGHBOUR)
        for _ in range(NAMES):
            caution.asked(0.2)
        scene.allocator.groups.of(RESOLVER).habits.look(0.2)
        [address] = scene.allocator.pool.addresses.values()
        self.assertEqual(len(address.reservations), 2)
        scene.allocator.forget([web.target], now=0.3)
        scene.allocator.forget([ONE.target], now=0.3)
        self.assertEqual([each.resolver for each in address.formers(TWO.host.index, 0.4)], [RESOLVER])

    def test_nor_beside_services_that_do_not_overlap(self) -> None:
        """Clients who come for the host before may come for any service."""
        scene = told()
        limited = service(3, 6, 80)
        self.assertIsNone(scene.wait(limited, OTHER, "one", tcp=True, now=1.0))
        scene.allocator.expire(now=self.now)
        [(_, address)] = scene.told
        beside = Service(f"ssh.{limited.name}", limited.host, Terms(6, 22))
        caution = scene.allocator.groups.of(RESOLVER).habits.caution
        for suspected in (True, False):
            caution._strays = int(suspected)
            said = scene.ask(beside, now=self.now)
            self.assertEqual(said, Reason.EXHAUSTED if suspected else address)

    def test_of_who_is_only_new_nothing_is_thought(self) -> None:
        """Or new ones would wait for what most of them have no part in."""
        self.caution._strays = 0
        self.fill(self.now + 0.1)
        self.assertEqual(self.scene.get(THREE, now=self.now + 0.1), self.address)

    def test_nor_where_that_is_as_soon_as_nobody_is(self) -> None:
        """The address that the host had last is no better."""
        scene, now = self.scene, self.now + 0.1
        scene.come(self.address, HERS[0], now=now)
        self.assertIs(scene.ask(THREE, now=now + 0.1), Reason.EXHAUSTED)
        self.assertEqual(scene.get(THREE, OTHER, now=now + 0.1), self.address)

    def test_nor_of_another_service_of_that_host(self) -> None:
        """That stands at the host's address, and would be told that."""
        scene, now = self.scene, self.now + 0.1
        web = Service(f"www.{THREE.name}", THREE.host, Terms(6, 80))
        self.assertIs(scene.ask(web, now=now), Reason.EXHAUSTED)
        self.assertIsNone(scene.wait(web, RESOLVER, "web", tcp=True, now=now))
        scene.allocator.extend([ip_network("192.0.2.9/32")], now=now)
        scene.allocator.expire(now=now)
        self.assertEqual(scene.told[1:], [])  # nor does the host get a second address for that
        self.assertEqual(scene.get(web, OTHER, now=now), self.address)

    def test_who_asks_again_often_and_never_soon_most_likely_keeps_answers(self) -> None:
        """For a second, since he was seen to wait for them; not once he was seen to ask sooner."""
        caution, self.caution._strays = self.caution, 0
        caution.waits = True
        for _ in range(OFTEN):
            self.assertFalse(caution.is_likely_to_keep)
            caution.asked_again(0.0, 0.5, math.inf)
        self.assertTrue(caution.is_likely_to_keep)
        for _ in range(TIMES):
            caution.asked_again(0.0, 0.3, 0.5)
        caution.look(self.now)
        self.assertFalse(caution.is_likely_to_keep)

    def test_nor_where_the_host_has_all_places_that_it_may_have(self) -> None:
        """There another service of it would be put."""
        ledger, group = self.scene.allocator.ledger, self.scene.allocator.groups.of(RESOLVER)
        web, now = Service(f"www.{TWO.name}", TWO.host, Terms(6, 80)), self.now
        where = ledger.last[TWO.target]
        self.scene.get(TWO, OTHER, now=now)
        self.assertIs(vacancies.within(ledger, web, group, now), where)
        where.before.note(99, {group: now})
        self.assertIsNone(vacancies.within(ledger, web, group, now))
        self.caution._strays = 0
        self.assertIs(vacancies.within(ledger, web, group, now), where)

    def test_nor_where_all_are_dead_by_experience(self) -> None:
        """Though nobody comes any more for the host that is there."""
        scene = self.scene
        self.fill(self.now)
        self.assertIsNone(scene.wait(FOUR, RESOLVER, "four", tcp=True, now=self.now + 1.0))
        scene.allocator.expire(now=self.now + 1.0)
        self.assertEqual(scene.told[1:], [])
        self.caution._strays = 0
        scene.allocator.expire(now=self.now + 1.1 + AGAIN)
        self.assertEqual([question for question, _ in scene.told[1:]], ["four"])

    def test_once_its_own_are_over_it_is(self) -> None:
        """Who had kept the answer has asked anew by then."""
        self.assertIsInstance(self.scene.ask(THREE, now=ASSUMED + 0.7), bytes)


class FormersTests(SynchronousTestCase):
    """What is remembered of the hosts that were at an address."""

    def setUp(self) -> None:
        """One group of which nothing is known, and one that keeps nothing."""
        self.before = Formers()
        self.new, self.known = Group(RESOLVER), Group(OTHER)

    def assume(self) -> None:
        """The one asks for several, for several: it may keep answers."""
        habits = self.new.habits
        habits.caution.serves_several = True
        for _ in range(NAMES):
            habits.asked(0.0)
        self.assertTrue(habits.caution.is_on)

    def was_here(self, asked: Service, group: Group, at: float) -> None:
        """A service stood there, a group was told of it, and it has left."""
        self.before.note(asked.host.index, {group: at})

    def formers(self, asked: Service) -> list[Group]:
        """Whose clients may come for another host than that of a service, two seconds later."""
        return self.before.of_others(asked.host.index, 2.0)

    def test_those_who_may_come_for_longest_are(self) -> None:
        """Not the last ones that were there."""
        self.assume()
        self.was_here(ONE, self.new, 0.0)
        for number, asked in enumerate((TWO, THREE, FOUR)):
            self.was_here(asked, self.known, 0.5 + 0.5 * number)
        self.assertEqual(self.formers(FIVE), [self.new])
        self.assertEqual(self.formers(ONE), [])

    def test_its_own_host_does_not_make_an_address_forget_another(self) -> None:
        """The same group is told of both."""
        self.assume()
        self.was_here(ONE, self.new, 0.0)
        for _ in range(3):
            self.was_here(TWO, self.new, 1.0)
        self.assertEqual(self.formers(TWO), [self.new])
        self.assertEqual(self.formers(ONE), [self.new])

    def test_services_of_a_host_count_as_one(self) -> None:
        """Each may have been told to another group."""
        self.assume()
        self.was_here(ONE, self.new, 0.0)
        self.was_here(Service(f"www.{ONE.name}", ONE.host, Terms(6, 80)), self.known, 1.0)
        self.assertEqual(self.formers(TWO), [self.new])

    def test_of_services_of_a_host_the_later_one_counts(self) -> None:
        """Whichever leaves first."""
        self.assume()
        for at in (2.0 - ASSUMED, -9.0):
            self.was_here(ONE, self.new, at)
        self.assertEqual(self.formers(TWO), [self.new])

    def test_however_often_a_host_comes_back(self) -> None:
        """Who was told of it are no more than are remembered; those who may keep answers stay."""
        self.assume()
        self.was_here(ONE, self.new, 0.0)
        for number in range(3 * TOLD):
            self.was_here(ONE, Group(f"198.51.100.{number}"), 0.1)
        self.assertEqual(len(self.before.told), TOLD)
        self.assertEqual(self.formers(TWO), [self.new])

    def test_what_was_told_before_anything_was_assumed(self) -> None:
        """It may be kept all the same; once nothing is assumed, nobody comes."""
        self.was_here(ONE, self.new, 0.0)
        self.was_here(TWO, self.known, 1.0)
        self.assertEqual(self.formers(THREE), [])
        self.assume()
        self.assertEqual(self.formers(THREE), [self.new])

    def test_not_for_ever(self) -> None:
        """Nobody keeps an answer for longer than is assumed; two hosts are remembered, and no more."""
        self.assume()
        self.was_here(ONE, self.new, 2.0 - ASSUMED - 1.0)
        self.assertEqual(self.formers(TWO), [])
        for number in range(2, 9):
            self.was_here(service(number), self.known, 0.1 * number)
        self.assertEqual(len(self.before.told), FORMERS)


class CompanionTests(LentTestCase):
    """The other one's clients are known as well."""

    def test_those_of_the_other_one_come_without_a_claim(self) -> None:
        """As companions of one who had a claim; the first one's neighbours do not."""
        scene = told(6)
        for number, asked in enumerate((FOUR, SIX, SEVEN)):
            scene.come(scene.get(asked, OTHER, now=0.3 + 0.1 * number), HERS[number], now=0.31 + 0.1 * number)
        address = self.lend(scene)
        self.assertEqual(scene.come(address, HERS[5], now=1.2 + HALF), THREE.host.index)
        self.assertEqual(scene.come(address, STRAY, now=1.21 + HALF), -Reason.LATE)
        self.assertEqual(scene.come(address, HERS[6], now=1.22 + HALF), THREE.host.index)


class ServingTests(SynchronousTestCase):
    """What comes free, for queries of both."""

    def test_who_may_have_clients_there_is_not_told_with_the_others(self) -> None:
        """They would be sent to the other host; he waits on."""
        scene = told()
        self.assertIsNone(scene.wait(THREE, OTHER, "its", tcp=True, now=1.0))
        self.assertIsNone(scene.wait(THREE, RESOLVER, "the new one's", tcp=True, now=1.0))
        scene.allocator.expire(now=1.1 + HALF)
        self.assertEqual([question for question, _ in scene.told], ["its"])

    def test_who_waits_for_that_host_gets_no_other_address_for_it(self) -> None:
        """It has one, where he may come as soon as nobody is to be expected there for the former."""
        scene = told()
        for asked, resolver, question in ((THREE, OTHER, "its"), (THREE, RESOLVER, "late"), (FOUR, RESOLVER, "other")):
            self.assertIsNone(scene.wait(asked, resolver, question, tcp=True, now=1.0))
        scene.allocator.expire(now=1.1 + HALF)
        self.assertEqual([question for question, _ in scene.told], ["its"])
        scene.allocator.extend([ip_network("192.0.2.9/32")], now=1.2 + HALF)
        scene.allocator.expire(now=1.2 + HALF)
        self.assertEqual([question for question, _ in scene.told], ["its", "other"])

"""Tests of who is taken to come for the host that had an address before: whose client he is."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.explain import explain_admit
from realmgw.allocation.reputation.caution import ASSUMED
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, Scene, service

HERS = [ip_address(f"198.51.101.{last}").packed for last in range(1, 9)]
"""Clients of the other resolver, in a network of theirs."""
HALF = Allocation().wait_tcp / 2
ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN = (service(index) for index in range(1, 8))


class LatecomerTests(SynchronousTestCase):
    """Two resolvers; the one may keep answers, and what it was told of was handed on to the other one's client."""

    def setUp(self) -> None:
        """Its clients came to three addresses; the other one waits for one of them, and is told it."""
        self.scene = scene = Scene(3)
        for number, asked in enumerate((ONE, TWO, FIVE)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
        self.assertIsNone(scene.wait(THREE, OTHER, "three", tcp=True, now=1.0))
        scene.allocator.expire(now=1.1 + HALF)
        [(_, address)] = scene.told
        assert isinstance(address, bytes)
        self.address, self.now = address, 1.2 + HALF

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


class CompanionTests(SynchronousTestCase):
    """The other one's clients are known as well."""

    def test_those_of_the_other_one_come_without_a_claim(self) -> None:
        """As companions of one who had a claim; the first one's neighbours do not."""
        scene = Scene(6)
        for number, asked in enumerate((ONE, TWO, FIVE)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
        for number, asked in enumerate((FOUR, SIX, SEVEN)):
            scene.come(scene.get(asked, OTHER, now=0.3 + 0.1 * number), HERS[number], now=0.31 + 0.1 * number)
        self.assertIsNone(scene.wait(THREE, OTHER, "three", tcp=True, now=1.0))
        scene.allocator.expire(now=1.1 + HALF)
        [(_, address)] = scene.told
        assert isinstance(address, bytes)
        self.assertEqual(scene.come(address, HERS[5], now=1.2 + HALF), THREE.host.index)
        self.assertEqual(scene.come(address, STRAY, now=1.21 + HALF), -Reason.LATE)
        self.assertEqual(scene.come(address, HERS[6], now=1.22 + HALF), THREE.host.index)


class ServingTests(SynchronousTestCase):
    """What comes free, for queries of both."""

    def test_who_may_have_clients_there_is_not_told_with_the_others(self) -> None:
        """They would be sent to the other host; he waits on."""
        scene = Scene(3)
        for number, asked in enumerate((ONE, TWO, FIVE)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
        self.assertIsNone(scene.wait(THREE, OTHER, "its", tcp=True, now=1.0))
        self.assertIsNone(scene.wait(THREE, RESOLVER, "the new one's", tcp=True, now=1.0))
        scene.allocator.expire(now=1.1 + HALF)
        self.assertEqual([question for question, _ in scene.told], ["its"])

    def test_who_waits_for_that_host_gets_no_other_address_for_it(self) -> None:
        """It has one, where he may come as soon as nobody is to be expected there for the former."""
        scene = Scene(3)
        for number, asked in enumerate((ONE, TWO, FIVE)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
        for asked, resolver, question in ((THREE, OTHER, "its"), (THREE, RESOLVER, "late"), (FOUR, RESOLVER, "other")):
            self.assertIsNone(scene.wait(asked, resolver, question, tcp=True, now=1.0))
        scene.allocator.expire(now=1.1 + HALF)
        self.assertEqual([question for question, _ in scene.told], ["its"])
        scene.allocator.extend([ip_network("192.0.2.9/32")], now=1.2 + HALF)
        scene.allocator.expire(now=1.2 + HALF)
        self.assertEqual([question for question, _ in scene.told], ["its", "other"])

"""Tests for `realmgw.allocation.openers`."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.openers import MOST, Openers
from realmgw.allocation.reputation.requestors import ClientPrefix
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.test.allocation import scene as scene4
from realmgw.test.allocation.ipv6 import scene as scene6
from realmgw.test.allocation.ipv6.scene import Scene6
from realmgw.test.allocation.scene import CLIENT, RESOLVER, Scene

WEB = scene4.service(1, 6, 80)


class OpenersTests(SynchronousTestCase):
    """Who has asked for a client, of IPv4."""

    def setUp(self) -> None:
        """A few addresses."""
        self.scene = Scene(4)
        self.openers = Openers(self.scene.allocator)

    def test_only_while_it_is_wanted(self) -> None:
        """What was before is not known, and what is not wanted any more is forgotten."""
        early = self.scene.visit(WEB, now=0.0, after=0.1)
        self.assertIsNone(self.openers.of(CLIENT, early))
        self.openers.watch(on=True)
        self.openers.watch(on=True)
        address = self.scene.visit(scene4.service(2, 6, 80), now=1.0, after=0.1)
        found = self.openers.of(CLIENT, address)
        assert found is not None
        self.assertEqual((found.name, found.client), (RESOLVER, None))
        self.assertIsNone(self.openers.of(b"\1\2\3\4", address))
        ok = self.scene.allocator.groups.of(RESOLVER).reputation.ok
        self.openers.watch(on=False)
        self.assertIsNone(self.openers.of(CLIENT, address))
        self.assertEqual((vars(self.scene.allocator.ledger).get("used"), ok), (None, 2))

    def test_who_comes_while_packets_are_lost_is_known_as_well(self) -> None:
        """Nothing is learned from when he came, but he is let in, and was asked for."""
        self.openers.watch(on=True)
        self.scene.allocator.behind(0.0, lost_at=1.0)
        address = self.scene.visit(WEB, now=1.0, after=0.1)
        self.assertIsNotNone(self.openers.of(CLIENT, address))

    def test_blame_counts_as_a_claim_that_nobody_came_for(self) -> None:
        """And fades as that does."""
        self.openers.watch(on=True)
        address, group = self.scene.visit(WEB, now=0.0, after=0.1), self.scene.allocator.groups.of(RESOLVER)
        before = group.reputation.value(0.1)
        found = self.openers.of(CLIENT, address)
        assert found is not None
        for _ in range(5):
            found.blame(0.2)
        self.assertEqual(group.reputation.nok, 5.0)
        self.assertLess(group.reputation.value(0.2), before)
        self.assertGreater(group.reputation.value(600.0), group.reputation.initial - 0.05)

    def test_a_client_that_was_named_has_it_himself(self) -> None:
        """His resolver's group has done its part."""
        self.openers.watch(on=True)
        network = ClientPrefix.of(ip_network("203.0.113.0/24").network_address.packed, 24)
        address = self.scene.ask(WEB, now=0.0, network=network)
        assert isinstance(address, bytes)
        source = bytes((203, 0, 113, 9))
        self.assertEqual(self.scene.come(address, source, now=0.1), 1)
        found = self.openers.of(source, address)
        assert found is not None
        assert found.client is not None
        found.blame(0.2)
        self.assertEqual(found.client.reputation.nok, 1.0)
        self.assertEqual(found.group.reputation.nok, 0.0)
        self.assertEqual(found.name, "203.0.113.0/24")

    def test_so_many_are_known_at_most(self) -> None:
        """However many come."""
        self.openers.watch(on=True)
        self.assertEqual(self.openers._known._half * 2, MOST)


class Openers6Tests(SynchronousTestCase):
    """The same of IPv6."""

    def test_of_an_address_of_its_own(self) -> None:
        """Who came first, as long as it is kept; nobody else."""
        scene = Scene6()
        openers = Openers(scene.allocator)
        address = scene.get(scene6.service(scene6.host(1), 6, 80))
        scene.come(address)
        found = openers.of(scene6.CLIENT, address)
        assert found is not None
        self.assertEqual(found.name, RESOLVER)
        self.assertIsNone(openers.of(address, address))

    def test_of_a_hosts_own_address(self) -> None:
        """A pinhole."""
        scene = Scene6()
        openers = Openers(scene.allocator)
        openers.watch(on=True)
        host = scene6.host(1, mode=Ipv6Mode.PINHOLE)
        address = scene.get(scene6.service(host, 6, 80))
        self.assertEqual(address, host.address6)
        scene.come(address)
        found = openers.of(scene6.CLIENT, address)
        assert found is not None
        self.assertEqual(found.name, RESOLVER)

"""Tests of whose clients those of a network are taken to be."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.homes import SURE, Homes
from realmgw.allocation.state import Claim
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, Scene, service

AWAY = ip_address("198.51.101.1").packed
"""A client in another network than the scene's are in."""


class HomesTestCase(SynchronousTestCase):
    """Two groups, of which one client each is known."""

    def setUp(self) -> None:
        """Claims of two groups, at addresses that nobody else had."""
        self.scene, self.homes = Scene(4), Homes()
        self.one, self.other = self.claim(1, RESOLVER), self.claim(2, OTHER)

    def claim(self, number: int, resolver: str) -> Claim:
        """A host's, made by a resolver."""
        address = self.scene.get(service(number), resolver, f"{resolver} {number}", now=0.0)
        [reservation] = self.scene.allocator.pool.addresses[address].reservations.values()
        return next(reversed(reservation.claims.values()))


class HomesTests(HomesTestCase):
    """`Homes`."""

    def test_neighbours_are_of_the_same_group(self) -> None:
        """From the first one on; nobody else is."""
        self.homes.came(CLIENT, self.one, 0.0)
        self.assertIs(self.homes.of(NEIGHBOUR), self.one.group)
        self.assertIsNone(self.homes.of(AWAY))

    def test_nothing_is_known_where_clients_come_by_both(self) -> None:
        """By chance: whichever has more at times, hardly ever has so many."""
        for _ in range(100):
            for claim in (self.one, self.other, self.other, self.one):
                self.homes.came(CLIENT, claim, 0.0)
                if claim is self.other:
                    self.assertIsNone(self.homes.of(NEIGHBOUR))

    def test_one_now_and_then_changes_nothing(self) -> None:
        """A claim is used by another's client at times; and who moves, is known soon."""
        for _ in range(20):
            self.homes.came(CLIENT, self.one, 0.0)
        self.homes.came(STRAY, self.other, 0.0)
        self.assertIs(self.homes.of(CLIENT), self.one.group)
        moved = 0
        while self.homes.of(CLIENT) is not self.other.group:
            self.homes.came(CLIENT, self.other, 0.0)
            moved += 1
        self.assertTrue(5 < moved < 40, moved)

    def test_where_both_are_expected_it_says_nothing(self) -> None:
        """Nobody knows whose client came."""
        second = self.claim(1, OTHER)
        self.assertIs(second.reservation, self.one.reservation)
        self.homes.came(CLIENT, self.one, 0.0)
        self.assertIsNone(self.homes.of(CLIENT))
        self.assertIs(self.homes.last(CLIENT), self.one.group)

    def test_the_first_one_is_believed(self) -> None:
        """But not when the next one contradicts."""
        self.homes.came(CLIENT, self.one, 0.0)
        self.homes.came(CLIENT, self.other, 0.0)
        self.assertIsNone(self.homes.of(CLIENT))
        self.assertGreater(SURE, 0.5)

    def test_addresses_of_ipv6_are_of_no_network(self) -> None:
        """Nothing is handed on there."""
        self.homes.came(bytes(16), self.one, 0.0)
        self.assertIsNone(self.homes.of(bytes(16)))


class TrustedTests(HomesTestCase):
    """Clients of a resolver that keeps no answers."""

    def test_not_the_first_ones(self) -> None:
        """Those of a new resolver may have come for the claims of another one; nor while it may keep answers."""
        caution, seen = self.one.group.habits.caution, 0
        caution.serves_several = True
        while self.homes.trusted(NEIGHBOUR) is None:
            self.homes.came(CLIENT, self.one, 0.0)
            seen += 1
        self.assertTrue(10 < seen < 20, seen)
        self.assertIs(self.homes.trusted(NEIGHBOUR), self.one.group)
        caution.is_on = True
        self.assertIsNone(self.homes.trusted(NEIGHBOUR))
        caution.is_on, self.one.group.habits.predicts_until = False, 9.0
        self.assertIsNone(self.homes.trusted(NEIGHBOUR))
        self.assertIsNone(self.homes.trusted(AWAY))

    def test_who_is_a_groups(self) -> None:
        """Those of its own networks; where nobody is known that can not be told, and of IPv6 it is not."""
        self.homes.came(CLIENT, self.one, 0.0)
        found = [self.homes.are_its(src, self.one.group) for src in (NEIGHBOUR, AWAY, bytes(16))]
        self.assertEqual(found, [True, None, False])
        self.assertIs(self.homes.are_its(NEIGHBOUR, self.other.group), False)
        self.homes.came(CLIENT, self.other, 0.0)
        found = [self.homes.are_its(CLIENT, each.group) for each in (self.one, self.other)]
        self.assertEqual(found, [False, False])

    def test_who_is_at_home_somewhere(self) -> None:
        """Of whom it was learned where clients live, were it only of the first one."""
        self.homes.came(CLIENT, self.one, 0.0)
        found = [self.homes.is_at_home(each.group) for each in (self.one, self.other)]
        self.assertEqual(found, [True, False])

"""Tests for `realmgw.repository.connections`."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.repository.connections import (
    KNOWN,
    KNOWN_OF_ONE,
    STRANGERS,
    STRANGERS_OF_ONE,
    Connections,
    client_of,
)

STEPS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.sampled_from(["arrive", "know", "leave"])))


class ClientTests(SynchronousTestCase):
    """Who is at an address."""

    def test_is_the_address_or_its_network(self) -> None:
        """Of IPv6 a client has 64 bits to choose from; an IPv4 address is one in either form."""
        self.assertEqual(client_of("192.0.2.1"), client_of("::ffff:192.0.2.1"))
        self.assertEqual(client_of("2001:db8::1"), client_of("2001:db8::ffff:0:0:2"))
        self.assertNotEqual(client_of("2001:db8::1"), client_of("2001:db8:0:1::1"))
        self.assertEqual(client_of("fe80::1%eth0"), client_of("fe80::2"))
        self.assertEqual(client_of(None), "")


class ConnectionsTests(SynchronousTestCase):
    """Places."""

    def setUp(self) -> None:
        """Nobody has one."""
        self.places = Connections()

    def test_a_client_with_many_strangers_loses_its_own_oldest(self) -> None:
        """Nobody else's."""
        self.assertIsNone(self.places.arrive("other", "192.0.2.9"))
        for number in range(STRANGERS_OF_ONE):
            self.assertIsNone(self.places.arrive(number, "192.0.2.1"))
        self.assertEqual([self.places.arrive(100 + number, "192.0.2.1") for number in range(3)], [0, 1, 2])

    def test_when_all_places_are_taken_the_greediest_loses_one(self) -> None:
        """Whoever comes next has a place, and so has who was there alone."""
        self.places.arrive("alone", "198.51.100.1")
        for number in range(STRANGERS - 1):
            self.places.arrive(number, f"192.0.2.{number // 12}")
        self.assertEqual(self.places.arrive("next", "198.51.100.2"), 0)
        self.assertEqual(self.places.strangers, STRANGERS)

    def test_who_has_shown_a_token_is_not_displaced(self) -> None:
        """However many strangers come."""
        self.places.arrive("gateway", "192.0.2.1")
        self.assertTrue(self.places.know("gateway", "192.0.2.1"))
        out = [self.places.arrive(number, "192.0.2.1") for number in range(500)]
        self.assertNotIn("gateway", out)
        self.assertIn("gateway", self.places)

    def test_known_ones_are_bounded_for_each_client_and_in_all(self) -> None:
        """Beyond that, they are strangers still."""
        for number in range(KNOWN_OF_ONE):
            self.assertTrue(self.places.know(number, "192.0.2.1"))
        self.assertFalse(self.places.know("more", "192.0.2.1"))
        for number in range(KNOWN_OF_ONE, KNOWN):
            self.assertTrue(self.places.know(number, f"198.51.100.{number % 250}"))
        self.assertFalse(self.places.know("last", "203.0.113.1"))

    def test_at_the_socket_only_the_sum_is_bounded(self) -> None:
        """Its permissions say who may come."""
        self.assertTrue(all(self.places.know(number, "") for number in range(KNOWN)))
        self.assertEqual([self.places.arrive(f"s{number}", "") for number in range(STRANGERS)], [None] * STRANGERS)

    @settings(suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
    @given(STEPS)
    def test_never_more_than_there_are_places(self, steps: list[tuple[int, int, str]]) -> None:
        """And a connection has one place at most, whatever happens in whatever order."""
        places = Connections()
        for connection, client, step in steps:
            if step == "leave":
                places.leave(connection)
            else:
                getattr(places, step)(connection, str(client))
            self.assertLessEqual(places.strangers, 4 * STRANGERS_OF_ONE)
        self.assertLessEqual(places.strangers + places.known, len({connection for connection, _, _ in steps}))

"""Tests for `realmgw.subscribers.leases.guests`."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.subscribers.leases.book import Lease
from realmgw.subscribers.leases.guests import Guests
from realmgw.subscribers.leases.records import Record

FOUR, SIX = ip_address("192.168.0.9").packed, ip_address("fd00::9").packed


def lease(name: str, *addresses: bytes) -> Lease:
    """A registration."""
    records = [Record(name, 1 if len(each) == 4 else 28, 60, each) for each in addresses]
    return Lease(name, (*records, Record(name, 16, 60, b"\1x")), "guests.", 0.0, 0.0)


class GuestsTests(SynchronousTestCase):
    """Who has which name."""

    def setUp(self) -> None:
        """Nobody has."""
        self.guests = Guests()

    def test_by_name_and_by_address(self) -> None:
        """Of either family; a name without an address is nobody's."""
        self.guests.put("a.example.org.", lease("a.example.org.", FOUR, SIX))
        self.guests.put("b.example.org.", lease("b.example.org."))
        self.assertEqual(self.guests.addresses("a.example.org."), (FOUR, SIX))
        self.assertEqual([self.guests.at(each) for each in (FOUR, SIX, b"\0\0\0\0")], ["a.example.org."] * 2 + [None])
        self.assertEqual((self.guests.addresses("b.example.org."), len(self.guests)), ((), 1))

    def test_names_above_are_there_as_long_as_one_below_is(self) -> None:
        """Of the host, and of its addresses; nothing is left of it afterwards."""
        above = ("x.example.org.", "org.", "168.192.in-addr.arpa.", "d.f.ip6.arpa.")
        for name in ("a.x.example.org.", "b.x.example.org."):
            self.guests.put(name, lease(name, FOUR, SIX))
        self.assertTrue(all(map(self.guests.is_above, above)))
        self.assertFalse(self.guests.is_above("a.x.example.org."))
        self.guests.put("a.x.example.org.", None)
        self.assertTrue(all(map(self.guests.is_above, above)))
        self.guests.put("b.x.example.org.", lease("b.x.example.org.", FOUR))
        self.assertEqual([self.guests.is_above(each) for each in above], [True, True, True, False])
        self.guests.put("b.x.example.org.", None)
        self.assertEqual(self.guests._below, {})

    def test_of_several_at_one_address_the_last_one_counts(self) -> None:
        """Until it goes: then nobody is there until one comes again."""
        for name in ("a.example.org.", "b.example.org."):
            self.guests.put(name, lease(name, FOUR))
        self.guests.put("a.example.org.", None)
        self.assertEqual(self.guests.at(FOUR), "b.example.org.")
        self.guests.put("b.example.org.", None)
        self.assertEqual((self.guests.at(FOUR), len(self.guests)), (None, 0))

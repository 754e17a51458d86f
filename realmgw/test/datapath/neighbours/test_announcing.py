"""Tests for `realmgw.datapath.neighbours.announcing`."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.neighbours.announcing import AT_ONCE, GAP, MOST, ROUNDS, Announcements
from realmgw.test.datapath.neighbours.solicitations import TARGET

FOUR = IPv4Network("192.0.2.128/30")
ADDRESSES = [address.packed for address in FOUR]


class AnnouncementsTests(SynchronousTestCase):
    """`Announcements`: which, how often, how many at once."""

    def setUp(self) -> None:
        self.announcements = Announcements()

    def all_of(self, now: float) -> list[bytes]:
        """All that is announced by then."""
        found: list[bytes] = []
        while some := self.announcements.due(now):
            self.assertLessEqual(len(some), AT_ONCE)
            found += some
        return found

    def test_each_address_is_announced_twice(self) -> None:
        """Some seconds apart, those with flows first."""
        self.announcements.add([TARGET, ADDRESSES[2]], [FOUR], now=7.0)
        expected = [TARGET, ADDRESSES[2], ADDRESSES[0], ADDRESSES[1], ADDRESSES[3]]
        self.assertEqual(self.all_of(7.0), expected)
        self.assertEqual(self.all_of(7.0 + GAP / 2), [])
        self.assertEqual(self.all_of(7.0 + GAP), expected)
        self.assertFalse(self.announcements)

    def test_large_prefix_is_not_announced_as_a_whole(self) -> None:
        """It takes no time, either."""
        self.announcements.add([TARGET], [IPv4Network("10.0.0.0/8")], now=0.0)
        found = self.all_of(GAP)
        self.assertEqual((len(found), found[0]), (ROUNDS * MOST, TARGET))

    def test_no_more_flows_are_looked_at_than_are_announced(self) -> None:
        """However many there are."""
        self.announcements.add((number.to_bytes(16, "big") for number in count()), [], now=0.0)
        self.assertEqual(len(self.all_of(GAP)), ROUNDS * MOST)

    def test_what_comes_meanwhile_is_announced_with_what_was_left(self) -> None:
        """First, and each twice from then on."""
        self.announcements.add([], [FOUR], now=0.0)
        self.all_of(0.0)
        self.announcements.add([TARGET], [], now=1.0)
        self.assertEqual(self.all_of(1.0), [TARGET, *ADDRESSES])
        self.assertEqual(self.all_of(1.0 + GAP), [TARGET, *ADDRESSES])

    def test_nothing_is_nothing(self) -> None:
        """No round is begun."""
        self.announcements.add([], [], now=0.0)
        self.assertFalse(self.announcements)

"""Tests for `realmgw.dns.forward.chance`."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.forward.chance import AHEAD, Chance


class ChanceTests(SynchronousTestCase):
    """Octets that come from a source, a part at a time."""

    def setUp(self) -> None:
        """A source that remembers what it gave."""
        self.given: list[bytes] = []
        self.chance = Chance(self.give)

    def give(self, count: int) -> bytes:
        """More octets."""
        self.given.append(Random(len(self.given)).randbytes(count))
        return self.given[-1]

    def test_no_octet_is_given_twice(self) -> None:
        """What is given of the same stands there one behind the other; what does not suffice is left."""
        pieces = dict[int, bytes]()
        for count in range(1, 256):
            octets = self.chance.octets(count)
            self.assertEqual(len(octets), count)
            pieces[len(self.given)] = pieces.get(len(self.given), b"") + octets
        self.assertEqual({len(each) for each in self.given}, {AHEAD})
        self.assertTrue(all(self.given[number - 1].startswith(piece) for number, piece in pieces.items()))

    def test_more_than_are_fetched_at_a_time(self) -> None:
        """Are fetched for that."""
        self.assertEqual((len(self.chance.octets(AHEAD + 1)), len(self.chance.octets(1))), (AHEAD + 1, 1))
        self.assertEqual([len(each) for each in self.given], [AHEAD + 1, AHEAD])

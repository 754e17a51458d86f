"""One-time aliases: how long they live, who is told which, how many there are."""

from __future__ import annotations

import tracemalloc
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.mitigation.aliases import FRESH, LIFETIME, MOST, Alias, Aliases

ZONE = b"\1a\7example\3org\0"
NAME = b"\3one\7example\3org\0"
RESOLVER = "198.51.100.53"


class AliasesTests(SynchronousTestCase):
    """Aliases of one zone."""

    def setUp(self) -> None:
        """None yet."""
        self.bought: list[int] = []
        self.random = Random(4)
        self.aliases = self.make()

    def make(self, most: int = 10) -> Aliases:
        """Room for so many."""
        aliases = Aliases(self.buy, most)
        aliases.zone = ZONE
        return aliases

    def buy(self, count: int) -> bytes:
        """Octets of any value."""
        self.bought.append(count)
        return self.random.randbytes(count)

    def give(self, now: float, name: bytes = NAME, resolver: str = RESOLVER) -> Alias:
        """One that there must be."""
        alias = self.aliases.give(name, resolver, now=now)
        assert alias is not None
        return alias

    def test_is_32_letters_and_digits_in_the_zone(self) -> None:
        """No two are alike."""
        names = {self.give(now=float(number), resolver=str(number)).name for number in range(10)}
        self.assertEqual(len(names), 10)
        for name in names:
            self.assertEqual((name[0], name[33:]), (32, ZONE))
            self.assertRegex(name[1:33], rb"\A[a-z0-9]{32}\Z")

    def test_buys_chance_in_batches(self) -> None:
        """Once for a hundred."""
        for number in range(100):
            self.make_room = self.aliases.give(NAME, str(number), now=number * LIFETIME)
        self.assertEqual(len(self.bought), 1)

    def test_is_one_for_a_name_and_a_resolver(self) -> None:
        """A query that is repeated gets the same; others get others."""
        first = self.give(now=0.0)
        self.assertIs(self.give(now=FRESH - 0.1), first)
        self.assertIsNot(self.give(now=0.0, resolver="198.51.100.54"), first)
        self.assertIsNot(self.give(now=0.0, name=b"\3two" + NAME[4:]), first)

    def test_is_another_one_when_it_was_asked_for(self) -> None:
        """It stands for one resolution; it is known still, for repeated queries."""
        first = self.give(now=0.0)
        self.aliases.used(first)
        self.assertIsNot(self.give(now=0.1), first)
        self.assertIs(self.aliases.find(first.name, now=0.1), first)
        self.aliases.used(first)
        self.assertIs(self.give(now=0.2), self.give(now=0.1))

    def test_is_another_one_when_little_time_is_left(self) -> None:
        """Both are known."""
        first = self.give(now=0.0)
        second = self.give(now=FRESH)
        self.assertIsNot(second, first)
        self.assertEqual([self.aliases.find(each.name, now=FRESH) for each in (first, second)], [first, second])

    def test_lives_for_five_seconds(self) -> None:
        """Then nobody knows it, and its room is somebody else's."""
        alias = self.give(now=1.0)
        self.assertIs(self.aliases.find(alias.name, now=5.99), alias)
        self.assertIsNone(self.aliases.find(alias.name, now=6.0))
        self.give(now=6.0, resolver="198.51.100.54")
        self.assertEqual(len(self.aliases), 1)

    def test_is_bounded_in_number(self) -> None:
        """None when full, until the oldest has ended; who has one keeps it."""
        for number in range(10):
            self.give(now=number / 10, resolver=str(number))
        self.assertIsNone(self.aliases.give(NAME, RESOLVER, now=1.0))
        self.assertIsNotNone(self.aliases.give(NAME, "9", now=1.0))
        self.assertIsNotNone(self.aliases.give(NAME, RESOLVER, now=LIFETIME))

    def test_is_none_without_a_zone(self) -> None:
        """There is nowhere to make it."""
        self.aliases.zone = None
        self.assertIsNone(self.aliases.give(NAME, RESOLVER, now=0.0))

    def test_costs_so_much_and_no_more(self) -> None:
        """A million spoofed queries; less than 30 MB."""
        aliases = self.make(MOST)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for number in range(200_000):
            aliases.give(NAME, str(number), now=number / 10_000)
        self.assertLess(tracemalloc.get_traced_memory()[1], 30 << 20)
        self.assertLessEqual(len(aliases), MOST)

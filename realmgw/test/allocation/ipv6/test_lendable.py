"""Tests of `realmgw.allocation.ipv6.lendable`; that the kernel computes the same hash is seen in the kernel's tests."""

from __future__ import annotations

import random
from collections import Counter
from ipaddress import IPv6Address, IPv6Network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.ipv6.drawing import DRAWN, Drawing
from realmgw.allocation.ipv6.lendable import HASHED, SHARE, Lendable, hashes, lendable

WORD = 0xFFFF_FFFF
NETWORKS = [IPv6Network(text) for text in ("2001:db8:1::/64", "2001:db8:3::/96")]


def jhash(octets: bytes, seed: int) -> int:
    """The hash of up to four octets, one step at a time, as linux/jhash.h has it."""

    def turned(value: int, bits: int) -> int:
        return (value << bits | value >> 32 - bits) & WORD

    b = c = 0xDEADBEEF + len(octets) + seed & WORD
    a = b + int.from_bytes(octets, "little") & WORD
    c = (c ^ b) - turned(b, 14) & WORD
    a = (a ^ c) - turned(c, 11) & WORD
    b = (b ^ a) - turned(a, 25) & WORD
    c = (c ^ b) - turned(b, 16) & WORD
    a = (a ^ c) - turned(c, 4) & WORD
    b = (b ^ a) - turned(a, 14) & WORD
    return (c ^ b) - turned(b, 24) & WORD


def may_be_lent(address: bytes, seed: int) -> bool:
    """As the kernel decides: the hash, scaled to so many values, is 0."""
    return jhash(address[-HASHED:], seed) * SHARE >> 32 == 0


class LendableTests(SynchronousTestCase):
    """Random octets for addresses."""

    def setUp(self) -> None:
        """One with real chance, which is the same each time."""
        self.lendable = Lendable(random.Random(3).randbytes)

    def test_all_that_is_given_may_be_lent(self) -> None:
        """Of what is guessed, one of sixteen."""
        octets = self.lendable(DRAWN * 1000)
        given = [octets[at : at + DRAWN] for at in range(0, len(octets), DRAWN)]
        self.assertEqual((len(octets), len(set(given))), (DRAWN * 1000, 1000))
        self.assertTrue(all(may_be_lent(each, self.lendable.seed) for each in given))
        guessed = [random.Random(at).randbytes(DRAWN) for at in range(4000)]
        self.assertTrue(150 < sum(may_be_lent(each, self.lendable.seed) for each in guessed) < 350)

    def test_every_bit_is_drawn(self) -> None:
        """Each is 1 about half of the time, also of those that are hashed."""
        octets = self.lendable(DRAWN * 2000)
        numbers = [int.from_bytes(octets[at : at + DRAWN], "big") for at in range(0, len(octets), DRAWN)]
        ones = [sum(number >> bit & 1 for number in numbers) for bit in range(DRAWN * 8)]
        self.assertTrue(all(800 < each < 1200 for each in ones), ones)

    def test_what_is_drawn_from_prefixes_may_be_lent(self) -> None:
        """Whatever their lengths are, and when a part of one is gone: the last octets stay as they are given."""
        made = Drawing(NETWORKS, self.lendable)
        made.withdraw([IPv6Network("2001:db8:1:0:8000::/65")])
        drawn = [made.draw(lambda _: False) for _ in range(2000)]
        self.assertTrue(all(may_be_lent(each, self.lendable.seed) for each in drawn))
        self.assertTrue(all(any(IPv6Address(each) in network for network in made.networks) for each in drawn))

    def test_each_start_has_another_seed(self) -> None:
        """And none is 0, for which the kernel would draw one itself."""
        self.assertNotEqual(self.lendable.seed, Lendable(random.Random(4).randbytes).seed)
        self.assertEqual(Lendable(bytes).seed, 1)

    def test_no_ending_is_likelier_than_another(self) -> None:
        """Chi-squared of a million picks: nine times the spread above its mean, or below, is no chance."""
        endings = lendable(self.lendable.seed)
        octets = self.lendable(DRAWN << 20)
        given = Counter(zip(octets[DRAWN - HASHED :: DRAWN], octets[DRAWN - 1 :: DRAWN], strict=True))
        self.assertEqual(set(given), {tuple(each) for each in endings})
        each = (1 << 20) / len(endings)
        spread = sum((count - each) ** 2 / each for count in given.values())
        self.assertTrue(abs(spread - len(endings)) < 9 * (2 * len(endings)) ** 0.5, spread)

    def test_all_values_are_hashed(self) -> None:
        """What may be lent is what each of them is by itself, for any seed."""
        for seed in (1, 0x80000000, WORD, self.lendable.seed):
            every = (value.to_bytes(HASHED, "little") for value in range(1 << 16))
            self.assertEqual(lendable(seed), [each for each in every if may_be_lent(each, seed)])

    def test_many_are_hashed_at_a_time(self) -> None:
        """To what each of them is by itself, the largest and the smallest among them."""
        chance = random.Random(5)
        values = [*(chance.randbytes(HASHED) for _ in range(4094)), bytes(HASHED), b"\xff" * HASHED]
        hashed = hashes(b"".join(each.ljust(8, b"\0") for each in values), WORD)
        expected = b"".join(jhash(each, WORD).to_bytes(8, "little") for each in values)
        self.assertEqual(hashed, expected)

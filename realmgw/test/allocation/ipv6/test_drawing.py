"""Tests of `realmgw.allocation.ipv6.drawing`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network, ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.ipv6 import drawing
from realmgw.allocation.ipv6.drawing import Drawing, Drawn

ONE, OTHER, SMALL = map(IPv6Network, ("2001:db8:1::/64", "2001:db8:2::/64", "2001:db8:3::/96"))


def nobody(address: bytes) -> bool:
    """No address stands."""
    return False


class Numbers:
    """Gives these as random octets, and begins anew when there are no more."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers

    def __call__(self, octets: int) -> bytes:
        """So many octets."""
        each = b"".join(number.to_bytes(drawing.DRAWN, "big") for number in self._numbers)
        return (each * octets)[:octets]


class DrawingTests(SynchronousTestCase):
    """Addresses that are drawn."""

    def draw(self, made: Drawing, count: int) -> Iterator[IPv6Address]:
        """So many of them, when none stands."""
        return (IPv6Address(made.draw(nobody)) for _ in range(count))

    def make(self, *networks: IPv6Network) -> Drawing:
        """One with real chance, which is the same each time."""
        return Drawing(networks, random.Random(7).randbytes)

    def test_they_lie_in_the_prefix_and_differ(self) -> None:
        """Ten thousand, none of them twice."""
        drawn = list(self.draw(self.make(SMALL), 10_000))
        self.assertTrue(all(address in SMALL for address in drawn))
        self.assertEqual(len(set(drawn)), 10_000)

    def test_every_bit_of_the_host_part_is_drawn(self) -> None:
        """Each is 1 about half of the time, so nobody can tell any of them."""
        numbers = [int(address) for address in self.draw(self.make(ONE), 2000)]
        for bit in range(64):
            ones = sum(number >> bit & 1 for number in numbers)
            self.assertTrue(800 < ones < 1200, f"bit {bit}: {ones} of 2000")

    def test_the_anycast_address_of_routers_is_left_out(self) -> None:
        """It is the first one of the prefix (RFC 4291)."""
        made = Drawing([ONE], Numbers(0, 1 << 64, 5))
        self.assertEqual(list(self.draw(made, 1)), [ONE[5]])

    def test_what_stands_is_not_drawn_again(self) -> None:
        """However long ago it was drawn."""
        made = Drawing([ONE], Numbers(5, 6))
        self.assertEqual(made.draw(lambda address: address == ONE[5].packed), ONE[6].packed)

    def test_what_was_drawn_lately_is_not_drawn_again(self) -> None:
        """Though it stands no more."""
        made = Drawing([ONE], Numbers(5, 5, 6))
        self.assertEqual(list(self.draw(made, 2)), [ONE[5], ONE[6]])

    def test_a_generation_is_remembered_in_fixed_memory(self) -> None:
        """The last ones are known when it is full; those before the one before are forgotten."""
        self.patch(drawing, "GENERATION", 1000)
        drawn, every = Drawn(), [number.to_bytes(16, "big") for number in range(3000)]
        taken = [address for each in every for address in drawn.fresh([each])]
        self.assertGreater(len(taken), 2990, "few are mistaken for one that was drawn")
        self.assertEqual(drawn.fresh(taken[-1000:]), [])
        self.assertEqual(drawn.fresh(taken[:10]), taken[:10])

    def test_several_prefixes_have_addresses_drawn_by_size(self) -> None:
        """Two of a size half of them each; of a small one beside them hardly any."""
        drawn = list(self.draw(self.make(ONE, SMALL, OTHER), 1000))
        ones, others = (sum(address in network for address in drawn) for network in (ONE, OTHER))
        self.assertEqual(ones + others, 1000)
        self.assertTrue(400 < ones < 600, ones)

    def test_prefixes_come_and_go(self) -> None:
        """Also a part of one."""
        made = self.make(ONE)
        made.extend([OTHER])
        made.withdraw([ONE, ip_network("2001:db8:2::/65")])
        self.assertEqual(made.networks, (ip_network("2001:db8:2:0:8000::/65"),))
        self.assertTrue(all(address in made.networks[0] for address in self.draw(made, 100)))
        self.assertEqual([made.holds(each.packed) for each in (ONE[5], OTHER[5], OTHER[-1])], [False, False, True])
        made.withdraw([OTHER])
        self.assertEqual(made.networks, ())

"""Draws addresses by chance from prefixes, none of them twice within a long while."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.config.settings import Network

Chance = Callable[[int], bytes]
"""So many random octets that nobody can guess."""
DRAWN = 16
"""So many of them make an address."""
BLOCK = 32
"""So many addresses are drawn at a time, of which each query is given one: it finds all that it needs in the caches."""
GENERATION = 1 << 20
"""At least so many addresses have to be drawn before one can be drawn again."""
BITS = 24
"""A generation is known by 2 to the power of so many bits: 2 MiB."""


class Drawn:
    """What was drawn lately: two generations of a Bloom filter, so the memory is fixed whatever is drawn.

    A generation is full after `GENERATION` addresses; then the one before is forgotten. Of those drawn since, none is
    missed; and one of forty that was not is taken for one, which costs another try.
    """

    def __init__(self) -> None:
        self._young, self._old = (bytearray(1 << BITS >> 3) for _ in range(2))
        self._count = 0

    def fresh(self, addresses: Iterable[bytes]) -> list[bytes]:
        """Those of some addresses that were not drawn before, as far as is known. From now on, they were."""
        found, young, old, mask = [], self._young, self._old, (1 << BITS) - 1
        for address in addresses:
            number = hash(address)  # of the kind that nobody outside can foresee, and it is needed anyway
            one, other = number & mask, number >> BITS & mask
            first, second = 1 << (one & 7), 1 << (other & 7)
            one >>= 3
            other >>= 3
            if (young[one] & first and young[other] & second) or (old[one] & first and old[other] & second):
                continue
            young[one] |= first
            young[other] |= second
            found.append(address)
        self._count += len(found)
        if self._count >= GENERATION:
            self._old, self._young, self._count = young, bytearray(1 << BITS >> 3), 0
        return found


class Drawing:
    """Draws fresh addresses.

    Attributes:
        drawn: What was drawn lately; None: there was no prefix yet. It takes milliseconds and 4 MiB, which who has no
            prefix is spared, and pools that are only tried share.

    Args:
        networks: The prefixes of the pool; the larger one has the more addresses drawn. The first address of each, the
            anycast address of its routers (RFC 4291, 2.6.1), is never drawn.
        chance: Where chance comes from.
    """

    def __init__(self, networks: Iterable[Network], chance: Chance) -> None:
        self._chance = chance
        self.drawn: Drawn | None = None
        self._block: list[bytes] = []
        self.networks: tuple[Network, ...] = ()
        """From where addresses are drawn; read only."""
        self.extend(networks)

    def extend(self, networks: Iterable[Network]) -> None:
        """Draw from these as well."""
        self._draw_from(dict.fromkeys((*self.networks, *networks)))

    def withdraw(self, networks: Collection[Network]) -> None:
        """Draw from these no more."""
        left = list(self.networks)
        for gone in networks:
            left = [piece for network in left for piece in _beyond(network, gone)]
        self._draw_from(left)

    def holds(self, address: bytes) -> bool:
        """Whether an address can be drawn, as far as its prefix goes."""
        at = bisect_right(self._sorted, number := int.from_bytes(address, "big")) - 1
        return at >= 0 and number <= self._last[at]

    def _draw_from(self, networks: Iterable[Network]) -> None:
        self._block = []
        self.networks = tuple(networks)
        if self.networks and self.drawn is None:
            self.drawn = Drawn()
        self._first = [int(network.network_address) for network in self.networks]
        sizes = [network.num_addresses for network in self.networks]
        self._ends = list(accumulate(sizes))
        self._begins = [end - size for end, size in zip(self._ends, sizes, strict=True)]
        ordered = sorted(zip(self._first, sizes, strict=True))
        self._sorted = [first for first, _ in ordered]
        self._last = [first + size - 1 for first, size in ordered]

    def draw(self, standing: Callable[[bytes], object]) -> bytes:
        """A packed address that was not drawn lately. There is a prefix to draw from.

        Args:
            standing: Tells whether an address is still in use, however long ago it was drawn.
        """
        while True:
            while not self._block:
                assert self.drawn is not None
                self._block = self.drawn.fresh(self._some())
                self._block.reverse()
            address = self._block.pop()
            if not standing(address):
                return address

    def _some(self) -> Iterator[bytes]:
        """Addresses by chance, each from 128 bits; no prefix is so large that some were drawn more often."""
        octets, ends = self._chance(DRAWN * BLOCK), self._ends
        for begin in range(0, len(octets), DRAWN):
            number = int.from_bytes(octets[begin : begin + DRAWN], "big") % ends[-1]
            at = bisect_right(ends, number) if len(ends) > 1 else 0
            if offset := number - self._begins[at]:
                yield (self._first[at] + offset).to_bytes(DRAWN, "big")


def _beyond(network: Network, gone: Network) -> Iterable[Network]:
    """What is left of a prefix when another one goes."""
    if network.version != gone.version or not network.overlaps(gone):
        return (network,)
    within = gone != network and gone.prefixlen > network.prefixlen
    return network.address_exclude(gone) if within else ()  # type: ignore[arg-type]  # of one version

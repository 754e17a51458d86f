"""Random octets for addresses that the kernel can tell from guesses, all but one of `SHARE`, with nothing to remember.

Of all addresses only those are lent whose last four octets have a certain hash: one of the kernel's own (`jhash`), with
a seed that is drawn at the start. So the kernel refuses most of what somebody sends to random addresses of a prefix,
and a packet to an address that was lent is never among them. It is a sieve and no lock: what gets through is decided
about as ever, and whoever has been told a few addresses can compute the seed.

Fifteen of sixteen candidates are thrown away. So hundreds are hashed at a time, each in 64 bits of one large number: 32
for its value, and 32 into which carries and shifts run over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import compress, islice

from realmgw.allocation.ipv6.drawing import BLOCK, DRAWN

SHARE = 16
"""One of so many addresses can be lent: the upper bits of its hash are 0."""
HASHED = 4
"""So many octets are hashed, the last ones. A prefix of the pool is at most a /96: all of them are drawn by chance."""
_LANE = 8  # octets
_LANES = BLOCK * SHARE
"""So many are hashed at a time."""
_BOUND = 256 // SHARE
"""What the first octet of a hash is below."""
_ONES = int.from_bytes((b"\1" + bytes(_LANE - 1)) * _LANES, "little")
_VALUES = _ONES * 0xFFFF_FFFF
_BORROWED = _ONES << 32
_INITIAL = 0xDEADBEEF  # JHASH_INITVAL, linux/jhash.h
_ROUNDS = (14, 11, 25, 16, 4, 14, 24)  # __jhash_final, there


class Lendable:
    """Gives random octets, of which each sixteen are an address that can be lent, but for its prefix.

    Args:
        chance: Where they come from.

    Attributes:
        seed: Of the hash, 32 bits, and not 0.
    """

    def __init__(self, chance: Callable[[int], bytes]) -> None:
        self._chance = chance
        self.seed = int.from_bytes(chance(HASHED), "big") or 1
        self._endings = self._draw()

    def __call__(self, count: int) -> bytes:
        """So many octets, a multiple of 16."""
        octets = self._chance(count)
        endings = islice(self._endings, count // DRAWN)
        return b"".join([octets[at * DRAWN : (at + 1) * DRAWN - HASHED] + each for at, each in enumerate(endings)])

    def _draw(self) -> Iterator[bytes]:
        """The last octets of addresses, without end."""
        while True:
            drawn = self._chance(_LANES * _LANE)
            firsts = hashes(drawn, self.seed)[HASHED - 1 :: _LANE]
            chosen = compress(range(0, len(drawn), _LANE), map(_BOUND.__gt__, firsts))
            yield from [drawn[at : at + HASHED] for at in chosen]


def hashes(drawn: bytes, seed: int) -> bytes:
    """The hashes of the first four of each eight octets, in little endian; behind each are four octets of 0.

    Args:
        drawn: As many octets as there are lanes.
        seed: Of the hash.
    """
    start = (_INITIAL + HASHED + seed & 0xFFFF_FFFF) * _ONES
    first = (int.from_bytes(drawn, "little") & _VALUES) + start & _VALUES
    a, b, c = first, start, start
    for bits in _ROUNDS:  # each time the next one of the three is mixed with the one before it
        c = (c ^ b | _BORROWED) - _turned(b, bits) & _VALUES
        a, b, c = b, c, a
    return b.to_bytes(_LANES * _LANE, "little")


def _turned(values: int, bits: int) -> int:
    """Each value, rotated to the left."""
    return (values << bits | values >> 32 - bits) & _VALUES

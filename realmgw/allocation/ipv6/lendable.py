"""Random octets for addresses that the kernel can tell from guesses, all but one of `SHARE`, with nothing to remember.

Of all addresses only those are lent whose last two octets have a certain hash: one of the kernel's own (`jhash`), with
a seed that is drawn at the start. So the kernel refuses most of what somebody sends to random addresses of a prefix,
and a packet to an address that was lent is never among them. It is a sieve and no lock: what gets through is decided
about as ever, and whoever has been told an address knows an ending that gets through.

Two octets have so few values that each is hashed at the start. So a draw tries nothing: it picks one of those that were
found, and the octets before them are drawn as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress

from realmgw.allocation.ipv6.drawing import DRAWN

SHARE = 16
"""One of so many addresses can be lent: the upper bits of its hash are 0."""
HASHED = 2
"""So many octets are hashed, the last ones. A prefix of the pool is at most a /96: all of them are drawn by chance."""
_SEED = 4  # octets
_PICK = 4
"""By so many octets an ending is picked: no ending is likelier than another one by more than a part in a million."""
_VALUES = 1 << 8 * HASHED
_LANE = 8
"""Each value is hashed in so many octets of one large number: 4 for itself, and 4 which carries and shifts run into."""
_LANES = 4096
"""So many are hashed at a time."""
_BOUND = 256 // SHARE
"""What the first octet of a hash is below."""
_ONES = int.from_bytes((b"\1" + bytes(_LANE - 1)) * _LANES, "little")
_WORDS = _ONES * 0xFFFF_FFFF
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
        self.seed = int.from_bytes(chance(_SEED), "big") or 1
        endings = b"".join(lendable(self.seed))
        self._firsts, self._seconds = endings[::HASHED], endings[1::HASHED]

    def __call__(self, count: int) -> bytes:
        """So many octets, a multiple of 16."""
        octets, firsts, seconds = bytearray(self._chance(count)), self._firsts, self._seconds
        drawn = memoryview(self._chance(count // DRAWN * _PICK)).cast("I")
        picked = [number % len(firsts) for number in drawn]
        octets[DRAWN - HASHED :: DRAWN] = bytes([firsts[at] for at in picked])
        octets[DRAWN - 1 :: DRAWN] = bytes([seconds[at] for at in picked])
        return bytes(octets)


def lendable(seed: int) -> list[bytes]:
    """The last octets that addresses have which can be lent; there are some for every seed."""
    found: list[bytes] = []
    for begin in range(0, _VALUES, _LANES):
        values = [value.to_bytes(HASHED, "little") for value in range(begin, begin + _LANES)]
        hashed = hashes(bytes(_LANE - HASHED).join([*values, b""]), seed)
        found += compress(values, map(_BOUND.__gt__, hashed[3::_LANE]))
    return found


def hashes(values: bytes, seed: int) -> bytes:
    """The hashes of the first two of each eight octets, in little endian; behind each are four octets of 0.

    Args:
        values: As many octets as there are lanes; 0 but for those that are hashed.
        seed: Of the hash.
    """
    start = (_INITIAL + HASHED + seed & 0xFFFF_FFFF) * _ONES
    first = int.from_bytes(values, "little") + start & _WORDS
    a, b, c = first, start, start
    for bits in _ROUNDS:  # each time the next one of the three is mixed with the one before it
        c = (c ^ b | _BORROWED) - _turned(b, bits) & _WORDS
        a, b, c = b, c, a
    return b.to_bytes(_LANES * _LANE, "little")


def _turned(values: int, bits: int) -> int:
    """Each value, rotated to the left."""
    return (values << bits | values >> 32 - bits) & _WORDS

"""What was let in lately, as octets: so it costs least to write it down, and nothing to hand it on.

Values that are kept are dear. What is let go of at once is used again while the processor has it; what stays takes
memory instead that was last touched thousands of flows ago, and so once more when somebody wants it. So each entry is
written behind the one before, as MessagePack has it, in segments of so many; values are made of it for whoever asks.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice, starmap
from operator import itemgetter
from typing import NamedTuple

import msgspec

from realmgw.allocation.flow import Flow

EACH = 128
"""So many entries are in a segment; whoever wants one of them has all of them made."""
Entry = tuple[float, int, str, Flow, int]
"""The fields of `realmgw.allocation.decisionlog.Admitted`."""
_BEGIN, _ARRAY = struct.Struct(">BI"), 0xDD
"""How an array begins: its kind (array 32), and how many there are in it."""

_octets = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(list[Entry]).decode


class Mark(NamedTuple):
    """A place in the log."""

    entries: int = 0
    """How many entries there were before it, ever."""
    octets: int = 0
    """How many octets of its segment are before it."""


class AdmittedLog:
    """The latest entries, the oldest first.

    Attributes:
        size: So many are kept.
    """

    def __init__(self) -> None:
        self.size = self._written = 0
        self._full = deque[tuple[float, bytearray]](maxlen=0)  # segments, with when the last entry was written
        self._open = bytearray()

    def __len__(self) -> int:
        return min(self.size, self._written - self._first)

    def resize(self, size: int) -> None:
        """From now on, keep so many; the latest ones of those that there are stay."""
        self.size, self._full = size, deque(self._full, -(-size // EACH))
        if not size:
            self._written += -self._written % EACH
            self._open = bytearray()

    def add(self, now: float, number: int, name: str, flow: Flow, way: int) -> None:
        """One more was let in.

        Raises:
            OverflowError: It has a number of more than 64 bits.
            ValueError: Its name can not be written in UTF-8. Nothing is written then.
        """
        if self.size:
            self._open += _octets((now, number, name, flow, way))  # whole, or not at all: others stand beside it
            self._written = written = self._written + 1
            if not written % EACH:
                self._full.append((now, self._open))
                self._open = bytearray()

    def latest(self, count: int) -> Entries:
        """So many of the latest, or all, as they are at this moment."""
        count = min(count, len(self))
        *full, last = self._segments(count)
        return Entries((*((EACH, each) for each in full), (self._written % EACH, bytes(last))), count)

    def count(self, since: float) -> int:
        """How many are not older than a time."""
        behind = bisect_left(self._full, since, key=itemgetter(0))
        if behind < len(self._full):
            values = _values(EACH, self._full[behind][1])
        else:
            values = _values(self._written % EACH, self._open)
        younger = max(0, self._written - self._first - EACH * (behind + 1))
        return min(len(self), younger + len(values) - bisect_left(values, since, key=itemgetter(0)))

    @property
    def mark(self) -> Mark:
        """Behind the latest one."""
        return Mark(self._written, len(self._open))

    def after(self, mark: Mark) -> tuple[int, bytes]:
        """Those behind a mark, as far as they are there, as they are written: nothing is done for each of them.

        Returns:
            How many, and an array of MessagePack that has them.
        """
        mark = max(mark, Mark(self._first))
        count, within = self._written - mark.entries, mark.entries % EACH
        octets = b"".join(self._segments(count + within))[mark.octets :]
        return count, _array(count, octets)

    @property
    def _first(self) -> int:
        """How many were written before the first that is there."""
        return self._written // EACH * EACH - EACH * len(self._full)

    def _segments(self, count: int) -> list[bytearray]:
        """Those that have so many of the latest."""
        full = -(-(count - self._written % EACH) // EACH)
        return [*map(itemgetter(1), islice(self._full, len(self._full) - max(0, full), None)), self._open]


class Entries:
    """Entries that were let in; their values are made as they are gone through.

    Args:
        segments: How many each has, and its octets.
        count: So many of the last of these are meant.
    """

    def __init__(self, segments: Sequence[tuple[int, bytes | bytearray]], count: int) -> None:
        self._segments, self._count = segments, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        there = sum(count for count, _ in self._segments)
        return islice(chain.from_iterable(starmap(_values, self._segments)), there - self._count, None)

    def __reversed__(self) -> Iterator[Entry]:
        youngest = (reversed(_values(*each)) for each in reversed(self._segments))
        return islice(chain.from_iterable(youngest), self._count)


def values(octets: bytes) -> list[Entry]:
    """The entries of an array, as `AdmittedLog.after` gives it."""
    return _read(octets)


def _values(count: int, octets: bytes | bytearray) -> list[Entry]:
    return _read(_array(count, octets))


def _array(count: int, octets: bytes | bytearray) -> bytes:
    return _BEGIN.pack(_ARRAY, count) + octets

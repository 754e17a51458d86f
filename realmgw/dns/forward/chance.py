"""What nobody can guess of a query to a resolver: octets, fetched many at a time, and letters that are so by chance."""

from __future__ import annotations

from collections.abc import Callable

AHEAD = 4096
"""So many octets are fetched at a time: enough for a hundred queries."""
_CASES = bytes([0x20 if 0x61 <= octet <= 0x7A else 0 for octet in range(256)])
"""The bit by which a letter is upper or lower case."""


class Chance:
    """Gives them.

    Args:
        source: Gives so many, as `os.urandom` does.
    """

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._octets, self._at = b"", 0

    def octets(self, count: int) -> bytes:
        """So many that nobody else has."""
        at = self._at
        end = self._at = at + count
        if end > len(self._octets):
            self._octets = self._source(max(AHEAD, count))
            at, end = 0, count
            self._at = end
        return self._octets[at:end]


def mixed(question: bytes, chance: Callable[[int], bytes]) -> bytes:
    """A question (name, type and class) whose letters are upper or lower case by chance (0x20)."""
    size = len(question) - 4
    name, end = question[:size], question[size:]
    letters = int.from_bytes(name.translate(_CASES), "big")  # no length of a label is a letter's number
    mixed = int.from_bytes(name, "big") ^ letters & int.from_bytes(chance(size), "big")
    return mixed.to_bytes(size, "big") + end

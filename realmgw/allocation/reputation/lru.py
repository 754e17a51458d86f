"""What was seen lately, bounded in number, whoever sends what."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class TwoGenerationLRU(Generic[Key, Value]):
    """A table of at most `limit` entries that forgets those that were not asked for longest.

    Two generations: what is asked for moves to the young one; when that is full, the old one is forgotten. So at least
    the `limit / 2` entries that were asked for last are there, and a look-up costs no more than two of a dictionary.

    Attributes:
        young: The young generation; another dictionary each time that it is full. Read only.
        old: The other one, likewise.
    """

    def __init__(self, limit: int) -> None:
        self.configure(limit)
        self.young: dict[Key, Value] = {}
        self.old: dict[Key, Value] = {}

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def __iter__(self) -> Iterator[Key]:
        yield from tuple(self.young)
        yield from tuple(self.old)

    def configure(self, limit: int) -> None:
        """From now on, remember so many."""
        self._half = max(1, limit // 2)

    def peek(self, key: Key) -> Value | None:
        """What is there under a key, or None; it becomes no younger."""
        value = self.young.get(key)
        return value if value is not None else self.old.get(key)

    def get(self, key: Key) -> Value | None:
        """What is there under a key, or None; it was asked for now."""
        value = self.young.get(key)
        if value is None:
            value = self.old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Have this under a key from now on; the youngest."""
        self.old.pop(key, None)
        if len(self.young) >= self._half and key not in self.young:
            self.old, self.young = self.young, {}
        self.young[key] = value

    def put_all(self, entries: dict[Key, Value]) -> None:
        """Have all of these from now on, at C's speed; there may be as many more than the limit, twice.

        What is there under a key is not looked for: it counts twice until the old generation is forgotten.
        """
        self.young.update(entries)
        if len(self.young) >= self._half:
            self.old, self.young = self.young, {}

    def pop(self, key: Key) -> Value | None:
        """Forget what is under a key, and return it."""
        old = self.old.pop(key, None)
        young = self.young.pop(key, None)
        return young if young is not None else old

    def set_back(self) -> None:
        """Have all entries be old: whatever is asked for next is looked at anew. O(entries), at C's speed."""
        self.old.update(self.young)
        self.young = {}

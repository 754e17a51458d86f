"""One-time aliases: names that only he knows who was told them, and who therefore receives what is sent to him.

An alias stands for one resolution of one name by one resolver: until it is asked for, a repeated query gets the same
one, and the claim that it leads to is one claim however often the alias is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

LIFETIME = 5.0  # seconds
"""How long an alias is known."""
FRESH = 2.5  # seconds
"""For so long it is told again; after that there would be too little time left to ask for it."""
MOST = 32768
"""So many are known at once; some 20 MB."""
LENGTH = 32  # characters, of five bits each

_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567"
_TO_LETTERS = bytes(_LETTERS[octet % 32] for octet in range(256))
_BATCH = 128


@attrs.frozen(eq=False)
class Alias:
    """A one-time alias."""

    name: bytes
    """It: wire form, lower case."""
    owner: bytes
    """The name that it stands for: wire form, lower case."""
    zone: bytes
    """The zone that it was made in, likewise."""
    resolver: str
    """The address that it was told, as text."""
    made: float
    """When, in monotonic seconds."""


class Aliases:
    """The aliases that are known, in the order in which they were made.

    Args:
        randomness: Gives so many unguessable octets.
        most: How many may be known at once.

    Attributes:
        zone: The wire name of the zone that they are made in; None: none are.
        is_ours: Whether a zone that they were made in before is one of ours, or lies in one.
    """

    def __init__(self, randomness: Callable[[int], bytes], most: int = MOST) -> None:
        self._randomness = randomness
        self._most = most
        self.zone: bytes | None = None
        self.is_ours: Callable[[bytes], bool] = lambda zone: zone == self.zone
        self._by_name: dict[bytes, Alias] = {}
        self._waiting: dict[tuple[bytes, str], Alias] = {}
        self._order: deque[Alias] = deque()
        self._tokens: list[bytes] = []

    def __len__(self) -> int:
        return len(self._by_name)

    def give(self, owner: bytes, resolver: str, *, now: float) -> Alias | None:
        """The alias that a resolver is told for a name.

        Args:
            owner: The name: wire form, lower case.
            resolver: The resolver's address, as text.
            now: The present, in monotonic seconds.

        Returns:
            The one that he was told last, unless it was asked for already or is not fresh any more; else a new one.
            None if as many are known as may be, or there is no zone for them.
        """
        question = owner, resolver
        alias = self._waiting.get(question)
        if alias is not None and now - alias.made < FRESH:
            return alias
        self._expire(now)
        if self.zone is None or len(self._by_name) >= self._most:
            return None
        alias = Alias(b"\x20" + self._token() + self.zone, owner, self.zone, resolver, now)
        self._by_name[alias.name] = self._waiting[question] = alias
        self._order.append(alias)
        return alias

    def find(self, name: bytes, *, now: float) -> Alias | None:
        """The alias of a name (wire form, lower case); None if there is none, or no more."""
        alias = self._by_name.get(name)
        if alias is None or now - alias.made >= LIFETIME:
            return None
        return alias if alias.zone == self.zone or self.is_ours(alias.zone) else None

    def used(self, alias: Alias) -> None:
        """An alias was asked for: the next query for its name is another resolution, and gets another one."""
        question = alias.owner, alias.resolver
        if self._waiting.get(question) is alias:
            del self._waiting[question]

    def _expire(self, now: float) -> None:
        order = self._order
        while order and now - order[0].made >= LIFETIME:
            alias = order.popleft()
            del self._by_name[alias.name]
            self.used(alias)

    def _token(self) -> bytes:
        if not self._tokens:
            octets = self._randomness(LENGTH * _BATCH).translate(_TO_LETTERS)
            self._tokens = [octets[at : at + LENGTH] for at in range(0, len(octets), LENGTH)]
        return self._tokens.pop()

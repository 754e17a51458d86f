"""How long to wait before something that failed is tried again."""

from __future__ import annotations

from collections.abc import Callable

FIRST = 1.0  # seconds
"""The delay after the first failure, unless another one is said."""


class Backoff:
    """Delays that double with each failure, up to a bound, with chance in them: many clients must not come all at once.

    Args:
        most: The longest delay, in seconds.
        random: Gives numbers from 0 to below 1.
        first: The bound of the first delay, in seconds.
    """

    def __init__(self, most: float, random: Callable[[], float], first: float = FIRST) -> None:
        self._most = most
        self._random = random
        self._first = min(first, most)
        self._next = self._first

    def failed(self) -> float:
        """The delay after one more failure, in seconds: from half of the present bound to all of it."""
        bound, self._next = self._next, min(2 * self._next, self._most)
        return bound * (1 + self._random()) / 2

    def succeeded(self) -> None:
        """Begins anew."""
        self._next = self._first

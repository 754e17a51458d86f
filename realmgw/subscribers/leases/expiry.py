"""When registrations end that nobody refreshes: one queue for all of them."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

SLACK = 64
"""So many more times may be queued than twice those that count, before the others are thrown out."""


class Expiry:
    """The queue."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []

    def put(self, name: str, due: float | None) -> None:
        """A registration ends at this time; None: never, or it has ended."""
        if due is None:
            self._due.pop(name, None)
            return
        self._due[name] = due
        heappush(self._queue, (due, name))
        if len(self._queue) > 2 * len(self._due) + SLACK:
            self._queue = [(due, name) for name, due in self._due.items()]
            heapify(self._queue)

    def at(self, name: str) -> float | None:
        """When a registration ends; None: never."""
        return self._due.get(name)

    def next(self) -> float | None:
        """When the next one ends; None: there is none."""
        while self._queue and self._due.get(self._queue[0][1]) != self._queue[0][0]:
            heappop(self._queue)
        return self._queue[0][0] if self._queue else None

    def over(self, now: float, most: int) -> list[str]:
        """Those whose time is over, the first ones first; each is told once.

        Args:
            now: The present.
            most: At most so many.
        """
        found: list[str] = []
        while len(found) < most and (due := self.next()) is not None and due <= now:
            name = heappop(self._queue)[1]
            del self._due[name]
            found.append(name)
        return found

"""Those who wait for some time, mostly in vain: one timer for all of them.

Most questions are answered long before their time is over, so that what is set for each has to cost little, and less
still to undo. There are few different times, so that those of one time end in the order in which they began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf

import attrs

from realmgw.dns.forward.asking import Cancel, Later, nothing


@attrs.define(eq=False)
class _Wait:
    """One of them."""

    due: float
    """When its time is over, in monotonic seconds."""
    function: Callable[[], object] | None
    """Is called then; None: it waits no more."""

    def cancel(self) -> None:
        """Waits no more."""
        self.function = None

    def end(self) -> None:
        """The time is over."""
        function, self.function = self.function, None
        if function is not None:
            function()


class Waits:
    """All of them.

    Args:
        timer: Calls a function after so many seconds.
        present: The present, in monotonic seconds.
    """

    def __init__(self, timer: Later, present: Callable[[], float]) -> None:
        self._timer, self._present = timer, present
        self._waits: dict[float, deque[_Wait]] = {}
        self._due = inf
        self._stop: Cancel = nothing

    def later(self, seconds: float, function: Callable[[], object]) -> Cancel:
        """As `realmgw.dns.forward.asking.Later` says; each function is called by the timer, none by another one."""
        wait = _Wait(self._present() + seconds, function)
        same = self._waits.get(seconds)
        if same is None:
            same = self._waits[seconds] = deque()
        same.append(wait)
        if wait.due < self._due:
            self._set(wait.due)
        return wait.cancel

    def close(self) -> None:
        """Nobody waits any more."""
        self._waits.clear()
        self._stop()
        self._due, self._stop = inf, nothing

    def _set(self, due: float) -> None:
        self._stop()
        self._due = due
        self._stop = self._timer(max(due - self._present(), 0.0), self._over)

    def _over(self) -> None:
        """The time of the first one is over, which may have been answered."""
        now, first = self._present(), inf
        self._due, self._stop = inf, nothing
        for seconds, same in list(self._waits.items()):
            while same and (same[0].function is None or same[0].due <= now):
                wait = same.popleft()
                if wait.function is not None:
                    self._timer(0.0, wait.end)
            if same:
                first = min(first, same[0].due)
            else:
                del self._waits[seconds]
        if first < inf:
            self._set(first)

"""By which names, and answers, flows were opened that were let in lately: for whoever writes down what becomes of them.

Nothing is done for that when a packet comes: it is what the log of decisions has of them, as it stands there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from realmgw.allocation.decisionlog import RESUMED

if TYPE_CHECKING:
    from realmgw.allocation.allocator import Allocator

LEAST = 1 << 14
"""So many of the latest are there to be taken at least, however few the log shows."""
NAMELESS = RESUMED
"""By what right those were let in whose names are not known: the log has those of their hosts."""


class Opened:
    """Flows, their names, and the answers that brought them.

    Args:
        allocator: Where they come.
    """

    def __init__(self, allocator: Allocator) -> None:
        self._decisions = allocator.ledger.decisions
        self._last: Any = None

    def watch(self, *, on: bool) -> None:
        """Whether they are wanted from now on."""
        self._decisions.keep_admitted(LEAST if on else 0)

    def take(self) -> list[Any]:
        """Those that were let in since this was called last: the fields of `Admitted`. At C's speed, O(told)."""
        found = self._decisions.admitted_after(self._last)
        if found:
            self._last = found[-1]
        return found

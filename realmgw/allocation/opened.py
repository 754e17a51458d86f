"""By which names, and answers, flows were opened that were let in lately: for whoever writes down what becomes of them.

Nothing is done for that when a packet comes: it is what the log of decisions has of them, as it is written there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation.admittedlog import Mark
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
        self._mark = Mark()

    def watch(self, *, on: bool) -> None:
        """Whether they are wanted from now on."""
        self._decisions.keep_admitted(LEAST if on else 0)

    def again(self) -> None:
        """Whoever takes them begins anew: he is given all that are there."""
        self._mark = Mark()

    def take(self) -> tuple[int, bytes]:
        """Those that were let in since this was called last, as `AdmittedLog.after` gives them."""
        admitted = self._decisions.admitted
        since, self._mark = self._mark, admitted.mark
        return admitted.after(since)

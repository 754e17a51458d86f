"""While something that flows need is broken: nothing is lent, and what becomes of claims counts against nobody."""

from __future__ import annotations

import math
from collections.abc import Callable

from realmgw.config.settings import Allocation, WhileDegraded


class Outage:
    """Whether flows get through.

    Args:
        settings: What is done while they do not.
        dismiss: Called when nothing is lent any more, for those who wait.

    Attributes:
        suspended: Nothing is lent at present.
        excused_until: That nobody comes for claims made before then (monotonic seconds) is nobody's fault.
    """

    def __init__(self, settings: Allocation, dismiss: Callable[[], object]) -> None:
        self._dismiss = dismiss
        self._lends = settings.while_degraded is WhileDegraded.LEND
        self._degraded = self._closed = False
        self.suspended = False
        self.excused_until = -math.inf

    def degrade(self, *, degraded: bool, now: float) -> None:
        """Something that flows need is broken from now on, or is well again."""
        self._degraded = degraded
        self.excused_until = math.inf if degraded else now
        self._suspend()

    def close(self, *, closed: bool) -> None:
        """Lend nothing from now on, whatever the settings say of an outage (a purge); or go by them again."""
        self._closed = closed
        self._suspend()

    def excuse(self, *, now: float) -> None:
        """Flows may not have got through before now, and do again."""
        if not self._degraded:
            self.excused_until = now

    def configure(self, settings: Allocation) -> None:
        """From now on, go by these settings."""
        self._lends = settings.while_degraded is WhileDegraded.LEND
        self._suspend()

    def _suspend(self) -> None:
        before, self.suspended = self.suspended, self._closed or (self._degraded and not self._lends)
        if self.suspended and not before:
            self._dismiss()

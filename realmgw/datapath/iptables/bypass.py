"""Whether first packets get to the packet queue: what accepts them before our step does keeps them from it.

The kernel counts what our rules present, what nobody has decided about, and numbers what comes into the queue. While
somebody listens there, what is presented is numbered or, in a full queue, dropped in it. So packets that were presented
and not decided about while the numbers stood still have gone past it, by a rule that is not ours.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from realmgw.datapath.netlink.counters import Count, QueueFigures

TOLD = (
    "packets for the pool go past the packet queue, so that no new flow comes in: a rule of somebody else takes them"
    " before ours does (iptables -t mangle -S PREROUTING)"
)
"""What is wrong then, and where to look."""
LASTING = 150
"""For so many looks it is taken to be so after the last packet that has shown it; every two seconds there is one."""


@attrs.define
class Bypass:
    """What was seen from one look to the next."""

    left: int = 0
    """For so many looks more, packets are taken to go past the queue; 0: they do not."""
    _presented: int = 0
    _undecided: int = 0
    _last: int | None = None

    def look(self, counts: Mapping[str, Count], queue: QueueFigures | None, *, is_new: bool) -> bool:
        """Take in what the kernel says now.

        Args:
            counts: The table's counters; read before the queue's figures, so that what came in between is no sign.
            queue: The queue's; None: nobody listens.
            is_new: Rules may have become others since the last look: packets from before that say nothing.

        Returns:
            Whether packets go past the queue.
        """
        presented, undecided = (counts[name].packets if name in counts else 0 for name in ("presented", "not_admitted"))
        last = None if queue is None else queue.last
        is_growing = presented > self._presented and undecided > self._undecided
        if is_new or last is None or last != self._last:
            self.left = 0
        else:
            self.left = LASTING if is_growing else max(0, self.left - 1)
        self._presented, self._undecided, self._last = presented, undecided, last
        return bool(self.left)

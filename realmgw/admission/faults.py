"""Faults of our own while packets wait: all counted, the first reported, further ones reported sparingly.

A fault in the packet path comes back with the next packet, tens of thousands of times a second. Neither may it fill the
log nor go unseen.
"""

from __future__ import annotations

from collections.abc import Callable

REPORT_INTERVAL = 60.0  # seconds
"""After a report, so long are further faults only counted."""

Report = Callable[[Exception, int], None]
"""Is handed a fault, and how many there were since the last report (1: only this one)."""


class Faults:
    """Counts faults and reports some of them.

    Args:
        report: Called for the first fault, and later at most every `REPORT_INTERVAL` seconds.

    Attributes:
        count: All faults.
        unreported: How many of them are known by this number only, since the report itself failed.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._report_after = float("-inf")
        self._since_report = 0
        self.count = 0
        self.unreported = 0

    def record(self, fault: Exception, *, now: float) -> None:
        """Count a fault, and report it when it is time. Never raises.

        Args:
            fault: What was raised.
            now: Monotonic seconds.
        """
        self.count += 1
        self._since_report += 1
        if now < self._report_after:
            return
        self._report_after = now + REPORT_INTERVAL
        faults, self._since_report = self._since_report, 0
        try:
            self._report(fault, faults)
        except Exception:  # noqa: BLE001 - the packets behind this one must go on; whoever reads the counters sees it
            self.unreported += faults

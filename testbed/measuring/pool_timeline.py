"""The course of the pool and of the reputations while something happens, as the control socket tells it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs

from realmgw.control.command.client import ask
from realmgw.control.commands import CommandError

INTERVAL = 0.25  # seconds
"""Between two looks."""
NAP = 0.01  # seconds
"""The pieces in which is waited, to notice pauses."""
GROUPS = 50
"""So many groups are looked at."""


@attrs.frozen
class Look:
    """One look at the gateway."""

    when: float
    """Seconds since the beginning."""
    free: int
    """Addresses that nobody has."""
    waiting: int
    """Addresses that wait for a first packet."""
    lingering: int
    """Addresses that are used, and may be had."""
    standing: Mapping[str, float]
    """Resolver group, by one of its addresses -> its reputation."""


class PoolTimeline:
    """Looks at a gateway again and again, as a context manager, in a thread of its own.

    Attributes:
        looks: What was seen, in order.
        pause: The longest time that this thread, which only sleeps and looks, was kept from running: so many seconds
            the gateway may have been kept, too, and its clients came late.
        status: The gateway's last own account, on exit.
    """

    def __init__(self, control: Path, begin: float) -> None:
        """Does not look yet.

        Args:
            control: The control socket.
            begin: The zero of the times, on the monotonic clock.
        """
        self._control = control
        self._begin = begin
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.looks: list[Look] = []
        self.pause = 0.0
        self.status: Mapping[str, Any] = {}

    def __enter__(self) -> PoolTimeline:
        """Begins to look."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Looks for the last time."""
        self._end.set()
        self._thread.join()
        if kind is None:
            self.status = ask(self._control, "status", timeout=20.0)

    def _watch(self) -> None:
        while not self._sleep():
            try:
                pool = ask(self._control, "pool", timeout=5.0)
                groups = ask(self._control, "reputation/list", {"limit": str(GROUPS)}, timeout=5.0)
            except CommandError:  # too busy for us: a gap in the course
                continue
            when = time.monotonic() - self._begin
            self.looks.append(Look(when, pool["free"], pool["waiting"], pool["lingering"], standings(groups)))

    def _sleep(self) -> bool:
        """Sleeps for `INTERVAL`, in short pieces; returns whether this is the end."""
        until = time.monotonic() + INTERVAL
        while (before := time.monotonic()) < until:
            if self._end.wait(NAP):
                return True
            self.pause = max(self.pause, time.monotonic() - before - NAP)
        return False


def standings(answer: Mapping[str, Any]) -> dict[str, float]:
    """The reputation of each group.

    Args:
        answer: Of the command `reputation/list`.
    """
    return {group["name"]: group["reputation"] for group in answer["reputations"]}

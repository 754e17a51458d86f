"""The file that records are written to. Edge: files, the clock."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs

from realmgw.errors import PlatformError
from realmgw.system.rotating import RotatingFile

DAY = 86_400.0  # seconds
TRY_AGAIN = 10.0  # seconds
"""How soon a file that could not be had is tried again."""
LOOK = 60.0  # seconds
"""How often it is looked what is too old."""
_LONGEST = 1 << 16  # octets


@attrs.frozen
class Kept:
    """What is kept; see `realmgw.config.flow_records.FlowRecords`."""

    path: Path
    """The file."""
    size: int
    """Octets."""
    files: int
    """Former ones."""
    days: float
    """How long."""


class Writing:
    """Writes lines while that can be done, and counts those that can not be written.

    A file is moved aside when it is long enough, and when another day begins (UTC), so that what is too old can go.

    Args:
        kept: What is kept.
        clock: The present, in seconds since 1970.
        monotonic: What is not put back, in seconds: when something is done next goes by it.

    Attributes:
        problem: What is wrong; empty: nothing.
        written: So many lines were.
        unwritten: So many could not be.
        cut: So often a line was taken away that somebody who was killed had begun.
    """

    def __init__(
        self,
        kept: Kept,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept = kept
        self._clock, self._monotonic = clock, monotonic
        self._file: RotatingFile | None = None
        self._again = self._look_at = -math.inf
        self._day = 0.0  # since 1970, of which the file has something
        self._missing = 0
        self.problem = ""
        self.written = self.unwritten = self.cut = 0

    def begin(self) -> None:
        """Have the file, if that can be: what is wrong is known at once."""
        self._attempt(b"")

    def write(self, lines: Iterable[bytes], lost: int = 0) -> None:
        """Write whole lines, all of them or none; before them, one that says how many there are not.

        Args:
            lines: They.
            lost: So many more there would be, if they had not been lost.
        """
        some = list(lines)
        self._missing += lost
        if not (some or self._missing):
            return
        told = [_missed(self._missing, self._clock())] if self._missing else []
        if self._attempt(b"".join((*told, *some))):
            self._missing = 0
            self.written += len(some)
        else:
            self._missing += len(some)
            self.unwritten += len(some)

    def look(self) -> None:
        """Delete what is too old, and begin a new file with a new day."""
        now = self._monotonic()
        if now < self._look_at or self._file is None:
            return
        self._look_at = now + LOOK
        try:
            self._age(self._file, self._clock())
        except (OSError, PlatformError) as error:
            self.problem = f"{self._kept.path}: {error}"

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _attempt(self, text: bytes) -> bool:
        """Returns whether it is written."""
        try:
            file = self._usable()
            if text:
                self._turn_over(file)
            file.write(text)
        except (OSError, PlatformError) as error:
            self.problem = str(error) if isinstance(error, PlatformError) else f"{self._kept.path}: {error.strerror}"
            self._let_go()
            return False
        self.problem = file.stuck
        return True

    def _turn_over(self, file: RotatingFile) -> None:
        """A file has nothing of two days."""
        day = self._clock() // DAY
        if day != self._day:
            if self._kept.path.exists() and self._kept.path.stat().st_size:
                file.move_aside()
            if not file.stuck:
                self._day = day

    def _age(self, file: RotatingFile, now: float) -> None:
        self._turn_over(file)
        for each in list(file.former()):
            if each.stat().st_mtime < now - self._kept.days * DAY:
                each.unlink()

    def _usable(self) -> RotatingFile:
        now = self._monotonic()
        if self._file is None:
            if now < self._again:
                raise PlatformError(self.problem)
            self._again = now + TRY_AGAIN
            self._kept.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            bounds: Any = self._kept
            self._file = RotatingFile(self._kept.path, bounds, "flow records:", "write another flow_records.file")
            self.cut += bool(self._file.end_line())
            self._day = _began(self._kept.path) // DAY
        return self._file

    def _let_go(self) -> None:
        self._again = self._monotonic() + TRY_AGAIN
        self.close()


def _began(path: Path) -> float:
    """When the first line of a file was written, in seconds since 1970; of one without, when it was written to last."""
    try:
        with path.open("rb") as file:
            return float(json.loads(file.readline(_LONGEST))["at"])
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return path.stat().st_mtime


def _missed(flows: int, now: float) -> bytes:
    """That so many flows have ended of which nothing is written."""
    return json.dumps({"event": "lost", "at": round(now, 3), "flows": flows}).encode() + b"\n"

"""A file that is only written at its end, and moved aside when it is long. Edge: files, the clock."""

from __future__ import annotations

import itertools
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from realmgw.errors import PlatformError

MODE = 0o640
"""Nobody but its owner and group can read it."""
TRY_AGAIN = 60.0  # seconds
"""How soon what could not be moved aside is tried again."""
_PIECE = 1 << 16  # octets
_NUMBER = re.compile("[1-9][0-9]{0,3}")
"""What a former file's name ends with: no date."""


class Bounds(Protocol):
    """How much there may be of it."""

    @property
    def size(self) -> int:
        """A file that would become longer is moved aside, in octets; 0: never."""

    @property
    def files(self) -> int:
        """So many of those that were moved aside are kept."""


class RotatingFile:
    """A file that is begun anew when somebody has moved or removed it, and moved aside by ourselves when it is long.

    Args:
        path: It; the folder must be there.
        bounds: How long it may become, and how many former ones are kept.
        what: What it is, for messages: `the log`.
        instead: What to do where it can not be had.

    Attributes:
        stuck: Why it could not be moved aside, and goes on growing; empty: it could.

    Raises:
        PlatformError: It can not be opened, or is no file; one line says what to do.
    """

    def __init__(self, path: Path, bounds: Bounds, what: str, instead: str) -> None:
        self.path = path
        self.bounds = bounds
        self._what, self._instead = f"{what} {path}", instead
        self._file, self._again_at = -1, 0.0
        self.stuck = ""
        try:
            self._open()
        except OSError as error:
            raise PlatformError(f"{self._what} can not be opened: {error.strerror}: {instead}") from error
        with suppress(OSError):
            self._trim()

    def write(self, text: bytes) -> None:
        """Write whole lines; where not all of them can be, none is there.

        Raises:
            OSError: They could not be written.
            PlatformError: The path leads to no file any more.
        """
        self._look(len(text))
        before = os.fstat(self._file).st_size
        try:
            while text:
                text = text[os.write(self._file, text) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, before)
            raise

    def end_line(self) -> int:
        """Take away what somebody who was killed has begun to write: a line without an end.

        Returns:
            How many octets that were.
        """
        size = at = os.fstat(self._file).st_size
        with self.path.open("rb") as file:
            while at:
                begin = max(0, at - _PIECE)
                file.seek(begin)
                end = file.read(at - begin).rfind(b"\n")
                at = begin
                if end >= 0:
                    at += end + 1
                    break
        if at != size:
            os.ftruncate(self._file, at)
        return size - at

    def move_aside(self) -> None:
        """Begin a new file. Former ones are called .1, .2 and so on, the youngest first; the oldest makes room.

        Where that can not be done, `stuck` says why, and nothing is lost: who may write in the file may still not be
        allowed to give it another name.

        Raises:
            PlatformError: The path leads to no file any more.
        """
        now = time.monotonic()
        if self.stuck and now < self._again_at:
            return
        try:
            self._move_aside()
        except OSError as error:
            self.stuck = f"{self._what} can not be moved aside, and grows: {error.strerror}: {self._instead}"
            self._again_at = now + TRY_AGAIN
        else:
            self.stuck = ""

    def _move_aside(self) -> None:
        places = [self.path, *self._places()]
        for younger, older in reversed(list(itertools.pairwise(places))):
            if younger.exists():
                younger.replace(older)
        if len(places) == 1:
            self.path.unlink()
        self._open()
        self._trim()

    def former(self) -> Iterator[Path]:
        """Those that were moved aside and are there still, also such as there would be too many of by now."""
        return (path for _, path in self._numbered())

    def _trim(self) -> None:
        """Delete former ones of when more were kept; where we move none aside, they are somebody else's."""
        for number, path in list(self._numbered()) if self.bounds.size else ():
            if number > self.bounds.files:
                path.unlink()

    def _numbered(self) -> Iterator[tuple[int, Path]]:
        begin = f"{self.path.name}."
        for each in self.path.parent.iterdir():
            number = each.name.removeprefix(begin)
            if each.name.startswith(begin) and _NUMBER.fullmatch(number):
                yield int(number), each

    def close(self) -> None:
        """Let go of it."""
        os.close(self._file)
        self._file = -1

    def _places(self) -> list[Path]:
        return [self.path.with_name(f"{self.path.name}.{number}") for number in range(1, self.bounds.files + 1)]

    def _look(self, coming: int) -> None:
        """Open the path again if it leads elsewhere by now, and begin a new file if this one would be too long."""
        try:
            there: os.stat_result | None = self.path.stat()
        except OSError:
            there = None
        ours = os.fstat(self._file)
        if there is None or (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            self._open()
        elif self.bounds.size and there.st_size and there.st_size + coming > self.bounds.size:
            self.move_aside()

    def _open(self) -> None:
        """What is no plain file (a FIFO, a device) is not waited for; the former file stays open if this fails."""
        opened = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, MODE)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise PlatformError(f"{self._what} is no file: {self._instead}")
        if self._file >= 0:
            os.close(self._file)
        self._file = opened

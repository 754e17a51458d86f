"""A file that grows, and is rotated: by another file in its place, or by being cut off. It blocks. Edge: files."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 18  # octets
"""So much is read at once."""


class Follower:
    """What is written to a file from now on; of a file that comes later, all of it.

    It is read in one thread, and what was read is taken in another: nothing is lost when whoever has it read has
    stopped waiting for that.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = -1
        self._is_first = True
        self._read: deque[bytes | None] = deque()

    def read(self) -> bool:
        """Read some more; returns whether there is still more.

        Raises:
            OSError: That is not possible; the text says why.
        """
        if self._handle < 0 and not self._open():
            return False
        data = os.read(self._handle, CHUNK)
        if data:
            self._read.append(data)
            return True
        return self._is_rotated()

    def take(self) -> Iterator[bytes | None]:
        """What was read and not taken yet, in order; None: what comes next is of another file."""
        while self._read:
            yield self._read.popleft()

    def close(self) -> None:
        """Read no more."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def _open(self) -> bool:
        """Begin with the file that is there, if there is one: what was in it before it could be read first is old."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._is_first = False
            return False
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(f"{self._path} is no regular file")
        self._handle = handle
        if self._is_first:
            os.lseek(handle, 0, os.SEEK_END)
        self._is_first = False
        return True

    def _is_rotated(self) -> bool:
        """At the end: whether there is another file, or this one was cut off; then it goes on there."""
        ours = os.fstat(self._handle)
        if ours.st_size < os.lseek(self._handle, 0, os.SEEK_CUR):
            os.lseek(self._handle, 0, os.SEEK_SET)
            self._read.append(None)
            return True
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False  # between two files
        if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) or not there.st_size:
            return False  # whoever writes may go on with the former one until he has begun with the next
        last = os.read(self._handle, CHUNK)
        if last:
            self._read.append(last)
            return True
        self.close()
        self._read.append(None)
        return self._open()

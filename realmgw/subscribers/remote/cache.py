"""The last good state of a repository on the disk, so that a gateway can start while the repository can not be reached.

The file is a sequence of blocks: a line `realmgw-cache 1 LENGTH SHA256`, then LENGTH octets, which are documents for
exchange as they came. The first block is everything, each further one what changed. A block that was not written to its
end, or was changed by somebody else, does not count, and nothing after it.

Edge: a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from io import SEEK_END
from pathlib import Path
from typing import IO

from realmgw.errors import MalformedError

WORDS = 4
"""Of a block's head."""
FORMAT = 1
"""Of the file."""
MAX_CHANGES = 2**20  # octets
"""How much may be added to a short first block; a longer one may get as much as it has."""

_MAX_HEAD = 200  # octets
_PIECE = 2**16  # octets


class Cache:
    """The file. Not for several threads at once.

    Args:
        path: Where it is.
        sync: Makes sure that what was written to a file descriptor is on the disk (`os.fsync`).
    """

    def __init__(self, path: Path, sync: Callable[[int], None]) -> None:
        self.path = path
        self._sync = sync
        self._first = 0  # length of the first block with its head
        self._end = 0  # of the last good block

    @property
    def is_full(self) -> bool:
        """Whether so much was added that everything should be written anew."""
        return self._end - self._first > max(self._first, MAX_CHANGES)

    def blocks(self) -> Iterator[Iterator[bytes]]:
        """The lines of each block, to be read before the next block is asked for. Nothing if there is no file.

        Raises:
            MalformedError: A block is damaged; those before it are good, and the next `append` writes over it.
            OSError: The file can not be read.
        """
        self._first = self._end = 0
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            while head := file.readline(_MAX_HEAD):
                begin = file.tell()
                end = begin + self._check(file, head)
                file.seek(begin)
                yield _lines(file, end)
                file.seek(end)
                self._end = end
                self._first = self._first or end

    def _check(self, file: IO[bytes], head: bytes) -> int:
        """The length of the block whose head was read."""
        words = head.split()
        if len(words) != WORDS or words[:2] != [b"realmgw-cache", b"%d" % FORMAT] or not words[2].isdigit():
            raise MalformedError(
                f"{self.path}: there is no block of format {FORMAT} at octet {file.tell() - len(head)}"
            )
        length = left = int(words[2])
        digest = hashlib.sha256()
        while left > 0 and (piece := file.read(min(_PIECE, left))):
            digest.update(piece)
            left -= len(piece)
        if left or head != _head(length, digest.hexdigest()):
            raise MalformedError(f"{self.path}: the block before octet {file.tell()} is damaged")
        return length

    def replace(self, content: IO[bytes]) -> None:
        """Makes a new file of one block, and puts it in the place of the old one in one step.

        Raises:
            OSError: That is not possible; the old file is as it was, and nothing is left of the new one.
        """
        new = self.path.with_name(self.path.name + ".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        try:
            with new.open("r+b") as file:
                self._write(file, content)
                length = file.tell()
            new.replace(self.path)
        finally:
            new.unlink(missing_ok=True)
        self._first = self._end = length

    def append(self, content: IO[bytes]) -> None:
        """Adds a block after the last good one.

        Raises:
            OSError: That is not possible; what was good is so still, and ends the file where that can be shortened.
        """
        try:
            with self._cut() as file:
                file.seek(self._end)
                self._write(file, content)
                end = file.tell()
        except OSError:
            with contextlib.suppress(OSError):
                self._cut().close()
            raise
        self._end = end

    def _cut(self) -> IO[bytes]:
        """The file, which ends with the last good block from now on."""
        file = self.path.open("r+b")
        file.truncate(self._end)
        return file

    def _write(self, file: IO[bytes], content: IO[bytes]) -> None:
        length = content.seek(0, SEEK_END)
        content.seek(0)
        digest = hashlib.sha256()
        while piece := content.read(_PIECE):
            digest.update(piece)
        content.seek(0)
        file.write(_head(length, digest.hexdigest()))
        shutil.copyfileobj(content, file, _PIECE)
        file.flush()
        self._sync(file.fileno())


def _head(length: int, digest: str) -> bytes:
    return f"realmgw-cache {FORMAT} {length} {digest}\n".encode()


def _lines(file: IO[bytes], end: int) -> Iterator[bytes]:
    while (left := end - file.tell()) > 0:
        yield file.readline(left)

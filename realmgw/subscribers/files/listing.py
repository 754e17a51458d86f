"""What this room reads of the file system: the files of folders, when they were written, and what is in them.

All of it may block, for as long as a file server does not answer, so a running gateway has it done in a thread.

Edge: folders and files.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

import attrs

from realmgw.config.layers import counts, is_mask
from realmgw.system import disk

MAX_FILE = 64 * 2**20  # octets
"""The longest subscriber file."""

Version = tuple[int, int, int, int, int]
"""A file's device, inode, size, and times of change: what is written has another one, nearly always."""
MASK: Version = (0, 0, 0, 0, 0)
"""That of a link to /dev/null, which only takes away the file of its name in earlier folders."""


@attrs.frozen(eq=False)
class Content:
    """What is in a file."""

    text: bytes
    """All of it."""
    digest: bytes
    """Of that."""


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """Without the garbage collector, which would walk through the growing directory again and again.

    That is half of the time for a hundred thousand hosts. Nothing here refers to itself in a circle.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def listed(folder: PurePath) -> dict[str, Version | None]:
    """The files of a folder that may count, by their names; None where it can not be said when one was written.

    Raises:
        OSError: The folder can not be read.
    """
    return {path.name: _version(path) for path in Path(folder).iterdir() if counts(path)}


def _version(path: PurePath) -> Version | None:
    try:
        status = Path(path).stat()
        if stat.S_ISCHR(status.st_mode) and is_mask(Path(path)):
            return MASK
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def chosen(
    folders: Iterable[PurePath], files: dict[PurePath, dict[str, Version | None]]
) -> dict[PurePath, Version | None]:
    """The files that count, in the order of their names: one of the same name in a later folder replaces the earlier.

    A link to /dev/null is none, and so is what it stands in the place of.

    Args:
        folders: In their order.
        files: Those of each folder that could be read.
    """
    by_name = {name: folder for folder in folders for name in files.get(folder, ())}
    found = {by_name[name] / name: files[by_name[name]][name] for name in sorted(by_name)}
    return {path: version for path, version in found.items() if version != MASK}


def content(path: PurePath) -> Content:
    """Reads a file.

    Raises:
        OSError: It can not be read, or is no file, or has more than `MAX_FILE` octets.
    """
    text = disk.read(path, MAX_FILE)
    return Content(text, digest(text))


def digest(text: bytes) -> bytes:
    """Of a text: equal for equal ones."""
    return hashlib.blake2b(text, digest_size=16).digest()

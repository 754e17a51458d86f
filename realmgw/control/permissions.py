"""What this process may do: users, groups, folders to write in. Edge: files, users and groups."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePath


def is_root() -> bool:
    """Whether this process may do everything that a user's permissions are asked for."""
    return os.geteuid() == 0


def unwritable(folder: PurePath) -> str:
    """Why files can not be made in a folder, which is made if it is missing; empty if they can.

    It is tried, and nothing is left: what the kernel shows as a folder may be none that takes files, even of root.
    """
    folder = Path(folder)
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} can not be written"
    try:
        _make_for_a_moment(there, is_folder=not folder.exists())
    except OSError as error:
        return f"no files can be made in {there}: {error.strerror}"
    return ""


def _make_for_a_moment(within: Path, *, is_folder: bool) -> None:
    """A file, or a folder with a file in it."""
    if not is_folder:
        with tempfile.TemporaryFile(dir=within):
            return
    made = tempfile.mkdtemp(prefix=".realmgw-", dir=within)
    try:
        with tempfile.TemporaryFile(dir=made):
            return
    finally:
        Path(made).rmdir()

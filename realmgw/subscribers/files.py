"""From drop-in folders to a directory: the only part of this room that touches the file system."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from pathlib import Path

from realmgw.config.document import Problems
from realmgw.config.files import read
from realmgw.config.settings import Zone
from realmgw.subscribers.collection import Collection, Realm, directory
from realmgw.subscribers.model import Directory
from realmgw.subscribers.schema import Entry, entries

MAX_FILE = 64 * 2**20  # octets
"""The longest subscriber file."""


def load(
    folders: Iterable[Path], realm: Realm | Iterable[Zone], previous: Directory | None = None
) -> tuple[Directory, tuple[str, ...]]:
    """Reads the subscriber files: every `*.yaml` of the folders, in the order of the files' names.

    In a later folder, a file of the same name replaces the earlier one. A file with a problem adds no subscribers; all
    others do.

    Args:
        folders: Where the files are.
        realm: What subscribers may say; or the gateway's zones alone.
        previous: The directory of the load before: hosts keep their indices, what did not change stays the same object.

    Returns:
        The directory, and every problem: `file:line:column: what, and what to write instead`.

    Raises:
        RealmGatewayError: There are more hosts than indices.
    """
    with collector_at_rest():
        found, problems = gather(folders, realm)
        return directory(found, previous or Directory({}, {})), problems


def gather(folders: Iterable[Path], realm: Realm | Iterable[Zone]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """What `load` makes the directory of: the entries, none of which contradicts another, and every problem."""
    collection = Collection(realm)
    lines: list[str] = []
    with collector_at_rest():
        for path in files(folders, lines):
            problems = Problems(str(path))
            root = read(path, MAX_FILE, problems)
            collection.add([] if root is None else entries(root, problems), problems)
            lines += problems.lines()
    return collection.entries, tuple(lines)


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


def files(folders: Iterable[Path], lines: list[str], unreadable: list[Path] | None = None) -> list[Path]:
    """The files that count, in order.

    Args:
        folders: Where they are.
        lines: Gets why a folder can not be read.
        unreadable: Gets such folders.
    """
    by_name: dict[str, Path] = {}
    for folder in folders:
        try:
            found = [path for path in folder.iterdir() if path.suffix == ".yaml" and not path.name.startswith(".")]
        except OSError as error:
            lines.append(f"{folder}:1:1: the folder can not be read: {error.strerror}")
            if unreadable is not None:
                unreadable.append(folder)
            continue
        by_name.update((path.name, path) for path in found)
    return [by_name[name] for name in sorted(by_name)]

"""From files to settings: the only part of this room that touches the file system."""

from __future__ import annotations

from pathlib import Path

import attrs

from realmgw.config import consistency
from realmgw.config.document import Node, Problems, parse
from realmgw.config.schema import GATEWAY
from realmgw.config.settings import Settings
from realmgw.errors import ConfigurationError

MAX_MAIN_FILE = 2**20  # octets
"""The longest main file."""


def load(path: Path) -> Settings:
    """Reads the main file. Subscriber files are read by `realmgw.subscribers.load`.

    Args:
        path: The file; relative paths in it start at its folder.

    Raises:
        ConfigurationError: It cannot be used; every problem is in it.
    """
    problems = Problems(str(path))
    root = read(path, MAX_MAIN_FILE, problems)
    settings = None if root is None else GATEWAY(root, problems)
    consistency.check(problems)
    if root is None and not problems.found:
        problems.add(None, f"the file is empty: write {', '.join(key for key in GATEWAY.keys)}")
    if settings is None or problems.found:
        raise ConfigurationError(problems.lines())
    return attrs.evolve(settings, subscribers=tuple(path.parent / folder for folder in settings.subscribers))


def read(path: Path, limit: int, problems: Problems) -> Node | None:
    """Reads and parses a YAML file.

    Args:
        path: The file.
        limit: How many octets it may have; no more of it is read.
        problems: Gets what is wrong, the operating system's refusals included.

    Returns:
        The document; None when it is empty, or when it can not be used and a problem says so.
    """
    try:
        if not path.is_file():
            problems.add(None, "there is no such file" if not path.exists() else "this is no file")
            return None
        with path.open("rb") as file:
            text = file.read(limit + 1)
    except OSError as error:
        problems.add(None, f"can not be read: {error.strerror}")
        return None
    if len(text) > limit:
        problems.add(None, f"has more than {limit} octets: split it")
        return None
    return parse(text, problems)

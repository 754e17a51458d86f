"""From the node's main file to its settings. Edge: files."""

from __future__ import annotations

from pathlib import Path

from realmgw.config import files
from realmgw.config.document import Problems
from realmgw.config.labels import Label
from realmgw.config.steps import finish
from realmgw.config.validators import reading
from realmgw.errors import ConfigurationError
from realmgw.synnode.settings import NODE, NodeSettings

MAX_FILE = 2**20  # octets
"""The longest main file."""
REQUIRED = tuple(word for word, each in NODE.keys.items() if each.required)
"""The keys that must be there."""


def load(path: Path) -> NodeSettings:
    """Reads the main file.

    Args:
        path: The file; relative paths in it start at its folder.

    Raises:
        ConfigurationError: It can not be used; every problem is in it.
    """
    problems = Problems(str(path))
    root = files.read(path, MAX_FILE, problems)
    if root is None and not problems.found:
        problems.add(None, f"the file is empty: write {', '.join(REQUIRED)}")
    settings = None if root is None else finish(reading(NODE, root, problems))
    for value, node in problems.remembered.get(Label.METRICS, ()):
        if settings is not None and value in settings.listen:
            problems.add(node, "gateways are served there: write another port")
    if settings is None or problems.found:
        raise ConfigurationError(problems.lines())
    return files.located(settings, path.parent)

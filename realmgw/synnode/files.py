"""From the node's main file to its settings. Edge: files."""

from __future__ import annotations

from pathlib import Path, PurePath

from realmgw.config import files
from realmgw.config.addresses import has_comers
from realmgw.config.consistency import unused
from realmgw.config.consistency.found import items
from realmgw.config.document import Mapping, Node, Problems
from realmgw.config.labels import Label
from realmgw.config.steps import finish
from realmgw.config.validators import reading
from realmgw.errors import ConfigurationError
from realmgw.synnode.settings import NODE, NodeSettings
from realmgw.system.endpoints import Endpoint
from realmgw.system.port import clashing

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
    if settings is not None and isinstance(root, Mapping):
        _note_taken(settings, root, path.parent, problems)
        _note_unused(settings, root, problems)
    if settings is None or problems.found:
        raise ConfigurationError(problems.lines())
    return files.located(settings, path.parent)


def _note_taken(settings: NodeSettings, root: Mapping, folder: Path, problems: Problems) -> None:
    """Notes what can not be listened at, since something of the node's listens there."""
    written = items(root, "listen")
    places = [*zip(settings.listen, written, strict=False), *problems.remembered.get(Label.METRICS, ())]
    taken = set[Endpoint]() if written else set(settings.listen)
    sockets: list[tuple[PurePath, Node]] = [(folder / settings.control.socket, root)]
    for place, node in places:
        if isinstance(place, PurePath):
            sockets.append((place, node))
        elif isinstance(place, Endpoint) and place in taken:
            problems.add(node, f"the node listens at {place.address} port {place.port} already: write another port")
        elif isinstance(place, Endpoint):
            taken.add(place)
    for index in clashing(path for path, _ in sockets):
        path, node = sockets[index]
        problems.add(node, f"{path} is another one of the node's: write another path")


def _note_unused(settings: NodeSettings, root: Mapping, problems: Problems) -> None:
    """Notes where nobody may come who is meant to, and what is said of metrics that nobody is told."""
    for listen, node in zip(settings.listen, items(root, "listen"), strict=False):
        if not has_comers(listen.address, settings.clients):
            problems.add(node, f"no gateway may connect to {listen.address}: write those who may in 'clients'")
    for part in unused.OF_METRICS:
        for found in part(problems):
            if found is not None:
                problems.add(*found)

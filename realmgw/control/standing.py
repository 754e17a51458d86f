"""Where hosts, and rules of theirs, are written: looked for in their files when somebody asks.

Edge: subscriber files.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import attrs

from realmgw.config.layers import SUFFIX
from realmgw.config.steps import REFUSALS, Blocking, Steps
from realmgw.control.commands import Value
from realmgw.datapath.pipeline.parts import where
from realmgw.subscribers.files.listing import MAX_FILE
from realmgw.subscribers.files.standing import Sought, finding
from realmgw.subscribers.registry import Registry
from realmgw.system import disk

MOST_FILES = 16
"""So many files are read for one answer; of hosts in others, the file is told, and no line."""


@attrs.frozen
class Unplaced:
    """A value that says which file something stands in, and not yet where."""

    value: dict[str, Value]
    """Its `origin` is to be told."""
    sought: Sought
    """What stands there."""


def source_of(registry: Registry, name: str) -> str | None:
    """The file, or the repository, that a host comes from, in short; None: there is no such host."""
    source = registry.source_of(name)
    return None if source is None else where(source)


def placing(registry: Registry, unplaced: list[Unplaced]) -> Steps[None]:
    """Tells of each in which line it stands, as far as that is found."""
    texts, lines = dict[str, bytes](), dict[Sought, int | None]()
    for each in unplaced:
        source = registry.source_of(each.sought.name)
        if source is None or not source.endswith(SUFFIX) or (source not in texts and len(texts) >= MOST_FILES):
            continue
        if source not in texts:
            texts[source] = yield from text_of(Path(source), MAX_FILE)
        if each.sought not in lines:
            lines[each.sought] = yield from finding(texts[source], each.sought)
        if lines[each.sought] is not None:
            each.value["origin"] = f"{where(source)}:{lines[each.sought]}"


def text_of(path: Path, longest: int) -> Steps[bytes]:
    """A file of at most so many octets; nothing, if it can not be read."""
    try:
        found: bytes = yield Blocking(str(path.parent), partial(disk.read, path, longest))
    except REFUSALS:
        return b""
    return found

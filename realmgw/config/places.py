"""Where the keys of a configuration are written, for whoever tells which line has refused somebody. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from realmgw.config.document import Mapping, Node, Scalar, Sequence
from realmgw.config.steps import Steps, portions

LISTED = frozenset(("policy.groups", "alerts.rules", "dns.forward.lists"))
"""Keys of lists of which the place of each value is kept as well, as `policy.groups.0`."""
NESTED = frozenset(("dns.forward",))
"""Keys of which those below them are kept as well."""
_PASSED_OVER = frozenset(("zones",))
"""Sections that refuse nobody, and may be long."""


def placing(root: Mapping, source: str) -> Steps[dict[str, str]]:
    """The file and the line of each key of a section that is written, by section and key: `allocation.linger`.

    Args:
        root: The whole document, drop-ins laid over it.
        source: The file that the nodes without one are of.
    """
    found = dict[str, str]()
    sections = ((word, each) for word, (_, each) in root.pairs.items() if word not in _PASSED_OVER)
    keys = (each for word, section in sections if isinstance(section, Mapping) for each in _keys(word, section))
    for some in portions(keys):
        for key, node in some:
            found[key] = f"{node.source or source}:{node.line}"
        yield None
    return found


def _keys(word: str, section: Mapping) -> Iterator[tuple[str, Scalar | Node]]:
    for inner, (key, value) in section.pairs.items():
        place = f"{word}.{inner}"
        yield place, key
        if place in NESTED and isinstance(value, Mapping):
            yield from _keys(place, value)
        elif place in LISTED and isinstance(value, Sequence):
            yield from ((f"{place}.{at}", each) for at, each in enumerate(value.items))

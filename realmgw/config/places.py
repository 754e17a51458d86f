"""Where the keys of a configuration are written, for whoever tells which line refuses somebody, or is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping

from realmgw.config.document import Mapping, Node, Scalar, Sequence
from realmgw.config.steps import Steps, portions

LISTED = frozenset(("policy.groups", "alerts.rules", "dns.forward.lists"))
"""Keys of lists of which the place of each value is kept as well, as `policy.groups.0`."""
_PASSED_OVER = frozenset(("zones", "policy.pipeline.groups"))
"""What refuses nobody by itself, and may be long."""
_PLACED = re.compile(r"\S*:[0-9]+:[0-9]+: ")
_KEY = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*")


def placing(root: Mapping, source: str) -> Steps[dict[str, str]]:
    """The file, line and column of each key that is written, by the keys that lead to it: `allocation.linger`.

    Args:
        root: The whole document, drop-ins laid over it.
        source: The file that the nodes without one are of.
    """
    found = dict[str, str]()
    for some in portions(_keys("", root)):
        for key, node in some:
            found[key] = f"{node.source or source}:{node.line}:{node.column}"
        yield None
    return found


def _keys(before: str, section: Mapping) -> Iterator[tuple[str, Scalar | Node]]:
    for inner, (key, value) in section.pairs.items():
        place = f"{before}{inner}"
        yield place, key
        if isinstance(value, Mapping) and place not in _PASSED_OVER:
            yield from _keys(f"{place}.", value)
        elif place in LISTED and isinstance(value, Sequence):
            yield from ((f"{place}.{at}", each) for at, each in enumerate(value.items))


def nearest(places: AbstractMapping[str, str], key: str) -> str | None:
    """Where a key is written, or what stands around it; None: nothing of all that is.

    Args:
        places: What `placing` has found.
        key: With the keys that lead to it.
    """
    while key and key not in places:
        key = key.rpartition(".")[0]
    return places.get(key)


def node(places: AbstractMapping[str, str], key: str) -> Scalar | None:
    """The same as a node, for a problem to be noted there."""
    found = nearest(places, key)
    if found is None:
        return None
    source, line, column = found.rsplit(":", 2)
    return Scalar(int(line), int(column), key, True, source)


def told_at(line: str, places: AbstractMapping[str, str], source: str) -> str:
    """A problem with the place where it is put right: its own, or that of the key that it begins with.

    Args:
        line: The problem.
        places: What `placing` has found.
        source: The main file: what is of no key is told at its begin.
    """
    if _PLACED.match(line):
        return line
    key = _KEY.match(line)
    return f"{(key and nearest(places, key[0])) or f'{source}:1:1'}: {line}"

"""Where in a subscriber file a host stands, or a rule of it: looked for when somebody asks, since nobody keeps it.

What stands in the file by now counts: where a rule is not there as it is in force, the line is that of its host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from realmgw.config.document import Mapping, Node, Problems, Sequence, parsing
from realmgw.config.rules import read_rule
from realmgw.config.steps import Steps
from realmgw.subscribers.files.incremental import MAX_PIECE, splitting
from realmgw.subscribers.firewall import Rule
from realmgw.subscribers.schema import reading

_MATCHES = 64
"""So many pieces in which a name occurs are read at most: a host may stand in many others' comments."""


@attrs.frozen
class Sought:
    """What is looked for."""

    name: str
    """The host."""
    rule: Rule | None = None
    """Its rule; None: none."""
    key: str = ""
    """Its key in the plain style; empty: none."""


def finding(text: bytes, sought: Sought) -> Steps[int | None]:
    """The line, counted from 1; None: there is no such host.

    Args:
        text: The file.
        sought: What is looked for.
    """
    wanted, left = sought.name.rstrip(".").encode(), _MATCHES
    for found in (yield from splitting(text)):
        if found is None:
            yield None
            continue
        lines, piece = found
        if wanted not in piece.lower() or len(piece) > MAX_PIECE:
            continue
        problems, left = Problems(""), left - 1
        root = yield from parsing(piece, problems)
        for word, (key, value) in root.pairs.items() if isinstance(root, Mapping) else ():
            alone = Mapping(key.line, key.column, {word: (key, value)})
            if any(each.name == sought.name for each in (yield from reading(alone, problems))):
                return lines + next(_within(value, sought), key.line)
        if not left:
            return None
        yield None
    return None


def _within(host: Node, sought: Sought) -> Iterator[int]:
    """The lines of what is looked for within a host; at most one of them is needed."""
    if sought.key:
        yield from (key.line for word, key, _ in _pairs(host) if word == sought.key)
    if sought.rule is None:
        return
    for firewall in _values(host, lambda word: word == "firewall"):
        for listed in _values(firewall, lambda word: word.removeprefix("firewall_") in ("admin", "user")):
            for each in listed.items if isinstance(listed, Sequence) else ():
                if read_rule(each, Problems("")) == sought.rule:
                    yield each.line


def _pairs(node: Node) -> Iterator[tuple[str, Node, Node]]:
    for word, (key, value) in node.pairs.items() if isinstance(node, Mapping) else ():
        yield word.lower(), key, value


def _values(node: Node, is_meant: Callable[[str], bool]) -> Iterator[Node]:
    yield from (value for word, _, value in _pairs(node) if is_meant(word))

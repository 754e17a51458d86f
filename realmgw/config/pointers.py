"""JSON values as the nodes of a document, so that the schema of the files also reads what comes by a repository.

What a node's line and column are in a file, its pointer (RFC 6901) is in a JSON value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from realmgw.config.document import MAX_DEPTH, Mapping, Node, Scalar, Sequence
from realmgw.errors import MalformedError

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def decode(text: bytes | str) -> object:
    """The value of a JSON text (RFC 8259), strictly: no key twice, no numbers that are none.

    Raises:
        MalformedError: It is no JSON; the message says where.
    """
    try:
        decoded: object = json.loads(
            text, object_pairs_hook=_members, parse_constant=_refuse_constant, parse_float=_finite
        )
        if (b"\\u" if isinstance(text, bytes) else "\\u") in text:  # type: ignore[operator]  # of the same kind
            encode(decoded).encode()  # escapes may stand for halves of characters (RFC 8259 section 8.2)
    except RecursionError:
        raise MalformedError("nested too deep") from None
    except ValueError as error:  # of UTF-8 too, in both directions
        raise MalformedError(f"this is no JSON: {error}") from None
    return decoded


def encode(value: object) -> str:
    """The JSON text of a value, always the same for equal values: sorted keys, no spaces, one line."""
    return _ENCODER.encode(value)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # None
        raise ValueError(f"the member {twice!r} stands twice")
    return members


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value


def node(value: object) -> Node:
    """A JSON value as a node, with the pre-order number of each node, from 1, as its line.

    `placed` tells what the numbers mean. A member's name has the number of its value.

    Raises:
        MalformedError: It is nested deeper than any document may be.
    """
    return _Numbered().node(value, MAX_DEPTH)


class _Numbered:
    """Makes nodes and counts them. A hundred thousand documents come through here: hence one loop for each shape."""

    def __init__(self) -> None:
        self._count = 0

    def node(self, value: object, depth: int) -> Node:
        self._count = number = self._count + 1
        if isinstance(value, str):
            return Scalar(number, 1, value, False)
        if not isinstance(value, (dict, list)):
            return Scalar(number, 1, _text(value), True)
        if depth == 0:
            raise MalformedError(f"nested more than {MAX_DEPTH} deep: no document needs that")
        node, depth = self.node, depth - 1
        if isinstance(value, list):
            return Sequence(number, 1, [node(item, depth) for item in value])
        return Mapping(
            number,
            1,
            {name: (Scalar(self._count + 1, 1, name, False), node(member, depth)) for name, member in value.items()},
        )


def _text(value: object) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    return "~" if value is None else repr(value)


def placed(value: object, numbers: Iterable[int]) -> dict[int, str]:
    """The pointers of nodes of `node(value)`, found by going through the value once.

    Args:
        value: The JSON value.
        numbers: The nodes' lines.

    Returns:
        A JSON pointer for each number; empty for the whole value.

    Raises:
        KeyError: No node has such a number.
    """
    wanted = set(numbers)
    last = max(wanted, default=0)
    walk = enumerate(islice(_walk(value, ()), last), 1)
    found = {number: _joined(tokens) for number, (tokens, _) in walk if number in wanted}
    if len(found) < len(wanted):
        raise KeyError(*(wanted - found.keys()))
    return found


def find(value: object, wanted: Callable[[str], bool]) -> str | None:
    """The pointer of the first text, or of the first member by its name, that is wanted; None if there is none."""
    for tokens, found in _walk(value, ()):
        if (isinstance(found, str) and wanted(found)) or (tokens and wanted(tokens[-1])):
            return _joined(tokens)
    return None


def _joined(tokens: tuple[str, ...]) -> str:
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def _walk(value: object, tokens: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every node with its path, in the order in which they are numbered."""
    yield tokens, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for token, member in members:
        yield from _walk(member, (*tokens, str(token)))


def value(document: Node) -> object:
    """A document as a JSON value: the reverse of `node`.

    Args:
        document: What was written. Words without quotes become what JSON has for them: a number, true, false or null.

    Returns:
        A value that the schema reads in the same way.
    """
    if isinstance(document, Sequence):
        return [value(item) for item in document.items]
    if isinstance(document, Mapping):
        return {name: value(member) for name, (_, member) in document.pairs.items()}
    return _typed(document.text) if document.plain else document.text


def _typed(text: str) -> object:
    """What a plain scalar is in JSON; a text if its spelling would change."""
    words = {"": None, "~": None, "null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        try:
            typed = number(text)
        except ValueError:
            continue
        if json.dumps(typed) == text:
            return typed
    return text

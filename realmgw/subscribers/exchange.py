"""Subscribers and policies as documents of a repository: JSON values under a kind and a name, read as files are.

A subscriber document is what stands under the host's name in a subscriber file, in either style. It is kept under that
name, absolute and in lower case. A policy document is what stands in a policy file.

The form for exchange is JSON lines: a head, `{"format": 1, "version": V, "since": S, "count": N, "identity": I}`, and N
documents, `{"kind": ..., "name": ..., "value": ...}`. With `since` null they are everything that there is at version V;
otherwise they are what changed after version S, and a document that was deleted has the value null.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Collection, Iterable, Iterator

import attrs

from realmgw.config import names, pointers
from realmgw.config.document import Problems, parse
from realmgw.config.policy_schema import POLICY, fragment
from realmgw.errors import MalformedError
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.fastpath.by_shape import ByShapeReader
from realmgw.subscribers.files.incremental import alone
from realmgw.subscribers.schema import entries

FORMAT = 1
"""Of the lines."""
MAX_VALUE = 63 * 2**10  # octets
"""The longest document, as JSON text."""
MAX_LINE = 64 * 2**10  # octets
"""The longest line: a document with its kind and name."""
MAX_SAID = 500
"""How many characters of what a repository says is wrong are told."""
MAX_IDENTITY = 128
"""How many characters the identity of a repository may have."""

_FLOW = json.JSONEncoder(ensure_ascii=False)
_POLICY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Kind(enum.Enum):
    """What a document is."""

    SUBSCRIBER = "subscribers"
    POLICY = "policies"


@attrs.frozen
class Fault:
    """Something wrong in a document."""

    pointer: str
    """Where: a JSON pointer (RFC 6901) into the document; empty for the document as a whole."""
    text: str
    """What is wrong, and what to write instead."""


@attrs.frozen(eq=False)
class Head:
    """What a sequence of documents is."""

    version: str
    """Of the repository with them."""
    since: str | None
    """The version from which they lead to it; None when they are everything."""
    count: int
    """How many there are."""
    identity: str = ""
    """Of the repository: another one has another; empty when the lines do not say."""


@attrs.frozen(eq=False)
class Document:
    """A document as it is exchanged, not yet checked."""

    kind: Kind
    """What it is."""
    name: str
    """Under which it is kept; canonical."""
    value: object
    """A JSON value; None when it was deleted."""


def canonical(kind: Kind, name: str) -> str:
    """The name under which a document is kept.

    Raises:
        MalformedError: It can not be a name of that kind; the message says what to write instead.
    """
    if kind is Kind.SUBSCRIBER:
        try:
            return names.absolute(name)
        except ValueError as error:
            raise MalformedError(str(error)) from None
    if _POLICY_NAME.fullmatch(name) is None:
        raise MalformedError(f"{name!r} is no name of a policy: write letters, digits, '.', '_' and '-', at most 128")
    return name


def subscriber(
    name: str, value: object, by_shape: ByShapeReader | None = None
) -> tuple[Entry | None, tuple[Fault, ...]]:
    """Reads a subscriber document.

    Args:
        name: Its canonical name.
        value: The document.
        by_shape: What other documents look like, where there are many; gets this one.

    Returns:
        The entry, or None and everything that is wrong.
    """
    piece = b"" if by_shape is None else _piece(name, value)
    alike = None if by_shape is None else by_shape.read(piece)
    if alike is not None and alike.name == name:
        return alike, ()
    try:
        root = pointers.node({name: value})
    except MalformedError as error:
        return None, (Fault("", str(error)),)
    problems = Problems("")
    found = entries(root, problems)
    if problems.found:
        # The first two nodes are what the document was wrapped in for the schema: the mapping, and its only member.
        return None, _faults(value, [(max(line - 1, 1), text) for line, _, text in problems.found])
    [entry] = found
    if entry.name != name:
        return None, (Fault("", f"this is {entry.name}, not {name}: write {name} as its first FQDN, or keep it there"),)
    if by_shape is not None:
        written = parse(piece, problems)
        if written is not None and not problems.found:
            by_shape.learn(piece, written, entry, alone)
    return entry, ()


def _piece(name: str, value: object) -> bytes:
    """A document as a piece of a file: what JSON makes of it, YAML makes as well."""
    try:
        return f'"{name}": {_FLOW.encode(value)}\n'.encode()
    except (RecursionError, UnicodeEncodeError):
        return b""  # of no shape: the full reading tells what is wrong


def policy(value: object) -> tuple[Fault, ...]:
    """What is wrong with a policy document."""
    try:
        root = pointers.node(value)
    except MalformedError as error:
        return (Fault("", str(error)),)
    problems = Problems("")
    said = fragment(root, problems)
    if said is not None:
        POLICY(said, problems)
    return _faults(value, [(line, text) for line, _, text in problems.found])


def _faults(value: object, found: Collection[tuple[int, str]]) -> tuple[Fault, ...]:
    """Problems by the numbers of their nodes as faults by pointers."""
    places = pointers.placed(value, (number for number, _ in found))
    return tuple(Fault(places[number], text) for number, text in found)


def head(line: bytes) -> Head:
    """Reads a head.

    Raises:
        MalformedError: It is none, or of another format.
    """
    value = pointers.decode(line) if line else None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise MalformedError(f"the first line is no head of format {FORMAT}")
    version, since, count = value.get("version"), value.get("since"), value.get("count")
    if not (isinstance(version, str) and isinstance(since, str | None) and type(count) is int and count >= 0):
        raise MalformedError("the head has no version, or no count")
    identity = value.get("identity", "")
    if not isinstance(identity, str) or len(identity) > MAX_IDENTITY:
        raise MalformedError(f"the identity in the head is no text of at most {MAX_IDENTITY} characters")
    return Head(version, since, count, identity)


def head_line(head: Head) -> bytes:
    """Writes a head, with the line's end."""
    value = {
        "format": FORMAT,
        "version": head.version,
        "since": head.since,
        "count": head.count,
        "identity": head.identity,
    }
    return f"{pointers.encode(value)}\n".encode()


def document(line: bytes) -> Document:
    """Reads a line after the head.

    Raises:
        MalformedError: It is no document.
    """
    if len(line) > MAX_LINE:
        raise MalformedError(f"longer than {MAX_LINE} octets")
    value = pointers.decode(line)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or "value" not in value:
        raise MalformedError('write {"kind": ..., "name": ..., "value": ...}')
    try:
        kind = Kind(value.get("kind"))
    except ValueError:
        raise MalformedError(f"the kind {value.get('kind')!r} is not known: write subscribers or policies") from None
    return Document(kind, canonical(kind, value["name"]), value["value"])


def document_line(kind: str, name: str, value: str) -> bytes:
    """Writes a document, with the line's end.

    Args:
        kind: The value of a `Kind`.
        name: Its name.
        value: Its JSON text, or `null`.
    """
    return f'{{"kind":"{kind}","name":"{name}","value":{value}}}\n'.encode()


def lines(stream: Iterable[bytes]) -> tuple[Head, Iterator[Document]]:
    """Reads a whole sequence of documents.

    Args:
        stream: Its lines.

    Returns:
        The head and, read while it is iterated, the documents; iteration raises MalformedError where a line is none,
        and at the end when there are more or fewer than the head says.

    Raises:
        MalformedError: There is no head.
    """
    iterator = iter(stream)
    first = head(next(iterator, b""))
    return first, _counted(iterator, first.count)


def _counted(stream: Iterable[bytes], count: int) -> Iterator[Document]:
    number = 0
    for number, line in enumerate(stream, 1):
        if number > count:
            break
        try:
            yield document(line)
        except MalformedError as error:
            raise MalformedError(f"line {number + 1}: {error}") from None
    if number != count:
        raise MalformedError(
            f"the head announces {count} documents, and there are {'more' if number > count else number}"
        )


def said(body: bytes) -> str:
    """What a problem document (RFC 9457) says, for a message; empty when it is none."""
    try:
        value = pointers.decode(body)
    except MalformedError:
        return ""
    detail = value.get("detail") if isinstance(value, dict) else None
    errors = value.get("errors") if isinstance(value, dict) else None
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    text = " ".join(f"{detail}".split()) + (f" ({first.get('pointer')}: {first.get('detail')})" if first else "")
    return text if len(text) <= MAX_SAID else f"{text[:MAX_SAID]}..."

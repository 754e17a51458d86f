"""Names: between presentation form (RFC 1035 section 5.1) and the wire (section 3.1)."""

from __future__ import annotations

import re

from realmgw.errors import MalformedError

MAX_NAME = 255  # octets, with the root's zero (RFC 1035 section 2.3.4)
MAX_LABEL = 63  # octets
MIN_TARGET = 12
"""Pointers lead behind the header."""
MAX_STEPS = 255
"""How many labels and compression pointers together are followed for one name."""
ROOT = b"\0"
POINTER = 0xC0
"""The two highest bits of a length octet: both set make a pointer, one alone is reserved (RFC 1035 section 4.1.4)."""

_ESCAPE = re.compile(rb"\\([0-9]{3}|[^0-9])", re.DOTALL)
_LABEL = re.compile(rb"((?:[^.\\]|\\.)*)\.", re.DOTALL)
_LENGTHS = {length: bytes((length,)) for length in range(1, MAX_LABEL + 1)}
_SPECIAL = frozenset(b'.\\"();@$')
_PLAIN = bytes(octet for octet in range(0x21, 0x7F) if octet not in _SPECIAL)


class BadNameError(MalformedError):
    """This is no name; the text says why."""


def to_wire(text: str) -> bytes:
    r"""The wire name of an absolute name.

    Args:
        text: Presentation form with the final dot; `\.` and `\DDD` are understood.

    Raises:
        BadNameError: A label is empty or longer than 63 octets, the name longer than 255, not absolute, or not ASCII.
    """
    if text == ".":
        return ROOT
    labels = _split(text)
    try:
        wire = b"".join([_LENGTHS[len(label)] + label for label in labels]).lower() + ROOT
    except KeyError:
        raise BadNameError(f"{text!r}: a label has 1 to {MAX_LABEL} octets") from None
    if len(wire) > MAX_NAME:
        raise BadNameError(f"{text!r}: a name has at most {MAX_NAME} octets")
    return wire


def below(wire: bytes, label: str) -> bytes:
    """The wire name of a label below a name.

    Args:
        wire: The name above it, lower case.
        label: The label, with nothing escaped in it.

    Raises:
        BadNameError: The label is empty, longer than 63 octets, escaped or not ASCII, or the name longer than 255.
    """
    length = _LENGTHS.get(len(label))
    if length is None or "\\" in label or not label.isascii() or len(label) + len(wire) >= MAX_NAME:
        raise BadNameError(f"{label!r} can not be a label below {to_text(wire)!r}")
    return length + label.encode().lower() + wire


def _split(text: str) -> list[bytes]:
    """The labels of an absolute name; fast for one without escapes, since there may be a million of them."""
    try:
        octets = text.encode("ascii")
    except UnicodeEncodeError:
        raise BadNameError(f"{text!r}: write an international name in its ASCII form (xn--...)") from None
    if b"\\" not in octets:
        *labels, rest = octets.split(b".")
    else:
        labels, at = [], 0
        while match := _LABEL.match(octets, at):  # `findall` would look again from each octet of the rest
            labels.append(_ESCAPE.sub(_unescape, match[1]))
            at = match.end()
        rest = octets[at:]
    if rest or not labels:
        raise BadNameError(f"{text!r}: a name ends with a dot")
    return labels


def _unescape(escape: re.Match[bytes]) -> bytes:
    what = escape[1]
    if len(what) == 1:
        return what
    if int(what) > 255:
        raise BadNameError(f"\\{what.decode()}: an octet is at most 255")
    return bytes((int(what),))


def to_text(wire: bytes) -> str:
    """The presentation form of an uncompressed wire name, with the final dot and whatever needs it escaped."""
    if wire == ROOT:
        return "."
    return "".join([_label_text(wire[start + 1 : end]) + "." for start, end in _spans(wire)])


def _label_text(label: bytes) -> str:
    if not label.translate(None, _PLAIN):  # as nearly always
        return label.decode()
    return "".join([_octet_text(octet) for octet in label])


def _octet_text(octet: int) -> str:
    if octet in _SPECIAL:
        return "\\" + chr(octet)
    return chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03}"


def _spans(wire: bytes) -> list[tuple[int, int]]:
    """Where the labels of an uncompressed name begin (at the length octet) and end."""
    spans = []
    at = 0
    while wire[at]:
        spans.append((at, at + 1 + wire[at]))
        at += 1 + wire[at]
    return spans


def ancestors(wire: bytes) -> list[bytes]:
    """The name itself and all names above it, the root last."""
    names = [wire]
    at = 0
    while wire[at]:
        at += 1 + wire[at]
        names.append(wire[at:])
    return names


def read(message: bytes, at: int) -> tuple[bytes, int]:
    """Reads a name, compressed or not.

    Args:
        message: The whole message.
        at: Where the name begins.

    Returns:
        The uncompressed wire name with its case kept, and where in the message the octets after it begin.

    Raises:
        BadNameError: The name runs over the end of the message or over 255 octets, has a label form other than length
            and pointer, a pointer that does not lead backwards to behind the header, something behind it that is not
            over before the labels that led to it, or more than `MAX_STEPS` of both.
    """
    start, end = at, len(message)
    while at < end and 0 < message[at] <= MAX_LABEL:
        at += 1 + message[at]
    if at < end and not message[at] and at - start < MAX_NAME:
        return message[start : at + 1], at + 1
    return _pointed(message, start, at) or _follow(message, start)


def _pointed(message: bytes, start: int, at: int) -> tuple[bytes, int] | None:
    """The same of a name whose labels end with a pointer to one that has none, as most of those that have one."""
    end = len(message)
    if at + 1 >= end or message[at] < POINTER:
        return None
    floor = there = (message[at] & ~POINTER) << 8 | message[at + 1]
    if not MIN_TARGET <= there < start:
        return None
    while there < start and 0 < message[there] <= MAX_LABEL:
        there += 1 + message[there]
    if there >= start or message[there] or at - start + there - floor >= MAX_NAME:
        return None
    return message[start:at] + message[floor : there + 1], at + 2


def _follow(message: bytes, at: int) -> tuple[bytes, int]:
    """The same, octet by octet, of a name that is compressed, or is none."""
    labels = []
    total = 1
    after = 0
    floor, end = at, len(message)
    for _ in range(MAX_STEPS):
        length = _octet(message, at, end)
        if length >= POINTER:
            after = after or at + 2
            end, at = floor, _target(message, at, end, floor)  # what it leads to is over before what led there begins
            floor = at
            continue
        if length > MAX_LABEL:
            raise BadNameError("a label form that is not defined (RFC 6891 section 5)")
        total += length + 1 if length else 0
        if total > MAX_NAME or at + length >= end:
            raise BadNameError("a name runs over its bounds")
        labels.append(message[at : at + 1 + length])
        at += 1 + length
        if not length:
            return b"".join(labels), after or at
    raise BadNameError("too many compression pointers")


def _octet(message: bytes, at: int, end: int) -> int:
    if at >= end:
        raise BadNameError("a name runs over the end of the message, or into itself")
    return message[at]


def _target(message: bytes, at: int, end: int, floor: int) -> int:
    """Where a pointer leads: behind the header, and before everything of this name that was read so far."""
    target = (message[at] & ~POINTER) << 8 | _octet(message, at + 1, end)
    if not MIN_TARGET <= target < floor:
        raise BadNameError("a compression pointer does not lead backwards")
    return target

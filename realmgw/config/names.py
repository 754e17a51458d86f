"""Domain names as the configuration writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_NAME = 255  # octets
"""The longest name in its wire form (RFC 1035 section 2.3.4)."""

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_CLASSLESS = re.compile(r"[0-9]{1,3}/[0-9]{1,3}")
"""The label of a part of a reverse zone that is no whole octet, like `0/25` (RFC 2317 section 4)."""


def normal(text: str) -> str:
    """A name in lower case, with the final dot, whatever else it is."""
    return f"{text.lower().removesuffix('.')}."


def absolute(text: str) -> str:
    """A name in the form that the rest of the program uses: lower case, with the final dot.

    Labels consist of letters, digits, hyphens and underscores (service names begin with one, RFC 2782), and one in
    in-addr.arpa may be like `0/25` (RFC 2317); the root is no name that a gateway could serve. Internationalised names
    are written as A-labels (RFC 5890).

    Args:
        text: A name, with or without its final dot.

    Raises:
        ValueError: It is no such name; the message says what to write instead.
    """
    name = normal(text)
    labels = name[:-1].split(".")
    is_reverse = is_within(name, "in-addr.arpa.")
    for label in labels:
        if _LABEL.fullmatch(label) is None and not (is_reverse and _CLASSLESS.fullmatch(label)):
            raise ValueError(f"{text!r} is no domain name: {_what_is_wrong(label)}")
    if len(name) + 1 > MAX_NAME:
        raise ValueError(f"{text!r} is no domain name: it may have {MAX_NAME - 2} characters, shorten it")
    return name


def _what_is_wrong(label: str) -> str:
    if not label:
        return "write labels with single dots between them"
    if len(label) > 63:
        return f"the label {label!r} has {len(label)} characters, write at most 63"
    if not label.isascii():
        return f"write the label {label!r} in its ASCII form (xn--...)"
    return f"write the label {label!r} with letters, digits, '-' and '_' only, and no '-' at its ends"


def is_within(name: str, zone: str) -> bool:
    """Whether a name is the zone's apex or below it; both absolute and lower case."""
    return name == zone or name.endswith("." + zone)


def within(name: str) -> Iterator[str]:
    """The zones that a name may lie in, by their names: itself, and what is left of it without its first labels."""
    while name:
        yield name
        name = name.partition(".")[2]


def is_reverse(zone: str) -> bool:
    """Whether a zone maps addresses to names (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    return is_within(zone, "in-addr.arpa.") or is_within(zone, "ip6.arpa.")

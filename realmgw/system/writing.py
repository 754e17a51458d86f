"""Text that others have written, as it may stand in a line. Pure."""

from __future__ import annotations

import re

_MOVING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """A text that ends no line, moves no cursor and turns no writing round, whatever is in it: that is written out."""
    return _MOVING.sub(lambda found: repr(found[0])[1:-1], text)

"""How values are written in messages: what of a file is quoted, and trace ids."""

from __future__ import annotations

import re
from collections.abc import Callable

MAX_QUOTED = 60  # characters
"""So much of a value is quoted in a problem."""
MAX_PROBLEM = 300  # characters
"""The longest text of a problem."""

_QUOTED = re.compile(r"""(?<!\w)'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_LONG = re.compile(rf"(?<!\w)'([^']{{{MAX_QUOTED}}})[^']*'|\"([^\"]{{{MAX_QUOTED}}})[^\"]*\"")


def quoting(text: str, may_quote: Callable[[str], bool]) -> str:
    """A text for a message, which quotes only what it may.

    Args:
        text: What it quotes stands in it as `repr` writes it.
        may_quote: Whether something may be quoted.
    """
    return _QUOTED.sub(lambda quote: quote[0] if may_quote(quote[1] or quote[2] or "") else "'...'", text)


def trace_id(number: int) -> str | None:
    """A trace id as it is told, wherever that is: in hexadecimal; None if it is 0, which is none."""
    return f"{number:x}" if number else None


def shortened(text: str) -> str:
    """A text for a message, without the middle of what it quotes, and with a bounded length."""
    if len(text) <= MAX_QUOTED:
        return text
    text = _LONG.sub(lambda match: f"'{match[1] or match[2]}...'", text)
    rest = (MAX_PROBLEM - 5) // 2
    return text if len(text) <= MAX_PROBLEM else f"{text[:rest]} ... {text[-rest:]}"

"""What is answered in JSON, and how that is written. Pure."""

from __future__ import annotations

import json

import msgspec


def encode(value: object) -> bytes:
    """A value in JSON.

    Raises:
        TypeError: There is no form for it.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # it has the name of a file that is no UTF-8
        return json.dumps(value).encode()

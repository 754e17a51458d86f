"""What a gateway tells processes beside it, as octets. Pure.

Both are the same program of the same interpreter, and nobody else has the pipe between them: so values are written as
the interpreter itself writes them (`marshal`), each behind its length.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Iterator
from typing import Any

_LENGTH = struct.Struct("=I")
_VERSION = 2
"""Of how `marshal` writes: later ones look for what was written before, which is dearer than to write it again."""


def frame(*news: Any) -> bytes:
    """News: tuples, lists, mappings, texts, octets, numbers, None."""
    body = marshal.dumps(news, _VERSION)
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Takes them apart as they come."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def take(self, data: bytes) -> Iterator[Any]:
        """The news that are whole by now.

        Args:
            data: What has come.
        """
        waiting = self._waiting
        waiting += data
        at = 0
        while len(waiting) - at >= _LENGTH.size:
            [length] = _LENGTH.unpack_from(waiting, at)
            end = at + _LENGTH.size + length
            if len(waiting) < end:
                break
            yield marshal.loads(waiting[at + _LENGTH.size : end])  # noqa: S302 - the gateway's own, see above
            at = end
        del waiting[:at]

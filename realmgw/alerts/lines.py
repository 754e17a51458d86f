"""A stream of octets to lines, of which each has a bound: what is longer is skipped, and counted."""

from __future__ import annotations

import attrs

LONGEST = 131_072  # octets
"""Of a line."""


@attrs.define
class LineCounts:
    """What became of what is no line."""

    too_long: int = 0
    """Lines that were longer than `LONGEST`."""
    cut: int = 0
    """Lines that ended with the stream, and not with a line feed."""


class Lines:
    """The lines of one stream.

    Args:
        counts: Where what is no line is counted.
        longest: In octets.
    """

    def __init__(self, counts: LineCounts, longest: int = LONGEST) -> None:
        self._counts = counts
        self._longest = longest
        self._begun = b""
        self._is_skipping = False

    def take(self, data: bytes) -> list[bytes]:
        """The lines that are complete by what comes next, without their ends; empty ones are left out."""
        *lines, rest = data.split(b"\n")
        if not lines:
            self._keep(self._begun + rest if not self._is_skipping else b"")
            return []
        lines[0] = self._begun + lines[0]
        if self._is_skipping:
            del lines[0]
        self._begun, self._is_skipping = b"", False
        self._keep(rest)
        found = [line.rstrip(b"\r") for line in lines if len(line) <= self._longest]
        self._counts.too_long += len(lines) - len(found)
        return [line for line in found if line]

    def end(self) -> None:
        """There is no more of the stream, or what comes next is another one's."""
        self._counts.cut += bool(self._begun) and not self._is_skipping
        self._begun, self._is_skipping = b"", False

    def _keep(self, begun: bytes) -> None:
        """Keep what a line begins with, unless that is too long already."""
        if len(begun) > self._longest:
            self._counts.too_long += 1
            begun, self._is_skipping = b"", True
        self._begun = begun

"""Times as people say them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time as people say it, in its two largest units."""
    whole = int(seconds)
    for unit, size, below, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {below}"
    return f"{whole} s"

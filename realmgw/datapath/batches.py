"""Commands that add or delete elements of sets and maps, many by each: pure, text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

ELEMENTS_PER_COMMAND = 1024
"""How many elements one command of a transaction adds or deletes; longer lines are no faster, and take more memory."""


def commands(verb: str, table: str, name: str, elements: Iterable[str]) -> Iterator[str]:
    """The commands that add or delete elements of a set or map, so many by each."""
    every = list(elements)
    for start in range(0, len(every), ELEMENTS_PER_COMMAND):
        yield f"{verb} element inet {table} {name} {{ {', '.join(every[start : start + ELEMENTS_PER_COMMAND])} }}"

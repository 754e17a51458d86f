"""What parts have counted, as people read it: what is 0 is left out, unless everything is wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

TOGETHER = "\N{NO-BREAK SPACE}"
"""Between words that stand on one line."""
DISTRIBUTION = {"bounds", "counts", "sum"}
"""What a mapping has that is a distribution of seconds."""


def texts(found: Mapping[str, Any], *, every: bool, head: str = "") -> Iterator[str]:
    """The counters of a part, and those of each group that it has, and that these have.

    Args:
        found: Counters by name, or groups of them.
        every: All; else only what is not 0, and not why something was refused, which is told elsewhere.
        head: What the groups are called that all of them are in.
    """
    groups = {name: each for name, each in found.items() if isinstance(each, Mapping)}
    own = numbers({name: each for name, each in found.items() if name not in groups}, every=every)
    if own:
        yield f"{head}: {own}" if head else own
    for name, group in groups.items():
        below = f"{head} {name}".strip()
        if group.keys() >= DISTRIBUTION:
            yield from _times(below, group, every=every)
        elif every or name != "refused":
            yield from texts(group, every=every, head=below)


def _times(head: str, found: Mapping[str, Any], *, every: bool) -> Iterator[str]:
    """How many there were, and how long they were on average."""
    times = sum(found["counts"])
    if times:
        yield f"{head}: {times} times, {found['sum'] / times * 1000:.3g}{TOGETHER}ms on average"
    elif every:
        yield f"{head}: 0 times"


def numbers(counts: Mapping[str, Any], *, every: bool) -> str:
    """Counters that are not 0, or all."""
    named = {name: each for name, each in counts.items() if not isinstance(each, list) and (every or each)}
    return ", ".join(f"{name}{TOGETHER}{_word(each)}" for name, each in named.items())


def _word(value: object) -> str:
    """A value as people say it."""
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)

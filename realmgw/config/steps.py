"""Work that is done step by step, so that whoever does it can do something else in between.

A generator yields None where others may have their turn, and a `Blocking` where it needs something that may take its
time: a disk that has to be woken, a file server that does not answer. Whoever drives it has that done where it holds up
nobody, and sends the result.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import attrs

K = TypeVar("K")
T = TypeVar("T")


REFUSALS = (OSError, MemoryError)
"""What a call that may block can meet, and whoever wanted it has to know."""


@attrs.frozen(eq=False)
class Blocking:
    """A call that may block."""

    where: str
    """What it waits for, a folder for example: what does not answer holds up only those who want the same."""
    call: Callable[[], Any]
    """It. Its result is sent to the generator; `REFUSALS` are raised there, an OSError too when no answer comes."""


Steps = Generator[Blocking | None, Any, T]
"""Steps that end with a value."""
PORTION = 512
"""So many small things are done between two steps."""


class Turns:
    """Says when enough was done, of things that weigh differently much, for others to have their turn.

    Args:
        most: So much may be done at once; or a single thing, whatever it weighs.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._done = 0

    def is_over(self, weight: int) -> bool:
        """Whether it is so, now that something of this weight was done."""
        self._done += weight
        if self._done <= self._most:
            return False
        self._done = 0
        return True


def portions(values: Iterable[T], most: int = PORTION) -> Iterator[tuple[T, ...]]:
    """All of them, at most so many at a time."""
    iterator = iter(values)
    while portion := tuple(islice(iterator, most)):
        yield portion


def gathered(values: Iterable[T]) -> Steps[list[T]]:
    """All of them, taken some at a time."""
    found: list[T] = []
    for portion in portions(values):
        found += portion
        yield None
    return found


def doing(do: Callable[[T], object], values: Iterable[T], at_once: int) -> Steps[None]:
    """Does something with every value; up to so many all at once."""
    for count, value in enumerate(values, 1):
        do(value)
        if not count % at_once:
            yield None


def adding(table: dict[K, T], pairs: Iterable[tuple[K, T]]) -> Steps[None]:
    """Adds pairs to a table; less than `PORTION` all at once."""
    for portion in portions(pairs):
        table.update(portion)
        if len(portion) == PORTION:
            yield None


def emptying(*tables: dict[Any, Any]) -> Steps[None]:
    """Forgets what is in them, a few all at once: to free a hundred thousand things takes longer than a step may."""
    for table in tables:
        while table:
            for _ in range(min(PORTION, len(table))):
                table.popitem()
            if table:
                yield None


def now(blocking: Blocking) -> Any:
    """Makes a call at once: for whoever may wait."""
    return blocking.call()


def finish(steps: Steps[T], do: Callable[[Blocking], Any] = now) -> T:
    """Goes through all steps at once.

    Args:
        steps: Them.
        do: Makes the calls that may block.

    Returns:
        What comes out.
    """
    try:
        step = next(steps)
        while True:
            step = advanced(steps, step, do)
    except StopIteration as end:
        result: T = end.value
        return result


def advanced(steps: Steps[T], step: Blocking | None, do: Callable[[Blocking], Any]) -> Blocking | None:
    """One step further: answers the last one, and returns the next; raises StopIteration at the end."""
    if step is None:
        return next(steps)
    try:
        result = do(step)
    except REFUSALS as error:
        return steps.throw(error)
    return steps.send(result)

"""The first ones of long lists by name: some at a time, or queries and packets would wait for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Protocol, TypeVar

from realmgw.config.steps import PORTION, Steps, portions
from realmgw.control.commands import Value

ROWS = 100
"""So many are shown between two steps: each costs more than one that is only looked at."""


class Named(Protocol):
    """What has a name, which nothing else of its list has."""

    @property
    def name(self) -> str:
        """It."""
        ...


N = TypeVar("N", bound=Named)


def by_name(
    values: Iterable[N], is_meant: Callable[[N], bool], most: int, shown: Callable[[N], Value]
) -> Steps[tuple[int, list[Value]]]:
    """Goes through all that are there when it begins, and shows the first ones.

    Args:
        values: All.
        is_meant: Whether one counts.
        most: So many are shown.
        shown: What is shown of one.

    Returns:
        How many count, and what is shown.
    """
    found = list[tuple[str, N]]()
    for portion in portions(list(values)):
        for each in portion:
            if is_meant(each):
                heappush(found, (each.name, each))
        yield None
    total, rows = len(found), list[Value]()
    for some in portions(range(min(most, total)), ROWS):
        rows += [shown(heappop(found)[1]) for _ in some]
        yield None
    while found:  # to free all of them at once takes longer than a step may
        del found[-PORTION:]
        yield None
    return total, rows

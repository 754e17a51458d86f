"""How long something takes this thread, as it would without a test around it, and on a machine that is not busy.

Others have the processor's threads and caches, too: the same work may take twice its time. So each time is compared
with that of a plain sum beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import thread_time

from realmgw.subscribers.files.listing import collector_at_rest

TRIES = 5
"""So often something is tried that has to be short once."""
SUMMED, SUM = 400_000, 0.0067
"""So many numbers, and for how long (in seconds) they are added up where nobody disturbs."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Neither coverage nor the garbage collector, which has all tests' objects to go through, adds to what is timed."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        with collector_at_rest():
            yield
    finally:
        sys.settrace(tracer)


def shortest(timed: Callable[[], float], enough: float) -> float:
    """The shortest of some times, in seconds of an idle processor; the first that is below `enough` will do."""
    times: list[float] = []
    while len(times) < TRIES and min(times, default=enough) >= enough:
        with undisturbed():
            before, taken = _sum(), timed()
            times.append(taken * min(1.0, SUM / min(before, _sum())))
    return min(times)


def _sum() -> float:
    begin = thread_time()
    sum(range(SUMMED))
    return thread_time() - begin

"""How much of the machine others used while something was measured: figures of a busy machine mean little."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

LIMIT = 0.15  # cores
"""What others may use on average while a figure is taken; with more, it is taken again."""
TRIES = 4
"""How often it is taken at most; then the quietest one counts, and is marked."""

_CORES = os.sched_getaffinity(0)
_TICK = float(os.sysconf("SC_CLK_TCK"))
_IDLE = (3, 4)  # columns of /proc/stat: idle, and waiting for a disk
_GUEST = (8, 9)  # contained in the first two


class Watch:
    """Measures, as a context manager, what others use of the machine meanwhile.

    Attributes:
        others: On exit: what others used on average, in cores.
    """

    def __init__(self, processes: Iterable[int]) -> None:
        """Begins to watch when it is entered.

        Args:
            processes: Numbers of the processes that take part, besides this one and children that end meanwhile.
        """
        self._processes = tuple(processes)
        self._begin = (0.0, 0.0, 0.0)
        self.others = 0.0

    def __enter__(self) -> Watch:
        """Reads the clocks."""
        self._begin = self._clocks()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Reads them again."""
        seconds, everybody, ours = (after - before for before, after in zip(self._begin, self._clocks(), strict=True))
        self.others = max(0.0, everybody - ours) / seconds

    def _clocks(self) -> tuple[float, float, float]:
        """Seconds: monotonic, used by everybody, used by those who take part."""
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        family = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        return time.monotonic(), _everybody(), family + sum(map(time_of, self._processes))


class Figure(Protocol):
    """Something that was measured."""

    @property
    def others(self) -> float:
        """What others used of the machine meanwhile, in cores."""


Taken = TypeVar("Taken", bound=Figure)


def quietest(take: Callable[[], Taken], suffices: Callable[[Taken], bool] = lambda _: False) -> Taken:
    """Takes a figure until others leave the machine alone, at most `TRIES` times; then the quietest one counts.

    Args:
        take: Takes it.
        suffices: Whether it is as good as it has to be, whatever others did.
    """
    every: list[Taken] = []
    while len(every) < TRIES:
        every.append(take())
        if every[-1].others <= LIMIT or suffices(every[-1]):
            return every[-1]
    return min(every, key=lambda taken: taken.others)


def set_apart(apart: bool, process: int, *loading: int) -> None:
    """Gives a process the machine's last core, and the others to this one and who else loads it; or all of them to all.

    A process that sleeps between flows finds the caches as others left them on the core where it is woken: its CPU time
    per flow has two values then, far apart. One that never sleeps needs whatever core is free.

    Args:
        apart: Which of the two.
        process: Its number.
        loading: Numbers of those who load it, besides this one and the children that it will have.
    """
    own, others = ({max(_CORES)}, _CORES - {max(_CORES)} or _CORES) if apart else (_CORES, _CORES)
    for number, cores in ((process, own), *((each, others) for each in loading)):
        for thread in os.listdir(f"/proc/{number}/task"):
            os.sched_setaffinity(int(thread), cores)
    os.sched_setaffinity(0, others)


def _everybody() -> float:
    """On all processors, by whomever, what the hypervisor gave to others included."""
    first = Path("/proc/stat").read_text().partition("\n")[0]
    columns = [float(word) for word in first.split()[1:]]
    return sum(ticks for column, ticks in enumerate(columns) if column not in (*_IDLE, *_GUEST)) / _TICK


def time_of(process: int) -> float:
    """The CPU time of all threads of a process that is alive, in seconds.

    Args:
        process: Its number.
    """
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

"""Goes through steps, for a moment at a time, so that nobody waits for what takes long. Edge: the reactor's timers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from realmgw.config.steps import REFUSALS, Blocking, Steps

SLICE = 0.002  # seconds
"""For so long steps are gone through before the reactor may do something else."""

T = TypeVar("T")


class Driver:
    """See the module.

    Args:
        clock: The reactor.
        monotonic: The present, in seconds.
        elsewhere: Makes a call that may block, where it holds up nobody.
        turn: For so long, in seconds, steps are gone through at once.

    Attributes:
        longest: For how long, in seconds, any step has kept the reactor.
    """

    def __init__(
        self,
        clock: IReactorTime,
        monotonic: Callable[[], float],
        elsewhere: Callable[[Blocking], Deferred[Any]],
        turn: float = SLICE,
    ) -> None:
        self._turn = turn
        self._clock, self._monotonic, self._elsewhere = clock, monotonic, elsewhere
        self.longest = 0.0

    @inlineCallbacks
    def drive(self, steps: Steps[T]) -> Generator[Deferred[Any], Any, T]:
        """Go through steps, a turn at a time; fires with what they return."""
        advance: Callable[[], Blocking | None] = partial(next, steps)
        while True:
            begin, step = self._monotonic(), None
            try:
                while step is None:
                    step = advance()
                    advance = partial(next, steps)
                    if self._monotonic() - begin >= self._turn:
                        break
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                self.longest = max(self.longest, self._monotonic() - begin)
            if step is None:
                yield deferLater(self._clock, 0)
                continue
            try:
                answer = yield self._elsewhere(step)
            except REFUSALS as error:
                advance = partial(steps.throw, error)
            else:
                advance = partial(steps.send, answer)

"""Goes through steps, for a moment at a time, so that nobody waits for what takes long.

Edge: the reactor's timers, the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from time import thread_time
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
        processor: How much processor time this thread has spent, in seconds.

    Attributes:
        longest: For how long, in seconds, any turn has kept the reactor.
        most: How much processor time any turn has spent, in seconds: what others took meanwhile is not in it.
    """

    def __init__(
        self,
        clock: IReactorTime,
        monotonic: Callable[[], float],
        elsewhere: Callable[[Blocking], Deferred[Any]],
        turn: float = SLICE,
        processor: Callable[[], float] = thread_time,
    ) -> None:
        self._turn, self._processor = turn, processor
        self._clock, self._monotonic, self._elsewhere = clock, monotonic, elsewhere
        self.longest = self.most = 0.0

    @inlineCallbacks
    def drive(self, steps: Steps[T]) -> Generator[Deferred[Any], Any, T]:
        """Go through steps, a turn at a time; fires with what they return."""
        advance: Callable[[], Blocking | None] = partial(next, steps)
        while True:
            begin, spent, step = self._monotonic(), self._processor(), None
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
                self.most = max(self.most, self._processor() - spent)
            if step is None:
                yield deferLater(self._clock, 0)
                continue
            try:
                answer = yield self._elsewhere(step)
            except REFUSALS as error:
                advance = partial(steps.throw, error)
            else:
                advance = partial(steps.send, answer)

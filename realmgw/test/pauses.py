"""How much is done at once, in calls of functions: the same on every machine, however busy it is.

What runs in C counts as one call, however much of it there is: that it takes a time that grows as its input does is
tested elsewhere (`realmgw.test.test_linear`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Work:
    """Counts calls, of functions in Python and in C, while it is told to.

    Attributes:
        calls: So many there were.
    """

    def __init__(self) -> None:
        self.calls = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts in this thread. Coverage rests meanwhile: it would take as long again."""
        tracer, profiler = sys.gettrace(), sys.getprofile()
        sys.settrace(None)
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(profiler)
            sys.settrace(tracer)

    def _called(self, frame: FrameType, event: str, argument: object) -> None:
        del frame, argument
        if event in ("call", "c_call"):
            self.calls += 1


class Bytecodes:
    """Counts bytecodes, while it is told to: what is done for each of many is seen also where nothing is called for it.

    Attributes:
        steps: So many there were.
    """

    def __init__(self) -> None:
        self.steps = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Counts in this thread, in what is called from here on. Coverage rests meanwhile."""
        tracer = sys.gettrace()
        sys.settrace(self._stepped)
        try:
            yield
        finally:
            sys.settrace(tracer)

    def _stepped(self, frame: FrameType, event: str, argument: object) -> Any:
        del argument
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.steps += event == "opcode"
        return self._stepped

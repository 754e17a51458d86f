"""Tests for `realmgw.config.service`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from threading import Event, current_thread
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from realmgw.config.service import Reading
from realmgw.errors import PlatformError


class ReadingTests(TestCase):
    """`Reading` keeps the reactor free."""

    def setUp(self) -> None:
        """A file system that answers when it is told to."""
        self.answers = Event()
        self.addCleanup(self.answers.set)

    def read(self, answer: int) -> int:
        """Blocks until the file system answers."""
        self.answers.wait(30.0)
        return answer

    async def test_gives_what_is_read_or_why_it_is_not(self) -> None:
        """Again and again."""
        self.answers.set()
        reading = Reading("it", reactor)
        self.assertEqual(await reading.call(self.read, 1), 1)
        await self.assertFailure(reading.call(lambda: 1 // 0), ZeroDivisionError)
        self.assertEqual(await reading.call(self.read, answer=2), 2)

    async def test_reactor_goes_on_while_nothing_answers(self) -> None:
        """Whoever asked is told after a time; further calls are refused at once, without another thread."""
        reading = Reading("it", reactor, deadline=0.1)
        late = await self.assertFailure(reading.call(self.read, 1), PlatformError)
        self.assertIn("it: the file system does not answer within 0.1 s", str(late))
        refused: Deferred[int] = reading.call(self.read, 2)
        self.assertIn("still not answered", str(self.failureResultOf(refused, PlatformError).value))

    async def test_takes_steps_of_which_only_those_that_read_are_in_threads(self) -> None:
        """What they raise is told; in between, the reactor's own thread computes."""
        self.answers.set()
        threads = [current_thread()]

        def steps(last: int) -> Generator[Callable[[], Any], Any, int]:
            found = yield partial(self.read, 1)
            threads.append(current_thread())
            found += yield lambda: 1 // last
            return int(found)

        reading = Reading("it", reactor)
        self.assertEqual(await reading.take(steps(1)), 2)
        self.assertIs(threads[0], threads[1])
        await self.assertFailure(reading.take(steps(0)), ZeroDivisionError)

    async def test_reads_again_when_it_has_answered(self) -> None:
        """What came too late counts for nobody."""
        reading = Reading("it", reactor, deadline=0.1)
        await self.assertFailure(reading.call(self.read, 1), PlatformError)
        self.answers.set()
        for _ in range(500):
            await deferLater(reactor, 0.01)
            again = reading.call(self.read, 2)
            found = await again.addErrback(lambda failure: failure.trap(PlatformError) and None)
            if found is not None:
                break
        self.assertEqual(found, 2)

"""Tests for `realmgw.subscribers.service`."""

from __future__ import annotations

import errno
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, inlineCallbacks, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from realmgw.config.steps import Blocking
from realmgw.errors import PlatformError
from realmgw.subscribers.disk import Good
from realmgw.subscribers.pieces import Unit
from realmgw.subscribers.service import KEEP_INTERVAL, LastGoodService, Readers


class ReadersTests(TestCase):
    """Whoever waits for a file system waits in a thread, and not for ever."""

    def setUp(self) -> None:
        """A place that answers when it is told to, and one that always does."""
        self.answer = threading.Event()
        self.addCleanup(self.answer.set)
        self.readers = Readers(0.1)
        self.dead = Blocking("dead", lambda: self.answer.wait(60))
        self.well = Blocking("well", threading.get_ident)

    @inlineCallbacks
    def test_the_result_comes_from_another_thread(self) -> Any:
        """So does an error."""
        self.assertNotEqual((yield self.readers.call(self.well, reactor)), threading.get_ident())
        self.assertNotEqual(self.readers.wait(self.well), threading.get_ident())
        missing = Blocking("well", Path("/nowhere/at/all").stat)
        self.assertRaises(FileNotFoundError, self.readers.wait, missing)
        yield self.assertFailure(self.readers.call(missing, reactor), FileNotFoundError)

    @inlineCallbacks
    def test_a_place_that_does_not_answer_is_told(self) -> Any:
        """It is not waited for twice, and holds up no other place; when it is there again, it is asked again."""
        error = yield self.assertFailure(self.readers.call(self.dead, reactor), OSError)
        self.assertEqual((error.errno, error.strerror), (errno.ETIMEDOUT, "dead has not answered for 0.1 s"))
        for _ in range(2):
            at_once: list[object] = []
            self.readers.call(self.dead, reactor).addErrback(at_once.append)
            self.assertEqual(len(at_once), 1)
        yield self.readers.call(self.well, reactor)
        self.answer.set()
        answers: list[object] = []
        while not answers:
            yield self.readers.call(self.well, reactor)
            yield self.readers.call(self.dead, reactor).addCallbacks(answers.append, lambda _late: None)
        self.assertEqual(answers, [True])

    def test_a_start_does_not_wait_longer_either(self) -> None:
        """Nor does a command."""
        self.assertEqual(self.assertRaises(OSError, self.readers.wait, self.dead).errno, errno.ETIMEDOUT)

    def test_the_threads_end_with_the_process(self) -> None:
        """Whatever they wait for."""
        self.readers.wait(self.well)
        ours = [thread for thread in threading.enumerate() if thread.name == "realmgw-files"]
        self.assertTrue(ours)
        self.assertTrue(all(thread.daemon for thread in ours))


class LastGoodServiceTests(SynchronousTestCase):
    """What is in force is kept for the next start."""

    def setUp(self) -> None:
        """A source, and a disk that is well."""
        self.clock = Clock()
        self.units: Mapping[str, Unit] = {"a": Unit("a", {"x.": b"1"}, digest=b"d"), "db": Unit("db", {"y.": b"2"})}
        self.kept: list[Mapping[str, Good]] = []
        self.result: Deferred[int] = succeed(0)
        self.told: list[tuple[str, ...]] = []
        self.service = LastGoodService(lambda: self.units, self.keep, self.told.append, self.clock)
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def keep(self, force: Mapping[str, Good]) -> Deferred[int]:
        """Notes it."""
        self.kept.append(force)
        return self.result

    def later(self) -> int:
        """How often it was kept, some time later."""
        self.clock.advance(KEEP_INTERVAL)
        return len(self.kept)

    def test_keeps_files_when_they_have_changed(self) -> None:
        """And nothing of a repository, which has a cache of its own."""
        self.assertEqual(self.kept, [{"a": Good(b"d", 1)}])
        self.assertEqual(self.later(), 1)
        self.units = dict(self.units)
        self.assertEqual((self.later(), self.later()), (2, 2))

    def test_tries_again_when_it_could_not(self) -> None:
        """Files that were written again meanwhile, or a disk that is full: that is told, until it is over."""
        for result in (succeed(1), fail(PlatformError("full")), fail(OSError(5, "late")), fail(ValueError("ours"))):
            self.units, self.result = dict(self.units), result
            before = len(self.kept)
            self.assertEqual(self.later(), before + 1)
            self.result = succeed(0)
            self.assertEqual((self.later(), self.later()), (before + 2, before + 2))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual([line for lines in self.told for line in lines], [
            "what is in force is not kept for the next start: full",
            "what is in force is not kept for the next start: [Errno 5] late",
        ])  # fmt: skip
        self.assertEqual(self.told[-1], ())

"""Tests for `realmgw.config.readers`."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import TestCase

from realmgw.config.readers import Readers
from realmgw.config.steps import Blocking
from realmgw.system.worker import NO_THREAD, DaemonThread


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

    def test_no_thread_left_is_told(self) -> None:
        """As any other error; when there is room again, the place is asked."""

        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch = self.patch(threading.Thread, "start", refuse)
        error = self.assertRaises(OSError, self.readers.wait, self.well)
        self.assertEqual(error.strerror, f"well can not be waited for: {NO_THREAD}")
        patch.restore()
        self.assertNotEqual(self.readers.wait(self.well), threading.get_ident())

    def test_a_thread_that_never_began_is_not_waited_for(self) -> None:
        """A pool that could not start one waits for all of its threads when it stops."""
        DaemonThread(target=lambda: None).join()

    def test_the_threads_end_with_the_process(self) -> None:
        """Whatever they wait for."""
        self.readers.wait(self.well)
        ours = [thread for thread in threading.enumerate() if thread.name == "realmgw-files"]
        self.assertTrue(ours)
        self.assertTrue(all(thread.daemon for thread in ours))

"""Tests for `realmgw.control.apply`: reloads that do not fit into the memory."""

from __future__ import annotations

import errno
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import Blocking
from realmgw.control.apply import Status
from realmgw.subscribers.registry import Changes
from realmgw.system.worker import NO_THREAD
from realmgw.test.control.parts import TestGateway, only

CALLS = 7
"""So many a reload makes that may block: for the main file and all that belongs to it, a folder, and a file in it."""


class NoMemoryTests(SynchronousTestCase):
    """It is found out before anything is changed; what runs goes on."""

    def setUp(self) -> None:
        """A gateway with two subscribers."""
        self.gateway = TestGateway(Path(self.mktemp()))

    def assert_refused(self) -> None:
        """All is as it was."""
        outcome = only(self.gateway.reload())
        self.assertEqual(outcome.status, Status.REFUSED, outcome)
        self.assertIn("there is not enough memory for what is written", outcome.problems[0])
        self.assertEqual((self.gateway.names, self.gateway.parts.calls), (["a.example.org.", "b.example.org."], []))

    def test_what_is_written_does_not_fit(self) -> None:
        """While it is compared with what is in force."""

        def starving(*_: object) -> Generator[None, None, Changes]:
            yield
            raise MemoryError

        self.gateway.parts.prepare = starving  # type: ignore[assignment,method-assign]  # for this test
        self.assert_refused()

    def test_no_thread_can_be_started(self) -> None:
        """From whichever call on: what is lacking is told, and it is no fault of ours."""
        asked: list[str] = []

        def refused(blocking: Blocking) -> Deferred[Any]:
            asked.append(blocking.where)
            if len(asked) < number:
                return maybeDeferred(blocking.call)
            return fail(OSError(errno.EAGAIN, f"{blocking.where} can not be waited for: {NO_THREAD}"))

        self.gateway.reloader._driver._elsewhere = refused
        self.gateway.write("c.yaml", c="192.168.0.3")
        for number in range(1, CALLS + 1):
            asked.clear()
            outcome = only(self.gateway.reload())
            is_main = asked[number - 1] == str(self.gateway.path)
            self.assertEqual(outcome.status, Status.REFUSED if is_main else Status.UNCHANGED, outcome)
            self.assertIn(NO_THREAD, "".join(outcome.problems))
            self.assertEqual(self.gateway.names, ["a.example.org.", "b.example.org."])

    def test_a_file_can_not_be_read(self) -> None:
        """Nor a folder, whichever of them: that is done in threads, which meet the same."""
        wanted: list[str] = []

        def starving(blocking: Blocking) -> Deferred[Any]:
            wanted.append(blocking.where)
            return fail(MemoryError()) if len(wanted) == number else maybeDeferred(blocking.call)

        self.gateway.reloader._driver._elsewhere = starving
        self.gateway.write("c.yaml", c="192.168.0.3")
        for number in range(1, CALLS + 1):
            self.assert_refused()
            self.assertEqual(len(wanted), number, wanted)
            wanted.clear()

"""Tests for `realmgw.log.service`."""

from __future__ import annotations

import os
import signal

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from realmgw.log.port import Log
from realmgw.log.service import LOOK, MINUTE, LogService
from realmgw.log.storms import WINDOW
from realmgw.test.log.test_port import RecordingOutlet


class LogServiceTests(SynchronousTestCase):
    """The log's own time."""

    def setUp(self) -> None:
        """Starts it."""
        self.clock, self.outlet = Clock(), RecordingOutlet()
        self.log = Log(None, self.clock.seconds)
        self.log.write_to(self.outlet)
        self.said: list[Deferred[str | None]] = []
        self.service = LogService(self.log, lambda: self.said.pop(0) if self.said else succeed(None), self.clock)
        self.service.startService()
        self.addCleanup(lambda: self.service.running and self.service.stopService())

    def test_there_is_a_summary_each_minute_with_something_in_it(self) -> None:
        """A quiet minute has none."""
        self.said = [succeed("3 queries"), succeed(None)]
        with capturedLogs() as events:
            self.clock.pump([MINUTE, MINUTE])
        self.assertEqual([formatEvent(event) for event in events], ["3 queries"])

    def test_a_fault_does_not_end_the_summaries(self) -> None:
        """It is told."""
        self.said = [fail(ZeroDivisionError("no")), succeed("there again")]
        with capturedLogs() as events:
            self.clock.pump([MINUTE, MINUTE])
        self.assertEqual(formatEvent(events[-1]), "there again")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_what_was_held_back_is_told(self) -> None:
        """When its minute is over, and when the service stops."""
        logger = Logger("realmgw.tap", observer=self.log)
        for _ in range(3):
            logger.error("no")
        self.clock.pump([LOOK] * int(WINDOW / LOOK))
        self.assertEqual(self.outlet.lines[-1].text, "no (again, 2 times)")
        for _ in range(2):
            logger.error("no")
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.outlet.lines[-1].text, "no (again, 1 times)")

    def test_what_others_have_their_logs_turned_by_does_no_harm(self) -> None:
        """SIGUSR1 ends no gateway; a moved file is noticed without it."""
        os.kill(os.getpid(), signal.SIGUSR1)
        self.assertTrue(self.service.running)

    def test_counts_what_became_of_events(self) -> None:
        """As the log does."""
        self.assertEqual(self.service.counts(), {"written": 0, "lost": 0, "held_back": 0})

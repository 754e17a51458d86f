"""Tests for `realmgw.subscribers.service.RecallService`."""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.subscribers.service import RECALL_INTERVAL, RECALL_PAUSE, RecallService


class RecallServiceTests(SynchronousTestCase):
    """Keeps what is served when it has changed."""

    def setUp(self) -> None:
        """A service that runs."""
        self.clock = Clock()
        self.units: object = {}
        self.text: bytes | None = b"text"
        self.written: list[bytes] = []
        self.answer: Deferred[None] = succeed(None)
        self.service = self.started(is_kept=True)

    def started(self, *, is_kept: bool) -> RecallService:
        """Another one."""
        service = RecallService(lambda: self.units, self.steps, self.write, self.clock, is_kept=is_kept)
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def steps(self) -> Generator[None, None, bytes | None]:
        """Three of them."""
        yield
        yield
        return self.text

    def write(self, text: bytes) -> Deferred[None]:
        """Notes it."""
        self.written.append(text)
        return self.answer

    def wait(self) -> None:
        """Until it was looked, and the steps have had their turns."""
        self.clock.advance(RECALL_INTERVAL)
        self.clock.pump([RECALL_PAUSE] * 9)

    def test_nothing_is_written_as_long_as_nothing_changes(self) -> None:
        """What was there at the start was kept then."""
        self.wait()
        self.assertEqual(self.written, [])

    def test_what_the_start_had_to_read_is_written_at_once(self) -> None:
        """In steps too: the gateway runs already."""
        self.started(is_kept=False)
        self.assertEqual(self.written, [])
        self.clock.pump([RECALL_PAUSE] * 9)
        self.assertEqual(self.written, [b"text"])
        self.wait()
        self.assertEqual(self.written, [b"text"])

    def test_what_has_changed_is_written_once(self) -> None:
        """In steps, with other things between them."""
        self.units = {}
        self.clock.advance(RECALL_INTERVAL)
        self.assertEqual(self.written, [])
        self.clock.pump([RECALL_PAUSE] * 9)
        self.assertEqual(self.written, [b"text"])
        self.wait()
        self.assertEqual(self.written, [b"text"])

    def test_what_changes_meanwhile_is_written_the_next_time(self) -> None:
        """As long as there is nothing whole, nothing is written."""
        self.units, self.text = {}, None
        self.wait()
        self.assertEqual(self.written, [])
        self.text = b"new"
        self.wait()
        self.assertEqual(self.written, [b"new"])

    def test_what_can_not_be_written_is_logged_once(self) -> None:
        """And tried again when something changes."""
        self.units, self.answer = {}, fail(PlatformError("the disk is full"))
        self.wait()
        self.wait()
        self.assertEqual(len(self.written), 1)
        self.units, self.answer = {}, succeed(None)
        self.wait()
        self.assertEqual(len(self.written), 2)

    def test_stopping_ends_what_is_under_way(self) -> None:
        """Nothing is left on the clock."""
        self.units = {}
        self.clock.advance(RECALL_INTERVAL)
        self.service.stopService()
        self.clock.pump([RECALL_PAUSE] * 9)
        self.assertEqual((self.written, self.clock.getDelayedCalls()), ([], []))

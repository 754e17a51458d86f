"""Tests for `realmgw.subscribers.service`."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.subscribers.files.disk import Good
from realmgw.subscribers.files.incremental import Unit
from realmgw.subscribers.service import KEEP_INTERVAL, LastGoodService


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

"""Tests for `realmgw.subscribers.service`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks, maybeDeferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from realmgw.config.settings import NameServer, Zone
from realmgw.subscribers.service import PATIENCE, SETTLE, FileRepository, FolderWatch
from realmgw.subscribers.snapshot import Snapshot, difference

ZONES = (Zone("example.org.", (NameServer("ns.example.net."),), "admin.example.org."),)


class _Readable(Clock):
    """A clock that also knows who wants to read."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """Notes it."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Forgets it, if it is known."""
        self.readers = [each for each in self.readers if each is not reader]

    def removeWriter(self, writer: Any) -> None:
        """There is none."""


class FolderWatchTests(TestCase):
    """Changes in folders; the kernel's part is real, time is not."""

    def setUp(self) -> None:
        """Two folders, one of which is not there yet."""
        self.clock = _Readable()
        self.there, self.missing = Path(self.mktemp()), Path(self.mktemp()) / "below"
        self.there.mkdir()
        self.told = 0
        self.watch = FolderWatch([self.there, self.missing], self.note, self.clock)
        self.addCleanup(self.watch.stop)

    def note(self) -> None:
        """Counts."""
        self.told += 1

    def settle(self) -> int:
        """How often something was told, after what there is was read and time has passed."""
        self.watch.doRead()
        self.clock.advance(SETTLE)
        return self.told

    def test_tells_of_every_kind_of_change(self) -> None:
        """Once it has come to rest."""
        path = self.there / "a.yaml"
        path.write_text("a")
        self.watch.doRead()
        self.assertEqual(self.told, 0)
        self.clock.advance(SETTLE)
        self.assertEqual(self.told, 1)
        path.rename(path.with_suffix(".off"))
        self.assertEqual(self.settle(), 2)
        path.with_suffix(".off").unlink()
        self.assertEqual(self.settle(), 3)

    def test_a_folder_that_never_rests_is_read_all_the_same(self) -> None:
        """After a while."""
        for _ in range(int(PATIENCE / SETTLE * 2) + 2):
            self.watch.doRead()
            self.clock.advance(SETTLE / 2)
        self.assertEqual(self.told, 1)

    def test_a_folder_that_is_made_later_is_noticed(self) -> None:
        """And what happens in it."""
        self.missing.mkdir(parents=True)
        before = self.settle()
        (self.missing / "a.yaml").write_text("a")
        self.assertEqual(self.settle(), before + 1)

    def test_after_the_stop_nothing_is_told(self) -> None:
        """Nothing stays open."""
        (self.there / "a.yaml").write_text("a")
        self.watch.doRead()
        self.watch.stop()
        self.clock.advance(SETTLE)
        self.assertEqual((self.told, self.clock.readers, self.watch.fileno()), (0, [], -1))


class FileRepositoryTests(TestCase):
    """Drop-in folders as a repository."""

    def setUp(self) -> None:
        """A folder with two files."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.write("a", "192.168.0.1")
        self.write("b", "192.168.0.2")
        self.repository = FileRepository([self.folder], ZONES, maybeDeferred, cast(Any, reactor))
        self.addCleanup(self.repository.unwatch)

    def write(self, name: str, address: str) -> None:
        """A file of one subscriber."""
        (self.folder / f"{name}.yaml").write_text(f"{name}.example.org: {{address: {address}}}\n")

    def snapshot(self) -> Snapshot:
        """What there is now."""
        return self.successResultOf(self.repository.snapshot())

    def test_what_did_not_change_is_the_same_object(self) -> None:
        """Though everything was read again; a snapshot without a change is the one before."""
        before = self.snapshot()
        self.assertIs(self.snapshot(), before)
        self.write("b", "192.168.0.3")
        self.write("c", "192.168.0.4")
        (self.folder / "a.yaml").unlink()
        found = difference(before, self.snapshot())
        self.assertEqual(
            (found.added, found.changed, found.removed), ({"c.example.org."}, {"b.example.org."}, {"a.example.org."})
        )
        self.assertTrue(found)

    def test_a_bad_file_is_a_problem_of_its_own(self) -> None:
        """The others count."""
        before = self.snapshot()
        self.write("b", "nowhere")
        after = self.snapshot()
        self.assertEqual((list(after.entries), len(after.problems)), (["a.example.org."], 1))
        self.assertNotEqual(after.version, before.version)

    @inlineCallbacks
    def test_tells_a_watcher_what_changed(self) -> Any:
        """After the files came to rest."""
        self.snapshot()
        told: list[Snapshot] = []
        self.repository.watch(told.append)
        self.write("c", "192.168.0.4")
        while not told:
            yield deferLater(cast(Any, reactor), 0.02, lambda: None)
        self.assertIn("c.example.org.", told[0].entries)

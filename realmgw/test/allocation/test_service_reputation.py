"""Reputations are read at the start, and written while the gateway runs and when it stops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.disk import AgedRow, ReputationFile, Row
from realmgw.allocation.service import BATCH, TURN, WRITE_INTERVAL, ReputationService
from realmgw.testing import MemoryWorker


class RecordingBook:
    """What is remembered: a text for each key.

    Attributes:
        texts: All.
        fresh: The keys of what is not written yet.
        forgotten: Keys to be removed from the file.
        restored: What was read, with its age.
        looked: How many rows were looked up.
        merged: For a key, letters that are keys that it takes the place of.
    """

    def __init__(self, **texts: str) -> None:
        """Knows these, and none is written yet."""
        self.texts, self.fresh = texts, list(texts)
        self.forgotten: set[str] = set()
        self.restored: list[tuple[str, str, float]] = []
        self.looked = 0
        self.merged: dict[str, str] = {}

    def know(self, **texts: str) -> None:
        """Something is different."""
        self.texts.update(texts)
        self.fresh += texts

    def restore(self, rows: Iterable[AgedRow], *, now: float) -> int:
        """Notes it; `?` can not be used."""
        self.restored = [(each.row.key, each.row.body, each.age) for each in rows]
        return sum(body == "?" for _, body, _ in self.restored)

    def changed(self, *, every: bool, now: float) -> Iterator[Row]:
        """Those that were not asked for yet."""
        keys, self.fresh = list(self.texts) if every else self.fresh, []
        for key in keys:
            self.looked += 1
            yield Row(key, self.texts[key], tuple(self.merged.get(key, ())))

    def gone(self) -> set[str]:
        """What was forgotten."""
        gone, self.forgotten = self.forgotten, set()
        return gone


class ReputationServiceTests(SynchronousTestCase):
    """A service, a file, and a thread that works when it is told to."""

    def setUp(self) -> None:
        """Nothing is started."""
        self.path = Path(self.mktemp()) / "reputation.sqlite"
        self.clock = Clock()
        self.start(RecordingBook())

    def start(self, book: RecordingBook) -> None:
        """The gateway starts, with what the file has."""
        self.book, self.worker = book, MemoryWorker()
        file = ReputationFile(self.path, self.clock.seconds, 1000)
        self.addCleanup(file.close)
        self.service = ReputationService(book, file, self.worker, self.clock, self.clock.seconds)
        started = self.service.startService()
        self.assertNoResult(started)
        self.worker.work()
        self.successResultOf(started)

    def pass_time(self, seconds: float) -> None:
        """The clock goes on, and the thread works."""
        self.clock.advance(seconds)
        self.worker.work()
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.clock.advance(0)
            self.worker.work()

    def stop(self) -> None:
        """The gateway stops."""
        stopped = self.service.stopService()
        self.worker.work()
        self.successResultOf(stopped)

    def texts(self) -> dict[str, str]:
        """What the next start would read."""
        file = ReputationFile(self.path, self.clock.seconds, 1000)
        found = {each.row.key: each.row.body for each in file.read()}
        file.close()
        return found

    def test_what_changes_is_written_once_a_period(self) -> None:
        """And what does not change is not looked at again."""
        self.book.know(a="1", b="1")
        self.pass_time(WRITE_INTERVAL - 0.1)
        self.assertEqual(self.texts(), {})
        self.pass_time(0.1)
        self.assertEqual(self.texts(), {"a": "1", "b": "1"})
        self.book.know(a="2")
        self.pass_time(WRITE_INTERVAL)
        self.assertEqual((self.texts(), self.book.looked), ({"a": "2", "b": "1"}, 3))
        self.pass_time(WRITE_INTERVAL)
        self.assertEqual((self.service.written, self.book.looked), (3, 3))

    def test_many_are_looked_up_a_few_in_a_turn(self) -> None:
        """Queries and packets have their turns in between."""
        self.book.know(**{f"k{number}": "" for number in range(3 * TURN)})
        seen = [0]

        def meanwhile() -> None:
            seen.append(self.book.looked)
            if self.book.looked < 3 * TURN:
                self.clock.callLater(0, meanwhile)

        self.clock.callLater(WRITE_INTERVAL, meanwhile)
        self.pass_time(WRITE_INTERVAL)
        self.assertEqual(max(after - before for before, after in pairwise(seen)), TURN)
        self.assertEqual(len(self.texts()), 3 * TURN)

    def test_many_are_written_in_pieces(self) -> None:
        """And those that were written when the disk began to fail are not written again."""
        self.book.know(**{f"k{number}": "" for number in range(2 * BATCH + 1)})
        self.clock.advance(WRITE_INTERVAL)
        for _ in range(2):
            self.assertEqual(len(self.worker.waiting), 1)
            self.worker.waiting.popleft()()
        self.assertEqual(len(self.texts()), 2 * BATCH)
        self.assertEqual(self.service.counts()["written"], 0)
        self.worker.work()
        self.assertEqual(self.service.counts()["written"], 2 * BATCH + 1)

    def test_a_stop_writes_the_rest_and_the_next_start_reads_it(self) -> None:
        """With its age by the wall clock."""
        self.book.know(a="1")
        self.stop()
        self.assertTrue(self.worker.stopped)
        self.clock.advance(30.0)
        self.start(RecordingBook())
        self.assertEqual(self.book.restored, [("a", "1", 30.0)])

    def test_a_stop_during_a_write_waits_for_it(self) -> None:
        """And writes what came meanwhile."""
        self.book.know(a="1")
        self.clock.advance(WRITE_INTERVAL)
        stopped = self.service.stopService()
        self.book.know(b="2")
        self.assertNoResult(stopped)
        self.pass_time(0)
        self.successResultOf(stopped)
        self.assertEqual(self.texts(), {"a": "1", "b": "2"})

    def test_what_was_forgotten_is_removed(self) -> None:
        """Even if it changed just before."""
        self.book.know(a="1", b="1")
        self.pass_time(WRITE_INTERVAL)
        del self.book.texts["a"]
        self.book.forgotten.add("a")
        self.pass_time(WRITE_INTERVAL)
        self.assertEqual(self.texts(), {"b": "1"})

    def test_what_can_not_be_written_is_tried_again(self) -> None:
        """It is logged once, and nothing is forgotten meanwhile."""
        self.path.parent.chmod(0o500)
        self.path.unlink()
        self.path.mkdir()
        self.worker.call(self.service._file.close)
        self.book.know(a="1")
        for _ in range(3):
            self.pass_time(WRITE_INTERVAL)
        self.assertTrue(self.service.failing)
        self.book.know(b="2")
        for beside in ("-wal", "-shm"):
            Path(f"{self.path}{beside}").unlink(missing_ok=True)
        self.path.rmdir()
        self.pass_time(WRITE_INTERVAL)
        self.assertFalse(self.service.failing)
        self.assertEqual(self.texts(), {"a": "1", "b": "2"})

    def test_no_more_waits_to_be_written_than_the_file_would_have(self) -> None:
        """However long the disk fails; those that changed last are kept."""
        self.service.configure(10)
        self.service._file.close()
        self.path.unlink()
        self.path.mkdir()
        for number in range(30):
            self.book.know(**{f"k{number}": ""})
            self.pass_time(WRITE_INTERVAL)
        self.assertEqual(self.service.counts()["unwritten"], 10)
        self.assertIn("k29", self.service._rows)

    def test_whoever_was_merged_meanwhile_is_not_written(self) -> None:
        """Though he waited to be written, after the one that he belongs to now."""
        self.service._file.close()
        self.path.unlink()
        self.path.mkdir()
        self.book.know(a="1", b="1")
        self.pass_time(WRITE_INTERVAL)
        self.book.merged["a"] = "b"
        self.book.know(a="2")
        self.path.rmdir()
        self.pass_time(WRITE_INTERVAL)
        self.assertEqual(self.texts(), {"a": "2"})

    def test_a_file_that_can_not_be_read_stops_nobody(self) -> None:
        """All begin anew; the damaged one is not lost."""
        self.stop()
        self.path.write_bytes(b"no database" * 1000)
        self.start(RecordingBook(a="1"))
        self.assertEqual(self.book.restored, [])
        self.pass_time(WRITE_INTERVAL)
        self.assertEqual(self.texts(), {"a": "1"})
        self.assertEqual(len(list(self.path.parent.glob("*.damaged-*"))), 1)

    def test_a_file_that_is_damaged_meanwhile_is_written_anew(self) -> None:
        """With all that is known, not only with what has changed."""
        self.book.know(a="1", b="1")
        self.pass_time(WRITE_INTERVAL)
        self.service._file.close()
        self.path.write_bytes(b"no database" * 1000)
        self.book.know(a="2")
        self.pass_time(WRITE_INTERVAL)
        if not self.service._file.set_aside:
            self.fail("the damage was not found")
        self.assertEqual(self.texts(), {"a": "2", "b": "1"})

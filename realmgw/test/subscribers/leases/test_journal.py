"""Tests for `realmgw.subscribers.leases.journal`, on a real disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.subscribers.leases.book import Lease
from realmgw.subscribers.leases.journal import Journal
from realmgw.subscribers.leases.records import Record

WRITER = """
import sys
from pathlib import Path
from realmgw.subscribers.leases.journal import Journal
from realmgw.test.subscribers.leases.test_journal import lease

journal = Journal(Path(sys.argv[1]), lambda: 0.0)
for number in range(100_000):
    journal.write([lease(2 * number), lease(2 * number + 1)], [f"h{2 * number - 2}.example.org."])
    print(number, flush=True)
"""
"""Each write registers two hosts, and removes one of those before."""
READER = """
import resource, sys
from pathlib import Path
from realmgw.subscribers.leases.journal import Journal

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
journal = Journal(Path(sys.argv[1]), lambda: 0.0)
print(*[each.name for each in journal.read()], flush=True)
sys.stdin.read()
"""
"""Reads where no file may become as long as what SQLite has beside its database, and goes on running."""


def lease(number: int) -> Lease:
    """A registration."""
    name = f"h{number}.example.org."
    records = Record(name, 1, 60, number.to_bytes(4, "big")), Record(name, 49, 60, b"\0\1\1" + b"x" * 32)
    return Lease(name, records, "dhcp.", 1.5, 2.5, 60.0)


class JournalTests(SynchronousTestCase):
    """What is kept is what is registered."""

    def setUp(self) -> None:
        """A journal with nothing in it."""
        self.path = Path(self.mktemp()) / "leases.sqlite"
        self.journal = Journal(self.path, lambda: 0.0)
        self.addCleanup(self.journal.close)

    def kept(self) -> list[Lease]:
        """What another process finds."""
        journal = Journal(self.path, lambda: 0.0)
        self.addCleanup(journal.close)
        return journal.read()

    def test_what_was_written_is_read(self) -> None:
        """All of it; there is no file before."""
        self.assertEqual((self.journal.read(), self.path.exists()), ([], False))
        self.journal.write([lease(1), lease(2)], [])
        self.journal.write([lease(3)], ["h1.example.org."])
        self.assertEqual(self.kept(), [lease(2), lease(3)])

    def test_a_full_disk_leaves_what_was_there(self) -> None:
        """It is told; when there is room again, all goes on."""
        self.journal.write([lease(1)], [])
        self.journal._database.open().execute("PRAGMA max_page_count = 3")
        error = self.assertRaises(PlatformError, self.journal.write, [lease(n) for n in range(1000)], [])
        self.assertIn("database or disk is full", str(error))
        self.assertEqual(self.kept(), [lease(1)])
        self.journal.write([lease(2)], [])
        self.assertEqual(self.kept(), [lease(1), lease(2)])

    def test_a_disk_without_room_for_another_file_is_read(self) -> None:
        """As SQLite wants to have one even to read; nobody else is kept away for longer than the reading takes."""
        self.journal.write([lease(1)], [])
        self.journal.close()
        argv = [sys.executable, "-c", READER, str(self.path)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), "h1.example.org.\n")
            self.journal.write([lease(2)], [])
            process.communicate()
        self.assertEqual(self.kept(), [lease(1), lease(2)])

    def test_a_file_that_another_process_holds_is_told(self) -> None:
        """Nothing is written then."""
        self.journal.write([lease(1)], [])
        other = sqlite3.connect(self.path)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        self.journal._database.open().execute("PRAGMA busy_timeout = 0")
        error = self.assertRaises(PlatformError, self.journal.write, [lease(2)], [])
        self.assertIn("database is locked", str(error))
        other.rollback()
        self.assertEqual(self.kept(), [lease(1)])

    def test_a_file_that_is_not_ours_is_set_aside(self) -> None:
        """Nothing of it is deleted; of a file that was removed, all is written again."""
        self.path.parent.mkdir()
        with sqlite3.connect(self.path) as other:
            other.execute("CREATE TABLE mine (x)")
            other.execute("PRAGMA user_version = 77")
        other.close()
        self.assertEqual(self.journal.read(), [])
        [aside] = self.journal.set_aside
        self.assertTrue(aside.exists())
        self.journal.write([lease(1)], [])
        self.path.unlink()
        self.journal.write([lease(2)], [], lambda: [lease(1)])
        self.assertEqual(self.kept(), [lease(1), lease(2)])

    def test_who_is_killed_while_he_writes_leaves_whole_writes(self) -> None:
        """All that he was told is there, and at most one more; of each write all or nothing."""
        argv = [sys.executable, "-c", WRITER, str(self.path)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) >= 50:
                    break
            process.kill()
            told = max([50, *map(int, process.stdout)])
        numbers = {int(each.name[1:].partition(".")[0]) for each in self.kept()}
        last = (max(numbers) - 1) // 2
        self.assertIn(last, (told, told + 1))
        self.assertEqual(numbers, {*range(1, 2 * last + 2, 2), 2 * last})

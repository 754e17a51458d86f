"""Tests for `realmgw.allocation.reputation.disk`."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.disk import KEPT, ReputationFile, Row
from realmgw.errors import PlatformError
from realmgw.test.checkout import PACKAGE

WRITER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from realmgw.allocation.reputation.disk import ReputationFile, Row

    file = ReputationFile(Path(sys.argv[1]), time.time, 10_000)
    number = 0
    while True:
        number += 1
        file.write([Row(f"{key}", f"{number}") for key in range(500)])
        print(number, flush=True)
    """
)
"""Writes the same number under 500 keys, again and again."""


class DiskTestCase(SynchronousTestCase):
    """A file, and the time of day."""

    def setUp(self) -> None:
        """It is not there yet."""
        self.path = Path(self.mktemp()) / "state" / "reputation.sqlite"
        self.now = 1_000_000_000.0
        self.file = self.opened()
        self.addCleanup(self.file.close)

    def opened(self, limit: int = 1000) -> ReputationFile:
        """A process that has it."""
        return ReputationFile(self.path, lambda: self.now, limit)

    def texts(self) -> dict[str, str]:
        """What another process would read."""
        file = self.opened()
        found = {each.row.key: each.row.body for each in file.read()}
        file.close()
        return found


class WriteTests(DiskTestCase):
    """What is written is read."""

    def test_a_new_file_has_no_rows(self) -> None:
        """It is made with its folder, for its owner's eyes only."""
        self.assertEqual(self.file.read(), [])
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_what_was_written_is_read_by_the_next_process(self) -> None:
        """The later text of a key counts."""
        self.assertTrue(self.file.write([Row("a", "1"), Row("b", "2")]))
        self.assertTrue(self.file.write([Row("a", "3")]))
        self.assertEqual(self.texts(), {"a": "3", "b": "2"})

    def test_a_row_takes_the_place_of_others(self) -> None:
        """But not of itself."""
        self.file.write([Row("a", "1"), Row("b", "2"), Row("c", "3")])
        self.file.write([Row("a", "both", ("a", "b"))])
        self.assertEqual(self.texts(), {"a": "both", "c": "3"})

    def test_what_is_gone_is_removed(self) -> None:
        """Unless it is written again at the same time."""
        self.file.write([Row("a", "1"), Row("b", "2")])
        self.file.write([Row("b", "3")], ["a", "b", "z"])
        self.assertEqual(self.texts(), {"b": "3"})

    def test_rows_have_an_age_by_the_wall_clock(self) -> None:
        """Never a negative one; one that is too old is not read."""
        self.file.write([Row("a", "1")])
        for passed, ages in ((20.0, [20.0]), (-5.0, [0.0]), (KEPT + 1, [])):
            self.now = 1_000_000_000.0 + passed
            self.assertEqual([each.age for each in self.file.read()], ages)

    def test_the_oldest_rows_go_when_there_are_too_many(self) -> None:
        """And no more than the limit are read."""
        file = self.opened(limit=10)
        for number in range(40):
            self.now += 1.0
            file.write([Row(str(number), "")])
            file.trim()
        self.assertEqual([each.row.key for each in file.read()], [str(number) for number in range(39, 29, -1)])
        file.close()
        self.assertLessEqual(len(self.texts()), 12)


class TroubleTests(DiskTestCase):
    """Files that can not be used."""

    def damage(self, content: bytes) -> None:
        """Writes over the file, and over what belongs to it."""
        self.file.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content)

    def test_a_damaged_file_is_set_aside_and_a_new_one_begun(self) -> None:
        """Nothing is deleted; the next one gets a name of its own."""
        for count in (1, 2):
            self.damage(b"no database at all" * 100)
            self.assertEqual(self.file.read(), [])
            self.assertEqual(len(self.file.set_aside), count)
            self.assertEqual(self.file.set_aside[-1].read_bytes()[:11], b"no database")
        self.assertEqual(len(set(self.file.set_aside)), 2)
        self.file.write([Row("a", "1")])
        self.assertEqual(self.texts(), {"a": "1"})

    def test_a_file_with_bits_turned_is_set_aside(self) -> None:
        """Found when it is opened, not when the row is asked for."""
        self.file.write([Row(f"key {number}", "x" * 200) for number in range(500)])
        self.file.close()
        content = bytearray(self.path.read_bytes())
        content[4096 * 3 : 4096 * 6] = os.urandom(4096 * 3)
        self.damage(bytes(content))
        self.assertEqual(self.file.read(), [])
        self.assertEqual(len(self.file.set_aside), 1)

    def test_a_file_that_is_damaged_meanwhile_is_begun_again(self) -> None:
        """Whoever writes is told that only his rows are in it."""
        self.file.write([Row(f"key {number}", "x" * 200) for number in range(500)])
        [_, _] = self.file.read()[:2]
        self.file.close()
        self.file.read()
        self.path.write_bytes(b"\0" * 8192)
        Path(f"{self.path}-wal").unlink(missing_ok=True)
        while self.file.write([Row("a", "1")]):  # what SQLite remembers of the file may carry the first ones
            self.file.close()
        self.assertEqual(self.texts(), {"a": "1"})

    def test_a_file_of_another_version_is_set_aside(self) -> None:
        """It may be wanted when that version comes back."""
        self.file.write([Row("a", "1")])
        self.file.close()
        with sqlite3.connect(self.path) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
        self.assertEqual(self.file.read(), [])
        self.assertEqual(len(self.file.set_aside), 1)

    def test_a_place_that_can_not_be_written_is_told(self) -> None:
        """In one line; when it can be, the next call succeeds."""
        self.path.parent.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.write_text("a file where the folder should be")
        for call in (self.file.read, lambda: self.file.write([])):
            error = self.assertRaises(PlatformError, call)
            self.assertNotIn("\n", str(error))
        self.path.parent.unlink()
        self.assertEqual(self.file.read(), [])


class KillTests(DiskTestCase):
    """The process ends at any moment."""

    def test_a_killed_writer_leaves_a_whole_write(self) -> None:
        """All rows are of one write, which is the last that it told of, or the next one."""
        for _ in range(5):
            with subprocess.Popen(
                [sys.executable, "-c", WRITER, self.path],
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
                text=True,
            ) as writer:
                assert writer.stdout is not None
                for _ in range(3):
                    told = writer.stdout.readline()
                writer.send_signal(signal.SIGKILL)
                told = (told + writer.stdout.read()).split()[-1]
            found = self.texts()
            self.assertEqual(len(found), 500)
            self.assertEqual(len(set(found.values())), 1)
            self.assertIn(int(found["0"]), (int(told), int(told) + 1))
        self.assertEqual(self.file.set_aside, [])

"""The file of records: whole lines, bounded, whatever the disk does."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.records.writing import DAY, TRY_AGAIN, Kept, Writing

NOON = 20_000 * DAY + DAY / 2
LINE = b'{"event":"ends"}\n'


class WritingTests(SynchronousTestCase):
    """On a real disk."""

    def setUp(self) -> None:
        """A folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "flows.jsonl"
        self.now = NOON
        self.kept = Kept(self.path, 10_000, 2, 3.0)

    def writing(self) -> Writing:
        """Begun."""
        made = Writing(self.kept, lambda: self.now)
        self.addCleanup(made.close)
        made.begin()
        return made

    def test_a_half_line_is_taken_away(self) -> None:
        """However long it is; whole ones stay."""
        for whole, half in ((LINE * 3, b'{"ev'), (b"", b"x" * 200_000), (LINE, b""), (LINE, b"x" * 70_000)):
            self.path.write_bytes(whole + half)
            self.assertEqual(self.writing().cut, bool(half))
            self.assertEqual(self.path.read_bytes(), whole)

    def test_a_folder_that_is_missing_is_made(self) -> None:
        """As the state folder is; one that can not be is told."""
        self.kept = attrs.evolve(self.kept, path=self.folder / "a" / "b" / "flows.jsonl")
        self.writing().write([LINE])
        self.assertEqual(self.kept.path.read_bytes(), LINE)
        self.kept = attrs.evolve(self.kept, path=self.kept.path / "flows.jsonl")
        self.assertIn("flows.jsonl: File exists", self.writing().problem)

    def test_a_full_disk_loses_whole_lines_and_is_told(self) -> None:
        """When there is room again, the file says how many are missing."""
        full = Writing(attrs.evolve(self.kept, path=Path("/dev/full")), lambda: self.now)
        full.write([LINE])
        self.assertIn("is no file", full.problem)
        self.path.mkdir()
        writing = self.writing()
        writing.write([LINE] * 3)
        self.assertIn("Is a directory", writing.problem)
        self.path.rmdir()
        writing.write([LINE])
        self.assertEqual((writing.written, writing.unwritten), (0, 4))
        self.now += TRY_AGAIN
        writing.write([LINE], lost=2)
        self.assertEqual((writing.problem, writing.written, writing.unwritten), ("", 1, 4))
        missed, line = self.path.read_bytes().splitlines(keepends=True)
        self.assertEqual(json.loads(missed), {"event": "lost", "at": self.now, "flows": 6})
        self.assertEqual(line, LINE)

    def test_what_does_not_fit_is_taken_back(self) -> None:
        """The kernel has room for a part of it only: then nothing of it is there, and it is told."""
        writing = self.writing()
        writing.write([LINE])
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINE) + 10, before[1]))
        try:
            writing.write([LINE, LINE])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertIn("File too large", writing.problem)
        self.assertEqual(self.path.read_bytes(), LINE)

    def test_a_day_has_its_own_files_and_old_ones_go(self) -> None:
        """A file that was last written on another day is moved aside; what is older than was asked for is deleted."""
        writing = self.writing()
        writing.write([LINE])
        os.utime(self.path, (self.now, self.now))
        old = self.path.with_name("flows.jsonl.1")
        old.write_bytes(LINE)
        os.utime(old, (self.now - 4 * DAY,) * 2)
        writing.look()
        self.assertFalse(old.exists())
        self.now += DAY
        writing.look()
        self.assertEqual((old.read_bytes(), self.path.read_bytes()), (LINE, b""))
        self.now += 3.5 * DAY
        writing.look()
        self.assertEqual([each.name for each in self.folder.iterdir()], ["flows.jsonl"])

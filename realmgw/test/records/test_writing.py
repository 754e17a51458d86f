"""The file of records: whole lines, bounded, whatever the disk does."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.records.writing import DAY, LOOK, TRY_AGAIN, Kept, Writing
from realmgw.system import rotating

NOON = 20_000 * DAY + DAY / 2
LINE = b'{"event":"ends"}\n'


class WritingTests(SynchronousTestCase):
    """On a real disk."""

    def setUp(self) -> None:
        """A folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "flows.jsonl"
        self.now, self.put_back = NOON, 0.0
        self.kept = Kept(self.path, 10_000, 2, 3.0)

    def writing(self) -> Writing:
        """Begun."""
        made = Writing(self.kept, lambda: self.now - self.put_back, lambda: self.now)
        self.addCleanup(made.close)
        made.begin()
        return made

    def test_a_half_line_is_taken_away(self) -> None:
        """However long it is; whole ones stay."""
        for whole, half in ((LINE * 3, b'{"ev'), (b"", b"x" * 200_000), (LINE, b""), (LINE, b"x" * 70_000)):
            self.path.write_bytes(whole + half)
            self.assertEqual(self.writing().cut, bool(half))
            self.assertEqual(self.path.read_bytes(), whole)

    def test_a_clock_that_is_put_back_delays_nothing(self) -> None:
        """What can not be written is tried again, and what is too old is looked for."""
        self.kept = attrs.evolve(self.kept, path=self.folder / "a" / "b" / "flows.jsonl")
        (self.folder / "a").touch()
        writing = self.writing()
        (self.folder / "a").unlink()
        self.put_back = 3600.0
        self.now += TRY_AGAIN
        writing.write([LINE])
        self.assertEqual((writing.problem, writing.written), ("", 1))
        former = self.kept.path.with_name("flows.jsonl.1")
        former.touch()
        os.utime(former, (0, 0))
        for _ in range(2):
            self.now += LOOK
            self.put_back += 3600.0
            writing.look()
        self.assertFalse(former.exists())

    def test_fewer_files_than_before(self) -> None:
        """Former ones beyond them go at once, and those that are too old whatever their number; others' names stay."""
        for number in ("1", "2", "3", "40", "20261201", "07", "x"):
            (self.folder / f"flows.jsonl.{number}").touch()
        self.writing()
        left = {each.name.removeprefix("flows.jsonl") for each in self.folder.iterdir()}
        self.assertEqual(left, {"", ".1", ".2", ".20261201", ".07", ".x"})
        self.kept = attrs.evolve(self.kept, size=0)
        (self.folder / "flows.jsonl.3").touch()
        self.writing()
        self.assertTrue((self.folder / "flows.jsonl.3").exists(), "it is moved aside by somebody else")

    def test_a_folder_that_is_missing_is_made(self) -> None:
        """As the state folder is; one that can not be is told."""
        self.kept = attrs.evolve(self.kept, path=self.folder / "a" / "b" / "flows.jsonl")
        self.writing().write([LINE])
        self.assertEqual(self.kept.path.read_bytes(), LINE)
        self.kept = attrs.evolve(self.kept, path=self.kept.path / "flows.jsonl")
        self.assertIn("flows.jsonl: File exists", self.writing().problem)

    def test_a_full_disk_loses_whole_lines_and_is_told(self) -> None:
        """When there is room again, the file says how many are missing."""
        full = Writing(
            attrs.evolve(self.kept, path=Path("/dev/full")), lambda: self.now - self.put_back, lambda: self.now
        )
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

    def line(self) -> bytes:
        """A record of the present."""
        return json.dumps({"event": "ends", "at": self.now}).encode() + b"\n"

    def days(self) -> dict[str, list[float]]:
        """By file, which days (since 1970) its records are of."""
        return {
            each.name: sorted({json.loads(line)["at"] // DAY for line in each.read_bytes().splitlines()})
            for each in sorted(self.folder.iterdir())
        }

    def test_a_day_has_its_own_files_and_old_ones_go(self) -> None:
        """However busy it is: what has the records of another day is moved aside, and is kept for as long as asked."""
        self.kept = attrs.evolve(self.kept, size=1_000_000, files=9)
        writing = self.writing()
        begin = self.now // DAY
        while self.now < (begin + 6) * DAY:
            writing.write([self.line()])
            os.utime(self.path, (self.now, self.now))  # as it would be, by this clock
            writing.look()
            self.now += 600.0
        names = ["flows.jsonl", *(f"flows.jsonl.{number}" for number in (1, 2, 3))]
        self.assertEqual(self.days(), {name: [begin + 5 - ago] for ago, name in enumerate(names)})

    def test_an_idle_gateway_lets_go_of_it_as_well(self) -> None:
        """Nothing has come since."""
        writing = self.writing()
        writing.write([self.line()])
        os.utime(self.path, (self.now, self.now))
        self.now += DAY
        writing.look()
        self.assertEqual(self.days(), {"flows.jsonl": [], "flows.jsonl.1": [NOON // DAY]})
        self.now += 2.5 * DAY
        writing.look()
        self.assertEqual(self.days(), {"flows.jsonl": []})

    def test_what_an_earlier_process_has_begun_is_of_its_day(self) -> None:
        """By its first line, whenever it was written to last; without one that can be read, by that."""
        for first in (self.line(), b"no line\n", b'{"at":{}}\n', b"[" * 9999 + b"\n", b"7\n"):
            self.path.write_bytes(first)
            os.utime(self.path, (NOON + DAY * (b"event" in first),) * 2)
            self.now = NOON + DAY
            self.writing().write([self.line()])
            self.assertEqual(self.path.with_name("flows.jsonl.1").read_bytes(), first)
            self.path.write_bytes(self.line())
            self.writing().write([self.line()])
            self.assertEqual(self.path.read_bytes(), self.line() * 2)
            self.now = NOON

    def test_what_can_not_be_moved_aside_is_written_on(self) -> None:
        """And told as long as it is so; nothing is lost."""
        self.kept = attrs.evolve(self.kept, files=1)
        writing = self.writing()
        writing.write([self.line()])
        (in_the_way := self.path.with_name("flows.jsonl.1")).mkdir()
        self.now += DAY
        writing.write([self.line()])
        writing.look()
        self.assertIn("can not be moved aside, and grows: Is a directory", writing.problem)
        self.assertEqual((writing.written, writing.unwritten, len(self.path.read_bytes().splitlines())), (2, 0, 2))
        in_the_way.rmdir()
        later = time.monotonic() + rotating.TRY_AGAIN
        self.patch(time, "monotonic", lambda: later)
        writing.write([self.line()])
        self.assertEqual((writing.problem, len(self.path.read_bytes().splitlines())), ("", 1))

    def test_who_moves_it_aside_otherwise_does_not_move_it_twice(self) -> None:
        """A file that was begun since is of the new day."""
        writing = self.writing()
        writing.write([self.line()])
        self.now += DAY
        self.path.rename(self.folder / "moved")
        writing.write([self.line()])
        writing.look()
        self.assertEqual(self.days(), {"flows.jsonl": [NOON // DAY + 1], "moved": [NOON // DAY]})

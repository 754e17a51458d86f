"""Tests for `realmgw.subscribers.files.folders`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import Blocking, finish
from realmgw.subscribers.files.folders import KEPT, QUIET, Folders
from realmgw.subscribers.files.incremental import Unit
from realmgw.subscribers.registry import Registry
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read

ZONES = read(MINIMAL).zones
LATER = 10_000_000_000.0  # when every file has been left alone for long
A = "a.example.org: {address: 192.168.0.1}\n"
B = "b.example.org: {address: 192.168.0.2}\n"


class FoldersTestCase(SynchronousTestCase):
    """Has a folder, what reads it, and what is served of it."""

    def setUp(self) -> None:
        """With a file."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "a.yaml"
        self.path.write_text(A + B)
        self.wall, self.now = LATER, 0.0
        self.folders = Folders(lambda: self.wall, lambda: self.now)
        self.registry = Registry()

    def units(self) -> list[Unit]:
        """What the folder says now."""
        return finish(self.folders.units([self.folder], self.registry.units))

    def reload(self) -> list[str]:
        """Serves what the folder says now; what is wrong, without the places."""
        finish(self.registry.commit(finish(self.registry.changes(self.units(), ZONES))))
        return [line.split(": ", 1)[1] for line in self.registry.problems]

    def served(self) -> list[str]:
        """The hosts that are served, by their first label."""
        return sorted(host.name.partition(".")[0] for host in self.registry.directory.hosts.values())

    def write(self, text: str) -> None:
        """Writes the file, so that its time of change differs."""
        self.path.write_text(text)
        before = self.path.stat()
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


class ReloadTests(FoldersTestCase):
    """Reading again while everything runs."""

    def test_a_file_that_was_not_written_is_the_same_object(self) -> None:
        """It is not even read."""
        [first], [second] = self.units(), self.units()
        self.assertIs(first, second)

    def test_only_pieces_that_are_written_differently_are_made_into_entries(self) -> None:
        """The others are known by their text."""
        self.reload()
        self.write(A + B + "c.example.org: {address: 192.168.0.3}\n")
        self.assertEqual([list(unit.entries) for unit in self.units()], [["c.example.org."]])
        self.assertEqual((self.reload(), self.served()), ([], ["a", "b", "c"]))

    def test_a_file_that_has_become_bad_keeps_what_it_said(self) -> None:
        """And says so, until it is put right."""
        self.reload()
        self.write(A + "b.example.org: {address: nonsense}\n")
        for _ in range(2):
            problem, kept = self.reload()
            self.assertIn("'nonsense' is no address", problem)
            self.assertEqual(kept, "until this is put right, what it said before counts, with 2 hosts")
            self.assertEqual(self.served(), ["a", "b"])
        self.write(A)
        self.assertEqual((self.reload(), self.served()), ([], ["a"]))

    def test_a_file_that_was_put_back_is_good_again(self) -> None:
        """Although it says what it said before."""
        self.reload()
        self.write("[")
        self.assertTrue(self.reload())
        self.write(A + B)
        self.assertEqual((self.reload(), self.served()), ([], ["a", "b"]))

    def test_a_folder_that_can_not_be_read_keeps_its_files(self) -> None:
        """A file system that went away takes nobody with it; a file that was removed does."""
        self.reload()
        away = self.folder.rename(self.folder.with_name("away"))
        [problem] = self.reload()[-1:]
        self.assertEqual(problem, "the folder can not be read: No such file or directory")
        self.assertEqual(self.served(), ["a", "b"])
        away.rename(self.folder)
        self.path.unlink()
        self.assertEqual((self.reload(), self.served()), ([], []))

    def test_a_link_to_nowhere_takes_an_earlier_file_away(self) -> None:
        """Without a problem; when the link is removed, the file counts again."""
        later = Path(self.mktemp())
        later.mkdir()
        folders, link = [self.folder, later], later / "a.yaml"
        self.assertEqual([sorted(unit.entries) for unit in finish(self.folders.units(folders))], [[
            "a.example.org.", "b.example.org."
        ]])  # fmt: skip
        link.symlink_to(os.devnull)
        self.assertEqual(finish(self.folders.units(folders)), [])
        self.reload()
        [unit] = finish(self.folders.units(folders, self.registry.units))
        self.assertEqual((unit.is_gone, unit.problems), (True, ()))
        link.unlink()
        [unit] = finish(self.folders.units(folders))
        self.assertEqual((len(unit.tokens), unit.problems), (2, ()))

    def test_a_file_that_was_just_written_is_read_again(self) -> None:
        """It may change once more without getting another time stamp."""
        self.wall = self.path.stat().st_ctime
        self.reload()
        before = self.path.stat()
        self.path.write_text(A + B.replace("0.2", "0.7"))
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assertEqual([len(unit.entries) for unit in self.units()], [1])

    def test_problems_belong_to_the_present_content(self) -> None:
        """Not to one that was refused before it."""
        (self.folder / "b.yaml").write_text("c.example.org: {address: 192.168.0.1}\n")
        self.assertIn("belongs to a.example.org.", self.reload()[0])
        (self.folder / "b.yaml").write_text("c.example.org: {address: 192.168.0.3, max_claims: x}\n")
        [line] = self.reload()
        self.assertIn("'x' does not do", line)


class SettledTests(FoldersTestCase):
    """What a file says is settled when it was read twice, some time apart."""

    def settled(self) -> list[bool]:
        """Of each file."""
        return [unit.settled for unit in self.units()]

    def test_a_second_reading_settles_it(self) -> None:
        """Not too soon after the first."""
        self.reload()
        self.write(A)
        self.assertEqual(self.settled(), [False])
        self.now += QUIET / 2
        self.assertEqual(self.settled(), [False])
        self.now += QUIET / 2
        self.assertEqual(self.settled(), [True])

    def test_another_text_begins_anew(self) -> None:
        """Whoever writes still writes."""
        self.reload()
        self.write(A)
        self.units()
        self.now += QUIET
        self.write(A + "# more\n")
        self.assertEqual(self.settled(), [False])

    def test_a_time_stamp_alone_settles_nothing(self) -> None:
        """On some file systems it is that of seconds ago."""
        self.reload()
        self.write(A)
        self.units()
        before = self.path.stat()
        self.path.write_text(B)
        os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.now += QUIET
        self.assertEqual(self.settled(), [False])

    def test_a_file_that_is_gone_is_so_when_it_was_looked_for_twice(self) -> None:
        """An editor that puts a new one in its place removes nobody."""
        self.reload()
        self.path.rename(self.folder / "a.old")
        [gone] = self.units()
        self.assertEqual((gone.is_gone, gone.settled), (True, False))
        self.now += QUIET
        [gone] = self.units()
        self.assertEqual((gone.is_gone, gone.settled), (True, True))
        (self.folder / "a.old").rename(self.path)
        [back] = self.units()
        self.assertFalse(back.is_gone)


class LastGoodTests(FoldersTestCase):
    """What was good in an earlier life of the program."""

    def begin(self, good: dict[str, str]) -> list[str]:
        """Reads everything for the first time; what is wrong, without the places."""
        self.folders = Folders(
            lambda: self.wall, lambda: self.now, lambda source: good[source].encode() if source in good else None
        )
        return self.reload()

    def test_a_file_that_is_bad_says_what_it_said_when_it_was_good(self) -> None:
        """And that this is so; when it is good again, it says what it says."""
        self.write("[")
        problem, kept = self.begin({str(self.path): A + B})
        self.assertIn("this is no YAML", problem)
        self.assertEqual(kept, "until this is put right, what it said before counts, with 2 hosts")
        self.assertEqual(self.served(), ["a", "b"])
        self.assertEqual((len(self.reload()), self.served()), (2, ["a", "b"]))
        self.write(A)
        self.assertEqual((self.reload(), self.served()), ([], ["a"]))

    def test_a_file_that_was_never_good_disables_itself(self) -> None:
        """The others count."""
        (self.folder / "b.yaml").write_text("c.example.org: {adress: 192.168.0.3}\n")
        self.assertEqual(len(self.begin({})), 2)
        self.assertEqual(self.served(), ["a", "b"])

    def test_nobody_waits_for_what_was_kept(self) -> None:
        """Whoever reads has that done elsewhere; where there is no answer, nothing is known of it."""
        (self.folder / "b.yaml").write_text("[")
        self.folders, asked = Folders(lambda: self.wall, lambda: self.now, self.fail), list[str]()

        def do(blocking: Blocking) -> object:
            asked.append(blocking.where)
            if blocking.where == KEPT:
                raise OSError(errno.ETIMEDOUT, "it has not answered")
            return blocking.call()

        units = finish(self.folders.units([self.folder]), do)
        self.assertEqual([(len(unit.tokens), bool(unit.problems)) for unit in units], [(2, False), (0, True)])
        self.assertEqual(asked, [str(self.folder)] * 3 + [KEPT])

    def test_what_can_not_be_used_any_more_is_not(self) -> None:
        """A copy that is bad itself."""
        self.write("[")
        self.assertEqual((len(self.begin({str(self.path): "]"})), self.served()), (1, []))

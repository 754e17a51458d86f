"""Tests for `realmgw.subscribers.folders`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.subscribers import recall
from realmgw.subscribers.folders import Folders
from realmgw.subscribers.pieces import Unit
from realmgw.subscribers.recall import Memory
from realmgw.subscribers.register import Register
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read
from realmgw.test.subscribers.test_recall import finish

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
        self.now = LATER
        self.folders = Folders(lambda: self.now)
        self.register = Register()

    def units(self) -> list[Unit]:
        """What the folder says now."""
        return finish(self.folders.units([self.folder]))

    def reload(self) -> list[str]:
        """Serves what the folder says now; what is wrong, without the places."""
        finish(self.register.commit(finish(self.register.changes(self.units(), ZONES))))
        return [line.split(": ", 1)[1] for line in self.register.problems]

    def served(self) -> list[str]:
        """The hosts that are served, by their first label."""
        return sorted(host.name.partition(".")[0] for host in self.register.directory.hosts.values())

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

    def test_only_pieces_that_are_written_differently_are_parsed(self) -> None:
        """The others are known by their text."""
        self.reload()
        self.assertEqual(self.folders.parsed, 2)
        self.write("# a comment\n" + A + "c.example.org: {address: 192.168.0.3}\n")
        self.assertEqual((self.reload(), self.served()), ([], ["a", "c"]))
        self.assertEqual(self.folders.parsed, 3)

    def test_a_file_that_has_become_bad_keeps_what_it_said(self) -> None:
        """And says so, until it is put right."""
        self.reload()
        self.write(A + "b.example.org: {address: nonsense}\n")
        for _ in range(2):
            problem, kept = self.reload()
            self.assertIn("'nonsense' is no address", problem)
            self.assertEqual(kept, "until this is put right, what it said before counts, with 2 subscribers")
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

    def test_a_file_that_was_just_written_is_read_again(self) -> None:
        """It may change once more without getting another time stamp."""
        self.now = self.path.stat().st_ctime
        [first], [second] = self.units(), self.units()
        self.assertEqual(self.folders.versions, {})
        self.assertEqual(first.tokens, second.tokens)


class StartTests(FoldersTestCase):
    """Reading with what an earlier life of the program knew."""

    def begin(self) -> list[str]:
        """Ends a life that ran well, and begins another one; what is wrong, without the places."""
        self.folders = Folders(lambda: self.now, self.memory)
        self.register = Register()
        units = list(self.folders.each([self.folder]))
        finish(self.register.commit(finish(self.register.changes(units, ZONES))))
        return [line.split(": ", 1)[1] for line in self.register.problems]

    def setUp(self) -> None:
        """What a life that ran well leaves behind."""
        super().setUp()
        self.reload()
        text = finish(recall.written(self.register, self.folders.versions))
        assert text is not None
        self.memory = Memory(text)

    def test_a_file_that_was_not_written_is_not_parsed(self) -> None:
        """The same hosts are served."""
        self.assertEqual((self.begin(), self.served(), self.folders.parsed), ([], ["a", "b"], 0))

    def test_of_a_file_that_was_written_only_new_pieces_are_parsed(self) -> None:
        """The others are known."""
        self.write(A + "c.example.org: {address: 192.168.0.3}\n")
        self.assertEqual((self.begin(), self.served(), self.folders.parsed), ([], ["a", "c"], 1))

    def test_a_file_that_is_bad_says_what_it_said_when_it_was_good(self) -> None:
        """And that this is so."""
        self.write("[")
        problem, kept = self.begin()
        self.assertIn("this is no YAML", problem)
        self.assertEqual(kept, "until this is put right, what it said before counts, with 2 subscribers")
        self.assertEqual(self.served(), ["a", "b"])

    def test_a_file_that_was_never_good_disables_itself(self) -> None:
        """The others count."""
        (self.folder / "b.yaml").write_text("c.example.org: {adress: 192.168.0.3}\n")
        self.assertEqual(len(self.begin()), 2)
        self.assertEqual(self.served(), ["a", "b"])

    def test_what_is_good_stays_known_while_it_is_bad(self) -> None:
        """A second start finds the same."""
        self.write("[")
        self.begin()
        text = finish(recall.written(self.register, self.folders.versions))
        assert text is not None
        self.memory = Memory(text)
        self.begin()
        self.assertEqual(self.served(), ["a", "b"])

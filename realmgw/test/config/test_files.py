"""Tests for `realmgw.config.files`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import load
from realmgw.config.document import Problems
from realmgw.config.files import MAX_MAIN_FILE, read
from realmgw.errors import ConfigurationError
from realmgw.test.config.test_schema import MINIMAL


class LoadTests(SynchronousTestCase):
    """`load` reads the main file."""

    def setUp(self) -> None:
        """A folder of the test's own."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "realmgw.yaml"

    def refusals(self) -> tuple[str, ...]:
        """Every problem of the file."""
        error = self.assertRaises(ConfigurationError, load, self.path)
        assert isinstance(error, ConfigurationError)
        return error.problems

    def test_relative_folders_start_at_the_file(self) -> None:
        """Absolute ones stay where they are."""
        self.path.write_text(MINIMAL + "subscribers: [subscribers.d, /etc/subscribers.d]\n")
        self.assertEqual(load(self.path).subscribers, (self.folder / "subscribers.d", Path("/etc/subscribers.d")))

    def test_tells_all_problems_at_once_in_their_order(self) -> None:
        """Unknown keys, bad values and contradictions, each with file, line and column."""
        self.path.write_text(MINIMAL.replace("lan0", "wan0").replace("/24", "/33") + "allocations: {}\n")
        first, second, third = self.refusals()
        self.assertTrue(first.startswith(f"{self.path}:4:31: the interface wan0 stands twice"))
        self.assertTrue(second.startswith(f"{self.path}:5:32: '198.51.100.0/33' is no prefix"))
        self.assertEqual(third, f"{self.path}:7:1: the key 'allocations' is not known: did you mean 'allocation'?")

    def test_an_empty_file_is_told_what_it_needs(self) -> None:
        """Every key of the main file."""
        self.path.write_text("# nothing yet\n")
        [line] = self.refusals()
        self.assertIn("the file is empty: write name, zones, interfaces", line)

    def test_a_problem_of_yaml_alone_is_a_refusal(self) -> None:
        """Although all the keys that could be read were good."""
        self.path.write_text(MINIMAL + "---\n")
        [line] = self.refusals()
        self.assertIn("a second document", line)

    def test_a_missing_file_is_a_refusal(self) -> None:
        """So is a folder in its place."""
        self.assertEqual(self.refusals(), (f"{self.path}:1:1: there is no such file",))
        self.path.mkdir()
        self.assertEqual(self.refusals(), (f"{self.path}:1:1: this is no file",))


class ReadTests(SynchronousTestCase):
    """`read` takes care of what a file can be."""

    def test_refuses_a_file_that_is_too_long(self) -> None:
        """One octet too many, and nothing of it is parsed."""
        path = Path(self.mktemp())
        path.write_bytes(b"[" + b" " * (MAX_MAIN_FILE - 2) + b"]")
        problems = Problems("f")
        self.assertIsNotNone(read(path, MAX_MAIN_FILE, problems))
        self.assertIsNone(read(path, MAX_MAIN_FILE - 1, problems))
        self.assertEqual(problems.lines(), (f"f:1:1: has more than {MAX_MAIN_FILE - 1} octets: split it",))

    def test_refuses_what_is_no_regular_file(self) -> None:
        """Reading a pipe would wait for ever."""
        path = Path(self.mktemp())
        os.mkfifo(path)
        problems = Problems("f")
        self.assertIsNone(read(path, 10, problems))
        self.assertEqual(problems.lines(), ("f:1:1: this is no file",))

    def test_tells_the_operating_systems_refusal(self) -> None:
        """In its words: here, a name that is too long."""
        problems = Problems("f")
        self.assertIsNone(read(Path("x" * 300), 10, problems))
        self.assertEqual(problems.lines(), ("f:1:1: can not be read: File name too long",))

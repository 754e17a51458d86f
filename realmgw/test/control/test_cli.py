"""Tests for `realmgw.control.cli`."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw import __version__
from realmgw.control.cli import main
from realmgw.test.config.test_schema import MINIMAL


class CliTestCase(SynchronousTestCase):
    """Runs command lines."""

    def setUp(self) -> None:
        """A main file with a folder of subscribers."""
        self.folder = Path(self.mktemp())
        (self.folder / "subscribers.d").mkdir(parents=True)
        self.path = self.folder / "realmgw.yaml"
        self.path.write_text(MINIMAL + "subscribers: [subscribers.d]\n")

    def run_command(self, *arguments: str) -> tuple[int, list[str]]:
        """The exit status, and what was printed."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                status = main(arguments)
            except SystemExit as error:
                status = int(error.code or 0)
        return status, output.getvalue().splitlines()


class CheckTests(CliTestCase):
    """`realmgw check`."""

    def test_says_what_was_checked_when_all_is_well(self) -> None:
        """And exits with 0."""
        (self.folder / "subscribers.d" / "a.yaml").write_text("a.example.org: {address: 192.168.0.1}\n")
        self.assertEqual(
            self.run_command("check", "--config", str(self.path)),
            (
                0,
                [
                    f"{self.path}: example.org.; 256 addresses in the circular pool",
                    f"{self.folder}/subscribers.d: 1 hosts, 1 services",
                    "No problems.",
                ],
            ),
        )

    def test_prints_every_problem_of_the_main_file(self) -> None:
        """And exits with 1."""
        self.path.write_text("name: a..b\n")
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual((status, lines[-1]), (1, "5 problems."))
        self.assertTrue(all(line.startswith(f"{self.path}:1:") for line in lines[:5]))
        self.assertIn("The subscriber files were not checked", lines[5])

    def test_prints_every_problem_of_the_subscriber_files(self) -> None:
        """And what was good."""
        (self.folder / "subscribers.d" / "a.yaml").write_text("a.example.org: {}\n")
        status, lines = self.run_command("check", "--config", str(self.path))
        self.assertEqual((status, lines[-1]), (1, "1 problem."))
        self.assertTrue(lines[0].startswith(f"{self.folder}/subscribers.d/a.yaml:1:16: "))
        self.assertIn("0 hosts, 0 services", lines[2])


class CommandLineTests(CliTestCase):
    """The command line itself."""

    def test_tells_the_version(self) -> None:
        """Without a command."""
        self.assertEqual(self.run_command("--version"), (0, [f"realmgw {__version__}"]))

    def test_a_wrong_command_line_exits_with_2(self) -> None:
        """With the usage."""
        for arguments in ([], ["chek"], ["check", "--confog", "x"]):
            status, lines = self.run_command(*arguments)
            self.assertEqual(status, 2)
            self.assertTrue(lines[0].startswith("usage: realmgw"))

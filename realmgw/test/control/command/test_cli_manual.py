"""The manual page in docs/man is what the command says of itself."""

from __future__ import annotations

import os
import re
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.cli import command_line
from realmgw.control.commands import ExitStatus
from realmgw.test import programs
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.control.command.manual import commands, page

MAN = CHECKOUT / "docs" / "man" / "realmgw.8"
BEGIN, END = ".SH COMMANDS\n", ".SH FILES\n"


class PageTests(SynchronousTestCase):
    """The manual page."""

    skip = NO_CHECKOUT

    def test_says_what_the_command_says(self) -> None:
        """Set REALMGW_WRITE_MANUAL to have it written anew."""
        text = MAN.read_text()
        head, tail = text.partition(BEGIN)[0], END + text.partition(END)[2]
        made = page(command_line, head, tail)
        if os.environ.get("REALMGW_WRITE_MANUAL"):
            MAN.write_text(made)
        self.assertEqual(MAN.read_text(), made)

    def test_is_understood_by_man(self) -> None:
        """Without a warning."""
        if reason := programs.missing("mandoc"):
            self.skipTest(reason)
        argv = ["mandoc", "-T", "lint", "-W", "error", str(MAN)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_every_exit_status_is_explained(self) -> None:
        """Here, and in docs/operations.md."""
        text = (CHECKOUT / "docs" / "operations.md").read_text()
        rows = dict(re.findall(r"^\| (\d) \| ([^|]*) \|$", text, re.MULTILINE))
        self.assertEqual(rows, {str(status.value): status.text for status in ExitStatus})

    def test_operations_name_every_command(self) -> None:
        """With all its words."""
        text = (CHECKOUT / "docs" / "operations.md").read_text()
        for name, _ in commands(command_line):
            self.assertIn(f"realmgw {name}", text)

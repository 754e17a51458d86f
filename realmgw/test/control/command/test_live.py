"""Tests for `realmgw.control.command.live`: a pipe, and a real terminal."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.live import repeat
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.test.checkout import CHECKOUT

ON_A_TERMINAL = """
from realmgw.control.command.live import repeat
answers = iter([["first " * 40], [str(n) for n in range(1000)], ["last"]])
repeat(lambda: next(answers), lambda answer: answer, 0.0, as_json=False)
"""
GONE = CommandError(ExitStatus.NO_GATEWAY, "nobody answers")


class RepeatTests(SynchronousTestCase):
    """What is shown; whoever looks has seen enough in the end."""

    def shown(self, *answers: Any, as_json: bool = False) -> str:
        """What answers, or errors, come to."""
        coming = iter([*answers, KeyboardInterrupt()])

        def fetch() -> Any:
            answer = next(coming)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        with contextlib.redirect_stdout(io.StringIO()) as seen, contextlib.suppress(KeyboardInterrupt):
            repeat(fetch, lambda answer: [f"it is {answer}", "."], 0.0, as_json=as_json)
        return seen.getvalue()

    def test_one_below_the_other(self) -> None:
        """In a pipe nothing is cut, and nothing is drawn."""
        self.assertEqual(self.shown(1, 2), "it is 1\n.\n\nit is 2\n.\n\n")

    def test_as_json_each_is_a_line(self) -> None:
        """For programs."""
        self.assertEqual(self.shown({"a": 1}, {"a": 2}, as_json=True), '{"a": 1}\n{"a": 2}\n')

    def test_a_gateway_that_is_restarted_is_waited_for(self) -> None:
        """It is said that nobody answers meanwhile."""
        self.assertEqual(self.shown(1, GONE, 2), "it is 1\n.\n\nnobody answers\n\nit is 2\n.\n\n")

    def test_what_is_wrong_from_the_beginning_is_told(self) -> None:
        """So is what waiting does not mend."""
        self.assertIs(self.assertRaises(CommandError, self.shown, GONE), GONE)
        other = CommandError(ExitStatus.NOT_FOUND, "there is no such host")
        self.assertIs(self.assertRaises(CommandError, self.shown, 1, other), other)

    def on_a_terminal(self, **said: str) -> bytes:
        """What a terminal is sent, where the environment says this."""
        reader, writer = pty.openpty()
        self.addCleanup(os.close, reader)
        kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
        environment = {**kept, "LINES": "24", "COLUMNS": "80", "PYTHONPATH": str(CHECKOUT), **said}
        argv = [sys.executable, "-c", ON_A_TERMINAL]
        child = subprocess.Popen(argv, stdout=writer, stderr=subprocess.PIPE, env=environment)
        os.close(writer)
        seen = b""
        with contextlib.suppress(OSError):  # the terminal's other end is closed
            while data := os.read(reader, 65536):
                seen += data
        self.assertIn(b"StopIteration", child.communicate()[1])  # the answers have come to an end
        return seen

    def test_on_a_terminal_it_stands_in_one_place(self) -> None:
        """As much of it as has room; what was there before comes back."""
        seen = self.on_a_terminal(TERM="xterm")
        self.assertIn(b"\x1b[?1049h", seen)
        self.assertTrue(seen.rstrip().endswith(b"\x1b[?25h") or b"\x1b[?1049l" in seen)
        self.assertIn(b"last", seen)
        self.assertRegex(seen, rb"22 *\r\n23")
        self.assertNotRegex(seen, rb"23 *\r\n24")
        self.assertNotIn(b"first " * 20, seen)

    def test_on_a_terminal_that_has_no_places_it_is_as_in_a_pipe(self) -> None:
        """An editor's, for example."""
        for kind in ("dumb", "unknown"):
            seen = self.on_a_terminal(TERM=kind)
            self.assertNotIn(b"\x1b", seen)
            self.assertIn(b"first " * 40 + b"\r\n\r\n0\r\n1\r\n", seen)
            self.assertTrue(seen.endswith(b"999\r\n\r\nlast\r\n\r\n"))

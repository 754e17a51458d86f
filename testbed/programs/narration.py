"""Shows a person, step by step, what is done and what is seen, and keeps count of the claims that came true."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import TextIO

from testbed.realm.topology import CHECKOUT, environment

BOLD, DIM, GREEN, RED, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[0m"
"""Colours, on a terminal only."""
WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|[^'" ])+""")
"""A word of a command line; what is in quotes is not torn apart."""
NO_TIME_LEFT = 124
"""Exit status of a command that was ended because it took too long, as timeout(1) has it."""


class Narration:
    """What the demo says, on one stream."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        """Begins the count.

        Args:
            out: Where to say it; colours and a live line only if that is a terminal.
        """
        self._out = out
        self._live = out.isatty()
        self._steps = 0
        self._claims = 0
        self._false: list[str] = []
        self._begin = time.monotonic()

    def step(self, title: str) -> None:
        """Begins a step.

        Args:
            title: What it shows.
        """
        self._steps += 1
        self._line("")
        self._line(f"{self._steps}. {title}", BOLD)

    def remark(self, text: str) -> None:
        """Explains something.

        Args:
            text: One line or several.
        """
        for line in text.splitlines():
            if line.startswith(" "):  # a command that may be typed
                self._wrapped(WORD.findall(line), "     ", "         ", " \\")
            else:
                self._wrapped(line.split(" "), "   ", "   ", "")

    def command(self, text: str) -> None:
        """Shows what is typed.

        Args:
            text: A command line.
        """
        self._wrapped(WORD.findall(text), "   $ ", "       ", " \\")

    def seen(self, text: str) -> None:
        """Shows what came out.

        Args:
            text: Any number of lines.
        """
        for line in text.splitlines():
            self._line(f"     {line}", DIM)

    def type(self, *argv: str, timeout: float = 10.0) -> subprocess.CompletedProcess[str]:
        """Shows a command, runs it in the checkout and shows its output.

        Args:
            argv: The command and its arguments; `ip netns exec` puts it into a namespace.
            timeout: How long it may take, in seconds; then its exit status is `NO_TIME_LEFT`.
        """
        self.command(shlex.join(argv))
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
                cwd=CHECKOUT,
                env=environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            done = subprocess.CompletedProcess(argv, NO_TIME_LEFT, "", "")
        self.seen(done.stdout + (f"(exit status {done.returncode})\n" if done.returncode else ""))
        return done

    def claim(self, text: str, truth: bool, observed: str = "") -> bool:
        """Says whether something is true.

        Args:
            text: What we claim.
            truth: Whether it is.
            observed: What was seen, for one line.

        Returns:
            `truth`.
        """
        self._claims += 1
        if not truth:
            self._false.append(f"step {self._steps}: {text}")
        word, colour = ("PASS", GREEN) if truth else ("FAIL", RED)
        self._line(f"   {self._coloured(word, colour)} {text}" + (f": {observed}" if observed else ""))
        return truth

    def progress(self, text: str) -> None:
        """Shows a line in place of the last such line; nothing when the stream is no terminal.

        Args:
            text: The line.
        """
        if self._live:
            self._out.write(f"\r\x1b[K   {text}")
            self._out.flush()

    def end_progress(self, text: str) -> None:
        """Shows the last line of a progress; this one is shown in any case.

        Args:
            text: The line.
        """
        self._line(("\r\x1b[K" if self._live else "") + f"   {text}")

    def conclude(self) -> int:
        """Says the result of all of it.

        Returns:
            The exit status: 0 when every claim was true.
        """
        self._line("")
        for text in self._false:
            self._line(f"FAIL {text}", RED)
        true = self._claims - len(self._false)
        took = time.monotonic() - self._begin
        self._line(f"{true} of {self._claims} claims are true, in {took:.1f} s.", RED if self._false else GREEN)
        return 1 if self._false else 0

    def _coloured(self, text: str, colour: str) -> str:
        """The text, coloured on a terminal."""
        return f"{colour}{text}{PLAIN}" if self._live and colour else text

    def _wrapped(self, words: Iterable[str], first: str, others: str, end: str) -> None:
        """A command over as many lines as the terminal needs, broken between words as a shell takes it."""
        width = shutil.get_terminal_size((120, 24)).columns if self._live else sys.maxsize
        lines, line = [], first
        for word in words:
            if line.strip(" $") and len(line) + len(word) + len(end) > width:
                lines.append(line.rstrip() + end)
                line = others
            line += f"{word} "
        for each in [*lines, line.rstrip()]:
            self._line(each)

    def _line(self, text: str, colour: str = "") -> None:
        """One line, at once."""
        print(self._coloured(text, colour), file=self._out, flush=True)

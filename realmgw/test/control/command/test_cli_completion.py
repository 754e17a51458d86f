"""Completion in the shells that it is for: each is asked what it would offer."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from os import close, read, write
from pathlib import Path
from select import select
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs
from realmgw.test.checkout import CHECKOUT

_BASH = """
source {script}
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); [ -n "{last}" ] || {{ COMP_WORDS+=("") ; COMP_CWORD=$((COMP_CWORD + 1)); }}
_realmgw_completion realmgw; printf '%s\\n' "${{COMPREPLY[@]}}"
"""  # noqa: E501 - one line of a shell


class ShellTests(SynchronousTestCase):
    """What stands behind `realmgw`, and what may follow: the script asks the command itself."""

    def setUp(self) -> None:
        """The command is on the path."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        command = self.folder / "realmgw"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m realmgw.control.command.cli "$@"\n')
        command.chmod(0o755)
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PATH": path}

    def run_(self, *words: str) -> str:
        """What a program says, if it has no complaint."""
        found = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60, env=self.environment)
        self.assertEqual(found.stderr, "")
        return found.stdout

    def path(self, shell: str) -> Path:
        """The shell's script in a file, which it takes; skips where there is no such shell."""
        if reason := programs.missing(shell):
            raise SkipTest(reason)
        path = self.folder / "_realmgw"
        path.write_text(self.run_("realmgw", "completion", shell))
        self.run_(shell, "-n", str(path))
        return path

    def test_fish_offers_commands_and_options(self) -> None:
        """By its own `complete -C`."""
        path = self.path("fish")

        def offered(line: str) -> list[str]:
            found = self.run_("fish", "--no-config", "-c", f"source {path}; complete -C '{line}'")
            return [each.split("\t")[0] for each in found.splitlines()]

        self.assertIn("subscribers", offered("realmgw sub"))
        self.assertEqual(sorted(offered("realmgw subscribers ")), ["add", "generate", "list", "remove", "show"])
        self.assertIn("--repository", offered("realmgw subscribers generate --rep"))

    def test_bash_offers_commands_and_options(self) -> None:
        """By the function that it would call, whatever options stand between."""
        path = self.path("bash")

        def offered(*words: str) -> list[str]:
            return self.run_("bash", "-c", _BASH.format(script=path, words=" ".join(words), last=words[-1])).split()

        self.assertEqual(offered("realmgw", "rel"), ["reload"])
        self.assertEqual(offered("realmgw", "subscribers", "s"), ["show"])
        self.assertEqual(offered("realmgw", "subscribers", "generate", "--rep"), ["--repository"])
        self.assertLessEqual({"--resolver", "--json"}, {*offered("realmgw", "explain", "--json", "name", "--")})
        self.assertEqual(offered("realmgw", "completion", ""), ["bash", "fish", "zsh"])

    def test_zsh_offers_commands_and_options(self) -> None:
        """In a terminal, as it is typed: what can only be one thing is written out."""
        path = self.path("zsh")
        self.assertIn("realmgw subscribers", self.typed(path, "realmgw subs\t"))
        self.assertIn("realmgw subscribers generate --repository", self.typed(path, "realmgw subscribers gen\t--rep\t"))

    def typed(self, path: Path, keys: str) -> str:
        """What a terminal shows of zsh when keys are typed."""
        main, side = pty.openpty()
        self.addCleanup(close, main)
        process = subprocess.Popen(
            ["zsh", "-f", "-i"], stdin=side, stdout=side, stderr=side, start_new_session=True, env=self.environment
        )
        close(side)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        write(main, f"PS1=; autoload -U compinit; compinit -u -d {path}.dump; source {path}; print rea''dy\n".encode())
        self.until(main, "ready")
        write(main, keys.encode() + b"\x01print -r -- '\x05' sa''id\n")
        return self.until(main, "said").replace("\r", "")

    def until(self, terminal: int, mark: str) -> str:
        """What is shown until a word comes."""
        text = ""
        while mark not in text:
            self.assertTrue(select([terminal], [], [], 30.0)[0], f"nothing comes after {text!r}")
            text += read(terminal, 4096).decode(errors="replace")
        return text

"""Completion in the shells that it is for: each is asked what it would offer."""

from __future__ import annotations

import pty
import subprocess
from os import close, read, write
from pathlib import Path
from select import select
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.cli import parser
from realmgw.control.command.completion import script
from realmgw.test import programs

_BASH = """
source {script}
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); [ -n "{last}" ] || {{ COMP_WORDS+=("") ; COMP_CWORD=$((COMP_CWORD + 1)); }}
_realmgw; printf '%s\\n' "${{COMPREPLY[@]}}"
"""  # noqa: E501 - one line of a shell


class ShellTests(SynchronousTestCase):
    """What stands behind `realmgw`, and what may follow."""

    def path(self, shell: str) -> Path:
        """The shell's script in a file; skips where there is no such shell."""
        if reason := programs.missing(shell):
            raise SkipTest(reason)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        path = folder / "_realmgw"
        path.write_text(script(parser(), shell) + "\n")
        return path

    def test_fish_offers_commands_and_options(self) -> None:
        """By its own `complete -C`."""
        path = self.path("fish")

        def offered(line: str) -> list[str]:
            words = ["fish", "--no-config", "-c", f"source {path}; complete -C '{line}'"]
            found = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
            self.assertEqual(found.stderr, "")
            return [each.split("\t")[0] for each in found.stdout.splitlines()]

        self.assertIn("subscribers", offered("realmgw sub"))
        self.assertEqual(sorted(offered("realmgw subscribers ")), ["add", "generate", "list", "remove", "show"])
        self.assertIn("--repository", offered("realmgw subscribers generate --rep"))

    def test_bash_offers_commands_and_options(self) -> None:
        """By the function that it would call."""
        path = self.path("bash")

        def offered(*words: str) -> list[str]:
            text = _BASH.format(script=path, words=" ".join(words), last=words[-1])
            found = subprocess.run(["bash", "-c", text], check=True, capture_output=True, text=True, timeout=60)
            return found.stdout.split()

        self.assertEqual(offered("realmgw", "sub"), ["subscribers"])
        self.assertEqual(offered("realmgw", "subscribers", "generate", "--rep"), ["--repository"])

    def test_zsh_offers_commands_and_options(self) -> None:
        """In a terminal, as it is typed: what can only be one thing is written out."""
        path = self.path("zsh")
        self.assertIn("realmgw subscribers", self.typed(path, "realmgw subs\t"))
        self.assertIn("realmgw subscribers generate --repository", self.typed(path, "realmgw subscribers gen\t--rep\t"))

    def typed(self, path: Path, keys: str) -> str:
        """What a terminal shows of zsh when keys are typed."""
        main, side = pty.openpty()
        self.addCleanup(close, main)
        process = subprocess.Popen(["zsh", "-f", "-i"], stdin=side, stdout=side, stderr=side, start_new_session=True)
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

"""Tests for `realmgw.control.command.completion`, by the shells themselves where they are there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.cli import parser
from realmgw.control.command.completion import SHELLS, script, tree
from realmgw.test import programs


class TreeTests(SynchronousTestCase):
    """What may follow."""

    def test_knows_every_command_with_its_options(self) -> None:
        """At every depth."""
        places = tree(parser())
        self.assertIn("explain", [word.text for word in places[""]])
        self.assertLessEqual({"--resolver", "--json"}, {word.text for word in places["explain name"]})
        self.assertLessEqual({"bash", "fish", "zsh"}, {word.text for word in places["completion"]})


class ScriptTests(SynchronousTestCase):
    """The scripts."""

    def complete(self, *words: str) -> set[str]:
        """What bash offers after these words, the last of which is not complete."""
        text = f"{script(parser(), 'bash')}\nCOMP_WORDS=({' '.join(words)})\nCOMP_CWORD={len(words) - 1}\n_realmgw\n"
        done = subprocess.run(
            ["bash", "-c", text + 'printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    def test_bash_completes_commands_and_options(self) -> None:
        """Whatever options stand between."""
        if reason := programs.missing("bash"):
            self.skipTest(reason)
        self.assertEqual(self.complete("realmgw", "subscribers", "s"), {"show"})
        self.assertIn("--resolver", self.complete("realmgw", "explain", "--json", "name", "--"))
        self.assertEqual(self.complete("realmgw", "rel"), {"reload"})

    def test_every_shell_accepts_its_script(self) -> None:
        """And all scripts name every command."""
        for shell in SHELLS:
            text = script(parser(), shell)
            for place in tree(parser()):
                self.assertTrue(all(word in text for word in place.split()), f"{shell}: {place}")
            if programs.missing(shell) is None:
                path = Path(self.mktemp())
                path.write_text(text)
                done = subprocess.run([shell, "-n", path], capture_output=True, text=True, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
        if reason := programs.missing(*SHELLS):
            self.skipTest(reason)

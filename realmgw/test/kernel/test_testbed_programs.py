"""The programs in testbed/, asked for help: they answer, and do nothing else."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT
from realmgw.test.source import TESTBED

NOBODY = 65534
"""A user that may do nothing."""

MODULES = {"bench": "programs.bench", "matrix": "programs.matrix", "reload-storm": "programs.storm",
           "scenarios": "programs.scenarios", "traffic": "programs.traffic", "simulate": "simulated.simulation",
           "demo": "programs.demo"}  # fmt: skip
"""Script -> the module of testbed that it runs."""
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
"""An option in a help text."""


def is_program(path: Path) -> bool:
    """Whether somebody can start it."""
    return path.is_file() and bool(path.stat().st_mode & stat.S_IXUSR)


class HelpTests(SynchronousTestCase):
    """Each program in a copy of the folder, started by nobody with an empty environment."""

    skip = NO_CHECKOUT

    def setUp(self) -> None:
        """Makes the copy, where nobody may read it."""
        above = Path(tempfile.mkdtemp())
        above.chmod(0o755)
        self.addCleanup(shutil.rmtree, above)
        self.folder = above / "checkout"
        ignored = shutil.ignore_patterns("build", "__pycache__")
        shutil.copytree(CHECKOUT / "testbed", self.folder / "testbed", ignore=ignored)
        shutil.copy(CHECKOUT / "setup.cfg", self.folder)

    def programs(self) -> list[Path]:
        """Every one of them."""
        found = [path for path in (self.folder / "testbed").rglob("*") if is_program(path)]
        self.assertGreater(len(found), 10)
        return found

    def ask(self, program: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it, as nobody if we may."""
        text = program.read_text()
        command = [*text.partition("\n")[0][2:].split(), str(program), *words]
        if "busybox" in command[0]:  # the guest's; what it is run by may not be installed here
            command[0:2] = ["sh"]
        # Whoever is root opens files of any folder for it; it may open none by itself.
        who = NOBODY if os.geteuid() == 0 else None
        return subprocess.run(
            command, env={}, user=who, group=who, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip

    def state(self) -> dict[Path, int]:
        """All that is in the copy, and when it was changed."""
        return {path: path.stat().st_mtime_ns for path in self.folder.rglob("*")}

    def test_every_program_answers_and_does_nothing_else(self) -> None:
        """It needs no root, no package, no environment and no place to write to; its status is 0."""
        before = self.state()
        for program in self.programs():
            for word in ("--help", "-h"):
                done = self.ask(program, word)
                self.assertEqual((program.name, done.returncode, done.stderr), (program.name, 0, ""))
                self.assertGreater(len(done.stdout), 60, program.name)
        self.assertEqual(self.state(), before)

    def test_unknown_option_is_an_error_before_anything_is_done(self) -> None:
        """The status is 2, the message has the option's name, and nothing else was said."""
        before = self.state()
        for program in (path for path in self.programs() if path.parent.name == "testbed"):
            done = self.ask(program, "--no-such-option")
            self.assertEqual((program.name, done.returncode, done.stdout), (program.name, 2, ""))
            self.assertIn("--no-such-option", done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertEqual(self.state(), before)

    def test_name_that_is_no_test_is_an_error_before_anything_is_done(self) -> None:
        """A suite that --bare does not know, too."""
        for words in (["sid"], ["--bare", "sid"], ["--bare=sid"], ["--bare", "trixie", "--", "sid"]):
            done = self.ask(self.folder / "testbed" / "check", *words)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("sid", done.stderr)

    def test_help_names_the_options_that_there_are(self) -> None:
        """Those of the Python program behind the script, and, for the demonstration, of the script itself."""
        for name, module in MODULES.items():
            words = [sys.executable, "-m", f"testbed.{module}", "--help"]
            done = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True)
            told = set(OPTION.findall(self.ask(self.folder / "testbed" / name, "--help").stdout))
            self.assertEqual((name, told - {"--bare"}), (name, set(OPTION.findall(done.stdout)) - {"--help"}))

    def test_every_module_that_can_be_run_answers(self) -> None:
        """Those that the testbed starts by itself, too."""
        run = [module for module in TESTBED if '\nif __name__ == "__main__":' in module.path.read_text()]
        self.assertGreater(len(run), 15)
        for module in run:
            words = [str(module.path)] if module.path.name == "reaper.py" else ["-m", module.name]
            done = subprocess.run(
                [sys.executable, *words, "--help"],
                cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            self.assertEqual((module.name, done.returncode, done.stderr), (module.name, 0, ""))
            self.assertGreater(len(done.stdout), 60, module.name)

"""Tests for `realmgw.test.programs`: what tests need is installed by `testbed/check`, and what is missing is named."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs
from realmgw.test.checkout import CHECKOUT, NO_CHECKOUT

EVERYWHERE = {"bash", "util-linux"}
"""Packages that every Debian has."""
SKIPPING = """
from twisted.trial.unittest import SynchronousTestCase

class SkippedTests(SynchronousTestCase):
    def test_needs_a_package(self):
        self.skipTest("not installed: zsh (Debian's package zsh)")

    def test_needs_another_kernel(self):
        self.skipTest("not on this kernel: MARKDNAT")

    def test_passes(self):
        pass
"""


class ProgramsTests(SynchronousTestCase):
    """What tests need."""

    skip = NO_CHECKOUT

    def test_every_package_is_installed_by_check(self) -> None:
        """It stands in the lists of `testbed/setup.sh`, or is unpacked there."""
        text = (CHECKOUT / "testbed" / "setup.sh").read_text()
        lists = re.findall(r"^(?:(?:APT|TEST|RESOLVER)_PACKAGES|BACKPORTS)=\((.*?)\)", text, re.MULTILINE | re.DOTALL)
        lists += re.findall(r"\(unpack_package ([a-z-]+) ", text)
        self.assertEqual(set(programs.PACKAGES.values()) - EVERYWHERE - set(" ".join(lists).split()), set())

    def test_what_is_missing_is_named_by_its_package(self) -> None:
        """All of it."""
        self.patch(programs, "PACKAGES", {"no-such-a": "first", "sh": "dash", "no-such-b": "second"})
        reason = "not installed: no-such-a (Debian's package first), no-such-b (Debian's package second)"
        self.assertEqual(programs.missing("no-such-a", "sh", "no-such-b"), reason)
        self.assertEqual(programs.missing("sh"), None)
        self.patch(programs, "DISTRIBUTIONS", {"no_such_c": "third", "re": "python"})
        self.assertEqual(
            programs.missing_modules("no_such_c", "re"), "not installed: no_such_c (the Python package third)"
        )

    def test_no_test_looks_for_programs_in_another_way(self) -> None:
        """So that none can skip, or leave something out, without a name."""
        for path in (CHECKOUT / "realmgw" / "test").rglob("*.py"):
            if path.name not in ("programs.py", "checkout.py", "test_programs.py"):
                self.assertNotRegex(path.read_text(), r"\bwhich\(|\bfind_spec\(", str(path))


FAILING = """
from twisted.trial.unittest import SynchronousTestCase
class Tests(SynchronousTestCase):
    def test_good(self): pass
for number in range(1):
    setattr(Tests, f"test_{number}", lambda self: self.fail("on purpose"))
"""


INTERRUPTED = """
import os, signal
from twisted.trial.unittest import SynchronousTestCase
class Tests(SynchronousTestCase):
    def test_first(self): os.kill(os.getpid(), signal.SIGINT)
    def test_second(self): print("goes on")
"""


class InterruptTests(SynchronousTestCase):
    """Ctrl-C at a program of the testbed."""

    skip = NO_CHECKOUT

    def test_a_program_ends(self) -> None:
        """Where what it has started has minded the signal itself, and has ended well."""
        path = Path(self.mktemp()).absolute()
        path.write_text(f"#!/bin/bash\n# Help.\nsource {CHECKOUT}/testbed/setup.sh\nsh -c 'kill -INT $PPID'\nsay on\n")
        done = subprocess.run(["bash", str(path)], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (130, "", ""))

    def test_tests_end(self) -> None:
        """All of them, and not the one at hand."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "interrupted.py").write_text(INTERRUPTED)
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{CHECKOUT}"}
        argv = [sys.executable, "-m", "testbed.measuring.tally", "tally", "interrupted"]
        done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, -signal.SIGINT, done.stdout)
        self.assertNotIn("goes on", done.stdout)


class TallyTests(SynchronousTestCase):
    """`testbed.measuring.tally`, by which `testbed/check` counts."""

    skip = NO_CHECKOUT

    def test_test_that_needs_a_package_has_failed_and_names_it(self) -> None:
        """One that needs another kernel is skipped."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "skipping.py").write_text(SKIPPING)
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{CHECKOUT}"}
        argv = [sys.executable, "-m", "testbed.measuring.tally", str(folder / "tally"), "skipping"]
        done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual((folder / "tally").read_text(), "1 1 1\n")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, "FAILED by being skipped: .*needs_a_package: not installed: zsh")
        self.assertRegex(done.stdout, r"\n +\d+\.\d s  skipping\n")

    def test_leaves_out_packages_and_modules(self) -> None:
        """So that two runs can share the tests."""
        folder = Path(self.mktemp()).absolute()
        (folder / "part").mkdir(parents=True)
        for name in ("skipping", "other/skipping", "part/__init__", "part/skipping"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / f"{name}.py").write_text(SKIPPING if name.endswith("skipping") else "")
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{CHECKOUT}"}
        argv = [sys.executable, "-m", "testbed.measuring.tally", "--without", "part", "--without", "other.skipping"]
        argv += ["tally", "skipping", "part", "other.skipping"]
        subprocess.run(argv, cwd=folder, env=environment, capture_output=True, check=False)
        self.assertEqual((folder / "tally").read_text(), "1 1 1\n")

    def test_runs_share_the_modules(self) -> None:
        """Each is run by the first that comes to it, from the beginning or from the end."""
        folder = Path(self.mktemp()).absolute()
        (folder / "shared").mkdir(parents=True)
        names = ("one", "three", "two")  # in this order
        for name in names:
            (folder / f"{name}.py").write_text(f"{SKIPPING}        print('ran', __name__)\n")
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{CHECKOUT}"}
        argv = [sys.executable, "-m", "testbed.measuring.tally", "--share", "shared"]
        (folder / "shared" / "three").touch()  # by one that runs it now
        for more, ran, tally in ((["--last-first"], ["two", "one"], "2 2 2\n"), ([], [], "0 0 0\n")):
            done = subprocess.run(
                [*argv, *more, "tally", *names],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual(re.findall(r"ran (\w+)", done.stdout), ran, done.stderr)
            self.assertEqual((folder / "tally").read_text(), tally)

    def test_what_failed_is_left_for_a_run_of_its_own(self) -> None:
        """Its name is written down, and it is not counted; many that fail, and a module that can not be read, are."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "failing.py").write_text(FAILING)
        (folder / "many.py").write_text(FAILING.replace("range(1)", "range(20)"))
        (folder / "broken.py").write_text("import nothing_of_the_sort\n")
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{CHECKOUT}"}
        for names, tally, later in (
            (["failing"], "1 0 0\n", "failing.Tests.test_0\n"),
            (["failing", "many"], "2 21 0\n", ""),
            (["failing", "broken"], "1 2 0\n", ""),
        ):
            argv = [sys.executable, "-m", "testbed.measuring.tally", "--later", "later", "tally", *names]
            done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            self.assertEqual((folder / "tally").read_text(), tally, done.stdout)
            self.assertEqual((folder / "later").read_text(), later)
            self.assertEqual(done.returncode, 0 if later else 1)

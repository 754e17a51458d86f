"""What runs the tests in a stock kernel under qemu, tried on this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.test.kernel import requirements

FORK_SERVER = """
import os, signal, subprocess, sys
from testbed.realm.fork_server import ForkServer
fork_server = ForkServer()
files = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "stdout": subprocess.PIPE, "env": {"WHO": "me"}}
def start(*words):
    return fork_server.start([sys.executable, *words], **files)
said = start("-c", "import os, sys; print(sys.argv[1:], os.environ['WHO']); sys.exit(7)", "a", "b")
print(said.communicate(), said.returncode)
for code in ("raise SystemExit", "1 / 0", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"):
    ended = start("-c", code)
    ended.communicate()
    print(ended.returncode)
killed = start("-c", "import time; time.sleep(60)")
assert killed.poll() is None
killed.kill()
print(killed.wait(5))
there = start("-c", "import os; print(os.readlink('/proc/self/ns/net'))").communicate()[0].decode().strip()
print(there == os.readlink("/proc/thread-self/ns/net"))
"""
OUTCOMES = """
from twisted.trial.unittest import SynchronousTestCase
class Tests(SynchronousTestCase):
    def test_one(self): pass
    def test_once(self):
        with open(__file__ + ".been", "a") as file: file.write("once")
        with open(__file__ + ".been") as file: self.assertEqual("onceonce", file.read())
    def test_two(self): self.fail("on purpose")
    def test_three(self): self.skipTest("something is missing")
    def test_four(self):
        self.addCleanup(lambda: 1 / 0)
"""


class GuestTests(SynchronousTestCase):
    """`testbed.realm.fork_server` and `testbed.realm.guest`, each in a process of its own."""

    skip = requirements.missing_for_gateway()

    def run_python(self, *words: str, path: Path = Path()) -> subprocess.CompletedProcess[str]:
        """Runs an interpreter in the checkout, with a folder of modules."""
        from testbed.realm.topology import environment  # noqa: PLC0415 - these tests skip where there is no testbed

        settings = {**environment(), "PYTHONPATH": f"{path.absolute()}:{environment()['PYTHONPATH']}"}
        return subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, timeout=60, env=settings, check=False
        )

    def test_program_of_the_nursery_is_like_any_other(self) -> None:
        """Its arguments, environment, output, namespace and end are those that were asked for."""
        done = self.run_python("-c", FORK_SERVER)
        self.assertEqual(
            ["(b\"['a', 'b'] me\\n\", None) 7", "0", "1", "-15", "-9", "True"], done.stdout.splitlines(), done.stderr
        )

    def outcome(self, *names: str) -> tuple[list[str], int]:
        """The lines but for the last one, and the exit status."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "outcomes.py").write_text(OUTCOMES)
        done = self.run_python("-m", "testbed.realm.guest", str(folder / "trial"), "here", *names, path=folder)
        return done.stdout.splitlines()[:-1], done.returncode

    def test_everything_but_success_is_a_failure(self) -> None:
        """A failed test, a skipped one, and one whose clean-up fails are told so, and the exit status too."""
        lines, status = self.outcome("outcomes")
        self.assertEqual(1, status)
        self.assertEqual(
            ["FAIL", "ok  ", "ok  ", "FAIL", "FAIL"],
            [
                line[:4]
                for line in sorted(lines, key=lambda line: line.split("test_")[1])
                if not line.startswith("note")
            ],
        )

    def test_what_failed_is_run_once_more_and_told(self) -> None:
        """One that passes then has passed; what is skipped is not tried again."""
        lines, status = self.outcome("outcomes.Tests.test_once", "outcomes.Tests.test_one")
        self.assertEqual(0, status)
        self.assertEqual(
            ["note here: Tests.test_once, once more", "ok   here", "ok   here"],
            [line.rsplit(":", 1)[0] for line in lines],
        )
        lines, status = self.outcome("outcomes.Tests.test_three")
        self.assertEqual((1, ["FAIL"]), (status, [line[:4] for line in lines]))

    def test_tests_that_do_not_exist_fail(self) -> None:
        """A name that leads nowhere is a failure, not an empty success."""
        lines, status = self.outcome("realmgw.test.nothing")
        self.assertEqual((1, ["FAIL"]), (status, [line[:4] for line in lines]))

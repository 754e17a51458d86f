"""Runs tests of the gateway on an emulated processor, and says what became of each, one line a test.

    python -m testbed.realm.guest FOLDER LABEL NAME...

FOLDER is for what the tests leave behind; LABEL begins each line; NAMEs are what `trial` takes. The lines are those of
`testbed/kmod/checks`: "ok   LABEL: TEST", "FAIL LABEL: TEST: why". A test that is skipped has failed: in the guest,
nothing is missing. A few that fail are run once more at the end, and that is told ("note LABEL: TEST, once more: why"):
on an emulated processor seconds are short. What else there is to say goes to standard error. Status 0: at least one
passed, and nothing failed; 1: something did.

Hosts and gateways come from a fork server: that they start by themselves, too, is seen by all tests elsewhere.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from twisted.python.failure import Failure
from twisted.trial import reporter, runner

from testbed.realm import topology
from testbed.realm.fork_server import ForkServer

PRELOADED = (
    "netfilterqueue",
    "realmgw.tap",
    "testbed.realm.client",
    "testbed.realm.gateway",
    "testbed.realm.host",
    "twisted.scripts.twistd",
)
"""What the programs of the tests import, of what may be imported before there is a reactor."""
PATIENCE = 150.0  # seconds
"""A test that takes longer hangs: all stacks are written down, and this process ends."""
CHANCE = 3
"""So many tests are run once more. More have not failed by chance."""
WIDTH = 300
"""So many characters are said of why a test failed; all of it goes to standard error."""


class Starter:
    """Starts Python programs by the fork server, all others in the usual way."""

    def __init__(self) -> None:
        """Makes the fork server: there must be no reactor yet."""
        gc.disable()
        for module in PRELOADED:
            __import__(module)
        gc.freeze()  # it would be looked through, and so copied, in each that is forked
        gc.enable()
        self._fork_server = ForkServer()

    def start(self, argv: Sequence[str], **popen: Any) -> subprocess.Popen[bytes]:
        """See `subprocess.Popen`."""
        if argv[0] == sys.executable:
            return self._fork_server.start(argv, **popen)
        return subprocess.Popen(list(argv), **popen)


class LineReporter(reporter.TextReporter):
    """A line for each test to standard output, and everything that trial prints to its own stream."""

    label = ""
    passed = 0
    failed = 0
    chances = CHANCE

    def __init__(self, *arguments: object, **keywords: object) -> None:
        super().__init__(*arguments, **keywords)  # type: ignore[no-untyped-call]
        self.later: list[str] = []

    def startTest(self, test: Any) -> None:
        """A test begins."""
        super().startTest(test)  # type: ignore[no-untyped-call]
        faulthandler.dump_traceback_later(PATIENCE, exit=True)

    def stopTest(self, test: Any) -> None:
        """A test has ended, and everything about it has been said."""
        super().stopTest(test)  # type: ignore[no-untyped-call]
        faulthandler.cancel_dump_traceback_later()
        name = ".".join(test.id().split(".")[-2:])
        failed: list[Any] = [*self.failures, *self.errors]
        bad = [*failed, *self.skips, *self.unexpectedSuccesses, *self.expectedFailures]
        failed, bad = (
            [_line(outcome[1]) for outcome in each if outcome[0].id() == test.id()] for each in (failed, bad)
        )
        if failed and not isinstance(test, runner.ErrorHolder) and len(self.later) < self.chances:
            self.later.append(test.id())
            print(f"note {self.label}: {name}, once more: {failed[0]}", flush=True)
        elif bad or self.passed == self.successes:
            self.failed += 1
            print(f"FAIL {self.label}: {name}: {(*bad, 'no outcome')[0]}", flush=True)
        else:
            self.passed += 1
            print(f"ok   {self.label}: {name}", flush=True)


def _line(why: object) -> str:
    """A failure, or why a test was skipped, in one line."""
    return " ".join((why.getErrorMessage() if isinstance(why, Failure) else f"skipped: {why}").split())[:WIDTH]


def run(folder: str, names: Sequence[str]) -> tuple[bool, list[str]]:
    """Runs the tests of these names.

    Returns:
        Whether all have passed but those that are to be run once more; and these.
    """
    suite = runner.TestLoader().loadByNames(list(names), recurse=True)
    outcome = runner.TrialRunner(LineReporter, workingDirectory=folder, stream=sys.stderr).run(suite)
    assert isinstance(outcome, LineReporter)
    well = not outcome.failed and outcome.passed + len(outcome.later) == outcome.testsRun > 0
    return well and (bool(outcome.later) or outcome.wasSuccessful()), outcome.later  # type: ignore[no-untyped-call]


def main(folder: str, label: str, names: Sequence[str]) -> int:
    """Runs the tests of these names; the exit status is 0 when all passed."""
    begin = time.monotonic()
    faulthandler.enable()
    topology.start_process = Starter().start
    LineReporter.label = label
    well, later = run(folder, names)
    if later:
        LineReporter.chances = 0
        well = run(folder, later)[0] and well
    print(f"note {label}: the tests took {time.monotonic() - begin:.0f} s", flush=True)
    return 0 if well else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m testbed.realm.guest", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("folder", metavar="FOLDER", help="where trial works")
    parser.add_argument("label", metavar="LABEL", help="what each line says before the test's name")
    parser.add_argument("names", metavar="NAME", nargs="+", help="tests, as trial names them")
    chosen = parser.parse_args()
    sys.exit(main(chosen.folder, chosen.label, chosen.names))

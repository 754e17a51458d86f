"""Runs tests as `trial` does, and writes down how many passed, failed and were skipped.

    python -m testbed.measuring.tally [--without NAME]... [--share FOLDER [--last-first]] [--later FILE]
        RESULT [NAME...]

RESULT is a file that gets one line, `PASSED FAILED SKIPPED`; NAMEs are what `trial` takes, by default the package
`realmgw`. Runs that share a FOLDER share the tests: each module is run by the first of them that comes to it, and one
that begins with the last module meets the other in the midst. `testbed/check` installs everything that the tests need
and runs as root; so a test that is skipped for want of anything else than the kernel (its message does not begin with
`ALLOWED_SKIP`) is counted as failed here, and its message is printed: it names the package that is missing. At the end
it says in which modules the time of a check goes.

With `--later`, tests that have failed are not counted: their names are written to FILE, for a run of theirs alone. What
depends on a machine that others use as well fails by chance now and then; what is wrong fails again. More than
`CHANCE` of them are no chance, and are counted.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from unittest import TestCase, TestResult, TestSuite

from twisted.trial import itrial, reporter, runner, unittest

ALLOWED_SKIP = "not on this kernel:"
"""How the message of a skip begins that is no failure."""

CHANCE = 12
"""So many tests may fail of a machine's being busy."""
SLOWEST = 12
"""So many modules are listed."""


class TallyingReporter(reporter.TextReporter):
    """A dot for each test, then every error in full, then every skip that is not allowed."""

    def __init__(self, *arguments: object, **keywords: object) -> None:
        super().__init__(*arguments, **keywords)  # type: ignore[no-untyped-call]
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._begun = 0.0

    def startTest(self, test: TestCase) -> None:
        """From here on its time counts."""
        super().startTest(test)  # type: ignore[no-untyped-call]
        self._begun = monotonic()

    def stopTest(self, test: TestCase) -> None:
        """Its module took so much more."""
        super().stopTest(test)  # type: ignore[no-untyped-call]
        self.seconds[test.id().rsplit(".", 2)[0]] += monotonic() - self._begun

    def done(self) -> None:
        """Prints what `trial` prints, where the time went, and the skips that count as failures."""
        super().done()  # type: ignore[no-untyped-call]
        for name, seconds in sorted(self.seconds.items(), key=lambda each: -each[1])[:SLOWEST]:
            self._writeln("%6.1f s  %s", seconds, name)  # type: ignore[no-untyped-call]
        for test, reason in self._unwelcome_skips():
            self._writeln("FAILED by being skipped: %s: %s", test.id(), reason)  # type: ignore[no-untyped-call]

    def tally(self, later: Collection[str] = ()) -> tuple[int, int, int]:
        """How many tests passed, failed (a `todo` is a failure too) and were skipped; some are counted another time."""
        unwelcome = len(self._unwelcome_skips())
        failed = sum(test.id() not in later for test, _ in (*self.failures, *self.errors))
        failed += len(self.unexpectedSuccesses) + len(self.expectedFailures)
        return self.successes, failed + unwelcome, len(self.skips) - unwelcome

    def by_chance(self) -> list[str]:
        """The names of the tests that have failed; none, if they are many or one is no test (but a module)."""
        failed = [test for test, _ in (*self.failures, *self.errors)]
        chance = not any(isinstance(test, runner.ErrorHolder) for test in failed)
        names = list(dict.fromkeys(test.id() for test in failed))
        return names if chance and len(names) <= CHANCE else []

    def _unwelcome_skips(self) -> list[tuple[itrial.ITestCase, str]]:
        return [(test, reason) for test, reason in self.skips if not reason.startswith(ALLOWED_SKIP)]


class SharedModule(unittest.TestSuite):
    """The tests of a module, of which the first of several runs makes a file; the others leave them to it."""

    claim: Path

    def run(self, result: TestResult, debug: bool = False) -> TestResult:
        """Runs them, unless another one has begun."""
        try:
            self.claim.touch(exist_ok=False)
        except FileExistsError:
            return result
        return super().run(result, debug)


def chosen_from(suite: TestSuite, without: Sequence[str]) -> Iterator[TestCase]:
    """Its tests, but those of some packages or modules."""
    for test in suite:
        if isinstance(test, TestSuite):
            yield from chosen_from(test, without)
        elif not test.id().startswith(tuple(f"{name}." for name in without)):
            yield test


def shared(tests: Iterable[TestCase], folder: Path, *, last_first: bool) -> list[SharedModule]:
    """The tests as modules that are claimed by a file in the folder; the order within a module stays."""
    modules: dict[str, SharedModule] = {}
    for test in tests:
        name = test.id().rsplit(".", 2)[0]
        modules.setdefault(name, SharedModule()).addTest(test)
        modules[name].claim = folder / name
    return list(modules.values())[:: -1 if last_first else 1]


def run(names: list[str], without: Sequence[str], share: Path | None, *, last_first: bool) -> TallyingReporter:
    """Runs the tests of these names."""
    loaded = runner.TestLoader().loadByNames(names, recurse=True)
    chosen = list(chosen_from(loaded, without))
    if not chosen:
        sys.exit(f"there are no tests in {' '.join(names)}")
    tests = chosen if share is None else shared(chosen, share, last_first=last_first)
    suite = runner.TrialSuite(tests)  # type: ignore[no-untyped-call]
    trial = runner.TrialRunner(TallyingReporter, workingDirectory="_trial_temp")
    outcome = trial.run(suite)
    assert isinstance(outcome, TallyingReporter)
    return outcome


def main(outcome: TallyingReporter, result: Path, later: Path | None) -> int:
    """Writes down what became of them; the exit status is 0 when none failed that is not run again later."""
    again = outcome.by_chance() if later else []
    if later:
        later.write_text("".join(f"{name}\n" for name in again))
    tally = outcome.tally(again)
    result.write_text(" ".join(map(str, tally)) + "\n")
    return 0 if tally[1] == 0 else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m testbed.measuring.tally", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("result", metavar="RESULT", type=Path, help="the file that gets the line PASSED FAILED SKIPPED")
    parser.add_argument("names", metavar="NAME", nargs="*", default=["realmgw"], help="what trial takes [realmgw]")
    parser.add_argument("--without", metavar="NAME", action="append", default=[], help="no test of this is run")
    parser.add_argument("--share", metavar="FOLDER", type=Path, help="runs of this folder run each module once")
    parser.add_argument("--last-first", action="store_true", help="begin with the last module")
    parser.add_argument("--later", metavar="FILE", type=Path, help="gets the names of those that failed, to run again")
    chosen = parser.parse_intermixed_args()
    result, share, later = (path and path.absolute() for path in (chosen.result, chosen.share, chosen.later))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # trial takes Ctrl-C for an error of the test at hand, and goes on
    outcome = run(chosen.names, chosen.without, share, last_first=chosen.last_first)
    sys.exit(main(outcome, result, later))

"""Runs tests as `trial` does, and writes down how many passed, failed and were skipped.

    python -m testbed.measuring.tally RESULT [NAME...]

RESULT is a file that gets one line, `PASSED FAILED SKIPPED`; NAMEs are what `trial` takes, by default the package
`realmgw`. `testbed/check` installs everything that the tests need and runs as root; so a test that is skipped for want
of anything else than the kernel (its message does not begin with `ALLOWED_SKIP`) is counted as failed here, and its
message is printed: it names the package that is missing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from twisted.trial import itrial, reporter, runner

ALLOWED_SKIP = "not on this kernel:"
"""How the message of a skip begins that is no failure."""


class TallyingReporter(reporter.TextReporter):
    """A dot for each test, then every error in full, then every skip that is not allowed."""

    def done(self) -> None:
        """Prints what `trial` prints, and the skips that count as failures."""
        super().done()  # type: ignore[no-untyped-call]
        for test, reason in self._unwelcome_skips():
            self._writeln("FAILED by being skipped: %s: %s", test.id(), reason)  # type: ignore[no-untyped-call]

    def tally(self) -> tuple[int, int, int]:
        """How many tests passed, failed (a `todo` is a failure too) and were skipped."""
        unwelcome = len(self._unwelcome_skips())
        failed = len(self.failures) + len(self.errors) + len(self.unexpectedSuccesses) + len(self.expectedFailures)
        return self.successes, failed + unwelcome, len(self.skips) - unwelcome

    def _unwelcome_skips(self) -> list[tuple[itrial.ITestCase, str]]:
        return [(test, reason) for test, reason in self.skips if not reason.startswith(ALLOWED_SKIP)]


def main(result: Path, names: list[str]) -> int:
    """Runs the tests of these names; the exit status is 0 when none failed."""
    suite = runner.TestLoader().loadByNames(names, recurse=True)
    trial = runner.TrialRunner(TallyingReporter, workingDirectory="_trial_temp")
    outcome = trial.run(suite)
    assert isinstance(outcome, TallyingReporter)
    tally = outcome.tally()
    if outcome.testsRun == 0:
        sys.exit(f"there are no tests in {' '.join(names)}")
    result.write_text(" ".join(map(str, tally)) + "\n")
    return 0 if tally[1] == 0 else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m testbed.measuring.tally", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("result", metavar="RESULT", type=Path, help="the file that gets the line PASSED FAILED SKIPPED")
    parser.add_argument("names", metavar="NAME", nargs="*", default=["realmgw"], help="what trial takes [realmgw]")
    chosen = parser.parse_args()
    sys.exit(main(chosen.result.absolute(), chosen.names))

"""What share of the clients gets through when three pool addresses serve ten hosts, and how fast; and who is robbed.

The first table is of `scarce`, the second one, of what the policy costs in it, of `bystanders`, the third one of
`trials`: clients beside others who rob, starve or confuse; the last one, of clients with both families, of `siblings`.
docs/scenarios.md says how to read it.

    ./testbed/scenarios [--quick | --seconds S] [--only TEXT] [--write FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from testbed.load import generator
from testbed.load.generator import Outcome
from testbed.measuring import cpu_noise, figures, rounds
from testbed.programs import bystanders, scarce, siblings, trials
from testbed.programs.scarce import SCENARIOS, WARM_FLOWS, Scenario, success

SECONDS, QUICK_SECONDS = 45.0, 12.0
"""How long a scenario is measured, in all its rounds together."""
TRIAL_SECONDS, QUICK_TRIAL_SECONDS = 10.0, 5.0
"""How long a trial is measured."""
ROUNDS = 3
"""So many, each with a gateway of its own; more would leave too few flows in each for a percentile."""


def run_fairly(scenario: Scenario, seconds: float) -> Outcome:
    """Runs a scenario, and again when it missed its target while others used the machine.

    Args:
        scenario: Which.
        seconds: How long to measure.
    """
    return cpu_noise.quietest(partial(scarce.run, scenario, seconds), lambda outcome: scenario.target.met_by([outcome]))


def _row(scenario: Scenario, outcomes: Sequence[Outcome]) -> list[str]:
    started = sum(outcome.started for outcome in outcomes)
    return [
        scenario.title,
        scenario.original,
        figures.percent(success(outcomes)),
        *(rounds.told([getattr(outcome.total, name) for outcome in outcomes], figures.milliseconds)
          for name in ("p50", "p99")),
        f"{started - sum(outcome.ok for outcome in outcomes)} of {started}",
        str(sum(outcome.misdelivered for outcome in outcomes)),
        f"{max(outcome.others for outcome in outcomes):.2f}",
        str(scenario.target),
        figures.met(scenario.target.met_by(outcomes)),
    ]  # fmt: skip


HEAD = ["scenario", "the original", "success", "p50", "p99", "lost", "mis-delivered", "others", "target", "met"]
"""Titles of the table."""


def report(scenarios: Sequence[Scenario], seconds: float) -> tuple[str, bool]:
    """Runs scenarios, one after the other.

    Args:
        scenarios: Which.
        seconds: How long each is measured, in all its rounds together.

    Returns:
        The report in Markdown, and whether all targets were met.
    """
    rows, every = [], True
    for scenario in scenarios:
        print(f"    {scenario.title} ...", file=sys.stderr)
        outcomes = [run_fairly(scenario, seconds / ROUNDS) for _ in range(ROUNDS)]
        every &= scenario.target.met_by(outcomes)
        rows.append(_row(scenario, outcomes))
    heading = figures.machine() + (
        f"- each scenario: {ROUNDS} rounds of {WARM_FLOWS} flows unmeasured, then {seconds / ROUNDS:g} s;"
        " times: the median of the rounds, and each of them\n"
    )
    return heading + "\n" + figures.table(HEAD, rows), every


def main() -> int:
    """Runs the scenarios; the exit status is 0 when every target was met."""
    parser = argparse.ArgumentParser(prog="scenarios", description="Few pool addresses, and who is robbed.")
    parser.add_argument(
        "--quick", action="store_true", help="shorter, and only the most telling rows of the other tables"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="measure S seconds each, in all rounds together")
    parser.add_argument("--only", default="", metavar="TEXT", help="only those with this in their title")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the reports into their places in this document")
    options = parser.parse_args()
    generator.build()
    chosen = [scenario for scenario in SCENARIOS if options.only in scenario.title]
    policed = [row for row in bystanders.ROWS if options.only in row.title and (row.quick or not options.quick)]
    harmed = [trial for trial in trials.TRIALS if options.only in trial.title and (trial.quick or not options.quick)]
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    longest = options.seconds or (QUICK_TRIAL_SECONDS if options.quick else TRIAL_SECONDS)
    statuses = [figures.publish("scenarios", lambda: report(chosen, seconds), options.write)] if chosen else []
    if policed:
        statuses.append(
            figures.publish("scenarios", lambda: bystanders.report(policed, seconds / ROUNDS), options.write, "policy")
        )
    if harmed:
        statuses.append(figures.publish("scenarios", lambda: trials.report(harmed, longest), options.write, "trials"))
    if dual := [row for row in siblings.ROWS if options.only in row.title]:
        measured = partial(siblings.report, dual, seconds / ROUNDS)
        statuses.append(figures.publish("scenarios", measured, options.write, "siblings"))
    if not statuses:
        parser.error(f"no title has {options.only!r} in it")
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())

"""What the load policy costs those who did nothing: the scenarios' clients with the reference policy, and without any.

A table of `testbed/scenarios`. Idle queries, which nobody follows, come from the clients' own resolver, or from five
others beside it, which do what they are told as it does. Each round has a gateway without and one with the policy, one
after the other, so that a busy moment of the machine tells of both. `testbed.simulated.innocents` does that in
simulated time.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

import attrs

from testbed.load.generator import Outcome
from testbed.measuring import figures, rounds
from testbed.player.defences import OFF
from testbed.programs import scarce
from testbed.programs.scarce import SCENARIOS, Scenario

SLACK = 1.2
"""So many times as long may they take with a policy, at the median and at 99 %."""
OTHERS = 5
"""So many other resolvers ask idle queries, where they are not the clients' own."""
ROUNDS = 4
"""So many gateways of each kind; each kind is first as often as last."""


@attrs.frozen
class Row:
    """A scenario, and who asks what nobody follows."""

    scenario: Scenario
    """What happens."""
    beside: bool
    """The idle queries come from other resolvers."""

    @property
    def title(self) -> str:
        """What the table calls it."""
        return f"policy: {self.scenario.title}{' by others' if self.beside else ''}"

    @property
    def quick(self) -> bool:
        """Whether it is run when there is little time."""
        return self.beside


ROWS = tuple(Row(scenario, beside) for scenario in SCENARIOS for beside in (False, True) if scenario.idle or not beside)
"""All scenarios, those with idle queries twice."""


@attrs.frozen
class Pair:
    """What came of a row in one round."""

    without: Outcome
    """Without a policy."""
    policed: Outcome
    """With the reference policy, as a gateway has it that is not told anything else."""


def run(row: Row, seconds: float, number: int) -> Pair:
    """Runs a row without and with the policy, in this order and in the other one in turn.

    Args:
        row: Which.
        seconds: How long to measure either.
        number: Of the round; chance begins alike in both runs of it.
    """
    others, seed = OTHERS * row.beside, 1 + number * 100
    policies = {"without": {"policy": OFF.settings()["policy"]}, "policed": None}
    came = {
        each: scarce.run(row.scenario, seconds, policies[each], others=others, seed=seed)
        for each in rounds.rotated([*policies], number)
    }
    return Pair(**came)


HEAD = ["scenario", "lost without, with", "p50 without", "p50 with", "p99 without", "p99 with", "others", "met"]
"""Titles of the table."""


def met(pairs: Sequence[Pair]) -> bool:
    """Whether the policy costs no more than it may.

    Args:
        pairs: Of all rounds.
    """
    return _lost([pair.policed for pair in pairs]) <= _lost([pair.without for pair in pairs]) and all(
        _median([pair.policed for pair in pairs], name) <= SLACK * _median([pair.without for pair in pairs], name)
        for name in ("p50", "p99")
    )


def _median(outcomes: Sequence[Outcome], name: str) -> float:
    median: float = statistics.median(getattr(outcome.total, name) for outcome in outcomes)
    return median


def _lost(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.started - outcome.ok for outcome in outcomes)


def _cells(row: Row, pairs: Sequence[Pair]) -> list[str]:
    without, policed = [pair.without for pair in pairs], [pair.policed for pair in pairs]
    return [
        row.title,
        f"{_lost(without)}, {_lost(policed)} of {sum(outcome.started for outcome in policed)}",
        *(rounds.told([getattr(outcome.total, name) for outcome in outcomes], figures.milliseconds)
          for name in ("p50", "p99") for outcomes in (without, policed)),
        f"{max(outcome.others for outcome in (*without, *policed)):.2f}",
        figures.met(met(pairs)),
    ]  # fmt: skip


def report(rows: Sequence[Row], seconds: float) -> tuple[str, bool]:
    """Runs rows, one after the other.

    Args:
        rows: Which.
        seconds: How long each is measured, in each round and for either gateway.

    Returns:
        The report in Markdown, and whether all targets were met.
    """
    cells, every = [], True
    for row in rows:
        print(f"    {row.title} ...", file=sys.stderr)
        pairs = [run(row, seconds, number) for number in range(ROUNDS)]
        every &= met(pairs)
        cells.append(_cells(row, pairs))
    heading = f"- each row: {ROUNDS} rounds of {seconds:g} s, without a policy and with the reference one, in turn\n"
    return heading + "\n" + figures.table(HEAD, cells), every

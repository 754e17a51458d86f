"""What is left for honest clients under noise and floods, with the defences off and on.

Each run has a testbed and a gateway of its own: three pool addresses, ten hosts, and 30 flows per second of honest
clients that resolve by the gateway itself, by unbound and by BIND. Noise of one kind, or of all, comes on top, as a
share of the honest load. docs/traffic.md says how to read the figures.

    ./testbed/traffic [--quick] [--only TEXT] [--write FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from testbed.load import generator
from testbed.measuring import figures
from testbed.measuring.rounds import TAIL_ROUNDS
from testbed.player import template
from testbed.programs import floods, noise
from testbed.programs.floods import Flood
from testbed.programs.noise import Run
from testbed.realm.topology import CHECKOUT, TestbedError

PICTURES = CHECKOUT / "docs" / "plots"
"""Where the pictures go."""
KEPT = CHECKOUT / "testbed" / "build" / "traffic.json"
"""Where the raw figures are kept: `--plot` makes the pictures again from them."""
AT_ONCE = 2
"""So many runs with little load side by side."""


@attrs.frozen
class Plan:
    """How much is measured."""

    shares: tuple[float, ...]
    """Of the noise."""
    seconds: float
    """Of each run under noise."""
    most_seconds: float
    """Of those with the most noise, for the reputations' course."""
    flood_seconds: float
    """Of each run under a flood."""
    flood_rounds: int = TAIL_ROUNDS
    """So many of these."""


FULL = Plan(noise.SHARES, 8.0, 30.0, 5.0)
"""About twenty-two minutes."""
QUICK = Plan((0.5,), 6.0, 6.0, 3.0, 3)
"""About five."""


def measure_noise(plan: Plan, only: str) -> list[Run]:
    """Every kind of noise at every share, with the defences off and on.

    Args:
        plan: How much.
        only: Only runs with this in their title.
    """
    wanted = [case for case in noise.cases(plan.shares) if only in case.title]
    prefixes = [f"traffic{number}-" for number in range(AT_ONCE)]

    def one(numbered: tuple[int, noise.Case]) -> Run:
        number, case = numbered
        prefix = prefixes.pop()
        try:
            most = case.share == max(plan.shares)
            run = noise.run_fairly(case, plan.most_seconds if most else plan.seconds, prefix)
        finally:
            prefixes.append(prefix)
        print(f"    {number + 1} of {len(wanted)}: {case.title}: {figures.percent(run.success)}", file=sys.stderr)
        return run

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, enumerate(wanted)))


def measure_floods(plan: Plan, only: str) -> list[Flood]:
    """Every flood, one after the other, in rounds.

    Args:
        plan: How much.
        only: Only those with this in their title.
    """
    done = []
    for number in range(plan.flood_rounds):
        for case in floods.CASES:
            if only in case.title:
                flood = floods.run_fairly(case, plan.flood_seconds)
                print(f"    round {number + 1}: {case.title}: {figures.percent(flood.success)}", file=sys.stderr)
                done.append(flood)
    return done


def report(runs: Sequence[Run], flooded: Sequence[Flood], plan: Plan) -> tuple[str, bool]:
    """The tables in Markdown, and whether all targets were met.

    Args:
        runs: Under noise.
        flooded: Under floods.
        plan: What was measured.
    """
    verdicts = [*noise.judge(runs), *floods.judge(flooded)]
    head = (
        figures.machine() + f"- noise: {noise.WARM:g} s of honest flows before, then {plan.seconds:g} s"
        f" ({plan.most_seconds:g} s with {max(plan.shares):.0%}), {AT_ONCE} runs side by side\n"
        f"- floods: {plan.flood_rounds} rounds of {plan.flood_seconds:g} s; times: the median of the rounds\n"
    )
    parts = [
        head,
        figures.table(noise.HEAD, noise.rows(runs)),
        figures.table(noise.NEW_HEAD, noise.new_rows(runs)),
        figures.table(noise.WAYS_HEAD, noise.ways_rows(runs)),
        figures.table(floods.HEAD, floods.rows(flooded)),
        figures.table(["target", "figure", "met"], [[v.target, v.figure, figures.met(v.met)] for v in verdicts]),
    ]
    return "\n".join(parts), all(verdict.met for verdict in verdicts)


def _keep(runs: Sequence[Run], flooded: Sequence[Flood]) -> None:
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(json.dumps({"noise": [run.plain() for run in runs], "floods": [each.plain() for each in flooded]}))


def _plot() -> None:
    """The pictures from the figures that are kept; without matplotlib only a word about it."""
    try:
        from testbed.measuring import plots  # noqa: PLC0415 - matplotlib is an extra
    except ImportError:
        print("traffic: no pictures without matplotlib (pip install matplotlib)", file=sys.stderr)
        return
    for path in plots.draw(json.loads(KEPT.read_text()), PICTURES):
        print(f"    {path}", file=sys.stderr)


def main() -> int:
    """Measures; the exit status is 0 when every target was met."""
    parser = argparse.ArgumentParser(prog="traffic", description="Honest clients under noise and floods.")
    parser.add_argument("--quick", action="store_true", help="only 50 %% of each noise, and shorter")
    parser.add_argument("--only", default="", metavar="TEXT", help="only those with this in their title")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the report into its place in this document")
    parser.add_argument("--plot", action="store_true", help="only draw the pictures of the last run again")
    options = parser.parse_args()
    if options.plot:
        _plot()
        return 0
    generator.build()
    plan = QUICK if options.quick else FULL
    status = figures.publish("traffic", lambda: _measure(plan, options.only), options.write)
    if options.write and status != figures.IMPOSSIBLE:
        with contextlib.suppress(FileNotFoundError):
            _plot()
    return status


def _measure(plan: Plan, only: str) -> tuple[str, bool]:
    """Measures everything, and keeps what is needed to draw it.

    Raises:
        TestbedError: It can not be done.
    """
    begin = time.monotonic()
    try:
        runs, flooded = measure_noise(plan, only), measure_floods(plan, only)
    except template.TemplateError as error:
        raise TestbedError(str(error)) from error
    _keep(runs, flooded)
    text, met = report(runs, flooded, plan)
    print(f"({time.monotonic() - begin:.0f} s)")
    return text, met


if __name__ == "__main__":
    sys.exit(main())

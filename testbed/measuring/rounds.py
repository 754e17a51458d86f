"""Rounds of loads: contenders measured in turn, and what their figures say together."""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs

from testbed.load import generator
from testbed.load.generator import Load, Outcome
from testbed.measuring import cpu_noise, figures
from testbed.realm.topology import Testbed

PORTS = 32
"""The resolver asks from so many ports."""
WARM_UP = 0.3  # seconds
"""Before each measurement."""


@attrs.frozen
class Way:
    """A way to load a gateway."""

    title: str
    """What the tables call it."""
    limit: float
    """How many times the baseline's CPU per flow the gateway may spend."""
    rate: float | None = None
    """Flows per second; None: a closed loop."""
    outstanding: int = 1
    """Flows under way in the closed loop."""
    apart: bool = False
    """Whether the contender has a core of its own; see `Contender.set_apart`."""

    def load(self, names: Path, seconds: float) -> Load:
        """The load of one round.

        Args:
            names: Which names are asked for.
            seconds: How long to measure.
        """
        return Load(
            names=names,
            rate=self.rate,
            outstanding=self.outstanding,
            ports=PORTS if self.rate or self.outstanding > 1 else 1,
            seconds=seconds,
            warm_seconds=WARM_UP,
        )


TAIL_ROUNDS = 5
"""How often what hangs on the few worst flows of a run is measured."""


@attrs.frozen
class Contender:
    """Somebody who is measured: a process in a testbed."""

    title: str
    """What the tables call it."""
    testbed: Testbed
    """Where it runs."""
    process: int
    """Its number."""
    hosts: int
    """Number of the process that answers for the private hosts."""
    names: Path
    """The names that it is asked for."""
    how: Mapping[str, Any] = {}
    """What its clients do in another way than the load says, by the load's own names."""
    beside: tuple[int, ...] = ()
    """Numbers of further processes that belong to it: what they use is not what others do, and they are not on the core
    that it has to itself."""

    def set_apart(self, apart: bool) -> None:
        """Gives it the machine's last core, or lets it run anywhere: see `cpu_noise.set_apart`.

        Args:
            apart: Which of the two.
        """
        cpu_noise.set_apart(apart, self.process, self.hosts, *self.beside)

    def run(self, load: Load) -> Outcome:
        """Runs a load on it, and notes what others used of the machine meanwhile.

        Args:
            load: What.
        """
        with cpu_noise.Watch((self.process, self.hosts, *self.beside)) as watch:
            outcome = generator.run_flows(self.testbed, attrs.evolve(load, **self.how), [self.process])
        return attrs.evolve(outcome, others=watch.others)

    def run_quietly(self, load: Load) -> Outcome:
        """Runs a load on it until others leave the machine alone; at last, the quietest run counts.

        Args:
            load: What.
        """
        return cpu_noise.quietest(partial(self.run, load))


@attrs.frozen
class Verdict:
    """One target and whether it was met."""

    target: str
    """What was demanded."""
    figure: str
    """What was measured."""
    met: bool
    """Whether it suffices."""


def told(values: Sequence[float], show: Callable[[float], str]) -> str:
    """The median of the rounds' figures, and all of them.

    Args:
        values: One of each round.
        show: How one of them is told.
    """
    return f"{show(statistics.median(map(_or_never, values)))} ({', '.join(map(show, values))})"


def at_most(target: str, values: Sequence[float], limit: float, show: Callable[[float], str]) -> Verdict:
    """Whether figures stay within a limit, each of which hangs on the few worst flows of one run, as a percentile does.

    One such figure tells more about the run's moment than about the gateway; so the median of several rounds is judged,
    and all of them are told. What was lost, by contrast, is summed over all rounds: nothing of it is forgotten.

    Args:
        target: What is demanded.
        values: One of each round.
        limit: That their median may reach.
        show: How one of them is told.
    """
    return Verdict(target, told(values, show), statistics.median(map(_or_never, values)) <= limit)


def _or_never(value: float) -> float:
    """A round in which nobody came through has no percentile: then it is no good one."""
    return math.inf if math.isnan(value) else value


Rounds = dict[tuple[str, str], list[Outcome]]
"""Title of the way and of the contender -> what came of each round."""


T = TypeVar("T")


def rotated(some: Sequence[T], number: int) -> list[T]:
    """They in another order each round: each is first, and each is last, as often as any other.

    Within twice as many rounds as there are of them each has had every place as often, and every neighbour on both
    sides: whatever one leaves behind (caches, a recorder's work) is not always found by the same.

    Args:
        some: Whoever takes turns.
        number: Of the round, from 0 on.
    """
    begin = number // 2 % max(1, len(some))
    turned = [*some[begin:], *some[:begin]]
    return turned if number % 2 == 0 else turned[::-1]


def measure(ways: Sequence[Way], contenders: Sequence[Contender], rounds: int, seconds: float) -> Rounds:
    """Loads the contenders in turn, in an order that changes from round to round; see `rotated`.

    Args:
        ways: How.
        contenders: Whom.
        rounds: How often.
        seconds: How long each time.
    """
    results: Rounds = {(way.title, contender.title): [] for way in ways for contender in contenders}
    for number in range(rounds):
        for way in ways:
            for contender in rotated(contenders, number):
                load = way.load(contender.names, seconds)
                contender.set_apart(way.apart)
                results[way.title, contender.title].append(contender.run_quietly(load))
        print(f"    round {number + 1} of {rounds}", file=sys.stderr)
    return results


def ratio(results: Rounds, way: Way, above: str, below: str) -> float:
    """How many times the CPU per flow of one contender another one spends: the median of the rounds' ratios.

    What disturbs a round disturbs both, so the ratio of neighbours is steadier than the ratio of two medians.

    Args:
        results: What was measured.
        way: Under which load.
        above: The one.
        below: The other.
    """
    pairs = zip(results[way.title, above], results[way.title, below], strict=True)
    return statistics.median(one.cpu / other.cpu for one, other in pairs)


QUANTILES = ("p50", "p90", "p99", "p99.9")
"""Titles of the columns with times."""
HEAD = ("load", "who", "us/flow: min", "median", "ratio", "flows/s", "core", *QUANTILES, "others", "lost")
"""Titles of the main table."""


def rows(results: Rounds, ways: Sequence[Way], titles: Sequence[str]) -> list[list[str]]:
    """The main table: for each way, the contenders; ratios are to the first of them.

    Args:
        results: What was measured.
        ways: The ways.
        titles: The contenders.
    """
    return [_row(results, way, title, titles[0]) for way in ways for title in titles]


def _row(results: Rounds, way: Way, title: str, first: str) -> list[str]:
    outcomes = results[way.title, title]
    costs = [outcome.cpu for outcome in outcomes]
    return [
        way.title,
        title,
        f"{min(costs):.1f}",
        f"{statistics.median(costs):.1f}",
        f"{ratio(results, way, title, first):.2f}",
        f"{statistics.median(outcome.per_second for outcome in outcomes):,.0f}".replace(",", " "),
        f"{statistics.median(outcome.share for outcome in outcomes) * 100:.0f} %",
        *times(outcomes),
        f"{max(outcome.others for outcome in outcomes):.2f}",
        losses(outcomes),
    ]


def times(outcomes: Sequence[Outcome]) -> list[str]:
    """The medians over the rounds of the quantiles of the whole flow's time, as of `QUANTILES`.

    Args:
        outcomes: Of all rounds.
    """
    return [figures.milliseconds(_middle(outcomes, quantile)) for quantile in ("p50", "p90", "p99", "p999")]


def _middle(outcomes: Sequence[Outcome], quantile: str) -> float:
    """The median over the rounds of a quantile of the whole flow's time."""
    return float(statistics.median(getattr(outcome.total, quantile) for outcome in outcomes))


def losses(outcomes: Sequence[Outcome]) -> str:
    """How many flows were lost, and how, of how many.

    Args:
        outcomes: Of all rounds.
    """
    kinds: Counter[str] = Counter()
    for outcome in outcomes:
        kinds.update({**outcome.lost, "skipped": outcome.skipped})
    kinds_text = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    return f"{kinds_text or '0'} of {sum(outcome.started for outcome in outcomes)}"


def lost(outcomes: Sequence[Outcome]) -> int:
    """How many flows did not come through, those that the generator could not even begin included.

    Args:
        outcomes: Of all rounds.
    """
    return sum(outcome.started - outcome.ok + outcome.skipped for outcome in outcomes)

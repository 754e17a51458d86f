"""What share of the clients gets through when three pool addresses serve ten hosts, and how fast; and who is robbed.

Each scenario has a testbed and a gateway of its own, so that none profits from what another one taught the gateway.
Ten private hosts are asked by their full names in random order, by TCP connections; all queries come from one resolver
address, which repeats them three times, a second apart; the clients have a hundred addresses in turn. The second table
is of `testbed.trials`: clients beside others who rob, starve or confuse. docs/scenarios.md says how to read both.

    ./testbed/scenarios [--quick | --seconds S] [--only TEXT] [--write FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from testbed import figures, generator, quiet, rounds, trials
from testbed.gateway import ON_LINK_POOL, ZONE, Gateway, Subscriber
from testbed.generator import Load, Outcome, Strays
from testbed.topology import ON_LINK, Testbed

HOSTS = 10
"""Private hosts."""
CLIENTS = 100
"""Client addresses."""
WARM_FLOWS = 100
"""Flows before the measurement: what the gateway has to learn of the clients, it has learned by then."""
SECONDS, QUICK_SECONDS = 45.0, 12.0
"""How long a scenario is measured, in all its rounds together."""
TRIAL_SECONDS, QUICK_TRIAL_SECONDS = 10.0, 5.0
"""How long a trial is measured."""
ROUNDS = 3
"""So many, each with a gateway of its own; more would leave too few flows in each for a percentile."""
STRAY_SOURCES, STRAY_TARGETS = "100.66.2.0+200", f"{ON_LINK[0]}+{len(ON_LINK)}"
"""Where strays come from and go to."""
WAN_DELAY = "40,260"
"""ms from a WAN client's answer to its first packet: median and 99.9 %, log-normal."""


@attrs.frozen
class Target:
    """What a scenario must reach. Durations in milliseconds, from the first query to the connection."""

    success: float
    """The least share of flows that come through, 0 to 1."""
    p50: float | None = None
    """The longest median, if there is a limit."""
    p99: float | None = None
    """The longest 99th percentile, if there is a limit."""

    def met_by(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether rounds reach it: all flows together, the medians of the quantiles; a mis-delivered flow is a no."""
        return (
            success(outcomes) >= self.success
            and (self.p50 is None or statistics.median(each.total.p50 for each in outcomes) / 1000 <= self.p50)
            and (self.p99 is None or statistics.median(each.total.p99 for each in outcomes) / 1000 <= self.p99)
            and not any(each.misdelivered or each.skipped for each in outcomes)
        )

    def __str__(self) -> str:
        limits = [f">= {self.success * 100:.4g} %"]
        limits += [f"p50 <= {self.p50:g} ms"] if self.p50 is not None else []
        limits += [f"p99 <= {self.p99:g} ms"] if self.p99 is not None else []
        return ", ".join(limits)


@attrs.frozen
class Scenario:
    """A load on three addresses."""

    title: str
    """What the table calls it."""
    rate: float
    """Flows per second."""
    target: Target
    """What must be reached."""
    original: str
    """What the original gateway reached: success, p50 / p99."""
    idle: float = 0.0
    """Queries per second that nobody follows."""
    strays: float = 0.0
    """SYNs per second to pool addresses that nobody asked for."""
    delay: str | None = None
    """The clients' delay; None: they come at once."""


SCENARIOS = (
    Scenario("30/s", 30, Target(1.0, 1.2, 1.8), "100 %, 1.2 / 1.8 ms"),
    Scenario("300/s", 300, Target(1.0, 0.7, 2.0), "100 %, 0.7 / 2.0 ms"),
    Scenario("30/s + 3/s idle", 30, Target(0.999, p99=100), "81 %, 1.0 / 3.0 s", idle=3),
    Scenario("30/s + 15/s idle", 30, Target(0.995, p99=350), "41 %, 1.0 / 3.0 s", idle=15),
    Scenario("30/s + 3/s idle, WAN", 30, Target(0.99, p50=600), "-", idle=3, delay=WAN_DELAY),
    Scenario("30/s + 15/s idle, WAN", 30, Target(0.99, p50=600), "-", idle=15, delay=WAN_DELAY),
    Scenario("30/s + 15/s stray SYNs", 30, Target(0.999), "98.8 %, 1.2 / 1.9 ms", strays=15),
)
"""Those of the original's measured scenarios that need no challenges."""


def success(outcomes: Sequence[Outcome]) -> float:
    """The part of all rounds' flows that came through, 0 to 1.

    Args:
        outcomes: Of all rounds.
    """
    return sum(each.ok for each in outcomes) / sum(each.started for each in outcomes)


def run(scenario: Scenario, seconds: float) -> Outcome:
    """Runs a scenario in a testbed of its own.

    Args:
        scenario: Which.
        seconds: How long to measure.
    """
    sources = [generator.RAW_SOURCES] if scenario.strays else []
    with Testbed("scenario-", hosts=HOSTS, clients=CLIENTS, sources=sources) as testbed:
        answering = generator.start_hosts(testbed)
        hosts = {f"host{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}
        names = generator.write_names(testbed.folder / "names", hosts)
        subscribers = [Subscriber(name, address) for name, address in hosts.items()]
        with Gateway(testbed, subscribers, circular=[ON_LINK_POOL]) as gateway, _strays(scenario, testbed, seconds):
            with quiet.Watch((gateway.pid, answering.pid)) as watch:
                outcome = generator.run_flows(testbed, _load(scenario, testbed, names, seconds))
            return attrs.evolve(outcome, others=watch.others)


def run_fairly(scenario: Scenario, seconds: float) -> Outcome:
    """Runs a scenario, and again when it missed its target while others used the machine.

    Args:
        scenario: Which.
        seconds: How long to measure.
    """
    outcome = run(scenario, seconds)
    for _ in range(quiet.TRIES - 1):
        if scenario.target.met_by([outcome]) or outcome.others <= quiet.LIMIT:
            break
        outcome = run(scenario, seconds)
    return outcome


@contextlib.contextmanager
def _strays(scenario: Scenario, testbed: Testbed, seconds: float) -> Iterator[None]:
    """The scenario's strays, if it has any, as long as the context lasts."""
    if not scenario.strays:
        yield
        return
    longest = seconds + generator.GRACE
    process = generator.start_strays(testbed, Strays(STRAY_TARGETS, STRAY_SOURCES, scenario.strays, longest))
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def _load(scenario: Scenario, testbed: Testbed, names: Path, seconds: float) -> Load:
    return Load(
        names=names,
        via="tcp",
        rate=scenario.rate,
        idle=scenario.idle,
        seconds=seconds,
        warm_flows=WARM_FLOWS,
        retries=3,
        delay=scenario.delay,
        order="random",
        clients=f"{testbed.clients[0]}+{CLIENTS}",
    )


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
        "--quick", action="store_true", help="shorter, and only the most telling rows of the second table"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="measure S seconds each, in all rounds together")
    parser.add_argument("--only", default="", metavar="TEXT", help="only those with this in their title")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the reports into their places in this document")
    options = parser.parse_args()
    generator.build()
    chosen = [scenario for scenario in SCENARIOS if options.only in scenario.title]
    harmed = [trial for trial in trials.TRIALS if options.only in trial.title and (trial.quick or not options.quick)]
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    longest = options.seconds or (QUICK_TRIAL_SECONDS if options.quick else TRIAL_SECONDS)
    statuses = [figures.publish("scenarios", lambda: report(chosen, seconds), options.write)] if chosen else []
    if harmed:
        statuses.append(figures.publish("scenarios", lambda: trials.report(harmed, longest), options.write, "trials"))
    if not statuses:
        parser.error(f"no title has {options.only!r} in it")
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())

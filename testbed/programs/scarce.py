"""Three addresses for ten hosts: clients beside queries that nobody follows, and beside packets that nobody asked for.

Each run has a testbed and a gateway of its own, so that none profits from what another one taught the gateway. Ten
private hosts are asked by their full names in random order, by TCP connections; all queries come from one resolver
address, which repeats them three times, a second apart; the clients have a hundred addresses in turn.
docs/scenarios.md says more.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from testbed.load import generator
from testbed.load.generator import Load, Outcome, Strays
from testbed.measuring import cpu_noise
from testbed.realm.gateway import ON_LINK_POOL, ZONE, Gateway, Subscriber
from testbed.realm.topology import ON_LINK, Testbed

HOSTS = 10
"""Private hosts."""
CLIENTS = 100
"""Client addresses."""
WARM_FLOWS = 100
"""Flows before the measurement: what the gateway has to learn of the clients, it has learned by then."""
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


def run(
    scenario: Scenario,
    seconds: float,
    settings: Mapping[str, Any] | None = None,
    *,
    others: int = 0,
    seed: int | None = None,
) -> Outcome:
    """Runs a scenario in a testbed of its own.

    Args:
        scenario: Which.
        seconds: How long to measure.
        settings: Sections of the gateway's configuration.
        others: So many other resolvers ask the idle queries; 0: the clients' own does.
        seed: Of chance, of the clients' and theirs; None: the time.
    """
    sources = [generator.RAW_SOURCES] if scenario.strays else []
    with Testbed("scenario-", hosts=HOSTS, clients=CLIENTS + others, sources=sources) as testbed:
        answering = generator.start_hosts(testbed)
        hosts = {f"host{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}
        names = generator.write_names(testbed.folder / "names", hosts)
        subscribers = [Subscriber(name, address) for name, address in hosts.items()]
        load = attrs.evolve(_load(scenario, testbed, names, seconds), seed=seed)
        gateway = Gateway(testbed, subscribers, circular=[ON_LINK_POOL], settings=settings)
        with gateway, _strays(scenario, testbed, seconds), _asking(load, testbed, others):
            with cpu_noise.Watch((gateway.pid, answering.pid)) as watch:
                outcome = generator.run_flows(testbed, attrs.evolve(load, idle=0.0) if others else load)
            return attrs.evolve(outcome, others=watch.others)


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


@contextlib.contextmanager
def _asking(load: Load, testbed: Testbed, others: int) -> Iterator[None]:
    """Other resolvers ask a load's idle queries, as long as the context lasts."""
    longest = load.seconds + WARM_FLOWS / (load.rate or 1.0) + generator.GRACE
    processes = []
    every = attrs.evolve(load, via="none", rate=load.idle / others if others else 0.0, idle=0.0, seconds=longest)
    for number, resolver in enumerate(testbed.clients[CLIENTS : CLIENTS + others], 1):
        seed = None if load.seed is None else load.seed + number
        asking = attrs.evolve(every, warm_flows=0, delay=None, clients=None, resolver=resolver, seed=seed)
        arguments = [str(generator.BUILD / "flows"), *asking.arguments()]
        processes.append(testbed.spawn("public", arguments, stdout=subprocess.PIPE))
    try:
        yield
    finally:
        for process in processes:
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

"""Dual-stack clients on three addresses of IPv4: what it costs those who come by IPv4 that the others ask for A, too.

A table of `testbed/scenarios`. Every client asks for A and for AAAA at once, and 70 % come by IPv6: for them an address
of IPv4 is lent for nothing. Each round has a second gateway whose clients ask only for the family that they come by,
with the same chances. docs/scenarios.md has the figures.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

import attrs

from realmgw.control.command.client import ask
from testbed.load import generator
from testbed.load.generator import Load, Outcome
from testbed.measuring import cpu_noise, figures, rounds
from testbed.programs.scarce import CLIENTS, HOSTS, WAN_DELAY, WARM_FLOWS
from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL6, ZONE, Gateway, Subscriber
from testbed.realm.topology import CLIENT, Testbed

SHARE = 0.7
"""Of the clients come by IPv6."""
SLACK, SLACK_MS = 1.2, 0.3
"""So many times as long, or so many ms longer, may the median of those who come by IPv4 be than if the others had never
asked for A: a busy moment of the machine makes as much."""
REPUTATION = 0.9
"""What the resolver has to have at the end, at least."""
ROUNDS = 3
"""So many gateways of each kind."""
WARM = 4.0  # seconds
"""Clients of so long come first and are not counted, and `WARM_FLOWS` at least, as in the other rows: until some fifty
have come by IPv4 it is not known how soon a claim is dead, and three addresses are handed on each half second only."""
LEAST = 24.0  # seconds
"""Each is measured for so long at least: a reputation begins with 0.45, and gets over 0.83 only in the second one of
its periods of 20 s, however good its clients are."""


@attrs.frozen
class Row:
    """A load."""

    title: str
    """What the table calls it."""
    rate: float
    """Clients per second."""
    delay: str | None = None
    """The clients' delay; None: they come at once."""


ROWS = (
    Row("dual stack, 30/s", 30),
    Row("dual stack, 300/s", 300),
    Row("dual stack, 30/s, WAN", 30, delay=WAN_DELAY),
)
"""All of them."""


@attrs.frozen
class Run:
    """What came of a load."""

    outcome: Outcome
    """Of its flows."""
    reputation: float
    """Of the resolver, at the end."""


@attrs.frozen
class Pair:
    """One round."""

    single: Run
    """Every client asks for the family that it comes by."""
    dual: Run
    """Every client asks for both."""


def run(row: Row, seconds: float, *, dual: bool, seed: int) -> Run:
    """Runs a load in a testbed of its own.

    Args:
        row: Which.
        seconds: How long to measure.
        dual: Whether clients ask for both families.
        seed: Of chance.
    """
    with Testbed("siblings-", hosts=HOSTS, clients=CLIENTS) as testbed:
        answering = generator.start_hosts(testbed)
        every = enumerate(zip(testbed.hosts, testbed.hosts6, strict=True))
        hosts = {f"host{number}.{ZONE}": both for number, both in every}
        names = {name: ",".join(both) for name, both in hosts.items()}
        warm = max(WARM_FLOWS, round(WARM * row.rate))
        load = Load(
            names=generator.write_names(testbed.folder / "names", names), via="tcp", rate=row.rate,
            seconds=seconds, warm_flows=warm, retries=3, delay=row.delay, order="random", dual=dual, ipv6=SHARE,
            clients=f"{testbed.clients[0]}+{CLIENTS}", seed=seed,
        )  # fmt: skip
        subscribers = [Subscriber(name, four, address6=six) for name, (four, six) in hosts.items()]
        with Gateway(testbed, subscribers, circular=[ON_LINK_POOL, ROUTED_POOL6]) as gateway:
            with cpu_noise.Watch((gateway.pid, answering.pid)) as watch:
                outcome = generator.run_flows(testbed, load)
            listed = ask(gateway.control, "reputation/list", {"match": CLIENT})["reputations"]
    value = min((each["reputation"] for each in listed), default=1.0)
    return Run(attrs.evolve(outcome, others=watch.others), value)


def met(pairs: Sequence[Pair]) -> bool:
    """Whether rounds reach the target.

    Args:
        pairs: All rounds.
    """
    single, dual = ([_median(each) for each in runs] for runs in _kinds(pairs))
    limit = max(SLACK * statistics.median(single), statistics.median(single) + SLACK_MS * 1000)
    return (
        all(run.outcome.ok == run.outcome.started and not run.outcome.skipped for run in _kinds(pairs)[1])
        and statistics.median(dual) <= limit
        and min(run.reputation for run in _kinds(pairs)[1]) >= REPUTATION
    )


def _kinds(pairs: Sequence[Pair]) -> tuple[list[Run], list[Run]]:
    return [pair.single for pair in pairs], [pair.dual for pair in pairs]


def _median(run: Run) -> float:
    return run.outcome.ipv4.total.p50


HEAD = [
    "scenario", "IPv4", "IPv6", "mis-delivered", "p50 of IPv4, one family asked", "both asked", "p50 of IPv6",
    "p99 of IPv4, one family asked", "both asked", "reputation", "others", "met",
]  # fmt: skip
"""Titles of the table."""


def _row(row: Row, pairs: Sequence[Pair]) -> list[str]:
    single, dual = _kinds(pairs)

    def part(name: str) -> str:
        came = [getattr(run.outcome, name) for run in dual]
        return figures.percent(sum(each.ok for each in came) / max(1, sum(each.started for each in came)))

    def tail(runs: Sequence[Run], family: str, name: str) -> str:
        values = [getattr(getattr(run.outcome, family).total, name) for run in runs]
        return rounds.told(values, figures.milliseconds)

    return [
        row.title,
        part("ipv4"),
        part("ipv6"),
        str(sum(run.outcome.misdelivered for run in (*single, *dual))),
        tail(single, "ipv4", "p50"),
        tail(dual, "ipv4", "p50"),
        tail(dual, "ipv6", "p50"),
        tail(single, "ipv4", "p99"),
        tail(dual, "ipv4", "p99"),
        f"{min(run.reputation for run in dual):.2f}",
        f"{max(run.outcome.others for run in (*single, *dual)):.2f}",
        figures.met(met(pairs)),
    ]


def report(chosen: Sequence[Row], seconds: float) -> tuple[str, bool]:
    """Runs loads, one after the other.

    Args:
        chosen: Which.
        seconds: How long each is measured, in each round and for either gateway, but for `LEAST` at least.

    Returns:
        The report in Markdown, and whether all targets were met.
    """
    cells, every, seconds = [], True, max(seconds, LEAST)
    for row in chosen:
        print(f"    {row.title} ...", file=sys.stderr)
        pairs = [
            Pair(*(run(row, seconds, dual=dual, seed=1 + number * 100) for dual in (False, True)))
            for number in range(ROUNDS)
        ]
        every &= met(pairs)
        cells.append(_row(row, pairs))
    heading = (
        figures.machine()
        + f"- each row: {ROUNDS} rounds of {seconds:g} s, clients that ask for one family and for both in turn;"
        f" {SHARE:.0%} of them come by IPv6\n"
    )
    return heading + "\n" + figures.table(HEAD, cells), every

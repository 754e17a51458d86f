"""What a flow costs in the gateway, next to the least that any gateway could spend on it.

The gateway and the baseline (load/baseline.c) stand side by side, each in a testbed of its own, with the same rules in
the kernel: the baseline takes over the packet queue of a gateway that was killed. They are loaded in turn, in
alternating order, so that whatever else the machine does falls on all of them alike.
docs/benchmark.md tells how to read them.

    ./testbed/bench [--quick] [--policy | --answers | --seen [parts] | --synproxy | --ipv6 [PART]] [--write FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import socket
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import attrs

from testbed.load import baseline, generator
from testbed.load.generator import Load, Outcome, Strays
from testbed.measuring import cpu_noise, figures
from testbed.measuring.rounds import (
    HEAD,
    PORTS,
    TAIL_ROUNDS,
    Contender,
    Rounds,
    Verdict,
    Way,
    at_most,
    losses,
    lost,
    measure,
    ratio,
    rows,
    times,
    told,
)
from testbed.player.defences import Defence
from testbed.programs import answers, bench6, proxied, seen
from testbed.realm import client
from testbed.realm.gateway import ZONE, Gateway, Subscriber
from testbed.realm.topology import CLIENT, Testbed

POOL, POOL_RANGE = "100.64.16.0/20", "100.64.16.0+4096"
"""The pool, as a prefix and as the generators write it."""
FIRST_HOST = IPv4Address("10.128.0.1")
"""Private addresses of the hosts: from here on, all of them answered for by the hosts' namespace."""
REALM = "10.128.0.0/12"
"""The network that they are in."""
BASELINE, MAIN, SMALL, LARGE, LARGE_ALL = (
    "baseline",
    "realmgw",
    "realmgw, 10",
    "realmgw, 100 000",
    "the same, all asked",
)
"""Whom the tables speak of; the numbers are subscribers."""
WITHOUT = Defence("no policy")
"""Nothing asks for reputation, and no challenge is ever due."""
WITH = Defence("full policy", ("adaptive", "log_untrusted"), bands=True, rate_limit=100)
"""Everything; the resolver has passed a challenge, so that none is due."""
POLICY_LIMIT = 1.25
"""How much more a flow may cost with the full policy."""
NAMES, FEW, MANY = 1000, 10, 100_000
"""Subscribers of the main gateway (and of the baseline), of the small one and of the large one."""
FIXED_RATE = 10_000
"""Flows per second of the open loop."""
STRAY_RATE = 60_000
"""Strays per second."""
STRAY_LIMIT = 10.0  # ms
"""99 % of the legitimate flows have to come through in less, while the strays come."""
SIZE_LIMIT = 1.10
"""How much more a flow may cost with `MANY` subscribers than with `FEW`."""


START_TIME = 120.0  # seconds
"""How long a gateway with many subscribers may take to start."""
WAYS = (
    Way("serial", limit=3.0, apart=True),
    Way("10 000/s", limit=2.2, rate=FIXED_RATE, apart=True),
    Way("saturated", limit=2.0, outstanding=32),
)
"""One flow at a time, a fixed rate, and as many as go through."""


def subscribers(count: int) -> dict[str, str]:
    """Name -> private address of so many hosts.

    Args:
        count: How many.
    """
    return {f"s{number}.{ZONE}": str(FIRST_HOST + number) for number in range(count)}


@contextlib.contextmanager
def prepared(prefix: str, *further: str) -> Iterator[tuple[Testbed, int]]:
    """A testbed whose hosts are a whole network, with the number of the hosts' process.

    Args:
        prefix: Of its namespaces.
        further: Prefixes that are routed to the gateway beside `POOL`.
    """
    with Testbed(prefix, routed=[POOL, *further], sources=[generator.RAW_SOURCES]) as testbed:
        generator.answer_for(testbed, REALM, testbed.hosts[0])
        yield testbed, generator.start_hosts(testbed).pid


def _start_gateway(testbed: Testbed, hosts: Mapping[str, str], defence: Defence | None = None) -> Gateway:
    """Starts a gateway with the defaults of the configuration, or with a policy of its own."""
    gateway = Gateway(
        testbed,
        [Subscriber(name, address) for name, address in hosts.items()],
        circular=[{"addresses": POOL, "attachment": "routed"}],
        settings=defence.settings() if defence else None,
    )
    gateway.start(timeout=START_TIME)
    return gateway


@contextlib.contextmanager
def _gateway(title: str, count: int, asked: int) -> Iterator[Contender]:
    """A gateway with so many subscribers, of whom the first so many are asked for."""
    with prepared(f"bench-{count}-") as (testbed, hosts_process):
        hosts = subscribers(count)
        gateway = _start_gateway(testbed, hosts)
        names = generator.write_names(testbed.folder / "names", dict(itertools.islice(hosts.items(), asked)))
        yield Contender(title, testbed, gateway.pid, hosts_process, names)


@contextlib.contextmanager
def _defended(defence: Defence) -> Iterator[Contender]:
    """A gateway with a policy; its resolver has come by TCP, and its client has come as well."""
    with prepared(f"bench-{defence.title.replace(' ', '-')}-") as (testbed, hosts_process):
        hosts = subscribers(NAMES)
        gateway = _start_gateway(testbed, hosts, defence)
        names = generator.write_names(testbed.folder / "names", hosts)
        testbed.call("public", _visit, next(iter(hosts)))
        yield Contender(defence.title, testbed, gateway.pid, hosts_process, names)


def _visit(name: str) -> None:
    """Shows where the resolver is, and sends a first packet, so that its first query was not for nothing."""
    address = asyncio.run(client.address_of(name, tcp=True, source=CLIENT))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", (address, 9))


def _asked_for_all(contender: Contender) -> Contender:
    """The large gateway, asked for every name, in an order in which no cache helps; the same one in every run."""
    hosts = subscribers(MANY)
    order = sorted(hosts, key=lambda name: hashlib.sha256(name.encode()).digest())
    names = generator.write_names(contender.testbed.folder / "all-names", {name: hosts[name] for name in order})
    return attrs.evolve(contender, title=LARGE_ALL, names=names)


@contextlib.contextmanager
def _baseline() -> Iterator[Contender]:
    """The baseline, in the place of a gateway with `NAMES` subscribers."""
    with prepared("bench-baseline-") as (testbed, hosts_process):
        hosts = subscribers(NAMES)
        _start_gateway(testbed, hosts).kill()
        process = baseline.start(testbed, hosts, POOL_RANGE)
        names = generator.write_names(testbed.folder / "names", hosts)
        yield Contender(BASELINE, testbed, process.pid, hosts_process, names)


def judge(results: Rounds) -> list[Verdict]:
    """The targets of the main table.

    Args:
        results: What was measured with `MAIN` and `BASELINE`.
    """
    verdicts = []
    for way in WAYS:
        factor = ratio(results, way, MAIN, BASELINE)
        target = f"{way.title}: at most {way.limit:g} times the baseline's CPU per flow"
        verdicts.append(Verdict(target, f"{factor:.2f} times", factor <= way.limit))
    fixed = results[WAYS[1].title, MAIN]
    verdicts.append(Verdict("10 000/s with a /20 pool: no flow lost", losses(fixed), lost(fixed) == 0))
    return verdicts


def judge_size(results: Rounds) -> list[Verdict]:
    """The targets of the table about the number of subscribers.

    Args:
        results: What was measured with `SMALL` and `LARGE`.
    """
    verdicts = []
    for way in WAYS[1:]:
        factor = ratio(results, way, LARGE, SMALL)
        target = f"{way.title}: with 100 000 subscribers at most {SIZE_LIMIT:g} times the CPU per flow with 10"
        verdicts.append(Verdict(target, f"{factor:.2f} times", factor <= SIZE_LIMIT))
    return verdicts


FLOODS = {"200 senders": "100.66.2.0+200", "60 000 senders": "100.66.4.0+60000"}
"""Where strays come from: few, whom the kernel learns to know, and many, of whom none stands out."""


def flood(contender: Contender, seconds: float) -> tuple[list[list[str]], list[Verdict]]:
    """Legitimate flows while strays come: rows of a table, and the targets.

    Args:
        contender: The gateway.
        seconds: How long each of `TAIL_ROUNDS` rounds takes.
    """
    table, verdicts = [], []
    contender.set_apart(False)
    for title, sources in FLOODS.items():
        take = partial(_flooded, contender, sources, seconds)
        runs = [cpu_noise.quietest(take) for _ in range(TAIL_ROUNDS)]
        table.append(_flood_row(title, runs))
        verdicts += judge_flood(title, runs)
    return table, verdicts


@attrs.frozen
class Flooded:
    """One run under strays."""

    rate: float
    """Strays per second."""
    outcome: Outcome
    """What came of the legitimate flows."""

    @property
    def others(self) -> float:
        """What others used of the machine meanwhile, in cores."""
        return self.outcome.others


def judge_flood(title: str, runs: Sequence[Flooded]) -> list[Verdict]:
    """The targets under strays.

    Args:
        title: Whose they are.
        runs: Of all rounds.
    """
    rates = [run.rate for run in runs]
    tails = [run.outcome.total.p99 for run in runs]
    limit = f"{STRAY_RATE} strays/s of {title}: legitimate p99 at most {STRAY_LIMIT:g} ms"
    return [
        at_most(limit, tails, STRAY_LIMIT * 1000, figures.milliseconds),
        Verdict(f"{STRAY_RATE} strays/s of {title} were sent", told(rates, "{:.0f}/s".format),
                statistics.median(rates) > 0.95 * STRAY_RATE),
    ]  # fmt: skip


def _flooded(contender: Contender, sources: str, seconds: float) -> Flooded:
    """One run under strays."""
    load = Load(names=contender.names, rate=500, ports=PORTS, seconds=seconds, warm_seconds=0.5, retries=1)
    longest = seconds + 1.0
    with cpu_noise.Watch((contender.process, contender.hosts)) as watch:
        strays = generator.start_strays(contender.testbed, Strays(POOL_RANGE, sources, STRAY_RATE, longest))
        outcome = contender.run(load)
        rate = generator.end_of_strays(strays) / longest
    return Flooded(rate, attrs.evolve(outcome, others=watch.others))


FLOOD_HEAD = ["strays from", "strays/s", "gateway's core", "success", "p50", "p90", "p99", "p99.9", "others", "lost"]
"""Titles of the table about strays."""


def _flood_row(title: str, runs: Sequence[Flooded]) -> list[str]:
    outcomes = [run.outcome for run in runs]
    return [
        title,
        f"{statistics.median(run.rate for run in runs):.0f}",
        f"{statistics.median(outcome.share for outcome in outcomes) * 100:.0f} %",
        figures.percent(1 - lost(outcomes) / sum(outcome.started for outcome in outcomes)),
        *times(outcomes),
        f"{max(outcome.others for outcome in outcomes):.2f}",
        losses(outcomes),
    ]


def report(quick: bool) -> tuple[str, bool]:
    """Measures everything.

    Args:
        quick: For a short run, whose figures are less steady.

    Returns:
        The report in Markdown, and whether all targets were met.
    """
    rounds, seconds = (3, 1.0) if quick else (6, 2.0)
    with _baseline() as below, _gateway(MAIN, NAMES, NAMES) as gateway:
        flood_table, flood_verdicts = flood(gateway, seconds)
        main = measure(WAYS, [below, gateway], rounds, seconds)
    with _gateway(SMALL, FEW, FEW) as small, _gateway(LARGE, MANY, FEW) as large:
        sizes = [small, large, _asked_for_all(large)]
        size = measure(WAYS[1:], sizes, rounds, seconds)
    verdicts = [*judge(main), *judge_size(size), *flood_verdicts]
    text = "\n".join(
        [
            figures.machine()
            + f"- rounds: {rounds}, {seconds:g} s each, contenders in alternating order; strays: {TAIL_ROUNDS}\n"
            f"- others: what processes without a part in it used of the machine, in cores, at most; with more than"
            f" {cpu_noise.LIMIT:g} a measurement is repeated, up to {cpu_noise.TRIES} times in all\n",
            figures.table(HEAD, rows(main, WAYS, [BASELINE, MAIN])),
            figures.table(HEAD, rows(size, WAYS[1:], [contender.title for contender in sizes])),
            figures.table(FLOOD_HEAD, flood_table),
            figures.table(["target", "figure", "met"], [[v.target, v.figure, figures.met(v.met)] for v in verdicts]),
        ]
    )
    return text, all(verdict.met for verdict in verdicts)


def judge_policy(results: Rounds) -> list[Verdict]:
    """The targets of the table about the policy.

    Args:
        results: What was measured with `WITHOUT` and `WITH`.
    """
    verdicts = []
    for way in WAYS:
        factor = ratio(results, way, WITH.title, WITHOUT.title)
        target = f"{way.title}: with the full policy at most {POLICY_LIMIT:g} times the CPU per flow without"
        verdicts.append(Verdict(target, f"{factor:.2f} times", factor <= POLICY_LIMIT))
    outcomes = [outcome for way in WAYS[:2] for outcome in results[way.title, WITH.title]]
    verdicts.append(Verdict("no flow lost to the policy", losses(outcomes), lost(outcomes) == 0))
    return verdicts


def report_policy(quick: bool) -> tuple[str, bool]:
    """Measures what the policy costs a flow.

    Args:
        quick: For a short run.

    Returns:
        As for `report`.
    """
    rounds, seconds = (3, 1.0) if quick else (6, 2.0)
    with _defended(WITHOUT) as without, _defended(WITH) as full:
        results = measure(WAYS, [without, full], rounds, seconds)
    verdicts = judge_policy(results)
    text = "\n".join(
        [
            figures.machine() + f"- rounds: {rounds}, {seconds:g} s each, contenders in alternating order\n",
            figures.table(HEAD, rows(results, WAYS, [WITHOUT.title, WITH.title])),
            figures.table(["target", "figure", "met"], [[v.target, v.figure, figures.met(v.met)] for v in verdicts]),
        ]
    )
    return text, all(verdict.met for verdict in verdicts)


def main() -> int:
    """Runs the benchmark; the exit status is 0 when every target was met."""
    parser = argparse.ArgumentParser(prog="bench", description="CPU per admitted flow, next to a baseline.")
    parser.add_argument("--quick", action="store_true", help="a shorter run, with less steady figures")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--policy", action="store_true", help="only: what the policy costs, next to none")
    only.add_argument("--answers", action="store_true", help="only: what answers cost, next to negative ones")
    what = "only: what it costs that all of it can be looked into; or each part alone as well"
    only.add_argument("--synproxy", action="store_true", help="only: what it costs to keep a SYN proxy in step")
    only.add_argument("--seen", nargs="?", const="all", choices=["all", "parts"], help=what)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the report into its place in this document")
    what = "only: what a flow of IPv6 costs, next to one of IPv4, memory, and guesses; or one of these"
    only.add_argument("--ipv6", nargs="?", const="", choices=["", *bench6.PARTS], metavar="PART", help=what)
    options = parser.parse_args()
    generator.build()
    chosen = {"": report}
    if options.policy:
        chosen = {"policy": report_policy}
    elif options.answers:
        chosen = {"answers": answers.report}
    elif options.seen:
        titles = tuple(seen.PARTS) if options.seen == "parts" else (seen.UNSEEN, seen.SEEN, seen.AGAIN)
        report_seen = partial(seen.report, prepared=prepared, hosts=subscribers(NAMES), pool=POOL, ways=WAYS)
        chosen = {"seen": partial(report_seen, titles=titles)}
    elif options.synproxy:
        way = attrs.evolve(WAYS[1], limit=proxied.LIMIT)
        chosen = {"proxied": partial(proxied.report, prepared=prepared, hosts=subscribers, pool=POOL, way=way)}
    elif options.ipv6 is not None:
        chosen = {part: bench6.PARTS[part] for part in ([options.ipv6] if options.ipv6 else bench6.PARTS)}
    return max(
        figures.publish("bench", partial(measured, options.quick), options.write, name)
        for name, measured in chosen.items()
    )


if __name__ == "__main__":
    sys.exit(main())

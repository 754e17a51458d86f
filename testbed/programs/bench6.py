"""What a flow of IPv6 costs beside one of IPv4, whether memory stays flat, and what guesses at a /64 do.

One gateway has both pools, and the same hosts by both families; it is loaded in turn by clients of either. docs/ipv6.md
has the figures.

    ./testbed/bench --ipv6 [cost | fresh | guesses] [--quick] [--write FILE]
"""

from __future__ import annotations

import contextlib
import re
import statistics
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import attrs

from testbed.load import generator
from testbed.load.generator import Load, Outcome, Strays
from testbed.measuring import cpu_noise, figures
from testbed.measuring.rounds import (
    HEAD,
    PORTS,
    QUANTILES,
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
from testbed.realm import ipv6
from testbed.realm.gateway import ROUTED_POOL6, ZONE, Gateway, Subscriber
from testbed.realm.topology import Testbed, TestbedError

POOL = "100.64.16.0/20"
"""The pool of IPv4."""
HOSTS, HOSTS6 = IPv4Address("10.128.0.1"), IPv6Address("fd00:128::1")
"""Private addresses of the hosts: from here on."""
REALM, REALM6 = "10.128.0.0/12", "fd00:128::/64"
"""The networks that they are in; all of them are answered for by the hosts' namespace."""
NAMES = 1000
"""Subscribers."""
FOUR, SIX, ASKED = "IPv4", "IPv6", "IPv6, AAAA asked by IPv4"
"""By which family clients come, and ask."""
LIMIT = 1.15
"""How many times what a flow of IPv4 costs one of IPv6 may cost."""
RATE = 10_000
"""Flows per second of the open loop."""
WAYS = (
    Way("serial", limit=LIMIT, apart=True),
    Way("10 000/s", limit=LIMIT, rate=RATE, apart=True),
    Way("saturated", limit=LIMIT, outstanding=32),
)
"""As in the benchmark of IPv4."""
LONG, QUICK_LONG = 60.0, 20.0  # seconds
"""How long every address is fresh while memory is looked at."""
FLAT = 1.05
"""So many times what it was in the middle may the gateway's memory be at the end."""
CONNTRACK_TIME = 10  # seconds
"""How long conntrack remembers a flow by UDP meanwhile: with the usual 30 s its own table would be full."""
STRAY_RATE = 60_000
"""Guesses per second."""
GUESSES, QUICK_GUESSES = 1_000_000, 600_000
"""So many in all, for each kind of sender."""
PENDING = 100
"""So many claims are pending meanwhile that nobody comes for."""
CLAIM_LIFETIME = 2.0  # seconds
"""How long each of them is."""
STRAY_LIMIT = 10.0  # ms
"""99 % of the legitimate flows have to come through in less, while they come."""
GUESSERS = {"200 senders of one /64": "2001:db8:66:2::1+200", "as many /64s as packets": "2001:db8:66::/48"}
"""Where they come from."""
STRAYS, STRAYS_TO, STRAYS_FROM = "IPv4: 60 000 senders", "100.64.16.0+4096", "100.66.4.0+60000"
"""For comparison: packets to all of the pool of IPv4, beside flows of that, as in the benchmark. A claim that nobody
comes for would let some of them in there."""


@contextlib.contextmanager
def _gateway() -> Iterator[tuple[Testbed, Gateway, int, Path]]:
    """A testbed with a gateway of both families, the number of the hosts' process, and the file of the names."""
    with Testbed("bench-six-", routed=[POOL], sources=[generator.RAW_SOURCES, ipv6.SOURCES]) as testbed:
        generator.answer_for(testbed, REALM, testbed.hosts[0])
        generator.answer_for(testbed, REALM6, testbed.hosts6[0])
        hosts = {f"s{number}.{ZONE}": (str(HOSTS + number), str(HOSTS6 + number)) for number in range(NAMES)}
        subscribers = [Subscriber(name, four, address6=six) for name, (four, six) in hosts.items()]
        pools = [{"addresses": POOL, "attachment": "routed"}, ROUTED_POOL6]
        answering = generator.start_hosts(testbed)
        names = {name: ",".join(both) for name, both in hosts.items()}
        with Gateway(testbed, subscribers, circular=pools) as gateway:
            yield testbed, gateway, answering.pid, generator.write_names(testbed.folder / "names", names)


def judge(results: Rounds) -> list[Verdict]:
    """The targets of the table of costs.

    Args:
        results: What was measured with `FOUR` and `SIX`.
    """
    verdicts = []
    for way in WAYS:
        factor = ratio(results, way, SIX, FOUR)
        target = f"{way.title}: at most {way.limit:g} times the CPU of a flow by IPv4"
        verdicts.append(Verdict(target, f"{factor:.2f} times", factor <= way.limit))
    outcomes = [outcome for way in WAYS for outcome in results[way.title, SIX]]
    verdicts.append(Verdict("no flow by IPv6 is lost", losses(outcomes), lost(outcomes) == 0))
    return verdicts


@attrs.frozen
class Memory:
    """What the gateway had of it while every flow had a fresh address."""

    resident: Sequence[int]
    """kB, once a second."""
    outcome: Outcome
    """What came of the flows."""


def fresh(contender: Contender, seconds: float) -> Memory:
    """Loads with `RATE` flows per second, none of which has an address that another one had.

    Args:
        contender: The gateway, with clients of IPv6.
        seconds: How long.
    """
    for parameter in ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"):
        path = Path("/proc/sys/net/netfilter", parameter)
        contender.testbed.call("gwa", path.write_text, str(CONNTRACK_TIME))
    resident: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(1.0):
            resident.append(resident_of(contender.process))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        outcome = contender.run(Load(names=contender.names, rate=RATE, ports=PORTS, seconds=seconds, retries=1))
    finally:
        ended.set()
        looking.join()
    return Memory(resident, outcome)


def resident_of(process: int) -> int:
    """The resident memory of a process, in kB.

    Args:
        process: Its number.
    """
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) if found else 0


def judge_memory(memory: Memory) -> list[Verdict]:
    """Whether it is flat: what stands is bounded, and the bound is reached within a third of the time.

    Args:
        memory: What was seen.
    """
    middle, end = memory.resident[len(memory.resident) // 2], max(memory.resident)
    shown = f"{memory.resident[0] / 1024:.0f} MB, {middle / 1024:.0f} MB, {end / 1024:.0f} MB"
    return [
        Verdict(f"memory at first, in the middle, at most: the last at most {FLAT:g} times the second", shown,
                end <= FLAT * middle),
        Verdict("10 000/s with fresh addresses: no flow lost",
                f"{losses([memory.outcome])}; {memory.outcome.asked_again} asked again", lost([memory.outcome]) == 0),
    ]  # fmt: skip


@attrs.frozen
class Guessed:
    """One run under guesses."""

    sent: int
    """How many."""
    rate: float
    """Of them in a second."""
    admitted: int
    """Of them, that reached a host: legitimate flows are of another protocol."""
    outcome: Outcome
    """What came of the legitimate flows."""

    @property
    def others(self) -> float:
        """What others used of the machine meanwhile, in cores."""
        return self.outcome.others


def guess(contender: Contender, sources: str, count: int, targets: str = ipv6.ROUTED) -> Guessed:
    """Legitimate flows while SYNs come to random addresses of the pool, and claims are pending that nobody comes for.

    Args:
        contender: The gateway, with clients of IPv6.
        sources: Where the guesses come from.
        count: How many.
        targets: Where they go to.
    """
    seconds = count / STRAY_RATE
    load = Load(
        names=contender.names,
        rate=500,
        idle=PENDING / CLAIM_LIFETIME if ":" in targets else 0.0,
        ports=PORTS,
        seconds=seconds - 1.5,
        warm_seconds=0.5,
        retries=1,
    )
    family = "ip6" if ":" in targets else "ip"
    before = _reached(contender.testbed, family)
    with cpu_noise.Watch((contender.process, contender.hosts)) as watch:
        strays = generator.start_strays(contender.testbed, Strays(targets, sources, STRAY_RATE, seconds))
        outcome = contender.run(load)
        sent = generator.end_of_strays(strays)
    return Guessed(
        sent, sent / seconds, _reached(contender.testbed, family) - before, attrs.evolve(outcome, others=watch.others)
    )


def _reached(testbed: Testbed, family: str) -> int:
    """How many TCP packets the hosts have got by a family."""
    listed = testbed.run("test_gwa", ["nft", "list", "counter", "inet", "guesses", f"by_{family}"]).stdout
    found = re.search(r"packets (\d+)", listed)
    if found is None:
        raise TestbedError(f"the hosts' packets are not counted: {listed}")
    return int(found[1])


COUNTING = """
table inet guesses {
    counter by_ip { }
    counter by_ip6 { }
    chain input {
        type filter hook input priority 0;
        ip protocol tcp counter name by_ip
        ip6 nexthdr tcp counter name by_ip6
    }
}
"""
"""Rules of the hosts' namespace: every TCP packet that reaches one is counted."""


def judge_guesses(title: str, runs: Sequence[Guessed]) -> list[Verdict]:
    """The targets under guesses.

    Args:
        title: Who guessed.
        runs: Of all rounds.
    """
    sent, admitted = sum(run.sent for run in runs), sum(run.admitted for run in runs)
    limit = f"guesses by {title}: legitimate p99 at most {STRAY_LIMIT:g} ms, as with strays of IPv4 (benchmark.md)"
    return [
        Verdict(f"guesses by {title}: none admitted", f"{admitted} of {sent}", admitted == 0),
        at_most(limit, [run.outcome.total.p99 for run in runs], STRAY_LIMIT * 1000, figures.milliseconds),
        Verdict(f"guesses by {title} were sent at {STRAY_RATE}/s", told([run.rate for run in runs], "{:.0f}/s".format),
                statistics.median(run.rate for run in runs) > 0.95 * STRAY_RATE),
    ]  # fmt: skip


GUESS_HEAD = [
    "guesses by",
    "sent",
    "admitted",
    "gateway's core",
    "success",
    "p50",
    "p90",
    "p99",
    "p99.9",
    "others",
    "lost",
]
"""Titles of the table about guesses."""


def _guess_row(title: str, runs: Sequence[Guessed]) -> list[str]:
    outcomes = [run.outcome for run in runs]
    return [
        title,
        str(sum(run.sent for run in runs)),
        str(sum(run.admitted for run in runs)),
        f"{statistics.median(outcome.share for outcome in outcomes) * 100:.0f} %",
        figures.percent(1 - lost(outcomes) / sum(outcome.started for outcome in outcomes)),
        *times(outcomes),
        f"{max(outcome.others for outcome in outcomes):.2f}",
        losses(outcomes),
    ]


def _contenders(testbed: Testbed, gateway: Gateway, hosts: int, names: Path) -> tuple[Contender, Contender, Contender]:
    """Clients of IPv4, of IPv6, and such that come by IPv6 and ask by IPv4."""
    four = Contender(FOUR, testbed, gateway.pid, hosts, names)
    six = attrs.evolve(four, title=SIX, how={"ipv6": 1.0, "server": ipv6.GATEWAY, "resolver": ipv6.CLIENT})
    return four, six, attrs.evolve(four, title=ASKED, how={"ipv6": 1.0})


def _targets(verdicts: Sequence[Verdict]) -> str:
    return figures.table(["target", "figure", "met"], [[v.target, v.figure, figures.met(v.met)] for v in verdicts])


def report_costs(quick: bool) -> tuple[str, bool]:
    """Measures what a flow costs.

    Args:
        quick: For a short run, whose figures are less steady.

    Returns:
        The report in Markdown, and whether all targets were met.
    """
    rounds, seconds = (3, 1.0) if quick else (6, 2.0)
    with _gateway() as running:
        costs = measure(WAYS, contenders := _contenders(*running), rounds, seconds)
    verdicts = judge(costs)
    how = f"- rounds: {rounds}, {seconds:g} s each, clients of either family in alternating order\n"
    titles = [contender.title for contender in contenders]
    parts = [figures.machine() + how, figures.table(HEAD, rows(costs, WAYS, titles)), _targets(verdicts)]
    return "\n".join(parts), all(verdict.met for verdict in verdicts)


def report_memory(quick: bool) -> tuple[str, bool]:
    """Measures memory while every flow has an address that none had before; see `report_costs`."""
    with _gateway() as running:
        memory = fresh(_contenders(*running)[1], seconds := QUICK_LONG if quick else LONG)
    verdicts, outcome = judge_memory(memory), memory.outcome
    how = f"- {outcome.started} flows in {seconds:g} s, each at a fresh address; others: {outcome.others:.2f}\n"
    told = "MB of resident memory, once a second: " + " ".join(f"{kb / 1024:.0f}" for kb in memory.resident) + "\n"
    tail = figures.table(["", *QUANTILES], [["a flow", *times([outcome])]])
    parts = [figures.machine() + how, told, tail, _targets(verdicts)]
    return "\n".join(parts), all(verdict.met for verdict in verdicts)


def report_guesses(quick: bool) -> tuple[str, bool]:
    """Measures what guesses do, beside strays of IPv4; see `report_costs`."""
    count = (QUICK_GUESSES if quick else GUESSES) // TAIL_ROUNDS
    with _gateway() as running:
        four, six, _ = _contenders(*running)
        running[0].run("test_gwa", ["nft", COUNTING])
        every = {title: [cpu_noise.quietest(partial(guess, six, sources, count)) for _ in range(TAIL_ROUNDS)]
                 for title, sources in GUESSERS.items()}  # fmt: skip
        take = partial(guess, four, STRAYS_FROM, count, STRAYS_TO)  # last, since it fills queue and conntrack
        of_four = [cpu_noise.quietest(take) for _ in range(TAIL_ROUNDS)]
    verdicts = [verdict for title, runs in every.items() for verdict in judge_guesses(title, runs)]
    told = [_guess_row(title, runs) for title, runs in {**every, STRAYS: of_four}.items()]
    parts = [
        figures.machine() + f"- {TAIL_ROUNDS} rounds of {count} packets each\n",
        figures.table(GUESS_HEAD, told),
        _targets(verdicts),
    ]
    return "\n".join(parts), all(verdict.met for verdict in verdicts)


PARTS = {"guesses": report_guesses, "cost": report_costs, "fresh": report_memory}
"""By the names of their places in docs/ipv6.md. Each has a gateway of its own."""

"""Ten thousand spoofed queries a second: what is left for honest clients, next to the same without the flood."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from testbed.load import generator
from testbed.measuring import cpu_noise, figures
from testbed.measuring.pool_timeline import Look, PoolTimeline
from testbed.measuring.rounds import Verdict, at_most, told
from testbed.player.defences import OFF, ON, Defence
from testbed.player.players import LEAD, Played, Playing, together
from testbed.player.template import TCP, UDP, Distribution, Kind, Option, Place, Stream, Template
from testbed.programs import noise
from testbed.realm.gateway import ZONE, Gateway, Subscriber
from testbed.realm.topology import GATEWAY, MAX_CLIENTS, SOURCES, Testbed

RATE = 10_000
"""Spoofed queries per second."""
NAMES = 100
"""Private hosts, all of them asked for by both sides."""
POOL, SIZE = "100.64.2.0/26", 64
"""The pool."""
HONEST_RATE = 100.0
"""Honest flows per second."""
RESOLVER = "100.64.3.20"
"""Where honest queries come from."""
SPOOFED = f"{SOURCES.partition('/')[0]}+60000"
"""Where spoofed ones seem to come from."""
WARM = 2.0  # seconds
"""Of honest flows alone, before the measurement."""
SETTLING = 1.0  # seconds
"""Of the flood, before the measurement."""
SUCCESS, P99 = 0.99, 0.35
"""Least success, and longest 99th percentile in seconds, of honest clients under the flood."""
MORE_LOST, MORE_DELAY = 0.01, 0.05
"""What the flood may cost them: success, and seconds of the 99th percentile."""


@attrs.frozen
class Case:
    """One thing to measure."""

    title: str
    """What the table calls it."""
    defence: Defence
    """What is switched on."""
    protocol: int
    """By which honest resolvers ask: TCP, or UDP first."""
    rate: float
    """Spoofed queries per second."""
    options: tuple[Option, ...] = ()
    """What honest resolvers send along."""


CASES = (
    Case("flood, by TCP, off", OFF, TCP, RATE),
    Case("no flood, by TCP, on", ON, TCP, 0),
    Case("flood, by TCP, on", ON, TCP, RATE),
    Case("flood, by UDP, off", OFF, UDP, RATE),
    Case("no flood, by UDP, on", ON, UDP, 0),
    Case("flood, by UDP, on", ON, UDP, RATE),
    Case("no flood, by UDP with cookies, on", ON, UDP, 0, (Option.COOKIE,)),
    Case("flood, by UDP with cookies, on", ON, UDP, RATE, (Option.COOKIE,)),
)
"""With and without the flood."""


@attrs.frozen
class Flood:
    """What came of a case."""

    case: Case
    """Which."""
    honest: Played
    """What became of the honest flows."""
    rate: float
    """Spoofed queries per second that were sent."""
    cpu: float
    """What the gateway used, in cores."""
    others: float
    """What processes without a part in it used, in cores."""
    looks: Sequence[Look]
    """The course of pool and reputations."""
    status: Mapping[str, Any]
    """The gateway's own account."""

    @property
    def success(self) -> float:
        """The part of the honest flows that came through."""
        return self.honest.success

    def plain(self) -> dict[str, Any]:
        """What pictures need of it, for JSON."""
        return {
            "title": self.case.title,
            "success": self.success,
            "p50": self.honest.delay(0.5),
            "p99": self.honest.delay(0.99),
            "looks": [attrs.asdict(look) for look in self.looks],
        }


def templates(case: Case, names: Sequence[str], seconds: float) -> tuple[Template, Template]:
    """The honest traffic, and the flood.

    Args:
        case: Which.
        names: That are asked for.
        seconds: How long to measure.
    """
    targets = tuple(Place(name, generator.PORT, TCP) for name in names)
    honest = Stream(
        kind=Kind.DNSDATA,
        load=HONEST_RATE,
        edns_options=case.options,
        dns_laddr=(Place(RESOLVER, 0, UDP),),
        dns_raddr=(Place(GATEWAY, 53, case.protocol),),
        data_laddr=(Place("100.64.3.40+60", 0, TCP),),
        data_raddr=targets,
    )
    flood = Stream(
        kind=Kind.DNSSPOOF,
        load=max(case.rate, 0.001),
        distribution=Distribution.FIXED,
        dns_laddr=(Place(SPOOFED, 0, UDP),),
        dns_raddr=(Place(GATEWAY, 53, UDP),),
        data_raddr=targets,
    )
    length = WARM + SETTLING + seconds
    return Template(length, 0.0, (honest,)), Template(SETTLING + seconds, 0.0, (flood,))


def run(case: Case, seconds: float, prefix: str = "flood-") -> Flood:
    """Runs a case in a testbed of its own.

    Args:
        case: Which.
        seconds: How long to measure.
        prefix: Of the testbed.
    """
    with Testbed(prefix, hosts=NAMES, clients=MAX_CLIENTS, routed=[POOL], sources=[SOURCES], attackers=True) as testbed:
        answering = generator.start_hosts(testbed)
        hosts = {f"host{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}
        names = generator.write_names(testbed.folder / "names", hosts)
        subscribers = [Subscriber(name, address) for name, address in hosts.items()]
        pool = [{"addresses": POOL, "attachment": "routed"}]
        with Gateway(testbed, subscribers, circular=pool, settings=case.defence.settings()) as gateway:
            begin = time.monotonic() + LEAD
            playing = Playing(testbed, names, begin)
            honest, flood = templates(case, list(hosts), seconds)
            playing.start(honest)
            if case.rate:
                playing.start(flood, later=WARM)
            with (
                PoolTimeline(gateway.control, begin + WARM) as course,
                cpu_noise.Watch((gateway.pid, answering.pid)) as watch,
            ):
                before = cpu_noise.time_of(gateway.pid)
                played = playing.finish()
                used = cpu_noise.time_of(gateway.pid) - before
    sent = played[1].sent / flood.duration if case.rate else 0.0
    cores = used / (LEAD + honest.duration)
    return Flood(case, played[0].after(WARM + SETTLING), sent, cores, watch.others, course.looks, course.status)


def run_fairly(case: Case, seconds: float) -> Flood:
    """Runs a case, and again while others use the machine; at last the quietest run counts.

    Args:
        case: Which.
        seconds: How long to measure.
    """
    return cpu_noise.quietest(partial(run, case, seconds), lambda flood: flood.success >= SUCCESS)


HEAD = ["honest queries", "spoofed/s", "success", "p50 / p99", "gateway's core", "others", "lost"]
"""Titles of the table."""


def rows(floods: Sequence[Flood]) -> list[list[str]]:
    """The table: of each case all flows together, and the medians of the rest.

    Args:
        floods: All rounds of all cases, in the order of `CASES`.
    """
    return [
        [
            title,
            f"{statistics.median(flood.rate for flood in rounds):.0f}",
            figures.percent(whole(rounds).success),
            _times(rounds),
            f"{statistics.median(flood.cpu for flood in rounds) * 100:.0f} %",
            f"{max(flood.others for flood in rounds):.2f}",
            noise.lost(whole(rounds)),
        ]
        for title, rounds in by_title(floods).items()
    ]


def by_title(floods: Sequence[Flood]) -> dict[str, list[Flood]]:
    """The rounds of each case.

    Args:
        floods: In any order.
    """
    found: dict[str, list[Flood]] = {}
    for flood in floods:
        found.setdefault(flood.case.title, []).append(flood)
    return found


def whole(rounds: Sequence[Flood]) -> Played:
    """The honest flows of all rounds.

    Args:
        rounds: Of one case.
    """
    return together([flood.honest for flood in rounds])


def _times(rounds: Sequence[Flood]) -> str:
    p50, p99 = (statistics.median(flood.honest.delay(share) for flood in rounds) for share in (0.5, 0.99))
    return f"{figures.milliseconds(p50 * 1e6)} / {figures.milliseconds(p99 * 1e6)}"


def _tails(rounds: Sequence[Flood]) -> list[float]:
    """The 99th percentile of each round, in microseconds."""
    return [flood.honest.delay(0.99) * 1e6 for flood in rounds]


def judge(floods: Sequence[Flood]) -> list[Verdict]:
    """What the flood may do with the defences on, and what it may cost.

    Args:
        floods: All rounds of all cases, in any order.
    """
    verdicts = []
    found = by_title(floods)
    for title, rounds in found.items():
        case = rounds[0].case
        if case.defence is ON and case.rate:
            verdicts += _judge_case(case, rounds)
            if calm := found.get(f"no {title}"):
                verdicts += _cost(title, rounds, calm)
    return verdicts


def _judge_case(case: Case, rounds: Sequence[Flood]) -> list[Verdict]:
    success, rates = whole(rounds).success, [flood.rate for flood in rounds]
    return [
        Verdict(f"{case.title}: success at least {SUCCESS:.0%}", figures.percent(success), success >= SUCCESS),
        at_most(f"{case.title}: p99 at most {P99 * 1000:.0f} ms", _tails(rounds), P99 * 1e6, figures.milliseconds),
        Verdict(f"{case.title}: {case.rate}/s were sent", told(rates, "{:.0f}/s".format),
                statistics.median(rates) > 0.95 * case.rate),
    ]  # fmt: skip


def _cost(title: str, rounds: Sequence[Flood], calm: Sequence[Flood]) -> list[Verdict]:
    less = whole(calm).success - whole(rounds).success
    more = [flooded - calm for flooded, calm in zip(_tails(rounds), _tails(calm), strict=True)]
    return [
        Verdict(f"{title}: it costs at most {MORE_LOST:.0%} of success", f"{max(less, 0.0) * 100:.2f} %",
                less <= MORE_LOST),
        at_most(f"{title}: it costs at most {MORE_DELAY * 1000:.0f} ms of the p99", more, MORE_DELAY * 1e6,
                lambda microseconds: f"{microseconds / 1000:.1f} ms"),
    ]  # fmt: skip

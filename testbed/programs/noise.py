"""Honest clients among noise: ten hosts behind three addresses, 30 flows a second, and what else comes."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from testbed.load import generator
from testbed.measuring import cpu_noise, figures
from testbed.measuring.pool_timeline import Look, PoolTimeline
from testbed.measuring.rounds import Verdict
from testbed.player import template
from testbed.player.defences import OFF, ON, Defence
from testbed.player.players import LEAD, Played, Playing, together
from testbed.player.template import Kind, Stream, Template
from testbed.realm.gateway import ON_LINK_POOL, ZONE, Gateway, Subscriber
from testbed.realm.resolvers import RESOLVERS, Resolver
from testbed.realm.topology import CHECKOUT, GATEWAY, MAX_CLIENTS, SOURCES, Testbed

TEMPLATES = CHECKOUT / "testbed" / "templates"
"""Where our templates are."""
KINDS = (Kind.DNS, Kind.DATA, Kind.DNSSPOOF, Kind.DATASPOOF)
"""The kinds of noise; each has a template of its own, at the honest load."""
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""How much noise there is, of the honest load."""
HOSTS = 10
"""Private hosts."""
WARM = 20.0  # seconds
"""So long there are only honest flows, which are told of apart: by then the gateway knows these resolvers."""
PARTS = ((0.0, 3.5), (3.5, 8.0), (8.0, 12.0), (12.0, WARM))
"""Of that time, from when to when, in seconds."""
BY_UNBOUND, BY_BIND = "100.64.3.11", "100.64.3.12"
"""The addresses that the templates ask for these two resolvers."""
VIA = {GATEWAY: "raw", BY_UNBOUND: "unbound", BY_BIND: "BIND"}
"""Name server -> how the tables call this way to resolve."""
PAUSE = 0.05  # seconds
"""After a longer pause clients are late whom the gateway knows to be quick: then a bad run is repeated."""
TARGET = 0.99
"""The least success of honest clients, whatever the noise, with the defences on."""


@attrs.frozen
class Case:
    """One thing to measure."""

    kinds: tuple[Kind, ...]
    """Of the noise; none: the ideal run."""
    share: float
    """How much of each kind, of the honest load."""
    defence: Defence
    """What is switched on."""

    @property
    def noise(self) -> str:
        """What the tables call the noise."""
        if not self.kinds:
            return "none"
        return "all four" if len(self.kinds) > 1 else self.kinds[0].value

    @property
    def title(self) -> str:
        """What it is called altogether."""
        return f"{self.noise} {self.share:.0%}, {self.defence.title}"


@attrs.frozen
class Run:
    """What came of a case."""

    case: Case
    """Which."""
    honest: Mapping[str, Played]
    """What became of the honest flows, by the way to resolve."""
    begun: Played
    """Of those before, while the gateway got to know their resolvers."""
    noise: Sequence[Played]
    """What became of the others."""
    looks: Sequence[Look]
    """The course of pool and reputations, in seconds since the noise began."""
    status: Mapping[str, Any]
    """The gateway's own account."""
    pause: float
    """The longest time that somebody who only waited was kept from running, in seconds."""

    @property
    def whole(self) -> Played:
        """All honest flows."""
        return together(list(self.honest.values()))

    @property
    def success(self) -> float:
        """The part of all honest flows that came through."""
        return self.whole.success

    def plain(self) -> dict[str, Any]:
        """What pictures need of it, for JSON."""
        return {
            "noise": self.case.noise,
            "share": self.case.share,
            "defence": self.case.defence.title,
            "success": self.success,
            "p50": self.whole.delay(0.5),
            "p99": self.whole.delay(0.99),
            "looks": [attrs.asdict(look) for look in self.looks],
        }


def cases(shares: Sequence[float]) -> Iterator[Case]:
    """The ideal run, and each kind of noise and all of them at each share; the defences off and on.

    Args:
        shares: Of the honest load.
    """
    for defence in (OFF, ON):
        yield Case((), 0.0, defence)
    for kinds in (*((kind,) for kind in KINDS), KINDS):
        for share in shares:
            for defence in (OFF, ON):
                yield Case(kinds, share, defence)


def read(name: str) -> Template:
    """One of our templates.

    Args:
        name: Without `.yaml`.
    """
    return template.read(TEMPLATES / f"{name}.yaml")


def scaled(what: Template, share: float, duration: float) -> Template:
    """A template with less load.

    Args:
        what: At the honest load.
        share: How much of it.
        duration: For how long, in seconds.
    """
    streams = tuple(attrs.evolve(stream, load=stream.load * share) for stream in what.streams)
    return attrs.evolve(what, streams=streams, duration=duration)


def run(case: Case, seconds: float, prefix: str = "traffic-") -> Run:
    """Runs a case in a testbed of its own.

    Args:
        case: Which.
        seconds: How long to measure.
        prefix: Of the testbed.
    """
    with Testbed(prefix, hosts=HOSTS, clients=MAX_CLIENTS, sources=[SOURCES], attackers=True) as testbed:
        generator.start_hosts(testbed)
        hosts = {f"host{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}
        names = generator.write_names(testbed.folder / "names", hosts)
        subscribers = [Subscriber(name, address) for name, address in hosts.items()]
        settings = case.defence.settings()
        with Gateway(testbed, subscribers, circular=[ON_LINK_POOL], settings=settings) as gateway, _resolvers(testbed):
            begin = time.monotonic() + LEAD
            playing = Playing(testbed, names, begin)
            ideal = _possible(read("ideal")).over(WARM + seconds)
            playing.start(ideal)
            for kind in case.kinds:
                playing.start(scaled(read(kind.value), case.share, seconds), later=ideal.backoff + WARM)
            with PoolTimeline(gateway.control, begin + ideal.backoff + WARM) as course:
                played = playing.finish()
    count = len(ideal.streams)
    honest = {VIA[_server(each.stream)]: each.after(WARM) for each in played[:count]}
    begun = together([each.between(0.0, WARM) for each in played[:count]])
    return Run(case, honest, begun, played[count:], course.looks, course.status, course.pause)


def run_fairly(case: Case, seconds: float, prefix: str = "traffic-") -> Run:
    """Runs a case, and again when something went wrong while others kept the machine from running it.

    Args:
        case: Which.
        seconds: How long to measure.
        prefix: Of the testbed.
    """
    runs: list[Run] = []
    while not runs or (len(runs) < cpu_noise.TRIES and runs[-1].pause > PAUSE and not _well(runs[-1])):
        runs.append(run(case, seconds, prefix))
    return runs[-1] if _well(runs[-1]) else min(runs, key=lambda each: each.pause)


def _well(run: Run) -> bool:
    return run.success >= TARGET and not misdelivered(run.whole)


def _server(stream: Stream) -> str:
    return stream.dns_raddr[0].address


@contextlib.contextmanager
def _resolvers(testbed: Testbed) -> Iterator[None]:
    """Unbound and BIND, where they are installed."""
    with contextlib.ExitStack() as running:
        for kind in RESOLVERS:
            for address, title in VIA.items():
                if kind.title == title and kind.missing() is None:
                    running.enter_context(Resolver(testbed, kind, address))
        yield


def _possible(what: Template) -> Template:
    """A template without the streams by resolvers that are not installed."""
    missing = {kind.title for kind in RESOLVERS if kind.missing()}
    streams = tuple(stream for stream in what.streams if VIA[_server(stream)] not in missing)
    return attrs.evolve(what, streams=streams)


CELLS = ("success", "p50 / p99", "mis-delivered")
"""What is told of honest flows."""
HEAD = ["noise", "share", *(f"{one}: {what}" for one in ("off", "on") for what in CELLS)]
"""Titles of the main table."""


def rows(runs: Sequence[Run]) -> list[list[str]]:
    """The main table.

    Args:
        runs: In the order of `cases`.
    """
    table = []
    for off in runs:
        on = _other(runs, off)
        if off.case.defence is OFF:
            its = _fared(on.whole) if on else ["-"] * len(CELLS)
            table.append([off.case.noise, f"{off.case.share:.0%}", *_fared(off.whole), *its])
    return table


def _other(runs: Sequence[Run], off: Run) -> Run | None:
    """The same case with the defences on."""
    case = attrs.evolve(off.case, defence=ON)
    return next((run for run in runs if run.case == case), None)


def _fared(played: Played) -> list[str]:
    return [figures.percent(played.success), times(played), str(misdelivered(played))]


def times(played: Played) -> str:
    """Median and 99th percentile of the time to the connection.

    Args:
        played: What became of the flows.
    """
    p50, p99 = played.delay(0.5), played.delay(0.99)
    return "-" if math.isnan(p50) else f"{figures.milliseconds(p50 * 1e6)} / {figures.milliseconds(p99 * 1e6)}"


def misdelivered(played: Played) -> int:
    """Flows that another host greeted.

    Args:
        played: What became of the flows.
    """
    return played.losses["misdelivered"]


NEW_HEAD = ["seconds since they came", *(f"{one}: {what}" for one in ("off", "on") for what in CELLS)]
"""Titles of the table of new resolvers."""


def new_rows(runs: Sequence[Run]) -> list[list[str]]:
    """How honest clients fare while the gateway does not know their resolvers yet: what all runs begin with.

    Args:
        runs: In any order.
    """
    table = []
    for begin, end in PARTS:
        row = [f"{begin:g} to {end:g}"]
        for defence in (OFF, ON):
            begun = [run.begun.between(begin, end) for run in runs if run.case.defence is defence]
            row += _fared(together(begun)) if begun else ["-"] * len(CELLS)
        table.append(row)
    return table


WAYS_HEAD = ["defences on", "share", "resolved by", "success", "p50 / p99", "lost", "longest pause"]
"""Titles of the table by ways to resolve."""


def ways_rows(runs: Sequence[Run]) -> list[list[str]]:
    """How each way to resolve fares with the defences on, without noise and with the most of it.

    Args:
        runs: In any order.
    """
    on = [run for run in runs if run.case.defence is ON]
    most = max((run.case.share for run in on), default=0.0)
    return [
        [
            *(run.case.noise, f"{run.case.share:.0%}", way, figures.percent(played.success)),
            *(times(played), lost(played), figures.milliseconds(run.pause * 1e6)),
        ]
        for run in on
        if run.case.share in (0.0, most)
        for way, played in run.honest.items()
    ]


def lost(played: Played) -> str:
    """How many were lost, and how.

    Args:
        played: What became of the flows.
    """
    kinds = ", ".join(f"{count} {kind}" for kind, count in played.losses.most_common())
    return f"{kinds or '0'} of {len(played.events)}"


def judge(runs: Sequence[Run]) -> list[Verdict]:
    """With the defences on, honest clients come through whatever the noise, and never to a wrong host.

    Args:
        runs: In any order.
    """
    on = [run for run in runs if run.case.defence is ON]
    if not on:
        return []
    worst = min(on, key=lambda run: run.success)
    wrong = sum(misdelivered(run.whole) for run in runs)
    return [
        Verdict(
            f"defences on, any noise: honest success at least {TARGET:.0%}",
            f"{figures.percent(worst.success)} ({worst.case.noise} {worst.case.share:.0%})",
            worst.success >= TARGET,
        ),
        Verdict("no flow reaches a wrong host", str(wrong), wrong == 0),
    ]

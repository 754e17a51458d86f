"""Whether honest clients find their hosts while others rob, starve or confuse, or where resolvers keep answers.

Rows of `testbed/scenarios`. A trial is honest clients, described by a stream of a traffic template, beside one
nuisance, or behind a resolver with a habit. Each has a testbed and a gateway of its own, which is as it comes unless
the trial says otherwise. docs/scenarios.md says how to read the figures.

::

    for trial in TRIALS:
        result = run(trial, 10.0)
        print(trial.title, result.honest.success, trial.target.met_by(result))
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from realmgw.control.command.client import ask
from testbed.load import generator
from testbed.load.generator import Strays
from testbed.measuring import cpu_noise, figures
from testbed.measuring.pool_timeline import standings
from testbed.player.defences import ON
from testbed.player.players import LEAD, Played, Playing
from testbed.player.template import TCP, UDP, Kind, Place, Span, Stream, Template
from testbed.programs import noise
from testbed.realm import links, resolvers
from testbed.realm.gateway import ON_LINK_POOL, ZONE, Gateway, Subscriber
from testbed.realm.resolvers import Resolver
from testbed.realm.topology import ATTACKER, ATTACKERS, GATEWAY, MAX_CLIENTS, ON_LINK, SOURCES, Testbed

RATE = 20.0
"""Honest flows per second."""
WARM = 12.0  # seconds
"""Of honest flows alone, by clients of their own, before the trial begins: nothing is assumed of the resolver any more
(`realmgw.allocation.reputation.caution.CAUTIOUS`)."""
SETTLING = 0.3  # seconds
"""Of the nuisance alone, after that."""
KNOWN, FRESH = "100.64.3.30+10", "100.64.3.40+200"
"""Clients before the trial, and those that are counted: each of these comes once, as long as there are 200."""
RESOLVER, REAL = "100.64.3.20", "100.64.3.11"
"""Where honest queries come from: from a resolver that does what it is told, or from a real one."""
FORGED = f"{SOURCES.partition('/')[0]}+60000"
"""Where forged packets seem to come from: a route leads there, and nobody is at its end."""
ROUTED = "100.64.16.0"
"""The first address of the pool's second part, where it has one."""
THREE, SOME, MANY, PLENTY = 3, 16, 19, 256
"""Sizes of pools."""


@attrs.frozen
class Strayed:
    """Packets with forged sources to all addresses of the pool: so many a second, `syn` or `udp`."""

    rate: float
    kind: str = "syn"


@attrs.frozen
class Asked:
    """Queries by one asker for one host's name, over TCP: so many a second."""

    rate: float


@attrs.frozen
class Left:
    """Datagrams of one host from the service's port to that port of the clients: so many a second."""

    rate: float


@attrs.frozen
class Target:
    """What a trial must reach; a limit that is None is none, and the figure is only told."""

    lost: float | None = None
    """The largest share of flows that do not come through, 0 to 1."""
    reputation: float | None = None
    """The least that the resolver has at the end, 0 to 1."""
    wrong: int | None = 0
    """How many flows may find another host."""

    def met_by(self, result: Result) -> bool:
        """Whether a result reaches it.

        Args:
            result: What came of the trial.
        """
        return bool(result.honest.events) and (
            (self.wrong is None or result.wrong <= self.wrong)
            and (self.lost is None or result.lost <= self.lost * len(result.honest.events) + 1e-6)
            and (self.reputation is None or (result.reputation or 0.0) >= self.reputation)
        )

    def __str__(self) -> str:
        limits = [f"{self.wrong} at a wrong host"] if self.wrong is not None else []
        limits += [f"lost <= {self.lost * 100:g} %"] if self.lost is not None else []
        limits += [f"reputation >= {self.reputation:g}"] if self.reputation is not None else []
        return ", ".join(limits) or "only told"


@attrs.frozen
class Trial:
    """A row of the table."""

    title: str
    """What the table calls it."""
    pool: int
    """How many addresses."""
    target: Target
    """What must be reached."""
    delay: float = 0.0
    """Seconds from an answer to the client's first packet."""
    hosts: int = 20
    """Private hosts, asked for by chance."""
    protocol: int = TCP
    """By which clients come."""
    nuisance: Strayed | Asked | Left | None = None
    """What else happens."""
    resolver: str = ""
    """Whose clients they are, by the title of its kind; empty: of one that does what it is told."""
    lines: tuple[str, ...] = ()
    """What its user has set, in its own words."""
    sources: str = FRESH
    """The clients, one after the other."""
    port: int = 0
    """The clients' own port; 0: another one each time."""
    again: float = 0.0
    """UDP: after so many seconds each client sends once more; 0: it does not."""
    parameters: Mapping[str, str] = {}
    """Kernel parameters of the gateway's machine, below /proc/sys/net."""
    settings: Mapping[str, Any] = {}
    """Sections of the gateway's configuration."""
    quick: bool = False
    """Whether it is run when there is little time."""

    def clients(self, sources: str) -> Stream:
        """What honest clients do.

        Args:
            sources: Who they are.
        """
        targets = tuple(Place(f"host{number}.{ZONE}", generator.PORT, self.protocol) for number in range(self.hosts))
        return Stream(
            kind=Kind.DNSDATA,
            load=RATE,
            dns_laddr=(Place(RESOLVER, 0, UDP),),
            dns_raddr=(Place(REAL if self.resolver else GATEWAY, 53, UDP),),
            data_laddr=(Place(sources, self.port, self.protocol),),
            data_raddr=targets,
            data_timeouts=(2.0 * self.again + 2.0,),
            data_delay=Span(self.delay, self.delay),
            data_again=Span(self.again * 0.8, self.again * 1.2),
        )


@attrs.frozen
class Result:
    """What came of a trial."""

    honest: Played
    """What became of the honest flows."""
    let_in: int
    """How many first packets reached a host that were nobody's of these."""
    reputation: float | None
    """What the resolver has at the end; None when it is not known there."""
    others: float
    """What processes without a part in it used of the machine, in cores."""

    @property
    def lost(self) -> int:
        """Flows that did not come through."""
        return len(self.honest.events) - self.honest.ok

    @property
    def wrong(self) -> int:
        """Flows that another host answered."""
        return noise.misdelivered(self.honest)


def _robbery() -> Iterator[Trial]:
    for pool in (MANY, THREE):
        for delay in (0.04, 0.1):
            for rate, lost in ((100, 0.0), (1000, 0.0), (5000, 0.02)):
                title = f"robbery: {rate} forged SYNs/s, clients come after {delay * 1000:g} ms"
                quick = rate == 1000 and (pool == MANY) == (delay < 0.1)
                yield Trial(title, pool, Target(lost), delay, nuisance=Strayed(rate), quick=quick)
        title = "robbery: 1000 forged datagrams/s, clients come by UDP after 40 ms"
        yield Trial(title, pool, Target(), 0.04, protocol=UDP, nuisance=Strayed(1000, "udp"))


def _starvation() -> Iterator[Trial]:
    for rate in (60, 200, 1000):
        title = f"starvation: {rate} queries/s of one asker for the clients' host"
        yield Trial(
            title, MANY, Target(0.01), 0.04, 1, nuisance=Asked(rate), settings=ON.settings(), quick=rate == 1000
        )


FORGETFUL = {f"netfilter/nf_conntrack_udp_timeout{which}": "1" for which in ("", "_stream")}
"""Conntrack remembers a silent UDP flow for a second."""
TRIALS = (
    *_robbery(),
    *_starvation(),
    Trial("inheritance: UDP that pauses for longer than conntrack remembers", THREE, Target(), hosts=10,
          protocol=UDP, again=3.0, parameters=FORGETFUL, quick=True),
    Trial("inheritance: clients that use address and port again after 5 s, UDP", THREE, Target(), hosts=10,
          protocol=UDP, sources="100.64.3.40+100", port=40_000),
    Trial("inheritance: clients that use address and port again after 5 s, TCP", THREE, Target(0.01), hosts=10,
          sources="100.64.3.40+100", port=40_000),
    Trial("outgoing: a host asks clients from the service's port", THREE, Target(0.01), 0.04, 10, UDP, Left(400),
          port=generator.PORT, quick=True),
    Trial("keepers: Knot Resolver as it comes, one host", PLENTY, Target(), 0.04, 1, resolver="Knot Resolver"),
    Trial("keepers: Knot Resolver as it comes", PLENTY, Target(), 0.04, resolver="Knot Resolver"),
    Trial("keepers: Knot Resolver as it comes", SOME, Target(), 0.04, resolver="Knot Resolver", quick=True),
    Trial("refreshing: unbound with prefetch, answers kept for 10 s", PLENTY, Target(None, 0.8), 0.04,
          resolver="unbound", lines=("prefetch: yes", "cache-min-ttl: 10")),
    Trial("refreshing: unbound with serve-expired", PLENTY, Target(0.0, 0.8), 0.04, resolver="unbound",
          lines=("serve-expired: yes",), quick=True),
)  # fmt: skip
"""All rows."""


HEAD = ["row", "pool", "lost", "wrong host", "strangers let in", "reputation", "others", "target", "met"]
"""Titles of the table."""


def row(trial: Trial, result: Result) -> list[str]:
    """A line of the table.

    Args:
        trial: Which.
        result: What came of it.
    """
    return [
        trial.title,
        str(trial.pool),
        noise.lost(result.honest),
        str(result.wrong),
        str(result.let_in) if isinstance(trial.nuisance, Strayed) else "",
        "" if result.reputation is None else f"{result.reputation:.2f}",
        f"{result.others:.2f}",
        str(trial.target),
        figures.met(trial.target.met_by(result)),
    ]


def run_fairly(trial: Trial, seconds: float) -> Result:
    """Runs a trial, and again when it missed its target while others used the machine.

    Args:
        trial: Which.
        seconds: For how long honest flows that are counted begin.
    """
    return cpu_noise.quietest(partial(run, trial, seconds), trial.target.met_by)


def report(trials: Sequence[Trial], seconds: float) -> tuple[str, bool]:
    """Runs trials, one after the other.

    Args:
        trials: Which.
        seconds: For how long honest flows that are counted begin, in each.

    Returns:
        The report in Markdown, and whether all targets were met.
    """
    rows, every = [], True
    for trial in trials:
        print(f"    {trial.title}, {trial.pool} addresses ...", file=sys.stderr)
        result = run_fairly(trial, seconds)
        every &= trial.target.met_by(result)
        rows.append(row(trial, result))
    heading = f"- each row: {RATE:g} flows/s, {WARM:g} s of them before, then {seconds:g} s that count\n"
    return heading + "\n" + figures.table(HEAD, rows), every


def run(trial: Trial, seconds: float) -> Result:
    """Runs a trial in a testbed of its own.

    Args:
        trial: Which.
        seconds: For how long honest flows that are counted begin.
    """
    routed = [f"{ROUTED}/{_prefix(trial.pool)}"] if trial.pool > THREE else []
    with (
        Testbed(
            "trial-", hosts=trial.hosts, clients=MAX_CLIENTS, routed=routed, sources=[SOURCES], attackers=True
        ) as testbed,
        contextlib.ExitStack() as running,
    ):
        testbed.call("gwa", links.set_parameters, trial.parameters)
        answering = generator.start_hosts(testbed)
        hosts = {f"host{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}
        names = generator.write_names(testbed.folder / "names", hosts)
        subscribers = [Subscriber(name, address) for name, address in hosts.items()]
        gateway = running.enter_context(
            Gateway(testbed, subscribers, circular=circular(trial.pool), settings=trial.settings)
        )
        _start_resolver(trial, testbed, running)
        playing = Playing(testbed, names, time.monotonic() + LEAD)
        playing.start(Template(WARM, 0.0, (trial.clients(KNOWN),)))
        playing.start(Template(seconds, 0.0, (trial.clients(trial.sources),)), later=WARM + SETTLING)
        time.sleep(LEAD + WARM)
        before = _admitted(gateway)
        with cpu_noise.Watch((gateway.pid, answering.pid)) as watch:
            _start_nuisance(trial, testbed, seconds + 2 * SETTLING)
            _, honest = playing.finish()
        came = sum(event[1] in ("ok", "misdelivered") for event in honest.events)
        reputations = standings(ask(gateway.control, "reputation/list", {"limit": "50"}))
        let_in = max(0, _admitted(gateway) - before - came * (1 + (trial.again > 0)))
        return Result(honest, let_in, reputations.get(REAL if trial.resolver else RESOLVER), watch.others)


def _prefix(pool: int) -> int:
    """The length of the routed prefix that a pool has beside, or instead of, the addresses of the link."""
    return 32 - (pool - pool % SOME).bit_length() + 1


def circular(pool: int) -> list[Mapping[str, str]]:
    """The pieces of a pool, as in the configuration.

    Args:
        pool: How many addresses.
    """
    pieces: list[Mapping[str, str]] = [ON_LINK_POOL] if pool % SOME else []
    return [*pieces, {"addresses": f"{ROUTED}/{_prefix(pool)}", "attachment": "routed"}] if pool > THREE else pieces


def _start_resolver(trial: Trial, testbed: Testbed, running: contextlib.ExitStack) -> None:
    if trial.resolver:
        kind = next(kind for kind in resolvers.RESOLVERS if kind.title == trial.resolver)
        running.enter_context(Resolver(testbed, kind, REAL, lines=trial.lines))


def _start_nuisance(trial: Trial, testbed: Testbed, seconds: float) -> None:
    nuisance = trial.nuisance
    if isinstance(nuisance, Strayed):
        parts = [(f"{ON_LINK[0]}+{len(ON_LINK)}", len(ON_LINK))] if trial.pool % SOME else []
        parts += [(f"{ROUTED}+{trial.pool - trial.pool % SOME}", trial.pool - trial.pool % SOME)] * (trial.pool > THREE)
        for targets, count in parts:
            rate = nuisance.rate * count / trial.pool
            generator.start_strays(testbed, Strays(targets, FORGED, rate, seconds, nuisance.kind), ATTACKER)
    elif isinstance(nuisance, Asked):
        _spawn(testbed, ATTACKER, "asking", f"host0.{ZONE}", "--source", ATTACKERS[0], nuisance.rate, seconds)
    elif isinstance(nuisance, Left):
        source = f"{testbed.hosts[-1]}:{trial.port}"
        _spawn(testbed, "test_gwa", "leaving", "--source", source, "--targets", FRESH, nuisance.rate, seconds)


def _spawn(testbed: Testbed, namespace: str, *words: str | float) -> subprocess.Popen[bytes]:
    *arguments, rate, seconds = map(str, words)
    argv = [sys.executable, "-m", "testbed.player.nuisance", *arguments, "--rate", rate, "--seconds", seconds]
    return testbed.spawn(namespace, argv, log="nuisance.log")


def _admitted(gateway: Gateway) -> int:
    admitted: int = ask(gateway.control, "status", timeout=20.0)["counts"]["admission"]["admitted"]
    return admitted

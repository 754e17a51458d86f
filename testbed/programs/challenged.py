"""Whether real resolvers get through the challenges, and what these cost: a table of `testbed/matrix`.

Each challenge has a testbed and a gateway of its own; there each resolver is asked for names, one after the other, by a
stub that follows no aliases itself, and each answer is followed by a connection. docs/resolvers.md says how to read the
figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from testbed.load import generator
from testbed.measuring import figures
from testbed.measuring.rounds import Verdict
from testbed.player.asking import Asker, Origin, UnresolvedError
from testbed.player.defences import Defence
from testbed.player.sender import connect_tcp
from testbed.player.template import TCP, Option, Place
from testbed.realm.gateway import ROUTED_POOL, ZONE, Gateway, Subscriber
from testbed.realm.resolvers import RESOLVERS, Kind, Resolver
from testbed.realm.topology import CLIENT, GATEWAY, Testbed, TestbedError

NONE = "none"
"""What the tables call no challenge."""
CHALLENGES = (
    Defence(NONE),
    Defence("tcp", ("tcp",)),
    Defence("cname", ("cname",)),
    Defence("tcpcname", ("tcpcname",)),
    Defence("adaptive", ("adaptive",)),
    Defence("adaptive, no cookies", ("adaptive",), cookies=False),
)
"""The switches, one by one."""
HOSTS = 10
"""Private hosts, asked in turn."""
COUNT, QUICK_COUNT = 60, 10
"""How often each resolver is asked under each challenge."""
TIMEOUTS = (1.0, 1.0, 1.0, 1.0)
"""Of the stub, in seconds."""
RAW, RAW_COOKIE = "raw client", "raw client with cookies"
"""Those who ask the gateway themselves."""
ROUTED = "dnsmasq before unbound"
"""A forwarder that has a recursive resolver before it, as it is meant to be used."""
TOLD = {
    "Knot Resolver": ("policy.add(policy.all(policy.FLAGS('NO_CACHE')))",),
    "PowerDNS Recursor": ("minimum-ttl-override=0",),
}
"""How those that keep answers for longer than they may are told not to: every question shall meet the challenge."""


@attrs.frozen
class Cell:
    """One resolver under one challenge."""

    resolver: str
    """Which."""
    challenge: str
    """Which."""
    asked: int
    """How often."""
    times: tuple[float, ...]
    """How long each resolution took that gave an address, in seconds."""
    reached: int
    """How many addresses led to the host that was asked for."""
    losses: Mapping[str, int]
    """How the others ended."""

    @property
    def resolved(self) -> float:
        """The part of the questions that gave an address, 0 to 1."""
        return len(self.times) / self.asked

    @property
    def median(self) -> float:
        """Of the times, in seconds; not a number without any."""
        return statistics.median(self.times) if self.times else math.nan


async def ask(asker: Asker, hosts: Mapping[str, str], count: int, options: tuple[Option, ...]) -> Cell:
    """Asks for names in turn, and connects to each answer.

    Args:
        asker: Who asks.
        hosts: Name -> the host behind it.
        count: How often.
        options: What he sends along.
    """
    times, losses, reached, names = [], Counter[str](), 0, list(hosts)
    for number in range(count):
        name = names[number % len(names)]
        begin = time.monotonic()
        try:
            found = await asker.resolve(name, timeouts=TIMEOUTS, origin=Origin(options))
            times.append(time.monotonic() - begin)
            target = Place(found.address, generator.PORT, TCP)
            host, _ = await asyncio.wait_for(connect_tcp(target, Place("", 0, TCP)), 1.0)
            reached += host == hosts[name]
        except (OSError, asyncio.TimeoutError, UnresolvedError) as error:
            losses[str(error) or type(error).__name__] += 1
    return Cell("", "", count, tuple(times), reached, losses)


@attrs.frozen
class Way:
    """How names are resolved."""

    address: str
    """Whom a client asks."""
    options: tuple[Option, ...] = ()
    """What it sends along."""
    trouble: str = ""
    """Why there is nobody at that address."""


@contextlib.contextmanager
def _started(testbed: Testbed) -> Iterator[dict[str, Way]]:
    """All resolvers: title -> how to ask. One that is not installed is missing; one that does not start has trouble."""
    started = {}
    for number, kind in enumerate(available(), 1):
        address = CLIENT if kind.usual else testbed.clients[number]
        started[kind.title] = Resolver(testbed, kind, address, lines=TOLD.get(kind.title, ())).start()
    forwarder = next((kind for kind in available() if not kind.recursive), None)
    if forwarder is not None and "unbound" in started:
        address = testbed.clients[len(RESOLVERS) + 1]
        started[ROUTED] = Resolver(testbed, forwarder, address, upstream=started["unbound"].address).start()
    ways = {RAW: Way(GATEWAY), RAW_COOKIE: Way(GATEWAY, (Option.COOKIE,))}
    with contextlib.ExitStack() as running:
        for title, resolver in started.items():
            ways[title] = Way(resolver.address, trouble=_trouble(running, resolver))
        yield ways


def _trouble(running: contextlib.ExitStack, resolver: Resolver) -> str:
    """Why a resolver does not start, which is the end of its own row and of no other; empty when it runs."""
    try:
        running.enter_context(resolver)
    except TestbedError as error:
        return str(error)
    return ""


def available() -> list[Kind]:
    """The resolvers that are installed."""
    return [kind for kind in RESOLVERS if kind.missing() is None]


def measure(challenge: Defence, count: int, prefix: str = "matrix-") -> list[Cell]:
    """All resolvers under one challenge.

    Args:
        challenge: Which.
        count: How often each is asked.
        prefix: Of the testbed.
    """
    with Testbed(prefix, hosts=HOSTS, clients=len(RESOLVERS) + 10) as testbed:
        generator.start_hosts(testbed)
        hosts = {f"host{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}
        subscribers = [Subscriber(name, address) for name, address in hosts.items()]
        settings = challenge.settings()
        cells = []
        with Gateway(testbed, subscribers, circular=[ROUTED_POOL], settings=settings), _started(testbed) as ways:
            for title, way in ways.items():
                if way.trouble:
                    cells.append(Cell(title, challenge.title, count, (), 0, {way.trouble: count}))
                    continue
                source = testbed.clients[-1 if title == RAW else -2] if way.address == GATEWAY else ""
                asker = Asker(way.address, source=source)
                cell = testbed.call("public", asyncio.run, ask(asker, hosts, count, way.options))
                cells.append(attrs.evolve(cell, resolver=title, challenge=challenge.title))
    return cells


def rows(cells: Sequence[Cell]) -> list[list[str]]:
    """A row for each resolver: what it resolves under each challenge, and how much longer that takes.

    Args:
        cells: In any order.
    """
    found = {(cell.resolver, cell.challenge): cell for cell in cells}
    table = []
    for title in dict.fromkeys(cell.resolver for cell in cells):
        base = found[title, NONE].median
        row = [title]
        for challenge in CHALLENGES:
            cell = found[title, challenge.title]
            row.append(_cell(cell, 0.0 if challenge.title == NONE else base))
        table.append(row)
    return table


def _cell(cell: Cell, base: float) -> str:
    share = f"{cell.resolved * 100:.4g} %"
    if not cell.times:
        return share
    return f"{share}, {(cell.median - base) * 1000:{'+' if base else ''}.1f} ms"


HEAD = ["resolver", *(challenge.title for challenge in CHALLENGES)]
"""Titles of the table."""


def judge(cells: Sequence[Cell]) -> list[Verdict]:
    """Every resolver resolves everything, and every answer leads to the right host.

    Args:
        cells: In any order.
    """
    alone = {kind.title for kind in RESOLVERS if not kind.recursive}
    worst = [cell for cell in cells if cell.resolved < 1 and cell.resolver not in alone]
    lost = [cell for cell in cells if cell.reached < len(cell.times)]
    return [
        Verdict(
            "every recursive resolver resolves 100 % under every challenge",
            ", ".join(f"{cell.resolver} {cell.challenge}: {cell.resolved:.0%}" for cell in worst) or "100 %",
            not worst,
        ),
        Verdict(
            "every answer leads to its host",
            ", ".join(f"{cell.resolver} {cell.challenge}: {dict(cell.losses)}" for cell in lost) or "100 %",
            not lost,
        ),
    ]


def report(count: int) -> tuple[str, list[Verdict]]:
    """Measures everything.

    Args:
        count: How often each resolver is asked under each challenge.

    Returns:
        The report in Markdown, and what was demanded.
    """
    cells: list[Cell] = []
    for challenge in CHALLENGES:
        print(f"    {challenge.title} ...", file=sys.stderr)
        cells += measure(challenge, count)
    return f"Each resolver asked {count} times under each challenge:\n\n{figures.table(HEAD, rows(cells))}", judge(
        cells
    )

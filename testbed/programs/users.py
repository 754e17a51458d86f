"""What users meet behind real resolvers: visits of a hundred clients, and whether each reached its host.

A row is a resolver as its users have it (`settings.py`), a column a situation: how large the pool is, what the names
look like, and whether the clients of another resolver come as well. Each cell has a testbed and a gateway of its own,
with the configuration that a gateway has by default. docs/resolvers.md says how to read the figures.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

import attrs

from realmgw.control.command.client import ask
from testbed.load import generator
from testbed.player.crowd import SERVED, WRONG, Crowd, Plan, Played
from testbed.player.visits import percentile
from testbed.realm.gateway import ON_LINK_POOL, ROUTED_POOL, ZONE, Gateway, Service, Subscriber
from testbed.realm.resolvers import Resolver
from testbed.realm.settings import KINDS, Row
from testbed.realm.topology import CLIENT, ROUTED, SOURCES, Testbed, TestbedError, client_address

UPSTREAM, NEIGHBOUR = client_address(1), client_address(2)
"""Where a forwarder's resolver is, and the other resolver whose clients come as well."""
BESIDE = "BIND"
"""Which resolver that is."""
NETWORKS, EACH = 4, 25
"""A crowd's clients live in so many networks, so many in each."""
PAUSES = (0.0, 0.1, 0.3)
"""From an answer to the connection, in seconds: a third of the visits each."""
LEAD = 1.5  # seconds
"""How long crowds need until they are ready."""
LEARNING = 15.0  # seconds
"""So long the gateway may take to find out that a resolver keeps answers; what went wrong then is told apart."""
PAUSE = 0.05  # seconds
"""After a longer pause clients are late whom the gateway knows to be quick: then a bad cell is measured again."""
TRIES = 3
"""How often at most."""


@attrs.frozen
class Pool:
    """Addresses, and what is asked of them."""

    title: str
    """What the tables call it."""
    addresses: Mapping[str, str]
    """As in the configuration."""
    size: int
    """How many they are."""
    hosts: int
    """Private hosts, each with a name."""
    rate: float
    """Visits in a second."""


AMPLE_PREFIX = "100.64.5.0/24"
AMPLE = Pool("ample", {"addresses": AMPLE_PREFIX, "attachment": "routed"}, 256, 20, 40.0)
TIGHT = Pool("tight", ROUTED_POOL, 16, 20, 40.0)
EXHAUSTED = Pool("exhausted", ON_LINK_POOL, 3, 10, 30.0)
"""The pools."""


@attrs.frozen
class Situation:
    """A column."""

    pool: Pool
    """How many addresses there are."""
    nested: bool = False
    """Whether the names that are asked stand below their host's, so that resolvers which minimise probe that."""
    beside: bool = False
    """Whether half of the visits come by another resolver."""

    @property
    def title(self) -> str:
        """What the tables call it."""
        names = "below" if self.nested else "flat"
        return f"{self.pool.title}, {names}" + (f", beside {BESIDE}" if self.beside else "")

    def subscribers(self, addresses: Sequence[str]) -> list[Subscriber]:
        """Who lives behind the gateway.

        Args:
            addresses: Of the private hosts.
        """
        return [
            Subscriber(name, address, (Service(f"http.{name}", 6, generator.PORT),) if self.nested else ())
            for name, address in zip(map(_name, range(len(addresses))), addresses, strict=True)
        ]

    def names(self, addresses: Sequence[str]) -> dict[str, str]:
        """The names that are asked -> the private host behind each.

        Args:
            addresses: Of the private hosts.
        """
        return {("http." if self.nested else "") + _name(number): host for number, host in enumerate(addresses)}


SITUATIONS = (
    Situation(AMPLE),
    Situation(AMPLE, nested=True),
    Situation(AMPLE, nested=True, beside=True),
    Situation(TIGHT),
    Situation(TIGHT, nested=True),
    Situation(TIGHT, nested=True, beside=True),
    Situation(EXHAUSTED),
    Situation(EXHAUSTED, nested=True),
    Situation(EXHAUSTED, nested=True, beside=True),
)
"""All columns."""


@attrs.frozen
class Crowded:
    """What became of the clients of one resolver."""

    ends: Mapping[str, int]
    """How their visits ended."""
    later: Mapping[str, int]
    """The same of those that began after `LEARNING`."""
    added: tuple[float, float]
    """How long resolving and connecting took at 50 and 99 % of those who were served, in seconds; NaN for none."""
    reputation: float
    """Of the resolver, at the end; NaN where the gateway does not know it."""
    outcomes: Mapping[str, int]
    """How many of its claims were ok, nok and neutral."""
    pause: float
    """The longest time that somebody who only waited was kept from running, in seconds."""

    @property
    def asked(self) -> int:
        """How many visits there were."""
        return sum(self.ends.values())

    @property
    def served(self) -> float:
        """The part of the visits that reached their host, 0 to 1."""
        return self.ends.get(SERVED, 0) / self.asked if self.asked else math.nan

    @property
    def wrong(self) -> int:
        """How many reached another host."""
        return self.ends.get(WRONG, 0)

    @property
    def wrong_later(self) -> int:
        """How many of those that began after `LEARNING` did."""
        return self.later.get(WRONG, 0)


@attrs.frozen
class Cell:
    """One resolver in one situation."""

    row: str
    """Which."""
    column: str
    """Which."""
    clients: Crowded | None
    """What became of its clients; None when it did not start."""
    others: Crowded | None = None
    """What became of those of the other resolver, if there was one."""
    reasons: Mapping[str, int] = attrs.Factory(dict)
    """What the gateway says of its refusals, and why."""
    trouble: str = ""
    """Why it could not be measured."""

    @property
    def title(self) -> str:
        """What it is called altogether."""
        return f"{self.row}: {self.column}"

    @property
    def wrong(self) -> int:
        """How many visits, by whichever resolver, reached another host."""
        return sum(crowd.wrong for crowd in (self.clients, self.others) if crowd is not None)

    @property
    def pause(self) -> float:
        """How long the machine kept clients from running, in seconds."""
        return max((crowd.pause for crowd in (self.clients, self.others) if crowd is not None), default=0.0)


def plain(cell: Cell) -> dict[str, Any]:
    """A cell for JSON.

    Args:
        cell: Which.
    """
    return attrs.asdict(cell)


def cell_of(words: Mapping[str, Any]) -> Cell:
    """A cell from JSON.

    Args:
        words: What `plain` gave.
    """
    crowds = {who: _crowd_of(words[who]) for who in ("clients", "others")}
    return Cell(**{**words, **crowds})


def _crowd_of(words: Mapping[str, Any] | None) -> Crowded | None:
    return None if words is None else Crowded(**{**words, "added": tuple(words["added"])})


def measure(row: Row, column: Situation, seconds: float, *, pauses: Sequence[float] = PAUSES, prefix: str) -> Cell:
    """One cell, in a testbed of its own.

    Args:
        row: Which resolver.
        column: In which situation.
        seconds: How long clients come.
        pauses: From an answer to the connection, one of them for each visit.
        prefix: Of the testbed.
    """
    cell = Cell(row.title, column.title, None)
    for _ in range(TRIES):
        try:
            cell = _measure(row, column, seconds, tuple(pauses), prefix)
        except TestbedError as error:
            return attrs.evolve(cell, trouble=str(error))
        if not cell.wrong or cell.pause <= PAUSE:
            break
    return cell


def _measure(row: Row, column: Situation, seconds: float, pauses: tuple[float, ...], prefix: str) -> Cell:
    with Testbed(
        prefix, hosts=column.pool.hosts, clients=3, routed=[ROUTED, AMPLE_PREFIX], sources=[SOURCES]
    ) as testbed:
        testbed.run("public", ["ip", "route", "add", "local", SOURCES, "dev", "eth0"])
        generator.start_hosts(testbed)
        subscribers = column.subscribers(testbed.hosts)
        names = column.names(testbed.hosts)
        gateway = Gateway(testbed, subscribers, circular=[column.pool.addresses])
        with gateway, _running(testbed, row, column) as asking:
            servers = [CLIENT, *([NEIGHBOUR] if column.beside else [])]
            begin = time.monotonic() + LEAD
            crowds = [
                Crowd(
                    testbed,
                    Plan(
                        *(server, clients(number), names, column.pool.rate / len(servers)),
                        *(seconds, pauses, begin, number),
                    ),
                )
                for number, server in enumerate(servers)
            ]
            played = [crowd.finish() for crowd in crowds]
            known = {each["name"]: each for each in ask(gateway.control, "reputation/list")["reputations"]}
            reasons = reasons_of(ask(gateway.control, "status"))
    crowded = [_crowded(each, known.get(group, {})) for each, group in zip(played, (asking, NEIGHBOUR), strict=False)]
    return Cell(row.title, column.title, crowded[0], crowded[1] if column.beside else None, reasons)


@contextlib.contextmanager
def _running(testbed: Testbed, row: Row, column: Situation) -> Iterator[str]:
    """The resolvers of a cell; the value is the address that asks the gateway for those of the row."""
    with contextlib.ExitStack() as running:
        if column.beside:
            running.enter_context(Resolver(testbed, KINDS[BESIDE], NEIGHBOUR))
        if row.before is None:
            running.enter_context(Resolver(testbed, KINDS[row.resolver], CLIENT, lines=row.lines))
            yield CLIENT
        else:
            running.enter_context(Resolver(testbed, KINDS[row.before], UPSTREAM))
            running.enter_context(Resolver(testbed, KINDS[row.resolver], CLIENT, upstream=UPSTREAM, lines=row.lines))
            yield UPSTREAM


def _crowded(played: Played, known: Mapping[str, Any]) -> Crowded:
    added = [visit.added for visit in played.visits if visit.end == SERVED]
    return Crowded(
        Counter(visit.end for visit in played.visits),
        Counter(visit.end for visit in played.visits if visit.when >= LEARNING),
        (percentile(added, 0.5), percentile(added, 0.99)),
        float(known.get("reputation", math.nan)),
        {kind: int(known.get(kind, 0)) for kind in ("ok", "nok", "neutral")},
        played.pause,
    )


def clients(number: int) -> tuple[str, ...]:
    """The addresses of a crowd's clients, in networks that no other crowd's are in.

    Args:
        number: Of the crowd.
    """
    first = IPv4Address(SOURCES.partition("/")[0])
    networks = range(number * NETWORKS, (number + 1) * NETWORKS)
    return tuple(str(first + 256 * network + 10 + each) for network in networks for each in range(EACH))


def reasons_of(status: Mapping[str, Any]) -> dict[str, int]:
    """Why queries and packets were refused, and what else may have gone wrong, as the gateway counts it.

    Args:
        status: The answer of the command `status`.
    """
    counts = status["counts"]
    found = {f"query {reason}": count for reason, count in counts["allocation"]["refused"].items()}
    found |= {f"packet {reason}": count for reason, count in counts["admission"]["refused"].items()}
    found |= {what: counts["allocation"][what] for what in ("reclaimed", "uncertain", "lapsed", "excused")}
    return {what: count for what, count in found.items() if count}


def _name(number: int) -> str:
    return f"host{number}.{ZONE}"

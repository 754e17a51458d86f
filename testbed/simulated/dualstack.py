"""Clients of both families on three addresses of IPv4: who comes by IPv6 costs the others nothing, in simulated time.

A table of `testbed/simulate`. Ten hosts are asked for through one resolver, by each client for A and for AAAA, one
right after the other; 70 % come by IPv6, their delay after that answer, and the others by IPv4. Beside it, the same
clients where those 70 % never ask for A; and where the gateway knows of no siblings, so that what they were told for
IPv4 is held until nobody comes for it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_network
from itertools import count

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.config.ipv6 import Ipv6
from realmgw.config.policy import Policy
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Service
from testbed.simulated.event_queue import LAN_DELAY, EventQueue

RESOLVER, TCP, PORT = "203.0.113.53", 6, 80
HOSTS, ADDRESSES = 10, 3
SHARE = 0.7
"""So many of the clients come by IPv6."""
FLOWS, WARM = 6000, 100
RETRY, RETRIES = 1.0, 3
BETWEEN = 0.0002  # seconds
"""From the one query to the other."""
SLACK, SLACK_MS, REPUTATION, BLAMED = 1.2, 1.0, 0.9, 0.01
"""So many times as long, or so many ms longer, may it take until half of those who come by IPv4 are served, as if the
others had never asked; the resolver's reputation is to be so good at the end, and it may be blamed for so large a part
of the clients, all of whom come: one who comes by IPv4 may use the claim of another."""
ALL, WITHOUT, UNKNOWN = "both families", "the others never ask for A", "no siblings"


@attrs.define(eq=False)
class Client:
    """Somebody who wants to reach a host."""

    service: Service
    """It."""
    by_ipv6: bool
    """Whether he comes by IPv6."""
    delay: float
    """Seconds from the answer to his first packet."""
    asked: float
    """When he asks, in seconds."""
    counts: bool
    """He is measured."""
    done: bool = False
    """He has the answer that he wants."""


@attrs.define
class Outcome:
    """What became of the clients that were counted, by whether they come by IPv6."""

    served: dict[bool, list[float]] = attrs.field(factory=lambda: {False: [], True: []})
    """Seconds from the query to the admission at the right host."""
    lost: dict[bool, int] = attrs.field(factory=lambda: {False: 0, True: 0})
    """Without an answer, or refused."""
    astray: int = 0
    """At another host."""
    reputation: float = 0.0
    """Of their resolver, at the end."""
    blamed: float = 0.0
    """What it was blamed for from the beginning on, in claims."""

    def success(self, *, by_ipv6: bool) -> float:
        """The share that was served, 0 to 1."""
        served = len(self.served[by_ipv6])
        return served / max(1, served + self.lost[by_ipv6])

    def percentile(self, share: float, *, by_ipv6: bool) -> float:
        """Milliseconds within which this share (0 to 1) of those served was served."""
        ordered = sorted(self.served[by_ipv6])
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def __str__(self) -> str:
        astray = f", {self.astray} astray" if self.astray else ""
        four, six = (
            f"{self.success(by_ipv6=six):.1%} ({self.percentile(0.5, by_ipv6=six):.1f}/"
            f"{self.percentile(0.99, by_ipv6=six):.0f} ms)"
            for six in (False, True)
        )
        return f"{four}; {six}{astray}; {self.reputation:.2f}, {self.blamed:.0f} blamed"


class Play:
    """One run.

    Args:
        column: `ALL`, `WITHOUT` or `UNKNOWN`.
        rate: Clients per second.
        wan: They come after a log-normal delay instead of half a millisecond.
        aaaa_first: They ask for AAAA before they ask for A.
        seed: Of the chance.
    """

    def __init__(self, column: str, rate: float, *, wan: bool, aaaa_first: bool, seed: int = 1) -> None:
        self.line, self.outcome = EventQueue(random.Random(seed)), Outcome()
        networks = [ip_network("2001:db8:1::/64"), *(ip_network(f"192.0.2.{n}/32") for n in range(1, ADDRESSES + 1))]
        chance = random.Random(seed).randbytes  # of its own, so that the clients are the same ones
        self._allocator = Allocator(Allocation(), networks, now=0.0, policy=Policy(), ipv6=Ipv6(), chance=chance)
        if column == UNKNOWN:
            self._allocator.ledger.siblings.note = _note_nothing  # type: ignore[method-assign]  # that is the column
        self._column, self._rate, self._wan, self._aaaa_first = column, rate, wan, aaaa_first
        self._numbers = count()
        self._services = [Service(f"h{index}.example.org.", _host(index)) for index in range(1, HOSTS + 1)]

    def run(self, flows: int) -> Outcome:
        """Let all clients come, so many that are counted."""
        chance, time = self.line.chance, 0.0
        for number in range(WARM + flows):
            time += chance.expovariate(self._rate)
            delay = self.line.wan_delay() if self._wan else LAN_DELAY
            client = Client(chance.choice(self._services), chance.random() < SHARE, delay, time, number >= WARM)
            self._begin(client)
        self.line.run(self._allocator)
        reputation = self._allocator.groups.of(RESOLVER).reputation
        self.outcome.reputation = reputation.value(time)
        self.outcome.blamed = reputation.past[1] + reputation.nok
        return self.outcome

    def _begin(self, client: Client) -> None:
        families: tuple[int, ...] = (6, 4) if self._aaaa_first else (4, 6)
        if client.by_ipv6 and self._column == WITHOUT:
            families = (6,)
        for number, family in enumerate(families):
            time = client.asked + number * BETWEEN
            self.line.at(time, lambda family=family: self._ask(client, family, RETRIES))  # type: ignore[misc]  # it is told

    def _ask(self, client: Client, family: int, retries: int) -> None:
        is_wanted, told, now = client.by_ipv6 is (family == 6), False, self.line.now
        question = next(self._numbers)

        def deliver(outcome: bytes | Reason) -> None:
            nonlocal told
            if isinstance(outcome, Reason) or told:
                return
            told = True
            if is_wanted and not client.done:
                client.done = True
                self.line.at(self.line.now + client.delay, lambda: self._come(client, outcome))

        def again() -> None:
            if told:
                return
            if retries:
                self._ask(client, family, retries - 1)
            elif is_wanted and client.counts:
                self.outcome.lost[client.by_ipv6] += 1

        answer: bytes | Reason | None = self._allocator.ask(client.service, RESOLVER, question, now=now, family=family)
        if answer is Reason.EXHAUSTED:
            answer = self._allocator.wait(client.service, RESOLVER, question, deliver, tcp=False, now=now)
        if answer is not None:
            deliver(answer)
        self.line.at(now + RETRY, again)

    def _come(self, client: Client, address: bytes) -> None:
        network = self.line.chance.randrange(200)
        source = bytes((198, 51, 100, network))
        if client.by_ipv6:
            source = IPv6Address((0x20010DB8 << 96) + (network << 64) + 1).packed
        port = 1024 + next(self._numbers) % 60000
        host = self._allocator.admit((source, address, TCP, port, PORT), now=self.line.now)
        if not client.counts:
            return
        if host == client.service.host.index:
            self.outcome.served[client.by_ipv6].append(self.line.now - client.asked)
        elif host > 0:
            self.outcome.astray += 1
        else:
            self.outcome.lost[client.by_ipv6] += 1


def _host(index: int) -> Host:
    return Host(
        index, f"h{index}.example.org.", bytes((192, 168, 0, index)), address6=IPv6Address((0xFD << 120) + index).packed
    )


def _note_nothing(target: int, claim: object, other: object) -> None:
    """Nobody has a sibling."""


@attrs.frozen
class Row:
    """A line of the table."""

    rate: float
    """Clients per second."""
    wan: bool
    """They come after a log-normal delay instead of half a millisecond."""
    aaaa_first: bool
    """They ask for AAAA before they ask for A."""

    @property
    def title(self) -> str:
        """For the table."""
        order = "AAAA, A" if self.aaaa_first else "A, AAAA"
        return f"{ADDRESSES}, {self.rate:g}/s, {'WAN' if self.wan else 'LAN'}, {order}"

    def play(self, column: str, flows: int = FLOWS) -> Outcome:
        """Let it happen, with so many clients that are counted."""
        return Play(column, self.rate, wan=self.wan, aaaa_first=self.aaaa_first).run(flows)


ROWS = (
    *(Row(30.0, wan=wan, aaaa_first=first) for wan in (False, True) for first in (False, True)),
    Row(300.0, wan=False, aaaa_first=False),
)


def holds(ours: Outcome, without: Outcome) -> bool:
    """Whether all who come by IPv4 are served, as soon as if the others had not asked, and nobody is blamed."""
    mine, theirs = (each.percentile(0.5, by_ipv6=False) for each in (ours, without))
    every = ours.success(by_ipv6=False) == ours.success(by_ipv6=True) == 1.0 and not ours.astray
    is_good = ours.reputation >= REPUTATION and ours.blamed <= BLAMED * FLOWS
    return every and mine <= max(SLACK * theirs, theirs + SLACK_MS) and is_good


def table() -> Iterator[tuple[str, bool]]:
    """The lines of the table, as they are found, each with whether it holds."""
    columns = ALL, WITHOUT, UNKNOWN
    yield f"| pool, clients, in which order they ask | {' | '.join(columns)} | holds |", True
    yield f"|---|{'---|' * (len(columns) + 1)}", True
    for row in ROWS:
        outcomes = [row.play(column) for column in columns]
        good = holds(*outcomes[:2])
        yield f"| {row.title} | {' | '.join(map(str, outcomes))} | {'yes' if good else 'NO'} |", good

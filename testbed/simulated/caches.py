"""Allocation with resolvers as they come, in simulated time: they keep answers, and ask for names above first.

A table of `testbed/simulate`. Clients from a hundred addresses ask for the services of twenty hosts, and come some time
after the answer; a while later their flows are answered. Their resolver keeps what it was told for some seconds,
whatever the time to live says, or asks for the name above a service before it asks for the service, or both. Beside it
there may be one that does neither. The real `Allocator` decides, with this simulation's clock as its only one.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from ipaddress import ip_network

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.flow import Flow
from realmgw.config.policy import Policy
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Profile, Service, Terms
from testbed.simulated.event_queue import EventQueue

TCP, PORT = 6, 80
CLIENTS = 100
"""Addresses of clients of a resolver."""
RETRY, RETRIES = 1.0, 2
ROUND_TRIP = 0.005  # seconds
"""From a resolver to the gateway and back."""
HANDSHAKE = 0.05  # seconds
SECONDS = 40.0
LEARNED = 10.0  # seconds
"""After so long, the gateway knows who asks, and it is measured for how long they wait."""
AT_ONCE = 0.015  # seconds
"""Where there are hardly more hosts than addresses, those who keep nothing and do not probe hardly wait."""
ASTRAY = 0.02
"""In a pool that is too small, so many may reach another host, most of them in the first seconds."""


@attrs.frozen
class Resolver:
    """How a resolver asks."""

    title: str
    """What the table calls it."""
    keeps: float = 0.0
    """For so many seconds it keeps an answer whose time to live is 0."""
    by_clock: bool = False
    """Its seconds are those of a clock: 1 ends with the present one."""
    probes: bool = False
    """It asks for the name above a service first."""
    predicts: bool = False
    """What it keeps it tells at once, and asks again each time."""
    patience: float = math.inf
    """After so many seconds without an answer it gives up."""
    sulks: float = 0.0
    """Then it does not ask for that name for so many seconds."""


PLAIN = Resolver("keeps nothing")
RESOLVERS = (
    PLAIN,
    Resolver("asks above first (unbound)", probes=True),
    Resolver("keeps 1 s, asks above first (PowerDNS)", keeps=1.0, by_clock=True, probes=True),
    Resolver("keeps 5 s, asks again each time (Knot Resolver)", keeps=5.0, predicts=True),
    Resolver("keeps 5 s", keeps=5.0),
    Resolver("keeps 60 s", keeps=60.0),
)


@attrs.frozen
class Case:
    """What happens."""

    addresses: int
    """Pool size."""
    hosts: int
    """So many are asked for."""
    rate: float
    """Visits a second by each resolver."""
    delay: float
    """Seconds from an answer to the client's first packet."""
    delays: tuple[float, ...] = ()
    """As many clients come after each of these instead."""

    @property
    def title(self) -> str:
        """For the table."""
        delay = "/".join(f"{each * 1000:g}" for each in self.delays or (self.delay,))
        return f"{self.addresses} addresses, {self.hosts} hosts, {self.rate:g}/s, {delay} ms"


CASES = (
    Case(256, 20, 40, 0.04),
    Case(256, 20, 40, 0.3),
    Case(16, 20, 40, 0.04),
    Case(16, 20, 40, 0.3),
    Case(3, 10, 30, 0.04),
)
IMPATIENT = Resolver("keeps 1 s, and gives up soon (PowerDNS)", keeps=1.0, by_clock=True, patience=1.5, sulks=60.0)
"""A query that waits for longer costs it the name for a minute."""
QUEUED = Case(10, 20, 40, 0.1, (0.002, 0.1, 0.3))
"""Most queries wait, and those who ask meanwhile are told together, but come one after the other: for the resolvers
that keep nothing."""

SLOW = Case(3, 10, 30, 0.1, (0.002, 0.1, 0.3))
"""The same where there is one address for three hosts: it passes on as soon as nobody is expected. Who comes last of
those who were told together has just come then, and is not answered yet."""


@attrs.define
class Outcome:
    """What became of the visits by a resolver."""

    served: int = 0
    """Clients that reached their host."""
    astray: int = 0
    """Clients that reached another one."""
    refused: dict[str, int] = attrs.field(factory=dict)
    """Clients that reached none, by why."""
    waits: list[float] = attrs.field(factory=list)
    """Seconds from a client's question to his answer, once it is `LEARNED` who asks."""
    reputation: float = math.nan
    """Of the resolver in the end."""

    def refuse(self, reason: Reason) -> None:
        """One more that reached none."""
        self.refused[reason.name.lower()] = self.refused.get(reason.name.lower(), 0) + 1

    @property
    def share(self) -> float:
        """The part that was served, 0 to 1."""
        return self.served / self.total if self.total else 1.0

    @property
    def total(self) -> int:
        """All visits."""
        return self.served + self.astray + sum(self.refused.values())

    @property
    def wait(self) -> float:
        """What three quarters of them do not exceed, 0.0 if there are none."""
        return statistics.quantiles(self.waits, n=4)[2] if len(self.waits) > 1 else 0.0

    @property
    def cell(self) -> str:
        """For the table."""
        astray = f", {self.astray} astray" if self.astray else ""
        return f"{self.share:.1%}{astray}; {self.wait * 1000:.0f} ms; {self.reputation:.2f}"


class Cache:
    """A resolver and its clients in one run.

    Args:
        kind: How it asks.
        address: Where it is.
        number: Which of them; its clients' addresses follow from it.
        site: Where it all happens.
        clients: How many addresses they have.
    """

    def __init__(self, kind: Resolver, address: str, number: int, site: Site, clients: int = CLIENTS) -> None:
        self.outcome = Outcome()
        self.address = address
        self._kind = kind
        self._number = number
        self._clients = clients
        self._site = site
        self._known: dict[int, tuple[bytes, float]] = {}
        self._asking: dict[int, list[Callable[[bytes | Reason], None]]] = {}
        self._silent: dict[int, float] = {}
        self._questions = 0

    def visit(self, host: int | None = None) -> None:
        """A client asks for a host, any one unless it is told which, and comes."""
        site = self._site
        host = site.line.chance.randrange(len(site.services)) if host is None else host
        deliver: Callable[[bytes | Reason], None] = partial(self._answer, host, site.line.now)
        known = self._known.get(host)
        begin = 0.0 if known is None else math.floor(known[1]) if self._kind.by_clock else known[1]
        if known is not None and site.line.now - begin < self._kind.keeps:
            deliver(known[0])
            if not self._kind.predicts:
                return
            deliver = _nobody
        if site.line.now < self._silent.get(host, 0.0):
            deliver(Reason.GONE)
            return
        waiting = self._asking.setdefault(host, [])
        waiting.append(deliver)
        if len(waiting) == 1:
            self._resolve(host, RETRIES)

    def _resolve(self, host: int, retries: int) -> None:
        above, service = self._site.above[host], self._site.services[host]
        child = partial(self._told, host, retries)
        if self._kind.probes:
            self._ask(above, lambda _: self._later(ROUND_TRIP, lambda: self._ask(service, child)))
        else:
            self._ask(service, child)

    def _told(self, host: int, retries: int, outcome: bytes | Reason) -> None:
        if outcome is Reason.GONE:
            self._silent[host] = self._site.line.now + self._kind.sulks
        elif isinstance(outcome, Reason) and retries:
            self._later(RETRY, lambda: self._resolve(host, retries - 1))
            return
        if isinstance(outcome, bytes):
            self._known[host] = outcome, self._site.line.now
        for deliver in self._asking.pop(host):
            deliver(outcome)

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        self._site.line.at(self._site.line.now + seconds, event)

    def _ask(self, service: Service, deliver: Callable[[bytes | Reason], None]) -> None:
        allocator, now = self._site.allocator, self._site.line.now
        self._questions += 1
        question = (self._number, self._questions)
        outcome = allocator.ask(service, self.address, question, now=now)
        if outcome is Reason.EXHAUSTED:
            is_impatient = self._kind.patience < math.inf
            refused = allocator.wait(service, self.address, question, deliver, tcp=is_impatient, now=now)
            if refused is None:
                if is_impatient:  # it hangs up
                    self._later(self._kind.patience, lambda: self._hang_up(service, question, deliver))
                return
            outcome = refused
        deliver(outcome)

    def _hang_up(self, service: Service, question: Hashable, deliver: Callable[[bytes | Reason], None]) -> None:
        self._site.allocator.hang_up(service, question, deliver, now=self._site.line.now)

    def _answer(self, host: int, asked: float, outcome: bytes | Reason) -> None:
        if isinstance(outcome, Reason):
            self._count(host, -outcome)
        else:
            if asked >= LEARNED:
                self.outcome.waits.append(self._site.line.now - asked)
            case = self._site.case
            delay = self._site.line.chance.choice(case.delays) if case.delays else case.delay
            self._later(delay, lambda: self._come(host, outcome))

    def _come(self, host: int, address: bytes) -> None:
        site = self._site
        client = site.line.chance.randrange(self._clients)
        source = bytes((100, 64 + self._number, 0, client))
        flow = (source, address, TCP, self.port(), PORT)
        while flow in site.answered:  # a kernel takes no port again so soon
            flow = (source, address, TCP, self.port(), PORT)
        index = site.allocator.admit(flow, now=site.line.now)
        if index > 0:
            site.answered[flow] = site.line.now + min(site.case.delay, HANDSHAKE)
        self._count(host, index)

    def port(self) -> int:
        """From which a client comes."""
        return self._site.line.chance.randrange(1024, 65536)

    def _count(self, host: int, index: int) -> None:
        outcome = self.outcome
        if index <= 0:
            outcome.refuse(Reason(-index))
        elif index == self._site.services[host].host.index:
            outcome.served += 1
        else:
            outcome.astray += 1


def _nobody(outcome: bytes | Reason) -> None:
    """An answer that only refreshes what is kept."""


class Site:
    """One run.

    Args:
        case: What happens.
        kinds: The resolvers; the first one is looked at.
        seed: Of chance.
    """

    def __init__(self, case: Case, kinds: tuple[Resolver, ...], seed: int = 1) -> None:
        self.case = case
        self.line = EventQueue(random.Random(seed))
        self.answered: dict[Flow, float] = {}
        networks = [ip_network((0xC6336400 + last, 32)) for last in range(case.addresses)]
        self.allocator = Allocator(Allocation(), networks, now=0.0, policy=Policy(), answered=self._is_answered)
        hosts = [Host(index, f"h{index}.example.org.", bytes(4), Profile(100)) for index in range(1, case.hosts + 1)]
        self.above = [Service(host.name, host) for host in hosts]
        self.services = [Service(f"http.{host.name}", host, Terms(protocol=TCP, port=PORT)) for host in hosts]
        self.caches = [Cache(kind, f"192.0.2.{n}", n, self) for n, kind in enumerate(kinds, 53)]

    def _is_answered(self, flow: Flow) -> bool:
        return self.line.now >= self.answered.get(flow, math.inf)

    def run(self) -> list[Outcome]:
        """Let everything happen; what became of each resolver's clients."""
        for cache in self.caches:
            self._again(cache)
        self.line.run(self.allocator)
        for cache in self.caches:
            cache.outcome.reputation = self.allocator.groups.of(cache.address).reputation.value(self.line.now)
        return [cache.outcome for cache in self.caches]

    def _again(self, cache: Cache) -> None:
        def visit() -> None:
            cache.visit()
            self._again(cache)

        self.line.again(self.case.rate, SECONDS, visit)


def promised(kind: Resolver, case: Case) -> float | None:
    """The part of the visits that may reach another host, 0 to 1; None: nothing is promised.

    A pool that has an address for everybody brings all clients to their hosts. Where it has not, a resolver that keeps
    answers is found out by clients that come where they should not.
    """
    if case.addresses > 2 * case.hosts or (case in (QUEUED, SLOW) and kind is PLAIN):
        return 0.0
    return None if kind.keeps else ASTRAY


def table() -> Iterator[tuple[str, bool]]:
    """The lines of the table, each with whether it holds."""
    yield "| resolver | pool | alone | beside one that keeps nothing | that one | holds |", True
    yield "|---|---|---|---|---|---|", True
    for kind in RESOLVERS:
        for case in CASES if kind.keeps else (*CASES, QUEUED, SLOW):
            [alone] = Site(case, (kind,)).run()
            beside, other = Site(case, (kind, PLAIN)).run()
            every, most = (alone, beside, other), promised(kind, case)
            good = most is None or all(each.astray <= most * each.total for each in every)
            if kind is PLAIN and 2 * case.addresses > case.hosts and case is not QUEUED:
                good = good and alone.wait <= AT_ONCE
            cells = " | ".join(each.cell for each in every)
            said = "-" if most is None else "yes" if good else "NO"
            yield f"| {kind.title} | {case.title} | {cells} | {said} |", good

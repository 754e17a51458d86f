"""What a policy costs those who did nothing, in simulated time: delays of honest clients with and without it.

Two tables of `testbed/simulate`. In the first, ten hosts are asked for by one honest resolver, and by queries that
nobody follows: of five other resolvers that show where they are, in the name of others (three in ten in that of the
honest one), or of the honest resolver itself. In the second, one resolver asks for far more hosts than there are
addresses, and another one for a few. The real `Allocator` decides, with this simulation's clock as its only one, and
challenges are made as the name server makes them: whoever is due one comes again by TCP, a round trip later.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from ipaddress import ip_network
from itertools import count

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.challenges import PRESSED, Proof, due, note, passed
from realmgw.config.policy import Challenges, Policy
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Profile, Service
from testbed.simulated.event_queue import LAN_DELAY, EventQueue

HONEST, OTHERS, SMALL = "203.0.113.53", tuple(f"198.51.100.{last}" for last in range(1, 6)), "203.0.113.54"
TCP, PORT = 6, 80
HOSTS, RATE = 10, 30.0
FLOWS, WARM, PLAYS = 3000, 100, 3
SETTLING = 4.0  # seconds of idle queries before the first client
RETRY, RETRIES = 1.0, 3
TRIP = 0.0003  # seconds, one way, of a query
REFUSED_AGAIN = 0.5  # seconds; what the policy refuses by TCP is tried once more
SLACK, LOST = 1.2, 0.001
"""So many times as long may the innocent take with a policy, and so much larger may the part be that is lost."""


@attrs.define(eq=False)
class Flow:
    """A client, or a query that none follows."""

    service: Service
    """What is asked for."""
    resolver: str
    """By whom."""
    asked: float
    """When first, in seconds."""
    number: int
    """Of all of them; the question's identity."""
    delay: float | None
    """Seconds from the answer to the first packet; None: nobody comes."""
    spoofed: bool = False
    """Who asks does not hear what is said to him."""
    counts: bool = False
    """It is measured."""
    done: bool = False
    """It has its answer."""


@attrs.define
class Delays:
    """What became of the clients that were counted."""

    served: list[float] = attrs.field(factory=list)
    """Seconds from the first query to the admission at the right host."""
    lost: int = 0
    """Clients without an answer, refused, or at another host."""

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share (0 to 1) of those served was served."""
        ordered = sorted(self.served)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.inf

    def __str__(self) -> str:
        lost = f", {self.lost} of {self.lost + len(self.served)} lost" if self.lost else ""
        return f"{self.percentile(0.5):.1f}/{self.percentile(0.99):.0f} ms{lost}"


class Play:
    """One run: events in the order of their time, and the allocator that is asked.

    Args:
        addresses: Pool size.
        hosts: How many there are.
        policy: Who is given addresses.
        seed: Of the chance.
    """

    def __init__(self, addresses: int, hosts: int, policy: Policy | None, seed: int = 1) -> None:
        pool = [ip_network(f"192.0.2.{last}/32") for last in range(1, addresses + 1)]
        self.line = EventQueue(random.Random(seed))
        self.delays = Delays()
        self._allocator = Allocator(Allocation(), pool, now=0.0, policy=policy)
        self._challenges = Challenges() if policy is None else policy.challenges
        self._services = [
            Service(f"h{index}.example.org.", Host(index, f"h{index}.example.org.", bytes(4), Profile(100)))
            for index in range(1, hosts + 1)
        ]
        self._numbers = count()

    def begin(
        self, time: float, resolver: str, delay: float | None, *, spoofed: bool = False, counts: bool = False
    ) -> None:
        """Somebody asks for one of the hosts at some time."""
        service = self.line.chance.choice(self._services)
        flow = Flow(service, resolver, time, next(self._numbers), delay, spoofed, counts)
        self.line.at(time, lambda: self._try(flow, 0 if delay is None else RETRIES))

    def run(self) -> Delays:
        """Let all of them pass."""
        self.line.run(self._allocator)
        return self.delays

    def _try(self, flow: Flow, retries: int) -> None:
        def again() -> None:
            if not flow.done and retries:
                self._try(flow, retries - 1)
            elif not flow.done and flow.counts:
                self.delays.lost += 1

        self._query(flow, retries, Proof.NONE)
        self.line.at(self.line.now + RETRY, again)

    def _query(self, flow: Flow, retries: int, proof: Proof) -> None:
        allocator, now, rules = self._allocator, self.line.now, self._challenges
        group = allocator.groups.find(flow.resolver)
        pressed = allocator.pool.load >= PRESSED
        if due(rules, proof=proof, alias=False, group=group, cookie=False, pressed=pressed, now=now) is not None:
            if not flow.spoofed:
                self.line.at(now + 2 * TRIP, lambda: self._query(flow, retries, Proof.TCP))
            return
        challenge = passed(proof, alias=False)
        if challenge is not None:
            note(allocator.groups.proven(flow.resolver, now=now), challenge, now=now)
        self._ask(flow, (flow.number, retries), tcp=proof is Proof.TCP, again=proof is Proof.TCP)

    def _ask(self, flow: Flow, question: tuple[int, int], *, tcp: bool, again: bool) -> None:
        allocator, service, resolver, now = self._allocator, flow.service, flow.resolver, self.line.now

        def deliver(outcome: bytes | Reason) -> None:
            if outcome is Reason.POLICY and again:
                self.line.at(self.line.now + REFUSED_AGAIN, lambda: self._ask(flow, question, tcp=tcp, again=False))
            if not isinstance(outcome, Reason) and not flow.done:
                flow.done = True
                if flow.delay is not None:
                    self.line.at(self.line.now + flow.delay, lambda: self._arrive(flow, outcome))

        outcome: bytes | Reason | None = allocator.ask(service, resolver, question, now=now)
        if outcome is Reason.EXHAUSTED:
            outcome = allocator.wait(service, resolver, question, deliver, tcp=tcp, now=now)
        if outcome is not None:
            deliver(outcome)

    def _arrive(self, flow: Flow, address: bytes) -> None:
        source = b"\xc6\x33\x65" + bytes((self.line.chance.randrange(200),))
        host = self._allocator.admit((source, address, TCP, 1024 + flow.number % 60000, PORT), now=self.line.now)
        if flow.counts and host == flow.service.host.index:
            self.delays.served.append(self.line.now - flow.asked)
        elif flow.counts:
            self.delays.lost += 1


@attrs.frozen
class Beside:
    """A line of the first table."""

    whose: str
    """Who asks the idle queries: `others`, `spoofed` or `same`."""
    idle: float
    """Of them, a second."""
    wan: bool
    """Clients come after a log-normal delay instead of half a millisecond."""

    @property
    def title(self) -> str:
        """For the table."""
        return f"3, {self.idle:g}/s, {'WAN' if self.wan else 'LAN'}, {WHOSE[self.whose]}"

    def plays(self, policy: Policy | None) -> Delays:
        """Let it happen `PLAYS` times, to a gateway that knows nobody; what became of all clients together."""
        every = Delays()
        for seed in range(1, PLAYS + 1):
            delays = self.play(policy, seed)
            every.served += delays.served
            every.lost += delays.lost
        return every

    def play(self, policy: Policy | None, seed: int) -> Delays:
        """Let it happen once."""
        play = Play(3, HOSTS, policy, seed)
        chance, time = play.line.chance, SETTLING
        for number in range(WARM + FLOWS):
            time += chance.expovariate(RATE)
            play.begin(time, HONEST, play.line.wan_delay() if self.wan else LAN_DELAY, counts=number >= WARM)
        idle, number = chance.expovariate(self.idle), 0
        while idle < time + 1:
            play.begin(idle, self._resolver(chance, number), None, spoofed=self.whose == "spoofed")
            idle, number = idle + chance.expovariate(self.idle), number + 1
        return play.run()

    def _resolver(self, chance: random.Random, number: int) -> str:
        if self.whose == "others":
            return OTHERS[number % len(OTHERS)]
        if self.whose == "same" or chance.random() < 0.3:
            return HONEST
        return ".".join(str(chance.randrange(256)) for _ in range(4))


WHOSE = {
    "others": "of five others that prove themselves",
    "spoofed": "spoofed",
    "same": "of the same resolver",
}
ROWS = tuple(Beside(whose, idle, wan) for wan in (False, True) for whose in WHOSE for idle in (3.0, 15.0))


def innocents() -> Iterator[tuple[str, bool]]:
    """The lines of the first table, as they are found, each with whether it holds."""
    yield "| pool, idle queries, clients | no policy | the default one | holds |", True
    yield "|---|---|---|---|", True
    for row in ROWS:
        without, ours = row.plays(None), row.plays(Policy())
        holds = ours.lost <= without.lost + LOST * len(ours.served) and all(
            ours.percentile(share) <= max(SLACK * without.percentile(share), without.percentile(share) + 2000 * TRIP)
            for share in (0.5, 0.99)
        )
        yield f"| {row.title} | {without} | {ours} | {'yes' if holds else 'NO'} |", holds


CROWDS = (100.0, 200.0, 300.0, 400.0)
"""Queries a second of the large resolver."""
CROWD_ADDRESSES, CROWD_HOSTS = 8, 250
SMALL_RATE, SMALL_FLOWS, SMALL_WARM = 3.0, 120, 40
SMALL_P50, SMALL_LOST = 600.0, 2  # ms, clients
"""In which half of the small resolver's clients must have come, and so many of them may be lost: others are refused at
times, and ask again."""


def crowded() -> Iterator[tuple[str, bool]]:
    """The lines of the second table, likewise."""
    yield "| a large resolver's queries, clients come to all | a small resolver's clients | holds |", True
    yield "|---|---|---|", True
    for rate in CROWDS:
        play = Play(CROWD_ADDRESSES, CROWD_HOSTS, Policy())
        chance, time = play.line.chance, SETTLING
        for number in range(SMALL_WARM + SMALL_FLOWS):
            time += chance.expovariate(SMALL_RATE)
            play.begin(time, SMALL, play.line.wan_delay(), counts=number >= SMALL_WARM)
        large = 0.0
        while large < time:
            large += chance.expovariate(rate)
            play.begin(large, HONEST, play.line.wan_delay())
        delays = play.run()
        holds = delays.lost <= SMALL_LOST and delays.percentile(0.5) <= SMALL_P50
        yield (
            f"| {CROWD_ADDRESSES} addresses, {CROWD_HOSTS} hosts, {rate:g}/s | {delays} | {'yes' if holds else 'NO'} |",
            holds,
        )

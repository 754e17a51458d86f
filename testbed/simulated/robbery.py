"""Allocation against those who rob and starve, in simulated time: forged packets, and one asker without end.

A table of `testbed/simulate`. Honest clients ask one after the other, by one resolver, and come some time after the
answer; a while later their flows are answered. Meanwhile somebody sends SYNs with ever other sources to all addresses
of the pool, or asks for a name as fast as he can. The real `Allocator` decides, with this simulation's clock as its
only one, and its timer comes as seldom as the service's does; beside it the strict rule: a first packet is believed
whoever sent it, and two may come on one claim.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from itertools import count

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.flow import Answered, Flow
from realmgw.config.policy import Policy
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Profile, Service
from testbed.simulated.event_queue import EventQueue, Ticking

RESOLVER, ASKER = "203.0.113.53", "203.0.113.66"
TCP, PORT = 6, 80
HOSTS, CLIENTS, CLIENT_RATE = 20, 200, 10.0
WARM = 200
"""So many clients pass before the attack begins: their resolver is known by then."""
RETRY, RETRIES = 1.0, 3
HANDSHAKE = 0.05  # seconds
"""From a first packet to the end of its handshake at most."""
END = 3.0  # seconds


@attrs.frozen
class Attack:
    """A line of the table."""

    addresses: int
    """Pool size."""
    delay: float
    """Seconds from an answer to the client's first packet."""
    strays: float = 0.0
    """Forged SYNs a second."""
    queries: float = 0.0
    """Queries a second for one name, by one asker whose clients never come."""
    warm: int = WARM
    """So many clients pass before the attack begins; of a few, little is known of their resolver by then."""
    rate: float = CLIENT_RATE
    """Clients a second."""
    hangs_up: bool = False
    """The resolver asks by TCP, and closes its connection when it has waited for `RETRY`, to ask again."""

    @property
    def title(self) -> str:
        """For the table."""
        what = f"{self.strays:g} forged SYNs/s" if self.strays else f"{self.queries:g} queries/s of one asker"
        who = f"; {self.rate:g} clients/s by TCP, {self.warm} of them before" if self.hangs_up else ""
        return f"{self.addresses}, {self.delay * 1000:g} ms, {what}{who}"


ATTACKS = (
    *(
        Attack(addresses, delay, strays=strays)
        for addresses in (19, 3)
        for delay in (0.04, 0.1)
        for strays in (100.0, 1000.0, 5000.0)
    ),
    *(Attack(3, 0.1, strays=strays, warm=60, rate=20.0, hangs_up=True) for strays in (1000.0, 5000.0)),
    *(Attack(19, 0.04, queries=queries) for queries in (60.0, 1000.0)),
)
LOST_AT_MOST = {100.0: 0.0, 1000.0: 0.0, 5000.0: 0.02}
"""By strays a second, the share of clients that may be lost; of those that are starved, 1 %."""


@attrs.define
class Outcome:
    """What became of the clients, and of the strays."""

    served: int = 0
    """Clients that reached their host."""
    astray: int = 0
    """Clients that reached another one."""
    lost: int = 0
    """Clients that were refused, or never answered."""
    let_in: int = 0
    """Forged packets that a host got."""

    @property
    def cell(self) -> str:
        """For the table."""
        total = self.served + self.astray + self.lost
        astray = f", {self.astray} astray" if self.astray else ""
        return f"{self.lost} of {total} lost{astray}; {self.let_in} let in"


class Site:
    """One run: events in the order of their time.

    Args:
        attack: What happens.
        settings: How the pool is shared out.
        believes: First packets are believed, whoever sent them.
    """

    def __init__(self, attack: Attack, settings: Allocation, *, believes: bool) -> None:
        self.outcome = Outcome()
        self._attack = attack
        self._line = EventQueue(random.Random(1))
        self._questions = count()
        self._answered: dict[Flow, float] = {}
        networks = [ip_network(f"198.51.100.{last}/32") for last in range(attack.addresses)]
        asking: Answered | None = None if believes else self._is_answered
        self._allocator = Allocator(settings, networks, now=0.0, policy=Policy(), answered=asking)
        self._pool = list(self._allocator.pool.addresses)
        hosts = [Host(index, f"h{index}.example.org.", bytes(4), Profile(100)) for index in range(1, HOSTS + 1)]
        self._services = [Service(host.name, host) for host in hosts]

    def _is_answered(self, flow: Flow) -> bool:
        return self._line.now >= self._answered.get(flow, float("inf"))

    def run(self) -> Outcome:
        """Let the clients pass, the first ones undisturbed."""
        start = 0.0
        for number in range(self._attack.warm + CLIENTS):
            start += self._line.chance.expovariate(self._attack.rate)
            if number == self._attack.warm:
                self._begin_attack(start)
            host = 0 if self._attack.queries else self._line.chance.randrange(HOSTS)
            self._line.at(start, partial(self._ask, number, self._services[host], RETRIES))
        self._end = start + END
        self._line.run(Ticking(self._allocator))
        return self.outcome

    def _begin_attack(self, start: float) -> None:
        if self._attack.strays:
            self._line.at(start, self._stray)
        if self._attack.queries:
            self._line.at(start, self._idle)

    def _stray(self) -> None:
        source, target = self._line.chance.randbytes(4), self._line.chance.choice(self._pool)
        sport = self._line.chance.randrange(1024, 65536)
        self.outcome.let_in += self._allocator.admit((source, target, TCP, sport, PORT), now=self._line.now) > 0
        self._line.again(self._attack.strays, self._end, self._stray)

    def _idle(self) -> None:
        question = ("idle", next(self._questions))
        self._allocator.ask(self._services[0], ASKER, question, now=self._line.now)
        self._line.again(self._attack.queries, self._end, self._idle)

    def _ask(self, number: int, service: Service, retries: int) -> None:
        question, begin, told = (number, retries), self._line.now, False

        def deliver(outcome: bytes | Reason) -> None:
            nonlocal told
            told = True
            if isinstance(outcome, bytes):
                self._line.at(self._line.now + self._attack.delay, lambda: self._come(number, service, outcome))
            elif retries:
                again = begin if self._attack.hangs_up else self._line.now
                self._line.at(again + RETRY, lambda: self._ask(number, service, retries - 1))
            else:
                self._count(number, service, 0)

        def hang_up() -> None:
            if not told:
                self._allocator.hang_up(service, question, deliver, now=self._line.now)

        outcome = self._allocator.ask(service, RESOLVER, question, now=begin)
        refused: Reason | None = None
        if outcome is Reason.EXHAUSTED:
            tcp = self._attack.hangs_up
            refused = self._allocator.wait(service, RESOLVER, question, deliver, tcp=tcp, now=begin)
            if tcp:
                self._line.at(begin + RETRY, hang_up)
        if outcome is not Reason.EXHAUSTED or refused is not None:
            deliver(outcome if refused is None else refused)

    def _come(self, number: int, service: Service, address: bytes) -> None:
        flow = ((10 << 24 | number).to_bytes(4, "big"), address, TCP, 1024 + number, PORT)
        host = self._allocator.admit(flow, now=self._line.now)
        if host > 0:
            self._answered[flow] = self._line.now + min(self._attack.delay, HANDSHAKE)
        self._count(number, service, host)

    def _count(self, number: int, service: Service, host: int) -> None:
        if number < self._attack.warm:
            return
        outcome = self.outcome
        outcome.served += host == service.host.index
        outcome.astray += host > 0 and host != service.host.index
        outcome.lost += host <= 0


def strict(attack: Attack) -> Outcome:
    """First packets are believed, and two senders may come on one claim."""
    return Site(attack, Allocation(claim_sources=2), believes=True).run()


def ours(attack: Attack) -> Outcome:
    """What the gateway does by itself."""
    return Site(attack, Allocation(), believes=False).run()


def holds(attack: Attack, outcome: Outcome) -> bool:
    """Whether no more were lost than may be, and none went astray."""
    return not outcome.astray and outcome.lost <= LOST_AT_MOST.get(attack.strays, 0.01) * CLIENTS


def table() -> Iterator[tuple[str, bool]]:
    """The lines of the table, each with whether it holds."""
    yield "| pool, clients come after, attack | strict | ours | holds |", True
    yield "|---|---|---|---|", True
    for attack in ATTACKS:
        outcome = ours(attack)
        good = holds(attack, outcome)
        yield f"| {attack.title} | {strict(attack).cell} | {outcome.cell} | {'yes' if good else 'NO'} |", good

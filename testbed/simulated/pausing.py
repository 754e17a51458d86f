"""Allocation and flows that pause, in simulated time: UDP whose datagrams are farther apart than conntrack remembers.

A table of `testbed/simulate`. Clients ask one after the other, and each has a flow of UDP from a port of his own, with
a datagram every so often. Between them conntrack forgets the flow, so each is a first packet. Meanwhile others ask for
all hosts and come, by TCP. The real `Allocator` decides, with this simulation's clock as its only one; beside it the
same without memory of flows, which is what there was before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_network
from itertools import count

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.config.policy import Policy
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Profile, Service
from testbed.simulated.event_queue import EventQueue

RESOLVER = "203.0.113.53"
TCP, UDP, PORT = 6, 17, 51820
HOSTS, CLIENTS, DATAGRAMS = 10, 20, 5
DELAY = 0.04  # seconds from an answer to the client's first packet


@attrs.frozen
class Pauses:
    """A line of the table."""

    addresses: int
    """Pool size."""
    pause: float
    """Seconds from one datagram of a flow to the next."""
    others: float
    """Clients a second who ask and come by TCP."""

    @property
    def title(self) -> str:
        """For the table."""
        return f"{self.addresses}, a datagram each {self.pause:g} s, {self.others:g} others/s"


CASES = (
    Pauses(19, 180.0, 0.0),
    Pauses(19, 180.0, 0.1),
    Pauses(19, 35.0, 1.0),
    Pauses(3, 180.0, 0.01),
    Pauses(3, 180.0, 1.0),
    Pauses(3, 35.0, 10.0),
)


@attrs.define
class Outcome:
    """What became of the datagrams after each flow's first, and of the others' connections."""

    went_on: int = 0
    """Datagrams that reached the flow's host."""
    astray: int = 0
    """Datagrams that reached another one."""
    refused: int = 0
    """Datagrams that were refused: the sender is told."""
    others_lost: int = 0
    """Others who were refused."""
    others_astray: int = 0
    """Others who reached a host that they had not asked for."""

    @property
    def cell(self) -> str:
        """For the table."""
        total = self.went_on + self.astray + self.refused
        others = f"; others: {self.others_lost} lost, {self.others_astray} astray"
        return f"{self.went_on} of {total} went on, {self.refused} refused, {self.astray} astray{others}"


class Site:
    """One run: events in the order of their time.

    Args:
        pauses: What happens.
        settings: How the pool is shared out, and what is remembered.
    """

    def __init__(self, pauses: Pauses, settings: Allocation) -> None:
        self.outcome = Outcome()
        self._pauses = pauses
        self._line = EventQueue(random.Random(1))
        self._questions = count()
        networks = [ip_network(f"198.51.100.{last}/32") for last in range(pauses.addresses)]
        hosts = [
            Host(index, f"h{index}.example.org.", bytes((192, 168, 0, index)), Profile(100))
            for index in range(1, HOSTS + 1)
        ]
        by_address = {host.address: host for host in hosts}
        self._allocator = Allocator(settings, networks, now=0.0, policy=Policy(), host_at=by_address.get)
        self._services = [Service(host.name, host) for host in hosts]

    def run(self) -> Outcome:
        """Let all flows pass."""
        for number in range(CLIENTS):
            self._line.at(1.0 + number * 0.5, partial(self._begin, number))
        self._end = 1.0 + CLIENTS * 0.5 + DATAGRAMS * self._pauses.pause
        if self._pauses.others:
            self._line.at(0.0, self._other)
        self._line.run(self._allocator)
        return self.outcome

    def _begin(self, number: int) -> None:
        service = self._line.chance.choice(self._services)
        self._ask(service, lambda address: self._say(number, service, address, DATAGRAMS))

    def _say(self, number: int, service: Service, address: bytes, left: int) -> None:
        """A datagram, the first or a later one, and the next of them if it was let in."""
        flow = ((10 << 24 | number).to_bytes(4, "big"), address, UDP, 40000 + number, PORT)
        host = self._allocator.admit(flow, now=self._line.now)
        if left < DATAGRAMS:
            self.outcome.went_on += host == service.host.index
            self.outcome.astray += host > 0 and host != service.host.index
            self.outcome.refused += host <= 0
        if left:
            self._line.at(self._line.now + self._pauses.pause, partial(self._say, number, service, address, left - 1))

    def _other(self) -> None:
        service, number = self._line.chance.choice(self._services), next(self._questions)
        self._ask(service, lambda address: self._connect(number, service, address))
        self._line.again(self._pauses.others, self._end, self._other)

    def _connect(self, number: int, service: Service, address: bytes) -> None:
        flow = ((11 << 24 | number).to_bytes(4, "big"), address, TCP, 1024 + number % 60000, 443)
        host = self._allocator.admit(flow, now=self._line.now)
        self.outcome.others_lost += host <= 0
        self.outcome.others_astray += host > 0 and host != service.host.index

    def _ask(self, service: Service, come: Callable[[bytes], None]) -> None:
        question = next(self._questions)

        def deliver(outcome: bytes | Reason) -> None:
            if isinstance(outcome, bytes):
                self._line.at(self._line.now + DELAY, partial(come, outcome))

        answer = self._allocator.ask(service, RESOLVER, question, now=self._line.now)
        if answer is Reason.EXHAUSTED:
            self._allocator.wait(service, RESOLVER, question, deliver, tcp=False, now=self._line.now)
        else:
            deliver(answer)


def without(pauses: Pauses) -> Outcome:
    """Nothing is remembered."""
    return Site(pauses, Allocation(ended_flows=0)).run()


def ours(pauses: Pauses) -> Outcome:
    """What the gateway does by itself."""
    return Site(pauses, Allocation()).run()


def holds(outcome: Outcome) -> bool:
    """Whether no flow reached another host, and none took another client's place."""
    return not (outcome.astray or outcome.others_astray or outcome.others_lost)


def table() -> Iterator[tuple[str, bool]]:
    """The lines of the table, each with whether it holds."""
    yield "| pool, flows that pause | nothing remembered | ours | holds |", True
    yield "|---|---|---|---|", True
    for pauses in CASES:
        outcome = ours(pauses)
        good = holds(outcome)
        yield f"| {pauses.title} | {without(pauses).cell} | {outcome.cell} | {'yes' if good else 'NO'} |", good

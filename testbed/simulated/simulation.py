"""The allocation rules against traffic that wants more addresses than there are, in simulated time.

Ten hosts are asked for through one resolver: by clients who come (30/s), and by queries that nobody follows. A
client's first packet leaves his delay after the answer; a query without answer is asked again after a second, three
times. The real `Allocator` decides, with this simulation's clock as its only one; beside it, the rule of the original
gateway (a query has an address of its own for two seconds, and is refused when there is none) and the real one with
parts of it left out.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Hashable
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Protocol

import attrs

from realmgw.admission.packet import Packet
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.finder import Finder
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.groups import Groups
from realmgw.config.policy import Policy
from realmgw.config.settings import Allocation, Network
from realmgw.errors import Reason
from realmgw.subscribers.model import CLAIM_LIFETIME, Host, Profile, Service
from testbed.simulated import caches, dualstack, innocents, noise, pausing, polling, robbery
from testbed.simulated.event_queue import LAN_DELAY, EventQueue

HOSTS = 10
CLIENT_RATE = 30.0  # per second
RETRY = 1.0  # seconds after which a resolver asks again
RETRIES = 3
CLIENTS = 200
RESOLVER = "192.0.2.53"
IDLE_RESOLVER = "192.0.2.54"
OURS, OURS_APART = "riding and policy (ours)", "ours, idle by another"
SETTLING = 4.0  # seconds of idle queries before the first client
LEARNED_AFTER = 100  # flows; the next ones count where experience is asked for
UNLEARNED = 45  # flows of a fresh gateway, fewer than it learns from

Deliver = Callable[[bytes | Reason], None]


class Rule(Protocol):
    """What decides: the part of the allocator's interface that the traffic needs."""

    def ask(self, service: Service, resolver: Hashable, question: Hashable, *, now: float) -> bytes | Reason:
        """Answer a query."""
        ...

    def wait(
        self, service: Service, resolver: Hashable, question: Hashable, deliver: Deliver, *, tcp: bool, now: float
    ) -> Reason | None:
        """Let a query wait."""
        ...

    def admit(self, packet: Packet, /, *, now: float) -> int:
        """Decide on a packet."""
        ...

    def expire(self, *, now: float) -> float | None:
        """End what is over."""
        ...


class OriginalRule:
    """One query, one address, until a packet comes or two seconds pass."""

    def __init__(self, networks: list[Network]) -> None:
        self._free = [str(n).encode() for n in range(sum(network.num_addresses for network in networks))]
        self._held: dict[bytes, tuple[float, int]] = {}

    def ask(self, service: Service, _resolver: Hashable, _question: Hashable, *, now: float) -> bytes | Reason:
        """Take an address, or refuse."""
        if not self._free:
            return Reason.WAITED
        address = self._free.pop(0)
        self._held[address] = (now + CLAIM_LIFETIME, service.host.index)
        return address

    def wait(
        self,
        _service: Service,
        _resolver: Hashable,
        _question: Hashable,
        _deliver: Deliver,
        *,
        tcp: bool,  # noqa: ARG002 - the interface has it
        now: float,  # noqa: ARG002 - the interface has it
    ) -> Reason | None:
        """Nobody waits here."""
        return Reason.QUEUE_FULL

    def admit(self, packet: Packet, /, *, now: float) -> int:  # noqa: ARG002 - the interface has it
        """The packet takes the reservation with it."""
        held = self._held.pop(packet[1], None)
        if held is None:
            return -Reason.NO_RESERVATION
        self._free.append(packet[1])
        return held[1]

    def expire(self, *, now: float) -> float | None:
        """Release what was not used."""
        for address in [address for address, (deadline, _) in self._held.items() if deadline <= now]:
            del self._held[address]
            self._free.append(address)
        return min((deadline for deadline, _ in self._held.values()), default=None)


class Patient(Group):
    """A resolver group of which nothing is ever dead by experience."""

    def __init__(self, resolver: Hashable) -> None:
        super().__init__(resolver, claim_timeout=math.inf)

    def arrived(self, delay: float, src: bytes) -> None:
        """Learn nothing."""


class WithoutRiding(Finder):
    """Every new query joins its host's address and prolongs the hold, whoever waits."""

    def must_ride(self, group: Group) -> bool:  # noqa: ARG002 - the interface has it
        """Nobody must."""
        return False


def original(networks: list[Network]) -> Rule:
    """The rule of the original gateway."""
    return OriginalRule(networks)


def sharing_only(networks: list[Network]) -> Rule:
    """Claims share an address and an address lingers; but nothing is dead by experience, and nobody waits."""
    allocator = Allocator(Allocation(max_waiting=0), networks, now=0.0, finder=WithoutRiding)
    allocator.groups = Groups(16, Patient)
    return allocator


def guard_and_waiting(networks: list[Network]) -> Rule:
    """Sharing, reclaim by experience and the waiting queue, but without the rule on riding."""
    return Allocator(Allocation(), networks, now=0.0, finder=WithoutRiding)


def without_policy(networks: list[Network]) -> Rule:
    """All of it, whatever anybody did before."""
    return Allocator(Allocation(), networks, now=0.0)


def ours(networks: list[Network]) -> Rule:
    """All of it, with the load policy of a gateway whose operator has none."""
    return Allocator(Allocation(), networks, now=0.0, policy=Policy())


Make = Callable[[list[Network]], Rule]

RULES: dict[str, tuple[Make, str]] = {
    "original rule": (original, RESOLVER),
    "sharing only": (sharing_only, RESOLVER),
    "guard and waiting": (guard_and_waiting, RESOLVER),
    "riding": (without_policy, RESOLVER),
    OURS: (ours, RESOLVER),
    "riding, idle by another": (without_policy, IDLE_RESOLVER),
    OURS_APART: (ours, IDLE_RESOLVER),
}
"""The columns: what decides, and which resolver asks the idle queries."""


@attrs.frozen
class Case:
    """A line of the table."""

    addresses: int
    """Pool size."""
    idle_rate: float
    """Queries per second that nobody follows."""
    wan: bool
    """Clients come after a log-normal delay instead of half a millisecond."""
    learned: bool
    """Counted when the gateway has seen some flows; or only the first few, with a fresh gateway again and again."""
    success: float
    """What ours must reach, 0 to 1."""
    p50: float
    """Seconds; what half of the clients must be served within."""

    @property
    def title(self) -> str:
        """For the table."""
        clients = "WAN" if self.wan else "LAN"
        return f"{self.addresses}, {self.idle_rate:g}/s, {clients}, {'learned' if self.learned else 'nothing learned'}"


CASES = (
    Case(3, 3, wan=False, learned=False, success=0.99, p50=1.0),
    Case(3, 15, wan=False, learned=False, success=0.92, p50=1.5),
    Case(3, 15, wan=False, learned=True, success=0.999, p50=0.010),
    Case(3, 3, wan=True, learned=True, success=0.99, p50=0.120),
    Case(3, 15, wan=True, learned=True, success=0.99, p50=0.600),
    Case(8, 15, wan=True, learned=True, success=0.99, p50=0.120),
)


@attrs.define
class Result:
    """What became of the clients that were counted."""

    served: list[float] = attrs.field(factory=list)
    """Seconds from the first query to the admission at the right host."""
    misdelivered: int = 0
    """Clients that reached another host than they asked for."""
    refused: int = 0
    """Clients whose packet was refused."""
    unanswered: int = 0
    """Clients whose resolver gave up."""

    @property
    def success(self) -> float:
        """Share of the clients that reached their host, 0 to 1."""
        total = len(self.served) + self.misdelivered + self.refused + self.unanswered
        return len(self.served) / total if total else 0.0

    def percentile(self, share: float) -> float:
        """Delay in seconds within which this share (0 to 1) of those served was served; 0.0 if nobody was."""
        ordered = sorted(self.served)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def add(self, other: Result) -> None:
        """Count another run in."""
        self.served += other.served
        self.misdelivered += other.misdelivered
        self.refused += other.refused
        self.unanswered += other.unanswered


@attrs.frozen(eq=False)
class Flow:
    """A client, or a query that none follows."""

    service: Service
    """What is asked for."""
    asked: float
    """When first."""
    number: int
    """Of all of them, from 0; the question's identity."""
    delay: float | None
    """Seconds from the answer to the first packet; None: nobody comes."""
    result: Result | None
    """Where its outcome counts, if it does."""


class Traffic:
    """One run: events in the order of their time, and the rule that is asked."""

    def __init__(self, case: Case, rule: Rule, chance: random.Random, idle_resolver: str) -> None:
        self._idle_resolver = idle_resolver
        self._case = case
        self._rule = rule
        self._line = EventQueue(chance)
        self._numbers = count()
        hosts = [Host(index, f"h{index}.example.org.", bytes(4), Profile(100)) for index in range(1, HOSTS + 1)]
        self._services = [Service(host.name, host) for host in hosts]

    def run(self, uncounted: int, counted: int) -> Result:
        """Let so many clients pass uncounted, then so many counted, and all of them end."""
        result = Result()
        start = SETTLING
        for number in range(uncounted + counted):
            start += self._line.chance.expovariate(CLIENT_RATE)
            self._begin(start, self._delay(), result if number >= uncounted else None)
        idle = self._line.chance.expovariate(self._case.idle_rate)
        while idle < start + 1:
            self._begin(idle, None, None)
            idle += self._line.chance.expovariate(self._case.idle_rate)
        self._line.run(self._rule)
        return result

    def _delay(self) -> float:
        return self._line.wan_delay() if self._case.wan else LAN_DELAY

    def _begin(self, time: float, delay: float | None, result: Result | None) -> None:
        flow = Flow(self._line.chance.choice(self._services), time, next(self._numbers), delay, result)
        self._line.at(time, lambda: self._ask(flow, 0 if delay is None else RETRIES))

    def _ask(self, flow: Flow, retries: int) -> None:
        question = (flow.number, retries)
        resolver = self._idle_resolver if flow.delay is None else RESOLVER
        answered = False

        def deliver(outcome: bytes | Reason) -> None:
            nonlocal answered
            if not isinstance(outcome, Reason) and not answered:
                answered = True
                self._answer(flow, outcome)

        outcome = self._rule.ask(flow.service, resolver, question, now=self._line.now)
        if outcome is Reason.EXHAUSTED:
            self._rule.wait(flow.service, resolver, question, deliver, tcp=False, now=self._line.now)
        else:
            deliver(outcome)
        self._line.at(self._line.now + RETRY, lambda: None if answered else self._again(flow, retries))

    def _again(self, flow: Flow, retries: int) -> None:
        if retries:
            self._ask(flow, retries - 1)
        elif flow.result is not None:
            flow.result.unanswered += 1

    def _answer(self, flow: Flow, address: bytes) -> None:
        if flow.delay is not None:
            self._line.at(self._line.now + flow.delay, lambda: self._arrive(flow, address))

    def _arrive(self, flow: Flow, address: bytes) -> None:
        src = b"\xc6\x33\x64" + bytes((self._line.chance.randrange(CLIENTS),))
        index = self._rule.admit((src, address, 6, 1024 + flow.number % 60000, 80), now=self._line.now)
        if flow.result is None:
            return
        if index == flow.service.host.index:
            flow.result.served.append(self._line.now - flow.asked)
        elif index > 0:
            flow.result.misdelivered += 1
        else:
            flow.result.refused += 1


def simulate(case: Case, rule: tuple[Make, str], flows: int, seed: int) -> Result:
    """Run a case under one of `RULES` until `flows` clients were counted; the same seed gives the same traffic."""
    make, idle_resolver = rule
    networks: list[Network] = [ip_network(f"203.0.113.{n}/32") for n in range(case.addresses)]
    chance = random.Random(seed)
    if case.learned:
        return Traffic(case, make(networks), chance, idle_resolver).run(LEARNED_AFTER, flows)
    total = Result()
    for _ in range(max(1, flows // UNLEARNED)):
        total.add(Traffic(case, make(networks), chance, idle_resolver).run(0, UNLEARNED))
    return total


def cell(result: Result) -> str:
    """A result as the table shows it."""
    late = f", {result.misdelivered} astray" if result.misdelivered else ""
    p50, p99 = (f"{result.percentile(share) * 1000:.0f}" for share in (0.5, 0.99))
    return f"{result.success:.1%} ({p50}/{p99} ms{late})"


def holds(case: Case, results: dict[str, Result]) -> bool:
    """Whether ours reaches what the case asks, and beats the original rule wherever that loses clients."""
    theirs = results["original rule"]
    return all(
        mine.success >= case.success and mine.percentile(0.5) <= case.p50 and mine.success > min(theirs.success, 0.99)
        for mine in (results[OURS], results[OURS_APART])
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; 0 when ours holds in every line."""
    parser = argparse.ArgumentParser(prog="testbed/simulate", description="The allocation rules in simulated time.")
    parser.add_argument("--flows", type=int, default=6000, help="clients counted in each cell (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the traffic (default %(default)s)")
    parser.add_argument("--write", type=Path, help="write the table there too")
    options = parser.parse_args(arguments)
    lines = [
        "| pool, idle queries, clients | " + " | ".join(RULES) + " | holds |",
        "|---|" + "---|" * (len(RULES) + 1),
    ]
    print(*lines, sep="\n", flush=True)
    held = True
    for case in CASES:
        results = {name: simulate(case, rule, options.flows, options.seed) for name, rule in RULES.items()}
        good = holds(case, results)
        held = held and good
        cells = " | ".join(cell(result) for result in results.values())
        lines.append(f"| {case.title} | {cells} | {'yes' if good else 'NO'} |")
        print(lines[-1], flush=True)
    kept = robbery.table, caches.table, noise.table, noise.new_table, polling.table, pausing.table
    for table in (*kept, dualstack.table, innocents.innocents, innocents.crowded):
        lines.append("")
        print(flush=True)
        for line, good in table():
            held = held and good
            lines.append(line)
            print(line, flush=True)
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())

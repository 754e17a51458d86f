"""What the tests of the allocation are played with: a small pool, hosts, resolvers and clients."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from ipaddress import ip_address, ip_network
from itertools import count

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.claims.datagrams import Entries
from realmgw.allocation.claims.ended import HostAt
from realmgw.allocation.counters import Counters
from realmgw.allocation.flow import Answered, Flow
from realmgw.allocation.reputation.caution import Caution
from realmgw.allocation.reputation.clients import CERTAIN
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.load_policy import Best, Kind, LoadPolicy
from realmgw.allocation.reputation.requestors import ClientNetwork, Requestor
from realmgw.allocation.trace import Trace
from realmgw.config.policy import Policy
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Profile, Service, Terms

TCP, UDP, ICMP = 6, 17, 1
RESOLVER, OTHER, THIRD = "203.0.113.1", "203.0.113.2", "203.0.113.3"
CLIENT, NEIGHBOUR, STRAY = (ip_address(f"198.51.100.{last}").packed for last in (1, 2, 3))


def pool_address(number: int) -> bytes:
    """The pool's address of this number, from 1 on."""
    return ip_address(f"192.0.2.{number}").packed


def host(index: int, max_claims: int = 100) -> Host:
    """A host; two of one index are not the same one."""
    return Host(index, f"host{index}.gwa.demo.", ip_address(f"192.168.0.{index}").packed, Profile(max_claims))


def service(index: int, protocol: int = 0, port: int = 0, *, max_claims: int = 100, **kinds: float) -> Service:
    """A service of a host of its own."""
    return Service(f"s{port}.host{index}.gwa.demo.", host(index, max_claims), Terms(protocol, port, **kinds))  # type: ignore[arg-type]


class Network:
    """A client network of these addresses of one family; compared by identity."""

    @property
    def octets(self) -> int:
        """See `ClientNetwork`."""
        return len(self._addresses[0])

    def __init__(self, *addresses: bytes) -> None:
        self._addresses = addresses

    def __contains__(self, address: bytes, /) -> bool:
        return address in self._addresses


@attrs.define
class Idle:
    """What conntrack says of a flow, and whether it was ended."""

    seconds: float = 0.0
    assured: bool = False
    remaining: float = 30.0
    ended: bool = False

    def end(self) -> bool:
        """The first time, it was there."""
        self.ended, was_there = True, not self.ended
        return was_there


class MemoryEntries:
    """Conntrack's entries.

    Attributes:
        flows: What there is.
        asked: Which it was asked about, in order.
    """

    def __init__(self) -> None:
        self.flows: dict[Flow, Idle] = {}
        self.asked: list[Flow] = []

    def idle(self, flow: Flow) -> Idle | None:
        """See `Entries`."""
        self.asked.append(flow)
        found = self.flows.get(flow)
        return None if found is None or found.ended else found


class Scene:
    """An allocator with a pool of so many addresses, and what it has told those who wait.

    Attributes:
        allocator: The real one.
        told: What was delivered to waiting questions, in order: the question, and the address or reason.
    """

    def __init__(
        self,
        addresses: int = 4,
        *,
        policy: Policy | None = None,
        answered: Answered | None = None,
        entries: Entries | None = None,
        host_at: HostAt | None = None,
        **settings: float,
    ) -> None:
        networks = [ip_network(f"192.0.2.{last}/32") for last in range(1, addresses + 1)]
        allocation = Allocation(**settings)  # type: ignore[arg-type]
        self.allocator = Allocator(
            allocation, networks, now=0.0, policy=policy, answered=answered, entries=entries, host_at=host_at
        )
        self.counters = self.allocator.counters
        self.told: list[tuple[Hashable, bytes | Reason]] = []
        self._questions = count(1)

    def ask(
        self,
        asked: Service,
        resolver: str = RESOLVER,
        question: Hashable = None,
        *,
        now: float,
        network: ClientNetwork | None = None,
    ) -> bytes | Reason:
        """Ask a question, a new one unless it is told; for a client in a network, if the resolver is believed."""
        question = next(self._questions) if question is None else question
        client = None if network is None else Requestor(network, network)
        return self.allocator.ask(asked, resolver, question, now=now, client=client)

    def get(self, asked: Service, resolver: str = RESOLVER, question: Hashable = None, *, now: float) -> bytes:
        """Ask a question that is answered with an address."""
        answer = self.ask(asked, resolver, question, now=now)
        assert isinstance(answer, bytes), answer
        return answer

    def wait(
        self, asked: Service, resolver: str = RESOLVER, question: Hashable = None, *, tcp: bool = False, now: float
    ) -> Reason | None:
        """Ask a question that is told to wait, and wait."""
        question = next(self._questions) if question is None else question
        answer = self.allocator.ask(asked, resolver, question, now=now)
        assert answer is Reason.EXHAUSTED, answer
        return self.allocator.wait(
            asked, resolver, question, lambda outcome: self.told.append((question, outcome)), tcp=tcp, now=now
        )

    def come(
        self,
        address: bytes,
        source: bytes = CLIENT,
        protocol: int = TCP,
        dport: int = 80,
        *,
        sport: int = 0,
        now: float,
    ) -> int:
        """Send a first packet, of a new flow unless the source port is told."""
        if dport and not sport:
            sport = 1024 + next(self._questions)
        return self.allocator.admit((source, address, protocol, sport, dport), now=now)

    def visit(
        self, asked: Service, resolver: str = RESOLVER, source: bytes = CLIENT, *, now: float, after: float
    ) -> bytes:
        """Ask, and come some seconds later; the address where that was."""
        address = self.get(asked, resolver, now=now)
        dport = asked.terms.port or 80
        assert self.come(address, source, asked.terms.protocol or TCP, dport, now=now + after) == asked.host.index
        return address

    def learn_delays(self, resolver: str, slowest: float) -> None:
        """Have a resolver's clients be known to come within so many seconds."""
        group = self.allocator.groups.of(resolver)
        group.delay_p999 = group.nearly_all = group.delay_median = slowest

    def learn(self, asked: Service, resolver: str = RESOLVER, *, visits: int, now: float, after: float) -> float:
        """Have a resolver's clients come so many times, `after` seconds each; the time after the last one."""
        self.visit(asked, resolver, now=now, after=after)
        for _ in range(visits - 1):
            self.allocator.groups.of(resolver).arrived(after, b"1234")
        return now + visits * after


class RecordingPolicy(LoadPolicy):
    """A load policy that refuses some kinds, whoever asks, and notes what it is asked.

    Attributes:
        asked: Kind and load of each question.
    """

    def __init__(self, refused: Collection[Kind], counters: Counters) -> None:
        super().__init__(Policy(), counters, Best())
        self._kinds = refused
        self.asked: list[tuple[Kind, float]] = []

    def refuses(
        self, kind: Kind, load: float, group: Group, client: Requestor | None, now: float, trace: Trace | None = None
    ) -> Reason | None:
        """Whether it is one of the kinds that are refused."""
        del group, client, now, trace
        self.asked.append((kind, load))
        return Reason.POLICY if kind in self._kinds else None


def serve(caution: Caution, *clients: bytes, now: float = 0.0) -> None:
    """Clients come for what a resolver group was told, and are answered.

    Args:
        caution: What is assumed of the group.
        clients: Their packed addresses.
        now: When.
    """
    for src in clients:
        if caution.is_new(src):
            caution.served((src, pool_address(1), TCP, 1234, 80), CERTAIN, now, lambda *_: True)

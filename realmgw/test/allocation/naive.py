"""What the naive model of the allocator knows, and the small world that it is played in."""

from __future__ import annotations

import math
from collections.abc import Hashable

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import rule

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.group import Group
from realmgw.allocation.requestors import Requestor
from realmgw.config.policy import Audit, Policy
from realmgw.subscribers.model import Host, Service
from realmgw.test.allocation.scene import Network

LINGER, MEMORY_AT_MOST = 3.0, 3.0  # seconds
SOURCES = tuple(bytes((198, 51, 100, last)) for last in range(1, 4))
RESOLVERS = ("203.0.113.1", "203.0.113.2", "203.0.113.3")
HOSTS = tuple(
    Host(index, f"host{index}.gwa.demo.", bytes((192, 168, 0, index)), max_claims)
    for index, max_claims in enumerate((2, 3, 50), 1)
)
HANDSHAKE = frozenset((1, 6, 132))
"""Protocols of which no flow is remembered; echo requests among them."""
SERVICES = tuple(
    Service(f"{number}.gwa.demo.", host, protocol, port, loose_packet=loose, autobind=not loose, timeout=timeout)
    for number, (host, protocol, port, loose, timeout) in enumerate(
        (
            (HOSTS[0], 0, 0, 0, 2.0),
            (HOSTS[0], 6, 80, 0, 2.0),
            (HOSTS[1], 0, 0, 0, 2.0),
            (HOSTS[1], 6, 0, 0, 0.4),
            (HOSTS[1], 17, 53, 2, 2.0),
            (HOSTS[2], 0, 80, 0, 5.0),
            (HOSTS[2], 6, 25, -1, 2.0),
            (HOSTS[2], 0, 0, 0, 2.0),
            (HOSTS[2], 1, 0, 0, 2.0),
        )
    )
)
POLICIES = (
    None,
    Policy(),
    Policy(system_load=()),
    Policy(max_claims=2),
    Policy(max_claims=3, system_load=()),
    Policy(max_claims=1, audit=(Audit.LOAD,)),
)
PACKETS = ((6, 80), (6, 25), (17, 53), (1, 0), (17, 80), (132, 9))
NETWORKS = (None, None, None, Network(SOURCES[0]))


@attrs.define(eq=False)
class Expected:
    """What the model knows of a claim."""

    address: bytes
    service: Service
    resolver: str
    question: Hashable
    network: Network | None
    made: float
    guard: float
    deadline: float
    ended: float | None = None
    spare: int = 0
    stands: bool = True
    waited: bool = False
    courtesy: bool = False
    doubted: bool = False

    @property
    def pending(self) -> bool:
        """Whether its client is still expected."""
        return self.ended is None


@attrs.define(eq=False)
class Admitted:
    """What the model knows of a sender that was let in."""

    address: bytes
    service: Service
    source: bytes
    flow: tuple[int, int, int]
    at: float


@attrs.define(eq=False)
class Queued:
    """What the model knows of a query that waits."""

    service: Service
    resolver: str
    question: Hashable
    deadline: float
    network: Network | None
    group: Group


def meets(service: Service, protocol: int, port: int) -> bool:
    """Whether a packet is for a service."""
    return service.protocol in (0, protocol) and service.port in (0, port)


class Knowledge:
    """What the model can tell from the lists that it keeps: a part of the state machine."""

    now: float
    size: int
    claims: list[Expected]
    admitted: list[Admitted]
    clients: dict[Network, Requestor]

    def remembered(self, address: bytes, source: bytes, flow: tuple[int, int, int]) -> bool:
        """Whether this flow was admitted there a moment ago."""
        return any(
            one.address == address and one.source == source and one.flow == flow and self.now - one.at < 1.0
            for one in self.admitted
        )

    def told_now(self, used: list[Expected]) -> bool:
        """Whether the address went on in the same moment, to one who waited: the other claims are gone then."""
        return any(claim.made == self.now for claim in self.claims if claim.address == used[0].address)

    def is_for(self, claim: Expected, index: int, flow: tuple[int, int, int]) -> bool:
        """Whether a claim is for such a packet."""
        return claim.service.host.index == index and meets(claim.service, flow[0], flow[2])

    def pending_on(self, host: Host) -> list[Expected]:
        """The claims that are expected on a host."""
        return [claim for claim in self.claims if claim.pending and claim.service.host is host]

    def places_of(self, host: Host) -> set[tuple[bytes, int]]:
        """Where clients of a host are expected: addresses, and what for."""
        return {(claim.address, claim.service.target) for claim in self.pending_on(host)}

    def held_until(self, address: bytes) -> float | None:
        """Until when the model knows somebody to be expected at an address."""
        return max((claim.guard for claim in self.claims if claim.pending and claim.address == address), default=None)

    def is_exhausted(self) -> bool:
        """Whether somebody is expected at every address."""
        held = {claim.address for claim in self.claims if claim.guard > self.now and (claim.pending or claim.doubted)}
        return len(held) == self.size


class Operator:
    """What is changed from outside: a part of the state machine."""

    allocator: Allocator
    now: float
    policy: Policy | None
    most_before: int

    @rule(resolver=st.sampled_from(RESOLVERS), standing=st.sampled_from((0.01, 0.45, 0.9)))
    def regard(self, resolver: str, standing: float) -> None:
        """The standing of a group changes."""
        self.allocator.groups.set(resolver, standing, now=self.now)

    @rule(one=st.sampled_from(RESOLVERS), other=st.sampled_from(RESOLVERS))
    def merge(self, one: str, other: str) -> None:
        """Two resolvers turn out to be one."""
        groups = self.allocator.groups
        groups.merge(groups.of(one), groups.of(other), now=self.now)

    @rule(resolver=st.sampled_from(RESOLVERS))
    def forget(self, resolver: str) -> None:
        """The operator has a resolver forgotten."""
        self.allocator.groups.forget(resolver, now=self.now)

    @rule(policy=st.sampled_from(POLICIES))
    def reload(self, policy: Policy | None) -> None:
        """The operator has another policy; what stands, stands."""
        self.policy, self.most_before = policy, self.allocator.counters.pending
        self.allocator.regard_policy(policy, now=self.now)

    @property
    def bands(self) -> bool:
        """Whether there is a policy that may refuse by reputation."""
        return self.policy is not None and bool(self.policy.system_load)

    @property
    def most_claims(self) -> float:
        """How many claims may be made for all hosts together."""
        policy = self.policy
        limit = None if policy is None or Audit.LOAD in policy.audit else policy.max_claims
        return math.inf if limit is None else limit

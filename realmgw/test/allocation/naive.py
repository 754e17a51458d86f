"""What the naive model of the allocator knows, and the small world that it is played in."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from ipaddress import ip_network

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import rule

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.caution import NAMES as SEVERAL
from realmgw.allocation.reputation.caution import Caution
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.habits import LATECOMERS, LONERS, REPEATS
from realmgw.allocation.reputation.requestors import Requestor
from realmgw.allocation.state import Claim
from realmgw.config.policy import Audit, Policy
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Profile, Service, Terms
from realmgw.test.allocation.scene import Network, serve

LINGER, MEMORY_AT_MOST = 3.0, 3.0  # seconds
SOURCES = tuple(bytes((198, 51, 100, last)) for last in range(1, 4))
RESOLVERS = ("203.0.113.1", "203.0.113.2", "203.0.113.3")
HOSTS = tuple(
    Host(index, f"host{index}.gwa.demo.", bytes((192, 168, 0, index)), Profile(max_claims))
    for index, max_claims in enumerate((2, 3, 50), 1)
)
HANDSHAKE = frozenset((1, 6, 132))
"""Protocols of which no flow is remembered; echo requests among them."""
NAMES = ("0", "1", "www.0", "mail", "dns.mail", "web", "smtp", "a.b.web", "2")
"""Some are above others: who asks for these as well, may have asked for those only to find them."""
SERVICES = tuple(
    Service(
        f"{NAMES[number]}.gwa.demo.",
        host,
        Terms(protocol, port, loose_packet=loose, autobind=not loose, timeout=timeout),
    )
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

    real: Claim = attrs.field(repr=False)
    address: bytes
    service: Service
    resolver: str
    question: Hashable
    network: Network | None
    made: float
    dead: float
    deadline: float
    ended: float | None = None
    spare: int = 0
    stands: bool = True
    waited: bool = False
    held_for: Expected | None = None
    doubted: bool = False
    kept: float = -math.inf
    is_long: bool = False

    @property
    def pending(self) -> bool:
        """Whether its client is still expected."""
        return self.ended is None

    @property
    def root(self) -> Expected:
        """The claim that was made for a question."""
        return self if self.held_for is None else self.held_for.root

    @property
    def told_until(self) -> float:
        """Until when others may come who were told the same, as far as is known of their resolver now."""
        return self.root.made + self.real.group.spell


@attrs.define(eq=False)
class Admitted:
    """What the model knows of a sender that was let in."""

    address: bytes
    service: Service
    source: bytes
    flow: tuple[int, int, int]
    at: float
    sure: bool = True


@attrs.define(eq=False)
class Queued:
    """What the model knows of a query that waits."""

    service: Service
    resolver: str
    question: Hashable
    deadline: float
    network: Network | None
    group: Group
    since: float
    deliver: Callable[[bytes | Reason], None] = print
    """By whom it was told last that it waits."""


def meets(service: Service, protocol: int, port: int) -> bool:
    """Whether a packet is for a service."""
    return service.terms.protocol in (0, protocol) and service.terms.port in (0, port)


class Knowledge:
    """What the model can tell from the lists that it keeps: a part of the state machine."""

    allocator: Allocator
    now: float
    pool: set[bytes]
    leaving: set[bytes]
    claims: list[Expected]
    admitted: list[Admitted]
    clients: dict[Network, Requestor]

    def let_go(self) -> None:
        """Addresses that were taken away, and where nobody is expected any more, are gone with what was there."""
        held = {claim.address for claim in self.claims if claim.pending}
        for claim in self.claims:
            if claim.address in self.leaving - held:
                claim.stands = False
        self.leaving &= held

    @rule(resolver=st.sampled_from(RESOLVERS), standing=st.sampled_from((0.01, 0.45, 0.9)))
    def stand(self, resolver: str, standing: float) -> None:
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

    @rule(resolver=st.sampled_from(RESOLVERS), delay=st.sampled_from((0.001, 0.3)))
    def learn(self, resolver: str, delay: float) -> None:
        """A group gets experience."""
        for _ in range(60):
            self.allocator.groups.of(resolver).arrived(delay, b"1234")

    @rule(resolver=st.sampled_from(RESOLVERS), gap=st.sampled_from((None, 0.001, 0.4, 3.0)))
    def keep_answers(self, resolver: str, gap: float | None) -> None:
        """A group tells its answers to those who ask later; it may be known as well how soon it asks again."""
        group = self.allocator.groups.of(resolver)
        for last in range(LATECOMERS):
            source = bytes((198, 51, 100, 100 + last))
            group.habits.came_again(source, group.delay_p999 + 1.0, group.delay_p999, self.now)
        for _ in range(REPEATS if gap else 0):
            group.habits.asked_again(gap or 0.0, group.delay_p999, self.now)

    @rule(resolver=st.sampled_from(RESOLVERS), together=st.booleans())
    def coalesce(self, resolver: str, together: bool) -> None:
        """Clients of a group come together, or always alone."""
        group = self.allocator.groups.of(resolver)
        if together:
            group.habits.came_again(SOURCES[0], 0.0, group.delay_p999, self.now)
        for _ in range(0 if together else LONERS):
            group.habits.met(others=False)

    @rule(resolver=st.sampled_from(RESOLVERS))
    def be_new(self, resolver: str) -> None:
        """A group asks for several, of whom nothing is known."""
        habits = self.allocator.groups.of(resolver).habits
        habits.caution = Caution()
        serve(habits.caution, *SOURCES[:2])
        for _ in range(SEVERAL):
            habits.asked(self.now)

    @rule(resolver=st.sampled_from(RESOLVERS))
    def be_believed(self, resolver: str) -> None:
        """A group has shown that it keeps nothing."""
        caution = self.allocator.groups.of(resolver).habits.caution
        caution.asks_each_time = caution.waits = True

    @rule(policy=st.sampled_from(POLICIES))
    def reload(self, policy: Policy | None) -> None:
        """The operator has another policy; what stands, stands."""
        self.policy, self.most_before = policy, self.allocator.counters.pending
        self.allocator.configure_policy(policy, now=self.now)

    def remembered(self, address: bytes, source: bytes, flow: tuple[int, int, int]) -> bool:
        """Whether this flow was admitted there a moment ago."""
        return any(
            one.address == address
            and one.source == source
            and one.flow == flow
            and one.sure
            and self.now - one.at < 1.0
            for one in self.admitted
        )

    def told_now(self, used: list[Expected]) -> bool:
        """Whether the address went on in the same moment, to one who waited: the other claims are gone then."""
        return any(claim.made == self.now for claim in self.claims if claim.address == used[0].address)

    def is_for(self, claim: Expected, index: int, flow: tuple[int, int, int]) -> bool:
        """Whether a claim is for such a packet."""
        return claim.service.host.index == index and meets(claim.service, flow[0], flow[2])

    def places_of(self, host: Host) -> set[bytes]:
        """The addresses where clients of a host are expected."""
        return {claim.address for claim in self.claims if claim.pending and claim.service.host is host}

    def at(self, address: bytes) -> list[Expected]:
        """All claims that were ever made for an address."""
        return [claim for claim in self.claims if claim.address == address]

    def is_wanted(self, claim: Expected) -> bool:
        """Whether a client of a claim may still come: its own, or further ones who were told the same."""
        own = claim.dead > self.now and (claim.pending or claim.doubted)
        return own or claim.told_until > self.now or claim.kept > self.now

    def held_until(self, address: bytes) -> float | None:
        """Until when the model knows somebody to be expected at an address."""
        return max((claim.dead for claim in self.claims if claim.pending and claim.address == address), default=None)

    def is_exhausted(self) -> bool:
        """Whether somebody may come to every address."""
        return self.pool <= {claim.address for claim in self.claims if self.is_wanted(claim)}

    @property
    def size(self) -> int:
        """How many addresses there are, with those that go as soon as nobody is expected there."""
        return len(self.pool) + len(self.leaving & {claim.address for claim in self.claims if claim.pending})

    def is_former(self, address: bytes, source: bytes, host: int) -> bool:
        """Whether a sender may mean another host than this one (its index), which had the address before."""
        others = [claim for claim in self.at(address) if claim.service.host.index != host]
        told = any(claim.told_until > self.now for claim in others)
        return told or any(
            one.address == address and one.source == source and one.service.host.index != host for one in self.admitted
        )

    def is_held_back(self, asked: Service, group: Group) -> bool:
        """Whether a group is told nothing of a service at present, whatever can be had."""
        return group.habits.caution.withholds(asked.target, self.now) or self.keepers_have_their_share(group)

    def keepers_have_their_share(self, group: Group) -> bool:
        """Whether the addresses of those who keep answers are as many as they may have, and this is one of them."""
        long = {claim.address for claim in self.claims if claim.pending and claim.is_long}
        others = any(self.now - claim.made < 10.0 for claim in self.claims)
        return others and group.habits.spell(0.0) > 2.0 and len(long) >= self.size * Allocation().keeper_share


class Operator(Knowledge):
    """What is changed from outside, and becomes known: a part of the state machine."""

    policy: Policy | None
    most_before: int
    ending: int

    @rule(number=st.integers(0, 3))
    def withdraw(self, number: int) -> None:
        """An address is taken away: at once, or when nobody is expected there any more."""
        address = bytes((192, 0, 2, number))
        if address in self.pool:
            self.pool.discard(address)
            self.leaving.add(address)
            self.allocator.withdraw([ip_network((address, 32))], now=self.now)
            self.let_go()

    @rule(number=st.integers(0, 3))
    def extend(self, number: int) -> None:
        """An address is given, or given back."""
        address = bytes((192, 0, 2, number))
        self.let_go()
        self.pool.add(address)
        self.leaving.discard(address)
        self.allocator.extend([ip_network((address, 32))], now=self.now)

    @rule()
    def abandon(self) -> None:
        """Nobody is waited for at addresses that were taken away."""
        for claim in self.claims:
            if claim.address in self.leaving:
                claim.ended = self.now if claim.ended is None else claim.ended
        self.allocator.abandon(now=self.now)
        self.let_go()

    @rule(service=st.sampled_from(SERVICES))
    def end_service(self, service: Service) -> None:
        """A service leads nowhere any more, for a moment."""
        for claim in self.claims:
            if claim.service.target == service.target:
                claim.ended, claim.stands = self.now if claim.ended is None else claim.ended, False
        for one in self.admitted:
            one.sure &= one.service.host is not service.host
        self.ending = service.target
        self.allocator.forget({service.target}, now=self.now)
        self.ending = 0
        self.let_go()

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

"""What the tests of IPv6 are played with: a /64, a small pool of IPv4 beside it, hosts of both families, a clock."""

from __future__ import annotations

import random
from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import count

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.flow import Answered
from realmgw.allocation.reputation.requestors import ClientPrefix, Requestor
from realmgw.config.ipv6 import Ipv6, Ipv6Mode
from realmgw.config.policy import Policy
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Profile, Service, Terms
from realmgw.test.allocation.scene import RESOLVER

POOL = ip_network("2001:db8:1::/64")
CLIENT, NEIGHBOUR, STRAY = (IPv6Address(f"2001:db8:{net}::1").packed for net in (2, 3, 4))
CLIENT4 = ip_address("198.51.100.1").packed


def host(index: int, *, ipv4: bool = True, mode: Ipv6Mode | None = None, max_claims: int = 100) -> Host:
    """A host with an IPv6 address, and with one of IPv4 unless it shall have none."""
    address = bytes((192, 168, 0, index)) if ipv4 else b""
    profile = Profile(max_claims, ipv6=mode)
    own = IPv6Address(f"2001:db8:9::{index:x}").packed
    return Host(index, f"host{index}.gwa.demo.", address, profile, address6=own)


def service(at: Host, protocol: int = 0, port: int = 0, **kinds: float) -> Service:
    """A service of a host."""
    return Service(f"s{port}.{at.name}", at, Terms(protocol, port, **kinds))  # type: ignore[arg-type]


class Scene6:
    """An allocator with a /64, and so many addresses of IPv4.

    Attributes:
        allocator: The real one.
        now: The present, in monotonic seconds.
        told: What was delivered to waiting questions, in order.
    """

    def __init__(
        self,
        addresses: int = 4,
        *,
        policy: Policy | None = None,
        answered: Answered | None = None,
        ipv6: Ipv6 | None = None,
        pairs: float = 1.0,
        **settings: float,
    ) -> None:
        networks = [POOL, *(ip_network(f"192.0.2.{last}/32") for last in range(1, addresses + 1))]
        self.chance = random.Random(1)
        self.allocator = Allocator(
            Allocation(**settings),  # type: ignore[arg-type]
            networks,
            now=0.0,
            policy=policy,
            answered=answered,
            ipv6=ipv6 or Ipv6(),
            chance=self.chance.randbytes,
        )
        self.fresh, self.counters = self.allocator.fresh, self.allocator.fresh.counters
        self.allocator.groups.of(RESOLVER).pairs = pairs  # its clients ask for both at once, as was seen
        self.now = 0.0
        self.told: list[bytes | Reason] = []
        self._questions = count(1)

    def ask(
        self,
        asked: Service,
        resolver: str = RESOLVER,
        question: Hashable = None,
        *,
        family: int = 6,
        network: ClientPrefix | None = None,
    ) -> bytes | Reason:
        """Ask a question, a new one unless it is told."""
        question = next(self._questions) if question is None else question
        client = None if network is None else Requestor(network, network)
        return self.allocator.ask(asked, resolver, question, now=self.now, client=client, family=family)

    def get(self, asked: Service, resolver: str = RESOLVER, question: Hashable = None, *, family: int = 6) -> bytes:
        """Ask a question that is answered with an address."""
        answer = self.ask(asked, resolver, question, family=family)
        assert isinstance(answer, bytes), answer
        return answer

    def get_for(self, asked: Service, network: ClientPrefix, *, family: int = 6) -> bytes:
        """Ask for a client in a network, by a resolver that is believed."""
        answer = self.ask(asked, family=family, network=network)
        assert isinstance(answer, bytes), answer
        return answer

    def wait(self, asked: Service, resolver: str = RESOLVER) -> None:
        """Ask for IPv4, be told to wait, and wait."""
        question = next(self._questions)
        assert self.ask(asked, resolver, question, family=4) is Reason.EXHAUSTED
        self.allocator.wait(asked, resolver, question, self.told.append, tcp=False, now=self.now)

    def come(self, address: bytes, source: bytes = CLIENT, protocol: int = 6, port: int = 80) -> int:
        """Send the first packet of a new flow."""
        flow = source, address, protocol, 1024 + next(self._questions), port
        return self.allocator.admit(flow, now=self.now)

    def after(self, seconds: float) -> None:
        """Time passes, and what is over ends."""
        self.now += seconds
        self.allocator.expire(now=self.now)

    def standing(self, resolver: str = RESOLVER) -> float:
        """A resolver's reputation."""
        return self.allocator.groups.of(resolver).reputation.value(self.now)

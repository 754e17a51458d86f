"""Both allocations against a naive model of the second one: whatever is asked and sent, in any order."""

from __future__ import annotations

from ipaddress import IPv6Address

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.ipv6 import Ipv6, Ipv6Mode
from realmgw.config.policy import REFERENCE_BANDS, Policy
from realmgw.errors import Reason
from realmgw.subscribers.model import CLAIM_LIFETIME, Service
from realmgw.test.allocation.ipv6.scene import CLIENT, CLIENT4, NEIGHBOUR, POOL, STRAY, Scene6, host, service
from realmgw.test.allocation.scene import OTHER, RESOLVER

HOSTS = [host(1), host(2, ipv4=False), host(3, mode=Ipv6Mode.PINHOLE), host(4, max_claims=2)]
SERVICES = [*map(service, HOSTS), service(HOSTS[0], 6, 443), service(HOSTS[2], 6, 22), service(HOSTS[2], 0, 53)]
SOURCES, PACKETS = (CLIENT, NEIGHBOUR, STRAY), ((6, 443), (6, 22), (17, 53), (58, 0))
KEEP, MOST_KEPT, PENDING, ADDRESSES = 5.0, 125.0, 6, 8


@attrs.define
class Told:
    """An address that was told, and what came of it."""

    service: Service
    at: float
    """When it was told last, for a claim of its own."""
    is_gone: bool = False
    """What it led to was taken away."""
    sources: set[bytes] = attrs.field(factory=set)
    """Who was let in."""
    came_at: float = -1000.0
    """When somebody was let in last."""


class FreshMachine(RuleBasedStateMachine):
    """Anything happens."""

    @initialize(sources=st.sampled_from((0, 1, 2)), policy=st.sampled_from((None, Policy(system_load=REFERENCE_BANDS))))
    def begin(self, sources: int, policy: Policy | None) -> None:
        """A gateway with few addresses of IPv4, and tight bounds."""
        ipv6 = Ipv6(keep=KEEP, pending=PENDING, addresses=ADDRESSES, lost_rate=2)
        self.scene = Scene6(2, policy=policy, ipv6=ipv6, answered=lambda _: True, claim_sources=sources)
        self.strict = sources == 1
        self.told: dict[bytes, Told] = {}
        self.own: dict[int, list[float]] = {each.target: [] for each in SERVICES}

    @rule(
        asked=st.sampled_from(SERVICES),
        resolver=st.sampled_from((RESOLVER, OTHER)),
        question=st.sampled_from((None, 1, 2)),
    )
    def ask(self, asked: Service, resolver: str, question: int | None) -> None:
        """For AAAA."""
        claimed = self.scene.counters.claimed
        answer = self.scene.ask(asked, resolver, question and (resolver, asked.target, question))
        if isinstance(answer, Reason):
            assert answer in (Reason.CLAIM_LIMIT, Reason.HOST_LIMIT, Reason.POLICY), answer
        elif asked.host.profile.ipv6 is Ipv6Mode.PINHOLE:
            assert answer == asked.host.address6
            self.own[asked.target].append(self.scene.now)
        elif self.scene.counters.claimed > claimed:
            assert answer not in self.told, "somebody had it before"
            assert IPv6Address(answer) in POOL
            self.told[answer] = Told(asked, self.scene.now)
        else:
            assert self.told[answer].service is asked, "the same question again"

    @rule(asked=st.sampled_from(SERVICES), resolver=st.sampled_from((RESOLVER, OTHER)))
    def ask_for_ipv4(self, asked: Service, resolver: str) -> None:
        """Of those that have it, which may be siblings."""
        if asked.host.address:
            answer = self.scene.ask(asked, resolver, family=4)
            if answer is Reason.EXHAUSTED:
                self.scene.allocator.wait(
                    asked, resolver, object(), self.scene.told.append, tcp=False, now=self.scene.now
                )

    @rule(data=st.data(), source=st.sampled_from(SOURCES), packet=st.sampled_from(PACKETS))
    def come(self, data: st.DataObject, source: bytes, packet: tuple[int, int]) -> None:
        """To an address that was told, however long ago."""
        if not self.told:
            return
        address = data.draw(st.sampled_from(list(self.told)[-12:]))
        told, now = self.told[address], self.scene.now
        pending = address in self.scene.fresh.stock.pending
        verdict = self.scene.come(address, source, *packet)
        meant = told.service.terms.port in (0, packet[1]) and told.service.terms.protocol in (0, packet[0])
        if verdict <= 0:
            assert not (pending and meant), "a client was refused who was expected"
            return
        assert verdict == told.service.host.index, "it never has another host"
        assert meant
        assert not told.is_gone
        again = source in told.sources
        assert not (self.strict and told.sources and not again), "one sender for each claim"
        assert pending or now <= max(told.at + MOST_KEPT, told.came_at + KEEP + 1.0), "too late"
        told.sources.add(source)
        told.came_at = now

    @rule(number=st.integers(0, 2**64 - 1), source=st.sampled_from(SOURCES))
    def guess(self, number: int, source: bytes) -> None:
        """To an address that was told to nobody."""
        address = POOL[number].packed
        if address not in self.told:
            assert self.scene.come(address, source) == -Reason.NO_RESERVATION

    @rule(source=st.sampled_from(SOURCES), packet=st.sampled_from(PACKETS))
    def knock(self, source: bytes, packet: tuple[int, int]) -> None:
        """At a host's own address."""
        verdict = self.scene.come(HOSTS[2].address6, source, *packet)
        if verdict > 0:
            assert verdict == HOSTS[2].index
            meant = [each for each in SERVICES if each.host is HOSTS[2]]
            meant = [each for each in meant if each.terms.port in (0, packet[1])]
            assert any(self.own[each.target] for each in meant), "nobody was told"

    @rule(source=st.sampled_from((CLIENT4, bytes(4))), number=st.integers(1, 2))
    def come_by_ipv4(self, source: bytes, number: int) -> None:
        """Which may settle a claim of IPv6."""
        verdict = self.scene.come(bytes((192, 0, 2, number)), source)
        assert verdict < 0 or verdict in [each.index for each in HOSTS if each.address]

    @rule(asked=st.sampled_from(SERVICES))
    def take_away(self, asked: Service) -> None:
        """A service leads nowhere any more."""
        self.scene.allocator.forget([asked.target], now=self.scene.now)
        self.own[asked.target].clear()
        for told in self.told.values():
            told.is_gone |= told.service.target == asked.target

    @rule(seconds=st.sampled_from((0.0, 0.001, 0.3, 1.0, CLAIM_LIFETIME, 6.0, 130.0)))
    def pass_time(self, seconds: float) -> None:
        """And what is over ends."""
        self.scene.after(seconds)

    @invariant()
    def it_is_bounded(self) -> None:
        """By what the settings say, and books agree with each other."""
        if not hasattr(self, "scene"):
            return
        fresh = self.scene.fresh
        stock = fresh.stock
        assert fresh.pending <= PENDING
        assert len(stock) <= ADDRESSES
        assert stock.count(HOSTS[3]) <= 2
        assert sum(map(len, stock._of_host.values())) == len(stock.pending) == len(stock._asked)
        assert sum(map(len, stock._kept_of_host.values())) == len(stock.kept)
        assert all(claim.pending for claim in stock.pending.values())
        assert not any(claim.pending for claim in stock.kept.values())

    def teardown(self) -> None:
        """In the end everything is over, and every claim has come to one end."""
        if not hasattr(self, "scene"):
            return
        for _ in range(40):
            self.scene.after(10.0)
        fresh, counters = self.scene.fresh, self.scene.counters
        assert self.scene.allocator.expire(now=self.scene.now + 700.0) is None, "it never ends"
        assert not any((len(fresh.stock), len(fresh.stock.deadlines), fresh.stock._asked))
        assert not any((fresh.stock._of_host, fresh.stock._kept_of_host))
        siblings = fresh.siblings
        assert not any((fresh.pinholes.addresses, fresh.pinholes.ledger.rates.by_claim, siblings.recent))
        assert not any((siblings._in_order, siblings._unjudged, siblings._unanswered, siblings._latest))
        assert counters.claimed == counters.by_claim + counters.lapsed + counters.voided + counters.settled
        assert fresh.stock._senders == 0


class ModelTests(SynchronousTestCase):
    """The real ones and the naive one."""

    def test_the_allocation_of_ipv6_does_what_its_model_allows(self) -> None:
        """No packet reaches a host that did not ask for it, no address has two, and nothing is left behind."""
        FreshMachine.TestCase.settings = settings(
            max_examples=200, stateful_step_count=50, derandomize=True, database=None, deadline=None
        )
        FreshMachine.TestCase("runTest").runTest()

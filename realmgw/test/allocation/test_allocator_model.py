"""The allocator against a naive model, driven at random.

The model knows only what was asked, answered and admitted. It keeps plain lists, looks through all of them each time,
and says of every answer and every verdict whether the rules allow it; beside it, the allocator's own books are checked
after each step. What the model does not foresee is which of several allowed addresses is chosen: the tests of the order
of preference do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from ipaddress import ip_network

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.allocator import PATIENT, Allocator
from realmgw.allocation.claims.books import NOTHING
from realmgw.allocation.reputation.requestors import Requestor
from realmgw.allocation.state import State
from realmgw.config.policy import Policy
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Service
from realmgw.test.allocation.books import Books
from realmgw.test.allocation.forgotten import PRIVATE, Forgotten
from realmgw.test.allocation.naive import (
    HANDSHAKE,
    HOSTS,
    LINGER,
    MEMORY_AT_MOST,
    NETWORKS,
    PACKETS,
    POLICIES,
    RESOLVERS,
    SERVICES,
    SOURCES,
    Admitted,
    Expected,
    Operator,
    Queued,
    meets,
)
from realmgw.test.allocation.scene import Network
from realmgw.test.allocation.verdicts import Verdicts


class AllocatorMachine(Books, Verdicts, Forgotten, Operator, RuleBasedStateMachine):
    """Asks, waits, packets and time, in any order."""

    @initialize(
        size=st.integers(1, 4),
        share=st.sampled_from((Allocation().share_load, 0.0, 1.1)),
        sources=st.sampled_from((Allocation().claim_sources, 1, 2, 3)),
        hold=st.sampled_from((Allocation().hold_after_use, 0.0)),
        policy=st.sampled_from(POLICIES[1:]),
        asks=st.booleans(),
    )
    def start(self, size: int, share: float, sources: int, hold: float, policy: Policy, asks: bool) -> None:
        """An allocator as the product has it, or with other settings, and a model that knows nothing yet."""
        self.settings = Allocation(
            linger=LINGER, share_load=share, claim_sources=sources, hold_after_use=hold, max_waiting=4, max_groups=64
        )
        networks = [ip_network(f"192.0.2.{last}/32") for last in range(size)]
        self.now, self.ending = 100.0, 0
        self.pool, self.leaving = {network.network_address.packed for network in networks}, set[bytes]()
        self.said: dict[bytes, bool | None] = {}
        answered = (lambda flow: self.said.get(flow[0], False)) if asks else None
        self.went, self.going, self.told, self.idleness = {}, {}, set(), None
        self.allocator = Allocator(
            self.settings,
            networks,
            now=self.now,
            policy=policy,
            answered=answered,
            entries=self,
            host_at=PRIVATE.get,
        )
        self.displaced = self.probes = 0
        self.claims: list[Expected] = []
        self.clients = {network: Requestor(network, network) for network in NETWORKS if network is not None}
        self.admitted: list[Admitted] = []
        self.queue: dict[tuple[int, Hashable], Queued] = {}
        self.promised: float | None = None
        self.admitting = self.waited_when_he_came = False
        self.policy: Policy | None = policy
        self.most_before = 0

    # What is done

    @rule(
        asked=st.sampled_from(SERVICES),
        resolver=st.sampled_from(RESOLVERS),
        question=st.integers(0, 3),
        network=st.sampled_from(NETWORKS),
        tcp=st.booleans(),
        waits=st.booleans(),
    )
    def ask(
        self, asked: Service, resolver: str, question: int, network: Network | None, tcp: bool, waits: bool
    ) -> None:
        """A query; what is told to wait may do so."""
        asking = (resolver, question)
        client = None if network is None else self.clients[network]
        group = self.allocator.groups.of(resolver)
        window = self.known_window(group)
        answer = self.allocator.ask(asked, resolver, asking, now=self.now, client=client)
        if isinstance(answer, bytes):
            self.note_answer(answer, asked, resolver, asking, network, window)
        elif answer is Reason.HOST_LIMIT:
            assert len(self.places_of(asked.host)) >= asked.host.profile.max_claims, "refused below the limit"
        elif answer is Reason.CLAIM_LIMIT:
            assert self.allocator.counters.pending >= self.most_claims, "refused below the limit for all"
        elif answer is Reason.POLICY:
            assert self.bands, "refused by a policy that there is not"
        else:
            assert answer is Reason.EXHAUSTED, answer
            spared = self.queue or self.is_held_back(asked, group)
            assert spared or self.is_exhausted(), "refused although an address could be had"
            if waits:
                self.wait(asked, resolver, asking, tcp, network)

    def wait(self, asked: Service, resolver: str, asking: Hashable, tcp: bool, network: Network | None) -> None:
        """A query waits, or joins its twin."""
        told: list[bytes | Reason] = []
        place = (asked.target, asking)

        def deliver(outcome: bytes | Reason) -> None:
            assert not told, "told twice"
            told.append(outcome)
            self.hear(place, outcome)

        client, group = None if network is None else self.clients[network], self.allocator.groups.of(resolver)
        refused = self.allocator.wait(asked, resolver, asking, deliver, tcp=tcp, now=self.now, client=client)
        if refused is Reason.POLICY:
            assert self.bands, "refused by a policy that there is not"
        elif refused is not None:
            assert refused is Reason.QUEUE_FULL
            assert len(self.queue) == self.settings.max_waiting
            assert place not in self.queue
        elif place not in self.queue:
            long = tcp and group.standing >= PATIENT * self.allocator.askers.best
            patience = self.settings.wait_tcp if long else self.settings.wait_udp
            self.queue[place] = Queued(asked, resolver, asking, self.now + patience, network, group, self.now)
        if refused is None:
            self.queue[place].deliver = deliver

    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        """Who waits goes away."""
        if self.queue:
            place = data.draw(st.sampled_from(list(self.queue)))
            queued = self.queue[place]
            self.hanging_up = place
            self.allocator.hang_up(queued.service, queued.question, queued.deliver, now=self.now)
            assert place not in self.queue, "he is gone, and waits"

    @rule(
        number=st.integers(0, 3),
        source=st.sampled_from(SOURCES),
        packet=st.sampled_from(PACKETS),
        sport=st.integers(1, 2),
        repeats=st.integers(1, 2),
    )
    def come(self, number: int, source: bytes, packet: tuple[int, int], sport: int, repeats: int) -> None:
        """Anybody, from anywhere."""
        protocol, port = packet
        for _ in range(repeats):
            self.admit(bytes((192, 0, 2, number)), source, protocol, sport if port else 0, port)

    @rule(data=st.data(), source=st.sampled_from(SOURCES))
    def come_as_promised(self, data: st.DataObject, source: bytes) -> None:
        """A client of a claim, as most packets are."""
        pending = [claim for claim in self.claims if claim.pending]
        if pending:
            claim = data.draw(st.sampled_from(pending))
            port = claim.service.terms.port or 80
            protocol = claim.service.terms.protocol or 6
            self.admit(claim.address, source, protocol, 9 if protocol != 1 else 0, port if protocol != 1 else 0)

    @rule(step=st.sampled_from((0.0, 0.001, 0.05, 0.1, 0.5, 1.0, 5.0)))
    def pass_time(self, step: float) -> None:
        """Nothing happens, not even the timer."""
        self.now += step

    @rule()
    def expire(self) -> None:
        """The timer, at any time."""
        for claim in self.claims:
            if claim.deadline <= self.now:
                self.end(claim)
        self.let_go()
        self.promised = self.allocator.expire(now=self.now)
        assert all(queued.deadline > self.now for queued in self.queue.values()), "somebody waits for too long"
        assert self.promised is None or self.promised >= self.now, "the past is over"
        self.check_promise()

    @rule()
    def expire_on_time(self) -> None:
        """As the service does: at the time that was announced."""
        self.expire()
        if self.promised is not None:
            self.now = self.promised
            self.expire()
            assert self.next_is_later(), "announced without need"

    @rule(source=st.sampled_from(SOURCES), said=st.sampled_from((True, False, None)))
    def reply(self, source: bytes, said: bool | None) -> None:
        """Conntrack says something else of a sender's flows: that they are answered, or no more, or nothing."""
        self.said[source] = said

    def next_is_later(self) -> bool:
        """Whether the time announced is still to come."""
        return self.promised is None or self.promised > self.now

    def admit(self, address: bytes, source: bytes, protocol: int, sport: int, port: int) -> None:
        """Send a packet, and check the verdict."""
        matching = [
            claim
            for claim in self.claims
            if claim.address == address and claim.stands and meets(claim.service, protocol, port)
        ]
        usable = [claim for claim in matching if claim.pending and (claim.network is None or source in claim.network)]
        flow = (protocol, sport, port)
        before = self.allowed(address, source, flow, matching)
        must = any(not self.is_hold_in_doubt(claim, source) for claim in usable)
        whole = (source, address, *flow)
        remembered = self.remembered(address, source, flow) and whole not in self.told
        going_on, refusable, is_late = self.may_go_on(whole), self.may_be_refused(whole), self.may_be_late(whole)
        pending, resumed = self.allocator.counters.pending, self.allocator.counters.resumed
        self.admitting, self.waited_when_he_came = True, bool(self.queue)
        verdict = self.allocator.admit(whole, now=self.now)
        self.settle(used=True)
        self.admitting = False
        if verdict > 0:
            assert verdict in before or verdict in going_on, "let in to a host where nothing was for him"
            self.note_admission(address, source, flow, verdict, usable)
            if before.get(verdict) == "spare":
                self.note_spare(matching, source, verdict)
        else:
            assert not must or refusable or (is_late and verdict == -Reason.LATE), "one was refused who was expected"
            announced = [claim for claim in usable if claim.network is not None and claim.held_for is None]
            assert not announced, "a client was refused who was announced"
            gone = address not in self.pool and protocol not in HANDSHAKE
            assert not remembered or gone, "a flow of a second ago was refused"
        self.note_verdict(whole, verdict, pending, resumed)

    def is_hold_in_doubt(self, claim: Expected, source: bytes) -> bool:
        """Whether who comes for this one may be meant for another host."""
        return claim.held_for is not None and self.is_former(claim.address, source, claim.service.host.index)

    def allowed(
        self, address: bytes, source: bytes, flow: tuple[int, int, int], matching: list[Expected]
    ) -> dict[int, str]:
        """The hosts that a packet may go to."""
        hosts: dict[int, str] = {}
        for claim in matching:
            if (claim.network is None or source in claim.network) and self.is_open(claim):
                hosts.setdefault(claim.service.host.index, "spare")
        for claim in matching:
            if claim.pending and not claim.held_for and (claim.network is None or source in claim.network):
                hosts[claim.service.host.index] = "claim"
        for one in self.admitted:
            if one.address != address or one.source != source:
                continue
            if one.flow == flow and self.now - one.at < MEMORY_AT_MOST:
                hosts[one.service.host.index] = "memory"
            standing = any(claim.service.host is one.service.host for claim in matching)
            if standing and self.now - one.at <= LINGER:
                hosts[one.service.host.index] = "source"
        return hosts

    def is_open(self, claim: Expected) -> bool:
        """Whether a claim that was used lets in further senders."""
        if claim.pending:
            return claim.held_for is not None  # it ends when the timer comes
        until = max(claim.deadline, claim.told_until + claim.real.group.delay_p999)
        return claim.root.spare > 0 and until > self.now

    def note_spare(self, matching: list[Expected], source: bytes, host: int) -> None:
        """Who was let in had no other right: one fewer may come, where it is clear for which claim he came."""
        roots = {
            claim.root
            for claim in matching
            if claim.service.host.index == host
            and self.is_open(claim)
            and (claim.network is None or source in claim.network)
        }
        if len(roots) == 1:
            roots.pop().spare -= 1

    def note_admission(
        self, address: bytes, source: bytes, flow: tuple[int, int, int], index: int, usable: list[Expected]
    ) -> None:
        """Somebody was let in."""
        used = [claim for claim in usable if not claim.pending and claim.service.host.index == index]
        assert len(used) <= 1 or self.told_now(used), "one packet uses one claim"
        service = next(
            (one.service for one in self.claims if one.address == address and self.is_for(one, index, flow)), None
        )
        if service is None:  # conntrack has told of it, and nobody else
            return
        for claim in used[:1]:
            loose, service = claim.service.terms.loose_packet, claim.service
            claim.doubted = True  # where somebody can be asked
            if not claim.held_for:
                sources = self.settings.claim_sources
                claim.spare = 1 << 20 if loose < 0 or not sources else sources - 1 + loose
                if claim.spare and not claim.real.group.habits.is_known:
                    claim.kept = claim.told_until
        self.admitted.append(Admitted(address, service, source, flow, self.now))

    def check_promise(self) -> None:
        """Nothing ends before the time that was announced, of claims, of those who wait, and of what these may have."""
        ends = [claim.deadline for claim in self.claims if claim.pending]
        ends += [queued.deadline for queued in self.queue.values()]
        if not all(self.is_held_back(queued.service, queued.group) for queued in self.queue.values()):
            ends += [hold for address in self.pool if (hold := self.had_from(address)) is not None]
        for end in ends:
            assert self.promised is not None
            assert self.promised <= end, ("something ends before the time announced", self.promised, end, ends)

    def had_from(self, address: bytes) -> float | None:
        """From when on an address can be had at which clients are expected; None: they are not.

        Not while clients of those who keep answers may come who are expected by no claim: that is looked at again.
        """
        hold, real = self.held_until(address), self.allocator.pool.addresses.get(address)
        if hold is not None and hold <= self.now and real is not None and real.is_kept(self.now):
            return max(hold, real.held_until)
        return hold

    # What is always true

    @invariant()
    def the_model_agrees_about_claims(self) -> None:
        """The claims that are pending are those that the model knows, and each has a deadline."""
        ledger = self.allocator.ledger
        real = Counter[tuple[bytes, int, Hashable]]()
        for address in self.allocator.pool.addresses.values():
            for reservation in address.reservations.values():
                for claim in reservation.claims.values():
                    assert claim.pending
                    assert claim.dead <= claim.deadline
                    real[address.packed, reservation.service.target, claim.question] += 1
        known = Counter((one.address, one.service.target, one.question) for one in self.claims if one.pending)
        assert real == known, (real, known)
        listed = set(ledger.deadlines)
        assert sum(claim.pending for claim in listed) == known.total(), "claims without an end"
        assert not NOTHING, "something stands at what has gone"

    @invariant()
    def no_more_claims_stand_than_may(self) -> None:
        """Of one host, and of all together; a limit that was lowered takes nothing away."""
        standing = self.allocator.counters.pending
        assert self.allocator.pool.size == self.size
        assert standing == sum(claim.pending for claim in self.claims), "claims of all hosts"
        standing -= sum(claim.pending and claim.held_for is not None for claim in self.claims)
        assert standing <= max(self.most_claims, self.most_before), "more claims than there may be"
        self.most_before = min(self.most_before, standing)
        for host in HOSTS:
            assert len(self.places_of(host)) <= host.profile.max_claims

    @invariant()
    def who_waits_is_known(self) -> None:
        """As many wait as the model knows, and only while no address can be had."""
        assert self.allocator.waiting == len(self.queue)

    def teardown(self) -> None:
        """In the end everything is over."""
        if not hasattr(self, "allocator"):
            return
        for _ in range(2000):  # while somebody waits, it is looked every few milliseconds whether an address can be had
            self.expire()
            if self.promised is None:
                break
            self.now = self.promised
        assert self.promised is None, "it never ends"
        self.now += 10.0
        self.expire()
        ledger = self.allocator.ledger
        assert self.allocator.pool.counts()[State.FREE] == self.size
        assert not any((self.queue, ledger.expected, len(ledger.places), len(ledger.deadlines), ledger.lingers))
        assert not any((self.allocator.arrivals._young, self.allocator.arrivals._old))
        assert not ledger.dead.watching or not self.pool
        assert len(ledger.last) <= self.size


class ModelTests(SynchronousTestCase):
    """The real allocator and the naive one."""

    def test_the_allocator_does_what_its_model_allows(self) -> None:
        """Whatever is asked and sent, in any order and time, no rule is broken and nothing is left behind."""
        AllocatorMachine.TestCase.settings = settings(
            max_examples=400, stateful_step_count=50, derandomize=True, database=None, deadline=None
        )
        AllocatorMachine.TestCase("runTest").runTest()

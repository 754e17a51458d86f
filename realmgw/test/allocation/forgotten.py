"""Conntrack as the naive model of the allocator knows it: what it forgets, tells, tells twice, or does not tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from realmgw.allocation.claims.ended import BURST
from realmgw.allocation.claims.senders import came
from realmgw.allocation.flow import Flow
from realmgw.errors import Reason
from realmgw.test.allocation.naive import HANDSHAKE, HOSTS, PACKETS, SOURCES, Knowledge, meets
from realmgw.test.allocation.scene import Idle

if TYPE_CHECKING:
    from realmgw.allocation.allocator import Allocator
    from realmgw.subscribers.model import Host

PRIVATE = {host.address: host for host in HOSTS}


class Forgotten(Knowledge):
    """A part of the state machine: the ends of flows, in any order, lost and doubled."""

    allocator: Allocator
    went: dict[Flow, set[int]]
    """The hosts that flows without a handshake ever went to, as the allocator may know it."""
    going: dict[Flow, tuple[int, float]]
    """The host that a flow went on to last, and when."""
    told: set[Flow]
    """Flows whose end was told since they were let in last, or that were ended since they were idle."""
    idleness: Idle | None
    admit: Callable[..., None]

    @rule(
        number=st.integers(0, 3),
        source=st.sampled_from(SOURCES),
        packet=st.sampled_from(PACKETS),
        sport=st.integers(1, 2),
        host=st.sampled_from(HOSTS),
        times=st.integers(1, 2),
    )
    def forget_flow(
        self, number: int, source: bytes, packet: tuple[int, int], sport: int, host: Host, times: int
    ) -> None:
        """Conntrack tells of the end of a flow, of one that nobody has seen before perhaps."""
        protocol, port = packet
        if protocol in HANDSHAKE:  # the kernel's filter keeps those back
            return
        flow = (source, bytes((192, 0, 2, number)), protocol, sport if port else 0, port)
        known = self.went.get(flow)
        private = host.address if known is None else HOSTS[min(known) - 1].address
        for _ in range(times):
            self.tell(flow, private)

    def tell(self, flow: Flow, private: bytes) -> None:
        """Conntrack tells of the end of a flow to a host with this address."""
        self.allocator.datagrams.hear(flow, private, now=self.now)
        self.went.setdefault(flow, set()).add(PRIVATE[private].index)
        self.told.add(flow)

    @rule(data=st.data(), pause=st.sampled_from((0.0, 1.5, 4.0)), times=st.integers(1, 2))
    def come_again(self, data: st.DataObject, pause: float, times: int) -> None:
        """A flow of old, after a while."""
        if self.went:
            source, address, *flow = data.draw(st.sampled_from(sorted(self.went)))
            self.now += pause
            for _ in range(times):
                self.admit(address, source, *flow)

    @rule(data=st.data(), source=st.sampled_from(SOURCES), host=st.sampled_from(HOSTS), told=st.booleans())
    def come_from_before(self, data: st.DataObject, source: bytes, host: Host, told: bool) -> None:
        """A former client of a host, where clients are expected, of whatever host."""
        expected = [
            claim for claim in self.claims if claim.pending and meets(claim.service, 17, claim.service.terms.port)
        ]
        if expected:
            claim = data.draw(st.sampled_from(expected))
            flow = (source, claim.address, 17, 1, claim.service.terms.port or 53)
            if told:
                self.tell(flow, host.address)
            self.admit(claim.address, source, *flow[2:])

    @rule(seconds=st.sampled_from((0.0, 1.0, 3.0, 100.0)), assured=st.booleans(), there=st.booleans())
    def fall_silent(self, seconds: float, assured: bool, there: bool) -> None:
        """From now on this is what conntrack says of flows that it is asked about."""
        self.idleness = Idle(seconds, assured) if there else None

    def idle(self, flow: Flow) -> Idle | None:
        """See `Entries`."""
        self.told.add(flow)
        return None if self.idleness is None else Idle(self.idleness.seconds, self.idleness.assured)

    def may_go_on(self, flow: Flow) -> set[int]:
        """The hosts where a flow may go on that conntrack has forgotten."""
        address = self.allocator.pool.addresses.get(flow[1])
        went = self.went.get(flow, set())
        if address is None:
            return set()
        there = address.meeting(flow[2], flow[4])
        host, at = self.going.get(flow, (0, 0.0))
        if host and self.now - at <= BURST and flow not in self.told:
            return {host}
        if there is None or (flow in self.told and not there.claims):
            return went
        return went & {there.service.host.index}

    def may_be_refused(self, flow: Flow) -> bool:
        """Whether a packet may be refused although somebody like its sender is expected, since it went elsewhere."""
        address = self.allocator.pool.addresses.get(flow[1])
        there = None if address is None else address.meeting(flow[2], flow[4])
        return there is not None and bool(self.went.get(flow, set()) - {there.service.host.index})

    def may_be_late(self, flow: Flow) -> bool:
        """Whether a packet may come for the host before: a resolver was told of that one whose client its sender is.

        But not if that resolver's clients are expected for the host that is there now, or he was there already.
        """
        address, src = self.allocator.pool.addresses.get(flow[1]), flow[0]
        there = None if address is None else address.meeting(flow[2], flow[4])
        if address is None or there is None or came(there, src):
            return False
        home = self.allocator.ledger.homes.of(src)
        told = address.formers(there.service.host.index, self.now)
        return home in told and all(claim.group is not home for claim in there.claims.values())

    def note_verdict(self, flow: Flow, verdict: int, pending: int, resumed: int) -> None:
        """Check what became of the packet, and note it.

        Args:
            flow: Its flow.
            verdict: What the allocator said.
            pending: How many claims were pending before.
            resumed: How many flows had gone on before.
        """
        counters = self.allocator.counters
        if verdict == -Reason.PASSED_ON or counters.resumed > resumed:
            assert counters.pending == pending, "a flow of old used up a claim"
        if counters.resumed > resumed:
            self.going[flow] = verdict, self.now
        if verdict > 0 and flow[2] not in HANDSHAKE:
            if counters.resumed == resumed and flow in self.told:
                self.went[flow] = set()
            self.went.setdefault(flow, set()).add(verdict)
            self.told.discard(flow)

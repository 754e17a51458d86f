"""Flows of UDP that were let in at addresses of the pool, and what becomes of them when their address passes on.

Theory of operation. What conntrack knows goes where it went before, whoever has the address by now: so flows outlive
the passing on of their address, and that is what they are meant to do. But conntrack knows a flow for a while after
its last packet, and if its sender comes again from the same port, told the same address for another name, his packet
would be taken for one of that flow. So when an address passes on, conntrack is asked about the flows there, and those
that have been idle are ended; the others are asked about again, as long as the address is another host's. They are
looked at a few at a time, the first of them before the answer goes out. Flows of TCP need none of this: a new
handshake ends what was left.

A flow that is ended so is remembered (see `ended`), and may go on if it was only slow.

Family: IPv4, whose addresses pass on from host to host.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from realmgw.allocation.claims.ended import Ended, EndedFlows
from realmgw.allocation.flow import Flow
from realmgw.config.protocols import UDP, UDP_LITE

if TYPE_CHECKING:
    from realmgw.allocation.counters import Counters
    from realmgw.allocation.pool.circular import Pool
    from realmgw.allocation.state import Address
    from realmgw.config.settings import Allocation
    from realmgw.subscribers.model import Host

ASKED = frozenset((UDP, UDP_LITE))
"""Protocols without a handshake that conntrack can be asked about: they have ports."""
LEAST = 8
"""So many flows are noted of an address at least, however many addresses there are."""
LOOKS = 64
"""So many flows are asked about in one go."""
RATE = 1000.0
"""So many within a second: 2 % of a processor."""
GATHERED = 16
"""The flows of so many addresses at most are gathered in one go, of those that passed on last."""
USEFUL = 30.0  # seconds
"""An address at which flows come too fast for all to be noted keeps the notes it has for so long: conntrack knows
each flow for about that time anyway, and a note that is gone by then was of no use."""
LISTENING = 0.001  # seconds
"""What is told of ends is heard before a packet is looked at, but not again within this time."""
AGAIN = 2.0  # seconds
"""How long after a flow was asked about it is asked about again."""


class Idle(Protocol):
    """What conntrack says of a flow."""

    @property
    def seconds(self) -> float:
        """For how long no packet of it has come."""

    @property
    def remaining(self) -> float:
        """After how many more seconds it will be forgotten."""

    @property
    def assured(self) -> bool:
        """It is more than one exchange of packets."""

    @property
    def end(self) -> Callable[[], bool]:
        """Ends it; returns whether it was there still."""


class Entries(Protocol):
    """Conntrack; see `realmgw.admission.conntrack`."""

    def idle(self, flow: Flow) -> Idle | None:
        """What it says of a flow; None: there is none."""


class Datagrams:
    """Knows the flows at each address, and ends those that are idle where they are in the way.

    Args:
        settings: How many flows are noted, and when one is idle.
        pool: The addresses.
        ended: Where flows are remembered that have ended.
        entries: Conntrack; None: nobody can be asked, and flows are left alone.
        counters: Where it is counted what was ended.

    Attributes:
        passing: Addresses that have another host since `look` was called last; the ledger has it called before that is
            told to anybody, since who is told may come at once.
        look_from: From when on there is anything that `look` can do, in monotonic seconds.
        soon: Called when `look` is to be called, though nobody is told of an address: a flow goes on where another
            host may be by now.
        listen: Called before it is looked for a flow: what has been told of ends is heard first.
    """

    def __init__(
        self, settings: Allocation, pool: Pool, ended: EndedFlows, entries: Entries | None, counters: Counters
    ) -> None:
        self._pool = pool
        self._ended = ended
        self._entries = entries
        self._counters = counters
        self.passing: OrderedDict[Address, None] = OrderedDict()
        self._next: OrderedDict[Flow, None] = OrderedDict()
        self._later: OrderedDict[Flow, float] = OrderedDict()
        self._listen_from = -math.inf
        self._tokens, self._at = float(LOOKS), 0.0
        self.look_from = -math.inf
        self.soon: Callable[[], object] = _nothing
        self.listen: Callable[[], object] = _nothing
        self.configure(settings)

    def configure(self, settings: Allocation) -> None:
        """From now on, note so many flows, and this is how long they have to be idle."""
        self._idle = settings.idle_exchange, settings.idle_flow
        self._most = settings.ended_flows

    # What is known of flows

    def note(self, address: Address, flow: Flow, host: Host, now: float) -> None:
        """A flow was let in at an address, to a host. It is of a protocol without a handshake.

        Until `Address.noting_from` there is nothing to be noted, and no need to call this.
        """
        flows = address.flows
        if flows is None:
            if not self._ended.is_on:
                return
            flows = address.flows = {}
            address.unwatched = {}
        elif len(flows) >= LEAST and len(flows) * self._pool.size >= self._most:
            address.noting_from = next(iter(flows.values())).at + USEFUL
            if now < address.noting_from:
                return
            flows = address.flows = dict(islice(flows.items(), len(flows) // 2, None))
            address.unwatched = {each: None for each in address.unwatched or () if each in flows}
        flows[flow] = Ended(host.address, now, 0.0, True)
        if address.unwatched is not None and flow[2] in ASKED:  # as `_look_later`; a call costs more
            address.unwatched[flow] = None

    def hear(self, flow: Flow, private: bytes, *, now: float) -> None:
        """Conntrack has forgotten a flow that was more than one exchange of packets, or somebody has ended it.

        Args:
            flow: Which one.
            private: Packed address of the host that it went to.
            now: The present.
        """
        address = self._pool.addresses.get(flow[1])
        if address is None:
            return
        noted = None if address.flows is None else address.flows.get(flow)
        if noted is None or noted.lives:  # else it was ended by us
            self.forget(address, flow)
            self._ended.remember(flow, Ended(private, now))

    def find(self, address: Address, flow: Flow, now: float) -> Ended | None:
        """What is known of a flow whose packet is a first one; None: it is a new flow."""
        if now >= self._listen_from:
            self._listen_from = now + LISTENING
            self.listen()
        flows = address.flows
        noted = flows.get(flow) if flows else None
        past = self._ended.flows
        return self._ended.find(flow) if noted is None and (past.young or past.old) else noted

    def resume(self, address: Address, flow: Flow, ended: Ended, host: Host, *, now: float) -> None:
        """A flow that had ended goes on."""
        self._renew(address, flow, Ended(host.address, now, ended.until, lives=True))
        if address.flows:
            self.passed(address)  # it may be another host's
            self.soon()

    def refuse(self, address: Address, flow: Flow, ended: Ended, *, now: float) -> None:
        """A flow could not go on. Whoever goes on knocking is remembered, and takes nobody's place later on."""
        self._renew(address, flow, Ended(ended.private, now))  # if somebody is expected, it may be he who has come

    def _renew(self, address: Address, flow: Flow, ended: Ended) -> None:
        """Have this as the latest of what is known, in the memory where it was."""
        if address.flows is None or address.flows.pop(flow, None) is None:
            self._ended.remember(flow, ended)
        else:
            address.flows[flow] = ended
            if ended.lives:
                _look_later(address, flow)

    def forget(self, address: Address, flow: Flow) -> None:
        """It is another flow by now."""
        self._ended.forget(flow)
        if address.flows is not None and address.unwatched is not None:
            address.noting_from = 0.0  # there may be room now
            address.flows.pop(flow, None)
            address.unwatched.pop(flow, None)

    # Addresses that pass on

    def passed(self, address: Address) -> None:
        """Another host has an address where flows were noted, or a part of it, from now on."""
        self.passing[address] = None
        self.passing.move_to_end(address)

    def look(self, *, now: float) -> bool:
        """End what is idle where another host has the address; some of it at most.

        Returns:
            Whether more can be looked at now.
        """
        if now < self.look_from or not (self.passing or self._next or self._later):
            return False
        self._tokens, self._at = min(LOOKS, self._tokens + (now - self._at) * RATE), now
        found = list[Flow]()
        for _ in range(min(GATHERED, len(self.passing))):
            if len(found) >= self._tokens:
                break
            found += self._gather(self.passing.popitem()[0])
        for flow in reversed(found):
            self._next[flow] = None
            self._next.move_to_end(flow, last=False)
        while self._later and next(iter(self._later.values())) <= now:
            self._next[self._later.popitem(last=False)[0]] = None
        while self._next and self._tokens >= 1:
            self._tokens -= 1
            self._look_at(self._next.popitem(last=False)[0], now)
        if self._tokens < 1:  # until then nothing needs to be gathered either
            self.look_from = now + (1 - self._tokens) / RATE
            return False
        return bool(self.passing)

    def _gather(self, address: Address) -> list[Flow]:
        """Those that are in the way and are not looked at yet: they come before all others, somebody is to be told.

        O(flows noted since it passed on last, and those that were not in the way).
        """
        flows, unwatched, found = address.flows or {}, address.unwatched or {}, list[Flow]()
        address.unwatched = {}
        for flow in unwatched:
            noted = flows.get(flow)
            if noted is None or not noted.lives:
                continue
            if not _is_astray(address, flow, noted):
                _look_later(address, flow)
            elif flow not in self._later:
                found.append(flow)
        return found

    def _look_at(self, flow: Flow, now: float) -> None:
        address = self._pool.addresses.get(flow[1])
        noted = None if address is None or address.flows is None else address.flows.get(flow)
        if address is None or noted is None or not noted.lives:
            return
        if _is_astray(address, flow, noted):
            idle = None if self._entries is None else self._entries.idle(flow)
            if idle is None:
                noted.lives = noted.has_just_begun(now)  # it may not be there yet
            elif not (enough := self._idle[idle.assured]) or idle.seconds < enough:
                self._later[flow] = now + AGAIN
                return
            elif idle.end():
                self._counters.idle_ended += 1
                noted.lives, noted.at, noted.until = False, now, now + idle.remaining
        if noted.lives:
            _look_later(address, flow)


def _look_later(address: Address, flow: Flow) -> None:
    """A flow that is noted at an address is to be looked at when that passes on, if conntrack can be asked about it."""
    if flow[2] in ASKED and address.unwatched is not None:
        address.unwatched[flow] = None


def _is_astray(address: Address, flow: Flow, noted: Ended) -> bool:
    """Whether a packet like those of a flow would be another host's, if it were the first one."""
    reservation = address.meeting(flow[2], flow[4])
    return reservation is not None and reservation.service.host.address != noted.private


def _nothing() -> None:
    """Nobody is there."""

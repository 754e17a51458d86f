"""The flows of hosts, as operators see them and end them: conntrack's, with the names that the gateway knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from ipaddress import ip_address
from typing import Any

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.traced import Traced
from realmgw.config import protocols
from realmgw.config.quoting import trace_id
from realmgw.config.settings import Network
from realmgw.control import parameters
from realmgw.control.commands import MOST, CommandError, Deferred, ExitStatus, Value
from realmgw.control.running import Running
from realmgw.control.streaming import PERIOD, Stream
from realmgw.datapath.hearing import Listener
from realmgw.datapath.netlink.tracked import Glance, Tracked
from realmgw.datapath.selecting import Found
from realmgw.subscribers.entry import shown
from realmgw.subscribers.review import addresses_of

AT_ONCE = 4
"""So many listings are under way at most, whoever has asked and gone; and so many watch at most."""

List = Callable[[Callable[[Glance], object], int], Generator[Any, Any, Found[Tracked]]]
"""See `realmgw.datapath.selecting.listed`."""
End = Callable[[Callable[[Glance], object]], Generator[Any, Any, Found[bool]]]
"""See `realmgw.datapath.selecting.ended`."""
Hear = Callable[[Listener], Callable[[], None]]
"""See `realmgw.datapath.hearing.FlowEvents.hear`."""


_STATE = tuple(field.name for field in attrs.fields(Tracked) if field.name not in ("original", "reply"))
"""What is told of a flow as conntrack has it."""


@attrs.frozen
class Wanted:
    """Which flows are meant."""

    mine: Callable[[bytes], object]
    """Whether a packed address is that of a host that is meant."""
    client: Network | None = None
    """Where the other end is; None: anywhere."""
    protocol: int | None = None
    """IP protocol number; None: any."""
    via: bytes | None = None
    """The packed address by which the Internet sees the host, its own where nothing is translated; None: any."""
    of_all: bool = False
    """Whether every host is meant."""

    @property
    def is_every(self) -> bool:
        """Whether all flows of all hosts are."""
        return self.of_all and self.client is None and self.protocol is None and self.via is None

    def __call__(self, flow: Glance) -> bool:
        """Whether a flow is one of them."""
        protocol, source, destination, answers, answered = flow
        if self.protocol is not None and protocol != self.protocol:
            return False
        is_inward = self.mine(answers)
        if not (is_inward or self.mine(source)):
            return False
        if self.via is not None and self.via != (destination if is_inward else answered):
            return False
        return self.client is None or _is_within(source if is_inward else destination, self.client)


def _is_within(address: bytes, network: Network) -> bool:
    first = network.network_address.packed
    return len(address) == len(first) and (
        int.from_bytes(address, "big") & int(network.netmask) == int.from_bytes(first, "big")
    )


class Flows:
    """What the commands about flows do.

    Args:
        running: The subscribers.
        allocator: Knows by which names addresses of the pool were given.
        drive: Goes through steps a few at a time; a Deferred of what they return.
        listed: Lists flows.
        ended: Ends flows.
        hear: Hears of flows that begin and end.
        time: The present, in seconds since 1970.
    """

    def __init__(
        self,
        running: Running,
        allocator: Allocator,
        drive: Callable[..., Deferred],
        listed: List,
        ended: End,
        hear: Hear,
        time: Callable[[], float],
    ) -> None:
        self._running = running
        self._allocator = allocator
        self._traced = Traced(allocator.ledger.decisions)
        self._drive = drive
        self._listed = listed
        self._ended = ended
        self._hear = hear
        self._time = time
        self._under_way = self._watching = 0

    def list(self, limit: str, **which: str) -> Deferred:
        """Those that there are, as `_wanted` says which; a Deferred."""
        wanted, most = self._wanted(**which), parameters.number(limit, "limit", MOST)
        return self._do(self._list(wanted, most))

    def kill(self, **which: str) -> Deferred:
        """Ends them, in both directions; a Deferred."""
        wanted = self._wanted(**which)
        if wanted.is_every:
            raise CommandError(ExitStatus.USAGE, "flows/kill: write which: --host, --client, --via or --protocol")
        return self._do(self._kill(wanted))

    def watch(self, **which: str) -> Stream:
        """Those that begin and end from now on; of those for which there is no room, how many clients' have begun.

        Raises:
            CommandError: Too many watch already, or what is written is nothing that there is.
            RealmGatewayError: The kernel does not tell.
        """
        if self._watching >= AT_ONCE:
            raise CommandError(ExitStatus.FAILED, f"{AT_ONCE} watch already: ask again when one has gone")
        wanted, stream = self._wanted(**which), Stream()

        begun, before, every = 0, self._come(), wanted.is_every

        def tell(begins: bool, flow: Tracked) -> None:
            nonlocal begun
            row = self._row(flow, wanted)
            begun += begins and row["direction"] == "in"
            stream.tell({"event": "begins" if begins else "ends", "at": self._time(), **row})

        def leave_out() -> None:
            more = self._come() - before - begun
            stream.leave_out(more if every and more > 0 else None)

        def room() -> int:
            nonlocal begun, before
            begun, before = 0, self._come()
            return stream.room

        self._drive(self._traced.learn())  # those of long ago: they may end
        end = self._hear(Listener(wanted, tell, leave_out, room, PERIOD))
        self._watching += 1

        def stop() -> None:
            self._watching -= 1
            end()

        stream.stop = stop
        return stream

    def _come(self) -> int:
        """How many flows were let in so far, by what is counted anyway."""
        fresh = self._allocator.fresh
        own, pinholes, drawn = self._allocator.counters, fresh.pinholes.ledger.counters, fresh.counters
        return sum(each.by_claim + each.by_source + each.by_spare for each in (own, pinholes, drawn)) + own.resumed

    def _do(self, steps: Generator[Any, Any, Value]) -> Deferred:
        if self._under_way >= AT_ONCE:
            raise CommandError(ExitStatus.FAILED, f"{AT_ONCE} listings of flows are under way: ask again in a moment")
        self._under_way += 1
        return self._drive(self._counted(steps))

    def _counted(self, steps: Generator[Any, Any, Value]) -> Generator[Any, Any, Value]:
        try:
            return (yield from steps)
        finally:
            self._under_way -= 1

    def _list(self, wanted: Wanted, most: int) -> Generator[Any, Any, Value]:
        found, rows = (yield from self._listed(wanted, most)), []
        yield from self._traced.learn()
        for count, flow in enumerate(found.kept, 1):
            rows.append(self._row(flow, wanted))
            if not count % AT_ONCE:
                yield None
        return {"total": found.total, "entries": found.seen, "flows": rows}

    def _kill(self, wanted: Wanted) -> Generator[Any, Any, Value]:
        found = yield from self._ended(wanted)
        return {"total": found.total, "ended": sum(found.kept), "left": found.total - len(found.kept)}

    def _wanted(self, host: str, client: str, via: str, protocol: str) -> Wanted:
        """Which are meant; each is empty where any is."""
        addresses = self._addresses(host) if host else None
        return Wanted(
            self._mine() if addresses is None else addresses.__contains__,
            parameters.network(client, "client") if client else None,
            parameters.only_protocol(protocol),
            parameters.address(via, "via").packed if via else None,
            of_all=addresses is None,
        )

    def _mine(self) -> Callable[[bytes], object]:
        """Whether an address is that of a subscriber, or of somebody else on a LAN."""
        around, host_at = self._running.around, self._running.registry.host_at
        networks, own = {*around.links, *around.reached}, {each.packed for each in around.own}

        def mine(address: bytes) -> bool:
            if host_at(address) is not None:
                return True
            return address not in own and any(_is_within(address, network) for network in networks)

        return mine

    def _addresses(self, name: str) -> Collection[bytes]:
        """Those of a host, by its name, that of a service, or one of them."""
        try:
            return (ip_address(name).packed,)
        except ValueError:
            among = "subscriber, no service and no address"
            return addresses_of(parameters.host(self._running.registry, name, among))

    def _row(self, flow: Tracked, wanted: Wanted) -> Value:
        first, answer = flow.original, flow.reply
        is_inward = bool(wanted.mine(answer.source))
        if is_inward:
            host, via = (answer.source, answer.sport), (first.destination, first.dport)
            client = first.source, first.sport
        else:
            host, via = (first.source, first.sport), (answer.destination, answer.dport)
            client = first.destination, first.dport
        subscriber = self._running.registry.host_at(host[0])
        key = first.source, first.destination, first.protocol, first.sport, first.dport
        return {
            "direction": "in" if is_inward else "out",
            "protocol": protocols.NAMES.get(first.protocol, str(first.protocol)),
            "host": subscriber and subscriber.name,
            "service": self._opened(flow) if is_inward else None,
            "address": shown(host[0]),
            "port": host[1],
            "via": None if via == host else shown(via[0]),
            "via_port": None if via == host else via[1],
            "client": shown(client[0]),
            "client_port": client[1],
            "trace_id": trace_id(self._traced.of(key)) if is_inward else None,
            **{name: getattr(flow, name) for name in _STATE},
        }

    def _opened(self, flow: Tracked) -> str | None:
        """The name by which a client was told the address that he came to, as long as that stands there."""
        first = flow.original
        address, fresh = self._allocator.pool.addresses.get(first.destination), self._allocator.fresh.stock
        found = fresh.find(first.destination) if address is None else address.meeting(first.protocol, first.dport)
        if found is None or flow.reply.source not in addresses_of(found.service.host):
            return None
        return found.service.name

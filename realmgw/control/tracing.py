"""Packets followed through all rules, as operators see them: with hosts by name, and where rules come from."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import attrs

from realmgw.config.settings import Network
from realmgw.control import parameters
from realmgw.control.commands import CommandError, Deferred, ExitStatus, Value
from realmgw.control.running import Running
from realmgw.control.streaming import Stream
from realmgw.datapath.netlink.traces import Headers
from realmgw.datapath.policy import noted
from realmgw.datapath.policy.classes import direction_of
from realmgw.datapath.tracing.match import Match
from realmgw.datapath.tracing.packets import Met, described
from realmgw.datapath.tracing.port import End, Followed
from realmgw.subscribers.firewall import Direction
from realmgw.subscribers.review import addresses_of

LONGEST = 600  # seconds
"""Packets are not followed for longer."""
MOST = 1000
"""More packets are not followed at once."""


class Tracing:
    """What the command about packets does.

    Args:
        running: The subscribers.
        follow: See `realmgw.datapath.tracing.port.Tracer.follow`.
    """

    def __init__(self, running: Running, follow: Callable[..., Deferred]) -> None:
        self._running = running
        self._follow = follow

    def trace(self, src: str, dst: str, packets: str, **given: str) -> Deferred:
        """Follow packets for a while.

        Args:
            src: Where they come from: an address, a prefix, or the name of a host or a service.
            dst: Where they go, likewise; empty: anywhere.
            packets: How many, at most.
            **given: `for`: how long, as `10s` or `2m`.

        Returns:
            A Deferred of a `Stream` of packets; the last value says how many there were. It fails with
            `RealmGatewayError` if the kernel refuses, or somebody else has packets followed.

        Raises:
            CommandError: There is no such host, or what is written is none of these.
        """
        match = Match(self._networks(src), self._networks(dst) if dst else ())
        if not match:
            raise CommandError(
                ExitStatus.USAGE, f"trace: {src} and {dst} are of different families: no packet has both"
            )
        most = parameters.number(packets, "packets", MOST)
        seconds, stream = parameters.seconds(given["for"], "for", 1, LONGEST), Stream()

        def tell(followed: Followed) -> None:
            stream.tell(self._packet(followed))

        def end(how: End) -> None:
            stream.tell({"packets": how.packets, "lost": how.lost, "problem": how.problem or None})
            stream.end()

        def begun(stop: Callable[[], object]) -> Stream:
            stream.stop = stop
            return stream

        return self._follow(match, seconds, most, tell, end).addCallback(begun)

    def _networks(self, text: str) -> tuple[Network, ...]:
        try:
            return (ip_network(text, strict=False),)
        except ValueError:
            among = "subscriber, no service, no address and no prefix"
            host = parameters.host(self._running.registry, text, among)
        return tuple(ip_network(each) for each in addresses_of(host))

    def _packet(self, followed: Followed) -> Value:
        steps, as_it_is = [], followed.headers
        for each in followed.steps:
            as_it_is = each.headers or as_it_is
            steps.append(self._step(each, as_it_is))
        last, by = followed.steps[-1], steps[-1]
        if noted.is_chain(last.chain) and len(steps) > 1:  # where it is only told of
            last, by = attrs.evolve(followed.steps[-2], verdict=last.verdict), steps[-2]
        is_dropped = last.verdict in ("drop", "stolen")
        return {
            "packet": followed.number,
            **described(followed.headers),
            "in": followed.came_by or None,
            "table": self._running.settings.datapath.table,
            "steps": steps,
            "left_out": followed.left_out,
            "verdict": last.verdict if is_dropped else "accept",
            "by": f"{last.chain}: {by['origin'] or last.rule}" if is_dropped else None,
        }

    def _step(self, met: Met, as_it_is: Headers | None) -> Value:
        whose = None if as_it_is is None else self._whose(met.chain, as_it_is)
        return {
            "table": met.table,
            "chain": met.chain,
            "rule": met.rule,
            "origin": ", ".join(filter(None, (whose, met.comment))) or None,
            "verdict": met.verdict,
            "now": None if met.headers is None else described(met.headers),
            "mark": met.mark,
        }

    def _whose(self, chain: str, packet: Headers) -> str | None:
        """Whose class a chain is of, with where it is written; None: it is of none."""
        direction = direction_of(chain)
        if direction is None:
            return None
        host = self._running.registry.host_at(packet.source if direction is Direction.EGRESS else packet.destination)
        return None if host is None else f"{host.name} ({self._running.registry.source_of(host.name)})"

"""Packets that rules have dropped or refused, written down with the rule, as the kernel tells of them.

The kernel tells of so many a second at most (`datapath.log.refused`), and of none if nobody wants to know.

Edge: netlink, the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Protocol

import attrs
from twisted.application.service import Service

from realmgw.allocation.decisionlog import DecisionLog
from realmgw.config.settings import Settings
from realmgw.control.causes import place
from realmgw.control.running import Running
from realmgw.datapath import bans
from realmgw.datapath.netlink import codec, nflog
from realmgw.datapath.netlink.client import TIMEOUT, open_socket
from realmgw.datapath.netlink.port import NetlinkListener
from realmgw.datapath.netlink.traces import Headers
from realmgw.datapath.pipeline import parts
from realmgw.datapath.pipeline.stages import stages
from realmgw.datapath.policy import noted, rules
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.firewall import Direction, Rule
from realmgw.subscribers.model import Host

_BUFFER = 1 << 20  # octets
_HOSTS = 64
"""The rules of so many hosts are kept by their numbers."""


@attrs.frozen
class Ruled:
    """A rule that has ended a packet."""

    rule: str
    """Which one: the counter of a stage, or whose it is, its priority and its comment."""
    origin: str
    """Where it is written; empty: it is built in, or a host's."""
    verdict: str
    """`dropped` or `refused`."""
    host: str = ""
    """The host whose rule it is; empty: no host's."""
    own: Rule | None = None
    """That rule."""


class Banned(Protocol):
    """What somebody is banned for: see `realmgw.alerts.bans.Cause`."""

    @property
    def signature(self) -> int: ...
    @property
    def text(self) -> str: ...


class RefusalsService(Service):
    """Listens to the kernel, and writes down.

    Args:
        running: Stages, and the rules of hosts.
        decisions: Where it is written.
        monotonic: Its clock.
        reactor: Where it is listened.
        tell: Told what is wrong.
        banned: Tells what a packed address is banned for, and by which of `alerts.rules`.
        open_channel: Opens a netlink socket.
    """

    name = "refusals"

    def __init__(
        self,
        running: Running,
        decisions: DecisionLog,
        monotonic: Callable[[], float],
        reactor: Any,
        tell: Callable[[Iterable[str]], object],
        banned: Callable[[bytes], tuple[Banned, int | None] | None],
        open_channel: Callable[..., Any] = open_socket,
    ) -> None:
        self._running, self._decisions, self._monotonic, self._banned = running, decisions, monotonic, banned
        self._reactor, self._tell, self._open = reactor, tell, open_channel
        self._listener: NetlinkListener | None = None
        self._group = -1
        self._stages: dict[int, Ruled] = {}
        self._told = self._unknown = self._lost = 0

    def counts(self) -> dict[str, int]:
        """What was counted since the start."""
        return {"told": self._told, "unknown": self._unknown, "lost": self._lost}

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self.configure(self._running.settings)

    def stopService(self) -> None:
        self._close()
        super().stopService()  # type: ignore[no-untyped-call]  # as above

    def configure(self, settings: Settings) -> None:
        """From now on, these; a group that could not be had is tried again."""
        if not self.running:
            return
        self._stages, how = dict(_of_stages(settings)), settings.datapath.log
        group = noted.group(how) if how.refused else -1
        if group != self._group or self._listener is None:
            self._close()
            self._tell(tuple(self._listen(group)) if group >= 0 else ())

    def _listen(self, group: int) -> Iterator[str]:
        """Begin; what is wrong, if anything is."""
        try:
            channel = self._open(timeout=TIMEOUT, buffer=_BUFFER)
        except RealmGatewayError as error:
            yield f"datapath.log.refused: nothing is told of: {error}"
            return
        try:
            codec.ask(channel, nflog.binding(group, 1), f"group {group}")
        except RealmGatewayError as error:
            channel.close()
            yield f"datapath.log.refused: nothing is told of, since group {group} is not to be had: {error}"
            return
        channel.settimeout(0.0)
        self._listener, self._group = NetlinkListener(channel, self._hear, self._lose, self._reactor), group

    def _close(self) -> None:
        listener, self._listener, self._group = self._listener, None, -1
        if listener is not None:
            listener.close()

    def _lose(self) -> None:
        self._lost += 1

    def _hear(self, received: bytes) -> None:
        now = self._monotonic()
        for number, headers in nflog.packets(received):
            ruled = self._ruled(number, headers)
            if ruled is None:
                self._unknown += 1
                continue
            self._told += 1
            flow = headers.source, headers.destination, headers.protocol, headers.sport or 0, headers.dport or 0
            self._decisions.forbid(now, flow, ruled)

    def _ruled(self, number: int, headers: Headers) -> Ruled | None:
        """The rule of that number; None: there is none any more."""
        if (found := self._stages.get(number)) is not None:
            return found
        if number == bans.NUMBER:
            return self._of_ban(headers.source)
        host_at = self._running.registry.host_at
        for packed, direction in ((headers.destination, Direction.INGRESS), (headers.source, Direction.EGRESS)):
            host = host_at(packed)
            own = None if host is None else _of_host(host, direction).get(number)
            if own is not None:
                return own
        return None

    def _of_ban(self, source: bytes) -> Ruled:
        """Who has banned somebody: the rule, if it is in force still, and what he is told to have done."""
        found = self._banned(source)
        if found is None:  # by hand, or it is over by now
            return Ruled("alerts", "", "dropped")
        cause, number = found
        origin = "" if number is None else place(self._running.settings, f"alerts.rules.{number}") or ""
        return Ruled(f"alerts.rules: signature {cause.signature} {cause.text}", origin, "dropped")


def _of_stages(settings: Settings) -> Iterator[tuple[int, Ruled]]:
    """The rules of stages and groups, by their numbers."""
    for each in parts.told(stages(settings)):
        verdict = "dropped" if each.verdict == "drop" else "refused"
        place, _, comment = each.origin.partition(": ")
        own = each.counter.startswith("rule_")
        rule = ": ".join(filter(None, (each.counter.removeprefix("rule_"), comment))) if own else each.counter
        origin = "" if each.origin == parts.BUILT_IN else place
        yield noted.number(each.counter, each.origin), Ruled(rule, origin, verdict)


@lru_cache(_HOSTS)
def _of_host(host: Host, direction: Direction) -> dict[int, Ruled]:
    """A host's own rules for a direction, by their numbers: it may have hundreds, and many packets be told of."""
    firewall, found = host.profile.firewall, dict[int, Ruled]()
    for tier, some in (("admin", firewall.admin), ("user", firewall.user)):
        for rule in some:
            if rule.direction is direction:
                said = rules.quoted(rules.origin(rule, tier))[1:-1]
                verdict = "dropped" if rule.target.value == "DROP" else "refused"
                found.setdefault(noted.number("rule_", said), Ruled(said, "", verdict, host.name, rule))
    return found

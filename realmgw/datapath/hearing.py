"""What conntrack tells of flows as they begin and end, for whoever wants to see them: so many a second at most.

What is told beyond that waits in the kernel, and what finds no room there is lost; it is told that something was.

Edge: netlink, the reactor and its timers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.task import LoopingCall

from realmgw.datapath.netlink import codec, tracked
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.port import Ear
from realmgw.datapath.netlink.tracked import Glance, Tracked

GROUPS = (1, 3)
"""NFNLGRP_CONNTRACK_NEW and NFNLGRP_CONNTRACK_DESTROY, of NETLINK_NETFILTER."""
PER_SECOND = 2000
"""So many messages are heard in a second: others have their turn meanwhile."""
_BUFFER = 1 << 21  # octets
# linux/netfilter/nfnetlink_conntrack.h
_NEW, _DELETE = 1 << 8, 1 << 8 | 2

Tell = Callable[[bool, Tracked], object]
"""Told of a flow that has begun (True), or has ended."""


@attrs.frozen
class FlowEvents:
    """Hears of flows that begin and end."""

    reactor: Any
    """Where to be read, and its clock."""
    open_channel: Callable[..., Any] = open_socket
    """Opens a netlink socket."""

    def hear(self, wanted: Callable[[Glance], object], tell: Tell, lost: Callable[[], object]) -> Callable[[], None]:
        """Begin.

        Args:
            wanted: Whether a flow is meant.
            tell: Told of each that is.
            lost: Called when something was lost.

        Returns:
            What ends it.

        Raises:
            RealmGatewayError: The kernel does not let us.
        """
        channel = self.open_channel(timeout=0.0, groups=GROUPS, buffer=_BUFFER)
        return _Hearing(self.reactor, channel, wanted, tell, lost).end


class _Hearing:
    """What one who has asked hears."""

    def __init__(
        self,
        reactor: Any,
        channel: Any,
        wanted: Callable[[Glance], object],
        tell: Tell,
        lost: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._wanted = wanted
        self._tell = tell
        self._heard = 0
        self._is_resting = False
        self._ear = Ear(channel, self._take, lost, reactor)
        self._seconds = LoopingCall(self._next)
        self._seconds.clock = reactor
        self._seconds.start(1.0, now=False)

    def end(self) -> None:
        """Hear no more; harmless when done twice."""
        if self._seconds.running:
            self._seconds.stop()
        self._ear.close()

    def _take(self, received: bytes) -> None:
        for each in codec.messages(received):
            self._heard += 1
            if each.kind in (_NEW, _DELETE) and self._wanted(tracked.glance(each.body)):
                self._tell(each.kind == _NEW, tracked.tracked(each))
        if self._heard >= PER_SECOND and not self._is_resting:
            self._is_resting = True
            self._reactor.removeReader(self._ear)

    def _next(self) -> None:
        """Another second."""
        self._heard = 0
        if self._is_resting:
            self._is_resting = False
            self._reactor.addReader(self._ear)

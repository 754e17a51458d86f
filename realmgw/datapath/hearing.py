"""What conntrack tells of flows as they begin and end, for whoever wants to see them: as much as he has room for.

What there is no room for is not made: the socket is closed until there is, so that it costs the kernel nothing either.
It is told that something was left out; how much that was, nobody knows.

Edge: netlink, the reactor and its timers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.task import LoopingCall

from realmgw.datapath.netlink import codec, tracked
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.port import NetlinkListener
from realmgw.datapath.netlink.tracked import Glance, Tracked
from realmgw.errors import RealmGatewayError

GROUPS = (1, 3)
"""NFNLGRP_CONNTRACK_NEW and NFNLGRP_CONNTRACK_DESTROY, of NETLINK_NETFILTER."""
PER_PERIOD = 1000
"""So many messages are heard in a period at most, also where few of them are wanted."""
UNWANTED = 4
"""And not more than so many for each flow that there is room for."""
_BUFFER = 1 << 21  # octets
# linux/netfilter/nfnetlink_conntrack.h
_NEW, _DELETE = 1 << 8, 1 << 8 | 2

Tell = Callable[[bool, Tracked], object]
"""Told of a flow that has begun (True), or has ended."""


@attrs.frozen
class Listener:
    """Somebody who wants to hear of flows."""

    wanted: Callable[[Glance], object]
    """Whether a flow is meant."""
    tell: Tell
    """Told of each that is."""
    left_out: Callable[[], object]
    """Called at the end of a period in which he was not told of others that there may have been."""
    room: Callable[[], int]
    """Of how many he is told in a period; asked at the begin of each."""
    period: float
    """In seconds."""


@attrs.frozen
class FlowEvents:
    """Hears of flows that begin and end."""

    reactor: Any
    """Where to be read, and its clock."""
    open_channel: Callable[..., Any] = open_socket
    """Opens a netlink socket."""

    def hear(self, listener: Listener) -> Callable[[], None]:
        """Begin.

        Args:
            listener: For whom.

        Returns:
            What ends it.

        Raises:
            RealmGatewayError: The kernel does not let us.
        """
        return _Hearing(self, listener).end


class _Hearing:
    """What one who has asked hears."""

    def __init__(self, events: FlowEvents, listener: Listener) -> None:
        self._events, self._listener = events, listener
        self._socket: NetlinkListener | None = None
        self._begin()
        self._listen()
        self._periods = LoopingCall(self._next)
        self._periods.clock = events.reactor
        self._periods.start(listener.period, now=False)

    def end(self) -> None:
        """Hear no more; harmless when done twice."""
        if self._periods.running:
            self._periods.stop()
        self._rest()

    def _begin(self) -> None:
        self._room, self._heard, self._is_lacking = self._listener.room(), 0, False
        self._most = min(PER_PERIOD, UNWANTED * self._room)

    def _listen(self) -> None:
        channel = self._events.open_channel(timeout=0.0, groups=GROUPS, buffer=_BUFFER)
        self._socket = NetlinkListener(channel, self._take, self._lack, self._events.reactor)

    def _rest(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _lack(self) -> None:
        self._is_lacking = True

    def _take(self, received: bytes) -> None:
        listener = self._listener
        for each in codec.messages(received):
            self._heard += 1
            if each.kind in (_NEW, _DELETE) and listener.wanted(tracked.glance(each.body)):
                self._room -= 1
                listener.tell(each.kind == _NEW, tracked.tracked(each))
        if self._room <= 0 or self._heard >= self._most:
            self._rest()
            self._lack()

    def _next(self) -> None:
        """Another period."""
        if self._is_lacking:
            self._listener.left_out()
        self._begin()
        if self._room <= 0:
            self._rest()
            self._lack()
        elif self._socket is None or self._socket.fileno() < 0:
            try:
                self._listen()
            except RealmGatewayError:  # for want of files, for example: perhaps the next time
                self._lack()

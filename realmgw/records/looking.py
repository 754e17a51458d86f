"""Looks at all flows now and then, some at a time: how much those have carried that last. Edge: netlink."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from realmgw.datapath.netlink import accounted, codec
from realmgw.datapath.netlink.client import open_socket
from realmgw.errors import RealmGatewayError
from realmgw.records.lasting import Counted, Lasting

AT_ONCE = 128
"""So many flows are looked at in one go; meanwhile ends wait."""
SOON = 10.0  # seconds
"""After ends were lost, it is looked so much later at most: many may be lost at once."""
_PATIENCE = 1.0  # seconds


class Looking:
    """When it is looked, and at what.

    The first look tells nothing: flows that last were looked at by an earlier recorder, and what they have carried by
    then is counted already.

    Args:
        lasting: What is known of flows.
        interval: How often, in seconds; 0: never.
        open_channel: Opens a socket to conntrack.

    Attributes:
        unlisted: How often not all could be seen.
        problem: Why, the last time; empty: they could.
    """

    def __init__(self, lasting: Lasting, interval: float, open_channel: Callable[..., Any] = open_socket) -> None:
        self._lasting, self._interval, self._open = lasting, interval, open_channel
        self._listing: Iterator[codec.Message] | None = None
        self._channel: Any = None
        self._next_at = -math.inf if interval else math.inf
        self._is_first, self._has_lost = True, False
        self._sequence = 0
        self.unlisted, self.problem = 0, ""

    def lost(self, now: float) -> None:
        """Ends were lost.

        Args:
            now: The present, in monotonic seconds.
        """
        if self._interval:
            self._has_lost, self._next_at = True, min(self._next_at, now + SOON)

    def step(self, now: float, wall: float, *, drained: bool) -> list[Counted]:
        """Look at some, if it is time to; returns what is told of them.

        Args:
            now: The present, in monotonic seconds.
            wall: The same, in seconds since 1970.
            drained: All ends were taken that conntrack had told of.
        """
        if self._listing is None:
            found = list(self._lasting.settle(wall)) if drained else []
            if now >= self._next_at:
                self._begin(now)
            return found
        found = []
        try:
            for _ in range(AT_ONCE):
                each = next(self._listing, None)
                if each is None:
                    self._end()
                    self._lasting.over()
                    break
                found += self._lasting.look(accounted.read(each), wall, wall - self._interval)
        except RealmGatewayError as error:
            self._fail(error)
        is_told, self._is_first = not self._is_first, self._is_first and self._listing is not None
        return found if is_told else []

    def close(self) -> None:
        """Let go of the socket."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _begin(self, now: float) -> None:
        self._next_at = now + self._interval
        self._lasting.begin(doubtful=self._has_lost)
        self._has_lost = False
        self._sequence += 1
        try:
            self._channel = self._open(timeout=_PATIENCE)
        except RealmGatewayError as error:
            self._fail(error)
            return
        self._listing = codec.dump(self._channel, accounted.listing(self._sequence), "flows")

    def _fail(self, error: RealmGatewayError) -> None:
        self.unlisted += 1
        self._has_lost |= self._lasting.stop()
        self._end()
        self.problem = str(error)

    def _end(self) -> None:
        self._listing, self.problem = None, ""
        self.close()

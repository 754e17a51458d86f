"""Long listings of conntrack that nobody waits for. Edge: the clock, sleep."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from realmgw.datapath.netlink.codec import Channel

READS = 16
"""After so many reads of a listing (of 32 kB each) others have their turn, where nobody waits for its end."""
REST = 2
"""So many times as long as those took: a listing that nobody waits for has a third of a processor at most."""


@attrs.define
class Unhurried:
    """A channel to conntrack, by which a listing leaves the processor to those who need it now.

    Some ten thousand flows are a tenth of a second of it, in the kernel and here.
    """

    _channel: Channel
    """It."""
    _is_awaited: Callable[[], bool]
    """Whether somebody waits for the end at this moment, so that it makes haste; what it raises has the listing given
    up."""
    _clock: Callable[[], float] = time.monotonic
    """The present, in seconds."""
    _sleep: Callable[[float], object] = time.sleep
    """Waits for so many seconds."""
    _reads: int = 0
    _began: float = 0.0

    def send(self, data: bytes, /) -> int:
        """Hand a message to the kernel."""
        self._began = self._clock()
        return self._channel.send(data)

    def recv(self, size: int, /) -> bytes:
        """What the kernel has answered, after a rest, if it is time for one."""
        self._reads += 1
        if not self._reads % READS:
            if not self._is_awaited():
                self._sleep(REST * (self._clock() - self._began))
            self._began = self._clock()
        return self._channel.recv(size)

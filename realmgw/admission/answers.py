"""Which connections are established, as conntrack tells of them.

To ask conntrack about each flow, again and again until it is answered, takes more than everything else when thousands
of forged SYNs come in a second. Those are never answered, and so nothing is heard of them. But to hear of all
connections costs something where there is nothing to ask; so it is listened while somebody asks, and no longer.

To hear holds up nobody for long: so much is taken in one go, and where more waits, as much time is left to others
before the next. Until all of that is taken it is not known who was answered last.

What is heard is only as good as what conntrack tells. If it tells nothing of several flows that turn out to be
answered, since its events are switched off or somebody has others told, it is not listened to any more.

Family: connections of IPv4; those of IPv6 are asked for.

Edge: a netlink socket.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable

from realmgw.config.protocols import TCP
from realmgw.datapath.netlink import assured
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.destroyed import Flow
from realmgw.datapath.watch.reader import Listening
from realmgw.errors import RealmGatewayError

EVERY = 0.001  # seconds
"""What was told is taken no more often than this."""
MEMORY = 5.0  # seconds
"""For so long at least it is remembered; who came before that is asked for."""
MOST = 1 << 15
"""If there are more, they are forgotten."""
RESTS = 10.0  # seconds
"""When nobody has asked for so long, it is listened no more."""
MISHEARD = 3
"""After so many flows that were answered and not heard, and none that was, nobody listens any more."""
MESSAGES = 256
"""So many are taken in one go: three quarters of a millisecond."""
_SIZE, _BUFFER = 1024, 1 << 21
"""Of a message, and of all that wait, in octets."""


class Answers:
    """Flows of TCP by IPv4 that were answered.

    Args:
        monotonic: The present, in seconds.
        is_told: Whether conntrack tells anything.
        open_channel: Opens a socket to it.

    Attributes:
        since: Of all flows that were let in since then it is known; monotonic seconds.
        heard: So many were told of.
        lost: So often some were lost, since more came than there was room for.
        misheard: So many were answered of which nothing was told.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        is_told: Callable[[], bool],
        open_channel: Callable[..., Listening] = open_socket,
    ) -> None:
        self._monotonic = monotonic
        self._is_told = is_told
        self._open = open_channel
        self._channel: Listening | None = None
        self._young: dict[Flow, None] = {}
        self._old: dict[Flow, None] = {}
        self._turn_at = self._due = self._asked_at = self._not_before = -math.inf
        self.since = math.inf
        self._more = False  # may wait to be taken
        self._latest: dict[bytes, int] = {}  # by address: how many had been heard when one to it was, the last time
        self._epoch = 0  # of that
        self.heard = self.lost = self.misheard = self._deaf = 0

    def has(self, flow: Flow, came: float) -> bool | None:
        """Whether a flow was answered by now.

        Args:
            flow: As for `Conntrack.answered`.
            came: When it was let in, in monotonic seconds.

        Returns:
            None if that is not known: it is to be asked for.
        """
        if not self.tells(flow):
            return None
        now = self._listen()
        if came < self.since or came < now - MEMORY:
            return None
        return flow in self._young or flow in self._old or (None if self._more else False)

    @staticmethod
    def tells(flow: Flow) -> bool:
        """Whether it is told of such a flow at all."""
        return flow[2] == TCP and len(flow[0]) == 4

    def news(self, address: bytes) -> object:
        """What is another thing than before when a connection to an address was told of, or may have been.

        Args:
            address: Packed, before translation.

        Returns:
            None if it is not known: there may be news at any time.
        """
        self._listen()
        return None if self._channel is None or self._more else (self._epoch, self._latest.get(address))

    def _listen(self) -> float:
        """Take what was told, if it is time; returns the present."""
        now = self._asked_at = self._monotonic()
        if self._channel is None:
            self._begin(now)
        elif now >= self._due:
            self._take(now)
        return now

    def mistrust(self, flow: Flow) -> None:
        """A flow was answered, and it was not heard, unless it is told just now."""
        if self._channel is not None:
            self._take(self._monotonic())
        if flow in self._young or self._more:
            return
        self.misheard += 1
        self._deaf += 1
        if self._deaf >= MISHEARD:
            self.close()
            self._not_before = math.inf

    def rest(self) -> None:
        """Listen no more if nobody has asked for a while; it begins again with the next question."""
        if self._monotonic() - self._asked_at > RESTS:
            self.close()

    def close(self) -> None:
        """Let go of the socket."""
        if self._channel is not None:
            self._channel.close()
        self._channel, self.since, self._more = None, math.inf, False
        self._forget()

    def _begin(self, now: float) -> None:
        if now < self._not_before:
            return
        self._not_before = now + RESTS  # if it does not succeed
        if not self._is_told():
            return
        try:
            groups, program = (assured.GROUP,), assured.PROGRAM
            self._channel = self._open(timeout=0.0, groups=groups, program=program, buffer=_BUFFER)
        except RealmGatewayError:
            return
        self.since, self._turn_at, self._not_before = now, now + MEMORY, -math.inf

    def _take(self, now: float) -> None:
        """Take what has been told."""
        self._due = now + EVERY
        if now >= self._turn_at:
            self._old, self._young, self._turn_at = self._young, {}, now + MEMORY
            self._latest, self._epoch = {}, self._epoch + 1
        assert self._channel is not None, "it is open"
        receive, self._more = self._channel.recv, True
        for _ in range(MESSAGES):
            try:
                flow = assured.parse(receive(_SIZE))
            except BlockingIOError:
                self._more = False
                break
            except OSError as error:
                self._lose(now)
                if error.errno != errno.ENOBUFS:
                    self.close()
                    return
                continue
            if flow is not None:
                self.heard += 1
                self._deaf = 0
                self._young[flow] = None
                self._latest[flow[1]] = self.heard
        if self._more:
            then = self._monotonic()
            self._due = then + max(then - now, EVERY)
        if len(self._young) > MOST:
            self._lose(now)

    def _lose(self, now: float) -> None:
        self.lost += 1
        self.since = now
        self._forget()

    def _forget(self) -> None:
        self._young, self._old = {}, {}
        self._latest, self._epoch = {}, self._epoch + 1

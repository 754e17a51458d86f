"""What conntrack says of flows: whether they were answered, for how long idle. Edge: kernel settings in /proc."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import attrs

from realmgw.admission.answers import Answers
from realmgw.allocation.claims.ended import HANDSHAKES
from realmgw.datapath.netlink import codec, flows
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.codec import Message, RefusedError
from realmgw.datapath.netlink.destroyed import Flow
from realmgw.datapath.netlink.tracked import Tracked, tracked
from realmgw.datapath.watch.reader import Listening
from realmgw.errors import RealmGatewayError

SYSCTLS = Path("/proc/sys/net/netfilter")
"""Conntrack's settings, of the network namespace of whoever reads them."""
_TIMEOUTS_KNOWN = 10.0  # seconds
"""How often they are read."""


@attrs.frozen
class Idle:
    """A flow, and since when no packet of it has come; see `realmgw.allocation.claims.datagrams`."""

    seconds: int
    """For how long it has been idle, rounded up."""
    remaining: int
    """After how many more conntrack forgets it."""
    assured: bool
    """It is more than one exchange of packets."""
    end: Callable[[], bool]
    """Ends it; returns whether it was there still. Never raises, and never waits."""


@attrs.frozen
class Seen:
    """A flow that conntrack has."""

    tracked: Tracked
    """It."""
    is_proven: bool
    """A handshake came to its end, so whoever began it is where his address says."""
    said: Message
    """As conntrack has told it."""


class Conntrack:
    """Asks conntrack about flows. The kernel answers within the call, in some microseconds.

    Args:
        monotonic: The present, in seconds.
        open_channel: Opens a socket to it.
        sysctls: Where conntrack's settings are.

    Attributes:
        unasked: Questions that could not be put, or were not answered; such flows are believed.
        answers: Hears which connections are established.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        open_channel: Callable[..., Listening] = open_socket,
        sysctls: Path = SYSCTLS,
    ) -> None:
        self._open = open_channel
        self._monotonic = monotonic
        self._sysctls = sysctls
        self._netlink: Listening | None = None
        self._sequence = 0
        self._timeouts = 0, 0
        self._timeouts_until = -math.inf
        self.unasked = 0
        self.answers = Answers(monotonic, self.tells_of_ends, open_channel)

    def answered(self, flow: Flow) -> bool | None:
        """Whether a flow was answered: see `flows.is_answered`. Never raises, and never waits.

        Args:
            flow: Packed source, packed destination (before translation), protocol, source and destination port. One
                without ports is believed: it can not be asked for.
        """
        if not flow[3]:
            return True
        try:
            return flows.is_answered(self._ask(flow), flow[2])
        except RealmGatewayError:
            self._give_up()
            return True

    def idle(self, flow: Flow) -> Idle | None:
        """Since when a flow of UDP has been idle. Never raises, and never waits.

        Args:
            flow: As for `answered`.

        Returns:
            None when there is no such flow, or it can not be asked for.
        """
        try:
            said = self._ask(flow)
            if said is None:
                return None
            found = flows.entry(said)
            idle = self._timeout(assured=found.assured) - found.remaining
        except (OSError, ValueError, RealmGatewayError):
            self._give_up()
            return None
        return Idle(max(0, idle), found.remaining, found.assured, partial(self._end, said))

    def find(self, wanted: Sequence[Flow]) -> list[Seen | None]:
        """The flows that packets belong to. Never raises, and never waits.

        Args:
            wanted: What each packet carries, with ports: outside or inside of a translation, there or back. So many
                that the answers have room in a socket: a hundred, say.

        Returns:
            One for each; None when there is no such flow, or conntrack does not tell.
        """
        try:
            # Conntrack finds an entry by what the packets of either direction carry before they are translated.
            said = self._ask_all(wanted)
            missing = [number for number, each in enumerate(said) if each is None]
            for number, each in zip(missing, self._ask_all([_back(wanted[at]) for at in missing]), strict=True):
                said[number] = each
            return [None if each is None else _seen(each, flow) for each, flow in zip(said, wanted, strict=True)]
        except (ValueError, RealmGatewayError):
            self._give_up()
        return [None] if len(wanted) == 1 else [seen for flow in wanted for seen in self.find((flow,))]

    def end(self, some: Sequence[Seen]) -> list[bool]:
        """Ends flows, a hundred at most. Never raises, and never waits.

        Returns:
            Of each whether it was there still.
        """
        sequence = self._next()
        try:
            orders = [flows.deletion(sequence, flows.entry(each.said)) for each in some]
            return [not error for error in codec.acknowledged(self._channel(), orders, "the end of flows")]
        except RealmGatewayError:
            self._give_up()
        return [False] * len(some)

    def close(self) -> None:
        """Let go of all sockets; the next question opens others."""
        self.answers.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _end(self, said: Message) -> bool:
        try:
            return self._exchange(flows.deletion(self._next(), flows.entry(said))) is not None
        except RealmGatewayError:
            self._give_up()
            return False

    def _ask_all(self, wanted: Iterable[Flow]) -> list[Message | None]:
        sequence = self._next()
        questions = [flows.question(sequence, *flow) for flow in wanted]
        return codec.ask_all(self._channel(), questions, "flows") if questions else []

    def _ask(self, flow: Flow) -> Message | None:
        return self._exchange(flows.question(self._next(), *flow))

    def _next(self) -> int:
        self._sequence = self._sequence + 1 & 0xFFFF_FFFF
        return self._sequence

    def _exchange(self, request: bytes) -> Message | None:
        """What conntrack answers; None if there is no such flow."""
        try:
            return codec.ask(self._channel(), request, "a flow")
        except RefusedError as error:
            if error.number == codec.ENOENT:
                return None
            raise

    def _channel(self) -> Listening:
        if self._netlink is None:
            self._netlink = self._open(timeout=0.0)
        return self._netlink

    def _give_up(self) -> None:
        self.unasked += 1
        self._let_go()  # what may still come is not read as the answer to the next question

    def _timeout(self, *, assured: bool) -> int:
        """After how many seconds conntrack forgets a flow of UDP; the operator may change it at any time."""
        now = self._monotonic()
        if now >= self._timeouts_until:
            self._timeouts = self._sysctl("udp_timeout"), self._sysctl("udp_timeout_stream")
            self._timeouts_until = now + _TIMEOUTS_KNOWN
        return self._timeouts[assured]

    def tells_of_ends(self) -> bool:
        """Whether conntrack tells of flows that end (net.netfilter.nf_conntrack_events), as far as can be seen."""
        try:
            return self._sysctl("events") > 0
        except (OSError, ValueError):
            return True

    def _sysctl(self, name: str) -> int:
        return int((self._sysctls / f"nf_conntrack_{name}").read_text())


def _back(flow: Flow) -> Flow:
    """What an answer to a packet carries."""
    source, destination, protocol, sport, dport = flow
    return destination, source, protocol, dport, sport


def _seen(said: Message, flow: Flow) -> Seen:
    found = tracked(said)
    return Seen(found, found.assured and flow[2] in HANDSHAKES, said)

"""A record: an end of conntrack's seen from the host, with the names that go with it. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from realmgw.config.protocols import NAMES
from realmgw.config.quoting import trace_id
from realmgw.datapath.netlink.accounted import SEEN_REPLY, Ended
from realmgw.records.known import Known, Subscriber

SECOND = 1_000_000_000  # nanoseconds
INWARD, OUTWARD = "in", "out"
REMEMBERED = 1 << 16
"""Of so many addresses it is remembered how they are written."""


class Record(NamedTuple):
    """A line of the file. Inside is where the host is."""

    event: str
    """What has happened: `ends`; `lasts`: it goes on; or `gone`: its end was lost, and it is not there any more."""
    at: float
    """When, in seconds since 1970; of one that is gone, when that was found out."""
    start: float | None
    """When the flow began; None: conntrack did not note it."""
    direction: str
    """`in`: a client came; `out`: the host began it."""
    protocol: str
    """Its name, or its number."""
    host: str | None
    """Whose flow it was; None: of nobody that is a subscriber."""
    groups: tuple[str, ...]
    """The groups of subscribers that he is of."""
    name: str | None
    """The name by which the client was told where to come; None: he was told none, or it is not known any more."""
    address: str
    """The host's."""
    port: int
    """The host's; 0: the protocol has none."""
    via: str | None
    """The public address in its place; None: there was none."""
    via_port: int | None
    """Likewise."""
    client: str
    """Who was at the other end."""
    client_port: int
    """Likewise."""
    answered: bool
    """Packets were seen in both directions."""
    packets_in: int | None
    """Towards the host; None: conntrack has not counted."""
    octets_in: int | None
    """Likewise, from the network header on."""
    packets_out: int | None
    """From the host."""
    octets_out: int | None
    """Likewise."""
    trace_id: str | None
    """Of the answer that brought it, as `realmgw log` has it; None: there was none, or it is not known."""

    @property
    def amounts(self) -> tuple[int | None, ...]:
        """Packets and octets in, and out."""
        return self.packets_in, self.octets_in, self.packets_out, self.octets_out

    def since(self, before: Record | None) -> tuple[int, ...]:
        """`amounts` since another record of the same flow; what conntrack has not counted is 0.

        Where one is less than before, somebody has had conntrack begin anew (`conntrack -L -z`): it is all since then.
        """
        now = [each or 0 for each in self.amounts]
        former = [0] * len(now) if before is None else [each or 0 for each in before.amounts]
        return tuple(a - b if a >= b else a for a, b in zip(now, former, strict=True))

    def line(self) -> bytes:
        """As it is written."""
        return _encode(self._asdict()).encode() + b"\n"


_encode: Callable[[object], str] = json.JSONEncoder(separators=(",", ":")).encode


def record(end: Ended, known: Known, now: float, event: str = "ends") -> Record | None:
    """What is written of an end; None: it is no host's, or what a host said to the gateway itself.

    Args:
        end: It.
        known: Whose addresses are whose.
        now: The present, in seconds since 1970, for an end that does not say when it was.
        event: What has happened.
    """
    is_inward = known.is_inside(end.answers_source)
    if not (is_inward or (known.is_inside(end.source) and not known.is_own(end.answers_source))):
        return None
    start = None if end.began is None else end.began / SECOND
    there, back = (end.packets, end.octets), (end.answers_packets, end.answers_octets)
    if is_inward:
        inside, via = (end.answers_source, end.answers_sport), (end.destination, end.dport)
        outside = end.source, end.sport
    else:
        inside, via = (end.source, end.sport), (end.answers_destination, end.answers_dport)
        outside, there, back = (end.destination, end.dport), back, there
    subscriber = known.subscriber(inside[0], start) or NOBODY
    is_translated = via != inside
    name, number = known.opened.get(end[:5], UNKNOWN) if is_inward else UNKNOWN
    at = now if end.stopped is None else end.stopped / SECOND
    return Record(
        event, round(at, 3), None if start is None else round(start, 3), INWARD if is_inward else OUTWARD,
        NAMES.get(end.protocol) or str(end.protocol), subscriber.name, subscriber.groups,
        name, shown(inside[0]), inside[1],
        shown(via[0]) if is_translated else None, via[1] if is_translated else None,
        shown(outside[0]), outside[1], bool(end.status & SEEN_REPLY), *there, *back, trace_id(number),
    )  # fmt: skip


NOBODY = Subscriber(None, ())
UNKNOWN: tuple[str | None, int] = (None, 0)


@lru_cache(REMEMBERED)
def shown(packed: bytes) -> str:
    """A packed address for humans."""
    return str(ip_address(packed))

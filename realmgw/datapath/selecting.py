"""Flows that somebody wants to see, or to end, out of all that conntrack has: in steps, and at most so many are kept.

Conntrack may have a million of them. The kernel gives them in small portions, each within the call, so that nobody
waits; between two portions others have their turn. Edge: netlink.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Generic, Protocol, TypeVar

import attrs

from realmgw.config.steps import Steps
from realmgw.datapath.ending import end
from realmgw.datapath.netlink import codec, flows, tracked
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.codec import Channel, Message
from realmgw.datapath.netlink.tracked import Glance, Tracked

T = TypeVar("T")

TURN = 64
"""So many entries are looked at, or ended, between two steps."""
MOST_ENDED = 100_000
"""More flows are not ended at once."""


class Asked(Channel, Protocol):
    """A socket to conntrack."""

    def close(self) -> None:
        """Give it back."""


@attrs.define
class Found(Generic[T]):
    """What was found."""

    kept: list[T] = attrs.Factory(list)
    """As many as were wanted at most, in no order."""
    total: int = 0
    """How many there are."""
    seen: int = 0
    """How many entries conntrack has in all."""


def listed(
    wanted: Callable[[Glance], object], most: int, open_channel: Callable[..., Asked] = open_socket
) -> Steps[Found[Tracked]]:
    """Lists flows.

    Args:
        wanted: Whether one is meant.
        most: So many are kept, the others counted.
        open_channel: Opens a socket to conntrack.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    with closing(open_channel(timeout=0.0)) as channel:
        return (yield from _found(channel, wanted, most, tracked.tracked))


def ended(wanted: Callable[[Glance], object], open_channel: Callable[..., Asked] = open_socket) -> Steps[Found[bool]]:
    """Ends flows, in both directions: `MOST_ENDED` at most.

    Args:
        wanted: Whether one is meant.
        open_channel: Opens a socket to conntrack.

    Returns:
        Of each that was to be ended, whether it was there still; `total` is how many there were.

    Raises:
        RealmGatewayError: The kernel refused; some may have been ended.
    """
    with closing(open_channel(timeout=0.0)) as channel:
        found = yield from _found(channel, wanted, MOST_ENDED, flows.entry)
        done = Found[bool](total=found.total, seen=found.seen)
        for count, flow in enumerate(found.kept, 1):
            done.kept.append(end(channel, count + len(_FAMILIES), flow))
            if not count % TURN:
                yield None
        return done


_FAMILIES = (tracked.AF_INET, tracked.AF_INET6)


def _found(
    channel: Channel, wanted: Callable[[Glance], object], most: int, make: Callable[[Message], T]
) -> Steps[Found[T]]:
    found = Found[T]()
    for sequence, family in enumerate(_FAMILIES, 1):
        for each in codec.dump(channel, flows.listing(sequence, family), "flows"):
            found.seen += 1
            if wanted(tracked.glance(each.body)):
                found.total += 1
                if len(found.kept) < most:
                    found.kept.append(make(each))
            if not found.seen % TURN:
                yield None
    return found

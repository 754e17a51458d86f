"""Flows that somebody wants to see, or to end, out of all that conntrack has: in steps, and at most so many are kept.

Conntrack may have a million of them, in a table of a million places. The kernel gives them in portions, and may go
through all of the table for one: it is waited for elsewhere. What it gives is looked at a few entries at a time.

Edge: netlink.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Generic, Protocol, TypeVar

import attrs

from realmgw.config.steps import Blocking, Steps
from realmgw.datapath.ending import end
from realmgw.datapath.netlink import codec, flows, tracked
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.codec import Channel, Message
from realmgw.datapath.netlink.tracked import Glance, Tracked
from realmgw.errors import RealmGatewayError

T = TypeVar("T")

TURN = 64
"""So many entries are looked at, or ended, between two steps."""
MOST_ENDED = 100_000
"""More flows are not ended at once."""
_LISTING, _ANY_FAMILY, _WHERE = 1, 0, "conntrack"


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
            done.kept.append(end(channel, count + _LISTING, flow))
            if not count % TURN:
                yield None
        return done


class _Ahead(Channel):
    """What a channel has given before it is wanted."""

    def __init__(self) -> None:
        self._reads = deque[bytes]()
        self._is_over = False

    @property
    def is_wanted(self) -> bool:
        """Whether the channel is to be read."""
        return not (self._reads or self._is_over)

    def take(self, received: bytes) -> None:
        """The channel has given this; nothing: there is no more."""
        self._is_over = not received
        if received:
            self._reads.append(received)

    def send(self, data: bytes, /) -> int:
        return len(data)  # it was sent

    def recv(self, size: int, /) -> bytes:
        del size
        if not self._reads:
            raise TimeoutError("there is no more")
        return self._reads.popleft()


def _found(
    channel: Channel, wanted: Callable[[Glance], object], most: int, make: Callable[[Message], T]
) -> Steps[Found[T]]:
    """What is listed, of all families."""
    found, ahead, request = Found[T](), _Ahead(), flows.listing(_LISTING, _ANY_FAMILY)
    listing = codec.dump(ahead, request, "flows")
    try:
        yield Blocking(_WHERE, partial(channel.send, request))
        while True:
            if ahead.is_wanted:
                ahead.take((yield Blocking(_WHERE, partial(codec.portion, channel))))
            each = next(listing, None)
            if each is None:
                return found
            found.seen += 1
            if wanted(tracked.glance(each.body)):
                found.total += 1
                if len(found.kept) < most:
                    found.kept.append(make(each))
            if not found.seen % TURN:
                yield None
    except OSError as error:
        raise RealmGatewayError(f"netlink: the kernel does not tell of flows: {error}") from error

"""The end of flows, found in a listing of all that conntrack has, deleted many at once. It blocks.

Edge: netlink.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import islice

import attrs

from realmgw.config.settings import Network
from realmgw.datapath.netlink import codec, flows
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.codec import Channel, RefusedError
from realmgw.datapath.netlink.unhurried import Unhurried

AT_ONCE = 64
"""So many flows are ended by one call; the kernel's answers have room in any socket."""


def always() -> bool:
    """Somebody waits."""
    return True


def end_flows(
    gone: Iterable[bytes],
    came: Iterable[bytes] = (),
    ends: Collection[bytes] = (),
    is_awaited: Callable[[], bool] = always,
) -> int:
    """End every flow of private addresses, in both directions; of others, what was sent elsewhere than meant.

    Args:
        gone: The former, packed.
        came: The others, packed.
        ends: Where such flows were sent to, packed.
        is_awaited: Whether somebody waits for the end at this moment; it is asked again and again, see `Unhurried`.

    Returns:
        How many were ended; all of conntrack was gone through once.

    Raises:
        RealmGatewayError: The kernel refused; some may have been ended.
    """
    over, others = frozenset(gone), frozenset(came if ends else ())

    def is_meant(flow: flows.Entry) -> bool:
        if not over.isdisjoint(flow.sources):
            return True
        is_redirected = not others.isdisjoint(flow.sources) and not flow.sources.isdisjoint(ends)
        return is_redirected and flow.destination not in flow.sources

    return _end_all(flows.sources(over | others), flows.families(over | others), is_meant, is_awaited)


def end_flows_to(networks: Collection[Network]) -> int:
    """End every flow, of whomever, that has an address of these prefixes as its destination in either direction.

    Returns:
        How many were ended.

    Raises:
        RealmGatewayError: The kernel refused; some may have been ended.
    """
    if not networks:
        return 0
    families = flows.families(network.network_address.packed for network in networks)
    return _end_all(flows.destinations(networks), families, lambda _: True)


def _end_all(
    pattern: re.Pattern[bytes],
    families: Collection[int],
    wanted: Callable[[flows.Entry], bool],
    is_awaited: Callable[[], bool] = always,
) -> int:
    with open_socket() as channel, open_socket() as ending:
        return end_all(Unhurried(channel, is_awaited), ending, pattern, families, wanted)


def end_all(
    channel: Channel,
    ending: Channel,
    pattern: re.Pattern[bytes],
    families: Collection[int],
    wanted: Callable[[flows.Entry], bool],
) -> int:
    """End flows, while they are listed: of however many there are, a few are held in memory.

    Args:
        channel: To conntrack, for the listing.
        ending: Another one, for the rest.
        pattern: What is found in a listing where a flow may be meant.
        families: Which flows are listed.
        wanted: Whether one is meant.

    Returns:
        How many were ended.

    Raises:
        RealmGatewayError: The kernel refused some, as older ones do while a flowtable has them; all others were ended.
            Or it did not answer; some may have been ended.
    """
    over = Over(ending)
    for sequence, family in enumerate(families, 1):
        codec.undisturbed(partial(_end_listed, channel, flows.listing(sequence, family), pattern, wanted, over))
    if over.refusal:
        raise RefusedError("the end of flows", over.refusal)
    return over.count


@attrs.define
class Over:
    """Flows that are ended."""

    _channel: Channel
    """To conntrack."""
    count: int = 0
    """How many were."""
    refusal: int = 0
    """The error number of the first one that was not."""
    _sequence: int = 0

    def end(self, some: Collection[flows.Entry]) -> None:
        """End some, `AT_ONCE` at most; those that have gone are no fault. Raises as `end_all`, but for refusals."""
        self._sequence += 1
        orders = [flows.deletion(self._sequence, each) for each in some]
        errors = codec.acknowledged(self._channel, orders, "the end of flows")
        self.count += errors.count(0)
        self.refusal = self.refusal or next((each for each in errors if each not in (0, codec.ENOENT)), 0)


def _end_listed(
    channel: Channel,
    request: bytes,
    pattern: re.Pattern[bytes],
    wanted: Callable[[flows.Entry], bool],
    over: Over,
) -> None:
    meant = filter(wanted, flows.listed(codec.dump(channel, request, "flows", wanted=pattern), pattern))
    while some := list(islice(meant, AT_ONCE)):
        over.end(some)


def end(channel: Channel, sequence: int, flow: flows.Entry) -> bool:
    """End a flow.

    Args:
        channel: To conntrack.
        sequence: What the answer shall carry.
        flow: It.

    Returns:
        Whether it was still there.

    Raises:
        RealmGatewayError: The kernel refused.
    """
    try:
        codec.ask(channel, flows.deletion(sequence, flow), "the end of a flow")
    except RefusedError as error:
        if error.number != codec.ENOENT:
            raise
        return False
    return True

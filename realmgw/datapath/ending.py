"""The end of flows, found in a listing of all that conntrack has, deleted many at once. It blocks.

Edge: netlink, the clock, sleep.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial

import attrs

from realmgw.config.settings import Network
from realmgw.datapath.netlink import codec, flows
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.codec import Channel, RefusedError

AT_ONCE = 64
"""So many flows are ended by one call; the kernel's answers have room in any socket."""
READS = 16
"""After so many reads of a listing (of 32 kB each) others have their turn, where nobody waits for its end."""
REST = 2
"""So many times as long as those took: a listing that nobody waits for has a third of a processor at most."""


def always() -> bool:
    """Somebody waits."""
    return True


@attrs.define
class Unhurried:
    """A channel to conntrack, by which a listing leaves the processor to those who need it now.

    Some ten thousand flows are a tenth of a second of it, in the kernel and here.
    """

    _channel: Channel
    """It."""
    _is_awaited: Callable[[], bool]
    """Whether somebody waits for the end at this moment, so that it makes haste."""
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
    with open_socket() as channel:
        return end_all(Unhurried(channel, is_awaited), pattern, families, wanted)


def end_all(
    channel: Channel, pattern: re.Pattern[bytes], families: Collection[int], wanted: Callable[[flows.Entry], bool]
) -> int:
    """End flows.

    Args:
        channel: To conntrack.
        pattern: What is found in a listing where a flow may be meant.
        families: Which flows are listed.
        wanted: Whether one is meant.

    Returns:
        How many were ended.

    Raises:
        RealmGatewayError: The kernel refused some, as older ones do while a flowtable has them; all others were ended.
            Or it did not answer; some may have been ended.
    """
    found: list[flows.Entry] = []
    for sequence, family in enumerate(families, 1):
        found += codec.undisturbed(partial(_listed, channel, flows.listing(sequence, family), pattern))
    meant = [flow for flow in found if wanted(flow)]
    ended, refused = 0, 0
    for sequence, start in enumerate(range(0, len(meant), AT_ONCE), len(families) + 1):
        some = [flows.deletion(sequence, each) for each in meant[start : start + AT_ONCE]]
        errors = codec.acknowledged(channel, some, "the end of flows")
        ended += errors.count(0)
        refused = refused or next((each for each in errors if each not in (0, codec.ENOENT)), 0)
    if refused:
        raise RefusedError("the end of flows", refused)
    return ended


def _listed(channel: Channel, request: bytes, pattern: re.Pattern[bytes]) -> list[flows.Entry]:
    return list(flows.listed(codec.dump(channel, request, "flows", wanted=pattern), pattern))


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

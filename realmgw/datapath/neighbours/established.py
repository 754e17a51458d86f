"""Which addresses conntrack has flows to, whoever has admitted them. It blocks. Edge: netlink."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from realmgw.config.settings import Network
from realmgw.datapath.netlink import codec, flows
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.codec import Channel
from realmgw.datapath.netlink.unhurried import Unhurried

MOST = 131_072
"""So many addresses are found at most."""


def established(networks: Collection[Network], is_awaited: Callable[[], bool]) -> frozenset[bytes]:
    """Addresses of these prefixes, packed, that a flow was sent to before translation; at most `MOST`.

    Args:
        networks: They.
        is_awaited: Whether somebody waits at this moment; see `Unhurried`.

    Raises:
        RealmGatewayError: The kernel does not tell, or it was given up.
    """
    if not networks:
        return frozenset()
    with open_socket() as channel:
        return codec.undisturbed(partial(found, Unhurried(channel, is_awaited), networks))


def found(channel: Channel, networks: Collection[Network], most: int = MOST) -> frozenset[bytes]:
    """The same, by a channel to conntrack, and at most so many.

    Raises:
        InterruptedDumpError: Something changed meanwhile.
        RealmGatewayError: The kernel does not tell.
    """
    pattern, there = flows.destinations(networks), set[bytes]()
    is_ours = of_any(networks)
    for sequence, family in enumerate(flows.families(each.network_address.packed for each in networks), 1):
        listing = codec.dump(channel, flows.listing(sequence, family), "flows", wanted=pattern)
        for destination in flows.sent_to(listing, pattern):
            if len(there) < most and is_ours(destination):
                there.add(destination)
    return frozenset(there)


def of_any(networks: Collection[Network]) -> Callable[[bytes], bool]:
    """What tells whether a packed address is of one of these prefixes. Cheap."""
    parts = [(each.max_prefixlen // 8, int(each.netmask), int(each.network_address)) for each in networks]

    def is_of_one(address: bytes) -> bool:
        length, number = len(address), int.from_bytes(address, "big")
        return any(length == octets and number & mask == first for octets, mask, first in parts)

    return is_of_one

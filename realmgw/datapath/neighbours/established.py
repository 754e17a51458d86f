"""Which addresses conntrack has flows to, whoever has admitted them. It blocks. Edge: netlink."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from realmgw.config.settings import Network
from realmgw.datapath.netlink import codec, flows
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.codec import Channel

MOST = 131_072
"""So many addresses are found at most."""


def established(networks: Collection[Network]) -> frozenset[bytes]:
    """Addresses of these prefixes, packed, that a flow was sent to before translation; at most `MOST`.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    if not networks:
        return frozenset()
    with open_socket() as channel:
        return codec.undisturbed(partial(found, channel, networks))


def found(channel: Channel, networks: Collection[Network], most: int = MOST) -> frozenset[bytes]:
    """The same, by a channel to conntrack, and at most so many.

    Raises:
        InterruptedDumpError: Something changed meanwhile.
        RealmGatewayError: The kernel does not tell.
    """
    pattern, there = flows.destinations(networks), set[bytes]()
    for sequence, family in enumerate(flows.families(each.network_address.packed for each in networks), 1):
        listing = codec.dump(channel, flows.listing(sequence, family), "flows")
        for each in flows.listed(listing, pattern):
            if len(there) < most and any(_is_within(each.destination, network) for network in networks):
                there.add(each.destination)
    return frozenset(there)


def _is_within(address: bytes, network: Network) -> bool:
    mask, number = int(network.netmask), int.from_bytes(address, "big")
    return len(address) * 8 == network.max_prefixlen and number & mask == int(network.network_address)

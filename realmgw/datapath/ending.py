"""The end of flows: found in a listing of all that conntrack has, and deleted one by one. It blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv4Network

from realmgw.datapath import client, flows
from realmgw.datapath.markrule import Channel
from realmgw.errors import RealmGatewayError

_READ_SIZE = 65536  # octets


def end_flows(addresses: Iterable[bytes]) -> int:
    """End every flow of these private addresses, in both directions.

    Args:
        addresses: Packed.

    Returns:
        How many were ended.

    Raises:
        RealmGatewayError: The kernel refused; some may have been ended.
    """
    wanted = frozenset(addresses)
    return _end_all(flows.sources(wanted), flows.families(wanted), lambda flow: not wanted.isdisjoint(flow.sources))


def end_flows_to(networks: Collection[IPv4Network]) -> int:
    """End every flow, of whomever, that has an address of these prefixes as its destination in either direction.

    Returns:
        How many were ended.

    Raises:
        RealmGatewayError: The kernel refused; some may have been ended.
    """
    if not networks:
        return 0
    return _end_all(flows.destinations(networks), {flows.AF_INET}, lambda _: True)


def _end_all(pattern: re.Pattern[bytes], families: Collection[int], wanted: Callable[[flows.Flow], bool]) -> int:
    found: list[flows.Flow] = []
    try:
        with client.open_netfilter() as netlink:
            for sequence, family in enumerate(families, 1):
                netlink.send(flows.listing(sequence, family))
                while not flows.parse(netlink.recv(_READ_SIZE), sequence, pattern, found):
                    pass
            return sum(_end(netlink, flow) for flow in found if wanted(flow))
    except OSError as error:
        raise RealmGatewayError(f"netlink: the kernel does not answer about flows ({error})") from error


def _end(netlink: Channel, flow: flows.Flow) -> bool:
    """End a flow; returns whether it was still there."""
    netlink.send(flows.deletion(0, flow))
    for error in flows.acknowledgements(netlink.recv(_READ_SIZE)):
        if error not in (0, flows.ENOENT):
            raise RealmGatewayError(f"netlink: the kernel refused to end a flow (error {error})")
        return error == 0
    raise RealmGatewayError("netlink: the end of a flow was not acknowledged")

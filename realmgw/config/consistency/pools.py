"""Addresses: the pools, prefixes of hosts, and how they are handed out."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from realmgw.config.addresses import NOWHERE, UNIQUE_LOCAL, Inside, overlap, overlapping
from realmgw.config.consistency.found import Found, pieces, twice, values
from realmgw.config.document import Node, Problems, place
from realmgw.config.ipv6 import LONGEST_NPT, Ipv6Mode, Leave6, Outbound6, PrefixMode
from realmgw.config.labels import Label
from realmgw.config.settings import Address, Allocation, NameServer, Network
from realmgw.system.endpoints import Endpoint

MAX_POOL = 2**20
"""How many IPv4 addresses the circular pool may have: a state is kept for each."""


def _pool(problems: Problems) -> Found[None]:
    pool = yield from pieces(problems)
    inside, size = Inside(), 0
    for index, (network, node) in enumerate(pool):
        inside.add(index, network)
        size += network.num_addresses if network.version == 4 else 0
        is_nowhere = any(overlap(network, nowhere) for nowhere in NOWHERE)
        yield (node, f"{network} is of no use outside this machine: write addresses that are") if is_nowhere else None
    for index, first in (yield from overlapping([network for network, _ in pool])):
        (network, node), (other, there) = pool[index], pool[first]
        yield node, f"{network} overlaps {other} of {place(there)}: remove one of them"
    for address, what in (yield from _reserved(problems)).items():
        for network, node in map(pool.__getitem__, inside.having(address)):
            yield node, f"{network} contains {address}, {what}: leave it out of the pool"
        yield None
    yield from twice(problems, Label.SERVICE, object, "{} stands twice in the service pool: remove one".format)
    if size > MAX_POOL:
        yield pool[-1][1], f"the circular pool has {size} IPv4 addresses: write at most {MAX_POOL}"


def _reserved(problems: Problems) -> Found[dict[Address, str]]:
    """The addresses that the gateway needs for itself, with what for."""
    found: dict[Address, str] = {}
    for addresses, _ in values(problems, Label.APEX_ADDRESS, tuple):
        yield found.update(dict.fromkeys(addresses, "the address of a zone"))
    for server, _ in values(problems, Label.NAME_SERVER, NameServer):
        yield found.update(dict.fromkeys(server.addresses, f"the address of {server.name}"))
    for address, _ in problems.remembered.get(Label.SERVICE, ()):
        assert isinstance(address, IPv4Address | IPv6Address)
        yield found.update({address: "an address of the service pool"})
    for label, who in ((Label.LISTEN, "DNS server"), (Label.PORTAL, "portal")):
        for listen, _ in values(problems, label, Endpoint):
            yield found.update({listen.address: f"where the {who} listens"})
    return found


def _allocation(problems: Problems) -> Found[None]:
    linger = next((value for value, _ in values(problems, Label.LINGER, float)), Allocation().linger)
    for loaded, node in values(problems, Label.LINGER_LOADED, float):
        if loaded > linger:
            yield node, f"'linger_loaded' is longer than 'linger': write at most {linger:g}"


def _ipv6(problems: Problems) -> Found[None]:
    prefixes, outsides = list[tuple[Network, Node]](), list[tuple[Network, Node]]()
    given = set[Network]()
    for each, node in values(problems, Label.MODE6, PrefixMode):
        yield (node, f"{each.prefix} stands twice: remove one") if each.prefix in given else None
        given.add(each.prefix)
        prefixes.append((each.prefix, node))
        if each.mode is Ipv6Mode.PINHOLE and overlap(each.prefix, UNIQUE_LOCAL):
            yield node, f"{each.prefix} has addresses that are not public, so nobody reaches them: write 'pool'"
    lans, left = {lan for lan, _ in values(problems, Label.LAN, str)}, set[str]()
    for leaving, node in values(problems, Label.OUTBOUND6, Outbound6):
        if lans and leaving.lan not in lans:
            yield node, f"{leaving.lan} is none of interfaces.lan: write one of them"
        yield (node, f"how {leaving.lan} leaves stands twice: remove one") if leaving.lan in left else None
        left.add(leaving.lan)
        yield from ((node, said) for said in _leaving(leaving))
        prefixes += [(each, node) for each in (leaving.inside, leaving.outside) if each is not None]
        outsides += [(leaving.outside, node)] if leaving.outside and leaving.leave is Leave6.NPTV6 else []
    for prefix, node in prefixes:
        is_nowhere = any(overlap(prefix, nowhere) for nowhere in NOWHERE)
        yield (node, f"{prefix} is of no use outside this machine: write addresses that are") if is_nowhere else None
    yield from _beside_pool(problems, prefixes)
    for index, first in (yield from overlapping([outside for outside, _ in outsides])):
        (outside, node), (other, there) = outsides[index], outsides[first]
        yield node, f"{outside} overlaps {other} of {place(there)}, with which another LAN leaves: write another"


def _beside_pool(problems: Problems, prefixes: list[tuple[Network, Node]]) -> Found[None]:
    """Nobody has addresses of the pool, be it a host or what stands in the place of one."""
    pool = [(network, node) for network, node in (yield from pieces(problems)) if network.version == 6]
    every = [*pool, *prefixes]
    for index, first in (yield from overlapping([network for network, _ in every])):
        (network, node), (other, there) = every[index], every[first]
        if first < len(pool) <= index:
            yield node, f"{network} overlaps {other} of the circular pool, {place(there)}: write another"


def _leaving(leaving: Outbound6) -> Iterator[str]:
    """What is wrong with how a LAN leaves, by itself."""
    inside, outside = leaving.inside, leaving.outside
    if leaving.leave is not Leave6.NPTV6:
        if inside is not None:
            yield f"'inside' is for nptv6, and {leaving.lan} leaves by {leaving.leave.value}: remove it"
        if outside is not None and leaving.leave is not Leave6.NAT66:
            yield f"'outside' is for nptv6 and nat66, and {leaving.lan} leaves by {leaving.leave.value}: remove it"
        return
    if inside is None or outside is None:
        yield "nptv6 needs two prefixes: write both 'inside' and 'outside'"
    elif inside.prefixlen != outside.prefixlen:
        yield f"{inside} and {outside} are not of one length: write two of the same"
    elif inside.prefixlen > LONGEST_NPT:
        yield f"{inside} is too long for nptv6: write a /{LONGEST_NPT} or a shorter one"
    elif overlap(inside, outside):
        yield f"{inside} and {outside} overlap: write two different ones"


PARTS = (_pool, _ipv6, _allocation)
"""Each says what is wrong with its own."""

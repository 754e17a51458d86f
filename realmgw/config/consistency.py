"""What has to be true of several keys together.

The checks compare the values that were remembered while the file was read, so they work as well when other parts of it
are wrong, and note a problem at the value that should be changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path
from typing import TypeVar

from realmgw.config.addresses import NOWHERE, overlap, overlapping
from realmgw.config.document import Node, Problems, place
from realmgw.config.labels import Label
from realmgw.config.names import is_reverse, is_within
from realmgw.config.settings import Address, Allocation, Audit, Challenges, Endpoint, NameServer, Network, PolicyStage

T = TypeVar("T")

MAX_POOL = 2**20
"""How many addresses the circular pool may have: a state is kept for each."""


def check(problems: Problems) -> None:
    """Notes everything that is wrong between keys, from what was remembered of one main file."""
    _check_zones(problems)
    _check_interfaces(problems)
    _check_listen(problems)
    _check_pool(problems)
    _check_allocation(problems)
    _check_policy(problems)
    _check_peers(problems)
    _check_repository(problems)


def _all(problems: Problems, label: Label, kind: type[T]) -> Iterator[tuple[T, Node]]:
    """The remembered values of a label, with their places."""
    for value, node in problems.remembered.get(label, ()):
        assert isinstance(value, kind)
        yield value, node


def _check_zones(problems: Problems) -> None:
    zones = [zone for zone, _ in _all(problems, Label.ZONE, str)]
    if zones and all(map(is_reverse, zones)):
        _, node = next(_all(problems, Label.ZONE, str))
        problems.add(node, "there are only reverse zones: write a forward zone as well")
    glue: dict[str, Address] = {}
    for server, node in _all(problems, Label.NAME_SERVER, NameServer):
        ours = any(is_within(server.name, zone) for zone in zones)
        if ours and server.address is None:
            problems.add(node, f"{server.name} lies within our zones: write its address")
        if server.address is not None and glue.setdefault(server.name, server.address) != server.address:
            problems.add(node, f"{server.name} has the address {glue[server.name]} elsewhere: write the same one")
        if not ours and server.address is not None:  # an address of another zone is not ours to give (RFC 2181 5.4.1)
            problems.add(node, f"{server.name} lies outside our zones: remove its address, or write a name within them")


def _check_interfaces(problems: Problems) -> None:
    for interface, node in _twice(problems, Label.INTERFACE, str):
        problems.add(node, f"the interface {interface} stands twice: write another, each has one side")
    for interface, node in _all(problems, Label.INTERFACE, str):
        if interface == "lo":
            problems.add(node, "lo leads nowhere but to this machine itself: write the interface that leads there")


def _check_listen(problems: Problems) -> None:
    for listen, node in _twice(problems, Label.LISTEN, Endpoint):
        problems.add(node, f"{listen.address} port {listen.port} stands twice: remove one")


def _twice(problems: Problems, label: Label, kind: type[T]) -> Iterator[tuple[T, Node]]:
    """The remembered values that stood before already, with their later places."""
    seen = set()
    for value, node in _all(problems, label, kind):
        if value in seen:
            yield value, node
        seen.add(value)


def _check_pool(problems: Problems) -> None:
    pool = [(network, node) for networks, node in _all(problems, Label.POOL, tuple) for network in networks]
    reserved = dict(_reserved(problems))
    others = dict(overlapping(network for network, _ in pool))
    for index, (network, node) in enumerate(pool):
        if index in others:
            other = pool[others[index]]
            problems.add(node, f"{network} overlaps {other[0]} of {place(other[1])}: remove one of them")
        if any(overlap(network, nowhere) for nowhere in NOWHERE):
            problems.add(node, f"{network} is of no use outside this machine: write public addresses")
        for address, what in reserved.items():
            if address in network:
                problems.add(node, f"{network} contains {address}, {what}: leave it out of the pool")
    for address, node in _twice(problems, Label.SERVICE, IPv4Address):
        problems.add(node, f"{address} stands twice in the service pool: remove one")
    size = sum(network.num_addresses for network, _ in pool)
    if size > MAX_POOL:
        problems.add(pool[-1][1], f"the circular pool has {size} addresses: write at most {MAX_POOL}")


def _reserved(problems: Problems) -> Iterator[tuple[Address, str]]:
    """The addresses that the gateway needs for itself, with what for."""
    for address, _ in _all(problems, Label.APEX_ADDRESS, IPv4Address):
        yield address, "the address of a zone"
    for server, _ in _all(problems, Label.NAME_SERVER, NameServer):
        if server.address is not None:
            yield server.address, f"the address of {server.name}"
    for address, _ in _all(problems, Label.SERVICE, IPv4Address):
        yield address, "an address of the service pool"
    for listen, _ in _all(problems, Label.LISTEN, Endpoint):
        yield listen.address, "where the DNS server listens"


def _check_allocation(problems: Problems) -> None:
    linger = next((value for value, _ in _all(problems, Label.LINGER, float)), Allocation().linger)
    for loaded, node in _all(problems, Label.LINGER_LOADED, float):
        if loaded > linger:
            problems.add(node, f"'linger_loaded' is longer than 'linger': write at most {linger:g}")


def _check_policy(problems: Problems) -> None:
    for stage, node in _twice(problems, Label.STAGE, PolicyStage):
        problems.add(node, f"the stage {stage.value} stands twice: remove one")
    for rule, node in _twice(problems, Label.AUDIT, Audit):
        problems.add(node, f"{rule.value!r} stands twice: remove one")
    resolvers = list(_networks(problems))
    for index, first in overlapping(network for network, _ in resolvers):
        (network, node), (_, other) = resolvers[index], resolvers[first]
        problems.add(node, f"{network} belongs to a group already, at {place(other)}: remove one of them")
    has_aliases = any(value for value, _ in _all(problems, Label.ALIAS_ZONE, bool))
    for challenges, node in _all(problems, Label.CHALLENGES, Challenges):
        needing = [word for word in ("tcpcname", "cname") if getattr(challenges, word)]
        if needing and not has_aliases:
            problems.add(
                node,
                f"{needing[0]!r} gives one-time aliases, and there is no zone for them: add a zone with"
                " 'aliases: true', or use 'tcp'",
            )


def _networks(problems: Problems) -> Iterator[tuple[Network, Node]]:
    for value, node in problems.remembered.get(Label.RESOLVER, ()):
        assert isinstance(value, IPv4Network | IPv6Network)
        yield value, node


def _check_peers(problems: Problems) -> None:
    ours = {listen for listen, _ in _all(problems, Label.LISTEN, Endpoint)}
    pool = [network for networks, _ in _all(problems, Label.POOL, tuple) for network in networks]
    for peer, node in _all(problems, Label.PEER, Endpoint):
        if peer in ours:
            problems.add(node, f"{peer.address} port {peer.port} is the gateway itself: write another server's")
        if any(peer.address in network for network in pool):
            problems.add(node, f"{peer.address} is an address of the circular pool: write another server's")


def _check_repository(problems: Problems) -> None:
    url = next((value for value, _ in _all(problems, Label.URL, str)), None)
    for label, word in ((Label.TOKEN_FILE, "token_file"), (Label.CA_FILE, "ca_file")):
        for _, node in _all(problems, label, Path):
            if url is None:
                problems.add(node, f"{word!r} is of no use without 'url': write the repository's 'url', or remove it")
    for _, node in _all(problems, Label.CA_FILE, Path):
        if url is not None and url.startswith("http:"):
            problems.add(node, "'ca_file' is of no use with http: write https in 'url', or remove it")

"""The subscriber file's schema: a mapping from hosts to what they are and how they can be reached, in two styles.

The established style, with keys in capitals or not::

    test.gwa.demo.:
        ID: {FQDN: [test.gwa.demo.], IPV4: [192.168.0.100], MSISDN: ['358145000100']}
        GROUP: [IPS_GROUP_PREPAID3]
        CIRCULARPOOL: [{max: 3}]
        SFQDN:
            - {fqdn: test.gwa.demo., proxy_required: false}
            - {fqdn: ssh.test.gwa.demo., protocol: 6, port: 22}
        FIREWALL: {...}             # not read here

and the plain style, where a host without `services` is reached by its own name::

    test.gwa.demo:
      address: 192.168.0.100
      max_claims: 3
      groups: [prepaid]
      services:
        test.gwa.demo:
        ssh.test.gwa.demo: {protocol: tcp, port: 22}
"""

from __future__ import annotations

import enum
from functools import partial
from ipaddress import IPv4Address
from typing import Any

import attrs

from realmgw.config.addresses import ipv4
from realmgw.config.document import Mapping, Node, Problems, Sequence
from realmgw.config.kinds import (
    Key,
    Section,
    boolean,
    integer,
    is_null,
    name,
    number,
    parsed,
    remembered,
    scalar,
    sequence,
    shape,
    table,
)
from realmgw.subscribers.model import Service

DEFAULT_MAX_CLAIMS = 100
"""How many claims may be pending on a host whose file says nothing."""
PROTOCOLS = {"any": 0, "icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}
"""Protocols that have a name here; every other one is written as its number."""


class Label(enum.Enum):
    """What values are remembered as, for the checks between subscribers. In brackets: their type."""

    HOST = enum.auto()
    """A host's name (str)."""
    ADDRESS = enum.auto()
    """A host's address (IPv4Address)."""
    SERVICE = enum.auto()
    """A service's name (str)."""


@attrs.frozen(eq=False)
class Entry:
    """A subscriber as it is written."""

    name: str
    """Absolute and lower case; empty if the value does not say it, then it is its key."""
    address: IPv4Address
    """Its private address."""
    services: tuple[partial[Service], ...] | None
    """Its services, each without its host; None if the value does not say."""
    groups: tuple[str, ...]
    """Names of groups."""
    max_claims: int
    """As in `model.Host`."""


def entries(root: Node, problems: Problems) -> list[Entry]:
    """The subscribers of a file, without those that a problem was noted of."""
    if is_null(root):
        return []
    if not isinstance(root, Mapping):
        problems.add(root, f"{shape(root)} stands here: write a mapping, one key for each host")
        return []
    found = (_entry(key, value, problems) for key, value in root.pairs.values())
    return [entry for entry in found if entry is not None]


def _entry(key: Node, value: Node, problems: Problems) -> Entry | None:
    key_name = name(key, problems)
    entry = (_ESTABLISHED if _is_established(value) else _PLAIN)(value, problems)
    if entry is None or key_name is None:
        return None
    host = entry.name or key_name
    problems.remember(Label.HOST, host, key)
    services = entry.services
    if services is None:
        problems.remember(Label.SERVICE, host, key)
        services = (partial(Service, name=host),)
    return Entry(host, entry.address, services, entry.groups, entry.max_claims)


def _is_established(node: Node) -> bool:
    return isinstance(node, Mapping) and any(word.lower() in ("id", "sfqdn") for word in node.pairs)


def _protocol(node: Node, problems: Problems) -> int | None:
    """A protocol by number or by name."""
    text = scalar(node, problems)
    if text is None:
        return None
    if text.lower() in PROTOCOLS:
        return PROTOCOLS[text.lower()]
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 255):
        problems.add(node, f"{text!r} is no protocol: write a number from 0 to 255, or {', '.join(PROTOCOLS)}")
        return None
    return int(text)


def _anything(_node: Node, _problems: Problems) -> None:
    """What belongs to another room, or to nobody: it is not looked at, and has no value."""


def _service(node: Node, problems: Problems) -> partial[Service] | None:
    """A service of the plain style; with nothing after its name: every protocol and port."""
    return _with_ports(node, _SERVICE(node, problems), problems)


def _sfqdn(node: Node, problems: Problems) -> partial[Service] | None:
    """A service of the established style."""
    return _with_ports(node, _SFQDN(node, problems), problems)


def _with_ports(node: Node, service: partial[Service] | None, problems: Problems) -> partial[Service] | None:
    if service is not None and service.keywords.get("protocol") == PROTOCOLS["icmp"] and service.keywords.get("port"):
        problems.add(node, "ICMP has no ports: remove the port, or write another protocol")
        return None
    return service


def _circular_pool(node: Node, problems: Problems) -> int | None:
    """`{max: n}`, alone or as the only item of a list."""
    if not isinstance(node, Sequence):
        return _CIRCULAR_POOL(node, problems)
    if len(node.items) != 1:
        problems.add(node, f"the list has {len(node.items)} items: write a single one, [{{max: 3}}]")
        return None
    return _CIRCULAR_POOL(node.items[0], problems)


def _single_address(node: Node, problems: Problems) -> IPv4Address | None:
    """A list of one address."""
    values = sequence(_address, at_least=1)(node, problems)
    if values is not None and len(values) > 1:
        problems.add(node, "a host has one address: write the one that its flows shall go to")
        return None
    return values[0] if values else None


def _build_service(fqdn: str = "", **fields: Any) -> partial[Service]:
    return partial(Service, name=fqdn, **fields)


def _build_identity(ipv4: IPv4Address, fqdn: tuple[str, ...] = (), **_unread: None) -> tuple[str, IPv4Address]:
    return fqdn[0] if fqdn else "", ipv4


def _build_established(
    id: tuple[str, IPv4Address],  # noqa: A002  # the file's own words, here and below
    group: tuple[str, ...] = (),
    circularpool: int = DEFAULT_MAX_CLAIMS,
    sfqdn: tuple[partial[Service], ...] = (),
    **_unread: None,
) -> Entry:
    """In this style a host without SFQDN is reached by no name."""
    host, address = id
    return Entry(host, address, sfqdn, group, circularpool)


def _build_plain(
    address: IPv4Address,
    max_claims: int = DEFAULT_MAX_CLAIMS,
    groups: tuple[str, ...] = (),
    services: dict[str, partial[Service]] | None = None,
) -> Entry:
    named = None if services is None else tuple(partial(service, name=each) for each, service in services.items())
    return Entry("", address, named, groups, max_claims)


_service_name = remembered(Label.SERVICE, name)
_address = remembered(Label.ADDRESS, parsed(ipv4))
_max_claims = integer(0, 1_000_000)
_groups = sequence(parsed(str))

SERVICE_KEYS: dict[str, Key[object]] = {
    "protocol": Key(_protocol),
    "port": Key(integer(0, 65535)),
    "proxy_required": Key(boolean),
    "carriergrade": Key(boolean),
    "loose_packet": Key(integer(-1, 1_000_000)),
    "autobind": Key(boolean),
    "timeout": Key(number(0.1, 3600.0)),
}
_SERVICE = Section(_build_service, SERVICE_KEYS)
_SFQDN = Section(_build_service, {"fqdn": Key(_service_name, required=True), **SERVICE_KEYS}, any_case=True)
_CIRCULAR_POOL: Section[int] = Section(lambda **given: given["max"], {"max": Key(_max_claims, True)}, any_case=True)
_UNREAD: dict[str, Key[object]] = {word: Key(_anything) for word in ("msisdn", "imsi", "ipv6", "username")}
_ID = Section(
    _build_identity,
    {"fqdn": Key(sequence(name)), "ipv4": Key(_single_address, required=True), **_UNREAD},
    any_case=True,
)
_ESTABLISHED = Section(
    _build_established,
    {
        "id": Key(_ID, required=True),
        "group": Key(_groups),
        "circularpool": Key(_circular_pool),
        "sfqdn": Key(sequence(_sfqdn)),
        "firewall": Key(_anything),
        "carriergrade": Key(_anything),
    },
    any_case=True,
)
_PLAIN = Section(
    _build_plain,
    {
        "address": Key(_address, required=True),
        "max_claims": Key(_max_claims),
        "groups": Key(_groups),
        "services": Key(table(_service_name, _service)),
    },
)

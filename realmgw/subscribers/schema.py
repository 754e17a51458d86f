"""The subscriber file's schema: a mapping from hosts to what they are and how they can be reached, in two styles.

The established style, with keys in capitals or not::

    test.gwa.demo.:
        ID: {FQDN: [test.gwa.demo.], IPV4: [192.168.0.100], MSISDN: ['358145000100']}
        GROUP: [IPS_GROUP_PREPAID3]
        CIRCULARPOOL: [{max: 3}]
        SFQDN:
            - {fqdn: test.gwa.demo., proxy_required: false}
            - {fqdn: ssh.test.gwa.demo., protocol: 6, port: 22}
        CARRIERGRADE: [{ipv4: 192.168.0.101}]
        FIREWALL: {FIREWALL_ADMIN: [...], FIREWALL_USER: [...]}

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
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any

import attrs

from realmgw.config.addresses import host as host_address
from realmgw.config.document import Mapping, Node, Problems, Sequence
from realmgw.config.kinds import (
    Key,
    Section,
    boolean,
    integer,
    is_null,
    matching,
    name,
    number,
    parsed,
    remembered,
    sequence,
    shape,
    table,
)
from realmgw.subscribers import firewall
from realmgw.subscribers.firewall import NO_RULES, Firewall
from realmgw.subscribers.model import ANY, CLAIM_LIFETIME, NO_MORE, Host, Identity, Service
from realmgw.subscribers.protocols import PROTOCOLS, protocol

DEFAULT_MAX_CLAIMS = 100
"""How many claims may be pending on a host whose file says nothing."""
MOST_CLAIMS = 1_000_000
"""The most that a file may say."""


class Label(enum.Enum):
    """What values are remembered as, for the checks between subscribers. In brackets: their type."""

    HOST = enum.auto()
    """A host's name (str)."""
    ADDRESS = enum.auto()
    """A host's address (IPv4Address)."""
    SERVICE = enum.auto()
    """A service's name (str)."""


@attrs.frozen
class Terms:
    """What may be reached by a service, and how; as in `model.Service`. Those that say the same are one object."""

    protocol: int = ANY
    """IP protocol number."""
    port: int = ANY
    """Destination port."""
    proxy_required: bool = False
    """A reverse proxy answers for it."""
    carriergrade: bool = False
    """The host is a realm gateway itself."""
    loose_packet: int = 0
    """How many packets one claim lets in beside the first."""
    autobind: bool = True
    """They come from the first one's sender."""
    timeout: float = CLAIM_LIFETIME  # seconds
    """How long a claim waits."""


@attrs.frozen
class Offer:
    """A service as it is written: without its host."""

    name: str
    """Absolute and lower case."""
    terms: Terms = Terms()
    """What may be reached by it."""

    def at(self, host: Host) -> Service:
        """The service of a host."""
        terms = self.terms
        return Service(
            self.name,
            host,
            terms.protocol,
            terms.port,
            terms.proxy_required,
            terms.carriergrade,
            terms.loose_packet,
            terms.autobind,
            terms.timeout,
        )


@attrs.frozen(eq=False)
class Entry:
    """A subscriber as it is written."""

    name: str
    """Absolute and lower case; empty if the value does not say it, then it is its key."""
    address: IPv4Address
    """Its private address."""
    services: tuple[Offer, ...] | None
    """Its services; None if the value does not say."""
    groups: tuple[str, ...]
    """Names of groups."""
    max_claims: int
    """As in `model.Host`."""
    identity: Identity = NO_MORE
    """What else it is known by."""
    firewall: Firewall = NO_RULES
    """Its rules."""
    carriergrade: tuple[IPv4Address, ...] = ()
    """As in `model.Host`, as addresses."""


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
    entry = (_ESTABLISHED if _is_established(value) else PLAIN)(value, problems)
    if entry is None or key_name is None:
        return None
    host = entry.name or key_name
    problems.remember(Label.HOST, host, key)
    if entry.services is None:
        problems.remember(Label.SERVICE, host, key)
        return attrs.evolve(entry, name=host, services=(Offer(host),))
    return attrs.evolve(entry, name=host)


def _is_established(node: Node) -> bool:
    return isinstance(node, Mapping) and any(word.lower() in ("id", "sfqdn") for word in node.pairs)


def _anything(_node: Node, _problems: Problems) -> None:
    """What belongs to nobody here: it is not looked at, and has no value."""


_terms = lru_cache(4096)(Terms)


def _service(node: Node, problems: Problems) -> Offer | None:
    """A service of the plain style, whose name stands before it; with nothing there: every protocol and port."""
    return _with_ports(node, _SERVICE(node, problems), problems)


def _sfqdn(node: Node, problems: Problems) -> Offer | None:
    """A service of the established style."""
    return _with_ports(node, _SFQDN(node, problems), problems)


def _with_ports(node: Node, offer: Offer | None, problems: Problems) -> Offer | None:
    if offer is not None and offer.terms.protocol == PROTOCOLS["icmp"] and offer.terms.port:
        problems.add(node, "ICMP has no ports: remove the port, or write another protocol")
        return None
    return offer


def _circular_pool(node: Node, problems: Problems) -> int | None:
    """`{max: n}`, alone or as the only item of a list."""
    if not isinstance(node, Sequence):
        return _CIRCULAR_POOL(node, problems)
    if len(node.items) != 1:
        problems.add(node, f"the list has {len(node.items)} items: write a single one, [{{max: 3}}]")
        return None
    return _CIRCULAR_POOL(node.items[0], problems)


def _carriergrade(node: Node, problems: Problems) -> tuple[IPv4Address, ...] | None:
    """A list of `{ipv4: address}`; one of them may stand without its list."""
    return _inner(node, problems) if isinstance(node, Sequence) else _inner(_listed(node), problems)


def _listed(node: Node) -> Sequence:
    return Sequence(node.line, node.column, [node])


def _texts(node: Node, problems: Problems) -> tuple[str, ...] | None:
    """A list of texts, or a single one."""
    return _words(node if isinstance(node, Sequence) else _listed(node), problems)


def _build_service(fqdn: str = "", **terms: Any) -> Offer:
    return Offer(fqdn, _terms(**terms))


def _build_identity(
    ipv4: tuple[IPv4Address, ...], fqdn: tuple[str, ...] = (), msisdn: tuple[str, ...] = (), **_unread: None
) -> tuple[str, IPv4Address, Identity]:
    return fqdn[0] if fqdn else "", ipv4[0], _identity(fqdn[1:], ipv4[1:], msisdn)


def _identity(fqdns: tuple[str, ...], addresses: tuple[IPv4Address, ...], msisdns: tuple[str, ...]) -> Identity:
    if not (fqdns or addresses or msisdns):
        return NO_MORE
    return Identity(fqdns, tuple(address.packed for address in addresses), msisdns)


def _build_established(
    id: tuple[str, IPv4Address, Identity],  # noqa: A002  # the file's own words, here and below
    sfqdn: tuple[Offer, ...] = (),
    circularpool: int = DEFAULT_MAX_CLAIMS,
    group: tuple[str, ...] = (),
    **rest: Any,
) -> Entry:
    """In this style a host without SFQDN is reached by no name."""
    host, address, identity = id
    return Entry(host, address, sfqdn, _shared(group), circularpool, identity, **rest)


@attrs.frozen(eq=False)
class _Plain:
    """A subscriber of the plain style, key by key."""

    address: IPv4Address
    """The address."""
    services: dict[str, Offer] | None = None
    """By their names."""
    max_claims: int = DEFAULT_MAX_CLAIMS
    """As in `Entry`."""
    groups: tuple[str, ...] = ()
    """As in `Entry`."""
    other_names: tuple[str, ...] = ()
    """As in `Identity`."""
    other_addresses: tuple[IPv4Address, ...] = ()
    """As in `Identity`, as addresses."""
    msisdn: tuple[str, ...] = ()
    """As in `Identity`."""
    firewall: Firewall = NO_RULES
    """As in `Entry`."""
    carriergrade: tuple[IPv4Address, ...] = ()
    """As in `Entry`."""


def _build_plain(**written: Any) -> Entry:
    said = _Plain(**written)
    named = said.services
    offers = None if named is None else tuple(attrs.evolve(offer, name=each) for each, offer in named.items())
    identity = _identity(said.other_names, said.other_addresses, said.msisdn)
    return Entry(
        "", said.address, offers, _shared(said.groups), said.max_claims, identity, said.firewall, said.carriergrade
    )


@lru_cache(4096)
def _shared(groups: tuple[str, ...]) -> tuple[str, ...]:
    """Many subscribers are in the same groups: equal tuples become one."""
    return groups


_service_name = remembered(Label.SERVICE, name)
_address = remembered(Label.ADDRESS, parsed(host_address))
_max_claims = integer(0, MOST_CLAIMS)
_groups = sequence(parsed(str))
_words = sequence(matching(r"\+?[0-9]{3,18}", "a telephone number, 3 to 18 digits"))
_CARRIERGRADE: Section[IPv4Address] = Section(
    lambda **given: given["ipv4"], {"ipv4": Key(parsed(host_address), True)}, any_case=True
)
_inner = sequence(_CARRIERGRADE)

SERVICE_KEYS: dict[str, Key[object]] = {
    "protocol": Key(protocol),
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
_UNREAD: dict[str, Key[object]] = {word: Key(_anything) for word in ("imsi", "ipv6", "username")}
_ID = Section(
    _build_identity,
    {
        "fqdn": Key(sequence(name)),
        "ipv4": Key(sequence(_address, at_least=1), required=True),
        "msisdn": Key(_texts),
        **_UNREAD,
    },
    any_case=True,
)
_ESTABLISHED = Section(
    _build_established,
    {
        "id": Key(_ID, required=True),
        "group": Key(_groups),
        "circularpool": Key(_circular_pool),
        "sfqdn": Key(sequence(_sfqdn)),
        "firewall": Key(firewall.ESTABLISHED),
        "carriergrade": Key(_carriergrade),
    },
    any_case=True,
)
PLAIN = Section(
    _build_plain,
    {
        "address": Key(_address, required=True),
        "max_claims": Key(_max_claims),
        "groups": Key(_groups),
        "services": Key(table(_service_name, _service)),
        "other_names": Key(sequence(name)),
        "other_addresses": Key(sequence(_address)),
        "msisdn": Key(_texts),
        "firewall": Key(firewall.PLAIN),
        "carriergrade": Key(sequence(parsed(host_address))),
    },
)
"""The keys of a subscriber in the plain style."""

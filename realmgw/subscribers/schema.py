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

from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any

import attrs

from realmgw.config.addresses import host as host_address
from realmgw.config.document import Mapping, Node, Problems, Scalar, Sequence
from realmgw.config.steps import Steps, finish
from realmgw.config.validators import (
    Key,
    Section,
    boolean,
    integer,
    is_null,
    matching,
    name,
    number,
    parsed,
    sequence,
    shape,
    table,
)
from realmgw.subscribers import firewall
from realmgw.subscribers.entry import Entry as Entry
from realmgw.subscribers.entry import Offer as Offer
from realmgw.subscribers.entry import Terms as Terms
from realmgw.subscribers.firewall import NO_RULES, Firewall
from realmgw.subscribers.model import NO_MORE, Identity
from realmgw.subscribers.protocols import PROTOCOLS, protocol

DEFAULT_MAX_CLAIMS = 100
"""How many claims may be pending on a host whose file says nothing."""
MOST_CLAIMS = 1_000_000
"""The most that a file may say."""
MOST_SERVICES = 5000
"""So many services a host may have: what is done for a host in one go does not hold up packets."""
MOST_VALUES = 4096
"""So many keys and values a host may have beside its services."""
SERVICES_AT_ONCE = 64
"""So many services are read between two steps."""


def entries(root: Node, problems: Problems) -> list[Entry]:
    """The subscribers of a file, without those that a problem was noted of."""
    return finish(reading(root, problems))


def reading(root: Node, problems: Problems) -> Steps[list[Entry]]:
    """What `entries` does, step by step."""
    if is_null(root):
        return []
    if not isinstance(root, Mapping):
        problems.add(root, f"{shape(root)} stands here: write a mapping, one key for each host")
        return []
    found = []
    for key, value in root.pairs.values():
        entry = yield from _entry(key, value, problems)
        if entry is not None:
            found.append(entry)
        yield None
        if problems.are_many(key.line):
            break
    return found


def _entry(key: Node, value: Node, problems: Problems) -> Steps[Entry | None]:
    kind, key_name, offers = _ESTABLISHED if _is_established(value) else PLAIN, name(key, problems), None
    many = _many(value)
    if isinstance(value, Mapping) and many is not None:
        offers = yield from _many_services(value.pairs[many][1], problems)
        rest = {word: pair for word, pair in value.pairs.items() if word != many}
        value = Mapping(value.line, value.column, rest, value.source)
    if _is_large(value):
        problems.add(key, f"this host has more than {MOST_VALUES} keys and values beside its services: too many")
        return None
    entry = kind(value, problems)
    if entry is None or key_name is None:
        return None
    host = entry.name or key_name
    services = entry.services if offers is None else offers
    return attrs.evolve(entry, name=host, services=(Offer(host),) if services is None else services)


def _many(value: Node) -> str | None:
    """The key under which a host has more services than are read in one go."""
    if not isinstance(value, Mapping):
        return None
    wanted: tuple[type, str] = (Sequence, "sfqdn") if _is_established(value) else (Mapping, "services")
    found = [word for word in value.pairs if (word.lower() if wanted[0] is Sequence else word) == wanted[1]]
    if len(found) != 1:
        return None
    node = value.pairs[found[0]][1]
    return found[0] if isinstance(node, wanted[0]) and _length(node) > SERVICES_AT_ONCE else None


def _length(node: Node) -> int:
    return len(node.pairs if isinstance(node, Mapping) else node.items if isinstance(node, Sequence) else ())


def _is_large(value: Node) -> bool:
    """Whether a host says so much that it is not looked at any further."""
    left, waiting = MOST_VALUES, [value]
    while waiting:
        node = waiting.pop()
        left -= 1 + _length(node)
        if left < 0:
            return True
        if isinstance(node, Mapping):
            waiting += [each for _, each in node.pairs.values() if not isinstance(each, Scalar)]
        elif isinstance(node, Sequence):
            waiting += [each for each in node.items if not isinstance(each, Scalar)]
    return False


def _many_services(node: Node, problems: Problems) -> Steps[tuple[Offer, ...]]:
    """The services of a host that has many, a portion at a time; of those with a problem, some are missing."""
    count = _length(node)
    if count > MOST_SERVICES:
        problems.add(node, f"there are {count} services: a host may have {MOST_SERVICES}")
        return ()
    found: dict[str, Offer] = {}
    for begin in range(0, count, SERVICES_AT_ONCE):
        for offer in _portion(node, slice(begin, begin + SERVICES_AT_ONCE), problems):
            if isinstance(node, Mapping) and offer.name in found:
                problems.add(node, f"{offer.name} stands twice among these: remove one")
            found[offer.name] = offer
        yield None
    return tuple(found.values())


def _portion(node: Node, which: slice, problems: Problems) -> tuple[Offer, ...]:
    if isinstance(node, Mapping):
        pairs = dict(list(node.pairs.items())[which])
        return _named(_SERVICES(Mapping(node.line, node.column, pairs, node.source), problems) or {})
    assert isinstance(node, Sequence)
    return _SFQDNS(Sequence(node.line, node.column, node.items[which], node.source), problems) or ()


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
    offers = None if said.services is None else _named(said.services)
    identity = _identity(said.other_names, said.other_addresses, said.msisdn)
    return Entry(
        "", said.address, offers, _shared(said.groups), said.max_claims, identity, said.firewall, said.carriergrade
    )


def _named(services: dict[str, Offer]) -> tuple[Offer, ...]:
    return tuple(attrs.evolve(offer, name=each) for each, offer in services.items())


@lru_cache(4096)
def _shared(groups: tuple[str, ...]) -> tuple[str, ...]:
    """Many subscribers are in the same groups: equal tuples become one."""
    return groups


_address = parsed(host_address)
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
_SFQDN = Section(_build_service, {"fqdn": Key(name, required=True), **SERVICE_KEYS}, any_case=True)
_SERVICES, _SFQDNS = table(name, _service), sequence(_sfqdn)
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
        "sfqdn": Key(_SFQDNS),
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
        "services": Key(_SERVICES),
        "other_names": Key(sequence(name)),
        "other_addresses": Key(sequence(_address)),
        "msisdn": Key(_texts),
        "firewall": Key(firewall.PLAIN),
        "carriergrade": Key(sequence(parsed(host_address))),
    },
)
"""The keys of a subscriber in the plain style."""

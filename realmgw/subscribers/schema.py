"""The subscriber file's schema: a mapping from hosts to what they are and how they can be reached, in two styles.

The established style, with keys in capitals or not::

    test.gwa.demo.:
        ID: {FQDN: [test.gwa.demo.], IPV4: [192.168.0.100], IPV6: ['fd00::100'], MSISDN: ['358145000100']}
        GROUP: [IPS_GROUP_PREPAID3]
        CIRCULARPOOL: [{max: 3}]
        SFQDN:
            - {fqdn: test.gwa.demo., proxy_required: false}
            - {fqdn: ssh.test.gwa.demo., protocol: 6, port: 22}
        CARRIERGRADE: [{ipv4: 192.168.0.101}]
        FIREWALL: {FIREWALL_ADMIN: [...], FIREWALL_USER: [...]}

and the plain style, where a host without `services` is reached by its own name::

    test.gwa.demo:
      address: [192.168.0.100, 'fd00::100']
      max_claims: 3
      groups: [prepaid]
      services:
        test.gwa.demo:
        ssh.test.gwa.demo: {protocol: tcp, port: 22}
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import attrs

from realmgw.config import validators
from realmgw.config.addresses import host, host4, host6
from realmgw.config.document import Mapping, Node, Problems, Scalar, Sequence
from realmgw.config.families import one_of_each
from realmgw.config.protocols import PROTOCOLS
from realmgw.config.steps import Steps, finish
from realmgw.config.validators import (
    Key,
    Section,
    Validator,
    is_null,
    keys_of,
    matching,
    name,
    parsed,
    plain_text,
    sequence,
    shape,
    table,
)
from realmgw.config.values import Address
from realmgw.subscribers import firewall
from realmgw.subscribers.entry import Entry, Offer
from realmgw.subscribers.model import NO_MORE, Identity, Profile, Terms

MOST_SERVICES = 5000
"""So many services a host may have: what is done for a host in one go does not hold up packets."""
MOST_VALUES = 4096
"""So many keys and values a host may have beside its services, if these are many."""
FEW_SERVICES = 64
"""So many services count among these."""


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
    is_established = isinstance(value, Mapping) and any(word.lower() in ("id", "sfqdn") for word in value.pairs)
    key_name, services = name(key, problems), _many_services(value, "sfqdn" if is_established else "services")
    if services is not None and _length(services) > MOST_SERVICES:
        problems.add(services, f"there are {_length(services)} services: a host may have {MOST_SERVICES}")
        return None
    beyond = _beyond(value, services)
    if beyond is not None:
        problems.add(beyond, f"this host has more than {MOST_VALUES} keys and values beside its services: remove some")
        return None
    entry = yield from validators.reading(ESTABLISHED if is_established else PLAIN, value, problems)
    if entry is None or key_name is None:
        return None
    host = entry.name or key_name
    offers = (Offer(host),) if entry.services is None else entry.services
    return attrs.evolve(entry, name=host, services=offers, groups_at=_groups_at(value, entry))


def _groups_at(value: Node, entry: Entry) -> tuple[int, int] | None:
    """Where a host's groups are written, if it has any."""
    pairs = value.pairs if isinstance(value, Mapping) and entry.profile.groups else {}
    found = (node for word, (_, node) in pairs.items() if word.lower() in ("groups", "group"))
    return next(((node.line, node.column) for node in found), None)


def _many_services(value: Node, word: str) -> Node | None:
    """The services of a host, where they are more than its other keys and values may be."""
    pairs = value.pairs if isinstance(value, Mapping) else {}
    found = [node for key, (_, node) in pairs.items() if key.lower() == word]
    return found[0] if len(found) == 1 and _length(found[0]) > FEW_SERVICES else None


def _length(node: Node) -> int:
    return len(node.pairs if isinstance(node, Mapping) else node.items if isinstance(node, Sequence) else ())


def _beyond(value: Node, services: Node | None) -> Node | None:
    """What of a host is too much, if it says so much beside its services that it is not looked at any further."""
    left, waiting = MOST_VALUES + 1, [value]
    while waiting:
        node = waiting.pop()
        is_looked_into = node is not services and not isinstance(node, Scalar)
        left -= 1 + is_looked_into
        if left < 0:
            return node
        if is_looked_into:
            below = [each for _, each in node.pairs.values()] if isinstance(node, Mapping) else []
            below += node.items if isinstance(node, Sequence) else []
            waiting += reversed(below[: left + 1])
    return None


_Identified = tuple[str, tuple[Address, ...], Identity]
"""A subscriber's first name (empty: its key), where its flows go, and what else it is known by."""
_terms, _profile = lru_cache(4096)(Terms), lru_cache(4096)(Profile)


def _with_ports(section: Section[Offer]) -> Validator[Offer]:
    """A service, beside its name: with nothing there, every protocol and port."""

    def read(node: Node, problems: Problems) -> Offer | None:
        offer = section(node, problems)
        if offer is not None and offer.terms.protocol == PROTOCOLS["icmp"] and offer.terms.port:
            problems.add(node, "ICMP has no ports: remove the port, or write another protocol")
            return None
        return offer

    return Validator(read, section.schema)


def _circular_pool(node: Node, problems: Problems) -> int | None:
    """`{max: n}`, alone or as the only item of a list."""
    if not isinstance(node, Sequence):
        return _CIRCULAR_POOL(node, problems)
    if len(node.items) != 1:
        problems.add(node, f"the list has {len(node.items)} items: write a single one, [{{max: 3}}]")
        return None
    return _CIRCULAR_POOL(node.items[0], problems)


def _or_one(several: Validator[tuple[Any, ...]]) -> Validator[tuple[Any, ...]]:
    """A list, of which a single item may stand without it."""

    def read(node: Node, problems: Problems) -> tuple[Any, ...] | None:
        return several(node if isinstance(node, Sequence) else Sequence(node.line, node.column, [node]), problems)

    return Validator(read, {"anyOf": [several.schema, several.schema["items"]]})


def _build_service(fqdn: str = "", **options: Any) -> Offer:
    return Offer(fqdn, _terms(**options))


def _unless_empty(several: Validator[tuple[Any, ...]]) -> Validator[tuple[Any, ...]]:
    """A list, or nothing."""
    return Validator(lambda node, problems: () if is_null(node) else several(node, problems), several.schema)


def _with_address(section: Section[_Identified]) -> Validator[_Identified]:
    """Who a subscriber is, by an address of one family at least."""

    def read(node: Node, problems: Problems) -> _Identified | None:
        found = section(node, problems)
        if found is not None and not found[1]:
            problems.add(node, "there is no address: write 'ipv4', 'ipv6' or both")
            return None
        return found

    return Validator(read, section.schema)


def _build_identity(
    ipv4: tuple[IPv4Address, ...] = (),
    ipv6: tuple[IPv6Address, ...] = (),
    fqdn: tuple[str, ...] = (),
    msisdn: tuple[str, ...] = (),
    **_unread: None,
) -> _Identified:
    return fqdn[0] if fqdn else "", (*ipv4[:1], *ipv6[:1]), _identity(fqdn[1:], (*ipv4[1:], *ipv6[1:]), msisdn)


def _identity(fqdns: tuple[str, ...], addresses: tuple[Address, ...], msisdns: tuple[str, ...]) -> Identity:
    if not (fqdns or addresses or msisdns):
        return NO_MORE
    return Identity(fqdns, tuple(address.packed for address in addresses), msisdns)


def _build_established(
    id: _Identified,  # noqa: A002  # the file's own word
    sfqdn: tuple[Offer, ...] = (),
    **options: Any,
) -> Entry:
    """In this style a host without SFQDN is reached by no name."""
    name, addresses, identity = id
    profile = _profile(**{option: options[word] for option, (word, _) in _OTHER_WORDS.items() if word in options})
    return Entry(name, _first4(addresses), sfqdn, profile, identity, _first6(addresses))


def _build_plain(
    address: tuple[Address, ...],
    services: dict[str, Offer] | None = None,
    other_names: tuple[str, ...] = (),
    other_addresses: tuple[Address, ...] = (),
    msisdn: tuple[str, ...] = (),
    **options: Any,
) -> Entry:
    offers = None if services is None else tuple(Offer(each, offer.terms) for each, offer in services.items())
    identity = _identity(other_names, other_addresses, msisdn)
    return Entry("", _first4(address), offers, _profile(**options), identity, _first6(address))


def _first4(addresses: tuple[Address, ...]) -> IPv4Address | None:
    return next((each for each in addresses if isinstance(each, IPv4Address)), None)


def _first6(addresses: tuple[Address, ...]) -> IPv6Address | None:
    return next((each for each in addresses if isinstance(each, IPv6Address)), None)


_address4, _address6 = parsed(host4, format="ipv4"), parsed(host6, format="ipv6")
_phones = _or_one(sequence(matching(r"\+?[0-9]{3,18}", "a telephone number, 3 to 18 digits")))
_CARRIERGRADE: Section[IPv4Address] = Section(
    lambda **given: given["ipv4"], {"ipv4": Key(_address4, required=True)}, any_case=True
)
_CIRCULAR_POOL: Section[int] = Section(
    lambda **given: given["max"], {"max": Key(keys_of(Profile)["max_claims"].validator, required=True)}, any_case=True
)

SERVICE = Section(_build_service, keys_of(Terms))
"""The keys of a service."""
_SFQDN = Section(_build_service, {"fqdn": Key(name, required=True), **SERVICE.keys}, any_case=True)
_SERVICES, _SFQDNS = table(name, _with_ports(SERVICE)), sequence(_with_ports(_SFQDN))
_ID = Section(
    _build_identity,
    {
        "fqdn": Key(sequence(name)),
        "ipv4": Key(sequence(_address4)),
        "ipv6": Key(_unless_empty(sequence(_address6))),
        "msisdn": Key(_phones),
        **{word: Key(Validator(lambda _node, _problems: None)) for word in ("imsi", "username")},  # not ours
    },
    any_case=True,
)
_OTHER_WORDS: dict[str, tuple[str, Validator[Any]]] = {
    **{option: (option, each.validator) for option, each in keys_of(Profile).items()},
    "max_claims": ("circularpool", Validator(_circular_pool, {"type": ["array", "object"]})),
    "groups": ("group", sequence(plain_text)),
    "firewall": ("firewall", firewall.ESTABLISHED),
    "carriergrade": ("carriergrade", _or_one(sequence(_CARRIERGRADE))),
}
"""What the established style calls the options of a host, and how it writes them."""
ESTABLISHED = Section(
    _build_established,
    {
        "id": Key(_with_address(_ID), required=True),
        "sfqdn": Key(_SFQDNS),
        **{word: Key(validator) for word, validator in _OTHER_WORDS.values()},
    },
    any_case=True,
)
"""The keys of a subscriber in the established style."""
PLAIN = Section(
    _build_plain,
    {
        "address": Key(one_of_each, required=True),
        "services": Key(_SERVICES),
        "other_names": Key(sequence(name)),
        "other_addresses": Key(sequence(parsed(host))),
        "msisdn": Key(_phones),
        **keys_of(Profile),
    },
)
"""The keys of a subscriber in the plain style."""

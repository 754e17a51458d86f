"""From an entry back to the plain style: what `schema.entries` makes the same entry of."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

import attrs

from realmgw.config.writing import Value, text
from realmgw.subscribers.firewall import Firewall, Options, Rule
from realmgw.subscribers.protocols import PROTOCOLS
from realmgw.subscribers.schema import DEFAULT_MAX_CLAIMS, Entry, Terms

_NAMES = {number: name for name, number in PROTOCOLS.items()}


def written(entries: Iterable[Entry]) -> str:
    """A subscriber file."""
    return text({_name(entry.name): plain(entry) for entry in entries})


def plain(entry: Entry) -> dict[str, Value]:
    """What stands under a host's name, as mappings, lists and single values; defaults are left out."""
    identity = entry.identity
    said: dict[str, Value] = {"address": str(entry.address)}
    if entry.max_claims != DEFAULT_MAX_CLAIMS:
        said["max_claims"] = entry.max_claims
    lists: dict[str, list[Any]] = {
        "groups": list(entry.groups),
        "other_names": [_name(each) for each in identity.fqdns],
        "other_addresses": [str(IPv4Address(each)) for each in identity.addresses],
        "msisdn": list(identity.msisdns),
        "carriergrade": [str(each) for each in entry.carriergrade],
    }
    said.update((word, values) for word, values in lists.items() if values)
    said["services"] = {_name(offer.name): _terms(offer.terms) for offer in entry.services or ()}
    if entry.firewall.admin or entry.firewall.user:
        said["firewall"] = _firewall(entry.firewall)
    return said


def _name(name: str) -> str:
    return name.removesuffix(".")


def _terms(terms: Terms) -> Value:
    """What is not the default; nothing stands for every protocol and port."""
    usual = Terms()
    said = {
        field.name: getattr(terms, field.name)
        for field in attrs.fields(Terms)
        if getattr(terms, field.name) != getattr(usual, field.name)
    }
    if "protocol" in said:
        said["protocol"] = _NAMES.get(terms.protocol, terms.protocol)
    return said or None


def _firewall(firewall: Firewall) -> Value:
    lists = {"admin": firewall.admin, "user": firewall.user}
    return {word: [_rule(rule) for rule in rules] for word, rules in lists.items() if rules}


def _rule(rule: Rule) -> Value:
    said: dict[str, Value] = {"priority": rule.priority, "direction": rule.direction.value}
    if rule.protocol is not None:
        said["protocol"] = _NAMES.get(rule.protocol, rule.protocol)
    said.update((word, str(value)) for word, value in (("src", rule.src), ("dst", rule.dst)) if value is not None)
    said.update((part, _options(options)) for part, options in rule.parts)
    target = rule.target.value
    said["target"] = {target: _options(rule.target_options)} if rule.target_options else target
    if rule.comment:
        said["comment"] = {"comment": rule.comment}
    return said


def _options(options: Options) -> Value:
    return {word: values[0] if len(values) == 1 else list(values) for word, values in options}

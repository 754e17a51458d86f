"""From an entry back to the plain style: what `schema.entries` makes the same entry of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

import attrs

from realmgw.config import rules
from realmgw.config.protocols import NAMES
from realmgw.config.writing import Value, one_or_each, text, value
from realmgw.subscribers.entry import Entry
from realmgw.subscribers.firewall import Firewall, Rule
from realmgw.subscribers.model import Profile, Terms


def written(entries: Iterable[Entry]) -> str:
    """A subscriber file."""
    return text({_name(entry.name): plain(entry) for entry in entries})


def plain(entry: Entry) -> dict[str, Value]:
    """What stands under a host's name, as mappings, lists and single values; defaults are left out."""
    identity = entry.identity
    lists: dict[str, list[Any]] = {
        "other_names": [_name(each) for each in identity.fqdns],
        "other_addresses": [str(ip_address(each)) for each in identity.addresses],
        "msisdn": list(identity.msisdns),
    }
    return {
        "address": one_or_each(entry.own),
        **_options(entry.profile),
        **{word: values for word, values in lists.items() if values},
        "services": {_name(offer.name): _options(offer.terms) or None for offer in entry.services or ()},
    }


def _name(name: str) -> str:
    return name.removesuffix(".")


def _options(said: Profile | Terms) -> dict[str, Value]:
    """The options that are not the default."""
    pairs = attrs.asdict(said, recurse=False).items()
    usual = type(said)()
    return {word: _WRITTEN.get(word, value)(each) for word, each in pairs if each != getattr(usual, word)}


def _firewall(firewall: Firewall) -> Value:
    lists = {"admin": firewall.admin, "user": firewall.user}
    return {word: [_rule(rule) for rule in said] for word, said in lists.items() if said}


def _rule(rule: Rule) -> Value:
    said = rules.plain(rule)
    return {"priority": said.pop("priority"), "direction": rule.direction.value, **said}


_WRITTEN: dict[str, Callable[[Any], Value]] = {
    "protocol": lambda number: NAMES.get(number, number),
    "firewall": _firewall,
}
"""Options that are not written as their values say."""

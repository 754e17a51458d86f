"""Sets of subscribers, and of each group's, for the operator's own rules: which there are, and what is in them. Pure.

They stand in the table of includes, since rules see the sets of their own table only, and only those stand that a file
names: `@subscribers`, `@group_NAME`, and `@subscribers6`, `@group6_NAME` for addresses of IPv6.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address

from realmgw.datapath.batches import Elements, Word
from realmgw.datapath.elements import SUBSCRIBERS
from realmgw.subscribers.model import Host
from realmgw.subscribers.review import addresses_of

_NAMED = re.compile(r"@(subscribers6?|group6?_[A-Za-z0-9_.-]+)(?![\w./-])")
_GROUP, _GROUP6 = "group_", "group6_"


def named(texts: Iterable[str]) -> tuple[str, ...]:
    """The sets that some files name, in the order of their names."""
    return tuple(sorted({name for text in texts for name in _NAMED.findall(text)}))


def kind(name: str) -> str:
    """The type of a set's elements, in nft's words."""
    return "ipv6_addr" if name == SUBSCRIBERS[1] or name.startswith(_GROUP6) else "ipv4_addr"


def elements(verb: str, names: Collection[str], hosts: Iterable[Host]) -> Iterator[Elements]:
    """What becomes of some sets when hosts come or go.

    Args:
        verb: `add` or `delete`.
        names: The sets.
        hosts: They.
    """
    found: dict[str, dict[bytes, str]] = {name: {} for name in names}
    for host in hosts if found else ():
        for packed in addresses_of(host):
            address = ip_address(packed)
            of_group, of_all = (_GROUP, SUBSCRIBERS[0]) if address.version == 4 else (_GROUP6, SUBSCRIBERS[1])
            for name in (of_all, *(f"{of_group}{group}" for group in host.profile.groups)):
                if name in found:
                    found[name][packed] = str(address)
    for name, each in found.items():
        if each:
            yield Elements(verb, name, tuple((Word(text, packed), None) for packed, text in each.items()))

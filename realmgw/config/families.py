"""What has one address, or one of each family: hosts, name servers, zones."""

from __future__ import annotations

from realmgw.config.addresses import host
from realmgw.config.document import Node, Problems, Sequence
from realmgw.config.validators import Validator, parsed
from realmgw.config.values import Address

_address = parsed(host)


def _one_of_each(node: Node, problems: Problems) -> tuple[Address, ...] | None:
    items = node.items if isinstance(node, Sequence) else [node]
    if not 1 <= len(items) <= 2:
        problems.add(node, f"the list has {len(items)} items: write one IPv4 address, one IPv6 address, or one of each")
        return None
    found = [_address(item, problems) for item in items]
    good = sorted((each for each in found if each is not None), key=lambda each: each.version)
    if len(good) < len(items):
        return None
    if len({each.version for each in good}) < len(good):
        problems.add(node, f"{good[0]} and {good[1]} are both IPv{good[0].version}: write one of each family at most")
        return None
    return tuple(good)


one_of_each = Validator(
    _one_of_each,
    {"anyOf": [_address.schema, {"type": "array", "items": _address.schema, "minItems": 1, "maxItems": 2}]},
)
"""An address, or a list of one of each family; the value has that of IPv4 first."""

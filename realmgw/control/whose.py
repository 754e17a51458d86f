"""A host as operators call it, and what it is known by. Pure."""

from __future__ import annotations

import attrs

from realmgw.control import parameters
from realmgw.subscribers.registry import Registry
from realmgw.subscribers.review import addresses_of


@attrs.frozen
class Whose:
    """A host."""

    name: str
    """Its own."""
    names: frozenset[str]
    """All that lead to it."""
    addresses: frozenset[bytes]
    """Its own, packed."""


def whose(registry: Registry, text: str) -> Whose:
    """The host that is called so, by its own name, that of a service or its address.

    Args:
        registry: The subscribers.
        text: What was written.

    Raises:
        CommandError: There is none.
    """
    host = parameters.host(registry, text)
    names = frozenset((host.name, *(each.name for each in registry.services_of(host.name))))
    return Whose(host.name, names, frozenset(addresses_of(host)))

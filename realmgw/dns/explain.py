"""What the WAN's face would make of a question, step by step; nothing is asked for, counted or sent."""

from __future__ import annotations

import attrs

from realmgw.dns import names
from realmgw.dns.zones import ZoneTable
from realmgw.subscribers.model import Service


@attrs.frozen
class NameExplanation:
    """What there is of a name."""

    steps: tuple[str, ...]
    """What was looked at, in order, each with what was found."""
    service: Service | None = None
    """The service that the allocator would be asked for."""


def explain_name(table: ZoneTable, text: str) -> NameExplanation:
    """What a question for the address (A) of a name comes to, before the allocator is asked.

    Args:
        table: What is answered for.
        text: The name, with or without the final dot.

    Raises:
        names.BadNameError: It is none.
    """
    name = names.to_wire(text if text.endswith(".") else text + ".").lower()
    zone = table.zones.of(name)
    if zone is None:
        return NameExplanation((f"{text} lies in none of our zones", "refused: REFUSED"))
    steps = [f"it lies in our zone {names.to_text(zone.apex)}"]
    service = table.services.get(name)
    if service is None:
        return NameExplanation((*steps, *_without_service(table, name)))
    if service.proxy_required:
        return NameExplanation((*steps, "it needs the reverse proxy: answered with the service pool's addresses"))
    return NameExplanation((*steps, "it is a service: the allocator is asked"), service)


def _without_service(table: ZoneTable, name: bytes) -> tuple[str, ...]:
    if name in table.static:
        return ("it is a name of the zone's own: answered with its records",)
    if name in table.below:
        return ("it is no service, but has names below it", "answered: no data")
    return ("it is no service, and nothing is below it", "answered: NXDOMAIN")

"""What operators write in the parameters of commands: numbers, times, addresses, prefixes, protocols, and hosts.

Each of these raises `CommandError` where it is something else; the text names the parameter.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from realmgw.config import protocols
from realmgw.config.quoting import shortened
from realmgw.config.values import Address, Network
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.subscribers.model import Host
from realmgw.subscribers.registry import Registry

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(rf"([0-9]{{1,6}})({'|'.join(UNITS)})")


def number(text: str, name: str, last: int) -> int:
    """A whole number from 0 to `last`."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(last)) and int(text) <= last):
        raise _refused(text, name, f"number from 0 to {last}")
    return int(text)


def span(text: str) -> int | None:
    """A time in seconds, written with its unit: `30s`, `10m`, `2h`, `7d`; None: it is none."""
    found = _SPAN.fullmatch(text)
    return None if found is None else int(found[1]) * UNITS[found[2]]


def seconds(text: str, name: str, first: int, last: int) -> int:
    """A time of `first` to `last` seconds, with its unit, or in seconds without one."""
    found = span(text if text[-1:].isalpha() else f"{text}s")
    if found is None or not first <= found <= last:
        raise _refused(text, name, f"time of {first} to {last} s: write 30s, 10m or 2h")
    return found


def address(text: str, name: str) -> Address:
    """An address of either family."""
    try:
        return ip_address(text)
    except ValueError:
        raise _refused(text, name, "address") from None


def network(text: str, name: str) -> Network:
    """A prefix of either family, or an address."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise _refused(text, name, "address and no prefix") from None


def protocol(text: str) -> int:
    """A protocol's number, by its name or written as that; 0: any."""
    kind = protocols.PROTOCOLS.get(text.lower())
    return number(text, "protocol", 255) if kind is None else kind


def only_protocol(text: str) -> int | None:
    """The protocol that flows are to be of; None: any, whether nothing is written, or that."""
    return (protocol(text) or None) if text else None


def host(registry: Registry, text: str, among: str = "subscriber, no service and no address of one") -> Host:
    """A subscriber, by its name, that of one of its services or its address; `among`: what else it could have been."""
    try:
        found = registry.host_at(ip_address(text).packed)
    except ValueError:
        found = registry.host_called(text)
    if found is None:
        raise CommandError(ExitStatus.NOT_FOUND, f"there is no {among} {shortened(text)}")
    return found


def _refused(text: str, name: str, what: str) -> CommandError:
    return CommandError(ExitStatus.USAGE, f"{name}: {shortened(repr(text))} is no {what}")

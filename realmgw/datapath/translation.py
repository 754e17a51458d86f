"""What the ways to send a flow to its host (`Dnat`) differ in, beyond the rules themselves.

Family: IPv4, whose addresses are what MARKDNAT can be told.
"""

from __future__ import annotations

from collections.abc import Iterable

from realmgw.config.settings import Dnat, Settings
from realmgw.errors import ConfigurationError
from realmgw.subscribers.model import Host


def mark_table(table: str) -> str:
    """The name of a table, of family ip, that earlier versions had beside the main one.

    It translates by a mark that holds the end of an address, and would send astray what has an index there: a start and
    a purge remove it.

    Args:
        table: The name of the main table.
    """
    return f"{table}_mark"


def told(settings: Settings) -> tuple[str, ...]:
    """How IPv6 is translated, where that is not what is written, in a line."""
    if settings.datapath.dnat is not Dnat.MARKDNAT or not settings.pools.networks6:
        return ()
    return ("datapath.dnat: markdnat is for IPv4; flows of IPv6 go by the map, since a mark holds no such address",)


def first_octet(hosts: Iterable[Host], dnat: Dnat) -> int | None:
    """What the address of every host begins with, where that has to be the same; None for `Dnat.MAP` or no hosts.

    Args:
        hosts: Every host that a flow may be translated to; those without an IPv4 address are of no concern.
        dnat: How a flow is sent to its host.

    Raises:
        ConfigurationError: Some hosts' addresses begin with another; the text names the first of them.
    """
    if dnat is Dnat.MAP:
        return None
    first: Host | None = None
    for host in (each for each in hosts if each.address):
        first = first or host
        if host.address[0] != first.address[0]:
            raise ConfigurationError((_apart(host, first, dnat),))
    return first.address[0] if first else None


def _apart(host: Host, first: Host, dnat: Dnat) -> str:
    return (
        f"{host.name}: its address {'.'.join(map(str, host.address))} is outside {first.address[0]}.0.0.0/8, where "
        f"{first.name} has its own, and datapath.dnat: {dnat.value} serves hosts of one /8 only: use datapath.dnat: map"
    )

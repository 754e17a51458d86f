"""The settings of the metrics: where monitoring systems ask for them, and which ones may."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import PurePath

import attrs

from realmgw.config import addresses
from realmgw.config.addresses import network
from realmgw.config.labels import Label
from realmgw.config.validators import key, matching, parsed, remembered, sequence
from realmgw.config.values import Network, Places
from realmgw.system.endpoints import Endpoint

METRICS_PORT = 12346
"""At an address without a port."""
MOST_PLACES = 16
"""So many places metrics are told at."""
MOST_CLIENTS = 1024
"""So many prefixes may ask."""
THIS_MACHINE: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
"""Who may ask, unless others are named."""


def place(text: str) -> Endpoint | PurePath:
    """Where metrics are told: an address, with a port or without, or the absolute path of a unix socket."""
    return addresses.place(text, METRICS_PORT, "/run/realmgw/metrics.sock")


@attrs.frozen
class Metrics(Places):
    """Metrics, for monitoring systems that come for them."""

    listen: tuple[Endpoint | PurePath, ...] = key(
        sequence(remembered(Label.METRICS, parsed(place)), at_most=MOST_PLACES), ()
    )
    """Where: addresses, port 12346 if none is written, and unix sockets by their paths; there may be none."""
    clients: tuple[Network, ...] = key(sequence(parsed(network), at_most=MOST_CLIENTS), THIS_MACHINE)
    """Who may ask at the addresses."""
    group: str | None = key(matching(r"[A-Za-z_][A-Za-z0-9_-]{0,30}", "the name of a group of users"), None)
    """A group of users that may use the unix sockets; None: only who runs the program, and root."""

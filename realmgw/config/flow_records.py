"""The settings of flow records: whether it is written down who spoke with whom, where, and for how long it is kept."""

from __future__ import annotations

import enum
from ipaddress import IPv6Address
from pathlib import PurePath

import attrs

from realmgw.config.addresses import endpoint
from realmgw.config.validators import Section, boolean, choice, integer, key, number, parsed
from realmgw.system.endpoints import Endpoint

IPFIX_PORT = 4739
"""Where collectors listen (RFC 7011 section 10.3.4)."""


class Transport(enum.Enum):
    """How messages of IPFIX go."""

    UDP = "udp"
    """Each by itself; what is lost on the way, the collector sees."""
    TCP = "tcp"
    """One after the other."""


def _collector(text: str) -> Endpoint:
    found = endpoint(text, IPFIX_PORT)
    if isinstance(found.address, IPv6Address) and found.address.is_link_local:
        raise ValueError(f"{text!r} is one of a link, and it is not said of which: write another address")
    return found


@attrs.frozen
class Ipfix:
    """A collector of IPFIX that gets the records as well."""

    collector: Endpoint = key(parsed(_collector))
    """Where it listens."""
    transport: Transport = key(choice(Transport), Transport.UDP)
    """How they go there."""
    domain: int = key(integer(1, 2**32 - 1), 1)
    """The observation domain, by which a collector tells gateways from each other that send from one address."""
    templates: float = key(number(1.0, 86_400.0), 60.0)  # seconds
    """By UDP, how often it is told of what records are made: who has begun since then understands none."""


@attrs.frozen
class FlowRecords:
    """Records of flows: lines of JSON in a file that is moved aside."""

    enabled: bool = key(boolean, False)
    """Whether they are written. They are personal data: by default nobody keeps them."""
    file: PurePath | None = key(parsed(PurePath), None)
    """The file; None: one in the state folder."""
    size: int = key(integer(10_000, 2**40), 100_000_000)  # octets
    """A file that would become longer is moved aside, and a new one begun."""
    files: int = key(integer(0, 1000), 10)
    """So many of those that were moved aside are kept."""
    days: float = key(number(0.01, 3650.0), 30.0)
    """What is older is deleted, in days."""
    interval: float = key(number(0.0, 86_400.0), 300.0)  # seconds
    """How often it is looked at flows that last; 0: never, and they count when they end."""
    database: bool = key(boolean, True)
    """Whether they are kept in a database as well, in the state folder, to be asked for."""
    rows: int = key(integer(1, 2**40), 1_000_000)
    """So many records at most are in it."""
    ipfix: Ipfix | None = key(Section(Ipfix), None)
    """Where they are sent as well; None: nowhere."""

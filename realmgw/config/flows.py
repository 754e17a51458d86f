"""How the kernel carries flows: words of `datapath`."""

from __future__ import annotations

import enum


class Dnat(enum.Enum):
    """How the kernel sends a flow to the host that its mark stands for."""

    MAP = "map"
    """nftables' own `dnat to meta mark map`."""
    MARKDNAT = "markdnat"
    """The MARKDNAT target of iptables, a kernel module of ours."""
    AUTO = "auto"
    """The first of these that works."""


class Offload(enum.Enum):
    """Who carries flows that were let through, in both directions."""

    OFF = "off"
    """All chains, packet by packet."""
    SOFTWARE = "software"
    """The kernel's flowtable, as soon as a packet comes in: its packets meet no chain."""

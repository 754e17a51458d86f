"""Kernel settings for a machine that has much to do: recommended, and set by the operator, never by the gateway.

They are what conf/sysctl.d/60-realmgw.conf sets. The gateway works without them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from realmgw.datapath.machine import sysctls

DROP_IN = "conf/sysctl.d/60-realmgw.conf"
"""Where they stand, to be copied to /etc/sysctl.d."""
FILES = 500_000
"""How many files the gateway's process should be allowed to have open; conf/limits.d/realmgw.conf."""


@attrs.frozen
class Tuned:
    """A kernel setting."""

    key: str
    """Below /proc/sys."""
    wanted: tuple[int, ...]
    """What is recommended."""
    why: str
    """What it is good for."""
    less: bool = False
    """Less is as good, else more is."""

    def suits(self, found: tuple[int, ...]) -> bool:
        """Whether values are as good as those that are recommended."""
        if len(found) != len(self.wanted):
            return False
        if len(found) == 2:  # a range
            return found[0] <= self.wanted[0] and found[1] >= self.wanted[1]
        return found[0] <= self.wanted[0] if self.less else found[0] >= self.wanted[0]

    @property
    def text(self) -> str:
        """The values as they are written."""
        return " ".join(map(str, self.wanted))


TUNED = (
    Tuned("fs/file-max", (2_097_152,), "files of all processes"),
    Tuned(sysctls.MAXIMUM, (4_194_304,), "flows at once; 320 octets each, when they are used"),
    Tuned(sysctls.BUCKETS, (1_048_576,), "so that each is found at once"),
    Tuned("net/ipv4/tcp_fin_timeout", (10,), "connections of the gateway itself are forgotten sooner", less=True),
    Tuned("net/ipv4/ip_local_port_range", (10_240, 65_535), "ports for what the gateway itself asks"),
    Tuned("net/core/netdev_max_backlog", (25_000,), "packets that wait for a processor"),
    Tuned("net/core/somaxconn", (4_096,), "connections that wait to be taken"),
    Tuned("net/ipv4/tcp_max_syn_backlog", (8_192,), "those that are not complete yet"),
    Tuned("net/core/rmem_max", (8_388_608,), "datagrams that wait to be read"),
)
"""All of them."""


def worse(found: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[Tuned, tuple[int, ...]]]:
    """Those that are not as good as recommended, and what they are.

    Args:
        found: What the kernel has, by key; one that is missing is not there.
    """
    return ((each, found[each.key]) for each in TUNED if each.key in found and not each.suits(found[each.key]))

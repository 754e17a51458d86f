"""Of which families there are addresses to lend for a host, and why there are none of the other."""

from __future__ import annotations

import enum

from realmgw.config import settings
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.dns.codec.wire import Type
from realmgw.subscribers.families import mode_of
from realmgw.subscribers.model import Host


class Source(enum.Enum):
    """What a question for the address of a host's service is answered from."""

    POOL = enum.auto()
    """An address of the pool is lent."""
    PINHOLE = enum.auto()
    """The host's own address is told, and opened for who asked."""
    NO_ADDRESS = enum.auto()
    """No data: the host has no address of that family."""
    NO_POOL = enum.auto()
    """No data: the pool has none."""
    OFF = enum.auto()
    """No data: that is how it is set, or a pinhole has no public address."""


_PINHOLE, _POOL = Ipv6Mode.PINHOLE, Ipv6Mode.POOL  # slow to get at by name
_A, _AAAA = int(Type.A), int(Type.AAAA)  # and slow to compare


class Families:
    """What is lent by some settings.

    Attributes:
        lent: The types of addresses that are lent for any host at all.
    """

    def __init__(self, settings: settings.Settings) -> None:
        self._ipv6, pools = settings.ipv6, settings.pools
        self._has_pool4, self._has_pool6 = bool(pools.networks4), bool(pools.networks6)
        self.lent = frozenset((_A, _AAAA) if self._has_pool4 else (_AAAA,))

    def lends6(self, host: Host) -> bool:
        """Whether AAAA of a host is lent. Of one that has an IPv4 address A is, where it is lent at all."""
        mode = mode_of(host, self._ipv6)
        return mode is _PINHOLE or (mode is _POOL and self._has_pool6)

    def source(self, host: Host, kind: int) -> Source:
        """What a question for an address of a host, by its type, is answered from, and why not."""
        if not (host.address if kind == _A else host.address6):
            return Source.NO_ADDRESS
        mode = _POOL if kind == _A else mode_of(host, self._ipv6)
        if mode is not _POOL:
            return Source.PINHOLE if mode is _PINHOLE else Source.OFF
        return Source.POOL if (self._has_pool4 if kind == _A else self._has_pool6) else Source.NO_POOL

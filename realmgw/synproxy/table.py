"""What every SYN proxy shall answer with: a default, the pool's and service addresses, and what is reserved there.

It is a state, no log: an entry that changes ten times before somebody looks has the last value. It holds what the
allocation has standing, and is bounded as that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from realmgw.config.ipv6 import Ipv6Mode
from realmgw.synproxy.codec import ANY_ADDRESS, ANY_ADDRESS6, TCP, Key, TcpOptions

if TYPE_CHECKING:
    from realmgw.config.settings import Network, Settings, Synproxy
    from realmgw.subscribers.model import Terms

DEFAULT = TcpOptions(536, False, 1)
"""For all addresses that are not named: what everybody understands."""
_CONCERNED = 0, TCP

Place = tuple[bytes, int]
"""A packed address, and a service key: protocol << 16 | port, 0 = any of either."""


def key_of(place: Place) -> Key:
    """The key of a place's entry."""
    return Key(place[0], place[1] & 0xFFFF, place[1] >> 16)


class Table:
    """The entries that there shall be.

    Args:
        settings: The gateway's.

    Attributes:
        takes6: Whether there is IPv6 in it.
    """

    def __init__(self, settings: Settings) -> None:
        self._reserved: dict[Place, Terms] = {}
        self.configure(settings)

    def __len__(self) -> int:
        return len(self._reserved)

    def configure(self, settings: Settings) -> bool:
        """From now on, go by these settings; whether anything but what is reserved is different by that."""
        how, pools = settings.synproxy, settings.pools
        before = getattr(self, "_said", None)
        self._options = TcpOptions(how.mss, how.sack, how.window_scale)
        self._services = tuple(address.packed for address in pools.service)
        self._networks: tuple[Network, ...] = pools.networks4
        self._spans = [(int(each[0]), int(each[-1])) for each in pools.networks4]
        self.takes6 = _takes6(settings, how)
        self._said = (self._options, self._services, self._networks, self.takes6)
        return self._said != before

    def note(self, packed: bytes, key: int, terms: Terms | None) -> Place | None:
        """A reservation begins, or ends (None); its place, if it concerns SYN proxies. On the path of queries."""
        if key >> 16 not in _CONCERNED:
            return None
        place = packed, key
        if terms is None:
            self._reserved.pop(place, None)
        else:
            self._reserved[place] = terms
        return place

    def clear(self) -> None:
        """Nobody is interested any more in what is reserved."""
        self._reserved.clear()

    def reserved(self) -> list[Place]:
        """Where there are reservations."""
        return list(self._reserved)

    def wanted(self, place: Place) -> TcpOptions | None:
        """The options of what is reserved at a place; None: nothing is."""
        terms = self._reserved.get(place)
        if terms is None:
            return None
        mss, sack, scale = terms.tcp_mss, terms.tcp_sack, terms.tcp_window_scale
        plain = self._options
        if mss is None and sack is None and scale is None:
            return plain
        return TcpOptions(
            plain.mss if mss is None else mss,
            plain.sack if sack is None else sack,
            plain.window_scale if scale is None else scale,
        )

    def lasting(self, place: Place) -> TcpOptions | None:
        """The options of a place at which nothing is reserved; None: it has no entry then."""
        packed, key = place
        if key:
            return None
        number = int.from_bytes(packed, "big")
        in_pool = len(packed) == len(ANY_ADDRESS) and any(first <= number <= last for first, last in self._spans)
        return self._options if in_pool or packed in self._services else None

    def bases(self) -> Iterator[Place]:
        """The places that have an entry whatever is reserved: of the IPv4 pool, and of services."""
        pool = (each.packed for network in self._networks for each in network)
        return ((packed, 0) for packed in chain(pool, self._services) if self.takes6 or not is6(packed))


def is6(packed: bytes) -> bool:
    """Whether an address is of IPv6."""
    return len(packed) == len(ANY_ADDRESS6)


def _takes6(settings: Settings, how: Synproxy) -> bool:
    if how.ipv6 is not None:
        return how.ipv6
    modes = settings.ipv6.mode, *(each.mode for each in settings.ipv6.prefixes)
    services = any(is6(address.packed) for address in settings.pools.service)
    return bool(settings.pools.networks6) or services or Ipv6Mode.PINHOLE in modes

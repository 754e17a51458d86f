"""What every SYN proxy shall answer with: a default, the pool's and service addresses, and what is reserved there.

It is a state, no log: an entry that changes ten times before somebody looks has the last value. It holds what the
allocation has standing, and is bounded as that is.

An entry is told of by the request that makes it, in octets: two of them are the same exactly when the entries are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from realmgw.config.ipv6 import Ipv6Mode
from realmgw.synproxy.codec import ANY_ADDRESS, ANY_ADDRESS6, TCP, Key, Operation, Request, TcpOptions, encode

if TYPE_CHECKING:
    from realmgw.config.settings import Settings, Synproxy
    from realmgw.subscribers.model import Terms

DEFAULT = TcpOptions(536, False, 1)
"""For all addresses that are not named: what everybody understands."""
CONCERNED = 0, TCP
"""Protocols of the services that have SYNs; 0: any."""
KINDS = 4096
"""So many different requests, but for the address, are kept ready."""

Place = tuple[bytes, int]
"""A packed address, and a service key: protocol << 16 | port, 0 = any of either."""


Wanted = tuple[Place, bytes | None, bytes | None]
"""A place, the request for the entry that it shall have, and for the one that it has when nothing is reserved there;
None: no entry."""


def key_of(place: Place) -> Key:
    """The key of a place's entry."""
    return Key(place[0], place[1] & 0xFFFF, place[1] >> 16)


@lru_cache(KINDS)
def _around(key: int, length: int, mss: int, sack: bool, scale: int) -> tuple[bytes, bytes]:
    """What is before and behind an address of so many octets in the request for an entry. Family: how many they are."""
    empty = bytes(length)
    request = encode(Request(Operation.MOD, key_of((empty, key)), TcpOptions(mss, sack, scale)))
    return (request[:-length], b"") if is6(empty) else (b"", request[length:])


def _lasting(packed: bytes, mss: int, sack: bool, scale: int) -> bytes:
    """The request for the entry of an address."""
    before, behind = _around(0, len(packed), mss, sack, scale)
    return before + packed + behind


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
        self._options = how.mss, how.sack, how.window_scale
        _, self._behind = _around(0, len(ANY_ADDRESS), *self._options)
        self._services = {each.packed: _lasting(each.packed, *self._options) for each in pools.service}
        self._spans = [(each[0].packed, each[-1].packed) for each in pools.networks4]
        self.takes6 = _takes6(settings, how)
        self._said = (self._options, self._services, self._spans, self.takes6)
        return self._said != before

    def note(self, changed: Mapping[Place, Terms | None]) -> list[Place]:
        """Reservations begin, or end (None); returns where the entry is another one by that.

        An address that is handed on to a host with the same options is none of these; nor is what has come and gone.
        """
        reserved, different = self._reserved, list[Place]()
        find = reserved.get
        for place, terms in changed.items():
            before = find(place)
            if terms is None:
                if before is None:
                    continue
                del reserved[place]
            else:
                reserved[place] = terms
                if before is terms or (
                    before is not None
                    and before.tcp_mss == terms.tcp_mss
                    and before.tcp_sack == terms.tcp_sack
                    and before.tcp_window_scale == terms.tcp_window_scale
                ):
                    continue
            different.append(place)
        return different

    def clear(self) -> None:
        """Nobody is interested any more in what is reserved."""
        self._reserved.clear()

    def reserved(self) -> list[Place]:
        """Where there are reservations."""
        return list(self._reserved)

    def wanted(self, places: Iterable[Place]) -> Iterator[Wanted]:
        """What shall be at these places."""
        find = self._reserved.get
        plain_mss, plain_sack, plain_scale = self._options
        for place in places:
            packed, key = place
            lasting = None if key else self.lasting(packed)
            terms = find(place)
            if terms is None:
                yield place, lasting, lasting
                continue
            mss, sack, scale = terms.tcp_mss, terms.tcp_sack, terms.tcp_window_scale
            before, behind = _around(
                key,
                len(packed),
                plain_mss if mss is None else mss,
                plain_sack if sack is None else sack,
                plain_scale if scale is None else scale,
            )
            yield place, before + packed + behind, lasting

    def lasting(self, packed: bytes) -> bytes | None:
        """The request for the entry of an address that it has whatever is reserved; None: it has none."""
        request = self._services.get(packed)
        if request is None and not is6(packed):
            for first, last in self._spans:
                if first <= packed <= last:
                    return packed + self._behind
        return request

    def pool(self) -> Iterator[bytes]:
        """The requests for the entries that the addresses of the IPv4 pool have whatever is reserved."""
        length, behind = len(ANY_ADDRESS), self._behind
        for first, last in self._spans:
            for number in range(int.from_bytes(first, "big"), int.from_bytes(last, "big") + 1):
                yield number.to_bytes(length, "big") + behind

    def services(self) -> Iterable[tuple[bytes, bytes]]:
        """Those for the entries that addresses of services have, likewise, and before each its address."""
        return self._services.items()


def is6(packed: bytes) -> bool:
    """Whether an address is of IPv6."""
    return len(packed) == len(ANY_ADDRESS6)


def _takes6(settings: Settings, how: Synproxy) -> bool:
    if how.ipv6 is not None:
        return how.ipv6
    modes = settings.ipv6.mode, *(each.mode for each in settings.ipv6.prefixes)
    services = any(is6(address.packed) for address in settings.pools.service)
    return bool(settings.pools.networks6) or services or Ipv6Mode.PINHOLE in modes

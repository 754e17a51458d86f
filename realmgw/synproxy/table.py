"""What every SYN proxy shall answer with: a default, the pool's and service addresses, and what is reserved there.

It is a state, no log: an entry that changes ten times before somebody looks has the last value. It holds what the
allocation has standing, and is bounded as that is.

What it tells is what has changed, and what was there before. So of a proxy that is in step nothing has to be kept but
what waits to be told.
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
Options = tuple[int | None, bool | None, int | None]
"""The MSS, SACK and window scale of a service; None: that of the configuration."""
Before = Mapping[Place, Options | None]
"""By place, what was reserved there; None: nothing."""


def key_of(place: Place) -> Key:
    """The key of a place's entry."""
    return Key(place[0], place[1] & 0xFFFF, place[1] >> 16)


@lru_cache(KINDS)
def _around(key: int, length: int, options: Options | None, plain: tuple[int, bool, int]) -> tuple[bytes, bytes]:
    """What is before and behind an address of so many octets in the request for an entry, or for none.

    Family: how many octets they are.

    Args:
        key: The service key of its place.
        length: See above.
        options: Of the entry; None: there shall be none.
        plain: What counts for those of them that are None.
    """
    empty = bytes(length)
    request = Request(Operation.DEL, key_of((empty, key)))
    if options is not None:
        (mss, sack, scale), (plain_mss, plain_sack, plain_scale) = options, plain
        filled = TcpOptions(
            plain_mss if mss is None else mss,
            plain_sack if sack is None else sack,
            plain_scale if scale is None else scale,
        )
        request = Request(Operation.MOD, request.key, filled)
    octets = encode(request)
    return (octets[:-length], b"") if is6(empty) else (b"", octets[length:])


class Table:
    """The entries that there shall be.

    Args:
        settings: The gateway's.

    Attributes:
        takes6: Whether there is IPv6 in it.
    """

    def __init__(self, settings: Settings) -> None:
        self._reserved: dict[Place, Options] = {}
        self._ends: dict[Options, bytes] = {}  # of requests for whole addresses of IPv4, behind the address
        self.configure(settings)

    def __len__(self) -> int:
        return len(self._reserved)

    def configure(self, settings: Settings) -> bool:
        """From now on, go by these settings; whether anything but what is reserved is different by that."""
        how, pools = settings.synproxy, settings.pools
        before = getattr(self, "_said", None)
        self._options = plain = how.mss, how.sack, how.window_scale
        self._ends = {}
        _, self._behind = _around(0, len(ANY_ADDRESS), plain, plain)
        self._services = {each.packed: self._request(each.packed, plain) for each in pools.service}
        self._spans = [(each[0].packed, each[-1].packed) for each in pools.networks4]
        self.takes6 = _takes6(settings, how)
        self._said = (self._options, self._services, self._spans, self.takes6)
        return self._said != before

    def note(self, changed: Mapping[Place, Terms | None]) -> dict[Place, Options | None]:
        """Reservations begin, or end (None); returns where something is different by that, and what was there before.

        Those of protocols that have no SYNs are passed over.
        An address that is handed on to a host with the same options is none of these; nor is what has come and gone.
        """
        reserved, different = self._reserved, dict[Place, Options | None]()
        find = reserved.get
        for place, terms in changed.items():
            if place[1] >> 16 not in CONCERNED:
                continue
            before = find(place)
            if terms is None:
                if before is None:
                    continue
                del reserved[place]
            else:
                options = terms.tcp_mss, terms.tcp_sack, terms.tcp_window_scale
                if options == before:
                    continue
                reserved[place] = options
            different[place] = before
        return different

    def clear(self) -> None:
        """Nobody is interested any more in what is reserved."""
        self._reserved.clear()

    def reserved(self) -> list[Place]:
        """Where there are reservations."""
        return list(self._reserved)

    def requests(self, had: Iterable[tuple[Place, Options | None]]) -> list[tuple[bytes, int]]:
        """What is to be said of places, if anything is, and how many more entries of reservations there are then.

        Args:
            had: The places, and what was reserved there when the proxy was told last.
        """
        find, plain, end_of, length = self._reserved.get, self._options, self._ends.get, len(ANY_ADDRESS)
        found = list[tuple[bytes, int]]()
        for place, before in had:
            options = find(place)
            if options == before:
                continue
            packed, key = place
            if key:
                start, end = _around(key, len(packed), options, plain)
                found.append((start + packed + end, (options is not None) - (before is not None)))
            elif options is None or before is None or len(packed) != length:
                found += self._whole(packed, before, options)
            else:  # as most are: an address has passed on
                end, had_end = end_of(options) or self._end(options), end_of(before) or self._end(before)
                if self._behind in (end, had_end):  # what it has whatever is reserved
                    found += self._whole(packed, before, options)
                elif end != had_end:
                    found.append((packed + end, 0))
        return found

    def _end(self, options: Options) -> bytes:
        """How the request for the entry of a whole address of IPv4 ends."""
        if len(self._ends) >= KINDS:
            self._ends.clear()
        end = self._ends[options] = _around(0, len(ANY_ADDRESS), options, self._options)[1]
        return end

    def _whole(self, packed: bytes, before: Options | None, options: Options | None) -> Iterator[tuple[bytes, int]]:
        """The same of a whole address, which may have an entry whatever is reserved."""
        lasting = self.lasting(packed)
        had = lasting if before is None else self._request(packed, before)
        wanted = lasting if options is None else self._request(packed, options)
        if wanted != had:
            yield wanted or self._request(packed, None), (wanted != lasting) - (had != lasting)

    def _request(self, packed: bytes, options: Options | None) -> bytes:
        """The request for the entry of a whole address, or for none."""
        start, end = _around(0, len(packed), options, self._options)
        return start + packed + end

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

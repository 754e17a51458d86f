"""Which solicitations are answered: those for addresses of on-link prefixes that live, within a rate.

Nobody is told of the others, so that no sender of packets to addresses that he has made up fills the neighbour cache of
the router before us: what he asks for stays unresolved there, for the few seconds that a router keeps such an entry.

Family: IPv6.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from ipaddress import IPv6Network

import attrs

from realmgw.datapath.neighbours import messages

RATE = 20_000
"""So many solicitations a second are answered at most: twice as many as flows begin when there are many."""
LOOK = 10.0  # seconds
"""How often it is looked at most which addresses have flows that nobody else knows of."""
SHARE = 50
"""So many times as long as that takes it is waited at least."""


@attrs.define
class Counts:
    """What became of solicitations."""

    answered: int = 0
    """Told where the address is."""
    unclaimed: int = 0
    """For addresses that do not live: not answered."""
    malformed: int = 0
    """To be ignored, as RFC 4861 section 7.1.1 says."""
    limited: int = 0
    """Beyond `RATE`."""


class Answers:
    """Decides.

    Args:
        is_live: Whether an address of the pool, packed, has a claim or may have a flow.
    """

    def __init__(self, is_live: Callable[[bytes], bool]) -> None:
        self._is_live = is_live
        self._prefixes: tuple[tuple[int, int], ...] = ()
        self._networks: frozenset[IPv6Network] = frozenset()
        self._kept = frozenset[bytes]()
        self._left = float(RATE)
        self._then = 0.0
        self._next = 0.0  # before that, it is not looked what conntrack has
        self._asked = False
        self.counts = Counts()

    @property
    def networks(self) -> frozenset[IPv6Network]:
        """The on-link prefixes."""
        return self._networks

    def configure(self, networks: Collection[IPv6Network]) -> None:
        """From now on, these are the on-link prefixes."""
        if self._networks == frozenset(networks):
            return
        self._networks = frozenset(networks)
        self._prefixes = tuple((int(each.netmask), int(each.network_address)) for each in networks)
        self._kept = frozenset(each for each in self._kept if self._is_ours(each))

    def keep(self, addresses: Iterable[bytes], now: float, took: float = 0.0) -> None:
        """Take what conntrack has flows to, instead of what it had.

        Args:
            addresses: They, packed, of whatever prefixes: they may be many, and are not looked at here. Flows may have
                been admitted by an earlier run, or so long ago that only conntrack knows of them.
            now: The present, in seconds.
            took: How long it took to find out.
        """
        self._kept = frozenset(addresses)
        self._next, self._asked = now + max(LOOK, took * SHARE), False

    def is_due(self, now: float) -> bool:
        """Whether it should be looked what conntrack has: somebody knows of an address, and we by conntrack or not."""
        return self._asked and now >= self._next

    def answer(self, frame: bytes, own: bytes, now: float) -> bytes | None:
        """Decide about a frame.

        Args:
            frame: It.
            own: Our link-layer address.
            now: The present, in seconds.

        Returns:
            The frame to be sent; None if there is none.
        """
        asked, counts = messages.solicitation(frame), self.counts
        if asked is None:
            counts.malformed += 1
            return None
        if not (self._is_ours(asked.target) and self._lives(asked.target)):
            self._asked = self._asked or asked.is_probe
            counts.unclaimed += 1
            return None
        self._left = min(RATE, self._left + (now - self._then) * RATE)
        self._then = now
        if self._left < 1:
            counts.limited += 1
            return None
        self._left -= 1
        counts.answered += 1
        return messages.advertisement(asked, own)

    def _is_ours(self, address: bytes) -> bool:
        number = int.from_bytes(address, "big")
        return any(number & mask == prefix for mask, prefix in self._prefixes) and len(address) == 16

    def _lives(self, address: bytes) -> bool:
        if self._is_live(address):
            return True
        is_kept = address in self._kept
        self._asked = self._asked or is_kept
        return is_kept

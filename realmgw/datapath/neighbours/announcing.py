"""Announcements, when addresses of on-link prefixes have come here: which, how often, and how many at once.

As routers do it that take over from each other (VRRP, RFC 9568), each is told, and once more some seconds later, as one
may get lost. A large prefix is not told of as a whole: neighbours know only the addresses that they have sent to, so
those with flows come first, and where it ends neighbours find out when their entries expire.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from ipaddress import IPv4Network
from itertools import chain, islice

MOST = 4096
"""So many addresses are announced at a time."""
ROUNDS = 2
"""So often each of them."""
GAP = 5.0  # seconds
"""So long it takes from one round to the next, at least."""
INTERVAL = 0.05  # seconds
"""How often some are announced."""
AT_ONCE = 10
"""How many are: 200 a second."""


class Announcements:
    """What is to be announced."""

    def __init__(self) -> None:
        self._rounds: deque[tuple[float, deque[bytes]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._rounds)

    def add(self, established: Iterable[bytes], networks: Iterable[IPv4Network], now: float) -> None:
        """Announce addresses that have come here, in place of what was left to be announced.

        Args:
            established: Those with flows, packed.
            networks: Prefixes, each address of which may be announced.
            now: The present, in seconds.
        """
        others = (address.packed for network in networks for address in network)
        left = (address for _, addresses in self._rounds for address in addresses)
        chosen = tuple(islice(dict.fromkeys(islice(chain(established, left, others), 2 * MOST)), MOST))
        self._rounds = deque((now + each * GAP, deque(chosen)) for each in range(ROUNDS if chosen else 0))

    def due(self, now: float) -> list[bytes]:
        """Those that are to be announced now, at most `AT_ONCE`, packed; to be called each `INTERVAL`."""
        if not self._rounds or self._rounds[0][0] > now:
            return []
        waiting = self._rounds[0][1]
        found = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
        if not waiting:
            self._rounds.popleft()
        return found

"""Where the clients of each host are expected: each such place holds an address, or a share of one.

That is what a host may have so many of. However many claims stand at a place, they cost nothing more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.allocation.group import Group
    from realmgw.allocation.state import Reservation
    from realmgw.subscribers.model import Host

MARGIN = 0.1
"""Who is to make room for somebody else has a standing that is lower by so much."""


class Places:
    """The reservations with pending claims, by host."""

    def __init__(self) -> None:
        self._held: dict[int, dict[Reservation, None]] = {}
        self._missed: dict[int, float] = {}

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def of(self, host: Host) -> tuple[Reservation, ...]:
        """Those of a host, the oldest first; O(its limit)."""
        return tuple(self._held.get(host.index, ()))

    def take(self, reservation: Reservation) -> None:
        """A reservation has its first pending claim."""
        self._held.setdefault(reservation.service.host.index, {})[reservation] = None

    def leave(self, reservation: Reservation) -> None:
        """A reservation has no pending claim any more."""
        index = reservation.service.host.index
        held = self._held[index]
        del held[reservation]
        if not held:
            del self._held[index]
            self._missed.pop(index, None)

    def miss(self, host: Host, now: float) -> None:
        """Somebody needs a place of a host that has no more of them."""
        self._missed[host.index] = now

    def missed_at(self, host: Host) -> float:
        """When somebody did so last, in monotonic seconds, since anybody is expected there."""
        return self._missed.get(host.index, -math.inf)

    def has_room(self, host: Host) -> bool:
        """Whether a host's clients may be expected at one more place."""
        return len(self._held.get(host.index, ())) < host.max_claims

    def worse(self, host: Host, group: Group, standing: float) -> Reservation | None:
        """Where clients of a host are expected only for other groups of a worse standing; O(its limit).

        Args:
            host: The host.
            group: Who asks.
            standing: Of that group, 0 to 1.
        """
        for reservation in self._held.get(host.index, ()):
            groups = reservation.shares or (reservation.group,)
            if all(each is not group and each.standing < standing - MARGIN for each in groups):
                return reservation
        return None

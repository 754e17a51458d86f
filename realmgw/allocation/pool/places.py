"""Where the clients of each host are expected, and at how many addresses.

That is what a host may have so many of. However many claims and services of it stand at one, they cost nothing more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.allocation.claims.state import Address, Reservation
    from realmgw.allocation.reputation.group import Group
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
        index = reservation.service.host.index
        held = self._held.get(index)
        if held is None:
            self._held[index] = {reservation: None}
        else:
            held[reservation] = None

    def leave(self, reservation: Reservation) -> None:
        """A reservation has no pending claim any more."""
        index = reservation.service.host.index
        held = self._held[index]
        del held[reservation]
        if not held:
            del self._held[index]
            if self._missed:
                self._missed.pop(index, None)

    def miss(self, host: Host, now: float) -> None:
        """Somebody needs a place of a host that has no more of them."""
        self._missed[host.index] = now

    def missed_at(self, host: Host) -> float:
        """When somebody did so last, in monotonic seconds, since anybody is expected there."""
        return self._missed.get(host.index, -math.inf)

    def has_room(self, host: Host) -> bool:
        """Whether a host's clients may be expected at one more address; O(1) as long as it has fewer services there."""
        held = self._held.get(host.index)
        return held is None or len(held) < host.max_claims or self.count(host) < host.max_claims

    def are_at(self, host: Host, address: Address) -> bool:
        """Whether clients of a host are expected at an address; O(its places)."""
        return any(each.address is address for each in self._held.get(host.index, ()))

    def count(self, host: Host) -> int:
        """At how many addresses clients of a host are expected; O(its places)."""
        return len({each.address for each in self._held.get(host.index, ())})

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

"""Where the clients of each host are expected, and at how many addresses.

That is what a host may have so many of. However many claims and services of it stand at one, they cost nothing more.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.state import Address, Reservation
    from realmgw.subscribers.model import Host

MARGIN = 0.1
"""Who is to make room for somebody else has a standing that is lower by so much."""


Key = TypeVar("Key")
Value = TypeVar("Value")


class Shared(dict[int, dict[Key, Value]]):
    """By target or host: what all of its reservations share, for as long as one of them stands."""

    def __init__(self) -> None:
        super().__init__()
        self._further: dict[int, int] = {}

    def enter(self, number: int) -> dict[Key, Value]:
        """One more reservation stands; returns what it shares with the others."""
        shared = self.get(number)
        if shared is None:
            shared = self[number] = {}
        else:
            self._further[number] = self._further.get(number, 0) + 1
        return shared

    def leave(self, number: int) -> bool:
        """One has gone; returns whether it was the last."""
        further = self._further.pop(number, 0)
        if further > 1:
            self._further[number] = further - 1
        elif not further:
            del self[number]
        return not further


class Places:
    """The reservations with pending claims, by host."""

    def __init__(self) -> None:
        self.held: Shared[Reservation, None] = Shared()
        """By the index of each host of which a reservation stands; kept up where claims are made and end."""
        self._missed: dict[int, float] = {}

    def __len__(self) -> int:
        return sum(map(len, self.held.values()))

    def of(self, host: Host) -> tuple[Reservation, ...]:
        """Those of a host, the oldest first; O(its limit)."""
        return tuple(self.held.get(host.index, ()))

    def leave(self, index: int) -> None:
        """A reservation of a host, by its index, has gone."""
        if self.held.leave(index) and self._missed:
            self._missed.pop(index, None)

    def miss(self, host: Host, now: float) -> None:
        """Somebody needs a place of a host that has no more of them."""
        self._missed[host.index] = now

    def missed_at(self, host: Host) -> float:
        """When somebody did so last, in monotonic seconds, if not long ago."""
        return self._missed.get(host.index, -math.inf)

    def has_room(self, host: Host) -> bool:
        """Whether a host's clients may be expected at one more address; O(1) as long as it has fewer services there."""
        held = self.held.get(host.index)
        return not held or len(held) < host.profile.max_claims or self.count(host) < host.profile.max_claims

    def are_at(self, host: Host, address: Address) -> bool:
        """Whether clients of a host are expected at an address; O(its places)."""
        return any(each.address is address for each in self.held.get(host.index, ()))

    def count(self, host: Host) -> int:
        """At how many addresses clients of a host are expected; O(its places)."""
        return len({each.address for each in self.held.get(host.index, ())})

    def worse(self, host: Host, group: Group, standing: float) -> Reservation | None:
        """Where clients of a host are expected only for other groups of a worse standing; O(its limit).

        Args:
            host: The host.
            group: Who asks.
            standing: Of that group, 0 to 1.
        """
        for reservation in self.held.get(host.index, ()):
            groups = reservation.shares or (reservation.group,)
            if all(each is not group and each.standing < standing - MARGIN for each in groups):
                return reservation
        return None

"""The senders that a reservation has let in, and lets in again.

Where many come, one is to be forgotten for each who comes. To look for him costs more than all else that is done with
senders. So there are two generations, and the older one is forgotten as a whole: as in `TwoGenerationLRU`, but also
when it is of no use any more, and without an object for each reservation or a call for each who comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow

Came = tuple[float, "Flow"]
"""Since when somebody has the right to come again (monotonic seconds), and a flow of his."""
SOURCES = 1024
"""How many admitted senders a reservation remembers at most; half as many, the latest ones, in any case."""
SOURCES_ANY = 64
"""Beyond so many, those are forgotten whom it would not help any more."""
GENERATION, FEW = SOURCES // 2, SOURCES_ANY // 2
"""So many of the younger ones are there at most, and are not looked at as long as they are no more."""
NOBODY: dict[bytes, Came] = {}
"""The older ones where there are none, as at most reservations; it stays empty."""


class Place(Protocol):
    """Where senders are let in; see `realmgw.allocation.state.Reservation`."""

    sources: dict[bytes, Came]
    older_sources: dict[bytes, Came]
    sources_full: int
    sources_since: float


def came(reservation: Place, src: bytes) -> Came | None:
    """What is known of a sender (his packed address) who was let in; None: he was not, or is forgotten."""
    return reservation.sources.get(src) or reservation.older_sources.get(src)


def count(reservation: Place) -> int:
    """How many are remembered; who is among the younger ones and the older ones counts twice."""
    return len(reservation.sources) + len(reservation.older_sources)


def make_room(reservation: Place, now: float, linger: float) -> int:
    """Forget the older ones, if it is of no use any more to know them, or the younger ones are very many.

    Args:
        reservation: It has `sources_full` younger ones; afterwards it has fewer.
        now: The present, in monotonic seconds.
        linger: For so long somebody has the right to come again, in seconds.

    Returns:
        How many are forgotten.
    """
    young = len(reservation.sources)
    if young < GENERATION and now - reservation.sources_since < linger:
        reservation.sources_full = min(GENERATION, young + max(1, young >> 3))
        return 0
    gone = len(reservation.older_sources)
    reservation.older_sources, reservation.sources = reservation.sources, {}
    reservation.sources_full, reservation.sources_since = FEW, now
    return gone

"""Which of the claims at a reservation a packet uses."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import TYPE_CHECKING

from realmgw.allocation.claims.ended import HANDSHAKES
from realmgw.allocation.claims.senders import came
from realmgw.allocation.claims.siblings import has_come

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow
    from realmgw.allocation.homes import Homes
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.state import Claim, Reservation

KNOWN = 0.01  # seconds
"""So soon after a packet was let in conntrack has its flow."""
LOOKED_AT = 64
"""So many claims of a reservation are looked at for the one that a packet uses."""


def matching(reservation: Reservation, src: bytes, now: float, homes: Homes) -> Claim | None:
    """The claim that a packet from `src` uses: one bound to its network, else the oldest that is bound to none.

    One that only keeps the address for others comes last, also if it is for his network; and one that is dead by
    experience is used only when there is no other: the packet hardly belongs to it, and the one that it does belong to
    would be left behind and hold the address for nobody. For the same reason those come later whose group is next to
    nothing, or keeps answers; and before these those whose client has come by the other family. Where several groups
    expect somebody, and it is known whose client the sender is, a claim of that one goes before all others: theirs
    would be taken for used, and his would be left behind.
    """
    claims = reservation.claims.values()
    if not reservation.bound:
        oldest = next(iter(claims))
        if len(claims) == 1:
            return oldest
        if reservation.shares is None and oldest.dead > now and not (oldest.is_hold or has_come(oldest)):
            return oldest
        return _likeliest(claims, now, None if reservation.shares is None else homes.trusted(src))
    bound = [claim for claim in reservation.bound.values() if claim.network is not None and src in claim.network]
    own = [claim for claim in bound if not claim.is_hold]
    likely = own or [*bound, *(claim for claim in islice(claims, LOOKED_AT) if claim.network is None)]
    return _likeliest(likely, now, None if reservation.shares is None else homes.trusted(src))


def may_pass(reservation: Reservation) -> bool:
    """Whether a packet may be meant for another service that overlaps: no claim here is for whoever comes."""
    return not reservation.claims or reservation.hold is not None or bool(reservation.bound)


def _likeliest(claims: Collection[Claim], now: float, home: Group | None) -> Claim | None:
    """Which of these, that are in the order of their age, a packet uses; the oldest of those that are alike.

    Of very many the oldest few are looked at, and the youngest: whoever asks without end must not make others wait.
    """
    if not claims:
        return None
    likeliest = min(islice(claims, LOOKED_AT), key=lambda claim: _unlikely(claim, now, home))
    if likeliest.dead <= now and len(claims) > LOOKED_AT:
        youngest: Claim = next(reversed(claims))  # type: ignore[call-overload]  # the values of a dict, or a list
        return min(youngest, likeliest, key=lambda claim: _unlikely(claim, now, home))
    return likeliest


def _unlikely(claim: Claim, now: float, home: Group | None) -> tuple[bool, ...]:
    group, is_hold = claim.group, claim.is_hold
    is_others = home is not None and group.habits is not home.habits  # those that were merged into one share them
    return is_hold, has_come(claim), is_others, claim.dead <= now, group.hopeless, claim.is_long


def goes_before(known: Reservation, flow: Flow, now: float, homes: Homes, *, seen: float) -> Claim | None:
    """The claim that a packet uses whose address has been handed on since a flow that looks the same was let in.

    What only keeps the address for others is no such claim: it is less likely for him than that this is his flow.

    Args:
        known: Where that flow was let in; it stands no more.
        flow: The packet.
        now: The present, in monotonic seconds.
        homes: Whose clients come from where.
        seen: What is looked at now came by then.

    Returns:
        None if there is none, or if the packet can be of the same flow: datagrams always can; of what conntrack knows
        from its first packet on, what had come before that was let in.
    """
    src, _, protocol, _, dport = flow
    if dport:
        since, _ = came(known, src) or (now, flow)  # of his flows there, that was the last one
        if protocol not in HANDSHAKES or since > seen - KNOWN:
            return None
    for key in (protocol << 16 | dport, dport, protocol << 16, 0):
        reservation = known.address.reservations.get(key)
        claim = None if reservation is None or not reservation.claims else matching(reservation, src, now, homes)
        if claim is not None and not claim.is_hold:
            return claim
    return None

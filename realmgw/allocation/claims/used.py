"""Claims that were used, which a reservation keeps: they may let in further senders, or are doubted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.allocation.state import Claim

KEPT = 64
"""How many used claims a reservation keeps for what they have to spare, the latest ones."""


def keep_used(claim: Claim, now: float) -> None:
    """Keep a used claim for what it has to spare; when there are many, forget those with nothing, then the oldest."""
    used = claim.reservation.used
    if used is None:
        claim.reservation.used = [claim]
        return
    while used and (oldest := used[0]).deadline <= now and oldest.is_spent(now):
        del used[0]  # as a rule the oldest ends first
    used.append(claim)
    if len(used) < KEPT:
        return
    used[:] = [each for each in used if not each.is_spent(now)]
    if len(used) >= KEPT:
        for other in used[: -KEPT // 2]:
            if other.doubt is not None:
                other.doubt.unclear = True  # nobody will look for its client any more
        del used[: -KEPT // 2]

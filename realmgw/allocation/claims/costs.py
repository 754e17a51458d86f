"""What an idle claim has kept from others: blame is by that, and not by how often nobody came.

Theory of operation. A claim holds its address from when it was made until it is dead by experience; nobody else can
have it then. If nobody comes, that time was lost to whoever needed an address. But often it was lost to nobody: the
pool had room all the time, or the address was held anyway for others of its host, whose clients did come. So a resolver
that asks again by itself, for names whose clients come, does no harm, and whoever asks while there is room for
everybody is no better and no worse for it. He who then takes everything has made it scarce himself, and is blamed for
whatever still stood by then, also what he had asked for before.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.allocation.pool.places import Places
    from realmgw.allocation.state import Claim


class Costs:
    """Knows when addresses were scarce, and what that makes an idle claim cost.

    Args:
        places: Tell whose hosts had no more places.

    Attributes:
        scarce_at: When addresses were scarce last, in monotonic seconds: half of the pool was taken, or somebody who
            may have one had to do without. Whoever sees it, sets it.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self.scarce_at = -math.inf

    def was_scarce(self, claim: Claim) -> bool:
        """Whether there was not enough for everybody, of addresses or of its host's places, since a claim was made."""
        return max(self.scarce_at, self._places.missed_at(claim.reservation.service.host)) >= claim.created

    def of(self, claim: Claim, now: float) -> float:
        """What a claim that nobody used has cost others, 0 to 1.

        1 is an address for as long as the claim was held to be alive; until others of its host came last, they held it.
        Of several idle ones, each would have kept it alone.
        """
        address, dead = claim.reservation.address, claim.dead
        if not self.was_scarce(claim):
            return 0.0
        begin, end = max(claim.created, address.came_at), min(dead, now)
        return (end - begin) / (dead - claim.created) if end > begin else 0.0

"""What nobody uses, by rate: where nothing is scarce, that is what a resolver group can do too much of.

Each group may make claims that nobody uses, so many a second, by its standing. Every claim takes one of them, and who
comes gives it back. Who has none left is refused, if there is a load policy to refuse anybody; and what a claim that
nobody used counts against the group follows from how many it had left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation.pace import Pace
from realmgw.subscribers.model import CLAIM_LIFETIME

if TYPE_CHECKING:
    from realmgw.allocation.reputation.askers import Askers
    from realmgw.allocation.reputation.group import Group
    from realmgw.config.ipv6 import Ipv6

LEAST = 0.05
"""So much of the rate everybody has, however bad his standing: to show that clients come."""


class Lost(Pace):
    """The claims of a group that nobody has used, or not yet."""

    BURST = CLAIM_LIFETIME
    """As long as a claim stands that nobody uses: so many are under way at once."""


class Allowances:
    """Says how many such claims a group may have.

    Args:
        askers: By whose standing.
        settings: The rate.
    """

    def __init__(self, askers: Askers, settings: Ipv6) -> None:
        self._askers = askers
        self.configure(settings)

    def configure(self, settings: Ipv6) -> None:
        """From now on, go by this rate."""
        self._rate = settings.lost_rate

    def rate(self, group: Group, now: float, *, dry: bool = False) -> float:
        """How many claims a second may be lost; `dry`: nothing is changed."""
        load = self._askers.load
        if load is None:
            return self._rate
        return self._rate * max(LEAST, load.share(group, now, dry=dry))

    def left(self, group: Group, now: float, *, dry: bool = False) -> float:
        """How many claims may be made now."""
        rate = self.rate(group, now, dry=dry)
        return rate * Lost.BURST if group.lost is None else group.lost.room(rate, now)

    def take(self, group: Group, now: float) -> float:
        """A claim is made. Where it is one too many, it is not counted: nothing is owed later on.

        Returns:
            How much the group had used up of what it may lose, 0 to 1: so much it counts if nobody uses this one.
        """
        lost = group.lost
        if lost is None:
            lost = group.lost = Lost()
        rate = self.rate(group, now)
        room = lost.room(rate, now)
        if room >= 1:
            lost.enter(rate, now)
        return 1.0 - max(0.0, room) / (rate * Lost.BURST)

    @staticmethod
    def give_back(group: Group) -> None:
        """A claim was used, or ended for a reason of ours."""
        if group.lost is not None:
            group.lost.leave()

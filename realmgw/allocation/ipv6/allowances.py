"""What nobody uses, by rate: where nothing is scarce, that is what a resolver group can do too much of.

Each group may make claims that nobody uses, so many a second, by its standing. Every claim takes one of them, and who
comes gives it back. Who has none left is refused, if there is a load policy to refuse anybody; and what a claim that
nobody used counts against the group follows from how many it had left.

While packets wait to be looked at, nobody gives anything back who has come. So as many more may be under way then as
are made in the time for which they wait, and nothing is owed for those afterwards.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from realmgw.allocation.pace import Lost
from realmgw.subscribers.model import CLAIM_LIFETIME

if TYPE_CHECKING:
    from realmgw.allocation.reputation.askers import Askers
    from realmgw.allocation.reputation.group import Group
    from realmgw.config.ipv6 import Ipv6

PACE = 0.25  # seconds
"""For so long at least claims are counted to tell how many are made in a second."""
LEAST = 0.05
"""So much of the rate everybody has, however bad his standing: to show that clients come."""


class Unseen(Protocol):
    """See `ReclaimHeap.unseen`."""

    def __call__(self, *, now: float) -> float: ...


class Allowances:
    """Says how many such claims a group may have.

    Args:
        askers: By whose standing.
        settings: The rate.
        unseen: For how many seconds packets have not been looked at.
    """

    def __init__(self, askers: Askers, settings: Ipv6, unseen: Unseen) -> None:
        self._askers, self._unseen = askers, unseen
        self._claimed, self._at, self._pace = 0, -math.inf, 0.0
        self.configure(settings)

    def configure(self, settings: Ipv6) -> None:
        """From now on, go by this rate."""
        self._rate = settings.lost_rate

    def follow(self, claimed: int, now: float) -> None:
        """So many claims were made since the start, by everybody."""
        if now - self._at >= PACE:
            self._pace = (claimed - self._claimed) / (now - self._at)
            self._claimed, self._at = claimed, now

    def rate(self, group: Group, now: float, *, dry: bool = False) -> float:
        """How many claims a second may be lost; `dry`: nothing is changed."""
        load = self._askers.load
        if load is None:
            return self._rate
        share = load.share(group, now, dry=dry)
        return self._rate * (share if share > LEAST else LEAST)  # noqa: FURB136 - a call costs more

    def left(self, group: Group, now: float, *, dry: bool = False) -> float:
        """How many claims may be made now; `dry`: nothing is changed."""
        rate, lost = self.rate(group, now, dry=dry), group.lost
        most = rate * CLAIM_LIFETIME  # as long as a claim stands that nobody uses, so many are under way at once
        if lost is None:
            if dry:
                return most
            lost = group.lost = Lost()
        room = lost.tokens + (now - lost.at) * rate
        room = most if room > most else room  # noqa: FURB136 - likewise
        if room < 1:
            waiting = self._pace * self._unseen(now=now)
            room, most = max(room, -waiting), most + waiting
            left = room + waiting
        else:
            left = room
        if not dry:
            lost.tokens, lost.at, lost.most = room, now, most
        return left

    def take(self, group: Group, left: float) -> float:
        """A claim is made. Where it is one too many, it is not counted: nothing is owed later on.

        Args:
            group: Who asks.
            left: What `left` says of it at present.

        Returns:
            How much the group had used up of what it may lose, 0 to 1: so much it counts if nobody uses this one.
        """
        lost = group.lost
        if lost is None:
            raise AssertionError("it was not asked how many are left")
        if left >= 1:
            lost.tokens -= 1
        return 1.0 - left / lost.most if left > 0 else 1.0

    @staticmethod
    def give_back(group: Group) -> None:
        """A claim was used, or ended for a reason of ours."""
        lost = group.lost
        if lost is not None:
            lost.tokens += 1

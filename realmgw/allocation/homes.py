"""Whose clients come from where: of which resolver group those of a network are, by the claims that they came for.

An Internet provider's resolver is asked by his customers, who live in his networks; whoever runs one for himself asks
from his own. So where clients of a group that keeps answers may still come for the host that had an address before, a
sender from a network whose clients come for that group's claims is one of them, and not the one whom another group's
claim expects; and the other way round. Of networks whose clients come by several groups nothing is known: public
resolvers have clients everywhere.

Family: networks of clients are those of IPv4, /24.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING

import attrs

from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.habits import Habits
from realmgw.allocation.reputation.lru import TwoGenerationLRU

if TYPE_CHECKING:
    from realmgw.allocation.state import Claim

REMEMBERED = 32768
"""Of so many senders at most it is known for whose claims they came, and of so many networks."""
NETWORK = 3  # octets
"""Those whose addresses begin with the same ones are of one network."""
SURE = 0.75
"""Whose clients have used at least this part of the claims lately that those of a network used, he is believed to be
asked by all of them."""
WELL_KNOWN = 0.9
"""So large that part is after some fifteen of them who used no others'."""
FIRST = 0.76
"""So large that part is taken to be when the first one came."""
WEIGHT = 1 / 16
"""Of the one who came last."""


@attrs.define(eq=False)
class _Network:
    """What is known of one."""

    group: Group
    """For whose claims most of its clients come."""
    part: float = FIRST
    """How many of them do, 0.5 to 1, those weighted most who came last."""

    def came(self, group: Group) -> None:
        """One of its clients has used a claim of a group."""
        self.part += ((group is self.group) - self.part) * WEIGHT
        if self.part < 0.5:
            self.group, self.part = group, 1 - self.part


class Homes:
    """Of which resolver group the clients of each network are.

    Attributes:
        find: Tells the group of an address, as text, if it is one that asks.
    """

    def __init__(self) -> None:
        self.find: Callable[[str], Group | None] = _nobody
        self._clients = TwoGenerationLRU[bytes, Group](REMEMBERED)
        self._at_home = TwoGenerationLRU[Habits, bool](REMEMBERED)  # those that were merged into one share them
        self._networks = TwoGenerationLRU[bytes, _Network](REMEMBERED)

    def came(self, src: bytes, claim: Claim, now: float) -> None:
        """Learn that somebody came for a claim. It tells nothing of his network where others are expected as well.

        Args:
            src: His packed address.
            claim: The one that he used, or that let him in.
            now: The present, in monotonic seconds.
        """
        self._clients.put(src, claim.group)
        reservation = claim.reservation
        address = reservation.address
        if reservation.shares is not None or len(src) != 4:
            return
        if address.formers(reservation.service.host.index, now):
            return
        known = self._networks.get(src[:NETWORK])
        if known is None:
            self._networks.put(src[:NETWORK], _Network(claim.group))
            self._at_home.put(claim.group.habits, True)
        else:
            known.came(claim.group)

    def last(self, src: bytes) -> Group | None:
        """For whose claim somebody came last, by his packed address; None: that is not known any more."""
        return self._clients.peek(src)

    def trusted(self, src: bytes) -> Group | None:
        """The same, if it is well known, and that group keeps no answers: its clients come when it has asked for them.

        The first clients of a new resolver may have come for the claims of others.
        """
        known = self._networks.peek(src[:NETWORK])
        if known is None or known.part < WELL_KNOWN:
            return None
        habits = known.group.habits
        return known.group if habits.caution.is_cleared and not habits.keeps_answers else None

    def are_its(self, src: bytes, group: Group) -> bool | None:
        """Whether those of a network are a group's clients, by a packed address in it; None: nobody is known there."""
        known = self._networks.peek(src[:NETWORK])
        if known is None:
            return None if len(src) == 4 else False
        return known.part >= SURE and known.group.habits is group.habits

    def is_at_home(self, group: Group) -> bool:
        """Whether it was learned of some network that a group's clients live there."""
        return self._at_home.peek(group.habits) is not None

    def asking(self, src: bytes) -> Group | None:
        """The group that an address is one of, packed, if it asks for itself."""
        return self.find(str(ip_address(src)))

    def of(self, src: bytes) -> Group | None:
        """Whose clients those of a network are, by a packed address in it; None: that is not known."""
        known = self._networks.peek(src[:NETWORK])
        return None if known is None or known.part < SURE else known.group


def _nobody(resolver: str) -> Group | None:  # noqa: ARG001 - as all who tell it
    """Where it is not known who asks."""
    return None

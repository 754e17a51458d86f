"""How claims of IPv6 end otherwise than by their own client, and what his coming means for those of IPv4."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from realmgw.allocation.claims import outcomes
from realmgw.allocation.claims.siblings import has_come, is_of_one_group, join
from realmgw.allocation.decisionlog import End
from realmgw.allocation.ipv6.state import FreshClaim
from realmgw.allocation.state import Claim

if TYPE_CHECKING:
    from realmgw.allocation.claims.ledger import Ledger
    from realmgw.allocation.claims.paired import Sibling
    from realmgw.allocation.ipv6.allowances import Allowances
    from realmgw.allocation.ipv6.pinholes import PinholeLedger
    from realmgw.allocation.ipv6.state import FreshCounters
    from realmgw.allocation.ipv6.stock import Stock


class Endings:
    """Ends claims.

    Args:
        ledger: That of IPv4.
        pinholes: That of pinholes.
        stock: The claims at fresh addresses.
        allowances: What groups may lose.
        counters: Where it is counted.

    Attributes:
        freed: Called when an IPv4 address may have become available, with the present.
    """

    def __init__(
        self,
        ledger: Ledger,
        pinholes: PinholeLedger,
        stock: Stock,
        allowances: Allowances,
        counters: FreshCounters,
    ) -> None:
        self._ledger, self._pinholes, self._stock = ledger, pinholes, stock
        self._allowances, self._counters = allowances, counters
        self.freed: Callable[[float], object] = bool
        ledger.end_other, pinholes.end_other = self.end_own, self.end_elder

    def end_elder(self, other: Sibling | None, now: float) -> None:
        """A client came by IPv6: the claim of IPv4 that is surely his ends, if there is one yet."""
        if isinstance(other, Claim) and self._ledger.siblings.is_settled(other):
            self._ledger.end_early(other, now)
        self.freed(now)  # or his query for IPv4 waits

    def end_own(self, other: Sibling, now: float) -> None:
        """A client came by IPv4: his claim of IPv6 ends, if the same group asked for it."""
        if not is_of_one_group(other):
            return
        if isinstance(other, Claim):
            self._pinholes.end_early(other, now)
        elif isinstance(other, FreshClaim) and other.pending:
            self._counters.settled += 1
            self._note(other, End.SETTLED, now)
            other.spare = self._ledger.spare_of(other.service, other.group) + 1
            self._stock.keep_for(other, now)
            self._allowances.give_back(other.group)

    def pass_on(self, claim: FreshClaim) -> None:
        """Somebody came by IPv6 for whom somebody had come by IPv4: he falls back, or that was another client's packet.

        It used the oldest claim that it found. So another one may be left for which nobody will come: it is held
        against nobody, and does not end early, since it can not be told.
        """
        other = self._ledger.siblings.left_over(claim.target, claim)
        if other is None:
            return
        if isinstance(other, FreshClaim):
            other.cost = 0.0
        if other.sibling is not None:
            other.sibling.held_against = None
            join(claim, other.sibling)

    def lapse(self, claim: FreshClaim, now: float) -> None:
        """Nobody came for a claim."""
        self._counters.lapsed += 1
        excused = claim.created < self._ledger.outage.excused_until
        self._note(claim, End.EXCUSED if excused else End.LAPSED, now)
        if excused:
            self._counters.excused += 1
            self._allowances.give_back(claim.group)
            outcomes.voided(claim, now)
        elif not has_come(claim):
            outcomes.lapsed(claim, claim.cost, 1.0, now)
        self._stock.end(claim)

    def void(self, claim: FreshClaim, now: float) -> None:
        """A claim ends for a reason of ours."""
        self._counters.voided += 1
        self._note(claim, End.VOIDED, now)
        self._allowances.give_back(claim.group)
        outcomes.voided(claim, now)
        self._stock.end(claim)

    def _note(self, claim: FreshClaim, how: End, now: float) -> None:
        self._ledger.decisions.end(now, claim.number, claim.service.name, how)

"""First packets of IPv6: which host each goes to, by the claim at its address, and by who came there before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation.claims import outcomes
from realmgw.allocation.decisionlog import CLAIM, RETURN, SPARE
from realmgw.allocation.ipv6.state import FreshClaim, Others
from realmgw.allocation.state import KEY, overlap
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.allocation.claims.ledger import Ledger
    from realmgw.allocation.flow import Flow
    from realmgw.allocation.ipv6.allowances import Allowances
    from realmgw.allocation.ipv6.endings import Endings
    from realmgw.allocation.ipv6.pinholes import Pinholes
    from realmgw.allocation.ipv6.state import FreshCounters
    from realmgw.allocation.ipv6.stock import Stock
    from realmgw.allocation.trace import Trace

RENEWAL = 1.0  # seconds
"""It is looked at most that often whether who comes again was answered, so that the address stays for him."""
CLIENT = 8
"""So many octets of a sender's address tell one client from another: his network."""


class FreshArrivals:
    """Decides on first packets.

    Args:
        ledger: That of IPv4.
        stock: The claims at fresh addresses.
        pinholes: Those at hosts' own.
        allowances: What groups may lose.
        endings: Ends claims of IPv4 that are their siblings.
        counters: Where it is counted.
    """

    def __init__(
        self,
        ledger: Ledger,
        stock: Stock,
        pinholes: Pinholes,
        allowances: Allowances,
        endings: Endings,
        counters: FreshCounters,
    ) -> None:
        self._ledger, self._stock, self._pinholes = ledger, stock, pinholes
        self._allowances, self._endings, self._counters = allowances, endings, counters
        self._note = ledger.decisions.admit

    def admit(self, flow: Flow, /, *, now: float, trace: Trace | None = None) -> int:
        """Decide on a first packet; see `realmgw.allocation.arrivals.Arrivals.admit`."""
        _, dst, protocol, _, dport = flow
        claim = self._stock.find(dst)
        if claim is None:
            return self._elsewhere(flow, now, trace)
        key = claim.service.target & KEY
        if key and not overlap(key, protocol << 16 | dport):
            return -Reason.NO_RESERVATION
        reason = self._come(claim, flow, now, trace) if claim.pending else self._return(claim, flow, now, trace)
        return claim.service.host.index if reason is None else -reason

    def _elsewhere(self, flow: Flow, now: float, trace: Trace | None) -> int:
        """Decide on a packet to an address that was drawn for nobody, or long ago."""
        dst = flow[1]
        if dst in self._pinholes.addresses:
            return self._pinholes.arrivals.admit(flow, now=now, trace=trace)
        if self._stock.departed.peek(dst) is None:
            return -Reason.NO_RESERVATION
        if trace is None:
            self._counters.late += 1
        return -Reason.LATE

    def _come(self, claim: FreshClaim, flow: Flow, now: float, trace: Trace | None) -> Reason | None:
        """Somebody comes where a client is expected."""
        if claim.network is not None and flow[0] not in claim.network:
            return Reason.OTHER_NETWORK
        if trace is not None:
            trace.say(f"the claim of {claim.group.resolver}, {now - claim.created:.3f} s old, is used")
            return None
        self._counters.by_claim += 1
        self._counters.delays.come(now - claim.created, claim.number, now)
        self._note(now, claim.number, claim.service.name, flow, CLAIM)
        claim.source, claim.flow, claim.spare = flow[0], flow, self._ledger.spare_of(claim.service, claim.group)
        self._stock.keep_for(claim, now)
        self._allowances.give_back(claim.group)
        outcomes.praise(claim, 1.0, self._ledger.credit_most, now)
        self._endings.end_elder(claim.sibling, now)
        return None

    def _return(self, claim: FreshClaim, flow: Flow, now: float, trace: Trace | None) -> Reason | None:
        """Somebody comes to an address that is kept."""
        src = flow[0]
        if claim.was_let_in(src):
            if trace is not None:
                trace.say("this sender was admitted before")
                return None
            self._counters.by_source += 1
            self._note(now, claim.number, claim.service.name, flow, RETURN)
            before, claim.flow = claim.flow, flow
            if now - claim.kept_since > RENEWAL and (before is None or self._ledger.candidates.is_believed(before)):
                self._stock.renew(claim, now)
            return None
        if not claim.spare or not is_open(claim, now):
            return Reason.NO_CLAIM
        if claim.network is not None and src not in claim.network:
            return Reason.OTHER_NETWORK
        rate = self._ledger.settings.candidate_rate
        if claim.others is not None and claim.others.room(rate, now) < 1:
            return Reason.CROWDED
        if trace is not None:
            trace.say("a used claim lets in further senders")
        else:
            self._spend(claim, flow, now)
        return None

    def _spend(self, claim: FreshClaim, flow: Flow, now: float) -> None:
        """Let somebody in on what a claim has to spare."""
        self._counters.by_spare += 1
        self._note(now, claim.number, claim.service.name, flow, SPARE)
        src, group, claim.flow = flow[0], claim.group, flow
        claim.spare -= 1
        self._stock.renew(claim, now)
        if not claim.source:  # its own client, who had come by IPv4
            claim.source = src
            self._endings.pass_on(claim)
            return
        others = claim.others = claim.others or Others()
        others.enter(self._ledger.settings.candidate_rate, now)
        self._stock.remember(others, src)
        age = now - claim.created
        if age > group.delay_p999:  # who knows the address was told it
            group.habits.came_again(src[:CLIENT], age, group.delay_p999, now)


def is_open(claim: FreshClaim, now: float) -> bool:
    """Whether further clients may come on a used claim.

    Until its deadline, and as long as its group may tell others what it was told: that is as long as it was not seen to
    ask again sooner.
    """
    if now < claim.deadline:
        return True
    group = claim.group
    habits = group.habits
    most = 0.0 if habits.caution.keeps_nothing else habits.renews
    return bool(claim.spare) and now < claim.created + max(group.spell, most) + group.delay_p999

"""The addresses that stand: each with its claim, from the query until nobody comes any more."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

from realmgw.allocation.claims.deadlines import Deadlines
from realmgw.allocation.ipv6.state import FreshClaim, Others
from realmgw.allocation.reputation.lru import TwoGenerationLRU
from realmgw.allocation.state import KEY

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow, Noted
    from realmgw.allocation.reputation.group import Group
    from realmgw.subscribers.model import Host, Terms

DEPARTED = 1 << 16
"""Of so many addresses at most it is known that they stood, and for which flow."""
PROBES = 16
"""So many claims of a host are looked at, the oldest ones, for one that makes room."""
MOST_OTHERS = 1024
"""So many further senders are remembered of an address,"""
SENDERS = 1 << 17
"""and so many of all together."""
LEAST_STAY = 1.0  # seconds
"""For so long an address stays at least after its client has come: conntrack does not know a burst's first packets."""

_NO_FLOW: tuple[()] = ()


class Stock:
    """What stands where. O(1) each, but for what says otherwise.

    Args:
        keep: For how many seconds an address is kept after somebody came.
        is_open: Whether further clients may still come for what a claim says.

    Attributes:
        pending: The claims whose clients are expected, by address.
        kept: Those whose clients have come, by address; who came last is last.
        deadlines: When the pending ones end.
        departed: Addresses that stood a while ago, and the flow that was let in last, if one was.
        leaving: Those pending at addresses that nobody else is told.
        noted: Where every address is put down that begins or ends to stand, see `realmgw.allocation.standing`.
    """

    def __init__(self, keep: float, is_open: Callable[[FreshClaim, float], bool]) -> None:
        self.keep = keep
        self._is_open = is_open
        self.pending: dict[bytes, FreshClaim] = {}
        self.kept: OrderedDict[bytes, FreshClaim] = OrderedDict()
        self.deadlines: Deadlines[FreshClaim] = Deadlines()
        self.departed: TwoGenerationLRU[bytes, Flow | tuple[()]] = TwoGenerationLRU(DEPARTED)
        self.leaving: set[FreshClaim] = set()
        self.noted: Noted | None = None
        self._asked: dict[tuple[int, Group, Hashable], FreshClaim] = {}
        self._of_host: dict[int, dict[FreshClaim, None]] = {}
        self._kept_of_host: defaultdict[int, set[FreshClaim]] = defaultdict(set)
        self._senders = 0

    def __len__(self) -> int:
        return len(self.pending) + len(self.kept)

    def find(self, packed: bytes) -> FreshClaim | None:
        """What stands at an address."""
        claim = self.pending.get(packed)
        return self.kept.get(packed) if claim is None else claim

    def asked(self, target: int, group: Group, question: Hashable) -> FreshClaim | None:
        """The pending claim of a question."""
        return self._asked.get((target, group, question))

    def count(self, host: Host) -> int:
        """How many clients of a host are expected."""
        return len(self._of_host.get(host.index, ()))

    def oldest(self, host: Host) -> Iterable[FreshClaim]:
        """Those claims of a host that were made longest ago, `PROBES` of them."""
        return tuple(islice(self._of_host.get(host.index, ()), PROBES))

    # The ways of a claim

    def stand(self, claim: FreshClaim, timeout: float) -> None:
        """A claim was made just now.

        Args:
            claim: It.
            timeout: For how many seconds claims of its service stand as a rule.
        """
        service = claim.service
        self.pending[claim.packed] = claim
        if self.noted is not None:
            self._note(self.noted, claim, service.terms)
        self._asked[service.target, claim.group, claim.question] = claim
        index = service.host.index
        of_host = self._of_host.get(index)
        if of_host is None:
            self._of_host[index] = {claim: None}
        else:
            of_host[claim] = None
        if claim.deadline == claim.created + timeout:
            self.deadlines.by_timeout[timeout].append(claim)
        else:
            self.deadlines.add_rider(claim)

    @staticmethod
    def _note(noted: Noted, claim: FreshClaim, terms: Terms | None) -> None:
        """Something begins to stand at an address, or ends to."""
        if not noted:
            noted.begin()
        noted[claim.packed, claim.target & KEY] = terms

    def end(self, claim: FreshClaim) -> None:
        """A pending claim is expected no more, and nothing stands at its address."""
        self._end(claim)
        if self.noted is not None:
            self._note(self.noted, claim, None)

    def _end(self, claim: FreshClaim) -> None:
        """A pending claim is expected no more."""
        del self.pending[claim.packed]
        service = claim.service
        del self._asked[service.target, claim.group, claim.question]
        index = service.host.index
        of_host = self._of_host[index]
        del of_host[claim]
        if not of_host:
            del self._of_host[index]
        claim.pending, claim.question = False, None
        if self.leaving:
            self.leaving.discard(claim)

    def keep_for(self, claim: FreshClaim, now: float) -> None:
        """A pending claim is expected no more, and its address stays with its host."""
        self._end(claim)
        claim.kept_since = now
        self.kept[claim.packed] = claim
        self._kept_of_host[claim.service.host.index].add(claim)

    def renew(self, claim: FreshClaim, now: float) -> None:
        """A kept address stays for longer: somebody came."""
        claim.kept_since = now
        self.kept.move_to_end(claim.packed)

    def remember(self, others: Others, src: bytes) -> None:
        """A further sender was let in at an address that is kept."""
        if len(others.sources) < MOST_OTHERS and self._senders < SENDERS:
            others.sources[src] = None
            self._senders += 1

    def leave(self, claim: FreshClaim) -> None:
        """A kept address is nobody's any more."""
        del self.kept[claim.packed]
        if self.noted is not None:
            self._note(self.noted, claim, None)
        index = claim.service.host.index
        of_host = self._kept_of_host[index]
        of_host.discard(claim)
        if not of_host:
            del self._kept_of_host[index]
        if claim.others is not None:
            self._senders -= len(claim.others.sources)
        self.departed.put(claim.packed, claim.flow or _NO_FLOW)

    def evict(self) -> bool:
        """Make room, by the address to which nobody came for longest; False if somebody is expected at all of them."""
        if not self.kept:
            return False
        self.leave(next(iter(self.kept.values())))
        return True

    def expire(self, now: float) -> None:
        """Let go of what is kept, and to which nobody comes any more. O(what goes)."""
        since = now - max(self.keep, LEAST_STAY)
        while self.kept and (claim := next(iter(self.kept.values()))).kept_since <= since:
            if self._is_open(claim, now):
                self.renew(claim, now)
            else:
                self.leave(claim)

    def next_end(self) -> float | None:
        """When something that is kept is to be looked at, in monotonic seconds."""
        return next(iter(self.kept.values())).kept_since + max(self.keep, LEAST_STAY) if self.kept else None

    # What the operator takes away

    def of(self, targets: Collection[int]) -> tuple[list[FreshClaim], list[FreshClaim]]:
        """The pending and the kept claims of some targets. O(what stands of their hosts)."""
        hosts = {target >> 24 for target in targets}
        pending = (each for host in hosts for each in self._of_host.get(host, ()))
        kept = (each for host in hosts for each in self._kept_of_host.get(host, ()))
        return [each for each in pending if each.target in targets], [each for each in kept if each.target in targets]

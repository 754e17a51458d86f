"""First packets: which host each goes to, by the claims, the senders admitted before, and what claims have to spare."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from realmgw.allocation.candidates import Crowd, Flow
from realmgw.allocation.ledger import KEY, Ledger
from realmgw.allocation.state import Address, Claim, Reservation, overlap
from realmgw.allocation.waiting import WaitingQueue
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.subscribers.model import Service

MEMORY = 1.0  # seconds
"""For at least so long, and less than three times, an admitted flow is admitted again where it was: packets of a burst
come before conntrack knows it."""
SOURCES = 1024
"""How many admitted senders a reservation remembers."""
SOURCES_ANY = 64
"""Beyond so many, those are forgotten whom it would not help any more."""
LOOKED_AT = 64
"""So many claims of a reservation are looked at for the one that a packet uses."""
KEPT = 64
"""How many used claims a reservation keeps for what they have to spare, the latest ones."""
RENEWAL = 1.0  # seconds
"""Who was let in before is let in again; it is looked at most that often whether his right to is to be renewed."""
UNLIMITED = 1 << 30
"""How many further senders a claim lets in whose service has `loose_packet` -1."""


class Arrivals:
    """Decides on first packets.

    Args:
        ledger: What stands where.
        queue: The queries that wait for an address.
        serve: Called with the present when queries wait, and an address may have become available.
        now: The present, in monotonic seconds.
    """

    def __init__(self, ledger: Ledger, queue: WaitingQueue, serve: Callable[[float], None], *, now: float) -> None:
        self._ledger = ledger
        self._addresses = ledger.pool.addresses
        self._candidates = ledger.candidates
        self._counters = ledger.counters
        self._queue = queue
        self._serve = serve
        self._young: dict[Flow, Reservation] = {}
        self._old: dict[Flow, Reservation] = {}
        self._turn_at = now + MEMORY

    def admit(self, src: bytes, dst: bytes, protocol: int, sport: int, dport: int, *, now: float) -> int:
        """Decide on a first packet.

        A flow that was admitted a moment ago is admitted again, to the same host. Else the reservation that stands at
        the address for this service decides whether it has something for this sender: a claim, the memory of having
        admitted him, or what a used claim has to spare.

        Args:
            src: Packed address of the sender.
            dst: Packed address that it was sent to.
            protocol: IP protocol number.
            sport: Source port, 0 for protocols without.
            dport: Destination port, likewise.
            now: The present.

        Returns:
            The index of the host to translate to; or minus a `Reason`, and nothing is changed but counters.
        """
        if now >= self._turn_at:
            self._turn(now)
        flow = (src, dst, protocol, sport, dport)
        known = self._young.get(flow) or self._old.get(flow)
        if known is not None:
            return self._again(known, flow, now)
        address = self._addresses.get(dst)
        if address is None:
            return -Reason.NOT_OURS
        get = address.reservations.get  # at most one of these: services at one address do not overlap
        reservation = get(protocol << 16 | dport) or get(dport) or get(protocol << 16) or get(0)
        reason = Reason.NO_RESERVATION if reservation is None else self._refuses(reservation, flow, now)
        if reservation is not None and reason is None:
            self._young[flow] = reservation
            return reservation.service.host.index
        self._candidates.stray(now)
        is_late = reason is not Reason.CROWDED and self._came_late(address, protocol, dport, now)
        return -(Reason.LATE if is_late or reason is None else reason)

    def _again(self, known: Reservation, flow: Flow, now: float) -> int:
        """Admit a flow that was admitted a moment ago.

        With ports it is the same flow. Without them, two flows of a sender look the same: so when the address has been
        handed on since, a claim goes before the memory.
        """
        src, _, protocol, _, dport = flow
        reservations = known.address.reservations
        if not dport and reservations.get(known.service.target & KEY) is not known:
            for key in (protocol << 16, 0):
                reservation = reservations.get(key)
                claim = None if reservation is None or not reservation.claims else matching(reservation, src, now)
                if claim is not None:
                    self._use(claim, flow, now)
                    self._young[flow] = claim.reservation
                    return claim.reservation.service.host.index
        self._counters.by_memory += 1
        return known.service.host.index

    def forget(self, *, now: float) -> None:
        """Forget the flows that were admitted long enough ago."""
        if now >= self._turn_at:
            self._turn(now)

    def forget_targets(self, targets: Collection[int]) -> None:
        """Forget the flows that were admitted to these targets; O(flows of the last few seconds)."""
        for flows in (self._young, self._old):
            for flow in [flow for flow, where in flows.items() if where.service.target in targets]:
                del flows[flow]

    def known(self, flow: Flow, *, now: float) -> Reservation | None:
        """Where a flow was admitted a moment ago and would be again; nothing is changed."""
        if now >= self._turn_at + MEMORY:
            return None
        known = self._young.get(flow) or (self._old.get(flow) if now < self._turn_at else None)
        dport = flow[4]
        if known is not None and not dport:  # without ports, claims of who came after it go first
            reservations = known.address.reservations
            if reservations.get(known.service.target & KEY) is not known:
                others = (reservations.get(flow[2] << 16), reservations.get(0))
                return known if not any(other is not None and other.claims for other in others) else None
        return known

    def _refuses(self, reservation: Reservation, flow: Flow, now: float) -> Reason | None:
        """Let somebody in, or say why not."""
        src, since = flow[0], now
        claim = matching(reservation, src, now) if reservation.claims else None
        if claim is not None:
            self._use(claim, flow, now)
            return None
        admitted = reservation.sources.get(src)
        if admitted is not None and now - admitted[0] <= self._ledger.linger():
            self._counters.by_source += 1
            since = self._renewed(*admitted, now)
        elif (reason := self._refuses_stranger(reservation, flow, now)) is not None:
            return reason
        address = reservation.address
        if address.gone_until > now and _may_mean(address.gone_target, reservation.service):
            self._counters.uncertain += 1
        self._remember(reservation.sources, flow, since, now)
        return None

    def _refuses_stranger(self, reservation: Reservation, flow: Flow, now: float) -> Reason | None:
        """Let somebody in who has no claim and was not there before, or say why not."""
        spare = self.spare(reservation, flow[0], now) if reservation.used else None
        if spare is None:
            return missing(reservation)
        if self.is_meant_for_former(spare, flow[0], now):
            return Reason.LATE
        if not self._joins_the_crowd(reservation, flow, now):
            return Reason.CROWDED
        spare.spare -= 1
        self._counters.by_spare += 1
        if not spare.spare and (kept := reservation.claims.get(spare)) is not None:
            self._ledger.void(kept, now)
            self._serve(now)
        return None

    def _renewed(self, since: float, former: Flow, now: float) -> float:
        """Since when somebody who comes again has the right to: anew, if what he came with before was answered.

        Who only knocks is forgotten when his time is over.
        """
        return now if now - since > RENEWAL and self._candidates.is_believed(former) else since

    def spare(self, reservation: Reservation, src: bytes, now: float) -> Claim | None:
        """The used claim that lets in a further sender, if there is one."""
        for claim in reservation.used or ():
            if claim.spare and (claim.network is None or src in claim.network) and self._candidates.is_open(claim, now):
                return claim
        return None

    def is_meant_for_former(self, spare: Claim, src: bytes, now: float) -> bool:
        """Whether a sender without a claim of his own comes too late, for the host that had the address before.

        So it is when he was let in to that one, or when those who asked for it are known to keep answers; but not while
        the address is kept for others who were told the same.

        Args:
            spare: The used claim that would let him in.
            src: Packed address of the sender.
            now: The present.
        """
        reservation, address = spare.reservation, spare.reservation.address
        former = address.gone
        if former is None or address.gone_until <= now or spare in reservation.claims:
            return False
        if not _may_mean(address.gone_target, reservation.service):
            return False
        return src in former.sources or former.group.keeps_until > now

    def _joins_the_crowd(self, reservation: Reservation, flow: Flow, now: float) -> bool:
        """Whether one more is let in on a used claim; either he or who used it was not meant."""
        candidates = self._candidates
        crowd = reservation.crowd = reservation.crowd or Crowd()
        if not crowd.may_enter(self._ledger.settings.candidate_rate, now):
            return False
        if candidates.can_ask:
            candidates.suspect(reservation, now)
            candidates.note(reservation, flow, now)
        return True

    def _use(self, claim: Claim, flow: Flow, now: float) -> None:
        reservation, claim.user = claim.reservation, (flow, now)
        address, service = reservation.address, reservation.service
        self._counters.by_claim += 1
        if address.gone_until > now and _may_mean(address.gone_target, service):
            self._counters.uncertain += 1
        self._remember(reservation.sources, flow, now, now)
        self._ledger.use(claim, now=now)
        sources = self._ledger.settings.claim_sources
        claim.spare = sources - 1 if sources else UNLIMITED
        if service.loose_packet:
            claim.spare = _loosely(claim.spare, service)
        if claim.spare or claim.doubt is not None:
            _keep(claim, reservation, now)
        if claim.doubt is not None:
            self._candidates.note(reservation, flow, now)
        if claim.spare and claim.waited:
            self._ask_to_stay(claim, now)
        if self._queue.size:
            self._serve(now)

    def _ask_to_stay(self, claim: Claim, now: float) -> None:
        """Others may have been told the same answer, and come in a moment: whoever wants the address has time.

        However many come, the address is kept for no longer because of that.
        """
        ledger = self._ledger
        until = now + claim.group.company(ledger.settings.company)
        if until > now and ledger.places.has_room(claim.reservation.service.host):
            ledger.keep(claim, until=until, now=now)

    def _remember(self, sources: dict[bytes, tuple[float, Flow]], flow: Flow, since: float, now: float) -> None:
        if len(sources) >= SOURCES_ANY:
            self._make_room(sources, flow[0], now)
        sources[flow[0]] = since, flow

    def _make_room(self, sources: dict[bytes, tuple[float, Flow]], src: bytes, now: float) -> None:
        """Forget the senders of old for whom it is of no use any more, and one of them if there are too many."""
        sources.pop(src, None)  # so that it is put last
        useless = now - self._ledger.settings.linger
        for known in tuple(takewhile(lambda known: sources[known][0] < useless, sources)):
            del sources[known]
        if len(sources) >= SOURCES:
            del sources[next(iter(sources))]

    def _came_late(self, address: Address, protocol: int, dport: int, now: float) -> bool:
        late = self.is_late(address, protocol, dport, now)
        self._counters.late += late
        return late

    def is_late(self, address: Address, protocol: int, dport: int, now: float) -> bool:
        """Whether a packet may be meant for a service that left its address a moment ago."""
        if address.gone_until <= now:
            return False
        return address.gone_target & KEY in (protocol << 16 | dport, dport, protocol << 16, 0)

    def _turn(self, now: float) -> None:
        self._old = self._young if now < self._turn_at + MEMORY else {}
        self._young = {}
        self._turn_at = now + MEMORY


def matching(reservation: Reservation, src: bytes, now: float) -> Claim | None:
    """The claim that a packet from `src` uses: one bound to its network, else the oldest that is bound to none.

    Nobody uses one that only keeps the address for others. One that is dead by experience is used only when there is no
    other: the packet hardly belongs to it, and the one that it does belong to would be left behind and hold the address
    for nobody.
    """
    claims = reservation.claims.values()
    if not reservation.bound:
        oldest = next(iter(claims))
        return oldest if oldest.dead > now and not oldest.courtesy else _oldest(claims, now)
    bound = [claim for claim in reservation.bound.values() if claim.network is not None and src in claim.network]
    return _oldest(bound or [claim for claim in islice(claims, LOOKED_AT) if claim.network is None], now)


def _oldest(claims: Collection[Claim], now: float) -> Claim | None:
    """The first of these, which are in the order of their age, that is not dead; else the first.

    Of very many the oldest few are looked at, and the youngest: whoever asks without end must not make others wait.
    """
    looked_at = [claim for claim in islice(claims, LOOKED_AT) if not claim.courtesy]
    alive = next((claim for claim in looked_at if claim.dead > now), None)
    if alive is None and len(claims) > LOOKED_AT:
        youngest: Claim = next(reversed(claims))  # type: ignore[call-overload]  # the values of a dict, or a list
        alive = youngest if youngest.dead > now and not youngest.courtesy else None
    return alive or next(iter(looked_at), None)


def missing(reservation: Reservation) -> Reason:
    """Why somebody is not let in whom no claim is for."""
    others = any(not claim.courtesy for claim in reservation.claims.values())
    return Reason.OTHER_NETWORK if others else Reason.NO_CLAIM


def _loosely(spare: int, service: Service) -> int:
    """How many further senders a used claim lets in until its deadline, by what its service says."""
    if service.loose_packet < 0:
        return UNLIMITED
    return spare if service.autobind else spare + service.loose_packet


def _may_mean(gone: int, service: Service) -> bool:
    """Whether a packet for a service may be meant for the target that had the address before."""
    key = gone & KEY
    return gone != service.target and (not key or overlap(key, service.target & KEY))


def _keep(claim: Claim, reservation: Reservation, now: float) -> None:
    """Keep a used claim for what it has to spare; when there are many, forget those with nothing, then the oldest."""
    used = reservation.used
    if used is None:
        reservation.used = [claim]
        return
    while used and used[0].deadline <= now and used[0].is_over:
        del used[0]
    if len(used) >= KEPT:
        for other in used[: -KEPT // 2]:
            if other.doubt is not None:
                other.doubt.unclear = True  # nobody will look for its client any more
        used[:] = [other for other in used[-KEPT // 2 :] if other.deadline > now]
    used.append(claim)

"""First packets: which host each goes to, by the claims, the senders admitted before, and what claims have to spare.

Family: by it a packet is one allocation's or the other's.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection
from itertools import islice

from realmgw.allocation.claims import holds, lessons, senders
from realmgw.allocation.claims.crowd import Crowd
from realmgw.allocation.claims.ended import UNNOTED, Ended
from realmgw.allocation.claims.ledger import Ledger
from realmgw.allocation.claims.matching import goes_before, matching, may_pass
from realmgw.allocation.claims.used import keep_used
from realmgw.allocation.decisionlog import CLAIM, RESUMED, RETURN, SPARE
from realmgw.allocation.flow import Flow
from realmgw.allocation.latecomers import Latecomers
from realmgw.allocation.state import Address, Claim, Reservation
from realmgw.allocation.trace import Trace, dotted
from realmgw.allocation.waiting import WaitingQueue
from realmgw.errors import Reason
from realmgw.subscribers.model import Host

Admitted = dict[Flow, Reservation]
"""Flows that were admitted lately, and where."""
MEMORY = 1.0  # seconds
"""For at least so long, and less than three times, an admitted flow is admitted again where it was: packets of a burst
come before conntrack knows it."""
SLICE = 1024
"""So many flows are forgotten in one go."""
RENEWAL = 1.0  # seconds
"""Who was let in before is let in again; it is looked at most that often whether his right to is to be renewed."""


class Arrivals:
    """Decides on first packets.

    Args:
        ledger: What stands where.
        queue: The queries that wait for an address.
        serve: Called with the present when queries wait, and an address may have become available.
        now: The present, in monotonic seconds.
    """

    beyond: Callable[..., int]
    """Decides on packets of IPv6 that are for none of the ledger's addresses."""

    def __init__(self, ledger: Ledger, queue: WaitingQueue, serve: Callable[[float], None], *, now: float) -> None:
        self._ledger = ledger
        self._addresses = ledger.pool.addresses
        self._candidates = ledger.candidates
        self._datagrams = ledger.datagrams
        self._counters, self._delays = ledger.counters, ledger.counters.delays
        self._decisions, self._spare = ledger.decisions, ledger.candidates.spare
        self._queue = queue
        self._serve = serve
        self._young, self._old, self._gone = Admitted(), Admitted(), Admitted()
        self._turn_at = now + MEMORY
        self._homes = ledger.homes
        self._late = Latecomers(ledger.candidates, self._homes)
        self._was_client = self._late.was_client  # one for all

    def admit(self, flow: Flow, /, *, now: float, trace: Trace | None = None) -> int:
        """Decide on a first packet.

        A flow that was admitted a moment ago is admitted again, to the same host. Else the reservation that stands at
        the address for this service decides whether it has something for this sender: a claim, the memory of having
        admitted him, or what a used claim has to spare.

        Args:
            flow: What the packet says: who sent it, and for what. Both ports are 0 for protocols without.
            now: The present.
            trace: Where it is said what was looked at, if it is only tried: then nobody is let in.

        Returns:
            The index of the host to translate to; or minus a `Reason`, and nothing is changed but counters.
        """
        if now >= self._turn_at:
            self._turn(now)
        _, dst, protocol, _, dport = flow
        address, may_go_on = self._addresses.get(dst), protocol not in UNNOTED
        if address is None:
            return self._elsewhere(flow, now, trace)
        ended = self._datagrams.find(address, flow, now) if may_go_on else None
        if ended is not None and (verdict := self._goes_on(ended, address, flow, now, trace)):
            return verdict
        known = self._young.get(flow) or self._old.get(flow)
        if known is not None:
            return self._again(known, flow, now, trace)
        if len(address.reservations) > 1:
            reservation = self.meeting(address, flow, now)
        else:  # a whole name, as most are
            reservation = address.reservations.get(0) or address.meeting(protocol, dport)
        reason = Reason.NO_RESERVATION if reservation is None else self._refuses(reservation, flow, now, trace)
        if reason is None and reservation is not None:
            host = reservation.service.host
            if trace is None:
                self._young[flow] = reservation
                if may_go_on and now >= address.noting_from:
                    self._datagrams.note(address, flow, host, now)
            return host.index
        is_late = reason is not Reason.CROWDED and address.was_left_by(protocol, dport, now)
        if trace is None:
            self._refuse(address, reservation, flow, now, is_late=is_late)
        return -(Reason.LATE if is_late or reason is None else reason)

    def _elsewhere(self, flow: Flow, now: float, trace: Trace | None) -> int:
        """Decide on a packet to no address of the pool; one that has left it is that of its flows still."""
        if len(flow[1]) == 16:
            return self.beyond(flow, now=now, trace=trace)
        known = self._young.get(flow) or self._old.get(flow)
        return -Reason.NOT_OURS if known is None else self._again(known, flow, now, trace)

    def _refuse(
        self, address: Address, reservation: Reservation | None, flow: Flow, now: float, *, is_late: bool
    ) -> None:
        src = flow[0]
        self._counters.late += is_late
        self._candidates.refused(src, address.packed, now)
        if reservation is not None:
            reservation.stray_at = now
            if reservation.trial is not None:
                self._late.tell(reservation, flow, -math.inf, now, let_in=False)
        if address.moved is not None and address.was_told(self._homes.last(src), now):
            address.moved.group.habits.strayed()
            address.moved = None  # once is enough

    def _goes_on(self, ended: Ended, address: Address, flow: Flow, now: float, trace: Trace | None) -> int:
        """Decide on a flow that had ended; 0 if this is a new one."""
        host = self._ledger.ended.host_of(ended, now=now)
        if host is None:
            return 0
        if ended.has_just_begun(now):
            if flow in self._young or flow in self._old:
                return 0
            if trace is None:
                self._counters.by_memory += 1
            else:
                trace.say(f"this flow to {host.name} was admitted a moment ago")
            return host.index
        reason = self._is_in_the_way(ended, host, address, flow, now)
        verdict = host.index if reason is None else -reason if reason is Reason.PASSED_ON else 0
        if trace is not None:
            what = "was let in" if ended.lives else "ended"
            trace.say(f"a flow like this to {host.name} {what} {now - ended.at:.1f} s ago, and conntrack forgot it")
            if reason is Reason.PASSED_ON:
                trace.say(f"{dotted(address.packed)} is another host's for such packets by now")
        elif reason is None:
            self._counters.resumed += 1
            self._decisions.admit(now, 0, host.name, flow, RESUMED)
            self._datagrams.resume(address, flow, ended, host, now=now)
        elif verdict:
            self._datagrams.refuse(address, flow, ended, now=now)
        else:
            self._datagrams.forget(address, flow)
        return verdict

    def _is_in_the_way(self, ended: Ended, host: Host, address: Address, flow: Flow, now: float) -> Reason | None:
        """Whether a flow that had ended can go on where it went.

        Returns:
            None if it can; `Reason.PASSED_ON` if the address is another host's. `Reason.NO_CLAIM` if it can not be
            told that it is the flow of old, since somebody like its sender is expected: it is a first packet then.
        """
        reservation, src = self.meeting(address, flow, now), flow[0]
        if reservation is None:
            return None
        if reservation.service.host.index == host.index:
            claim = matching(reservation, src, now, self._homes) if reservation.claims else None
            return None if claim is None or claim.is_hold else Reason.NO_CLAIM
        bound = (reservation.bound or {}).values()
        if any(claim.network is not None and src in claim.network for claim in bound):
            return Reason.NO_CLAIM
        if not flow[4] and senders.came(reservation, src):
            return Reason.NO_CLAIM  # without ports all flows of a sender look alike, and he was let in here since
        if ended.until > now and not reservation.claims and self._spare(reservation, src, now) is None:
            return None
        return Reason.PASSED_ON

    def _again(self, known: Reservation, flow: Flow, now: float, trace: Trace | None) -> int:
        """Admit a flow that was admitted a moment ago.

        When the address has been handed on since, and its client may be this one, it is another flow that looks the
        same: one without ports, or one that begins with a handshake from a port that is used again.
        """
        claim = None
        if not known.stands:
            seen = now - self._ledger.dead.unseen(now=now)
            claim = goes_before(known, flow, now, self._homes, seen=seen)
        where = known if claim is None else claim.reservation
        if trace is not None:
            what = "a claim goes before that" if claim is not None else "it is admitted again"
            trace.say(f"this flow was admitted to {known.service.host.name} a moment ago: {what}")
        elif claim is None:
            self._counters.by_memory += 1
        else:
            self._use(claim, where, flow, now)
            self._young[flow] = where
        return where.service.host.index

    def forget(self, *, now: float) -> None:
        """Forget the flows that were admitted long enough ago; some of them each time, or packets would wait for it."""
        if now >= self._turn_at:
            self._turn(now)
        gone = islice(iter(self._gone.popitem, None), min(len(self._gone), SLICE))
        deque(gone, maxlen=0)  # goes through them, sooner than a loop does

    def forget_targets(self, targets: Collection[int]) -> None:
        """Forget the flows that were admitted to these targets; O(flows of the last few seconds)."""
        for flows in (self._young, self._old):
            for flow in [flow for flow, where in flows.items() if where.service.target in targets]:
                del flows[flow]

    def _refuses(self, reservation: Reservation, flow: Flow, now: float, trace: Trace | None) -> Reason | None:
        """Let somebody in, or say why not."""
        src = flow[0]
        claim = matching(reservation, src, now, self._homes) if reservation.claims else None
        several = len(reservation.told) > 1 and reservation.used
        own = self._left_over(reservation, claim, src, now) if several else None
        if claim is not None and not claim.is_hold and own is None:
            address = reservation.address
            if address.before.told and address.before.are_kept and self._late.is_to_use(claim, src, now):
                if trace is not None:
                    trace.say("clients of his network ask a resolver that was told of the host that was here before")
                return Reason.LATE
            if trace is None:
                self._use(claim, reservation, flow, now)
            else:
                trace.say(f"a claim of {claim.group.resolver}, {now - claim.created:.3f} s old, is used")
            return None
        admitted = senders.came(reservation, src)
        if admitted is not None and self._ledger.may_return(admitted[0], now):
            if trace is not None:
                trace.say(f"this sender was admitted {now - admitted[0]:.1f} s ago")
                return None
            self._counters.by_source += 1
            self._decisions.admit(now, 0, reservation.service.name, flow, RETURN)
            lessons.came_back(reservation, src, now)
            reservation.stray_at = now
            if reservation.trial is not None:
                self._late.tell(reservation, flow, -math.inf, now)
            self._let_in(reservation, flow[0], (self._renewed(*admitted, now), flow), now)
            return None
        spare = own or claim or (self._spare(reservation, src, now) if reservation.used else None)
        reason = None if own is not None else self._refuses_stranger(reservation, spare, src, now)
        if trace is not None:
            what = f"there are {len(reservation.claims)} claims, none of them for him"
            trace.say(what if spare is None else "a used claim lets in further senders")
        elif spare is not None and reason is None:
            self._spend(spare, reservation, flow, now)
        return reason

    def _let_in(self, reservation: Reservation, src: bytes, came: tuple[float, Flow], now: float) -> None:
        """Remember who is let in, and since when he may come again; what follows may take the reservation away."""
        address = reservation.address
        if address.gone_until > now and address.may_be_meant(reservation.service):
            self._counters.uncertain += 1
        before = len(reservation.sources)
        if before >= reservation.sources_full:
            self._ledger.remembered -= senders.make_room(reservation, now, self._ledger.linger())
            before = len(reservation.sources)
        sources = reservation.sources
        sources[src] = came
        self._ledger.remembered += len(sources) - before

    def _refuses_stranger(self, reservation: Reservation, spare: Claim | None, src: bytes, now: float) -> Reason | None:
        """Why somebody is not let in who has no claim and was not there before."""
        if spare is None:
            return Reason.OTHER_NETWORK if reservation.claims else Reason.NO_CLAIM
        if self._late.is_to_spend(spare, src, now):
            return Reason.LATE
        crowd = reservation.crowd or Crowd()
        return Reason.CROWDED if crowd.room(self._ledger.settings.candidate_rate, now) < 1 else None

    def _spend(self, spare: Claim, reservation: Reservation, flow: Flow, now: float) -> None:
        """Let somebody in on what a used claim has to spare."""
        falls_back = spare.sibling is not None and spare.user is None
        if falls_back:  # it is its own client, who had come by IPv6
            spare.user = now, flow
        else:
            self._join_the_crowd(reservation, flow, now)
        if not spare.group.habits.serves_others and not falls_back and not reservation.pay(now):
            self._candidates.stray(now)
        reservation.stray_at = now
        if reservation.trial is not None:
            self._late.tell(reservation, flow, -math.inf, now)
        if not spare.group.habits.is_plain:
            self._homes.came(flow[0], spare, now)
        self._counters.by_spare += 1
        self._decisions.admit(now, spare.number, reservation.service.name, flow, SPARE)
        self._let_in(reservation, flow[0], (now, flow), now)
        if spare.is_hold:
            spare.user = now, flow
            self._ledger.use(spare, now)
        else:
            spare.spare -= 1
        if spare.group.habits.is_known:
            holds.wait_for_others(self._ledger, spare, now, others_wait=self._queue.size > 0)
        if spare.is_hold and not spare.pending and self._queue.size:
            self._serve(now)  # he was the last for whom the address was kept

    def _renewed(self, since: float, former: Flow, now: float) -> float:
        """Since when somebody who comes again has the right to: anew, if what he came with before was answered.

        Who only knocks is forgotten when his time is over.
        """
        return now if now - since > RENEWAL and self._candidates.is_believed(former) else since

    def meeting(self, address: Address, flow: Flow, now: float) -> Reservation | None:
        """What a packet meets at an address: of several services of one host, the one whose client it may be.

        That is where a claim is pending for his network, else where one is that may be his, else where he was before,
        else where he is let in as a further one, else the one that is named most closely.
        """
        src, _, protocol, _, dport = flow
        closest = address.meeting(protocol, dport)
        if closest is None or len(address.reservations) == 1:
            return closest
        found = [address.reservations.get(key) for key in (protocol << 16 | dport, dport, protocol << 16, 0)]
        matches = [each for each in found if each is not None]
        if not may_pass(closest) and not any(each.bound for each in matches):
            return closest
        claims = [(each, matching(each, src, now, self._homes) if each.claims else None) for each in matches]
        own = [(each, claim) for each, claim in claims if claim is not None and not claim.is_hold]
        if own:
            return next((each for each, claim in own if claim.network is not None), own[0][0])
        least = now - self._ledger.linger()
        before = next((each for each in matches if (its := senders.came(each, src)) and its[0] >= least), None)
        open_ones = (each for each, claim in claims if claim is not None or self._spare(each, src, now) is not None)
        return before or next(open_ones, closest)

    def _left_over(self, reservation: Reservation, claim: Claim | None, src: bytes, now: float) -> Claim | None:
        """What a used claim of his own group has to spare for a sender, where the pending one is another group's.

        He was told what its first client was told. Did he use the other claim, its client would find none, and the
        address may be another host's by then. Unless that one is bound to his network: then it is he who is expected.
        """
        home = None if claim is None or claim.network is not None else self._homes.trusted(src)
        if claim is None or home is None or home.habits is claim.group.habits:
            return None
        own = self._spare(reservation, src, now, home)
        return None if own is None or self._refuses_stranger(reservation, own, src, now) else own

    def _join_the_crowd(self, reservation: Reservation, flow: Flow, now: float) -> None:
        """One more is let in on a used claim; either he or who used it was not meant."""
        candidates = self._candidates
        crowd = reservation.crowd = reservation.crowd or Crowd()
        crowd.enter(self._ledger.settings.candidate_rate, now)
        if candidates.can_ask:
            candidates.suspect(reservation, now)
            candidates.note(reservation, flow, now)

    def _use(self, claim: Claim, reservation: Reservation, flow: Flow, now: float) -> None:
        ledger, habits, src = self._ledger, claim.group.habits, flow[0]
        claim.user = came = now, flow
        self._counters.by_claim += 1
        self._delays.come(now - claim.created, claim.number, now)
        self._decisions.admit(now, claim.number, reservation.service.name, flow, CLAIM)
        if reservation.trial is not None:
            self._late.tell(reservation, flow, claim.created, now)
        self._let_in(reservation, src, came, now)
        caution = habits.caution
        if not caution.serves_several and caution.is_new(src) and (likely := self._late.client_likelihood(claim, src)):
            caution.served(flow, likely, now, self._was_client)
            habits.look(now)  # the next question may be for another host at one of its addresses
        if ledger.dead.watching or not habits.is_plain:
            self._homes.came(src, claim, now)
        ledger.use(claim, now)
        spare = ledger.spare
        if ledger.is_closed or reservation.service.terms.loose_packet:
            spare = ledger.spare_of(reservation.service, claim.group)
        claim.spare = spare
        if spare or claim.doubt is not None:
            keep_used(claim, now)
        if claim.doubt is not None:
            self._candidates.note(reservation, flow, now)
        several = not habits.is_plain or claim.waited or reservation.hold is not None
        if several or now < ledger.short_until or self._queue.size:
            self._wait_for_others(claim, src, now, several=bool(several))

    def _wait_for_others(self, claim: Claim, src: bytes, now: float, *, several: bool) -> None:
        """See whether further clients are to be waited for at an address; then those are served who wait for one."""
        ledger, others_wait = self._ledger, self._queue.size > 0
        several = several or (others_wait and claim.group.habits.caution.serves_several)
        sooner = now < ledger.short_until and self._late.are_told_sooner(claim, src, now)
        if claim.spare and (several or sooner) and not (claim.waited and self._late.is_lonely(claim, src)):
            holds.wait_for_others(ledger, claim, now, others_wait=others_wait, is_told_sooner=sooner)
        if others_wait:
            self._serve(now)

    def _turn(self, now: float) -> None:
        self._gone, self._old = self._old, self._young if now < self._turn_at + MEMORY else {}
        self._young, self._turn_at = {}, now + MEMORY

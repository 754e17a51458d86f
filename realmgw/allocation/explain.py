"""The allocation's decisions run dry: each step with its reason, and nothing is counted, claimed or forgotten.

The steps are those of `Allocator.ask` and `Arrivals.admit`, in their order, and they ask the same predicates; that both
come to the same end is what the tests of this module compare.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

import attrs

from realmgw.allocation import vacancies
from realmgw.allocation.arrivals import Arrivals
from realmgw.allocation.claims import courtesies
from realmgw.allocation.claims.ended import UNNOTED
from realmgw.allocation.claims.ledger import Ledger
from realmgw.allocation.claims.matching import matching
from realmgw.allocation.reputation.load_policy import Judgement, Kind
from realmgw.allocation.state import KEY, Address, Reservation, State
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.allocation.allocator import Allocator
    from realmgw.allocation.flow import Flow
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.allocation.reputation.score import Party
    from realmgw.subscribers.model import Host, Service


BESIDE = "where other services of its host stand"


@attrs.frozen
class Explanation:
    """What would be decided, and why."""

    steps: tuple[str, ...]
    """What was looked at, in order, each with what was found."""
    address: bytes | None = None
    """The packed address that a query would be answered with, where that is certain."""
    host: int = 0
    """The index of the host that a packet would be admitted to."""
    reason: Reason | None = None
    """Why it would be refused."""


def explain_ask(
    allocator: Allocator, service: Service, resolver: Hashable, *, now: float, client: Requestor | None = None
) -> Explanation:
    """What `Allocator.ask` would say to a new question.

    Args:
        allocator: The pool.
        service: What is asked for.
        resolver: The address value that the query comes from.
        now: The present, in monotonic seconds.
        client: For whom, if that is known and believed.
    """
    return _Asking(allocator, service, allocator.groups.known(resolver), client, now).explain()


class _Asking:
    """One question, step by step."""

    def __init__(
        self, allocator: Allocator, service: Service, group: Group, client: Requestor | None, now: float
    ) -> None:
        self._allocator = allocator
        self._ledger = allocator.ledger
        self._service = service
        self._group = group
        self._client = client
        self._now = now
        self._steps: list[str] = []

    def explain(self) -> Explanation:
        service, pool = self._service, self._allocator.pool
        held, most = self._ledger.places.count(service.host), service.host.profile.max_claims
        self._say(f"{service.name} leads to {service.host.name} (host {service.host.index})")
        for step in askers(self._group, self._client, self._now):
            self._say(step)
        if self._allocator.outage.suspended:
            self._say("something that flows need is broken, see `realmgw status`: nothing is lent until it is well")
            return self._refuse(Reason.DEGRADED)
        limited = self._limited()
        if limited is not None:
            return limited
        self._say(f"clients of the host are expected at {held} addresses, of at most {most}")
        self._say(
            f"load: {pool.waiting} of {pool.size} addresses are waited at; {self._allocator.waiting} queries wait"
        )
        return self._held_back() or self._expected() or self._limit() or self._sticky() or self._new()

    def _held_back(self) -> Explanation | None:
        """What those meet who keep answers, or may do so."""
        finder, ledger, group = self._allocator.finder, self._ledger, self._group
        if group.habits.is_plain:
            return None
        if finder.on_trial(self._service, group, self._now) is not None:
            self._say("it is told nothing of this for a moment: if its clients come all the same, it keeps answers")
            return self._exhausted()
        if not courtesies.holds_its_share(ledger, group, self._now):
            return None
        address = finder.kept(self._service, ledger.expected.get(self._service.target), self._now)
        if address is not None and not courtesies.is_too_much(ledger, address):
            return self._give(address, "where this host is kept already for those who keep answers")
        share = f"{ledger.kept} addresses stand for long for those who keep answers"
        self._say(f"{share}, and others ask as well (keeper_share)")
        return self._exhausted()

    def _limit(self) -> Explanation | None:
        host = self._service.host
        if self._ledger.places.has_room(host):
            return None
        within = self._allocator.finder.within(self._service, self._group, self._now)
        if within is not None:
            return self._give(within, BESIDE)
        if self._ledger.places.worse(host, self._group, self._group.reputation.value(self._now)) is None:
            return self._refuse(Reason.HOST_LIMIT)
        self._say("those of a worse standing would make room")
        return None

    def _say(self, step: str) -> None:
        self._steps.append(step)

    def _refuse(self, reason: Reason) -> Explanation:
        return Explanation((*self._steps, f"refused: {reason.name}"), reason=reason)

    def _give(self, address: Address, how: str) -> Explanation:
        return Explanation((*self._steps, f"given: {dotted(address.packed)}, {how}"), address=address.packed)

    def _limited(self) -> Explanation | None:
        policy, standing = self._allocator.askers.load, self._allocator.counters.pending
        if policy is None or policy.most_claims == math.inf:
            return None
        self._say(f"claims pending on all hosts together: {standing} of at most {policy.most_claims} (max_claims)")
        if policy.room(standing) > 0:
            if standing >= policy.most_claims:
                self._say("audit: that is only counted")
            return None
        return self._refuse(Reason.CLAIM_LIMIT)

    def _expected(self) -> Explanation | None:
        expected = self._ledger.expected.get(self._service.target)
        if expected is None:
            self._say("nobody is expected for this service")
            return None
        joined = self._allocator.finder.joinable(expected, self._service.host, self._group, self._now)
        if joined is None:
            self._say("clients are expected for it, but this one can not join them")
            return None
        return self._give(joined.address, "where a client of the same host is expected already")

    def _sticky(self) -> Explanation | None:
        last = self._ledger.last.get(self._service.target)
        if last is None:
            self._say("the service has no address that it had last")
            return None
        told = self._allocator.finder.told(self._service, self._group, self._now)
        if told is not None:
            return self._give(told.address, "where this group was told last that it is")
        if last.is_spoilt(self._service.host.index, self._now):
            self._say(f"the address that it had last, {dotted(last.packed)}, is where clients of another host may come")
            return None
        own = last.reservations.get(self._service.target & KEY)
        used = own is not None and own.claims
        if not used and self._allocator.finder.may_return(last, self._group, self._now):
            return self._give(last, "the address that it had last")
        if self._is_restrained():
            self._say("its standing is next to nothing, so that it keeps no address from others but now and then")
            return None
        why = "is in use" if last.state is State.WAITING else "is not for who asks now, since others wait"
        self._say(f"the address that it had last, {dotted(last.packed)}, {why}")
        return None

    def _new(self) -> Explanation:
        allocator, pool = self._allocator, self._allocator.pool
        beside = allocator.finder.beside(self._service, self._group, self._now)
        if beside is not None:
            return self._give(beside, BESIDE)
        key = self._service.target & KEY
        shared = pool.shareable(key)
        if shared is not None and allocator.finder.may_stay(shared, self._group, self._now):
            refusal = self._judged(Kind.SFQDN_REUSE)
            if refusal is not None:
                return refusal
            return self._give(shared, "shared with services that it does not overlap with")
        self._say("no address in use can be shared")
        if allocator.waiting:
            self._say("others wait already")
            return self._exhausted()
        asked = pool.available or self._is_restrained()
        refusal = self._judged(Kind.SFQDN_NEW if key else Kind.FQDN_NEW) if asked else None
        if refusal is not None:
            return refusal
        address = vacancies.vacant(self._ledger, self._service, self._group, self._now, patient=True)
        if address is not None:
            free = address.state is State.FREE
            return self._give(
                address, "free for longest" if free else "lingering for longest: nobody is expected there"
            )
        if pool.available:
            self._say("at the addresses that linger, clients may still come for what was told before")
        else:
            self._say("every address is waited at")
        now = self._now
        if any(address.hold <= now and not address.is_kept(now) for address in pool.in_state(State.WAITING)):
            return Explanation((*self._steps, "given: an address that nobody comes to any more"))
        return self._exhausted()

    def _is_restrained(self) -> bool:
        policy = self._allocator.askers.load
        return policy is not None and policy.restrains(self._group)

    def _judged(self, kind: Kind) -> Explanation | None:
        policy = self._allocator.askers.load
        if policy is None:
            self._say("there is no load policy")
            return None
        judgement = policy.judge(kind, self._allocator.pool.load, self._group, self._client, self._now)
        for step in judged(judgement):
            self._say(step)
        return self._refuse(judgement.reason) if judgement.reason and not judgement.audited else None

    def _exhausted(self) -> Explanation:
        policy = self._allocator.askers.load
        if policy is not None:
            judgement = policy.judge(Kind.SFQDN_REUSE, 0.0, self._group, self._client, self._now)
            if judgement.in_vain and not judgement.audited:
                self._say(f"it may not wait: {judgement.offered:.2f} of the best is next to nothing")
                return self._refuse(Reason.POLICY)
            self._say("it may wait")
        return self._refuse(Reason.EXHAUSTED)


def askers(group: Group, client: Requestor | None, now: float) -> Iterator[str]:
    """Who asks, what is thought of him, and how that comes about."""
    others = f" and {len(group.nodes) - 1} more" if len(group.nodes) > 1 else ""
    kind = "preset" if group.preset is not None else "proven" if group.passed else "unproven"
    yield f"resolver group {group.nodes[0]}{others}: {kind}{', with an agreement' if group.sla else ''}"
    yield f"its reputation: {reputation(group, now)}"
    yield from habits(group, now)
    if client is not None:
        yield f"client {client.key}, who is believed: {reputation(client, now)}"
    elif group.sla:
        yield "no client is named"


def habits(group: Group, now: float) -> Iterator[str]:
    """What a resolver group does with answers, as far as that is known."""
    its, spell = group.habits, f"its clients come for up to {group.spell:.1f} s after one"
    if its.predicts_until > now:
        yield f"it tells what it keeps, and asks again each time: {spell}"
    elif its.keeps_answers and its.keeps_until > now:
        yield f"it keeps answers: {spell}"
    elif its.keeps_until > now:
        yield "it asks once for all of its clients that ask meanwhile"
    elif its.caution.is_on:
        yield f"it is new, and asks for several: until it is known, {spell}"
    if its.company < math.inf:
        yield f"those of its clients who are told at one time come within {its.company * 1000:.0f} ms"


def reputation(party: Party, now: float) -> str:
    """A reputation, and how it comes about."""
    its = party.reputation
    value = its.value(now)
    return (
        f"{value:.2f}, of {its.previous:.2f} for the last period and {its.current():.2f} for this one, which began with"
        f" {its.initial:.2f} and has {its.ok:.4g} ok, {its.nok:.4g} nok, {its.neutral:.4g} neutral"
    )


def judged(judgement: Judgement) -> Iterator[str]:
    """What the load policy says to an allocation."""
    kind = judgement.kind.name.lower()
    yield f"the load policy is asked for {kind}; the best reputation known is {judgement.best:.2f}"
    for band, offered, demanded in judgement.tried:
        verdict = "enough" if offered >= demanded else "too little"
        yield (
            f"band {band.threshold_min:g}-{band.threshold_max:g} %: offered is {offered:.2f} ({band.math.value}) of"
            f" the best, demanded {demanded:.2f}: {verdict}"
        )
    if not judgement.tried and judgement.reason is not None:
        yield "no band contains this load"
    if judgement.reason is not None and judgement.audited:
        yield f"audit: {judgement.reason.name} would be the answer, but is only counted"


def explain_admit(allocator: Allocator, flow: Flow, *, now: float) -> Explanation:
    """What `Allocator.admit` would say to a packet. Conntrack may be asked about others who came.

    Args:
        allocator: The pool.
        flow: Packed source and destination, protocol, source and destination port (0 for protocols without).
        now: The present.
    """
    ledger, arrivals = allocator.ledger, allocator.arrivals
    src, dst, protocol, _, dport = flow
    gone_on = _gone_on(ledger, arrivals, flow, now)
    if gone_on is not None:
        return gone_on
    known = arrivals.known(flow, now=now)
    if known is not None:
        return _again(known.service.host)
    address = ledger.pool.addresses.get(dst)
    if address is None:
        return Explanation((f"{dotted(dst)} is no address of the pool", "refused: NOT_OURS"), reason=Reason.NOT_OURS)
    steps = [f"{dotted(dst)} is {address.state.name}, with {len(address.reservations)} reservations"]
    reason = Reason.NO_RESERVATION
    for key in _order(arrivals, address, flow, now):
        reservation = address.reservations.get(key)
        if reservation is None:
            steps.append(f"protocol {key >> 16}, port {key & 0xFFFF}: nothing is reserved")
            continue
        refused, why = _refuses(ledger, arrivals, reservation, src, now)
        host = reservation.service.host
        steps.append(f"protocol {key >> 16}, port {key & 0xFFFF}: reserved for {reservation.service.name}; {why}")
        if refused is None:
            return Explanation((*steps, f"admitted to {host.name}"), host=host.index)
        reason = refused
    if arrivals.is_late(address, protocol, dport, now):
        steps.append("a service left this address a moment ago")
        reason = Reason.LATE
    return Explanation((*steps, f"refused: {reason.name}"), reason=reason)


def _order(arrivals: Arrivals, address: Address, flow: Flow, now: float) -> tuple[int, ...]:
    """The service keys that a packet may be meant for, in the order in which it is looked at them."""
    _, _, protocol, _, dport = flow
    keys = (protocol << 16 | dport, dport, protocol << 16, 0)
    met = arrivals.meeting(address, flow, now)
    first = keys[0] if met is None else met.service.target & KEY
    return (first, *(key for key in keys if key != first))


def _again(host: Host) -> Explanation:
    return Explanation((f"this flow was admitted a moment ago: admitted to {host.name} again",), host=host.index)


def _gone_on(ledger: Ledger, arrivals: Arrivals, flow: Flow, now: float) -> Explanation | None:
    """What becomes of a flow that had ended; None if this is a new one."""
    address = ledger.pool.addresses.get(flow[1])
    ended = None if address is None or flow[2] in UNNOTED else ledger.datagrams.find(address, flow, now=now)
    host = None if ended is None else ledger.ended.host_of(ended, now=now)
    if address is None or ended is None or host is None:
        return None
    if ended.has_just_begun(now):
        return _again(host) if arrivals.known(flow, now=now) is None else None
    what = "was let in" if ended.lives else "ended"
    told = f"this flow to {host.name} {what} {now - ended.at:.1f} s ago; if it comes here, conntrack has forgotten it"
    reason = arrivals.is_in_the_way(ended, host, address, flow, now)
    if reason is None:
        return Explanation((told, f"admitted to {host.name} again: nobody else is expected there"), host=host.index)
    if reason is Reason.PASSED_ON:
        steps = told, f"{dotted(address.packed)} is another host's for such packets by now", f"refused: {reason.name}"
        return Explanation(steps, reason=reason)
    return None


def _refuses(
    ledger: Ledger, arrivals: Arrivals, reservation: Reservation, src: bytes, now: float
) -> tuple[Reason | None, str]:
    """Why a reservation would not let somebody in (None: it would), and that in words."""
    claim = matching(reservation, src, now) if reservation.claims else None
    if claim is not None and not claim.courtesy:
        return None, f"a claim of {claim.group.resolver}, {now - claim.created:.3f} s old, would be used"
    admitted = reservation.sources.get(src)
    if admitted is not None and now - admitted[0] <= ledger.linger():
        return None, f"this sender was admitted {now - admitted[0]:.1f} s ago"
    spare = claim or arrivals.spare(reservation, src, now)
    if spare is None:
        if reservation.claims:
            return Reason.OTHER_NETWORK, f"{len(reservation.claims)} claims are for other networks"
        return Reason.NO_CLAIM, "no claim is left"
    if arrivals.is_meant_for_former(spare, src, now):
        return Reason.LATE, "a used claim lets in further senders, but this one comes for the host before"
    return None, "a used claim lets in further senders, at a rate"


def dotted(address: bytes) -> str:
    """A packed address for humans."""
    if len(address) == 4:
        return ".".join(map(str, address))
    return ":".join(f"{address[at] << 8 | address[at + 1]:x}" for at in range(0, 16, 2))

"""The allocation's decisions run dry: each step with its reason, and nothing is counted, claimed or forgotten.

It is `Allocator.ask` and `Allocator.admit` themselves that are asked, with a trace in which they say what they find.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

import attrs

from realmgw.allocation.claims.siblings import elder
from realmgw.allocation.reputation.load_policy import Kind
from realmgw.allocation.trace import Trace, dotted
from realmgw.errors import Reason

if TYPE_CHECKING:
    from realmgw.allocation.allocator import Allocator
    from realmgw.allocation.flow import Flow
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.allocation.reputation.score import Rated
    from realmgw.subscribers.model import Host, Service


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
    allocator: Allocator,
    service: Service,
    resolver: Hashable,
    *,
    now: float,
    client: Requestor | None = None,
    family: int = 4,
) -> Explanation:
    """What `Allocator.ask` would say to a new question.

    Args:
        allocator: The pool.
        service: What is asked for.
        resolver: The address value that the query comes from.
        now: The present, in monotonic seconds.
        client: For whom, if that is known and believed.
        family: Of the address that is wanted, 4 or 6.
    """
    host, trace = service.host, Trace()
    group = allocator.groups.known(resolver)
    trace.say(f"{service.name} leads to {host.name} (host {host.index})")
    trace.steps += askers(group, client, now)
    if family == 6:
        _fresh(allocator, service, group, now, trace)
    else:
        _scarce(allocator, host, trace)
    found = allocator.ask(service, resolver, object(), now=now, client=client, trace=trace, family=family)
    if found is Reason.DEGRADED:
        trace.say("something that flows need is broken, see `realmgw status`: nothing is lent until it is well")
    elif found is Reason.EXHAUSTED:
        found = _waits(allocator, group, client, now, trace)
    if isinstance(found, Reason):
        return Explanation((*trace.steps, f"refused: {found.name.lower()}"), reason=found)
    if not found:
        return Explanation((*trace.steps, f"given: an address of IPv6, {trace.how}"))
    return Explanation((*trace.steps, f"given: {dotted(found)}, {trace.how}"), address=found)


def _scarce(allocator: Allocator, host: Host, trace: Trace) -> None:
    """What there is of IPv4."""
    ledger, pool = allocator.ledger, allocator.pool
    held, most = ledger.places.count(host), host.profile.max_claims
    trace.say(f"clients of the host are expected at {held} addresses, of at most {most}")
    trace.say(f"load: {pool.waiting} of {pool.size} addresses are waited at; {allocator.waiting} queries wait")
    if allocator.askers.load is None:
        trace.say("there is no load policy")
    if allocator.askers.most_claims < math.inf:
        pending = f"{allocator.counters.pending} of at most {allocator.askers.most_claims} (max_claims)"
        trace.say(f"claims pending on all hosts together: {pending}")


def _fresh(allocator: Allocator, service: Service, group: Group, now: float, trace: Trace) -> None:
    """What there is of IPv6."""
    fresh, host = allocator.fresh, service.host
    trace.say(
        f"{fresh.stock.count(host)} clients of the host are expected by IPv6, of at most {host.profile.max_claims}"
    )
    trace.say(f"{fresh.pending} claims of IPv6 are pending in all, of at most {fresh.settings.pending} (ipv6.pending)")
    left, rate = fresh.allowances.left(group, now, dry=True), fresh.allowances.rate(group, now, dry=True)
    trace.say(f"its group may make {left:.0f} more that nobody uses, and {rate:.0f} more a second (ipv6.lost_rate)")
    if allocator.askers.load is None:
        trace.say("there is no load policy: beyond that nobody is refused")
    sibling = elder(service, group, now)
    if sibling is not None:
        trace.say(
            f"it asked for IPv4 {now - sibling.asked:.3f} s ago; {group.pairs:.0%} of its clients ask for both at once"
        )


def _waits(allocator: Allocator, group: Group, client: Requestor | None, now: float, trace: Trace) -> Reason:
    """What becomes of who is told to wait."""
    load = allocator.askers.load
    if load is None:
        return Reason.EXHAUSTED
    judgement = load.judge(Kind.SFQDN_REUSE, 0.0, group, client, now)
    if judgement.in_vain and not judgement.audited:
        trace.say(f"it may not wait: {judgement.offered:.2f} of the best is next to nothing")
        return Reason.POLICY
    trace.say("it may wait")
    return Reason.EXHAUSTED


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
    for tcp, how in ((False, "UDP"), (True, "TCP")):
        if its.asks_for_each(tcp=tcp):
            yield f"it asks once for each of its clients by {how}"
    if its.company < math.inf:
        yield f"those of its clients who are told at one time come within {its.company * 1000:.0f} ms"


def reputation(rated: Rated, now: float) -> str:
    """A reputation, and how it comes about."""
    its = rated.reputation
    value = its.value(now)
    return (
        f"{value:.2f}, of {its.previous:.2f} for the last period and {its.current():.2f} for this one, which began with"
        f" {its.initial:.2f} and has {its.ok:.4g} ok, {its.nok:.4g} nok, {its.neutral:.4g} neutral"
    )


def explain_admit(allocator: Allocator, flow: Flow, *, now: float) -> Explanation:
    """What `Allocator.admit` would say to a packet. Conntrack may be asked about others who came.

    Args:
        allocator: The pool.
        flow: Packed source and destination, protocol, source and destination port (0 for protocols without).
        now: The present.
    """
    trace, address = Trace(), allocator.pool.addresses.get(flow[1])
    address = address or allocator.fresh.pinholes.addresses.get(flow[1])
    if (claim := allocator.fresh.stock.find(flow[1])) is not None:
        what = "a client is expected" if claim.pending else f"it is kept, since {now - claim.kept_since:.1f} s"
        trace.say(f"{dotted(flow[1])} is an address of its own for {claim.service.name}: {what}")
    elif allocator.fresh.drawing.holds(flow[1]):
        trace.say(f"{dotted(flow[1])} is one of the pool of IPv6, and nobody's at present")
    elif address is None:
        trace.say(f"{dotted(flow[1])} is no address of the pool")
    else:
        trace.say(f"{dotted(flow[1])} is {address.state.name.lower()}, with {len(address.reservations)} reservations")
        for key in (flow[2] << 16 | flow[4], flow[4], flow[2] << 16, 0):
            if (each := address.reservations.get(key)) is not None:
                which = f"protocol {key >> 16 or 'any'}, port {key & 0xFFFF or 'any'}"
                trace.say(f"{which}: reserved for {each.service.name}")
    verdict = allocator.admit(flow, now=now, trace=trace)
    if verdict > 0:
        return Explanation((*trace.steps, f"admitted to host {verdict}"), host=verdict)
    reason = Reason(-verdict)
    if reason is Reason.LATE:
        trace.say("a service left this address a moment ago")
    return Explanation((*trace.steps, f"refused: {reason.name.lower()}"), reason=reason)

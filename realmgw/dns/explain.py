"""What a view would make of a question, step by step; nothing is asked for, counted or sent.

It tells how the decision came about by which the question would be answered (`Decisions.decide`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from realmgw.allocation.reputation.challenges import Challenge, Proof
from realmgw.allocation.reputation.group import Group
from realmgw.config.policy import Challenges
from realmgw.dns.codec import names
from realmgw.dns.codec.message import Response
from realmgw.dns.codec.wire import Type
from realmgw.dns.decision import Decision, Outcome
from realmgw.dns.families import Source
from realmgw.dns.mitigation.aliases import Alias
from realmgw.dns.mitigation.challenger import Challenger
from realmgw.dns.view import View
from realmgw.subscribers.model import Service

_PROOFS = {
    Proof.NONE: "by UDP, without a cookie of ours: anybody can have sent it",
    Proof.COOKIE: "by UDP, with a valid server cookie: its sender is who he says",
    Proof.TCP: "by TCP: its sender is who he says",
}
_CHALLENGES = {
    Challenge.COOKIE: "BADCOOKIE: it comes again with the server cookie in the answer (see `--cookie`)",
    Challenge.TC: "TC: it comes again by TCP (see `--tcp`); with a client cookie in it: BADCOOKIE (see `--cookie`)",
    Challenge.CNAME: "CNAME to a one-time alias, and it asks for that; then the allocator is asked",
}
_SOURCES = {
    Source.POOL: "an address of the pool is lent",
    Source.PINHOLE: "the host's own address is told, and opened for the next flow (pinhole)",
    Source.NO_ADDRESS: "the host has no address of that family",
    Source.NO_POOL: "the host has one, but pools.circular has no prefix of that family",
    Source.OFF: "the host has one, but ipv6 is off for it or on this machine, or pinhole, and the address is private",
}


@attrs.frozen
class NameExplanation:
    """What there is of a name."""

    steps: tuple[str, ...]
    """What was looked at, in order, each with what was found."""
    service: Service | None = None
    """The service that the allocator would be asked for, at once or when the alias is asked for."""
    challenge: Challenge | None = None
    """What the resolver would have to do first."""
    response: Response | None = None
    """What is said to whoever asks, where the allocator is not."""
    resolver: str = ""
    """Who asks, as the allocator is told."""
    family: int = 4
    """Of the addresses that the allocator is asked for."""


@attrs.frozen
class Question:
    """What is to be explained."""

    name: str
    """With or without the final dot."""
    address: str
    """Where it comes from, as text."""
    kind: int = Type.A
    """The type asked for: A or AAAA."""
    proof: Proof = Proof.NONE
    """What it shows of its sender."""
    cookie: bool = False
    """It has a client cookie, and those are given."""


def explain_name(
    view: View, asked: Question, now: float, elsewhere: Callable[[bytes, int, str], str] | None = None
) -> NameExplanation:
    """What a question for an address of a name comes to, before the allocator is asked.

    Args:
        view: Who is asked.
        asked: The question.
        now: The present, in monotonic seconds.
        elsewhere: Tells what becomes of a name (wire form, type, who asks) in none of our zones that somebody on a LAN
            asks for; None: it is refused.

    Raises:
        names.BadNameError: It is none.
    """
    side = view.side(asked.address)
    if side is not view:
        begin = "its sender is on a LAN, where pool addresses lead nowhere: answered as there, and nothing is reserved"
        found = explain_name(side, asked, now, elsewhere)
        return attrs.evolve(found, steps=(begin, *found.steps))
    text, kind, proof = asked.name, asked.kind, asked.proof
    name = names.to_wire(text if text.endswith(".") else text + ".").lower()
    resolver = view.senders.who(asked.address)
    decision = view.decisions.decide(name, kind, resolver, proof, asked.cookie, now)
    outcome, service, alias, challenge, _ = decision
    zone = view.table.zones.of(name)
    if zone is None:
        begin = f"{text} lies in none of our zones"
        if elsewhere is not None and view.near is None:
            return NameExplanation((begin, elsewhere(name, kind, asked.address)))
        outside = begin, "refused: REFUSED"
        return NameExplanation(outside, response=view.decisions.response(name, kind, decision))
    steps = [f"it lies in our zone {names.to_text(zone.apex)}", *_one_of_many(asked.address, resolver)]
    if alias is not None:
        steps.append(_alias(alias, now))
    if service is not None:
        steps += _families(view, service, kind)
    challenger, family = view.decisions.challenger, 4 if kind == Type.A else 6
    if challenger is None or outcome not in (Outcome.LENT, Outcome.CHALLENGED):
        response = view.decisions.response(name, kind, decision)
        return NameExplanation((*steps, *_same_for_all(view, decision, response)), response=response)
    if alias is not None or challenger.active:
        steps += _challenge(challenger, name, decision, resolver, proof, now)
    if outcome is Outcome.CHALLENGED:
        told = service if challenge is Challenge.CNAME else None
        return NameExplanation(tuple(steps), told, challenge, resolver=resolver, family=family)
    steps.append("it is a service: the allocator is asked")
    if proof is not Proof.TCP and family == 4 and challenger.follows_tc(resolver):
        steps.append("its group follows TC: if it had to wait for an address, it would be told to come by TCP for that")
    return NameExplanation(tuple(steps), service, resolver=resolver, family=family)


def _one_of_many(address: str, resolver: str) -> Iterator[str]:
    """Whose address it is, where one resolver has many."""
    if address != resolver:
        yield f"{address} is one address of many of a resolver: {resolver} stands for it"


def _families(view: View, service: Service, kind: int) -> Iterator[str]:
    """What there is of a type of address to lend for a service, and why not."""
    source = view.decisions.source(service, kind)
    if source is not None:
        family = "IPv4 (A)" if kind == Type.A else "IPv6 (AAAA)"
        yield f"{family}: {_SOURCES[source]}"


def _alias(alias: Alias, now: float) -> str:
    age = now - alias.made
    return f"it is a one-time alias of {names.to_text(alias.owner)}, told to {alias.resolver} {age:.1f} s ago"


def _same_for_all(view: View, decision: Decision, response: Response) -> tuple[str, ...]:
    outcome, service, _, _, _ = decision
    if outcome is Outcome.NXDOMAIN:
        return ("it is no service, and nothing is below it", "answered: NXDOMAIN")
    if service is not None and service.terms.proxy_required and view.decisions.challenger is not None:
        there = "with the service pool's addresses" if response.answers else "no data, since the service pool has none"
        return (f"it needs the reverse proxy: answered {there}",)
    if outcome is Outcome.ADDRESSES:
        told = "the private address" if response.answers else "what is said there, without an address"
        return (f"answered: {told}",)
    if outcome is Outcome.NODATA and service is not None:
        return ("it is a service, and there is nothing to lend", "answered: no data")
    if outcome is Outcome.NODATA:
        return ("it is no service, but has names below it", "answered: no data")
    if not response.answers:
        return ("it is a name of the zone's own, and has no such address", "answered: no data")
    return ("it is a name of the zone's own: answered with its records",)


def _challenge(
    challenger: Challenger, name: bytes, decision: Decision, resolver: str, proof: Proof, now: float
) -> Iterator[str]:
    """What is due, if it is enforced, and how that comes about."""
    outcome, _, alias, challenge, _ = decision
    rules = challenger.rules(name if alias is None else alias.owner)
    yield f"challenges of its zone: {_switches(rules)}"
    yield f"the query comes {_PROOFS[proof]}"
    if rules.adaptive and not proof and alias is None:
        yield _known(challenger.find(resolver), now)
    if challenge is None:
        yield "no challenge is due"
    elif outcome is Outcome.LENT:
        yield f"a challenge is due, and only counted: {challenge.name.lower()}"
    else:
        yield f"due: {_CHALLENGES[challenge]}"


def _switches(rules: Challenges) -> str:
    on = [word for word in ("tcpcname", "adaptive", "tcp", "cname") if getattr(rules, word)]
    return ", ".join(on) or "none"


def _known(group: Group | None, now: float) -> str:
    if group is None or not group.passed:
        return "its group has never passed a challenge, or that is forgotten"
    passed = ", ".join(_passed(group))
    standing = group.reputation.value(now)
    return f"its group has passed {passed}, last {now - group.proven_at:.0f} s ago; its reputation is {standing:.2f}"


def _passed(group: Group) -> Iterator[str]:
    return (challenge.name.lower() for challenge in Challenge if group.passed & challenge)

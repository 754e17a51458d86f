"""What the WAN's face would make of a question, step by step; nothing is asked for, counted or sent.

It asks what the answers themselves ask: `WanAnswers.respond` for what is the same for everybody, `Challenger.foresee`
for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from realmgw.allocation.reputation.challenges import Challenge, Proof
from realmgw.allocation.reputation.group import Group
from realmgw.config.policy import Challenges
from realmgw.dns.answers import kind_of
from realmgw.dns.codec import names
from realmgw.dns.codec.message import Response
from realmgw.dns.codec.wire import IN, Query, Rcode, Type
from realmgw.dns.counts import Count
from realmgw.dns.fastpath.usual import A_IN
from realmgw.dns.mitigation.aliases import Alias
from realmgw.dns.mitigation.challenger import Asking
from realmgw.dns.wan import WanAnswers
from realmgw.dns.zones import ZoneTable
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


def explain_name(answers: WanAnswers, text: str, asking: Asking) -> NameExplanation:
    """What a question for the address (A) of a name comes to, before the allocator is asked.

    Args:
        answers: The WAN's.
        text: The name, with or without the final dot.
        asking: How it comes.

    Raises:
        names.BadNameError: It is none.
    """
    name = names.to_wire(text if text.endswith(".") else text + ".").lower()
    if answers.inside.holds(asking.resolver):
        return _explain_inside(answers, name, text)
    zone = answers.table.zones.of(name)
    if zone is None:
        return _outside(text)
    steps = [f"it lies in our zone {names.to_text(zone.apex)}"]
    service, alias = answers.table.services.get(name), answers.alias(name, now=asking.now)
    if alias is not None:
        service = answers.table.services.get(alias.owner)
        steps.append(_alias(alias, asking.now))
    if service is None or not answers.lends(service):
        response = answers.respond(_query(name), zone, service)
        return NameExplanation((*steps, *_same_for_all(answers.table, name, service, response)), response=response)
    if alias is not None or answers.challenger.active:
        challenge, said = _challenge(answers, name, alias, asking)
        steps += said
        if challenge is not None:
            return NameExplanation(tuple(steps), service if challenge is Challenge.CNAME else None, challenge)
    steps.append("it is a service: the allocator is asked")
    if asking.proof is not Proof.TCP and answers.challenger.follows_tc(asking.resolver):
        steps.append("its group follows TC: if it had to wait for an address, it would be told to come by TCP for that")
    return NameExplanation(tuple(steps), service)


def _query(name: bytes) -> Query:
    return Query(b"\0\0", 0, name + A_IN, name, Type.A, IN)


def _outside(text: str) -> NameExplanation:
    steps = f"{text} lies in none of our zones", "refused: REFUSED"
    return NameExplanation(steps, response=Response(Rcode.REFUSED))


def _explain_inside(answers: WanAnswers, name: bytes, text: str) -> NameExplanation:
    begin = "its sender is on a LAN, where pool addresses lead nowhere: answered as there, and nothing is reserved"
    zone = answers.table.zones.of(name)
    if zone is None:
        outside = _outside(text)
        return attrs.evolve(outside, steps=(begin, *outside.steps))
    response = answers.lan.respond(_query(name), zone, answers.table.services.get(name))
    what = "the private address" if kind_of(response) is Count.ADDRESSES else "what is said there, without an address"
    steps = begin, f"it lies in our zone {names.to_text(zone.apex)}", f"answered: {what}"
    return NameExplanation(steps, response=response)


def _alias(alias: Alias, now: float) -> str:
    age = now - alias.made
    return f"it is a one-time alias of {names.to_text(alias.owner)}, told to {alias.resolver} {age:.1f} s ago"


def _same_for_all(table: ZoneTable, name: bytes, service: Service | None, response: Response) -> tuple[str, ...]:
    if response.rcode is Rcode.NXDOMAIN:
        return ("it is no service, and nothing is below it", "answered: NXDOMAIN")
    if service is not None:
        there = "with the service pool's addresses" if response.answers else "no data, since there is no service pool"
        return (f"it needs the reverse proxy: answered {there}",)
    if name not in table.static:
        return ("it is no service, but has names below it", "answered: no data")
    if not response.answers:
        return ("it is a name of the zone's own, and has no address", "answered: no data")
    return ("it is a name of the zone's own: answered with its records",)


def _challenge(
    answers: WanAnswers, name: bytes, alias: Alias | None, asking: Asking
) -> tuple[Challenge | None, list[str]]:
    """What is due, if it is enforced, and how that comes about."""
    challenger = answers.challenger
    rules = challenger.rules(name if alias is None else alias.owner)
    steps = [f"challenges of its zone: {_switches(rules)}", f"the query comes {_PROOFS[asking.proof]}"]
    if rules.adaptive and not asking.proof and alias is None:
        steps.append(_known(challenger.find(asking.resolver), asking.now))
    challenge = challenger.foresee(name, alias, asking)
    if challenge is None:
        return None, [*steps, "no challenge is due"]
    if challenger.audit:
        return None, [*steps, f"a challenge is due, and only counted: {challenge.name}"]
    return challenge, [*steps, f"due: {_CHALLENGES[challenge]}"]


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
    return (challenge.name for challenge in Challenge if group.passed & challenge)

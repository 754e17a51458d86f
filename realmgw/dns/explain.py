"""What the WAN's face would make of a question, step by step; nothing is asked for, counted or sent."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from realmgw.allocation.challenges import Challenge, Proof
from realmgw.allocation.group import Group
from realmgw.config.policy import Challenges
from realmgw.dns import names
from realmgw.dns.wan import WanAnswers
from realmgw.dns.zones import Authority, ZoneTable
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


@attrs.frozen
class Asking:
    """How a question comes."""

    resolver: str
    """From which address, as text."""
    proof: Proof = Proof.NONE
    """What it shows of its sender."""
    now: float = 0.0
    """When, in monotonic seconds."""


def explain_name(answers: WanAnswers, text: str, asking: Asking) -> NameExplanation:
    """What a question for the address (A) of a name comes to, before the allocator is asked.

    Args:
        answers: The WAN's.
        text: The name, with or without the final dot.
        asking: How it comes.

    Raises:
        names.BadNameError: It is none.
    """
    table = answers.table
    name = names.to_wire(text if text.endswith(".") else text + ".").lower()
    zone = table.zones.of(name)
    if zone is None:
        return NameExplanation((f"{text} lies in none of our zones", "refused: REFUSED"))
    steps = [f"it lies in our zone {names.to_text(zone.apex)}"]
    service = table.services.get(name)
    if service is None:
        return NameExplanation((*steps, *_without_service(table, name)))
    if service.proxy_required:
        return NameExplanation((*steps, "it needs the reverse proxy: answered with the service pool's addresses"))
    if answers.challenger.active:
        challenge, said = _challenge(answers, zone, asking)
        steps += said
        if challenge is not None:
            return NameExplanation(tuple(steps), service if challenge is Challenge.CNAME else None, challenge)
    return NameExplanation((*steps, "it is a service: the allocator is asked"), service)


def _without_service(table: ZoneTable, name: bytes) -> tuple[str, ...]:
    if name in table.static:
        return ("it is a name of the zone's own: answered with its records",)
    if name in table.below:
        return ("it is no service, but has names below it", "answered: no data")
    return ("it is no service, and nothing is below it", "answered: NXDOMAIN")


def _challenge(answers: WanAnswers, zone: Authority, asking: Asking) -> tuple[Challenge | None, list[str]]:
    """What is due, if it is enforced, and how that comes about."""
    challenger = answers.challenger
    rules = challenger.rules(zone.apex)
    steps = [f"challenges of its zone: {_switches(rules)}", f"the query comes {_PROOFS[asking.proof]}"]
    if rules.adaptive and not asking.proof:
        steps.append(_known(challenger.find(asking.resolver), asking.now))
    challenge = challenger.foresee(rules, asking.resolver, proof=asking.proof, cookie=False, now=asking.now)
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

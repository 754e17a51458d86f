"""Policy: stages, groups of subscribers and of resolvers, challenges."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network

from realmgw.config.addresses import overlapping
from realmgw.config.consistency.found import Found, twice, values
from realmgw.config.document import Node, Problems, place
from realmgw.config.labels import Label
from realmgw.config.pipeline import Check
from realmgw.config.policy import ALWAYS, BEFORE_ROUTING
from realmgw.config.settings import Audit, Challenges, Network, PolicyStage
from realmgw.config.terms import USUAL_GROUPS
from realmgw.config.validators import suggestion

NAMED = 20
"""So many groups are named where there is none of a name."""


def _policy(problems: Problems) -> Found[None]:
    yield from _stages(problems)
    yield from _groups(problems)
    yield from twice(problems, Label.AUDIT, Audit, lambda rule: f"{rule.value!r} stands twice: remove one")
    resolvers: list[tuple[Network, Node]] = []
    for value, node in problems.remembered.get(Label.RESOLVER, ()):
        assert isinstance(value, IPv4Network | IPv6Network)
        resolvers.append((value, node))
        yield None
    for index, first in (yield from overlapping([network for network, _ in resolvers])):
        (network, node), (_, other) = resolvers[index], resolvers[first]
        yield node, f"{network} belongs to a group already, at {place(other)}: remove one of them"
    yield from _aliases(problems)


def _stages(problems: Problems) -> Found[None]:
    """What the network policy consists of, in which order, and what it is about."""
    said = "the stage {.value} stands twice: remove one"
    yield from twice(problems, Label.STAGE, PolicyStage, said.format)
    yield from twice(problems, Label.CHECK, Check, lambda check: f"{check.value!r} stands twice: remove one")
    given = list(values(problems, Label.STAGE, PolicyStage))
    late: PolicyStage | None = None
    for stage, node in given:
        early = stage in BEFORE_ROUTING
        if early and late is not None:
            yield node, f"{stage.value} is met before a packet is routed, and {late.value} after: write it before that"
        late = late if early else stage
    order = [stage for stage, _ in given]
    for stage, node in given:
        own = PolicyStage.CUSTOMER_POLICY
        if stage is PolicyStage.GROUP_POLICY and own in order and order.index(own) < order.index(stage):
            yield node, f"rules of groups are tried before those of hosts: write {stage.value} before {own.value}"
    there = set(order)
    for stage in ALWAYS:
        if given and stage not in there:
            yield given[-1][1], f"{stage.value} is missing, and there is no gateway without: write it"
    yield from twice(problems, Label.TUNNEL, str, "the interface {} stands twice: remove one".format)
    sides, known = [name for name, _ in values(problems, Label.INTERFACE, str)], set[str]()
    for tunnel, node in values(problems, Label.TUNNEL, str):
        known.add(tunnel)
        yield (node, f"{tunnel} is one of the gateway's sides: remove it") if tunnel in sides else None
    for name, node in values(problems, Label.STAGE_INTERFACE, str):
        if sides and name not in known and name not in sides:
            yield node, f"{name} is none of {', '.join(sides)}: write one of them, or add it to pipeline.tunnels"
        yield None


def _groups(problems: Problems) -> Found[None]:
    """Where groups of subscribers are told of, nothing is about others."""
    known = set[str]()
    for name, _ in values(problems, Label.GROUP, str):
        known.add(name)
        yield None
    for name, node in values(problems, Label.GROUPED, str) if known else ():
        yield (node, unknown_group(name, known)) if name not in known else None
    listening = [node for listen, node in values(problems, Label.UPDATE, tuple) if listen]
    for name in USUAL_GROUPS if known and not problems.remembered.get(Label.DEFAULT_GROUPS) else ():
        for node in listening if name not in known else ():
            yield node, f"who registers here is of the group {name!r}: {unknown_group(name, known)}, in defaults.groups"


def unknown_group(name: str, known: Collection[str]) -> str:
    """What is wrong with a name of a group of subscribers, and what to write instead.

    Args:
        name: It.
        known: Those that `policy.pipeline.groups` tells of.
    """
    return f"there is no group {name!r} in policy.pipeline.groups: {suggestion(name, sorted(known)[:NAMED])}"


def _aliases(problems: Problems) -> Found[None]:
    has_aliases = any(value for value, _ in values(problems, Label.ALIAS_ZONE, bool))
    for challenges, node in values(problems, Label.CHALLENGES, Challenges):
        needing = [word for word in ("tcpcname", "cname") if getattr(challenges, word)]
        if needing and not has_aliases:
            said = (
                "gives one-time aliases, and there is no zone for them: add a zone with 'aliases: true', or use 'tcp'"
            )
            yield node, f"{needing[0]!r} {said}"
        yield None


PARTS = (_policy,)
"""Each says what is wrong with its own."""

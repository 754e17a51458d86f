"""What the rules of a host say of the first packet of a flow, in the order in which the kernel tries them: pure.

Limits are taken as not reached, by rate or by count; what is known of a packet is what `First` says of it, and its flow
is new. Nothing is asked of the kernel: that this comes to the same is what rules mean (`realmgw.config.meaning`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from realmgw.config.meaning import Meaning, Ports, meaning
from realmgw.config.protocols import ICMP, ICMP6, TCP
from realmgw.config.rules import Direction, Rule, Target
from realmgw.config.settings import Settings
from realmgw.config.values import Address
from realmgw.datapath.pipeline import groups
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.policy.rules import origin
from realmgw.subscribers.model import Host

ECHO_REQUEST = {ICMP: 8, ICMP6: 128}
"""The type of the message that a first packet is, by protocol."""


@attrs.frozen
class First:
    """The first packet of a flow, with the host's private address on its side."""

    source: Address
    """Where it comes from."""
    destination: Address
    """Where it goes; of the same family."""
    protocol: int
    """IP protocol number. Of TCP it is a SYN, of ICMP an echo request."""
    sport: int
    """Of the source; 0 for protocols without."""
    dport: int
    """Of the destination."""


@attrs.frozen
class Verdict:
    """What the rules of a host say."""

    target: Target
    """What becomes of the packet; not LOG, which decides nothing."""
    rule: str
    """Which rule says so, in words: whose it is, its priority, and its comment; empty: none does, and it passes."""
    steps: tuple[str, ...]
    """How that comes about."""


def verdict(settings: Settings, host: Host, direction: Direction, first: First) -> Verdict:
    """What the rules of a host, and before them those of its groups, say.

    Args:
        settings: What the groups are told by.
        host: Whose rules they are.
        direction: Whether it sends or receives the packet.
        first: It.
    """
    steps, rule = list[str](), ""
    for name, rules in _lists(settings, host):
        for tier, matched in _matching(rules, direction, first):
            said = origin(matched, tier)
            steps.append(f"{host.name}, {direction.value}: {said}: {matched.target.value}")
            if matched.target is Target.LOG:
                continue  # the next one decides
            rule = said
            if matched.target is not Target.ACCEPT:
                return Verdict(matched.target, rule, tuple(steps))
            if name:
                steps.append("what a group lets pass is asked of the next rules")
            break
    steps.append(f"{host.name}, {direction.value}: no rule forbids it")
    return Verdict(Target.ACCEPT, rule, tuple(steps))


def _lists(settings: Settings, host: Host) -> Iterator[tuple[str, list[tuple[str, Rule]]]]:
    """Lists of rules in the order in which they are tried, each with the group it is of; its own rules come last."""
    told = {group.name: group for group in groups.told(settings)}
    said = Classes(told).said_of(host)
    for name in said.groups:
        yield name, [(f"group {name}", each.rule) for each in told[name].rules]
    yield "", [*(("admin", rule) for rule in said.own.admin), *(("user", rule) for rule in said.own.user)]


def _matching(rules: Iterable[tuple[str, Rule]], direction: Direction, first: First) -> Iterator[tuple[str, Rule]]:
    """The rules that match, in their order, each with whose it is."""
    return ((tier, rule) for tier, rule in rules if rule.direction is direction and matches(meaning(rule), first))


def matches(meant: Meaning, first: First) -> bool:
    """Whether a rule matches the first packet of a flow that reaches no limit."""
    return (
        meant.family in (None, first.source.version)
        and (meant.src is None or first.source in meant.src)
        and (meant.dst is None or first.destination in meant.dst)
        and (not meant.protocol or meant.protocol == first.protocol)
        and all(_has_port(each, first) for each in meant.ports)
        and _is_such(meant, first)
        and not any(each is not None and each.is_over for each in (meant.limit, meant.connections))
    )


def _has_port(ports: Ports, first: First) -> bool:
    port = first.sport if ports.word == "sport" else first.dport
    return any(begin <= port <= end for begin, end in ports.ranges) is not ports.is_not


def _is_such(meant: Meaning, first: First) -> bool:
    """Whether it has the flags, and is the message of ICMP, that a rule is about."""
    if meant.flags and first.protocol != TCP:
        return False
    for flags in meant.flags:
        if ({"syn"} & set(flags.mask) == set(flags.wanted)) is flags.is_not:
            return False
    if meant.icmp is None:
        return True
    is_it = ECHO_REQUEST.get(first.protocol) == meant.icmp.type and meant.icmp.code in (None, 0)
    return is_it is not meant.icmp.is_not

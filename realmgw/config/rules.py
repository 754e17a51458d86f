"""Rules of firewalls as values, and their schema: those of subscribers, and those that the operator has in stages.

The rules are those of existing collections of subscribers, whose words are those of iptables::

    FIREWALL_ADMIN:
        - {priority: 0, direction: EGRESS, protocol: 17, udp: {dport: 53}, target: REJECT, comment: {comment: DNS}}

A rule has a place (`priority`), a direction, what it matches - addresses, protocol, and *parts*: a part is an extension
of iptables with its options - and a target. What it means says `realmgw.config.meaning`; how that is done is the
business of another room.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from collections.abc import Mapping as AbstractMapping
from typing import Any, TypeVar

import attrs

from realmgw.config.addresses import network
from realmgw.config.document import Mapping, Node, Problems, Sequence
from realmgw.config.meaning import meaning
from realmgw.config.protocols import NAMES, protocol
from realmgw.config.steps import Steps
from realmgw.config.validators import (
    Key,
    Section,
    Stepwise,
    Validator,
    choice,
    converted,
    integer,
    is_null,
    parsed,
    reading,
    scalar,
    sequence,
    shape,
    suggestion,
)  # fmt: skip
from realmgw.config.values import Network

MAX_TEXT = 255
"""The longest value of an option, in characters."""


class Direction(enum.Enum):
    """Which way a packet goes, as the host sees it."""

    EGRESS = "EGRESS"
    """From the host."""
    INGRESS = "INGRESS"
    """To the host."""


class Target(enum.Enum):
    """What becomes of a packet that a rule matches."""

    ACCEPT = "ACCEPT"
    """It passes."""
    DROP = "DROP"
    """It does not."""
    REJECT = "REJECT"
    """It does not, and its sender is told."""
    LOG = "LOG"
    """Whoever reads the log's group is told of it, and the next rule decides."""


Options = tuple[tuple[str, tuple[str, ...]], ...]
"""Options of an extension with their values, in the order of the text; `!` before a value turns its sense around."""


@attrs.frozen
class Rule:
    """A rule of a subscriber's firewall. Rules of one list are tried by priority, then in their order."""

    priority: int
    """Lower ones come first."""
    direction: Direction
    """Which packets it looks at."""
    target: Target
    """What becomes of those that it matches."""
    protocol: int | None = None
    """IP protocol number; None: any."""
    src: Network | None = None
    """Where the packet comes from; None: anywhere."""
    dst: Network | None = None
    """Where it goes; None: anywhere."""
    parts: tuple[tuple[str, Options], ...] = ()
    """What else it matches: extensions with their options; all must agree."""
    target_options: Options = ()
    """Of the target: how a refusal is told, or what a message begins with."""
    comment: str = ""
    """For humans."""


_PORTS = re.compile(r"[0-9]{0,5}(:[0-9]{0,5})?|[a-z][a-z0-9-]*")
_RATE = re.compile(r"[0-9]+(/(s|sec|second|m|min|minute|h|hour|d|day))?")
_COUNT = re.compile(r"[0-9]+")
_ANYTHING = re.compile(r"[^\0\n]+")
_PORT_OPTIONS = dict.fromkeys(
    ("sport", "dport", "source-port", "destination-port", "sports", "dports", "ports"), _PORTS
)
KNOWN: dict[str, AbstractMapping[str, re.Pattern[str]]] = {
    "tcp": {**_PORT_OPTIONS, "tcp-flags": _ANYTHING, "syn": _ANYTHING},
    "udp": _PORT_OPTIONS,
    "sctp": _PORT_OPTIONS,
    "icmp": {"icmp-type": re.compile(r"[0-9]{1,3}(/[0-9]{1,3})?|[a-z][a-z-]*")},
    "icmpv6": {"icmpv6-type": re.compile(r"[0-9]{1,3}(/[0-9]{1,3})?|[a-z][a-z-]*")},
    "multiport": {word: re.compile(r"[0-9]+([,:][0-9]+)*") for word in ("sports", "dports", "ports")},
    "hashlimit": {
        **{f"hashlimit-{word}": _RATE for word in ("above", "upto")},
        **{f"hashlimit-{word}": _COUNT for word in ("burst", "srcmask", "dstmask")},
        **{f"hashlimit-htable-{word}": _COUNT for word in ("size", "max", "expire", "gcinterval")},
        "hashlimit-mode": re.compile(r"(srcip|srcport|dstip|dstport)(,(srcip|srcport|dstip|dstport))*"),
        "hashlimit-name": re.compile(r"[^\s/]{1,15}"),
    },
    "limit": {"limit": _RATE, "limit-burst": _COUNT},
    "comment": {"comment": _ANYTHING},
    "conntrack": {"ctstate": _ANYTHING},
    "state": {"state": _ANYTHING},
    "connlimit": {f"connlimit-{word}": _COUNT for word in ("upto", "above", "mask", "saddr", "daddr")},
}
"""The extensions that a rule may have, each with its options and what their values look like."""
NEVER = {
    "string": "packets are not searched for text: forbid the address (dst), or the name (dns.forward.lists)",
    "mark": "marks are the gateway's own: write src, dst or ports",
    "set": "there are no sets of others here: write a rule for each prefix, with src or dst",
    "mac": "hosts are known by their addresses: write src",
    "iprange": "write a rule for each prefix, with src or dst",
    "time": "rules hold at any time: write others, and reload, when they shall change",
    **dict.fromkeys(
        ("length", "dscp", "ttl", "tos", "pkttype"),
        "rules are asked when a flow begins, and not of each packet: write protocol and ports",
    ),
}
"""Extensions that can not be had, and what to write instead."""
_TARGET_OPTIONS: dict[Target, dict[str, re.Pattern[str]]] = {
    Target.REJECT: {"reject-with": re.compile(r"[a-z][a-z0-9-]*")},
    Target.LOG: {"log-prefix": _ANYTHING},
}
_OF_PROTOCOL = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58}
"""Extensions that make sense with one protocol only."""


def _options(known: AbstractMapping[str, re.Pattern[str]]) -> Validator[Options]:
    """The options of an extension."""

    def read(node: Node, problems: Problems) -> Options | None:
        if not isinstance(node, Mapping):
            problems.add(node, f"{shape(node)} stands here: write a mapping with {', '.join(known)}")
            return None
        found = []
        before = len(problems.found)
        for word, (key, value) in node.pairs.items():
            if word not in known:
                problems.add(key, f"the option {word!r} is not known: {suggestion(word, known)}")
                continue
            found.append((word, _values(value, known[word], problems)))
        return tuple(found) if len(problems.found) == before else None

    return Validator(read, {"type": "object", "properties": {word: {} for word in known}})


def _values(node: Node, pattern: re.Pattern[str], problems: Problems) -> tuple[str, ...]:
    """The values of an option: one, several, or none where its being there says everything."""
    items = node.items if isinstance(node, Sequence) else [] if is_null(node) else [node]
    texts = [(each, scalar(each, problems)) for each in items]
    for each, text in texts:
        if text is not None and (len(text) > MAX_TEXT or (text != "!" and pattern.fullmatch(text) is None)):
            problems.add(each, f"{text!r} does not do here: write what iptables takes for this option")
    return tuple(text for _, text in texts if text is not None)


def _read_target(node: Node, problems: Problems) -> tuple[Target, Options] | None:
    """A target by its name, or `{name: {option: value}}`."""
    if isinstance(node, Mapping) and len(node.pairs) == 1:
        [(key, value)] = node.pairs.values()
        target = _target_name(key, problems)
        if target is None or is_null(value):
            return None if target is None else (target, ())
        if target not in _TARGET_OPTIONS:
            problems.add(value, f"{target.value} has no options: write 'target: {target.value}'")
            return None
        options = _options(_TARGET_OPTIONS[target])(value, problems)
        return None if options is None else (target, options)
    target = _target_name(node, problems)
    return None if target is None else (target, ())


_target_name = choice(Target, in_any_case=True)
_target = Validator(_read_target, {"type": ["string", "object"]})


def _never(part: str, instead: str) -> Validator[Options]:
    """An extension that can not be had."""

    def read(node: Node, problems: Problems) -> None:
        problems.add(node, f"{part!r} can not be had: {instead}")

    return Validator(read, {"not": {}})


def _build_rule(priority: int, direction: Direction, target: tuple[Target, Options], **rest: Any) -> Rule:
    given = {word: rest.pop(word) for word in ("protocol", "src", "dst") if word in rest}
    remarks = [values for word, values in rest.pop("comment", ()) if word == "comment"]
    return Rule(
        priority,
        direction,
        target[0],
        parts=tuple(rest.items()),
        target_options=target[1],
        comment=" ".join(remarks[0]) if remarks else "",
        **given,
    )


RULE = Section(
    _build_rule,
    {
        "priority": Key(integer(0, 65_535), required=True),
        "direction": Key(choice(Direction, in_any_case=True), required=True),
        "target": Key(_target, required=True),
        "protocol": Key(protocol),
        "src": Key(parsed(network)),
        "dst": Key(parsed(network)),
        **{part: Key(_options(options)) for part, options in KNOWN.items()},
        **{part: Key(_never(part, instead)) for part, instead in NEVER.items()},
    },
)


def read_rule(node: Node, problems: Problems) -> Rule | None:
    """A rule that means something. Its parts go with its protocol; where it names none, it has that of its parts."""
    rule = RULE(node, problems)
    return None if rule is None else _meaningful(rule, node, problems)


def _meaningful(rule: Rule, node: Node, problems: Problems) -> Rule | None:
    for part, _ in rule.parts:
        needed = _OF_PROTOCOL.get(part)
        if needed is not None and rule.protocol is None:
            rule = attrs.evolve(rule, protocol=needed)
        elif needed not in (None, rule.protocol):
            problems.add(node, f"{part!r} is of protocol {needed}: write 'protocol: {needed}', or leave {part!r} out")
            return None
    try:
        meaning(rule)
    except ValueError as error:
        problems.add(node, str(error))
        return None
    return rule


R = TypeVar("R")
_KEPT = ("hashlimit", "limit", "connlimit")
"""What each rule keeps for itself: two that say the same do not match the same packets."""


def agreeing(rules: Validator[tuple[R, ...]], of: Callable[[R], tuple[Rule, object]]) -> Validator[tuple[R, ...]]:
    """A list of rules of which no two contradict: the same packets, the same priority, and another target.

    Args:
        rules: The list, in the order of the text.
        of: A rule of it, and what it is told apart by besides.
    """

    def read(node: Node, problems: Problems) -> Steps[tuple[R, ...] | None]:
        found = yield from reading(rules, node, problems)
        decided: dict[object, tuple[Target, Node]] = {}
        places = node.items if isinstance(node, Sequence) and found is not None else ()
        for each, place in zip(found or (), places, strict=True):
            rule, apart = of(each)
            if rule.target is not Target.LOG and not any(part in _KEPT for part, _ in rule.parts):
                said = (apart, attrs.evolve(rule, target=Target.LOG, target_options=(), comment=""))
                target, first = decided.setdefault(said, (rule.target, place))
                if target is not rule.target:
                    problems.add(place, _contradicts(rule.target, target, first))
                    found = None
            yield None
        return found

    return Stepwise(read, rules.schema)


def _contradicts(target: Target, other: Target, first: Node) -> str:
    return (
        f"{target.value}, and {other.value} on line {first.line}, of the same packets and with the same priority: "
        "write another priority, or one of both"
    )


RULES = agreeing(sequence(Validator(read_rule, RULE.schema)), lambda rule: (rule, ""))
"""Rules of a list, in the order of the text."""


@attrs.frozen
class StageRule:
    """A rule of a stage: of the gateway, or of all hosts of a group, and of no single one."""

    rule: Rule
    """It; its direction says nothing, but for that of a group."""
    interface: str = ""
    """By which a packet comes in; empty: by any."""
    origin: str = attrs.field(default="", eq=False)
    """Where it stands: the file and its line."""


def _build_stage_rule(
    priority: int, target: tuple[Target, Options], interface: str = "", **rest: Any
) -> tuple[Rule, str]:
    return _build_rule(priority, Direction.INGRESS, target, **rest), interface


def stage_rules(interface: Validator[str], at_most: int) -> Validator[tuple[StageRule, ...]]:
    """Rules of a stage, as many at most, in the order in which they are tried.

    Args:
        interface: What reads the name of an interface.
        at_most: So many.
    """
    keys = {word: each for word, each in RULE.keys.items() if word != "direction"}
    section = Section(_build_stage_rule, {"interface": Key(interface), **keys})

    def read(node: Node, problems: Problems) -> StageRule | None:
        found = section(node, problems)
        rule = None if found is None else _meaningful(found[0], node, problems)
        return None if found is None or rule is None else StageRule(rule, found[1], origin(node, problems))

    every = sequence(Validator(read, section.schema), at_most=at_most)
    return converted(agreeing(every, lambda each: (each.rule, each.interface)), _in_order)


def group_rules(at_most: int) -> Validator[tuple[StageRule, ...]]:
    """Rules of a group of subscribers, written as those of one are; in the order in which they are tried.

    Args:
        at_most: So many.
    """

    def read(node: Node, problems: Problems) -> StageRule | None:
        rule = read_rule(node, problems)
        return None if rule is None else StageRule(rule, origin=origin(node, problems))

    every = sequence(Validator(read, RULE.schema), at_most=at_most)
    return converted(agreeing(every, lambda each: (each.rule, "")), _in_order)


def _in_order(rules: tuple[StageRule, ...]) -> tuple[StageRule, ...]:
    return tuple(sorted(rules, key=lambda each: each.rule.priority))


def origin(node: Node, problems: Problems) -> str:
    """Where something stands: the file and its line."""
    return f"{node.source or problems.source}:{node.line}"


def plain(rule: Rule) -> dict[str, Any]:
    """A rule as it is written, but for its direction: mappings, lists and single values."""
    said: dict[str, Any] = {"priority": rule.priority}
    if rule.protocol is not None:
        said["protocol"] = NAMES.get(rule.protocol, rule.protocol)
    said.update((word, str(value)) for word, value in (("src", rule.src), ("dst", rule.dst)) if value is not None)
    said.update((part, _extension(options)) for part, options in rule.parts)
    target = rule.target.value
    said["target"] = {target: _extension(rule.target_options)} if rule.target_options else target
    if rule.comment:
        said["comment"] = {"comment": rule.comment}
    return said


def _extension(options: Options) -> dict[str, Any]:
    return {word: values[0] if len(values) == 1 else list(values) for word, values in options}

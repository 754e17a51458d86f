"""A rule of a subscriber's firewall as rules of nftables: pure, text.

What a rule means comes as numbers, addresses and words of ours (`realmgw.config.meaning`); of its text nothing
gets here but the comment, which is reduced to what nft can quote. Limits are kept in a set for each family, as keys of
IPv4 and of IPv6 have no type in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import attrs

from realmgw.config.meaning import Limit, Meaning, Ports, meaning
from realmgw.config.nflog import Nflog
from realmgw.config.rules import Direction, Rule, Target
from realmgw.datapath.policy import logged

FORBIDDEN = "forbidden"
"""The chain that tells senders, by protocol, that something is refused."""
COUNTED = 'counter name "forbidden"'
"""What everything is counted by that a rule of a host forbids, besides the counter of that rule."""
MOST_COMMENT = 100
"""So many characters of a rule's origin stand in the kernel, which takes 127."""
_COUNTER = "rule_"
_FAMILIES = {4: ("ip", "ipv4", "ipv4_addr"), 6: ("ip6", "ipv6", "ipv6_addr")}
_WITH_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
_KEYS = {"srcip": "{ip} saddr", "dstip": "{ip} daddr", "srcport": "th sport", "dstport": "th dport"}


class Standing(Protocol):
    """Where a rule stands, and what follows from that."""

    counted: str
    """What everything is counted by that is dropped or refused there, besides the counter of the rule; or nothing."""
    refused: str
    """What becomes of what is refused as it fits the protocol."""
    passes: str
    """What becomes of what may pass."""

    @property
    def counter(self) -> str:
        """The name of the counter of what it matches."""

    def kept(self, what: str, family: int) -> str:
        """The name of the set that a limit is kept in."""

    def own(self, rule: Rule) -> str:
        """What of a packet is the address of the host whose rule it is; empty: it is of no host."""

    def said(self, rule: Rule) -> str:
        """Where it comes from, for its comment."""


@attrs.frozen
class Place(Standing):
    """Where a rule of a host stands."""

    number: int
    """Of its class."""
    at: int
    """Among the rules of the class, counted from 1."""
    tier: str
    """Whose it is: `admin` or `user`."""

    counted = COUNTED
    refused = f"goto {FORBIDDEN}"
    passes = "return"  # what a host's rules let pass is still to pass those of the gateway

    @property
    def counter(self) -> str:
        return f"{_COUNTER}{self.number}_{self.at}"

    def kept(self, what: str, family: int) -> str:
        return f"{what}{family}_{self.number}_{self.at}"

    def own(self, rule: Rule) -> str:
        return "srcip" if rule.direction is Direction.EGRESS else "dstip"

    def said(self, rule: Rule) -> str:
        return origin(rule, self.tier)


def is_of_rule(counter: str) -> bool:
    """Whether a counter of that name is that of a rule."""
    return counter.startswith(_COUNTER)


def origin(rule: Rule, tier: str) -> str:
    """Where a rule comes from, in words: whose it is, and what it says of itself."""
    return f"{tier}, priority {rule.priority}" + (f": {rule.comment}" if rule.comment else "")


def quoted(text: str) -> str:
    """A comment for nft: it knows no way to write a quotation mark within quotes."""
    plain = "".join(each if " " <= each <= "~" and each not in '"\\' else "?" for each in text)
    return f'"{plain[:MOST_COMMENT]}"'


def sets(rule: Rule, place: Standing) -> Iterator[tuple[str, str]]:
    """The sets that its limits are kept in: names, and declarations."""
    meant, own = meaning(rule), place.own(rule)
    for family in _families(meant):
        address = _FAMILIES[family][2]
        if meant.limit is not None and _key(own, meant.limit.key):
            kept, time = meant.limit.remembered, round(meant.limit.time * 1000)
            kinds = _kinds(_key(own, meant.limit.key), address)
            flags = f"flags dynamic, timeout; timeout {time}ms;"
            yield place.kept("limit", family), f"{{ type {kinds}; size {kept}; {flags} }}"
        if meant.connections is not None:
            kinds = _kinds(_key(own, meant.connections.key), address)
            yield place.kept("flows", family), f"{{ type {kinds}; size 65536; flags dynamic; }}"


def lines(rule: Rule, place: Standing, nflog: Nflog | None) -> Iterator[str]:
    """The rules of nftables that do what it says: one, or one for each family.

    Args:
        rule: It.
        place: Where it stands.
        nflog: Which group the target LOG tells; None: the kernel can not tell any.
    """
    meant = meaning(rule)
    verdict = _log(rule, meant, place, nflog) if rule.target is Target.LOG else _verdict(rule.target, meant, place)
    end = f'counter name "{place.counter}" {verdict} comment {quoted(place.said(rule))}'
    for family in _families(meant) or (meant.family,):
        matches = (*_matches(meant, family), *_limits(meant, place, family, place.own(rule)))
        yield " ".join((*matches, end))


def _families(meant: Meaning) -> tuple[int, ...]:
    """For which families there are sets."""
    if meant.limit is None and meant.connections is None:
        return ()
    return (4, 6) if meant.family is None else (meant.family,)


def _matches(meant: Meaning, family: int | None) -> Iterator[str]:
    ip = "" if family is None else _FAMILIES[family][0]
    if family is not None:
        yield f"meta nfproto {_FAMILIES[family][1]}"
    if meant.src is not None:
        yield f"{ip} saddr {meant.src}"
    if meant.dst is not None:
        yield f"{ip} daddr {meant.dst}"
    if meant.protocol:
        yield f"meta l4proto {meant.protocol}"
        for each in meant.ports:
            yield f"{_WITH_PORTS[meant.protocol]} {_ports(each)}"
    for flags in meant.flags:
        wanted = f"({'|'.join(flags.wanted)})" if flags.wanted else "0x0"
        mask = f"({'|'.join(flags.mask)})" if flags.mask else "0x0"
        yield f"tcp flags & {mask} {'!=' if flags.is_not else '=='} {wanted}"
    if meant.icmp is not None:
        word = "icmp" if family == 4 else "icmpv6"
        yield f"{word} type {'!= ' if meant.icmp.is_not else ''}{meant.icmp.type}"
        if meant.icmp.code is not None:
            yield f"{word} code {meant.icmp.code}"
    if meant.states:
        yield f"ct state {','.join(meant.states)}"


def _ports(ports: Ports) -> str:
    """As nft has it. One port that is not meant is a range: nft 1.0.6 makes one comparison of two such neighbours."""
    one = ports.is_not and len(ports.ranges) == 1
    runs = ", ".join(f"{first}-{last}" if one or first != last else str(first) for first, last in ports.ranges)
    some = runs if len(ports.ranges) == 1 else f"{{ {runs} }}"
    return f"{ports.word} {'!= ' if ports.is_not else ''}{some}"


def _limits(meant: Meaning, place: Standing, family: int | None, own: str) -> Iterator[str]:
    if family is None:
        return
    ip = _FAMILIES[family][0]

    def key(words: Iterable[str]) -> str:
        return " . ".join(_KEYS[each].format(ip=ip) for each in _key(own, words))

    if meant.connections is not None:
        over = "over " if meant.connections.is_over else ""
        count = f"ct count {over}{meant.connections.count}"
        yield f"add @{place.kept('flows', family)} {{ {key(meant.connections.key)} {count} }}"
    if meant.limit is not None and not _key(own, meant.limit.key):
        yield _rate(meant.limit)
    elif meant.limit is not None:
        yield f"update @{place.kept('limit', family)} {{ {key(meant.limit.key)} {_rate(meant.limit)} }}"


def _key(own: str, words: Iterable[str]) -> tuple[str, ...]:
    """What a limit is kept for: the host's own address in any case, since others of its class have limits of theirs."""
    return (*([own] if own else []), *(each for each in words if each != own))


def _kinds(key: Iterable[str], address: str) -> str:
    return " . ".join("inet_service" if each.endswith("port") else address for each in key)


def _rate(limit: Limit) -> str:
    return f"limit rate {'over ' if limit.is_over else ''}{limit.rate}/{limit.unit} burst {limit.burst} packets"


def _log(rule: Rule, meant: Meaning, place: Standing, nflog: Nflog | None) -> str:
    says = attrs.evolve(rule, comment=meant.prefix) if meant.prefix else rule
    return logged.statement(nflog, place.said(says))


def _verdict(target: Target, meant: Meaning, place: Standing) -> str:
    if target is Target.REJECT and meant.refusal:
        return f"{place.counted} reject with {meant.refusal}".lstrip()
    if target is Target.REJECT:
        return place.refused
    return f"{place.counted} drop".lstrip() if target is Target.DROP else place.passes

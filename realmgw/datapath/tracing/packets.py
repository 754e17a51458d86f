"""Steps put together to packets, and the rules that they name found: pure.

When a packet has come to its end is not told, but where it is dropped. It has when another begins by the kernel's same
number for it, or when nothing was told of it for a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from realmgw.config import protocols
from realmgw.datapath.netlink.chains import FAMILIES
from realmgw.datapath.netlink.traces import Chain, Headers, Kind, Step
from realmgw.datapath.ruleset import Texts
from realmgw.datapath.tracing.match import BEGIN
from realmgw.subscribers.entry import shown

QUIET = 0.25  # seconds
"""So long nothing is told of a packet that has come to its end..."""
WAITING = 5.0  # seconds
"""... but of one that waits at a queue for user space."""
MOST_STEPS = 500
"""So many steps of a packet are kept; more are counted."""
Listed = Mapping[Chain, Mapping[int, str]]
"""Rules with their comments; see `realmgw.datapath.netlink.traces.rules`."""


@attrs.frozen
class Met:
    """A step, as people read it."""

    table: str
    """Family and name of the table."""
    chain: str
    """The chain's name."""
    rule: str
    """The rule as it is written; for one of another table its number; or `policy`."""
    comment: str
    """What the rule says of itself: where it comes from."""
    verdict: str
    """What came of it, with the chain that it led to."""
    headers: Headers | None
    """The packet, where it is different from before."""
    mark: int
    """The packet's mark, when a hook began."""


@attrs.define
class Packet:
    """A packet that is followed."""

    number: int
    """Counted from 1."""
    steps: list[Step]
    """What it has met."""
    left_out: int = 0
    """How many more steps there were."""
    last: float = 0.0
    """When something was told of it last."""

    @property
    def first(self) -> Step:
        """What it has met first."""
        return self.steps[0]

    @property
    def is_dropped(self) -> bool:
        """Whether it has come to its end by a rule."""
        return bool(self.steps) and self.steps[-1].verdict in ("drop", "stolen")

    @property
    def ends(self) -> float:
        """When it has come to its end, if nothing more is told of it."""
        is_waiting = bool(self.steps) and self.steps[-1].verdict == "queue"
        return self.last + (WAITING if is_waiting else QUIET)


class Packets:
    """Those that are under way.

    Args:
        own: The table by which packets are followed; its own steps say nothing but that one begins.
        most: So many packets are followed at most.

    Attributes:
        begun: How many there were.
    """

    def __init__(self, own: str, most: int) -> None:
        self._own = own
        self._most = most
        self._under_way: dict[int, Packet] = {}
        self._ended: list[Packet] = []
        self.begun = 0

    @property
    def is_over(self) -> bool:
        """Whether all of them have come, and to their ends."""
        return self.begun >= self._most and not self._under_way and not self._ended

    def take(self, step: Step, now: float) -> None:
        """A step was told; those of packets whose begin was not heard, or is one too many, say nothing."""
        _, table, chain = step.chain
        if table == self._own:
            if chain == BEGIN and step.rule:
                self._begin(step.packet, now)
            return
        packet = self._under_way.get(step.packet)
        if packet is None:
            return
        packet.last = now
        if len(packet.steps) < MOST_STEPS:
            packet.steps.append(step)
        else:
            packet.left_out += 1

    def _begin(self, packet: int, now: float) -> None:
        before = self._under_way.pop(packet, None)
        if before is not None:
            self._ended.append(before)
        if self.begun < self._most:
            self.begun += 1
            self._under_way[packet] = Packet(self.begun, [], last=now)

    def ended(self, now: float) -> list[Packet]:
        """Those that have come to their end, in the order in which they came; they are forgotten."""
        found = [key for key, each in self._under_way.items() if each.is_dropped or now >= each.ends]
        ended, self._ended = [*self._ended, *(self._under_way.pop(key) for key in found)], []
        return sorted((each for each in ended if each.steps), key=lambda each: each.number)


def met(packet: Packet, listed: Listed, table: str, texts: Texts) -> Iterator[Met]:
    """What a packet has met, with rules as they are written.

    Args:
        packet: It.
        listed: All rules that there are.
        table: The name of our table.
        texts: What stands in it.
    """
    before = seen = packet.first.headers
    for step in packet.steps:
        seen = step.headers or seen
        if step.kind is Kind.RULE and not step.rule:
            continue  # the end of a chain: the next step is where it goes on
        rules = listed.get(step.chain, {})
        rule, comment = _rule(step, rules, texts if step.chain[1] == table else {})
        now, before = None if seen == before else seen, seen
        family = FAMILIES.get(step.chain[0], str(step.chain[0]))
        verdict = f"{step.verdict} {step.to}".rstrip()
        yield Met(f"{family} {step.chain[1]}", step.chain[2], rule, comment, verdict, now, step.mark)


def _rule(step: Step, rules: Mapping[int, str], texts: Texts) -> tuple[str, str]:
    if step.kind is Kind.POLICY:
        return "policy", ""
    written = texts.get(step.chain[2], ())
    if step.rule in rules and len(written) == len(rules):
        return _plain(written[tuple(rules).index(step.rule)]), rules[step.rule]
    return f"rule {step.rule}", rules.get(step.rule, "")


def _plain(text: str) -> str:
    """A rule without its comment, which is told beside it."""
    return text.partition(' comment "')[0]


def described(headers: Headers | None) -> dict[str, Any]:
    """A packet as plain values, for JSON."""
    if headers is None:
        return {"source": None, "source_port": None, "destination": None, "destination_port": None, "protocol": None,
                "more": "not of IP"}  # fmt: skip
    return {
        "source": shown(headers.source),
        "source_port": headers.sport,
        "destination": shown(headers.destination),
        "destination_port": headers.dport,
        "protocol": protocols.NAMES.get(headers.protocol, str(headers.protocol)),
        "more": headers.more,
    }

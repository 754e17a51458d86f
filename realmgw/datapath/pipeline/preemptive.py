"""What is looked at before anything else, before a packet is routed: rules for nft.

What belongs to a flow that was answered passes by the first rule. What others are said to decide about (interfaces that
are none of ours, the machine's own) passes by the second one. The rest of the chain sees only what begins something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from realmgw.config.nflog import Nflog
from realmgw.config.pipeline import Check, Management, Preemptive, PrefixList, Source
from realmgw.datapath.incoming import PASSES
from realmgw.datapath.pipeline import parts
from realmgw.datapath.pipeline.parts import PREFIX, Stages, comment, drop, refuse

CHAIN = f"{PREFIX}preemptive"
"""The chain's name."""
_FRAGMENTS = f"{PREFIX}fragmented"
_MANAGEMENT = f"{PREFIX}management"
_BLACK, _WHITE = f"{PREFIX}black", f"{PREFIX}white"
_PORTS = "{ 135, 137-139 }"
_ALL = "(fin|syn|rst|psh|ack|urg)"
_IMPOSSIBLE = (
    f"{_ALL} == 0x0",
    "(fin|psh|urg) == (fin|psh|urg)",
    "(fin|syn) == (fin|syn)",
    "(syn|rst) == (syn|rst)",
    "(fin|rst) == (fin|rst)",
    "(fin|ack) == fin",
)
"""Flags that no segment has (RFC 9293, 3.10.7): none, all, or two that say opposite things."""
_NOWHERE_YET = {"ip": "{ 0.0.0.0 }", "ip6": "{ ::, fe80::/10 }"}
"""Where somebody sends from who has no address yet, or none that is routed."""


def stages(said: Preemptive, sides: Iterable[str], nflog: Nflog | None) -> Stages:
    """What the stage places.

    Args:
        said: What is said of it.
        sides: The interfaces that are ours, tunnels among them.
        nflog: Which group the target LOG tells; None: the kernel can not tell any.
    """
    own, of_own = parts.own_rules("preemptive", said.rules, nflog)
    found = _rules(said)
    rules = [line for check in said.checks for line in (of_own if check is Check.RULES else found[check]())]
    chains: dict[str, tuple[str, ...]] = {}
    if rules:
        hook = "type filter hook prerouting priority mangle - 20; policy accept;"
        chains[CHAIN] = (hook, PASSES, f"iifname != {parts.interfaces(sides)} accept", *rules)
    if said.fragments:
        chains[_FRAGMENTS] = tuple(_fragments(said))
    if not chains:
        return Stages()
    listed = {
        **_listed(Check.BLACK_LIST, _BLACK, said.black_list, said),
        **_listed(Check.WHITE_LIST, _WHITE, said.white_list, said),
        **(own if Check.RULES in said.checks else {}),
    }
    return Stages({**parts.counters(chains), **listed}, chains)


def _listed(check: Check, name: str, each: PrefixList, said: Preemptive) -> dict[str, str]:
    return parts.prefix_sets(name, each.listed) if check in said.checks else {}


def managing(said: Management) -> Iterator[str]:
    """What lets those pass who manage the gateway."""
    by = f"iifname {parts.interfaces(said.interfaces)} " if said.interfaces else ""
    for family, some in parts.written(said.prefixes):
        yield f"{by}{family} saddr {some} accept {comment(said.origin)}"


def _rules(said: Preemptive) -> Mapping[Check, Callable[[], Iterable[str]]]:
    """The rules of each check, but for the operator's own."""
    black, white, origin = said.black_list, said.white_list, said.origin
    return {
        Check.MANAGEMENT: lambda: managing(said.management),
        Check.BLACK_LIST: lambda: (
            f"{each} {drop('stage_black_list', black.origin)}" for each in parts.within(_BLACK, black.listed)
        ),
        Check.WHITE_LIST: lambda: (
            f"{each} accept {comment(white.origin)}" for each in parts.within(_WHITE, white.listed)
        ),
        Check.SOURCES: lambda: (line for at, source in enumerate(said.sources, 1) for line in _source(source, at)),
        Check.FLAGS: lambda: (f"tcp flags & {flags} {drop('stage_flags', origin)}" for flags in _IMPOSSIBLE),
        Check.NOT_SYN: lambda: [f"tcp flags & (fin|syn|rst|ack) != syn {drop('stage_not_syn', origin)}"],
        Check.INVALID: lambda: [f"ct state invalid {drop('stage_invalid', origin)}"],
        Check.PORTS: lambda: [f"meta l4proto {{ tcp, udp }} th dport {_PORTS} {refuse('stage_ports', origin)}"],
        Check.NEW_RATES: lambda: (
            f"iifname {parts.interfaces([each.interface])} ct state new ct status ! confirmed"
            f" limit rate over {each.rate}/second burst {each.burst} packets"
            f" {drop('stage_new_rate', each.origin, f'rule_new_rates_{at}')}"
            for at, each in enumerate(said.new_rates, 1)
        ),
    }


def _source(said: Source, at: int) -> Iterator[str]:
    """Who can not have sent by an interface; which of them it is counts from 1."""
    by = f"iifname {parts.interfaces([said.interface])}"
    end = drop("stage_spoofed", said.origin, f"rule_sources_{at}")
    for family, some in parts.written(said.refused):
        yield f"{by} {family} saddr {some} {end}"
    for family, some in parts.written(said.allowed):
        yield f"{by} {family} saddr != {some} {family} saddr != {_NOWHERE_YET[family]} {end}"
    if said.fib:
        for family, nowhere in _NOWHERE_YET.items():
            yield f"{by} {family} saddr != {nowhere} fib saddr . iif oif missing {end}"


def _fragments(said: Preemptive) -> Iterator[str]:
    """Before conntrack puts them together, which it does with all."""
    by, end = f"iifname {parts.interfaces(said.fragments)}", drop("stage_fragments", said.origin)
    yield "type filter hook prerouting priority -450; policy accept;"
    yield f"{by} ip frag-off & 0x3fff != 0 {end}"
    yield f"{by} exthdr frag exists {end}"

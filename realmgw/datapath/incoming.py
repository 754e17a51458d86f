"""The chains that a packet from the WAN meets, up to its host: for the pool, and for hosts at their own addresses.

What is the same for both families is said once: a chain of family inet takes both, and what is to be told apart stands
in a line of its own, which there is only where IPv6 is in use. In which order the chains are met, and what each is for,
is told in `docs/datapath.md`.

A host that is reached at its own address (a pinhole) is not translated to: so nothing of a flow shows that it was
admitted but that conntrack has confirmed it, which it does when a packet has come through to the end. Nothing that is
refused does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import attrs

from realmgw.config.pipeline import Refused
from realmgw.config.settings import Dnat
from realmgw.datapath import marks, twice
from realmgw.datapath.policy.classes import OUT

Chains = dict[str, list[str]]
"""Chains by name, each with its rules."""

OWN_REFUSAL = 'iifname "lo" ct state established,related accept comment "a refusal that we tell ourselves"'
"""The gateway knocks at the pool itself, and is told so by itself."""
PASSES = "ct state established,related accept"
"""What lets a flow pass that was answered: it is asked no more."""
STEP = f"meta mark & {marks.STEP_MASK:#x}"
"""The mark without the host."""
IS_ADMITTED = f"{STEP} == {marks.ADMITTED:#x}"
_NO_SENDERS = "{ ::ffff:0:0/96, fe80::/10 }"
"""IPv4 addresses in IPv6's clothes, which are on no wire (RFC 4942, 2.2), and those that no router forwards."""
_REFUSED = {
    Refused.TCP: "meta l4proto tcp",
    Refused.UDP: "meta l4proto udp",
    Refused.ICMP: "meta l4proto { icmp, ipv6-icmp }",
    Refused.OTHERS: "meta l4proto != { tcp, udp, icmp, ipv6-icmp }",
}
_HASHED = "@nh,304,16"
"""The last two octets of an IPv6 packet's destination."""
_DISCOVERY = "{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, nd-redirect }"


@attrs.frozen
class Lent:
    """By what an address of the IPv6 pool that may have been lent is known: a hash of its last two octets is 0."""

    seed: int
    """Of the kernel's `jhash`, 32 bits, not 0."""
    share: int
    """So many values the hash has."""


SETTLE = "settle"
"""The name of the chain at which it is closed."""


def before_routing(
    wan: str, lan: str, told: Collection[Refused], pools: tuple[str, str], *, ipv6: bool, lent: Lent | None = None
) -> Chains:
    """Up to the verdict, and what becomes of refused ones.

    Args:
        wan: Name of the interface towards the public Internet, quoted.
        lan: Those towards the private hosts, as a set.
        told: Who is told that he was refused.
        pools: What matches packets for the pool, of IPv4 and of IPv6.
        ipv6: Whether IPv6 is in use.
        lent: Which addresses of its pool may have been lent; None: each of them.
    """
    return {
        "arrivals": [
            "type filter hook prerouting priority mangle - 10; policy accept;",
            # One look at what goes on, whatever follows: states are cheaper than names of interfaces, and than sets.
            "ct state != new accept",
            # What an admitted flow sends before it was answered is new, too, but translated already.
            f"iifname {wan} ct status ! dnat ip daddr @pool goto first_packet",
            *(_arrivals6(wan) if ipv6 else ()),
        ],
        "first_packet": _first_packet(lan, ipv6=ipv6, lent=lent),
        twice.CHAIN: twice.chain(ipv6=ipv6),
        SETTLE: [
            "type filter hook prerouting priority mangle + 10; policy accept;",
            f"iifname {wan} {PASSES}",
            f"{pools[0]} goto for_pool",
            *(_settle6(wan, pools[1]) if ipv6 else ()),
        ],
        **({"for_pool6": _for_pool6()} if ipv6 else {}),
        "for_pool": [
            OWN_REFUSAL,
            f"iifname != {wan} goto from_inside",
            f"ct state invalid {drop('pool_invalid')}",
            'ct status dnat accept comment "an admitted flow that was not answered yet"',
            *_verdicts(),
        ],
        **({"for_pinhole": _for_pinhole()} if ipv6 else {}),
        "from_inside": ['counter name "pool_from_inside" goto refuse'],
        "refuse": [*_silent(told), 'limit name "refusals_told" goto tell', drop("refused_silently")],
    }


def _silent(told: Collection[Refused]) -> Iterator[str]:
    """What is refused and not told."""
    for each, which in _REFUSED.items():
        if each not in told:
            yield f"{which} {drop('refused_silently')}"


def _arrivals6(wan: str) -> tuple[str, str]:
    return (
        f"iifname {wan} ct status ! dnat ip6 daddr @pool6 goto first_packet",
        f"iifname {wan} ct status ! confirmed ip6 daddr @pinholes goto first_packet",
    )


def _settle6(wan: str, pool6: str) -> tuple[str, str]:
    return f"{pool6} goto for_pool6", f"iifname {wan} ip6 daddr @pinholes goto for_pinhole"


def _for_pool6() -> list[str]:
    """Neighbour discovery that is sent to an address itself: the gateway hears it before these rules do."""
    return [f'icmpv6 type {_DISCOVERY} {drop("neighbours")} comment "answered by the gateway itself"', "goto for_pool"]


def _for_pinhole() -> list[str]:
    return [
        f"ct state invalid {drop('pool_invalid')}",
        'ct state new ct status confirmed accept comment "an admitted flow that was not answered yet"',
        *_verdicts(),
    ]


def _verdicts() -> tuple[str, str]:
    return (
        f"{STEP} == {marks.REJECTED:#x} goto refuse",
        f'{STEP} != {marks.ADMITTED:#x} {drop("not_admitted")} comment "fail closed"',
    )


def _first_packet(lan: str, *, ipv6: bool, lent: Lent | None) -> list[str]:
    of_ipv6 = (
        f"ip6 saddr & ffff:ffff:ffff:ffff:: @strays6 {drop('stray_limited')}",
        f"ip6 saddr {_NO_SENDERS} {drop('spoofed_source')}",
    )
    guessed = f"ip6 daddr @pool6 jhash {_HASHED} mod {lent.share} seed {lent.seed:#x} != 0" if lent else ""
    return [
        f"ip saddr @strays {drop('stray_limited')}",
        *(of_ipv6 if ipv6 else ()),
        f"meta l4proto tcp tcp flags & (fin|syn|rst|ack) != syn {drop('not_syn')}",
        # Routing would drop these as martians, but only after they have used up a claim.
        f"fib saddr type != unicast {drop('spoofed_source')}",
        f"fib saddr oifname {lan} {drop('spoofed_source')}",
        *((f'{guessed} counter name "guessed" goto refuse',) if ipv6 and guessed else ()),
        twice.ASKED,
        *(('meta nfproto ipv6 counter name "presented6"',) if ipv6 else ()),
        f'meta mark set {marks.QUEUED:#x} counter name "presented"',
    ]


def told(*, ipv6: bool) -> list[str]:
    """The chain `tell`: how refusals are told.

    Args:
        ipv6: Whether they are told of packets of IPv6.
    """
    return [*(_tell6() if ipv6 else ()), *_tell()]


def _tell() -> list[str]:
    queries = "{ echo-request, timestamp-request, info-request, address-mask-request }"
    return [
        'meta l4proto tcp counter name "refused_tcp" reject with tcp reset',
        'meta l4proto udp counter name "refused_udp" reject with icmp type port-unreachable',
        f'icmp type {queries} counter name "refused_icmp" reject with icmp type admin-prohibited',
        f'meta l4proto icmp {drop("refused_silently")} comment "RFC 1122 3.2.2: no error about an error"',
        'counter name "refused_other" reject with icmp type prot-unreachable',
    ]


def _tell6() -> list[str]:
    """RFC 4443, 3.1. The kernel tells nothing about groups, unspecified senders and errors (2.4)."""
    told, prohibited = "meta nfproto ipv6", "reject with icmpv6 type admin-prohibited"
    return [
        f'{told} meta l4proto udp counter name "refused_udp" reject with icmpv6 type port-unreachable',
        f'icmpv6 type echo-request counter name "refused_icmp" {prohibited}',
        f'{told} meta l4proto ipv6-icmp {drop("refused_silently")} comment "RFC 4443 2.4 (e)"',
        f'{told} meta l4proto != tcp counter name "refused_other" {prohibited}',
    ]


def translation(wan: str, dnat: Dnat, *, ipv6: bool) -> Chains:
    """To the host that the mark stands for. Of nat chains the later ones see only what none before has translated.

    IPv6 goes by the map in any case: a mark has no room for its addresses.

    Args:
        wan: As for `before_routing`.
        dnat: How a flow is sent to its host.
        ipv6: Whether IPv6 is in use.
    """
    of_ipv6 = [f"iifname {wan} ip6 daddr @pool6 {IS_ADMITTED} goto translate6"] if ipv6 else []
    by_map = 'counter name "admitted" counter name "admitted6" dnat ip6 to meta mark map @hosts6'
    translate6 = {"translate6": [by_map, drop("host_unknown")]} if ipv6 else {}
    admitted = f"iifname {wan} ip daddr @pool {IS_ADMITTED}"
    if dnat is Dnat.MAP:
        hook = "type nat hook prerouting priority dstnat; policy accept;"
        return {
            "to_host": [hook, f"{admitted} goto translate", *of_ipv6],
            "translate": ['counter name "admitted" dnat ip to meta mark map @hosts', drop("host_unknown")],
            **translate6,
        }
    hook = "type nat hook prerouting priority dstnat - 10; policy accept;"
    return {
        "to_host": [hook, f"{admitted} goto address_in_mark", *of_ipv6],
        "address_in_mark": [
            'meta mark set meta mark map @hosts counter name "admitted" accept',
            drop("host_unknown"),
        ],
        **translate6,
        "not_translated": [
            "type nat hook prerouting priority dstnat + 10; policy accept;",
            f'{admitted} {drop("untranslated")} comment "the rule at dstnat is not there: fail closed"',
        ],
    }


def own_sockets(wan: str, lan: str, *, ipv6: bool) -> Chains:
    """What may not reach a socket of the gateway; what a host sends there is asked of its rules, too."""
    away = f'{drop("pool_local")} comment "the kernel takes on-link pool addresses for its own"'
    return {
        "own_sockets": [
            "type filter hook input priority filter; policy accept;",
            f"iifname {wan} ct state new fib saddr oifname {lan} {drop('spoofed_source')}",
            f"iifname {lan} ct state new jump {OUT}",
            OWN_REFUSAL,
            f"ip daddr @pool {away}",
            *((f"ip6 daddr @pool6 {drop('pool_local')}",) if ipv6 else ()),
        ]
    }


def drop(counter: str) -> str:
    """The end of a packet, counted."""
    return f'counter name "{counter}" drop'

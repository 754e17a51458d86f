"""What the machine forwards: the rules of the chain at the forward hook, the same in words, and what LANs leave by.

Admitted flows and flows from a LAN to the WAN pass, unless the rules of their host forbid it (`policy/`). What the
operator may have pass besides, between LANs or for interfaces that are none of ours (`datapath.forward`), never leads
from the WAN to a LAN, nor from one of these interfaces: what comes in by a tunnel may have come from anywhere.
"""

from __future__ import annotations

import attrs

from realmgw.config.settings import Address, Forward, Settings, UnknownHosts, Verdict
from realmgw.datapath.guests import Guests
from realmgw.datapath.incoming import IS_ADMITTED, PASSES
from realmgw.datapath.outbound6 import WITH_PORTS, Leaving, clamp
from realmgw.datapath.policy.classes import ALLOWED, OUT

CHAIN = "forwarding"
"""The chain's name."""
_HOOK = "type filter hook forward priority filter; policy drop;"


@attrs.frozen
class Families:
    """What there is of either family, and of whom."""

    ipv4_leaves: bool = True
    """Whether there are public IPv4 addresses that the LANs' flows can leave from."""
    ipv6_enters: bool = False
    """Whether hosts are reached by IPv6."""
    leaving6: Leaving | None = None
    """How the LANs' own flows of IPv6 leave; None: as they like."""
    guests: Guests = attrs.Factory(Guests)
    """What becomes of LAN hosts that are no subscribers."""


def rules(
    interfaces: tuple[str, str, str], forward: Forward, families: Families, *, drop: str, invalid: str
) -> list[str]:
    """The chain, hook first.

    Args:
        interfaces: See `realmgw.datapath.ruleset.Ruleset.interfaces`.
        forward: What else passes.
        families: What there is of either family.
        drop: What becomes of the rest.
        invalid: What becomes of what conntrack can make nothing of.
    """
    wan, lan, ours = interfaces
    from_pool = f"iifname {wan} oifname {lan} ct status dnat ct original ip daddr @pool"
    return [
        _HOOK,
        clamp(ours),  # in this chain, since one more costs each packet about as much as a rule
        PASSES,
        *(_others(wan, lan, ours) if forward.others is Verdict.ACCEPT else ()),
        *families.guests.forwarded(lan),  # what was a flow of theirs once is refused, too
        f"ct state invalid {invalid}",
        f'{from_pool} goto {ALLOWED} comment "admitted flows"',
        *(_admitted6(f"iifname {wan} oifname {lan}") if families.ipv6_enters else ()),
        f"iifname {lan} jump {OUT}",
        *([] if families.ipv4_leaves else [f"iifname {lan} oifname {wan} meta nfproto ipv4 {drop}"]),
        *(() if families.leaving6 is None else families.leaving6.forwarded()),
        f"iifname {lan} oifname {wan} accept",
        *([f"iifname {lan} oifname {lan} goto {ALLOWED}"] if forward.lan_to_lan is Verdict.ACCEPT else ()),
        drop,
    ]


def _admitted6(inwards: str) -> tuple[str, str, str]:
    """To pinholes: what conntrack has confirmed was let through before; see `realmgw.datapath.incoming`."""
    counted = 'counter name "admitted" counter name "admitted6" counter name "admitted_pinhole"'
    return (
        f'{inwards} ct status dnat ct original ip6 daddr @pool6 goto {ALLOWED} comment "admitted flows"',
        f"{inwards} ct state new ct status confirmed ip6 daddr @pinholes goto {ALLOWED}",
        f"{inwards} ct state new ip6 daddr @pinholes {IS_ADMITTED} {counted} goto {ALLOWED}",
    )


def _others(wan: str, lan: str, ours: str) -> tuple[str, str]:
    """Before all that is ours: whether conntrack can make something of it is none of our business, either."""
    return (
        f'iifname != {ours} oifname != {lan} accept comment "not ours: others decide"',
        f'iifname {wan} oifname != {ours} accept comment "not ours: others decide"',
    )


def outbound(wan: str, lan: str, addresses: tuple[Address, Address] | None, ports: tuple[int, int]) -> list[str]:
    """The chain by which the LANs' own flows leave, hook first: from ports of their own, drawn by chance.

    Else a host could choose a source port that is the port of a service of another host on the same pool address: the
    packets of a client of that service would be taken for answers to the host's flow.

    Args:
        wan: Name of the interface towards the public Internet, quoted.
        lan: Those towards the private hosts, as a set.
        addresses: First and last address that they leave from; None: there is none.
        ports: First and last port.
    """
    hook = "type nat hook postrouting priority srcnat; policy accept;"
    if addresses is None:
        return [hook]
    from_lan, span = f"iifname {lan} oifname {wan}", _span(addresses)
    first, last = ports
    return [
        hook,
        f"{from_lan} meta l4proto {WITH_PORTS} snat ip to {span}:{first}-{last} fully-random,persistent",
        f"{from_lan} meta nfproto ipv4 snat ip to {span} persistent",
    ]


def told(settings: Settings) -> str:
    """What is forwarded, in a line for the operator."""
    forward = settings.datapath.forward
    words = {Verdict.ACCEPT: "forwarded", Verdict.DROP: "dropped"}
    unknown = settings.datapath.unknown_hosts
    whose = "" if unknown is UnknownHosts.ACCEPT else f" of subscribers (datapath.unknown_hosts: {unknown.value})"
    by_ipv6 = ", ".join(f"{each.lan} {each.leave.value}" for each in settings.ipv6.outbound)
    return (
        f"forwarded: admitted flows, and LAN to WAN{whose}"
        f"{f', by IPv6: {by_ipv6} (ipv6.outbound)' if by_ipv6 else ''}; between LANs: "
        f"{words[forward.lan_to_lan]} (datapath.forward.lan_to_lan); for interfaces that are neither: "
        f"{words[forward.others]} (datapath.forward.others)"
    )


def _span(addresses: tuple[Address, Address]) -> str:
    first, last = addresses
    return str(first) if first == last else f"{first}-{last}"

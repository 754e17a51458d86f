"""The sets of those who are banned, and the rules by which nothing of theirs that comes from the WAN reaches a host.

What they send to the gateway itself is none of this, but for what its web proxy would pass on (`proxied`): who is
banned by mistake still resolves names, and an operator gets in to lift it. The kernel forgets each when his time is
over.

Family: each has a set of its own; of IPv6 it is the /64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from realmgw.config.nflog import Nflog
from realmgw.datapath.batches import Elements
from realmgw.datapath.elements import address
from realmgw.datapath.policy import noted

BANNED = ("banned", "banned6")
"""The sets."""
COUNTERS: Mapping[str, str] = {"banned": "dropped: from a client who is banned"}
"""Those that there are besides, where somebody can be banned."""
KEPT = 65_536
"""So many may be banned at once, of each family."""
_COUNTER, _ORIGIN = "banned", "alerts"
NUMBER = noted.number(_COUNTER, _ORIGIN)
"""Of what the rules drop, where that is told of (`noted`)."""
_PREFIX = 8  # octets


def declared(*, ipv6: bool) -> Iterator[str]:
    """The sets, as they are declared in a table."""
    for name, kind in zip(BANNED, ("ipv4_addr", "ipv6_addr")[: 1 + ipv6], strict=False):
        yield f"set {name} {{ type {kind}; size {KEPT}; flags timeout; }}"


def drops(nflog: Nflog | None, *, ipv6: bool) -> list[str]:
    """The rules, for packets from the WAN.

    Args:
        nflog: What is told of; None: the kernel can not tell any.
        ipv6: Whether there is a set for IPv6.
    """
    by_family = ("ip saddr @banned", "ip6 saddr & ffff:ffff:ffff:ffff:: @banned6")[: 1 + ipv6]
    end = f'counter name "{_COUNTER}" drop comment "{_ORIGIN}"'
    return list(noted.lines((f"{each} {end}" for each in by_family), nflog))


def put_first(first_packet: list[str], forwarding: list[str], wan: str, banned: Sequence[str]) -> None:
    """Put the rules before all others of two chains.

    Args:
        first_packet: That of first packets from the WAN.
        forwarding: That of all that is forwarded, hook first.
        wan: Name of the interface towards the public Internet, quoted.
        banned: The rules (`drops`); none where nobody can be banned.
    """
    first_packet[:0] = banned
    forwarding[1:1] = [f"iifname {wan} {each}" for each in banned]


def elements(left: Mapping[bytes, float], *, ipv6: bool) -> tuple[Elements, ...]:
    """What bans; who is banned already keeps his time.

    Args:
        left: For how many seconds, by packed addresses; those of IPv6 stand for their /64. For none: who is banned is
            so no more, and who is not is no error.
        ipv6: Whether there is a set for those of IPv6; they are left out otherwise.
    """
    found = dict[tuple[str, int], dict[bytes, None]]()
    for packed, seconds in left.items():
        is_ipv6 = len(packed) == 16
        if ipv6 or not is_ipv6:
            whose = packed[:_PREFIX] + bytes(_PREFIX) if is_ipv6 else packed
            found.setdefault((BANNED[is_ipv6], math.ceil(seconds)), {})[whose] = None
    return tuple(_elements(found))


def _elements(found: Mapping[tuple[str, int], Iterable[bytes]]) -> Iterator[Elements]:
    for (name, seconds), some in found.items():
        pairs = tuple((address(each), None) for each in some)
        yield Elements("add", name, pairs, 1000 * max(1, seconds))
        if not seconds:  # one that is not there could not be deleted; in one transaction nobody meets it
            yield Elements("delete", name, pairs)

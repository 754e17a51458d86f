"""The settings of IPv6: how names are answered with AAAA, and how LANs leave."""

from __future__ import annotations

import enum
from ipaddress import IPv6Network
from operator import itemgetter

import attrs

from realmgw.config import identifiers
from realmgw.config.addresses import prefix6
from realmgw.config.labels import Label
from realmgw.config.validators import Section, choice, integer, key, number, parsed, remembered, sequence
from realmgw.config.values import MAX_DURATION

LONGEST_NPT = 64
"""The longest prefix that can stand in place of another: the kernel's limit."""


class Ipv6Mode(enum.Enum):
    """How the name of a host that has an IPv6 address is answered with AAAA."""

    POOL = "pool"
    """A fresh address of the pool, from which the flow is translated to the host's."""
    PINHOLE = "pinhole"
    """The host's own address, which is public: the claim opens it for the next flow."""
    OFF = "off"
    """No data."""


class PinholeFor(enum.Enum):
    """For whom a claim opens a host's own address, which anybody may know."""

    FLOW = "flow"
    """The next flow, and nothing else."""
    CLIENT = "client"
    """The next flow, and further ones of who sent it; and for others only where a resolver keeps answers."""
    CLAIM = "claim"
    """As a claim of the pool: also further senders, as `allocation.claim_sources` says."""


class Leave6(enum.Enum):
    """How IPv6 flows of a LAN's hosts leave."""

    ROUTE = "route"
    """With their own addresses, which have to be public."""
    NPTV6 = "nptv6"
    """With another prefix in place of theirs (RFC 6296), so that checksums and ports stay what they were."""
    NAT66 = "nat66"
    """With the WAN interface's address, or those that are given, as IPv4 flows do."""
    OFF = "off"
    """Not at all."""


@attrs.frozen
class PrefixMode:
    """What holds for hosts whose IPv6 address lies in a prefix."""

    prefix: IPv6Network = key(parsed(prefix6))
    """It."""
    mode: Ipv6Mode = key(choice(Ipv6Mode))
    """How their names are answered."""


@attrs.frozen
class Outbound6:
    """How IPv6 flows of a LAN leave."""

    lan: str = key(parsed(identifiers.interface_name))
    """Name of its interface."""
    leave: Leave6 = key(choice(Leave6))
    """How."""
    inside: IPv6Network | None = key(parsed(prefix6), None)
    """For `NPTV6`: the prefix of the LAN's hosts, at most a /64."""
    outside: IPv6Network | None = key(parsed(prefix6), None)
    """For `NPTV6`: what stands in its place outside, of the same length. For `NAT66`: the addresses that flows leave
    from; None: the WAN interface's."""


@attrs.frozen
class Ipv6:
    """What is particular to IPv6. The pool itself stands in `pools.circular`, beside that of IPv4."""

    mode: Ipv6Mode = key(choice(Ipv6Mode), Ipv6Mode.POOL)
    """How names are answered, unless the host or its prefix has a mode of its own."""
    prefixes: tuple[PrefixMode, ...] = key(sequence(remembered(Label.MODE6, Section(PrefixMode))), ())
    """The longest one that a host's address lies in counts."""
    outbound: tuple[Outbound6, ...] = key(sequence(remembered(Label.OUTBOUND6, Section(Outbound6))), ())
    """By LAN; those that are not named leave by `Leave6.ROUTE`."""
    keep: float = key(number(0.0, MAX_DURATION), 300.0)  # seconds
    """For how long an address stays with its host after its claim was used last."""
    pinhole: PinholeFor = key(choice(PinholeFor), PinholeFor.FLOW)
    """For whom a claim opens a host's own address."""
    pending: int = key(integer(1, 10_000_000), 65536)
    """How many claims may be pending at once."""
    addresses: int = key(integer(1, 10_000_000), 131072)
    """How many addresses stand at once, pending ones among them; of the others those that were used longest ago go."""
    lost_rate: int = key(integer(1, 1_000_000), 1000)
    """How many claims a second a resolver group may make that nobody uses, by its reputation: so many at the best."""
    resolution_delay: float = key(number(0.0, 1.0), 0.0)  # seconds
    """While the IPv4 pool is scarce, a query for A waits so long for its client to come by IPv6 (clients wait 50 ms for
    AAAA: RFC 8305 section 3), and who comes by IPv4 waits as well; 0: it does not."""
    resolver_prefix: int = key(integer(32, 128), 64)
    """So long a prefix of IPv6 addresses is one resolver: for its group, and what it has shown of its sender."""
    by_length: tuple[tuple[int, dict[int, Ipv6Mode]], ...] = attrs.field(init=False, eq=False, repr=False)
    """The same as `prefixes`, to look an address up in: how many bits of it are left out, and modes by the others."""

    @by_length.default
    def _longest_first(self) -> tuple[tuple[int, dict[int, Ipv6Mode]], ...]:
        found: dict[int, dict[int, Ipv6Mode]] = {}
        for each in self.prefixes:
            left = each.prefix.max_prefixlen - each.prefix.prefixlen
            found.setdefault(left, {}).setdefault(int(each.prefix.network_address) >> left, each.mode)
        return tuple(sorted(found.items(), key=itemgetter(0)))

    is_served: bool = attrs.field(default=True, eq=False)
    """Whether the machine has IPv6, and it is not switched off; found out, and no key: without it no name is answered
    with AAAA, whatever its host says."""

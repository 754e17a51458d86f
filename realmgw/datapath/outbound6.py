"""How IPv6 flows of the LANs leave, LAN by LAN, and how segments are kept to the path's MTU: rules for nft.

A private source never leaves: where it is not translated it is told so (RFC 4443, 3.1, code 5; RFC 7084, L-14), and
behind the translation there is a wall.

With `nptv6` the prefix is translated by the SNPT target of ip6tables in mangle (RFC 6296, checksum-neutral), which has
no state. Conntrack has met the packet before it, and so would know no answer. Hence the translation behind it (srcnat)
is told what the source has become, to the same address: conntrack's reply direction is then the one that is on the
wire, and undoes the prefix itself. So only answers come in, and errors about them; there is no DNPT, by which others
would, were our table gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from realmgw.config.ipv6 import Leave6, Outbound6
from realmgw.config.settings import Network, Settings

COUNTERS: Mapping[str, str] = {
    "outbound6_off": "refused: IPv6 from a LAN that it does not leave",
    "outbound6_source": "refused: IPv6 from a LAN to the WAN, with a source that is not of that LAN, or not public",
    "outbound6_leak": "dropped: IPv6 from a LAN, about to leave with a private source",
}
"""Named counters, with what each counts."""
WALL = "leaving6"
"""The name of the chain that no private source passes."""
PUBLIC = "2000::/3"
"""Global unicast addresses, as far as they are given out (RFC 4291, 2.4)."""
WITH_PORTS = "{ tcp, udp, dccp, sctp, udplite }"
"""The protocols whose ports the kernel can translate."""


@attrs.frozen
class Leaving:
    """How the LANs' IPv6 flows leave."""

    wan: str
    """Name of the interface towards the public Internet."""
    lans: tuple[str, ...]
    """Names of those towards the private hosts."""
    given: tuple[Outbound6, ...]
    """What is said about some of them."""
    ports: tuple[int, int]
    """First and last port that flows leave from where ports are translated."""

    def ways(self, leave: Leave6) -> tuple[Outbound6, ...]:
        """The LANs that leave in that way; those of which nothing is said are routed."""
        said = {each.lan: each for each in self.given}
        every = (said.get(name, Outbound6(name, Leave6.ROUTE)) for name in self.lans)
        return tuple(each for each in every if each.leave is leave)

    def forwarded(self) -> Iterator[str]:
        """Rules that stand before the one that lets everything of the LANs out."""
        for each in self.ways(Leave6.OFF):
            told = 'counter name "outbound6_off" reject with icmpv6 type admin-prohibited'
            yield f"{self._from(each)} meta nfproto ipv6 {told}"
        for each in self.ways(Leave6.NPTV6):
            yield f"{self._from(each)} ip6 saddr {each.inside} accept"
        for each in (*self.ways(Leave6.ROUTE), *self.ways(Leave6.NPTV6)):
            # Who is not there is not told.
            spoofed = f'fib saddr oifname != "{each.lan}" counter name "outbound6_source" drop'
            yield f"{self._from(each)} meta nfproto ipv6 {spoofed}"
            told = 'counter name "outbound6_source" reject with icmpv6 type policy-fail'
            yield f"{self._from(each)} ip6 saddr != {PUBLIC} {told}"

    def translated(self) -> Iterator[str]:
        """Rules at srcnat."""
        for each in self.ways(Leave6.NPTV6):
            same = f"{{ {each.outside} : {each.outside} }}"
            yield f"{self._from(each)} ip6 saddr {each.outside} snat ip6 prefix to ip6 saddr map {same}"
        first, last = self.ports
        for each in self.ways(Leave6.NAT66):
            how = "masquerade" if each.outside is None else f"snat ip6 to {_span(each.outside)}"
            by_port = f"{how} to :{first}-{last}" if each.outside is None else f"{how}:{first}-{last}"
            kept = "" if each.outside is None else ",persistent"
            yield f"{self._from(each)} meta nfproto ipv6 meta l4proto {WITH_PORTS} {by_port} fully-random{kept}"
            yield f"{self._from(each)} meta nfproto ipv6 {how}{' persistent' if kept else ''}"

    @property
    def private(self) -> str:
        """What a packet matches that is about to leave with a private source, behind the translation."""
        public = ", ".join((PUBLIC, *(str(each.outside) for each in self.given if each.outside is not None)))
        lans = ", ".join(f'"{name}"' for name in self.lans)
        return (
            f'meta nfproto ipv6 iifname {{ {lans} }} oifname "{self.wan}" ip6 saddr != {{ {public} }} ct status ! snat'
        )

    def wall(self) -> list[str]:
        """The chain behind the translation, hook first."""
        hook = "type filter hook postrouting priority srcnat + 10; policy accept;"
        return [hook, f'{self.private} counter name "outbound6_leak" drop']

    def _from(self, each: Outbound6) -> str:
        return f'iifname "{each.lan}" oifname "{self.wan}"'


def leaving(settings: Settings) -> Leaving:
    """What the settings say of it."""
    interfaces, ports = settings.interfaces, settings.pools.outbound_ports
    return Leaving(interfaces.wan, interfaces.lan, settings.ipv6.outbound, ports)


def prefixes(settings: Settings) -> Iterator[tuple[Network, Network]]:
    """The prefixes that are translated, inside and outside."""
    for each in settings.ipv6.outbound:
        if each.leave is Leave6.NPTV6 and each.inside is not None and each.outside is not None:
            yield each.inside, each.outside


def clamp(ours: str) -> str:
    """The rule that has both sides of a connection send segments that fit where they go.

    The answer to a SYN, which belongs to a flow that goes on, has to meet it, too. Without it, they learn that by an
    ICMP error for each connection, if nobody on the way keeps it from them.

    Args:
        ours: The gateway's interfaces, as a set.
    """
    # Packets of flows that go on are told by their flags: two sets of interfaces cost each of them more.
    return f"tcp flags syn iifname {ours} oifname {ours} tcp option maxseg size set rt mtu"


def _span(network: Network) -> str:
    """First and last address to leave from: not the one of all routers (RFC 4291, 2.6.1), where there are others."""
    first, last = network[0] if network.num_addresses <= 2 else network[1], network[-1]
    return f"[{first}]" if first == last else f"[{first}]-[{last}]"

"""What the reverse proxy of the service pool may do, and who may reach it: rules for nft.

Its connections begin at the gateway itself, by a user that nobody else has. They get to subscribers only, and only if
their rules let them in, as if they came from outside. When a host goes, conntrack forgets its flows; what the proxy
sends then belongs to none, and is reset. QUIC is refused at the proxy's addresses, so that browsers come by TCP. Who is
banned does not get to the proxy, since what he says to it would reach a host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address

import attrs

from realmgw.config.settings import Address, Settings
from realmgw.datapath import marks
from realmgw.datapath.elements import SUBSCRIBERS
from realmgw.datapath.policy.classes import IN

COUNTERS: Mapping[str, str] = {
    "proxy_refused": "refused: of the web proxy, for a LAN address that is no subscriber's, or not any more",
    "quic_refused": "refused: QUIC at the web proxy",
}
"""Named counters, with what each counts."""
_SENT, _CAME, _TO_HOST, _QUIC = "proxy_sends", "proxy_receives", "proxy_to_host", "quic"
_BANNED = "proxy_banned"
_FAMILIES = ("ip", "ip6")
_RESET = 'counter name "proxy_refused" reject with tcp reset'


@attrs.frozen
class Proxied:
    """The proxy."""

    user: int
    """The number of the user that it runs as."""
    addresses: tuple[Address, ...]
    """Where it listens."""
    http: int
    """Its port of HTTP."""
    https: int
    """Its port of TLS; QUIC would have the same."""

    @classmethod
    def of(cls, settings: Settings) -> Proxied | None:
        """What the settings say of it; None: there is none, nor can there be."""
        how = settings.webproxy
        if not how.enabled or how.runs_as is None:
            return None
        return cls(how.runs_as[0], settings.pools.service, how.http_port, how.https_port)

    @property
    def has_ipv6(self) -> bool:
        """Whether clients come to it by IPv6."""
        return any(each.version == 6 for each in self.addresses)

    def serves(self, packed: bytes, port: int) -> bool:
        """Whether clients come to it at a packed address, by a port of TCP."""
        return port in (self.http, self.https) and ip_address(packed) in self.addresses

    def chains(self, wan: str, lan: str, banned: Sequence[str] = ()) -> dict[str, list[str]]:
        """Those that it has, by name.

        Args:
            wan: The interface towards the Internet, quoted.
            lan: The interfaces towards the private hosts, as a set.
            banned: The rules that drop what comes of who is banned.
        """
        quic = (f"{at} udp dport {self.https} goto {_QUIC}" for at in at_addresses(self.addresses))
        asked = (f"{each} jump {_BANNED}" for each in self._clients(wan) if banned)
        return {
            _CAME: ["type filter hook input priority filter - 20; policy accept;", *asked, *quic],
            **({_BANNED: [*banned]} if banned else {}),
            _QUIC: [
                'counter name "quic_refused"',
                'limit name "refusals_told" goto tell',
                'counter name "refused_silently" drop',
            ],
            _SENT: [
                "type filter hook output priority filter; policy accept;",
                f"{self._to(lan)} meta mark set meta mark or {marks.PROXIED:#x} goto {_TO_HOST}",
            ],
            _TO_HOST: [
                "ct state established,related accept",
                *(f"{family} daddr != @{known} {_RESET}" for family, known in zip(_FAMILIES, SUBSCRIBERS, strict=True)),
                f"ct state invalid {_RESET}",
                f"jump {IN}",
            ],
        }

    def guarded(self, lan: str) -> list[str]:
        """A chain for when those are gone: the proxy begins nothing then. It has to come right behind them.

        Args:
            lan: The interfaces towards the private hosts, as a set.
        """
        unasked = f"meta mark and {marks.STEP_MASK:#x} != {marks.PROXIED:#x}"
        return [
            "type filter hook output priority filter + 1; policy accept;",
            f"{self._to(lan)} ct state new {unasked} drop",
        ]

    def _to(self, lan: str) -> str:
        """What matches what it sends to LANs."""
        return f"meta skuid {self.user} oifname {lan}"

    def served(self, wan: str) -> Iterator[str]:
        """What lets clients in, whatever is said of others.

        Args:
            wan: The interface towards the Internet, quoted.
        """
        yield from (f"{each} accept" for each in self._clients(wan))

    def _clients(self, wan: str) -> Iterator[str]:
        """What matches what clients send to it, by family."""
        for at in at_addresses(self.addresses):
            yield f"iifname {wan} {at} tcp dport {{ {self.http}, {self.https} }}"


def at_addresses(addresses: Iterable[Address]) -> Iterator[str]:
    """What matches packets for them, by family."""
    every = tuple(addresses)
    for family, version in zip(_FAMILIES, (4, 6), strict=True):
        some = ", ".join(str(each) for each in every if each.version == version)
        if some:
            yield f"{family} daddr {{ {some} }}"

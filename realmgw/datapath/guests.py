"""What becomes of LAN hosts that are no subscribers: rules for nft.

A host is a subscriber's if it sends from an address of one; two sets have all of these, so a packet costs the same
however many there are. Where guests are shown the portal, they get DHCP, DNS, what the operator lets everybody reach,
and the portal, to which HTTP is sent. The rest is refused at once, so that nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from realmgw.config.policy import UnknownHosts
from realmgw.config.settings import Address, Network, Settings
from realmgw.datapath.elements import SUBSCRIBERS, interval_set
from realmgw.system.endpoints import Endpoint

COUNTERS: Mapping[UnknownHosts, Mapping[str, str]] = {
    UnknownHosts.ACCEPT: {},
    UnknownHosts.DROP: {"unknown_dropped": "dropped: to be forwarded, from a LAN host that is no subscriber"},
    UnknownHosts.GUEST: {
        "guest_redirected": "flows of guests, for HTTP or DNS elsewhere, that were sent to the gateway",
        "guest_refused": "refused: from a guest, and neither DHCP nor DNS nor for the portal",
        "guest_limited": "dropped: from a guest, beyond the rate of new connections to the portal",
    },
}
"""Named counters, with what each counts, by what becomes of unknown hosts."""
EACH_RATE, EACH_BURST = 20, 60
"""New connections to the portal a second that one guest may make, by its Ethernet address, and how many at once."""
ALL_RATE, ALL_BURST = 250, 500
"""The same of all guests together: the reactor has more to do."""
KNOCKING_TIME = 10  # seconds
"""For so long it is remembered how many a guest has made."""
KNOCKING_KEPT = 8192
"""How many guests are kept to their rate at once; of further ones only all together are."""
_OUT, _PORTAL, _HERE, _KNOCKS, _REFUSED = "guest_out", "guest_to_portal", "guest_here", "guest_knocks", "guest_refused"
_REACHABLE = ("guests_reach", "guests_reach6")
_DHCP = "{ 67, 547 }"
_LIMITED = 'counter name "guest_limited" drop'
_FAMILIES = ("ip", "ip6")


@attrs.frozen
class Guests:
    """What becomes of them."""

    how: UnknownHosts = UnknownHosts.ACCEPT
    """That."""
    portal: tuple[Endpoint, ...] = ()
    """Where the portal listens."""
    http: tuple[Endpoint, ...] = ()
    """Where it does so by HTTP."""
    resolvers: tuple[Endpoint, ...] = ()
    """Where the DNS server listens for the LANs."""
    reachable: tuple[Network, ...] = ()
    """Where guests get nevertheless."""

    @classmethod
    def of(cls, settings: Settings) -> Guests:
        """What the settings say of them."""
        how, portal = settings.datapath.unknown_hosts, settings.portal
        if how is not UnknownHosts.GUEST or portal is None:
            return cls(how)
        return cls(how, portal.endpoints, portal.listen, settings.dns.lan.listen, portal.reachable)

    @property
    def needs_subscribers(self) -> bool:
        """Whether it matters who is a subscriber."""
        return self.how is not UnknownHosts.ACCEPT

    @property
    def ends(self) -> frozenset[bytes]:
        """Packed addresses that flows of guests are redirected to."""
        return frozenset(each.address.packed for each in (*_first(self.http), *_first(self.resolvers)))

    def objects(self) -> Iterator[str]:
        """Counters, limits and sets, but for those of subscribers."""
        for name, comment in COUNTERS[self.how].items():
            yield f'counter {name} {{ comment "{comment}"; }}'
        if self.how is UnknownHosts.GUEST:
            yield f"limit guests_told {{ rate {ALL_RATE}/second burst {ALL_BURST} packets; }}"
            yield f"limit guests_knock {{ rate over {ALL_RATE}/second burst {ALL_BURST} packets; }}"
            kept = f"size {KNOCKING_KEPT}; flags dynamic, timeout; timeout {KNOCKING_TIME}s"
            yield f"set guests_knocking {{ type ether_addr; {kept}; }}"
            for name, kind, version in zip(_REACHABLE, _KINDS, (4, 6), strict=True):
                yield interval_set(name, kind, (each for each in self.reachable if each.version == version))

    def forwarded(self, lan: str) -> Iterator[str]:
        """Rules at the forward hook, behind what is established and before what passes.

        Args:
            lan: The interfaces towards the private hosts, as a set.
        """
        ends = {UnknownHosts.DROP: 'counter name "unknown_dropped" drop', UnknownHosts.GUEST: f"jump {_OUT}"}
        if self.needs_subscribers:
            yield from _unknown(lan, ends[self.how])

    def received(self, lan: str) -> Iterator[str]:
        """Rules at the input hook; the last ones of their chain."""
        if self.how is UnknownHosts.GUEST:
            yield from _unknown(lan, f"goto {_HERE}")

    def chains(self, lan: str) -> dict[str, list[str]]:
        """Those that only guests meet, by name."""
        if self.how is not UnknownHosts.GUEST:
            return {}
        hook, reach = "type nat hook prerouting priority dstnat; policy accept;", list(_reached("return"))
        told = ['counter name "guest_refused"', 'limit name "guests_told" goto tell']
        too_often = f"limit rate over {EACH_RATE}/second burst {EACH_BURST} packets"
        return {
            "guests": [hook, *_unknown(lan, f"goto {_PORTAL}")],
            _PORTAL: [*reach, *self._redirected()],
            _OUT: [*reach, f"goto {_REFUSED}"],
            _HERE: list(self._here()),
            _KNOCKS: [
                f"update @guests_knocking {{ ether saddr {too_often} }} {_LIMITED}",
                f'limit name "guests_knock" {_LIMITED}',
                "accept",
            ],
            _REFUSED: [*told, 'counter name "refused_silently" drop'],
        }

    def _redirected(self) -> Iterator[str]:
        for endpoint in _first(self.http):
            yield f"{_of(endpoint.address)} tcp dport 80 {_to(endpoint)}"
        for endpoint in _first(self.resolvers):
            yield f"{_of(endpoint.address)} meta l4proto {{ tcp, udp }} th dport 53 {_to(endpoint)}"

    def _here(self) -> Iterator[str]:
        """What guests may say to the gateway itself."""
        ports = ", ".join(str(port) for port in sorted({53, *(each.port for each in self.resolvers)}))
        yield "ct state established,related accept"
        yield 'meta l4proto { icmp, ipv6-icmp } accept comment "neighbour discovery among them"'
        yield f"udp dport {_DHCP} accept"
        yield f"meta l4proto {{ tcp, udp }} th dport {{ {ports} }} accept"
        for endpoint in self.portal:
            yield f"{_family(endpoint.address)} daddr {endpoint.address} tcp dport {endpoint.port} goto {_KNOCKS}"
        yield from _reached("accept")
        yield 'meta pkttype != host counter name "guest_refused" drop comment "groups are told nothing"'
        yield f"goto {_REFUSED}"


_KINDS = ("ipv4_addr", "ipv6_addr")


def _unknown(lan: str, end: str) -> Iterator[str]:
    """What meets packets of unknown hosts, and nothing else."""
    for family, known in zip(_FAMILIES, SUBSCRIBERS, strict=True):
        yield f"iifname {lan} {family} saddr != @{known} {end}"


def _reached(verdict: str) -> Iterator[str]:
    """For where everybody gets."""
    for family, name in zip(_FAMILIES, _REACHABLE, strict=True):
        yield f"{family} daddr @{name} {verdict}"


def _first(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """The first one of each family."""
    found: dict[int, Endpoint] = {}
    for each in endpoints:
        found.setdefault(each.address.version, each)
    return list(found.values())


def _family(address: Address) -> str:
    return _FAMILIES[address.version == 6]


def _of(address: Address) -> str:
    return f"meta nfproto ipv{address.version}"


def _to(endpoint: Endpoint) -> str:
    return f'counter name "guest_redirected" dnat {_family(endpoint.address)} to {endpoint.text}'

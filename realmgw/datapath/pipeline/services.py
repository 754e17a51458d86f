"""What comes in to the gateway itself: DNS, DHCP, HTTP, and the rest; rules for nft, at the input hook.

A query is asked each time, also one of a flow that was answered: a resolver may send all of its queries from one port.
That a name is of one of our zones can not be asked here: the DNS server refuses other zones' names by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import attrs

from realmgw.config.nflog import Nflog
from realmgw.config.pipeline import DnsServed, Management, Policing, PrefixList, Served, Services
from realmgw.config.policy import PolicyStage
from realmgw.datapath.pipeline import parts
from realmgw.datapath.pipeline.parts import PREFIX, Stages, comment, drop
from realmgw.datapath.pipeline.preemptive import managing

CHAIN = f"{PREFIX}services"
"""The chain's name."""
_DNS_WAN, _DNS_LAN, _DHCP, _HTTP = (f"{PREFIX}{each}" for each in ("for_dns", "for_lan_dns", "for_dhcp", "for_http"))
_OTHERS = f"{PREFIX}for_others"
_QUERY, _RESPONSE = "@th,80,1 0x0", "@th,80,1 0x1"
"""The bit QR (RFC 1035, 4.1.1) of a message that is sent by UDP."""
_DHCP_PORTS, _DHCP_CLIENTS = "{ 67, 547 }", "{ 68, 546 }"
_ALWAYS = "meta l4proto { icmp, ipv6-icmp, igmp } accept"
"""Neighbour discovery and errors among them: whoever drops these is cut off."""


@attrs.frozen
class Around:
    """What the gateway has, and who manages it."""

    wan: str
    """The interface towards the Internet."""
    lan: tuple[str, ...]
    """Those towards LANs."""
    dns: tuple[int, ...]
    """Ports that DNS listens at."""
    http: tuple[int, ...]
    """Ports of HTTP."""
    management: Management
    """Who manages it."""
    proxied: tuple[str, ...] = ()
    """What lets clients of the web proxy in: that is for the proxy to refuse."""
    is_after: bool = True
    """Whether rules of hosts are asked before this."""
    nflog: Nflog | None = None
    """Which group the target LOG tells; None: the kernel can not tell any."""


@attrs.define
class _Making:
    """What is being made."""

    objects: dict[str, str] = attrs.Factory(dict)
    """Counters and sets."""
    chains: dict[str, tuple[str, ...]] = attrs.Factory(dict)
    """Chains by name."""
    is_narrow: bool = False
    """Whether not everything passes that no rule is about, so that what does has to be said."""

    def listed(self, name: str, said: PrefixList) -> Iterator[str]:
        """What matches those on a list."""
        self.objects.update(parts.prefix_sets(name, said.listed))
        return parts.within(name, said.listed)

    def over(self, counter: str, rate: int | None, origin: str) -> Iterator[str]:
        """What drops the packets of a sender beyond a rate."""
        if rate is not None:
            name = f"{counter}_rate"
            self.objects.update(parts.rate_sets(name))
            yield from (f"{each} {drop(counter, origin)}" for each in parts.over(name, rate))


def stages(said: Services, around: Around, order: Iterable[PolicyStage]) -> Stages:
    """What the stage places.

    Args:
        said: What is said of it.
        around: What the gateway has.
        order: The stages that there are, in their order.
    """
    made = _Making()
    makers: Mapping[PolicyStage, Callable[[], list[str]]] = {
        PolicyStage.ADMIN_POLICY: lambda: _own(said, around, made),
        PolicyStage.ADMIN_POLICY_DHCP: lambda: _dhcp(said.dhcp, around, made),
        PolicyStage.ADMIN_POLICY_HTTP: lambda: _http(said.http, around, made),
        PolicyStage.ADMIN_POLICY_DNS: lambda: _dns(said.dns, around, made),
    }
    stands = tuple(order)
    accept = Policing.ACCEPT
    made.is_narrow = PolicyStage.ADMIN_POLICY in stands and said.others != Served(accept, accept, None)
    lines = [line for stage in stands if stage in makers for line in makers[stage]()]
    lines += _others(said.others, around, made) if PolicyStage.ADMIN_POLICY in stands else []
    if not lines:
        return Stages()
    priority, ports = f"filter {'+' if around.is_after else '-'} 10", _some(around.dns)
    made.chains[CHAIN] = (
        f"type filter hook input priority {priority}; policy accept;",
        'iifname "lo" accept',
        "meta l4proto != udp ct state established,related accept",
        f"udp dport != {ports} ct state established,related accept",
        *managing(around.management),
        *around.proxied,
        *lines,
    )
    made.objects.update(parts.counters(made.chains))
    return Stages(made.objects, made.chains)


def _own(said: Services, around: Around, made: _Making) -> list[str]:
    objects, lines = parts.own_rules("services", said.rules, around.nflog)
    made.objects.update(objects)
    return lines


def _dns(said: DnsServed, around: Around, made: _Making) -> list[str]:
    """The buckets, and who comes there."""
    ports, wan, lan = _some(around.dns), parts.interfaces([around.wan]), parts.interfaces(around.lan)
    lines = []
    if not said.unsolicited:
        end = drop("stage_dns_unsolicited", said.origin)
        lines += [f"iifname {wan} ct state new udp {port} {_RESPONSE} {end}" for port in (f"dport {ports}", "sport 53")]
    buckets = list(_buckets(said, made))
    if buckets:
        made.chains[_DNS_WAN] = (*buckets, "accept")
        lines += [f"iifname {wan} {way} dport {ports} goto {_DNS_WAN}" for way in ("udp", "tcp")]
    on_lan = list(made.over("stage_dns_lan", said.lan_rate, said.origin))
    if on_lan:
        made.chains[_DNS_LAN] = (*on_lan, "accept")
        lines += [f"iifname {lan} {way} dport {ports} goto {_DNS_LAN}" for way in ("udp", "tcp")]
    open_to = [by for by, is_asked in ((wan, buckets), (lan, on_lan)) if made.is_narrow and not is_asked]
    lines += [f"iifname {by} {way} dport {ports} accept" for by in open_to for way in ("udp", "tcp")]
    return lines


def _buckets(said: DnsServed, made: _Making) -> Iterator[str]:
    """Of queries from the Internet: a sender is in the first one that has him."""
    for each in made.listed(f"{PREFIX}dns_black_list", said.black_list):
        yield f"{each} {drop('stage_dns_black', said.black_list.origin)}"
    for name, some, rate in (("white", said.white_list, said.white_rate), ("known", said.well_known,
                             said.well_known_rate)):  # fmt: skip
        senders = list(made.listed(f"{PREFIX}dns_{name}_list", some))
        if senders:
            chain = f"{PREFIX}dns_of_{name}"
            made.chains[chain] = (*made.over(f"stage_dns_{name}", rate, some.origin), "accept")
            yield from (f"{each} goto {chain} {comment(some.origin)}" for each in senders)
    yield from made.over("stage_dns_grey", said.rate, said.origin)


def _dhcp(said: Served, around: Around, made: _Making) -> list[str]:
    """By the Ethernet address of who asks: he has no other one yet."""
    lines = list(_sides("stage_dhcp", said, around))
    if said.rate is not None:
        kept = f"size {parts.SENDERS_KEPT}; flags dynamic, timeout; timeout {parts.SENDERS_TIME}s;"
        made.objects["set stage_dhcp_rate"] = f"{{ type ether_addr; {kept} }}"
        over = f"ether saddr limit rate over {said.rate}/second burst {said.rate} packets"
        lan = parts.interfaces(around.lan)
        lines.append(f"iifname {lan} update @stage_dhcp_rate {{ {over} }} {drop('stage_dhcp', said.origin)}")
    return _apart(_DHCP, f"udp dport {_DHCP_PORTS}", lines, said, made)


def _http(said: Served, around: Around, made: _Making) -> list[str]:
    lines = [*_sides("stage_http", said, around), *made.over("stage_http", said.rate, said.origin)]
    return _apart(_HTTP, f"tcp dport {_some(around.http)}", lines, said, made)


def _apart(chain: str, which: str, lines: list[str], said: Served, made: _Making) -> list[str]:
    """A chain for some packets, if anything is said of them; what is said to pass is none of the others."""
    if not lines:
        return [f"{which} accept"] if said.origin and made.is_narrow else []
    made.chains[chain] = (*lines, "accept")
    return [f"{which} goto {chain}"]


def _others(said: Served, around: Around, made: _Making) -> list[str]:
    """What nothing was said of."""
    lines = [*made.over("stage_others", said.rate, said.origin), *_sides("stage_others", said, around)]
    if not lines:
        return []
    made.chains[_OTHERS] = tuple(lines)
    return [_ALWAYS, f"udp dport {_DHCP_CLIENTS} accept", f"goto {_OTHERS}"]


def _sides(counter: str, said: Served, around: Around) -> Iterator[str]:
    """What is not accepted, by side."""
    for verdict, names in ((said.wan, (around.wan,)), (said.lan, around.lan)):
        by = f"iifname {parts.interfaces(names)}"
        if verdict is Policing.DROP:
            yield f"{by} {drop(counter, said.origin)}"
        elif verdict is Policing.REJECT:
            yield f"{by} {parts.refuse(counter, said.origin)}"


def _some(ports: Iterable[int]) -> str:
    return f"{{ {', '.join(map(str, sorted(set(ports))))} }}"

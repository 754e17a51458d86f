"""What the machine can do, as found by trying, and what to say when it can not do enough. `apply` does the trying."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from realmgw.config.settings import Dnat, Leave6, Offload, Settings
from realmgw.datapath import offload
from realmgw.errors import PlatformError

CAP_NET_BIND_SERVICE = 10
CAP_NET_ADMIN = 12
CAP_NET_RAW = 13
NO_RAW = (
    "CAP_NET_RAW is missing, by which neighbours are told where on-link addresses of the pool are: run as root, or with"
    " AmbientCapabilities=CAP_NET_RAW"
)
"""What is said where neighbours can not be told."""


@attrs.frozen
class Feature:
    """Something that a rule of ours needs, with a table small enough to tell it alone."""

    name: str
    """What it is called in a message."""
    body: str
    """What stands within the table that is tried."""
    remedy: str
    """What to do where it is missing."""


_PREROUTING = "type filter hook prerouting priority mangle"
_STRAYS = f"chain c {{\n{_PREROUTING}\nip saddr @s drop\n}}\n"
_REJECT = "meta l4proto tcp reject with tcp reset\nreject with icmp type admin-prohibited"
_NAT = "type nat hook prerouting priority dstnat"

FEATURES = (
    Feature(
        "named counters and limits",
        "counter c { }\nlimit l { rate 1/second; }\n",
        "use a kernel with CONFIG_NFT_COUNTER and CONFIG_NFT_LIMIT, and nft 1.0 or later",
    ),
    Feature(
        "reject in prerouting",
        f"chain c {{\n{_PREROUTING}\n{_REJECT}\n}}\n",
        "use kernel 5.9 or later with CONFIG_NFT_REJECT_INET (modprobe nft_reject_inet)",
    ),
    Feature(
        "fib lookups of sources",
        f'chain c {{\n{_PREROUTING}\nfib saddr type != unicast drop\nfib saddr oifname "lo" drop\n}}\n',
        "use a kernel with CONFIG_NFT_FIB_INET (modprobe nft_fib_inet)",
    ),
    Feature(
        "a set with a limit for each element",
        f"set s {{ type ipv4_addr; size 9; flags dynamic, timeout; timeout 1s; limit rate over 1/second; }}\n{_STRAYS}",
        "use kernel 5.7 or later and nft 1.0 or later",
    ),
    Feature(
        "sets of addresses with ports, which rules add to",
        "set syns { type ipv4_addr . inet_service; size 9; flags dynamic, timeout; timeout 1s; }\n"
        f"chain c {{\n{_PREROUTING}\nip saddr . tcp sport @syns accept\n"
        "add @syns { ip saddr . tcp sport } drop\n}\n",
        "use kernel 5.7 or later and nft 1.0 or later",
    ),
    Feature(
        "conntrack state, status and original address",
        f"chain c {{\n{_PREROUTING}\nct state new ct status ! dnat ct original ip daddr 192.0.2.1 accept\n}}\n",
        "use a kernel with CONFIG_NFT_CT (modprobe nft_ct)",
    ),
    Feature(
        "classes of hosts, and limits of flows for each of them",
        "map classes { type ipv4_addr : classid; }\nmap verdicts { type classid : verdict; }\n"
        "set rates { type ipv4_addr; size 9; flags dynamic, timeout; timeout 1s; }\n"
        "set counts { type ipv4_addr; size 9; flags dynamic; }\n"
        "chain c {\ntype filter hook forward priority filter\nmeta priority set ip saddr map @classes\n"
        "meta priority vmap @verdicts\nupdate @rates { ip saddr limit rate over 1/second burst 1 packets } drop\n"
        "add @counts { ip saddr ct count over 1 } reject with icmpx type port-unreachable\n}\n",
        "use a kernel with CONFIG_NFT_CONNLIMIT (modprobe nft_connlimit), and nft 1.0 or later",
    ),
)
"""What the ruleset needs in any case."""

FEATURES6 = (
    Feature(
        "IPv6: sets of /64s, fib lookups and reject",
        "set s6 { type ipv6_addr; size 9; flags dynamic, timeout; timeout 1s; limit rate over 1/second; }\n"
        f"chain c {{\n{_PREROUTING}\nip6 saddr & ffff:ffff:ffff:ffff:: @s6 drop\nmeta nfproto ipv6 fib saddr type != "
        "unicast drop\nmeta nfproto ipv6 reject with icmpv6 type admin-prohibited\n}\n",
        "use a kernel with CONFIG_NFT_FIB_IPV6 and CONFIG_NFT_REJECT_IPV6 (modprobe nft_fib_ipv6 nft_reject_ipv6)",
    ),
    Feature(
        "IPv6: dnat to a map of marks",
        f"map m6 {{ type mark : ipv6_addr; }}\nchain c {{\n{_NAT}\ndnat ip6 to meta mark map @m6\n}}\n",
        "use a kernel with CONFIG_NFT_NAT and CONFIG_NF_NAT (modprobe nft_nat)",
    ),
)
"""What it needs besides, where IPv6 is in use."""

_LEAVING = "type nat hook postrouting priority srcnat"
OF_LEAVING: Mapping[Leave6, Feature] = {
    Leave6.NAT66: Feature(
        "IPv6: masquerade",
        f"chain c {{\n{_LEAVING}\nmeta nfproto ipv6 meta l4proto tcp masquerade to :1-9 fully-random\n}}\n",
        "use a kernel with CONFIG_NFT_MASQ (modprobe nft_masq), or leave: nptv6",
    ),
    Leave6.NPTV6: Feature(
        "IPv6: translation by a map of prefixes",
        f"chain c {{\n{_LEAVING}\nsnat ip6 prefix to ip6 saddr map {{ 2001:db8::/32 : 2001:db8::/32 }}\n}}\n",
        "use a kernel with CONFIG_NFT_NAT (modprobe nft_nat) and nft 1.0 or later, or leave: nat66",
    ),
}
"""What it needs for ways by which a LAN leaves."""


def of_stages(body: str) -> Feature:
    """What the stages of the network policy need.

    Args:
        body: All of them.
    """
    remedy = "see what `nft` says of `realmgw rules` there, and write less in policy.pipeline"
    return Feature("what policy.pipeline says", body, remedy)


TRANSLATED_PREFIXES = Feature(
    "the target SNPT of ip6tables, for nptv6",
    "",
    "install iptables, load ip6t_NPT (modprobe ip6t_NPT), or leave: nat66",
)
"""The same; it is tried by ip6tables."""

NATIVE_QUEUE = Feature(
    "nftables' own queue statement",
    f"chain c {{\n{_PREROUTING}\nqueue flags bypass to 1\n}}\n",
    "use a kernel with CONFIG_NFT_QUEUE, or install iptables",
)
"""What it can do without, where iptables has the NFQUEUE target."""

HASH = Feature(
    "hashes of addresses",
    f"chain c {{\n{_PREROUTING}\nmeta nfproto ipv6 jhash @nh,304,16 mod 16 seed 0x1 != 0 drop\n}}\n",
    "use a kernel with CONFIG_NFT_HASH (modprobe nft_hash)",
)
"""What it can do without: then guesses at the pool of IPv6 come to user space."""

LOG = Feature(
    "telling of packets to a group, for the target LOG",
    f'chain c {{\n{_PREROUTING}\nlog prefix "p" group 1 snaplen 64 queue-threshold 1\n}}\n',
    "use a kernel with CONFIG_NFT_LOG and CONFIG_NETFILTER_NETLINK_LOG (modprobe nft_log nfnetlink_log)",
)
"""What it can do without: then rules with that target count, and tell nobody."""

FLOWTABLE = Feature(
    "flowtables",
    "flowtable f {\nhook ingress priority filter; counter;\n}\n"
    "chain c {\ntype filter hook forward priority filter\nct state established flow add @f\n}\n",
    "use a kernel with CONFIG_NF_FLOW_TABLE_INET and CONFIG_NFT_FLOW_OFFLOAD (modprobe nf_flow_table_inet"
    " nft_flow_offload), or datapath.offload: off",
)
"""What it can do without: then established flows stay with the chains."""

MAP_OF_HOSTS = Feature(
    "dnat to a map of marks",
    f"map m {{ type mark : ipv4_addr; }}\nchain c {{\n{_NAT}\ndnat ip to meta mark map @m\n}}\n",
    "use a kernel with CONFIG_NFT_NAT (modprobe nft_nat)",
)
"""What `Dnat.MAP` needs."""
MAP_OF_MARKS = Feature(
    "a map from marks to marks",
    f"map n {{ type mark : mark; }}\nchain c {{\n{_NAT}\nmeta mark set meta mark map @n accept\n}}\n",
    "use nft 1.0 or later",
)
"""What `Dnat.MARKDNAT` needs, besides the rule that translates."""

_DNAT_MISSING = {
    Dnat.MAP: f"nftables: {MAP_OF_HOSTS.name} is missing: {MAP_OF_HOSTS.remedy}, or datapath.dnat: auto",
    Dnat.MARKDNAT: (
        "datapath.dnat: markdnat does not work, iptables has no target MARKDNAT here: build and install module and "
        "library by kmod/README.md, or use datapath.dnat: map"
    ),
    Dnat.AUTO: "flows can not be translated, by map or markdnat: load nft_nat (modprobe nft_nat)",
}


def ways(dnat: Dnat) -> tuple[Dnat, ...]:
    """The ways to translate that a setting allows, the best first."""
    return (Dnat.MAP, Dnat.MARKDNAT) if dnat is Dnat.AUTO else (dnat,)


@attrs.frozen
class Capabilities:
    """What was found. Nothing here is assumed: each field was tried, or is what it would be if that failed.

    Without CAP_NET_ADMIN nothing beyond the privileges can be tried.
    """

    privileges: int
    """The process's effective capabilities, as bits (CapEff in /proc/self/status)."""
    lowest_port: int
    """The lowest port that may be listened at without CAP_NET_BIND_SERVICE."""
    missing: tuple[Feature, ...] = FEATURES
    """Which of `FEATURES` the kernel or nft lacks."""
    native_queue: bool = False
    """nftables' own queue statement."""
    xtables_queue: bool = False
    """The NFQUEUE target by the iptables program; not tried, and False, where the native one is there."""
    queue_socket: bool = False
    """The kernel hands packets to user space at all (nfnetlink_queue)."""
    hashes: bool = False
    """nftables can tell addresses of IPv6 by a hash."""
    logs: bool = False
    """The kernel can tell of packets (nfnetlink_log)."""
    flowtables: bool = False
    """The kernel can carry flows beside the chains; not tried, and False, where nobody asks for it."""
    dnat: Dnat | None = None
    """How flows can be translated: the first of the ways that the settings allow which works; the rest is not tried."""

    def has(self, capability: int) -> bool:
        """Whether the process holds that capability (its bit's number)."""
        return bool(self.privileges >> capability & 1)


def problems(
    found: Capabilities, *, ports: tuple[int, ...] = (), dnat: Dnat = Dnat.MAP, raw: bool = False
) -> tuple[str, ...]:
    """What is missing, the most telling first; one line each that says what to do. Empty: all is there.

    Args:
        found: What was found.
        ports: The ports that the gateway will listen at.
        dnat: How the settings want flows to be translated.
        raw: Whether neighbours have to be answered: an IPv6 prefix of the pool is on-link.
    """
    lines = []
    if not found.has(CAP_NET_ADMIN):
        lines.append("CAP_NET_ADMIN is missing: run as root, or with AmbientCapabilities=CAP_NET_ADMIN")
    low = [port for port in ports if port < found.lowest_port]
    if low and not found.has(CAP_NET_BIND_SERVICE):
        lines.append(
            f"CAP_NET_BIND_SERVICE is missing, and port {low[0]} needs it: run as root, or with "
            "AmbientCapabilities=CAP_NET_BIND_SERVICE"
        )
    if raw and not found.has(CAP_NET_RAW):
        lines.append(NO_RAW)
    if not found.has(CAP_NET_ADMIN):
        return tuple(lines)  # the rest was not tried
    lines += [f"nftables: {feature.name} is missing: {feature.remedy}" for feature in found.missing]
    if found.dnat is None:
        lines.append(_DNAT_MISSING[dnat])
    if not (found.native_queue or found.xtables_queue):
        lines.append(
            "packets can not be queued: neither nftables' queue statement (CONFIG_NFT_QUEUE) nor the iptables NFQUEUE "
            "target works: install iptables, or use a kernel that has one of them"
        )
    if not found.queue_socket:
        lines.append("packets can not be handed to user space: load nfnetlink_queue (modprobe nfnetlink_queue)")
    return tuple(lines)


def doubts(found: Capabilities, settings: Settings) -> Iterator[str]:
    """What works, but not well, for want of something; one line each that says what to do."""
    if not found.has(CAP_NET_ADMIN):
        return
    if not found.logs:
        yield f"nftables: {LOG.name} is missing, so rules with it only count: {LOG.remedy}"
    if settings.datapath.offload is not Offload.OFF:
        why = offload.against(settings)
        if why:
            yield f"datapath.offload: {why}: flows stay with the chains; switch one of both off"
        elif not found.flowtables:
            yield f"datapath.offload: {FLOWTABLE.name} are missing, so flows stay with the chains: {FLOWTABLE.remedy}"


def refuse(problems: Iterable[str]) -> None:
    """Tell the first of the problems, if there is any.

    Raises:
        PlatformError: It.
    """
    for problem in problems:
        raise PlatformError(problem)


def trial(feature: Feature, table: str) -> str:
    """What nft has to check, without applying it, to tell whether a feature is there.

    Args:
        feature: The feature.
        table: A table that does not exist.
    """
    return f"table inet {table} {{\n{feature.body}}}\n"

"""Which kernel settings the datapath stands on: what is set, what is refused, what is only warned of.

Set is what a gateway can not be without. Refused is what the operator may have set on purpose and what would break us.
Keys are paths below `/proc/sys` (an interface's name may hold a dot).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import attrs

from realmgw.config.settings import Interfaces
from realmgw.errors import PlatformError

RECOMMENDED_FLOWS = 262144
"""How many entries conntrack should have room for; each takes about 320 octets only when it is used."""
ENTRIES_PER_BUCKET = 4
"""More entries than this to a bucket make every lookup slower."""

FORWARDING = "net/ipv4/ip_forward"
FORWARDING6 = "net/ipv6/conf/all/forwarding"
DISABLED6 = "net/ipv6/conf/all/disable_ipv6"
LOOSE = "net/netfilter/nf_conntrack_tcp_loose"
MAXIMUM = "net/netfilter/nf_conntrack_max"
COUNT = "net/netfilter/nf_conntrack_count"
EVENTS = "net/netfilter/nf_conntrack_events"
BUCKETS = "net/netfilter/nf_conntrack_buckets"

REQUIRED: Mapping[str, int] = {
    FORWARDING: 1,
    # Loose, a host's segment without an entry (after a take-over) would begin a flow of its own: the private address
    # leaves for the WAN, and the tuple is taken when the real entry comes.
    LOOSE: 0,
}
"""What is set if it is not so already, and stays so after a stop; a purge puts back what was before (`former`)."""

COUNTED: Mapping[str, int] = {
    "net/netfilter/nf_conntrack_acct": 1,
    "net/netfilter/nf_conntrack_timestamp": 1,
}
"""What is set as well where flows are recorded: packets and octets are counted, and it is noted when each began. Flows
that there were before have neither."""
REQUIRED6: Mapping[str, int] = {FORWARDING6: 1}
"""The same where IPv6 is in use; of what is not remembered nothing is put back."""

FOLLOWING = re.compile(r"net/ipv4/conf/(all/accept_redirects|[^/]+/forwarding)")
"""What the kernel itself changes whenever forwarding is switched on or off: each interface forwards or does not, like
the machine, and redirects are accepted where it does not."""
FOLLOWING6 = re.compile(r"net/ipv6/conf/(?!all/)[^/]+/forwarding")
"""The same of IPv6."""
ACCEPT_RA = re.compile(r"net/ipv6/conf/[^/]+/accept_ra")
ALSO_ROUTERS = 2
"""Of `ACCEPT_RA`: router advertisements are heeded by a machine that forwards, too."""


@attrs.frozen
class Needs:
    """What there is to need further kernel settings."""

    forwards: bool = False
    """Whether anything of IPv6 is to be forwarded."""
    advertised: bool = False
    """Whether the way out was advertised by a router: with forwarding it goes, unless the WAN interface goes on heeding
    such advertisements."""
    counts: bool = False
    """Whether flows are recorded."""


def required(interfaces: Interfaces, needs: Needs) -> dict[str, int]:
    """All that is needed while the gateway runs: `REQUIRED`, and that its interfaces take part in forwarding.

    Args:
        interfaces: Of the gateway.
        needs: What there is to need more.
    """
    return {
        **REQUIRED,
        **(COUNTED if needs.counts else {}),
        **dict.fromkeys(forwarding(interfaces), 1),
        # Before forwarding is switched on, since routes go at that moment.
        **({accept_ra(interfaces.wan): ALSO_ROUTERS} if needs.forwards and needs.advertised else {}),
        **({**REQUIRED6, **dict.fromkeys(forwarding(interfaces, 6), 1)} if needs.forwards else {}),
    }


def accept_ra(name: str) -> str:
    """The key by which an interface heeds router advertisements."""
    return f"net/ipv6/conf/{name}/accept_ra"


def forwarding(interfaces: Interfaces, version: int = 4) -> tuple[str, ...]:
    """The keys by which the gateway's interfaces take part in forwarding."""
    names = dict.fromkeys((interfaces.wan, *interfaces.lan))
    return tuple(f"net/ipv{version}/conf/{name}/forwarding" for name in names)


def keys(wan: str) -> tuple[str, ...]:
    """Every key that `review` wants to know, for a WAN interface of that name."""
    per_interface = (f"net/ipv4/conf/{name}/{leaf}" for name in ("all", wan) for leaf in ("arp_ignore", "rp_filter"))
    return (*REQUIRED, MAXIMUM, BUCKETS, *per_interface)


def review(
    values: Mapping[str, int], *, wan: str, on_link: bool, default_by_wan: Callable[[], bool]
) -> tuple[str, ...]:
    """What works, but not well: warnings, one line each.

    Args:
        values: The kernel's values; a key is missing where the kernel does not have it.
        wan: Name of the interface towards the public Internet.
        on_link: Whether a part of the pool is on-link, so that ARP must be answered for it.
        default_by_wan: Tells whether a default route leaves by that interface; asked only when it matters.

    Raises:
        PlatformError: The kernel has no such setting, or one of the operator's would break the gateway.
    """
    for key in REQUIRED:
        if key not in values:
            raise PlatformError(f"{dotted(key)} does not exist: load the module nf_conntrack (modprobe nf_conntrack)")
    if on_link:
        _refuse_silent_arp(values, wan)
    return (*_reverse_path(values, wan, default_by_wan), *_table_size(values))


def is_lost(key: str, value: int) -> bool:
    """Whether a key of `FOLLOWING`, of either family, is another when forwarding was switched on and off again."""
    return value != (1 if key.endswith("accept_redirects") else 0)


def dotted(key: str) -> str:
    """The key as the `sysctl` program writes it."""
    return key.replace(".", "\0").replace("/", ".").replace("\0", "/")


def path(name: str) -> str:
    """The key of what `dotted` has written."""
    return name.replace("/", "\0").replace(".", "/").replace("\0", ".")


def is_of_interface(name: str) -> bool:
    """Whether a key, as `dotted` has written it, is there only while its interface is."""
    return name.startswith(("net.ipv4.conf.", "net.ipv6.conf."))


def _refuse_silent_arp(values: Mapping[str, int], wan: str) -> None:
    """The kernel uses the larger of both values; from 1 on it answers only for addresses that an interface has."""
    for name in ("all", wan):
        key = f"net/ipv4/conf/{name}/arp_ignore"
        if values.get(key, 0):
            raise PlatformError(
                f"{dotted(key)} is {values[key]}, so nobody answers ARP for the on-link pool: "
                "set it to 0, or have the prefix routed here"
            )


def _reverse_path(values: Mapping[str, int], wan: str, default_by_wan: Callable[[], bool]) -> tuple[str, ...]:
    """Strict filtering does no harm to pool addresses, only to senders whose way back is not the WAN interface."""
    strict = max(values.get(f"net/ipv4/conf/{name}/rp_filter", 0) for name in ("all", wan)) == 1
    if not strict or default_by_wan():
        return ()
    loose = dotted(f"net/ipv4/conf/{wan}/rp_filter")
    return (f"rp_filter is strict and no default route leaves by {wan}: clients are dropped; set {loose} to 2",)


def _table_size(values: Mapping[str, int]) -> tuple[str, ...]:
    """Only the initial network namespace may set these."""
    maximum, buckets = values.get(MAXIMUM, RECOMMENDED_FLOWS), values.get(BUCKETS, RECOMMENDED_FLOWS)
    found = []
    if 0 < maximum < RECOMMENDED_FLOWS:
        found.append(f"{dotted(MAXIMUM)} is {maximum}: further flows are dropped; set it to {RECOMMENDED_FLOWS}")
    if maximum > buckets * ENTRIES_PER_BUCKET:
        found.append(
            f"{dotted(BUCKETS)} is {buckets} for {maximum} entries: set it to {maximum // ENTRIES_PER_BUCKET} or more"
        )
    return tuple(found)

"""What the log says of the gateway as a whole: how it has started, what it has done, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from realmgw import __version__
from realmgw.config.settings import Dns, DnsView, Pools, Settings
from realmgw.control.counting import Period
from realmgw.control.durations import duration
from realmgw.datapath import forwarding
from realmgw.datapath.machine.capabilities import Capabilities
from realmgw.subscribers.model import Directory

PREFIXES = 8
"""So many prefixes of the pool are named, the others counted."""
_CAME_ONCE = ("syn_first", "syn_soon", "syn_unnoted")
"""What the kernel drops while SYNs have to come twice."""


def started(settings: Settings, directory: Directory, found: Capabilities, seconds: float) -> str:
    """Everything that somebody wants to know first, in one line.

    Args:
        settings: In force.
        directory: The subscribers.
        found: What this machine can do.
        seconds: How long the start took.
    """
    queue = "nftables" if found.native_queue else "iptables"
    return "; ".join(
        [
            f"realmgw {__version__} serves {settings.name}",
            f"DNS for the WAN at {_listens(settings.dns.wan)}, for LANs at {_listens(settings.dns.lan)}",
            *_forwarding(settings.dns),
            f"interfaces {settings.interfaces.wan} (WAN), {', '.join(settings.interfaces.lan)} (LAN)",
            f"pool of {_pool(settings.pools)}",
            f"table {settings.datapath.table}, dnat by {(found.dnat or settings.datapath.dnat).value}",
            f"queue {settings.admission.queue} by {queue}",
            forwarding.told(settings),
            f"{len(directory.hosts)} hosts, {len(directory.services)} services",
            f"started in {seconds:.2f} s",
        ]
    )


def stopped(settings: Settings, seconds: float, *, purged: bool) -> str:
    """What stays in the kernel.

    Args:
        settings: In force.
        seconds: How long the gateway ran.
        purged: Whether everything was removed.
    """
    begin = f"realmgw stopped after {duration(seconds)}"
    if purged:
        return f"{begin}; nothing of it is left in the kernel"
    return (
        f"{begin}; in the kernel stay the table {settings.datapath.table}, the queue step and the routes of the pool: "
        "established flows go on, new ones are dropped, until the next start or a purge"
    )


def summary(period: Period, load: float) -> str | None:
    """What has happened, in one line; None if nothing has.

    Args:
        period: Since the last such line.
        load: Of the pool, 0 to 1.
    """
    packets, queries = period.below("admission", "refused"), period.below("allocation", "refused")
    kernel = sum(period.more("kernel", name, "packets") for name in ("stray_limited", "not_admitted", *_CAME_ONCE))
    strays = period.more("datapath", "strays_told")
    asked, lent, admitted = (period.total(name) for name in ("queries", "lent", "admitted"))
    if not any((asked, admitted, packets, kernel, strays)):
        return None
    return (
        f"in {period.seconds:.0f} s: {asked} queries, {lent} addresses lent, {admitted} flows admitted; refused "
        f"{_reasons('packets', packets)} and {_reasons('queries', queries)}; dropped by the kernel {kernel}; "
        f"{strays} strays; load {load:.2f}"
    )


def _reasons(what: str, counts: Mapping[str, int]) -> str:
    """How many, and why."""
    named = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items(), key=lambda each: -each[1]))
    return f"{sum(counts.values())} {what}{f' ({named})' if named else ''}"


def _forwarding(dns: Dns) -> Iterator[str]:
    """What there is besides, where there is some."""
    if dns.local.listen:
        yield f"for itself at {_listens(dns.local)}"
    if dns.forward.resolvers:
        yield f"other names from {_some(each.text for each in dns.forward.resolvers)}"


def _listens(view: DnsView) -> str:
    return _some(str(each.address) if each.port == 53 else f"{each.address} port {each.port}" for each in view.listen)


def _pool(pools: Pools) -> str:
    named = _some(f"{prefix.network} {prefix.attachment.value}" for prefix in pools.circular)
    return f"{pool_size(pools)} ({named})"


def pool_size(pools: Pools) -> str:
    """How large the circular pool is: addresses of IPv4, prefixes of IPv6."""
    count6 = len(pools.networks6)
    there = [f"{pools.size} addresses"] if pools.size or not count6 else []
    return " and ".join([*there, *([f"{count6} IPv6 prefix{'es' * (count6 > 1)}"] if count6 else [])])


def _some(texts: Iterable[str]) -> str:
    """A few of them, and how many more there are."""
    every = list(texts)
    more = [f"{len(every) - PREFIXES} more"] if len(every) > PREFIXES else []
    return ", ".join([*every[:PREFIXES], *more]) or "none"

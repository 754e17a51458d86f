"""What a reload would change, as a value: nothing is done here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from typing import Any

import attrs

from realmgw.config.settings import Network, Settings
from realmgw.config.steps import Steps, gathered, portions
from realmgw.config.unsupported import WITHOUT_EFFECT
from realmgw.config.writing import Change, comparing
from realmgw.datapath.pipeline import parts
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.entry import shown
from realmgw.subscribers.model import Host, Service
from realmgw.subscribers.registry import Changes

Span = tuple[int, int, int]
"""A prefix: the version of IP, its first and its last address."""
_ADDRESS: Mapping[int, type[Any]] = {4: IPv4Address, 6: IPv6Address}

CHANGEABLE = (
    "zones",
    "pools",
    "dns.udp_size",
    "dns.host_ttl",
    "dns.service_pool_ttl",
    *(f"dns.{view}.{key}" for view in ("wan", "lan", "local", "update") for key in ("tcp_idle_timeout",
                                                              "tcp_connections", "tcp_connections_per_client")),
    *(f"dns.update.{key}" for key in ("key_file", "unsigned", "rate", "expire", "most", "defaults")),
    "dns.cookies",
    "dns.rate_limit",
    "dns.forward",
    "policy",
    "allocation",
    *(f"ipv6.{key}" for key in ("mode", "prefixes", "keep", "pending", "addresses", "lost_rate", "resolution_delay")),
    "admission.stray_threshold",
    "admission.stray_timeout",
    "admission.stray_rate",
    "admission.ask_twice",
    "datapath.reject_rate",
    "datapath.log",
    "datapath.forward",
    "datapath.unknown_hosts",
    "datapath.policy_order",
    *(f"portal.{key}" for key in ("text", "link", "reachable")),
    "metrics.clients",
    "dashboard.actions",
    "synproxy",
    *(f"alerts.{key}" for key in ("senders", "rules", "audit", "ban_time", "bans_per_minute", "never_ban")),
    "reload",
    "subscribers",
    "drop_ins",
    "logging",
    "tests",
    *WITHOUT_EFFECT,
)  # fmt: skip
"""The keys, with all below them, that a reload can change while the gateway runs. Every other one wants a restart."""
FEW = 256
"""So many addresses come into the pool, or leave it, between two steps."""
NAMED = 20
"""So many hosts or services of a kind are named, the others counted."""
FLOWS_END = "its flows end"
"""What is said of a host that goes, or moves."""
HIDDEN = {"address", "address6", "index", "target", "direct4", "direct6"}
"""Fields that are told otherwise, or mean nothing to people."""


@attrs.frozen
class Plan:
    """What a reload would change."""

    keys: tuple[Change, ...] = ()
    """Settings that are different."""
    prefixes_added: tuple[Network, ...] = ()
    """Of the circular pool."""
    prefixes_removed: tuple[Network, ...] = ()
    """Of the circular pool."""
    hosts_added: tuple[str, ...] = ()
    """Names of hosts."""
    hosts_changed: tuple[str, ...] = ()
    """Names of hosts that have another address, limit or group."""
    hosts_removed: tuple[str, ...] = ()
    """Names of hosts: these lose their claims, and the flows that they have."""
    services_changed: tuple[str, ...] = ()
    """Names of services that are new or different."""
    services_removed: tuple[str, ...] = ()
    """Names of services that are no more."""
    hosts_differ: Mapping[str, str] = attrs.Factory(dict)
    """What is different about the first `NAMED` of `hosts_changed`, by name, in words."""
    services_differ: Mapping[str, str] = attrs.Factory(dict)
    """What is different about the first `NAMED` of `services_changed`, by name; those that are new are not in it."""
    written: Mapping[str, str] = attrs.Factory(dict)
    """Where those of `keys` are written that are about a group of subscribers, by key: the file and its line."""
    problems: tuple[str, ...] = ()
    """What is not as it is written, and why: the rest would be changed nevertheless."""

    @property
    def restart(self) -> tuple[str, ...]:
        """The keys for whose sake a reload is refused."""
        return tuple(change.key for change in self.keys if needs_restart(change.key))

    def refuse_restart(self) -> None:
        """Refuse what a reload can not change.

        Raises:
            RealmGatewayError: There is such a key.
        """
        if self.restart:
            raise RealmGatewayError(f"only a restart can change {', '.join(self.restart)}: nothing was changed")

    def __bool__(self) -> bool:
        """Whether anything would be different."""
        return any((self.keys, self.hosts_added, self.hosts_changed, self.hosts_removed, self.services_changed,
                    self.services_removed))  # fmt: skip

    def lines(self) -> Iterator[str]:
        """For humans: `+` for what would come, `-` for what would go, `~` for what would be different."""
        for change in self.keys:
            hint = " (needs a restart)" if needs_restart(change.key) else ""
            hint += f" ({self.written[change.key]})" if change.key in self.written else ""
            yield f"~ {change.key}: {change.old or 'not there'} -> {change.new or 'not there'}{hint}"
        for sign, what, values in (
            ("+", "pool prefix", tuple(map(str, self.prefixes_added))),
            ("-", "pool prefix", tuple(map(str, self.prefixes_removed))),
            ("+", "host", self.hosts_added),
            ("~", "host", self.hosts_changed),
            ("-", "host", self.hosts_removed),
            ("~", "service", self.services_changed),
            ("-", "service", self.services_removed),
        ):
            yield from (self._line(sign, what, value) for value in values[:NAMED])
            if len(values) > NAMED:
                yield f"{sign} {what}s: {len(values) - NAMED} more"

    def _line(self, sign: str, what: str, name: str) -> str:
        """A host, service or prefix, and what is to be known of it."""
        if (sign, what) == ("-", "host"):
            return f"{sign} {what} {name}: {FLOWS_END}"
        if sign != "~":
            return f"{sign} {what} {name}"
        differ = (self.hosts_differ if what == "host" else self.services_differ).get(name)
        return f"+ {what} {name}" if differ is None else f"{sign} {what} {name}: {differ}"

    def summary(self) -> str:
        """In one line."""
        parts = [
            (len(self.keys), "settings"),
            (len(self.prefixes_added) + len(self.prefixes_removed), "pool prefixes"),
            (len(self.hosts_added), "hosts added"),
            (len(self.hosts_changed), "hosts changed"),
            (len(self.hosts_removed), "hosts removed"),
            (len(self.services_changed), "services new or different"),
            (len(self.services_removed), "services removed"),
        ]
        return ", ".join(f"{count} {what}" for count, what in parts if count) or "nothing is different"


def planning(
    before: Settings, after: Settings, changes: Changes, services: Mapping[str, Service] | None = None
) -> Steps[Plan]:
    """Compare the running state with the one that is written, step by step.

    Args:
        before: The running settings.
        after: Those that are written.
        changes: What becomes of the subscribers.
        services: Those that run, by name.
    """
    former = services or {}
    old = yield from _distinct(each.network for each in before.pools.circular)
    new = yield from _distinct(each.network for each in after.pools.circular)
    added = yield from gathered(network for network in new if network not in old)
    removed = yield from gathered(network for network in old if network not in new)
    keys = (*(yield from comparing(before, after)), *_lists(before, after))
    groups = {f"policy.pipeline.groups.{each.name}.rules": each.origin for each in after.policy.pipeline.groups}
    return Plan(
        keys=keys,
        written={each.key: parts.where(groups[each.key]) for each in keys if each.key in groups},
        prefixes_added=tuple(added),
        prefixes_removed=tuple(removed),
        hosts_added=tuple((yield from gathered(host.name for host in changes.added))),
        hosts_changed=tuple((yield from gathered(host.name for _, host in changes.changed))),
        hosts_removed=tuple((yield from gathered(host.name for host in changes.removed))),
        hosts_differ={host.name: _host_differs(was, host) for was, host in changes.changed[:NAMED]},
        services_changed=tuple((yield from gathered(service.name for service in changes.services))),
        services_differ={
            each.name: _differs(former[each.name], each) or "its host is different"
            for each in changes.services[:NAMED]
            if each.name in former
        },
        services_removed=tuple((yield from gathered(changes.names_gone))),
        problems=changes.problems,
    )


def _lists(before: Settings, after: Settings) -> Iterator[Change]:
    """Lists of prefixes whose files say something else, though no setting is different."""
    for (where, old), (_, new) in zip(before.policy.pipeline.lists(), after.policy.pipeline.lists(), strict=True):
        if old == new and old.listed != new.listed:
            counts = (f"{each.listed.count} prefixes" for each in (old, new))
            yield Change(f"policy.pipeline.{where}.file", *counts)


def _distinct(networks: Iterable[Network]) -> Steps[dict[Network, None]]:
    """Prefixes by themselves, in their order; some at a time."""
    found: dict[Network, None] = {}
    for portion in portions(networks):
        found.update(dict.fromkeys(portion))
        yield None
    return found


def joined(first: Plan, then: Plan) -> Plan:
    """Two plans that were carried out one after the other, as one; what is wrong is what is so after the second."""
    both: dict[str, Any] = {}
    for name in attrs.fields_dict(Plan):
        one, other = getattr(first, name), getattr(then, name)
        both[name] = {**one, **other} if isinstance(one, dict) else one + other
    return Plan(**{**both, "problems": then.problems})


def _host_differs(before: Host, after: Host) -> str:
    """What is different about a host, in words."""
    pairs = (("address", before.address, after.address), ("IPv6 address", before.address6, after.address6))
    moved = [f"{word} {_address(old)} -> {_address(new)}" for word, old, new in pairs if old != new]
    end = [f"{moved.pop()} ({FLOWS_END})"] if any(old and old != new for _, old, new in pairs) else []
    return ", ".join(filter(None, (*moved, *end, _differs(before, after)))) or "nothing that can be named"


def _address(packed: bytes) -> str:
    return shown(packed) if packed else "none"


def _differs(before: Host | Service, after: Host | Service) -> str:
    """Which fields are different; of those with a short value, both values."""
    found = []
    for (word, old), new in zip(_said(before).items(), _said(after).values(), strict=True):
        if old != new:
            was, now = [" and ".join(each) or "none" for each in (old, new)] if word == "groups" else (old, new)
            found.append(f"{word} {was} -> {now}" if isinstance(was, str | int | float) else word)
    return ", ".join(found)


def _said(value: Any) -> dict[str, Any]:
    """What is said of a host or a service, its options among it."""
    said = {word: each for word, each in attrs.asdict(value, recurse=False).items() if word not in HIDDEN}
    for word in ("profile", "terms"):
        said.update(attrs.asdict(said.pop(word), recurse=False) if word in said else {})
    return {word: each.name if isinstance(each, Host) else each for word, each in said.items()}


def needs_restart(key: str) -> bool:
    """Whether a setting, by its dotted key, can not be changed while the gateway runs."""
    return not any(key == each or key.startswith(f"{each}.") for each in CHANGEABLE)


def beyond(networks: Iterable[Network], others: Iterable[Network]) -> Steps[tuple[Network, ...]]:
    """What of some prefixes lies in none of the others, as prefixes; neither those nor these overlap each other.

    >>> from ipaddress import ip_network
    >>> finish(beyond([ip_network("192.0.2.0/30")], [ip_network("192.0.2.1/32"), ip_network("198.51.100.0/24")]))
    (IPv4Network('192.0.2.0/32'), IPv4Network('192.0.2.2/31'))
    """
    there, mine = (yield from _distinct(others)), dict[Network, None]()
    for portion in portions(networks):  # mostly, all of them are the same
        mine.update((each, None) for each in portion if each not in there)
        yield None
    if not mine:
        return ()
    spans, pieces = merge(*(yield from _spans(mine))), merge(*(yield from _spans(there)))
    found = yield from gathered(_without(spans, pieces))
    return tuple(each for each in found if each is not None)


def small(networks: Iterable[Network]) -> Iterator[tuple[Network, ...]]:
    """Prefixes in portions that do not have many addresses; of IPv6, what they have is nothing that has to be done."""
    portion, size = list[Network](), 0
    for network in networks:
        is_large = network.version == 4 and network.num_addresses > FEW
        within = network.subnets(new_prefix=network.max_prefixlen - 8) if is_large else (network,)
        for piece in within:
            portion.append(piece)
            size += piece.num_addresses if network.version == 4 else 1
            if size >= FEW:
                yield tuple(portion)
                portion, size = [], 0
    if portion:
        yield tuple(portion)


def _spans(networks: Iterable[Network]) -> Steps[list[list[Span]]]:
    """Their versions, first and last addresses; some at a time in order, and all to be merged."""
    found = list[list[Span]]()
    for portion in portions(networks):
        found.append(sorted((each.version, int(each[0]), int(each[-1])) for each in portion))
        yield None
    return found


def _without(spans: Iterator[Span], others: Iterator[Span]) -> Iterator[Network | None]:
    """What of spans lies in none of the others; both are in order, and apart from each other. None: it goes on."""
    other = next(others, None)
    for version, first, last in spans:
        left = first
        while other is not None and other[:2] <= (version, last):
            if other[0] == version and other[2] >= left:
                if other[1] > left:
                    yield from summarize_address_range(_ADDRESS[version](left), _ADDRESS[version](other[1] - 1))
                left = other[2] + 1
            if (other[0], other[2]) > (version, last):
                break  # it may lie in the next one, too
            other = next(others, None)
            yield None
        if left <= last:
            yield from summarize_address_range(_ADDRESS[version](left), _ADDRESS[version](last))

"""Options without effect: what is written of a part that is off, or that another key leaves nothing to say.

Who writes what a part is switched on by, be it to say that it is off, knows that the rest waits: that is no mistake.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set

import attrs

from realmgw.config.addresses import has_comers
from realmgw.config.alerts import AlertRule
from realmgw.config.consistency.found import Found, at, items, parts, values
from realmgw.config.dns import MOST_APART, ForwardProcess
from realmgw.config.document import Node, Problems, place
from realmgw.config.labels import Label
from realmgw.config.pipeline import Check, Pipeline, Preemptive, Services
from realmgw.config.policy import PolicyStage
from realmgw.config.settings import (
    Alerts,
    Cookies,
    Dns,
    Dns64,
    DnsView,
    FlowRecords,
    Forwarding,
    Metrics,
    Synproxy,
    UpdateView,
    Webproxy,
)
from realmgw.config.values import Peer
from realmgw.system.endpoints import Endpoint


@attrs.frozen
class _Switch:
    """What a part does nothing without."""

    key: str
    """It."""
    on: str
    """How it is written to have the part do something."""
    off: str
    """And to say that it does nothing."""
    besides: frozenset[str] = frozenset()
    """Keys that have an effect all the same."""


def _list(key: str, *besides: str) -> _Switch:
    return _Switch(key, key, f"{key}: []", frozenset(besides))


_ENABLED = _Switch("enabled", "enabled: true", "enabled: false")
_SWITCHES: dict[type[attrs.AttrsInstance], _Switch] = {
    DnsView: _list("listen"),
    UpdateView: _list("listen", "expire", "most", "defaults"),  # of what is registered by `realmgw leases`, too
    Forwarding: _list("resolvers", "lists"),  # a name on a list does not exist, where others are refused
    Metrics: _list("listen"),
    Synproxy: _list("proxies"),
    Webproxy: _ENABLED,
    FlowRecords: _ENABLED,
}
_CHECKED = (Check.BLACK_LIST, Check.WHITE_LIST, Check.SOURCES, Check.NEW_RATES, Check.RULES)
"""Checks that a key of their name says something for alone: who manages the gateway is let in by its services, too."""


STAGES: dict[type[attrs.AttrsInstance], dict[str, PolicyStage]] = {
    Pipeline: {
        "marking": PolicyStage.PACKET_MARKING,
        "reject": PolicyStage.MREJECT,
        "preemptive": PolicyStage.ADMIN_PREEMPTIVE,
        "groups": PolicyStage.GROUP_POLICY,
    },
    Services: {
        "rules": PolicyStage.ADMIN_POLICY,
        "others": PolicyStage.ADMIN_POLICY,
        "dhcp": PolicyStage.ADMIN_POLICY_DHCP,
        "http": PolicyStage.ADMIN_POLICY_HTTP,
        "dns": PolicyStage.ADMIN_POLICY_DNS,
    },
}
"""The stages without which keys have no effect."""


def _waiting(problems: Problems) -> Found[None]:
    """What is written of parts that are off, where nothing says that they are."""
    for kind, switch in _SWITCHES.items():
        usual = {field.name: field.default for field in attrs.fields(kind)}
        for part, node in parts(problems, kind):
            for word, (key, _) in node.pairs.items() if switch.key not in node.pairs else ():
                if word not in switch.besides and getattr(part, word) != usual[word]:
                    said = f"{word!r} is of no use without {switch.on!r}: write that too, or {switch.off!r}"
                    yield key, f"{said} if it is to wait, or remove it"
            yield None


def _forwarding(problems: Problems) -> Found[None]:
    """How resolvers are asked, and what is kept of their answers."""
    for part, node in parts(problems, Forwarding):
        yield from _twice(part.resolvers, items(node, "resolvers"))
        for word in ("ca_file", "pins") if _are_plain(part.resolvers) else ():
            if getattr(part, word):
                said = f"{word!r} is for TLS, by which no resolver is asked: write '#' and the name of one behind it"
                yield at(node, word), f"{said}, or remove it"
        if part.resolvers and part.stale and not part.cache:
            yield at(node, "stale"), "'stale' is of no use where nothing is kept: write a larger 'cache', or remove it"
    for dns64, node in parts(problems, Dns64):
        if dns64.prefix is None and "exclude" in node.pairs and dns64 != Dns64():
            yield at(node, "exclude"), "'exclude' is of no use without 'prefix': write that of the NAT64, or remove it"
    for dns, _ in parts(problems, Dns):
        count = len(dns.lan.listen)
        if dns.forward.process is ForwardProcess.OWN and dns.forward.resolvers and not 0 < count <= MOST_APART:
            for _, node in parts(problems, Forwarding):
                said = f"a process of its own reads 1 to {MOST_APART} addresses of dns.lan.listen, which has {count}"
                yield at(node, "process"), f"{said}: write others there, or 'gateway'"


def _cookies(problems: Problems) -> Found[None]:
    """Secrets that are not the gateway's own stay as they are."""
    for part, node in parts(problems, Cookies):
        if part.secret_file is not None and part.rotation != Cookies().rotation:
            said = "'rotation' is of the gateway's own secrets, and 'secret_file' has others: remove one of both"
            yield at(node, "rotation"), said
        yield None


def _synproxies(problems: Problems) -> Found[None]:
    """SYN proxies stand once, and certificates are for those that are spoken to by TLS."""
    for part, node in parts(problems, Synproxy):
        yield from _twice(part.proxies, items(node, "proxies"))
        if part.ca_file is not None and _are_plain(part.proxies):
            said = "'ca_file' is for TLS, by which no proxy is spoken to: write '#' and the name of one behind it"
            yield at(node, "ca_file"), f"{said}, or remove it"


def _metrics(problems: Problems) -> Found[None]:
    """Whoever is to be told metrics can ask."""
    for part, node in parts(problems, Metrics):
        if part.listen and part.group is not None and not part.sockets:
            yield at(node, "group"), "'group' is for unix sockets, and 'listen' has none: write one, or remove it"
        if part.listen and part.clients != Metrics().clients and not part.endpoints:
            yield at(node, "clients"), "'clients' come to addresses, and 'listen' has none: write one, or remove it"
        for listen, item in zip(part.listen, items(node, "listen"), strict=False):
            if isinstance(listen, Endpoint) and not has_comers(listen.address, part.clients):
                said = f"nobody may ask at {listen.address}: write those who may in metrics.clients"
                yield item, f"{said}, as prefixes" if "clients" not in node.pairs else f"{said} as well"
            yield None


def _alerts(problems: Problems) -> Found[None]:
    """Whoever tells alerts may, and each rule is tried."""
    for part, node in parts(problems, Alerts):
        if part.udp is None and part.senders != Alerts().senders:
            yield at(node, "senders"), "'senders' is of no use without 'udp': write where they come, or remove it"
        if part.udp is not None and not has_comers(part.udp.address, part.senders):
            said = f"nobody's alerts are taken at {part.udp.address}: write whose in 'senders'"
            yield at(node, "udp"), said
        all_of_them: Node | None = None
        for rule, item in zip(part.rules, items(node, "rules"), strict=False):
            if all_of_them is not None:
                said = f"the rule of {place(all_of_them)} is for all alerts, so this one is never tried"
                yield item, f"{said}: write it before that"
            elif rule == AlertRule(rule.actions):
                all_of_them = item
            yield None


def _checks(problems: Problems) -> Found[None]:
    """What is looked at first is told to be."""
    for part, node in parts(problems, Preemptive):
        usual, written = Preemptive(), "checks" in node.pairs
        told = [each for each in _CHECKED if getattr(part, each.value) != getattr(usual, each.value)]
        whole = ", ".join(each.value for each in Check if each in part.checks or each in told)
        for check in told if part.checks else ():
            said = f"{check.value!r} is of no use without {check.value!r} in 'checks'"
            way = "write it there too, or 'checks: []' if all is to wait" if written else f"write 'checks' with {whole}"
            yield (at(node, check.value), f"{said}: {way}, or remove it") if check not in part.checks else None
        yield None


def _left_out(problems: Problems) -> Found[None]:
    """What is written for stages that a written order is without."""
    order = {stage for stage, _ in values(problems, Label.STAGE, PolicyStage)}
    for kind, stages in STAGES.items() if order else ():
        off = {word: stage.value for word, stage in stages.items() if stage not in order}
        for part, node in parts(problems, kind):
            for word in (each for each in off if _says_more(part, each, order)):
                said = f"{word!r} is of no use without {off[word]} in 'datapath.policy_order'"
                yield at(node, word), f"{said}: write that there too, or remove it"
            yield None


def _says_more(part: attrs.AttrsInstance, word: str, order: Set[PolicyStage]) -> bool:
    """Whether a key of a part says something else than usual; what switches off what is off, does not."""
    said, usual = getattr(part, word), getattr(type(part)(), word)
    if isinstance(said, Preemptive):
        if not order.isdisjoint(STAGES[Services].values()):
            said = attrs.evolve(said, management=Preemptive().management)  # managers are spared by the services as well
        return bool(said.checks) and said != usual
    return bool(said) and bool(said != usual)


def _twice(peers: Iterable[Peer], places: Iterable[Node]) -> Found[None]:
    """Servers that stood before already."""
    seen = set[Endpoint]()
    for peer, item in zip(peers, places, strict=False):
        where = peer.endpoint
        yield (item, f"{where.address} port {where.port} stands twice: remove one") if where in seen else None
        seen.add(where)


def _are_plain(peers: Collection[Peer]) -> bool:
    """Whether there are some, and none is spoken to by TLS."""
    return bool(peers) and all(peer.name is None for peer in peers)


PARTS = (_waiting, _forwarding, _cookies, _synproxies, _metrics, _alerts, _checks, _left_out)
"""Each says what has no effect of its own."""
OF_METRICS = (_waiting, _metrics)
"""What of it another program has, that is told metrics of."""

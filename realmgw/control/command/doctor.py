"""Looks at everything that a gateway stands on, whether one runs or not.

Edge: files, /proc, the network.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from realmgw import config
from realmgw.config.readers import Readers
from realmgw.config.settings import Settings
from realmgw.config.values import Resolver
from realmgw.control import findings
from realmgw.control.command.client import ask
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.examination import examine, is_here
from realmgw.control.findings import Finding, State, told
from realmgw.control.permissions import is_root
from realmgw.datapath import client
from realmgw.datapath.includes import local_table
from realmgw.datapath.machine import interfaces, seeing, sysctls, tuning
from realmgw.datapath.machine.others import others
from realmgw.datapath.machine.probing import review
from realmgw.datapath.translation import mark_table
from realmgw.datapath.watch.guard import guard_table
from realmgw.errors import PlatformError, RealmGatewayError

PATIENCE = 2.0  # seconds
"""So long a resolver has to answer."""
_ROOT_SERVERS = b"\x52\x47\x01\0\0\x01" + bytes(6) + b"\0\0\x02\0\x01"
"""A question that every resolver can answer: the servers of the root."""


def diagnose(path: Path) -> list[Finding]:
    """Looks at everything.

    Args:
        path: The main file.
    """
    found = list(_of_machine())
    read = config.load_partly(path, Readers().wait)
    if read.problems or read.settings is None:
        text = f"{path} has problems ({len(read.problems)}), so the gateway's own things can not be looked at"
        return [*found, Finding("configuration", State.WRONG, text, f"realmgw check --config {path}")]
    found.append(Finding("configuration", State.OK, f"{path} has no problems"))
    settings = read.settings
    is_running = list(_running(settings, path))
    looks: dict[str, Callable[[Settings], Iterable[Finding]]] = {
        "start": _of_start,
        "resolvers": _resolvers,
    }
    if _is_here(settings):
        looks |= {"settings": _settings, "conntrack": _conntrack, "interfaces": _interfaces, "firewalls": _others}
        looks |= {"flow records": _recorded} if settings.flow_records.enabled else {}
    for topic, look in looks.items():
        found += _seen(topic, partial(look, settings))
    return [*found, *is_running]


def _seen(topic: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What is found, or why nothing can be."""
    try:
        return list(look())
    except (RealmGatewayError, OSError) as error:
        text = f"it can not be looked at: {error}"
        return [Finding(topic, State.UNSEEN, text, "" if is_root() else "sudo realmgw doctor")]


def _is_here(settings: Settings) -> bool:
    try:
        with client.route_socket() as channel:
            return is_here(settings, interfaces.addresses(channel))
    except RealmGatewayError:
        return False


def _of_machine() -> Iterator[Finding]:
    """What is the same for every gateway."""
    yield findings.nft(seeing.nft_version())
    if seeing.clock_is_set():
        yield Finding("time", State.OK, "something keeps the clock right")
    else:
        text = "nothing keeps the clock right: certificates, signatures and what is kept go by it"
        yield Finding("time", State.DOUBT, text, "timedatectl set-ntp true")
    yield findings.files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    values = {each.key: seeing.numbers(each.key) for each in tuning.TUNED}
    yield from findings.tuned({key: value for key, value in values.items() if value is not None})


def _running(settings: Settings, path: Path) -> Iterator[Finding]:
    """What the gateway says of itself."""
    try:
        answer = ask(Path(settings.control.socket), "health", main=path)
    except CommandError as error:
        if error.status is not ExitStatus.NO_GATEWAY:
            raise
        yield Finding("gateway", State.NOTE, str(error))
        return
    states = {"degraded": State.WRONG, "last_good": State.DOUBT}
    for each in answer["troubles"]:
        text = f"{each['part']}: {each['text']}"
        yield Finding("gateway", states.get(each["severity"], State.NOTE), text, findings.command_of(text))
    if not answer["troubles"]:
        yield Finding("gateway", State.OK, "it runs, and is healthy")


def _of_start(settings: Settings) -> Iterator[Finding]:
    """What `realmgw check` says: the interfaces, addresses, ports, capabilities and features of the kernel."""
    found = examine(settings, Readers().wait)
    yield from told("start", State.WRONG, found.refused)
    yield from told("start", State.DOUBT, found.wrong)
    yield from told("start", State.UNSEEN, found.unseen)
    if not (found.refused or found.wrong or found.unseen):
        text = "interfaces, addresses, ports, capabilities, the kernel's features: as a start needs them"
        yield Finding("start", State.OK, text)


def _settings(settings: Settings) -> Iterator[Finding]:
    """What the gateway leaves to the operator: reverse path, ARP, the size of conntrack."""
    try:
        doubts = review(settings)
    except PlatformError as error:
        yield from told("settings", State.WRONG, [str(error)])
        return
    yield from told("settings", State.DOUBT, doubts)
    if not doubts:
        yield Finding("settings", State.OK, "reverse path, ARP and the size of conntrack do no harm")


def _conntrack(settings: Settings) -> Iterator[Finding]:
    del settings
    use = seeing.conntrack_use()
    yield findings.conntrack(use.get("entries"), use.get("most"))


def _recorded(settings: Settings) -> Iterator[Finding]:
    del settings
    return findings.recorded({key: client.read_sysctl(key) for key in (sysctls.EVENTS, *sysctls.COUNTED)})


def _interfaces(settings: Settings) -> Iterator[Finding]:
    wan, lan = settings.interfaces.wan, settings.interfaces.lan
    lengths = {name: seeing.mtu(name) for name in (wan, *lan)}
    yield from findings.lengths(wan, lengths, ipv6=client.has_ipv6() and settings.ipv6.is_served)
    merging = [name for name in (wan, *lan) if seeing.merges(name)]
    for name in merging:
        text = f"{name} makes one packet of several (large receive offload), which is too long to be forwarded"
        yield Finding("offloads", State.WRONG, text, f"ethtool -K {name} lro off")
    if not merging:
        yield Finding("offloads", State.OK, "no interface makes packets that can not be forwarded")


def _others(settings: Settings) -> Iterator[Finding]:
    table = settings.datapath.table
    ports = tuple(dict.fromkeys(each.port for view in settings.dns.views for each in view.listen))
    ours = (table, mark_table(table), guard_table(table), local_table(table))
    found = others(ours, settings.interfaces, ports)
    for each in found:
        yield Finding("firewalls", State.DOUBT if each.by_policy else State.NOTE, each.text, each.command)
    if not found:
        yield Finding("firewalls", State.OK, "nobody else drops anything where our packets pass")


def _resolvers(settings: Settings) -> Iterator[Finding]:
    resolvers = settings.dns.forward.resolvers
    if not resolvers:
        text = "none: the LANs' questions about other people's names are refused (dns.forward.resolvers)"
        yield Finding("resolvers", State.NOTE, text)
    for each in resolvers:
        if _answers(each):
            yield Finding("resolvers", State.OK, f"{each.text} answers")
        else:
            text = f"{each.text} does not answer within {PATIENCE:g} s: is there a route to it, and does it serve us?"
            yield Finding("resolvers", State.DOUBT, text, f"ip route get {each.endpoint.address}")


def _answers(resolver: Resolver) -> bool:
    address, port = str(resolver.endpoint.address), resolver.endpoint.port
    if resolver.name is not None:  # by TLS
        return seeing.listens(address, port, PATIENCE)
    return seeing.answers(address, port, _ROOT_SERVERS, PATIENCE)

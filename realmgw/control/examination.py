"""What a start needs of the machine, beside what is written: files, users, interfaces, addresses, ports, limits.

`realmgw check` and the start look at the same things by the same functions, so that the one does not pass what the
other refuses. From another machine, or as another user, not everything can be seen: then it is said what was not.

Edge: files, /proc.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import attrs

from realmgw import config
from realmgw.config import haproxy, limits
from realmgw.config.settings import Address, Network, Settings
from realmgw.config.steps import Blocking, Steps
from realmgw.control.examined import Examined, answered, attempt
from realmgw.control.permissions import is_root, unwritable
from realmgw.control.secrets import look_at_files
from realmgw.datapath import client, links
from realmgw.datapath.apply import Kernel
from realmgw.datapath.dualstack import SWITCHED_OFF, served
from realmgw.datapath.machine import capabilities, interfaces
from realmgw.datapath.place import Place
from realmgw.errors import ConfigurationError, PlatformError, RealmGatewayError
from realmgw.subscribers.reach import NOWHERE, Around
from realmgw.system import port
from realmgw.system.disk import exposed, stranger
from realmgw.system.endpoints import Endpoint

OURS = "chmod and chown it, or name a folder that is not there yet"
"""What is to be done about a folder that others may write in."""


def examine(
    settings: Settings,
    do: Callable[[Blocking], Any],
    hasty: Callable[[Blocking], Any] | None = None,
    *,
    starting: bool = False,
) -> Examined:
    """Look at everything that a start would need.

    Args:
        settings: What is written.
        do: Makes the calls that may block; a folder that does not answer is refused, as a start would wait for it, too.
        hasty: The same for what a start can do without, which whoever needs it waits for and tells; None: `do`.
        starting: This is the start, on this machine and as this user: what can not be had is refused. The kernel's
            features are looked at when the rules are placed.
    """
    running, written = _running(settings), settings
    found = Examined(_neighbours(settings))
    if starting and (running or found.refused):
        return Examined([running] if running else found.refused)
    look_at_files(settings, do, hasty or do, found)
    _look_at_optional(settings, hasty or do, found, starting=starting)
    _look_at_folders(settings, do, found, starting=starting)
    try:
        with client.route_socket() as channel:
            there, routers = interfaces.addresses(channel), interfaces.routers(channel)
    except RealmGatewayError as error:
        found.unseen.append(f"interfaces, addresses and ports: {error}")
        return found
    if not (starting or is_here(settings, there)):
        found.unseen.append(
            "interfaces, addresses, ports, limits and the kernel: this machine is not the gateway, it has neither the"
            f" interfaces {', '.join(_interfaces(settings))} nor an address that DNS listens at"
        )
        return found
    try:
        settings = served(written)
    except PlatformError as error:
        found.refused.append(str(error))
    found.wrong += [SWITCHED_OFF] if settings != written else []
    _look_at_links(settings, there, routers, found)
    found.refused += limits.refusals(settings)
    _look_at_ports(settings, found, starting=starting, running=bool(running))
    found.wrong += _of_webproxy(settings, is_free=not (starting or running))
    if not running:
        found.refused += _taken_queue(settings.admission.queue)
    return found


def refuse(settings: Settings, do: Callable[[Blocking], Any], hasty: Callable[[Blocking], Any]) -> Examined:
    """`examine` for a start; see there.

    Raises:
        ConfigurationError: The gateway can not start here; every reason is in it.
    """
    found = examine(settings, do, hasty, starting=True)
    if found.refused:
        raise ConfigurationError(tuple(found.refused))
    limits.raise_limit(settings)
    return found


def loading(path: Path) -> Steps[config.Written]:
    """`config.loading_all` for a gateway that runs: what the machine has no room for is refused as what is wrong.

    Of IPv6 there is nothing in it where that is switched off.

    Raises:
        ConfigurationError: It can not be used.
    """
    written = yield from config.loading_all(path)
    refused = tuple(limits.refusals(written.settings))
    if refused:
        raise ConfigurationError(refused)
    limits.raise_limit(written.settings)
    return attrs.evolve(written, settings=haproxy.with_user(served(written.settings)))


def around(settings: Settings) -> Around:
    """What is around the gateway, if this machine is it."""
    try:
        with client.route_socket() as channel:
            there = interfaces.addresses(channel)
            if not is_here(settings, there) or links.missing_interfaces(settings.interfaces, there):
                return NOWHERE
            behind = [interfaces.networks_behind(channel, name) for name in settings.interfaces.lan]
            return Around(
                frozenset(each.ip for given in there.values() for each in given if not each.is_link_local),
                frozenset(interfaces.routers(channel)),
                tuple(network for network in _networks(settings, there) if not network.is_link_local),
                (*_reached(behind, 4), *_reached(behind, 6)),
            )
    except RealmGatewayError:
        return NOWHERE


def _reached(behind: Collection[Collection[Network]], version: int) -> tuple[Network, ...]:
    """What of a family is behind the LANs; nothing if there is a LAN of which it is not known."""
    found = [[each for each in one if each.version == version and not each.is_link_local] for one in behind]
    return tuple(chain.from_iterable(found)) if all(found) else ()


def _networks(settings: Settings, there: links.Addresses) -> Iterator[Network]:
    """The networks of the LAN interfaces."""
    return (address.network for name in settings.interfaces.lan for address in there[name])


def is_here(settings: Settings, there: links.Addresses) -> bool:
    """Whether this machine is the gateway: it has an address that DNS listens at, or all interfaces."""
    own = {address.ip for addresses in there.values() for address in addresses}
    return any(each.address in own for each in _endpoints(settings)) or all(
        name in there for name in _interfaces(settings)
    )


def _interfaces(settings: Settings) -> tuple[str, ...]:
    return settings.interfaces.wan, *settings.interfaces.lan


def _endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    return *settings.dns.wan.listen, *settings.dns.lan.listen


def _look_at_folders(settings: Settings, do: Callable[[Blocking], Any], found: Examined, *, starting: bool) -> None:
    """Where the gateway makes files, and who may use its socket."""
    control, metrics, alerts, state = settings.control, settings.metrics, settings.alerts, settings.state
    sockets = [("control", "socket", control.socket, control.group)]
    sockets += [("metrics", "listen", path, metrics.group) for path in metrics.sockets]
    shown = settings.dashboard
    sockets += [("dashboard", "listen", path, shown.group) for path in shown.sockets] if shown else []
    if alerts is not None and alerts.socket is not None:
        sockets.append(("alerts", "socket", alerts.socket, alerts.group))
    attempt(found.refused, partial(answered, do, control.socket.parent, partial(_look_at_clashes, sockets, found)))
    for section, key, path, group in sockets:
        look = partial(_look_at_socket, f"{section}.{key}", Path(path), group, found, starting=starting)
        attempt(found.refused, partial(answered, do, path.parent, look), f"{section}.{key}: ")
    look = partial(_look_at_folder, _numbers_of(control.group), found, "state", state, found.wrong, starting=starting)
    attempt(found.refused, partial(answered, do, state, look), "state: ")
    groups = {f"{section}.group": group for section, _, _, group in sockets if group is not None}
    look = partial(_look_at_user, settings, groups, found, starting=starting)
    attempt(found.refused, partial(answered, do, state, look), "state: ")


def _look_at_clashes(sockets: Sequence[tuple[str, str, PurePath, str | None]], found: Examined) -> None:
    for index in port.clashing(path for _, _, path, _ in sockets):
        section, key, path, _ = sockets[index]
        found.refused.append(f"{section}.{key}: {path} is another one of the gateway's: write another path")


def _look_at_user(settings: Settings, groups: Mapping[str, str], found: Examined, *, starting: bool) -> None:
    """What the gateway needs and can not do if it is not root: it seems to run as the user whose state is.

    He can begin HAProxy only if his unit lets him, and can let only groups of his own use a socket.
    """
    state = settings.state
    owner = None if starting else stranger(state)
    if settings.webproxy.enabled and owner is not None:
        found.unseen.append(
            f"webproxy: {state} is user {owner}'s: if the gateway runs as that, its unit needs webproxy.conf, or"
            " HAProxy can not be begun (docs/installing.md)"
        )
    for key, group in groups.items():
        try:
            why = port.ungiven(port.group_number(group, key), os.geteuid() if owner is None else owner)
        except PlatformError as error:
            found.refused.append(str(error))
            continue
        if why and owner is None:
            found.refused.append(f"{key}: {why}")
        elif why:
            found.unseen.append(
                f"{key}: {state} is user {owner}'s: if the gateway runs as that, it will not start: {why}"
            )


def _look_at_optional(settings: Settings, hasty: Callable[[Blocking], Any], found: Examined, *, starting: bool) -> None:
    """Files that a gateway begins without, and tells of: of alerts, which somebody else writes, and of records."""
    if settings.alerts is not None and settings.alerts.file is not None:
        path = Path(settings.alerts.file)
        look = partial(answered, hasty, path, partial(_look_at_alert_file, path, found))
        attempt(found.wrong, look, "alerts.file: ")
    records = settings.flow_records
    if records.enabled and records.file is not None:
        of, lines, folder = "flow_records.file", found.wrong, records.file.parent
        look = partial(
            answered, hasty, folder, partial(_look_at_folder, (), found, of, folder, lines, starting=starting)
        )
        attempt(found.wrong, look, f"{of}: ")


def _look_at_alert_file(path: Path, found: Examined) -> None:
    if not path.exists():
        found.wrong.append(f"alerts.file: {path} is not there: alerts are taken when it is")
    elif not path.is_file():
        found.wrong.append(f"alerts.file: {path} is no regular file: nothing is read of it")


def _look_at_socket(key: str, path: Path, group: str | None, found: Examined, *, starting: bool) -> None:
    if why := port.unfit(path):
        found.refused.append(f"{key}: {why}")
    _look_at_folder(_numbers_of(group), found, key, path.parent, found.refused, starting=starting)


def _look_at_folder(
    groups: Collection[int], found: Examined, key: str, folder: PurePath, lines: list[str], *, starting: bool
) -> None:
    who, owner = exposed(folder, groups), stranger(folder)
    if who:
        lines.append(f"{key}: {who}: strangers could take the place of what is in {folder}: {OURS}")
    elif owner is not None:
        to = lines if starting else found.unseen
        to.append(f"{key}: {folder} is user {owner}'s, who could take its place, unless the gateway is his: {OURS}")
    why = unwritable(folder)
    if why and not is_root():
        found.unseen.append(f"{key}: whether the gateway may write in {folder}: {why} (you are not root)")
    elif why:
        lines.append(f"{key}: {why}: nothing can be kept there" if key == "state" else f"{key}: {why}")


def _numbers_of(group: str | None) -> tuple[int, ...]:
    """The number of a group, if there is one of that name."""
    try:
        return () if group is None else (port.group_number(group),)
    except RealmGatewayError:
        return ()


def _look_at_links(settings: Settings, there: links.Addresses, routers: Collection[Address], found: Examined) -> None:
    missing = links.missing_interfaces(settings.interfaces, there)
    found.refused += missing
    if not missing:
        attempt(found.refused, lambda: links.check_pool(settings.pools, settings.interfaces, there, routers))


def _look_at_ports(settings: Settings, found: Examined, *, starting: bool, running: bool) -> None:
    """Ports are tried, and the kernel, unless a gateway runs that has them."""
    held = client.privileges()
    for number, transport, endpoint, who, key in _taken(settings):
        is_ours = running and number == errno.EADDRINUSE
        is_forbidden = not starting and number in (errno.EACCES, errno.EPERM)
        if not (is_ours or is_forbidden):
            found.refused.append(f"{key}: {port.refusal(transport, endpoint, number, who)}")
    if not held.has(capabilities.CAP_NET_ADMIN) and starting:
        found.refused += capabilities.problems(held, raw=settings.pools.solicited)
    elif not held.has(capabilities.CAP_NET_ADMIN):
        found.unseen.append("the kernel, and ports below 1024: only root can try them; run this as root")
    elif not (running or starting):
        found.refused += _of_kernel(settings, found.wrong)


def _running(settings: Settings) -> str:
    """What is said of a gateway that has the table; empty when there is none, or the kernel does not tell."""
    try:
        return Place(settings.datapath.table).refusal() or ""
    except OSError:
        return ""


def _neighbours(settings: Settings) -> list[str]:
    """What is said of gateways that have other tables; nothing where the kernel does not tell."""
    try:
        return Place(settings.datapath.table).neighbours()
    except OSError:
        return []


def _taken(settings: Settings) -> Iterator[tuple[int, str, Endpoint, str, str]]:
    """What can not be listened at: the operating system's error, what it is about, and the key that says where."""
    portal = settings.portal.listen if settings.portal else ()
    tls = settings.portal.tls.listen if settings.portal and settings.portal.tls else ()
    shown = settings.dashboard.endpoints if settings.dashboard else ()
    views = zip(("wan", "lan", "local", "update"), settings.dns.views, strict=True)
    dns = [(each, f"dns.{name}.listen") for name, view in views for each in view.listen]
    alerts = (settings.alerts.udp,) if settings.alerts and settings.alerts.udp else ()
    tried = [
        *((each, "DNS", way, key) for each, key in dns for way in ("UDP", "TCP")),
        *((each, "the portal", "TCP", "portal.listen") for each in portal),
        *((each, "the portal", "TCP", "portal.tls.listen") for each in tls),
        *((each, "the metrics", "TCP", "metrics.listen") for each in settings.metrics.endpoints),
        *((each, "the dashboard", "TCP", "dashboard.listen") for each in shown),
        *((each, "alerts", "UDP", "alerts.udp") for each in alerts),
    ]
    for endpoint, who, transport, key in tried:
        number = port.attempt(transport, endpoint)
        if number:
            yield number, transport, endpoint, who, key


def _of_webproxy(settings: Settings, *, is_free: bool) -> Iterator[str]:
    """What is in the way of the web proxy; without it, the gateway runs all the same.

    Args:
        settings: What is written.
        is_free: Whether nobody of ours should have its ports.
    """
    how = settings.webproxy
    why = haproxy.problem(how) if how.enabled else None
    if why is not None and not is_root() and haproxy.user(how) is not None:
        return  # who looks is not who starts it
    if why is not None:
        yield why
    elif how.enabled and is_free and is_root():
        for key, at in (("http_port", how.http_port), ("https_port", how.https_port)):
            for endpoint in (Endpoint(each, at) for each in settings.pools.service):
                number = port.attempt("TCP", endpoint)
                if number:
                    yield f"webproxy.{key}: {port.refusal('TCP', endpoint, number, 'the web proxy')}"


def _taken_queue(number: int) -> Iterator[str]:
    """What is said of another program that has our packet queue; empty where the kernel does not tell."""
    try:
        figures = client.read_queue(number)
    except RealmGatewayError:
        return
    if figures is not None:
        yield (
            f"admission.queue: another program has packet queue {number}: find it by the second number of its line in"
            " /proc/net/netfilter/nfnetlink_queue, mostly a process id, and stop it, or write another queue"
        )


def _of_kernel(settings: Settings, wrong: list[str]) -> Iterator[str]:
    """What the kernel lacks, and what is wrong about it besides; nothing is left behind."""
    kernel = Kernel(settings)
    try:
        found = kernel.probe()
        ports = tuple(endpoint.port for endpoint in settings.listened)
        raw = settings.pools.solicited
        yield from capabilities.problems(found, ports=ports, dnat=settings.datapath.dnat, raw=raw)
        wrong += capabilities.doubts(found, settings)
        kernel.refuse_foreign()
    except RealmGatewayError as error:
        yield str(error)
    finally:
        kernel.close()

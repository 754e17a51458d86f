"""How many files a gateway may have open at once: connections are files, too. Edge: this process's limits."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import attrs

from realmgw.config.settings import DnsView, Forwarding, Settings

CONTROL_CONNECTIONS = 64
"""Of operators and their programs, at once."""
PORTAL_CONNECTIONS = 256
"""Of guests, at once; each is over after one answer, or after a few seconds."""
METRICS_CONNECTIONS = 32
"""Of monitoring systems, at once; each is over after one answer, or after a few seconds."""
DASHBOARD_CONNECTIONS = 32
"""Of operators' browsers, at once; each is over after one answer, or after a few seconds."""
DASHBOARD_READERS = 8
"""So many of these are told what goes on for as long as they look."""
ALERT_CONNECTIONS = 20
"""Of those who write alerts, at once, and the socket, the port and the file that they come by."""
OTHERS = 192
"""Files that every gateway has open: programs and libraries, the kernel's queue and netlink, databases, a reload's."""


def open_files(settings: Settings) -> int:
    """How many files the gateway may need at once."""
    views = _views(settings)
    sockets = 2 * sum(len(view.listen) for view in views)
    forward = settings.dns.forward
    asking = forward.outstanding * _most_tries(forward) + len(forward.resolvers) if forward.resolvers else 0
    portal = PORTAL_CONNECTIONS + len(settings.portal.endpoints) if settings.portal else 0
    metrics = METRICS_CONNECTIONS + len(settings.metrics.listen) if settings.metrics.listen else 0
    alerts = ALERT_CONNECTIONS if settings.alerts else 0
    shown = settings.dashboard
    dashboard = DASHBOARD_CONNECTIONS + DASHBOARD_READERS + len(shown.listen) if shown else 0
    others = OTHERS + CONTROL_CONNECTIONS + portal + metrics + alerts + dashboard
    return others + sockets + asking + sum(view.tcp_connections for view in views)


def _most_tries(forward: Forwarding) -> int:
    """How often a question is put, with a socket each time."""
    return max(len(schedule) for schedule in attrs.astuple(forward.timeouts) if schedule is not None)


def refusals(settings: Settings) -> Iterator[str]:
    """What is wrong with the limit of open files that this process has, and what to do."""
    wanted, (_, most) = open_files(settings), resource.getrlimit(resource.RLIMIT_NOFILE)
    if most not in (resource.RLIM_INFINITY, -1) and most < wanted:
        connections = sum(view.tcp_connections for view in _views(settings))
        yield (
            f"{wanted} files may be open at once ({connections} TCP connections and {wanted - connections} others), and"
            f" this process may open {most}: raise its limit (LimitNOFILE= of a unit, ulimit -Hn), or lower"
            " tcp_connections in dns.wan and dns.lan, or dns.forward.outstanding"
        )


def _views(settings: Settings) -> list[DnsView]:
    return [view for view in settings.dns.views if view.listen]


def raise_limit(settings: Settings) -> None:
    """Let this process open as many files as it may need, if nothing in `refusals` speaks against it."""
    wanted, (now, most) = open_files(settings), resource.getrlimit(resource.RLIMIT_NOFILE)
    if now not in (resource.RLIM_INFINITY, -1) and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))

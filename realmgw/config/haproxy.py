"""Whether HAProxy can be run here, and as whom. Edge: files, users, limits."""

from __future__ import annotations

import os
import pwd
import resource
from functools import cache
from pathlib import Path

import attrs

from realmgw.config.settings import Settings, Webproxy

_OTHERS = 64
"""Files that HAProxy has open besides: where it listens, its own pipes, timers and sockets."""
_CAP_SYS_RESOURCE = 24  # linux/capability.h


def with_user(settings: Settings) -> Settings:
    """The same settings, with the numbers of the proxy's user where there is a proxy."""
    if not settings.webproxy.enabled:
        return settings
    return attrs.evolve(settings, webproxy=attrs.evolve(settings.webproxy, runs_as=user(settings.webproxy)))


def user(how: Webproxy) -> tuple[int, int] | None:
    """The numbers of the proxy's user and of his group; None: there is no such user, or it is root."""
    try:
        return _numbers(how.user)
    except KeyError:
        return None


@cache
def _numbers(name: str) -> tuple[int, int]:
    """Once found it stays so: the kernel knows the proxy by it as long as the gateway runs.

    Raises:
        KeyError: There is no such user, or it is root.
    """
    found = pwd.getpwnam(name)
    if not found.pw_uid:
        raise KeyError(name)
    return found.pw_uid, found.pw_gid


def problem(how: Webproxy) -> str | None:
    """Why HAProxy can not be run; None: it can."""
    if not os.access(how.program, os.X_OK):
        return f"webproxy.program: there is no program {how.program}: apt install haproxy, or write where it is"
    if user(how) is None:
        return f"webproxy.user: {how.user!r} is no user, or is root: apt install haproxy, or write one of its own"
    if os.geteuid() != 0:
        return "webproxy: the proxy runs as a user of its own, which only root can have it do: start as root"
    return _too_few_files(how)


def _too_few_files(how: Webproxy) -> str | None:
    """What is said where HAProxy can not open a file for either side of all connections, which it refuses to begin."""
    others, (_, most) = 2 * how.health.most + _OTHERS, resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * how.taken + _OTHERS
    each = (wanted - others) // how.connections
    if most in (resource.RLIM_INFINITY, -1) or wanted <= most or _may_raise_limits():
        return None
    return (
        f"webproxy.connections: {how.connections} connections need {wanted} open files, and this process may open"
        f" {most}: write at most {(most - others) // each}, or raise its limit (LimitNOFILE= of a unit, ulimit -Hn)"
    )


def _may_raise_limits() -> bool:
    status = Path("/proc/self/status").read_text()
    held = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(held, 16) >> _CAP_SYS_RESOURCE & 1)

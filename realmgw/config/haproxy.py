"""Whether HAProxy can be run here, how it is begun, and as whom.

It is begun as root, also by a gateway that is not: only who was root loses all capabilities by becoming another user.
Begun by one that merely has some, HAProxy would keep them, and with them could change the kernel's rules.

Edge: files, users, limits.
"""

from __future__ import annotations

import os
import pwd
import resource
from functools import cache

import attrs

from realmgw.config.settings import Settings, Webproxy
from realmgw.system import privileges

_OTHERS = 64
"""Files that HAProxy has open besides: where it listens, its own pipes, timers and sockets."""
_CAP_DAC_OVERRIDE, _CAP_SYS_RESOURCE = 1, 24  # linux/capability.h
NEEDED = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": _CAP_DAC_OVERRIDE, "CAP_FOWNER": 3, "CAP_KILL": 5, "CAP_SETGID": 6,
    "CAP_SETUID": 7, "CAP_SYS_CHROOT": 18,
}  # fmt: skip
"""The capabilities without which HAProxy is not begun, or not ended. Where we are root, files are root's."""
SETPRIV = "/usr/bin/setpriv"
"""What begins a program as another user."""


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
    if as_root() and not os.access(SETPRIV, os.X_OK):
        return f"webproxy: there is no program {SETPRIV}, by which HAProxy is begun: apt install util-linux"
    return _too_few_privileges() or _too_few_files(how)


def as_root() -> list[str]:
    """What stands before HAProxy's command so that root begins it; nothing where we are root."""
    return [] if os.geteuid() == 0 else [SETPRIV, "--reuid=0", "--regid=0", "--clear-groups", "--inh-caps=-all"]


def _too_few_privileges() -> str | None:
    held, is_root = privileges.held(), os.geteuid() == 0
    wanted = (name for name, bit in NEEDED.items() if not (is_root and bit == _CAP_DAC_OVERRIDE))
    missing = ", ".join(name for name in wanted if not held >> NEEDED[name] & 1)
    if not missing:
        return None
    return (
        f"webproxy: HAProxy can not be begun without {missing}: start as root, or give the gateway's unit what"
        " webproxy.conf has (docs/installing.md)"
    )


def _too_few_files(how: Webproxy) -> str | None:
    """What is said where HAProxy can not open a file for either side of all connections, which it refuses to begin."""
    others, (_, most) = 2 * how.health.most + _OTHERS, resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * how.taken + _OTHERS
    each = (wanted - others) // how.connections
    may_raise = privileges.held() >> _CAP_SYS_RESOURCE & 1
    if most in (resource.RLIM_INFINITY, -1) or wanted <= most or may_raise:
        return None
    return (
        f"webproxy.connections: {how.connections} connections need {wanted} open files, and this process may open"
        f" {most}: write at most {(most - others) // each}, or raise its limit (LimitNOFILE= of a unit, ulimit -Hn)"
    )

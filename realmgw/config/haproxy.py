"""Whether HAProxy can be run here, and as whom. Edge: files, users."""

from __future__ import annotations

import os
import pwd
from functools import cache

import attrs

from realmgw.config.settings import Settings, Webproxy


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
    return None

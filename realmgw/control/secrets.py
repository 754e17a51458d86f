"""Files that a main file names: whether a start can read them, and who else can. Edge: files, TLS, the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from realmgw import config
from realmgw.config import certificates
from realmgw.config.references import reading_secrets
from realmgw.config.settings import DashboardTls, PortalTls, Settings
from realmgw.config.steps import Blocking, finish
from realmgw.config.tokens import read_own_token
from realmgw.config.updates import NOT_RECOMMENDED, UpdateKey
from realmgw.control.examined import Examined, answered, attempt
from realmgw.errors import PlatformError
from realmgw.subscribers.remote.port import token
from realmgw.system.disk import is_public
from realmgw.system.tls import tls_options
from realmgw.system.trust import trust


def look_at_files(
    settings: Settings, do: Callable[[Blocking], Any], hasty: Callable[[Blocking], Any], found: Examined
) -> None:
    """Files that the main file names; the secrets were told of one by one.

    Args:
        settings: What is written.
        do: Makes the calls that may block.
        hasty: The same for what the gateway can begin without.
        found: Gets what is wrong.
    """
    attempt(found.refused, lambda: finish(config.lists(settings), do))
    secret, keys, repository = settings.dns.cookies.secret_file, settings.dns.update.key_file, settings.repository
    bearer, trusted = repository.token_file, repository.ca_file
    attempt(found.refused, lambda: found.wrong.extend(_weak_keys(finish(reading_secrets(settings), do).keys)))
    if repository.url:
        _look_at_signers(trusted, do, found, "repository.ca_file")
    served = {f"{name}.tls": tls for name, tls in _tls(settings)}
    for name, tls in served.items():
        options = partial(tls_options, tls.certificate_file, tls.key_file)
        attempt(found.refused, partial(answered, do, tls.key_file, options), f"{name}: ")
    shown = settings.dashboard.token_file if settings.dashboard else None
    if shown is not None:
        reading = partial(answered, do, shown, partial(read_own_token, Path(shown)))
        attempt(found.refused, reading, "dashboard.token_file: ")
    signers = settings.dns.forward.ca_file
    if signers is not None:
        _look_at_signers(signers, do, found, "dns.forward.ca_file")
    how = settings.synproxy
    if any(proxy.name is not None for proxy in how.proxies):
        _look_at_signers(how.ca_file, do, found, "synproxy.ca_file")
    folder = settings.webproxy.certificates
    if settings.webproxy.enabled and folder is not None:
        problems = partial(certificates.problems, folder, time.time())
        said = list[str]()
        attempt(said, lambda: said.extend(answered(hasty, folder, problems)))
        found.wrong += [f"webproxy.certificates: {each}" for each in said]
    if bearer is not None:
        attempt(found.wrong, lambda: answered(hasty, bearer, partial(token, bearer)), "repository.token_file: ")
    secrets = {
        "dns.cookies.secret_file": secret,
        "dns.update.key_file": keys,
        "repository.token_file": bearer,
        **{f"{name}.key_file": tls.key_file for name, tls in served.items()},
    }
    for key, path in secrets.items():
        with suppress(PlatformError):  # it was told
            if path is not None and answered(hasty if path is bearer else do, path, partial(is_public, path)):
                found.wrong.append(f"{key}: everybody on this machine may read {path}: chmod o= {path}")


def _look_at_signers(path: PurePath | None, do: Callable[[Blocking], Any], found: Examined, key: str) -> None:
    """Certificates that those of others are signed by; None: those of the system."""
    attempt(found.refused, partial(answered, do, path or "certificates", partial(trust, path)), f"{key}: ")


def _tls(settings: Settings) -> Iterator[tuple[str, PortalTls | DashboardTls]]:
    """What is served by TLS, by the sections."""
    for name, section in (("portal", settings.portal), ("dashboard", settings.dashboard)):
        if section is not None and section.tls is not None:
            yield name, section.tls


def _weak_keys(keys: Iterable[UpdateKey]) -> Iterator[str]:
    """What is said of keys that nobody should use who has a choice."""
    for each in keys:
        if each.grant.algorithm in NOT_RECOMMENDED:
            said = f"dns.update.key_file: the key {each.name} is of {each.grant.algorithm.value}"
            yield f"{said}, which is not recommended (RFC 8945 section 6): make one of hmac-sha256"

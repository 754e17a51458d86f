"""Files that the main file names: secrets of DNS cookies, keys of updates, lists of names. Edge: files."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePath

import attrs

from realmgw.config import namelists, updates
from realmgw.config.document import Problems
from realmgw.config.files import loading
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking, Steps, finish
from realmgw.config.updates import UpdateKey
from realmgw.errors import ConfigurationError, MalformedError
from realmgw.system.disk import read

SECRET_LENGTH = 16  # octets
"""Of a secret of DNS cookies."""
LONGEST = 2**16  # octets
"""Of a file of secrets."""


@attrs.frozen
class Secrets:
    """What is known to others, and to nobody else."""

    cookies: tuple[bytes, ...] = attrs.field(default=(), repr=False)
    """Of DNS cookies, shared with other servers; empty: the gateway makes its own."""
    keys: tuple[UpdateKey, ...] = ()
    """That dynamic updates are signed with."""


NO_SECRETS = Secrets()
"""There are none."""


@attrs.frozen
class Written:
    """All that is written in the main file and in files that it names, but for subscribers."""

    settings: Settings
    """The main file."""
    secrets: Secrets = NO_SECRETS
    """Files that only the gateway may read."""


def loading_all(path: Path) -> Steps[Written]:
    """Reads the main file, its drop-ins, and the files that they name.

    Args:
        path: The main file.

    Raises:
        ConfigurationError: Something cannot be used; every problem is in it.
    """
    settings = yield from loading(path)
    return Written(settings, (yield from reading_secrets(settings)))


def secrets(settings: Settings) -> Secrets:
    """What `reading_secrets` reads, at once."""
    return finish(reading_secrets(settings))


def reading_secrets(settings: Settings) -> Steps[Secrets]:
    """Reads the files of secrets that are named.

    Raises:
        ConfigurationError: One of them can not be used.
    """
    cookies, update = settings.dns.cookies.secret_file, settings.dns.update
    found = Secrets(
        () if cookies is None else (yield from _cookies(cookies)),
        () if update.key_file is None else (yield from _keys(update.key_file)),
    )
    known = {each.name for each in found.keys}
    unknown = [each for each in update.guests if each not in known]
    if unknown:
        where = "dns.update.key_file, which is not written" if update.key_file is None else update.key_file
        raise ConfigurationError((f"dns.update.guests: there is no key {unknown[0]} in {where}: write one that is",))
    return found


def _cookies(path: PurePath) -> Steps[tuple[bytes, ...]]:
    try:
        found = parse_secrets((yield from _content("dns.cookies.secret_file", path, LONGEST)).decode())
    except UnicodeDecodeError:  # which quotes what it can not read
        raise ConfigurationError((f"dns.cookies.secret_file: {path}: it is no text",)) from None
    except MalformedError as error:
        raise ConfigurationError((f"dns.cookies.secret_file: {path}: {error}",)) from None
    if not found:
        raise ConfigurationError((f"dns.cookies.secret_file: {path}: there is no secret in it",))
    return found


def _keys(path: PurePath) -> Steps[tuple[UpdateKey, ...]]:
    problems = Problems(str(path))
    content = yield from _content("dns.update.key_file", path, updates.LONGEST)
    found = yield from updates.reading_keys(content, problems)
    if problems.found:
        raise ConfigurationError(problems.lines())
    return found


def _content(key: str, path: PurePath, longest: int) -> Steps[bytes]:
    try:
        content: bytes = yield Blocking(str(path), partial(read, path, longest))
    except OSError as error:
        raise ConfigurationError((f"{key}: {path} can not be read: {error.strerror}",)) from None
    return content


def lists(settings: Settings) -> Steps[tuple[namelists.Listed, ...]]:
    """Reads the lists of names that are not to be had.

    Raises:
        ConfigurationError: One of them can not be used; every problem of all of them is in it, by file and line.
    """
    found, wrong = list[namelists.Listed](), list[str]()
    for rules in settings.dns.forward.lists:
        problems = Problems(str(rules.file))
        try:
            content = yield from _content("dns.forward.lists", rules.file, namelists.LONGEST)
        except ConfigurationError as error:
            wrong += error.problems
            continue
        found.append((yield from namelists.reading(rules, content, problems)))
        wrong += problems.lines()
    if wrong:
        raise ConfigurationError(tuple(wrong))
    return tuple(found)


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets in a file: one on each line, in hexadecimal; empty lines and what follows `#` do not count.

    Raises:
        MalformedError: A line is something else.
    """
    lines = enumerate((line.partition("#")[0].strip() for line in text.splitlines()), 1)
    return tuple(_secret(number, line) for number, line in lines if line)


def _secret(number: int, line: str) -> bytes:
    try:
        secret = bytes.fromhex(line)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_LENGTH:
        raise MalformedError(f"line {number}: a secret is {SECRET_LENGTH * 2} hexadecimal digits")
    return secret

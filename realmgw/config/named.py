"""Files that the main file names and that are no YAML: secrets of DNS cookies, lists of names. Edge: files."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePath

import attrs

from realmgw.config import namelists
from realmgw.config.disk import read
from realmgw.config.document import Problems
from realmgw.config.files import loading
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking, Steps
from realmgw.errors import ConfigurationError, MalformedError

SECRET_LENGTH = 16  # octets
"""Of a secret of DNS cookies."""
LONGEST = 2**16  # octets
"""Of a file of secrets."""


@attrs.frozen
class Written:
    """All that is written in the main file and in files that it names, but for subscribers."""

    settings: Settings
    """The main file."""
    secrets: tuple[bytes, ...] = ()
    """Of DNS cookies, shared with other servers; empty: the gateway makes its own."""


def loading_all(path: Path) -> Steps[Written]:
    """Reads the main file, its drop-ins, and the files that they name.

    Args:
        path: The main file.

    Raises:
        ConfigurationError: Something cannot be used; every problem is in it.
    """
    settings = yield from loading(path)
    file = settings.dns.cookies.secret_file
    if file is None:
        return Written(settings)
    try:
        return Written(settings, (yield Blocking(str(file), partial(secrets, settings))))
    except OSError as error:
        raise _unreadable(file, error) from None


def secrets(settings: Settings) -> tuple[bytes, ...]:
    """The secrets of DNS cookies that other servers have, too; none without such a file.

    Raises:
        ConfigurationError: The file can not be used.
    """
    path = settings.dns.cookies.secret_file
    if path is None:
        return ()
    try:
        found = parse_secrets(read(path, LONGEST).decode())
    except OSError as error:
        raise _unreadable(path, error) from None
    except (UnicodeDecodeError, MalformedError) as error:
        raise ConfigurationError((f"dns.cookies.secret_file: {path}: {error}",)) from None
    if not found:
        raise ConfigurationError((f"dns.cookies.secret_file: {path}: there is no secret in it",))
    return found


def _unreadable(path: PurePath, error: OSError) -> ConfigurationError:
    return ConfigurationError((f"dns.cookies.secret_file: {path} can not be read: {error.strerror}",))


def lists(settings: Settings) -> Steps[tuple[namelists.Listed, ...]]:
    """Reads the lists of names that are not to be had.

    Raises:
        ConfigurationError: One of them can not be used; every problem of all of them is in it, by file and line.
    """
    found, wrong = list[namelists.Listed](), list[str]()
    for rules in settings.dns.forward.lists:
        problems = Problems(str(rules.file))
        try:
            content = yield Blocking(str(rules.file), partial(read, rules.file, namelists.LONGEST))
        except OSError as error:
            wrong.append(f"dns.forward.lists: {rules.file} can not be read: {error.strerror}")
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

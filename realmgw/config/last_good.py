"""The last good configuration: what a start falls back on while the present one is broken. Edge: files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import attrs

from realmgw.config import layers
from realmgw.config.document import Node, Problems, parse
from realmgw.config.files import MAX_MAIN_FILE, filling, load, located, text
from realmgw.config.schema import GATEWAY
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking, finish, now
from realmgw.config.writing import dump
from realmgw.errors import ConfigurationError, MalformedError
from realmgw.system import disk

FORMAT = b"realmgw-settings-1"
"""Of the file."""
MAX_KEPT = 2**26  # octets
"""The longest file of last good settings: those of a main file with many drop-ins."""
DEFAULT_STATE: PurePath = attrs.fields(Settings).state.default or PurePath()
"""Where state is kept when nothing says otherwise."""


@attrs.frozen
class Loaded:
    """The configuration that a gateway can start with."""

    settings: Settings
    """What counts."""
    problems: tuple[str, ...] = ()
    """Why the present configuration does not count; empty when it does."""
    from_last_good: bool = False
    """These settings are those of the last good configuration, not of the present one. Whoever starts with them says
    so, loudly."""


def state_file(path: Path, state: PurePath, name: str) -> Path:
    """Where a gateway keeps something, apart from other gateways that share the folder.

    Args:
        path: Its main file, which tells it from others.
        state: The folder.
        name: What is kept.
    """
    identity = hashlib.blake2b(bytes(path.absolute()), digest_size=6).hexdigest()
    return Path(state) / f"{name}-{identity}"


def state_folder(path: Path, do: Callable[[Blocking], Any] = now) -> Path:
    """Where the state is, by what a main file says of it even if the rest of it can not be used.

    Args:
        path: The main file; it may be missing.
        do: Makes the call that may block.
    """
    ignored = Problems(str(path))
    try:
        found = do(Blocking(str(path), partial(text, path, MAX_MAIN_FILE, ignored)))
    except OSError:
        found = None
    root = None if found is None else parse(found, ignored)
    said = None if root is None else layers.single(root, "state")
    return path.parent / (said or DEFAULT_STATE)


def keep(path: Path, settings: Settings) -> None:
    """Keeps the settings as the last good ones; to be called when the gateway runs with them.

    Args:
        path: The main file that they are of.
        settings: As `load` returned them.

    Raises:
        PlatformError: They can not be written; what was kept before is as it was.
    """
    absolute = located(settings, Path().absolute())  # the next start may be in another folder
    disk.write(_file(path, settings.state), disk.sealed(FORMAT, dump(absolute).encode()))


def load_or_last_good(path: Path, state: PurePath | None = None, do: Callable[[Blocking], Any] = now) -> Loaded:
    """Reads the main file and its drop-ins, or, where they can not be used, the last good ones.

    Args:
        path: The main file.
        state: Where state is kept; by default where the main file says, or else `DEFAULT_STATE`.
        do: Makes the calls that may block.

    Raises:
        ConfigurationError: Neither can be used; every problem of both is in it.
    """
    try:
        return Loaded(load(path, do))
    except ConfigurationError as error:
        kept = _file(path, state or state_folder(path, do))
        settings, problem = _kept(kept, do)
        if settings is None:
            raise ConfigurationError((*error.problems, problem)) from None
        own = Problems(str(kept))
        settings = finish(filling(settings, own), do)
        if own.found:
            raise ConfigurationError((*error.problems, *own.lines())) from None
        return Loaded(settings, error.problems, from_last_good=True)


def _file(path: Path, state: PurePath) -> Path:
    return state_file(path, state, "last-good").with_suffix(layers.SUFFIX)


def _kept(kept: Path, do: Callable[[Blocking], Any]) -> tuple[Settings | None, str]:
    """The settings of a file of the last good ones; or why there are none."""
    try:
        body = disk.unsealed(FORMAT, do(Blocking(str(kept.parent), partial(disk.read, kept, MAX_KEPT))))
    except FileNotFoundError:
        return None, f"{kept}:1:1: there is no last good configuration yet"
    except OSError as error:
        return None, f"{kept}:1:1: the last good configuration can not be read: {error.strerror}"
    except MalformedError as error:
        return None, f"{kept}:1:1: the last good configuration can not be used: {error}"
    problems = Problems(str(kept))
    root: Node | None = parse(body, problems)
    settings = None if root is None else GATEWAY(root, problems)
    if settings is None:
        return None, f"{kept}:1:1: the last good configuration is of another version: {problems.lines()[0]}"
    return settings, ""

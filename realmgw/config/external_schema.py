"""The main file's schema for what is around a gateway: a repository, a SYN proxy, its operators and its log."""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePath
from typing import Any

from realmgw.config.addresses import endpoint, url
from realmgw.config.external import (
    LOG_PARTS,
    Control,
    LogFormat,
    Logging,
    LogLevel,
    Reload,
    Repository,
    Synproxy,
    Watch,
)
from realmgw.config.labels import Label
from realmgw.config.validators import (
    Key,
    Section,
    boolean,
    choice,
    integer,
    matching,
    number,
    parsed,
    remembered,
    suggestion,
    table,
)

SYNPROXY_PORT = 12345
"""Where SYN proxies take orders."""

_SPELLING = re.compile(r"[a-z]+(\.[A-Za-z0-9_]+)*")


def _part_name(text: str) -> str:
    if _SPELLING.fullmatch(text) is None:
        raise ValueError(f"{text!r} does not do: write the name of a room or of a module, like dns or dns.server")
    if text.partition(".")[0] not in LOG_PARTS:
        raise ValueError(f"no part of that name tells anything: {suggestion(text.partition('.')[0], LOG_PARTS)}")
    return text


_part = parsed(_part_name)


def _logging(levels: dict[str, LogLevel] | None = None, **rest: Any) -> Logging:
    return Logging(levels=tuple((levels or {}).items()), **rest)


RELOAD = Section(Reload, {"max_loss": Key(number(0.0, 1.0))})

REPOSITORY = Section(
    Repository,
    {
        "url": Key(remembered(Label.URL, parsed(url))),
        "token_file": Key(remembered(Label.TOKEN_FILE, parsed(PurePath))),
        "ca_file": Key(remembered(Label.CA_FILE, parsed(PurePath))),
        "watch": Key(choice(Watch)),
        "interval": Key(number(0.1, 86_400.0)),
        "timeout": Key(number(0.1, 300.0)),
        "cache": Key(boolean),
    },
)

SYNPROXY = Section(
    Synproxy,
    {
        "server": Key(remembered(Label.PEER, parsed(partial(endpoint, default=SYNPROXY_PORT)))),
        "reconnect": Key(number(0.1, 3600.0)),
        "mss": Key(integer(88, 65_495)),
        "sack": Key(boolean),
        "window_scale": Key(integer(0, 14)),
    },
)

CONTROL = Section(
    Control,
    {
        "socket": Key(parsed(PurePath)),
        "group": Key(matching(r"[A-Za-z_][A-Za-z0-9_-]{0,30}", "the name of a group of users")),
    },
)

LOGGING = Section(
    _logging,
    {
        "level": Key(choice(LogLevel)),
        "levels": Key(table(_part, choice(LogLevel))),
        "format": Key(choice(LogFormat)),
        "size": Key(integer(0, 2**40)),
        "files": Key(integer(0, 1000)),
    },
)

"""The settings of what is around a gateway: a repository, a SYN proxy, its operators and its log."""

from __future__ import annotations

import enum
import re
from functools import partial
from pathlib import PurePath

import attrs

from realmgw.config.addresses import peer, url
from realmgw.config.labels import Label
from realmgw.config.peers import remembered_peer
from realmgw.config.validators import (
    boolean,
    choice,
    converted,
    integer,
    key,
    matching,
    number,
    parsed,
    remembered,
    sequence,
    suggestion,
    table,
)
from realmgw.config.values import Peer
from realmgw.system.unix_http import CONTROL_SOCKET

SYNPROXY_PORT = 12345
"""Where SYN proxies take orders."""


class Watch(enum.Enum):
    """How changes of a repository become known."""

    LONG_POLL = "long-poll"
    """We ask, and it answers when there is a change."""
    INTERVAL = "interval"
    """We ask again and again."""


@attrs.frozen
class Reload:
    """What a reload believes."""

    max_loss: float = key(number(0.0, 1.0), 0.2)
    """The share of all hosts that may go at once, if they are more than a few, without somebody saying that it is
    meant; 1: any."""


@attrs.frozen
class Repository:
    """A policy database that has subscribers and policies, beside the files."""

    url: str | None = key(remembered(Label.URL, parsed(url)), None)
    """Of its interface, http or https, without the final slash; None: there are only files."""
    token_file: PurePath | None = key(remembered(Label.TOKEN_FILE, parsed(PurePath)), None)
    """Has the bearer token on its first line."""
    ca_file: PurePath | None = key(remembered(Label.CA_FILE, parsed(PurePath)), None)
    """Certificates (PEM) that its own must be signed by; None: those of the system."""
    watch: Watch = key(choice(Watch), Watch.LONG_POLL)
    """How changes become known."""
    interval: float = key(number(0.1, 86_400.0), 30.0)  # seconds
    """How long from one question to the next, and after a failure; with long-poll, how long it may take to answer."""
    timeout: float = key(number(0.1, 300.0), 10.0)  # seconds
    """How long a connection and an answer may take, beside the time that a long-poll waits."""
    cache: bool = key(boolean, True)
    """Keep the last good snapshot in the state folder."""


@attrs.frozen
class Synproxy:
    """The SYN proxies upstream, which are told which TCP options to answer with."""

    proxies: tuple[Peer, ...] = key(sequence(remembered_peer(partial(peer, default=SYNPROXY_PORT)), at_most=64), ())
    """Their control ports, one for each uplink; there may be none."""
    ca_file: PurePath | None = key(parsed(PurePath), None)
    """Certificates (PEM) that those of proxies by TLS must be signed by; None: those of the system."""
    reconnect: float = key(number(0.1, 3600.0), 1.0)  # seconds
    """How long until one is tried again."""
    ipv6: bool | None = key(boolean, None)
    """They are told of IPv6; None: if there is any in a pool, or hosts of a whole prefix have pinholes."""
    mss: int = key(integer(88, 65_495), 1460)  # octets
    """For addresses of the pools, and services that say nothing else."""
    sack: bool = key(boolean, True)
    """The same: selective acknowledgements are permitted."""
    window_scale: int = key(integer(0, 14), 7)
    """The same: the shift count, 0 to 14."""


@attrs.frozen
class Control:
    """How operators reach a running gateway."""

    socket: PurePath = key(parsed(PurePath), CONTROL_SOCKET)
    """The unix socket of its control interface."""
    group: str | None = key(matching(r"[A-Za-z_][A-Za-z0-9_-]{0,30}", "the name of a group of users"), None)
    """A group of users that may use it; None: only who runs the gateway, and root."""


class LogLevel(enum.Enum):
    """How important an event must be to be logged."""

    DEBUG = "debug"
    """Everything."""
    INFO = "info"
    """What the gateway does."""
    WARN = "warn"
    """What somebody should look at."""
    ERROR = "error"
    """What failed."""
    CRITICAL = "critical"
    """What ends the gateway."""


class LogFormat(enum.Enum):
    """What the lines of the log look like."""

    TEXT = "text"
    """For people."""
    JSON = "json"
    """An object for each event."""


LOG_PARTS = (
    "admission", "alerts", "allocation", "control", "daemon", "dashboard", "datapath", "dns", "log",
    "metrics", "portal", "records", "repository", "subscribers", "synnode", "synproxy", "system", "tap", "twisted",
    "webproxy",
)  # fmt: skip
"""Who tells events: what the names of parts in `logging.levels` begin with."""
_SPELLING = re.compile(r"[a-z]+(\.[A-Za-z0-9_]+)*")


def _part_name(text: str) -> str:
    if _SPELLING.fullmatch(text) is None:
        raise ValueError(f"{text!r} does not do: write the name of a room or of a module, like dns or dns.server")
    if text.partition(".")[0] not in LOG_PARTS:
        raise ValueError(f"no part of that name tells anything: {suggestion(text.partition('.')[0], LOG_PARTS)}")
    return text


_levels = converted(table(parsed(_part_name), choice(LogLevel)), lambda levels: tuple(levels.items()))


@attrs.frozen
class Logging:
    """What is logged; where to is the business of twistd (`--logfile`, `--syslog`)."""

    level: LogLevel = key(choice(LogLevel), LogLevel.INFO)
    """Of every part that has none of its own."""
    levels: tuple[tuple[str, LogLevel], ...] = key(_levels, ())
    """Of parts: the names of rooms or modules, `dns` or `dns.server`, with their levels."""
    format: LogFormat = key(choice(LogFormat), LogFormat.TEXT)
    """What the lines look like."""
    size: int = key(integer(0, 2**40), 10_000_000)  # octets
    """A log file that would become longer is moved aside, and a new one begun; 0: never."""
    files: int = key(integer(0, 1000), 5)
    """So many of those that were moved aside are kept."""

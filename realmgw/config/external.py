"""The settings of what is around a gateway: a repository, a SYN proxy, its operators and its log."""

from __future__ import annotations

import enum
from pathlib import PurePath

import attrs

from realmgw.config.values import Endpoint


class Watch(enum.Enum):
    """How changes of a repository become known."""

    LONG_POLL = "long-poll"
    """We ask, and it answers when there is a change."""
    INTERVAL = "interval"
    """We ask again and again."""


@attrs.frozen
class Reload:
    """What a reload believes."""

    max_loss: float = 0.2
    """The share of all hosts that may go at once, if they are more than a few, without somebody saying that it is
    meant; 1: any."""


@attrs.frozen
class Repository:
    """A policy database that has subscribers and policies, beside the files."""

    url: str | None = None
    """Of its interface, http or https, without the final slash; None: there are only files."""
    token_file: PurePath | None = None
    """Has the bearer token on its first line."""
    ca_file: PurePath | None = None
    """Certificates (PEM) that its own must be signed by; None: those of the system."""
    watch: Watch = Watch.LONG_POLL
    """How changes become known."""
    interval: float = 30.0  # seconds
    """How long from one question to the next, and after a failure; with long-poll, how long it may take to answer."""
    timeout: float = 10.0  # seconds
    """How long a connection and an answer may take, beside the time that a long-poll waits."""
    cache: bool = True
    """Keep the last good snapshot in the state folder."""


@attrs.frozen
class Synproxy:
    """A SYN proxy upstream that is told which TCP options to answer with."""

    server: Endpoint | None = None
    """Its control port; None: there is none."""
    reconnect: float = 1.0  # seconds
    """How long until it is tried again."""
    mss: int = 1460  # octets
    """For addresses of the pool."""
    sack: bool = True
    """For addresses of the pool: selective acknowledgements are permitted."""
    window_scale: int = 7
    """For addresses of the pool: the shift count, 0 to 14."""


@attrs.frozen
class Control:
    """How operators reach a running gateway."""

    socket: PurePath = PurePath("/run/realmgw/control.sock")
    """The unix socket of its control interface."""
    group: str | None = None
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
    "admission", "allocation", "config", "control", "daemon", "datapath", "dns", "log", "repository", "subscribers",
    "tap", "twisted",
)  # fmt: skip
"""Who tells events: what the names of parts in `logging.levels` begin with."""


@attrs.frozen
class Logging:
    """What is logged; where to is the business of twistd (`--logfile`, `--syslog`)."""

    level: LogLevel = LogLevel.INFO
    """Of every part that has none of its own."""
    levels: tuple[tuple[str, LogLevel], ...] = ()
    """Of parts: the names of rooms or modules, `dns` or `dns.server`, with their levels."""
    format: LogFormat = LogFormat.TEXT
    """What the lines look like."""
    size: int = 10_000_000  # octets
    """A log file that would become longer is moved aside, and a new one begun; 0: never."""
    files: int = 5
    """So many of those that were moved aside are kept."""

"""The commands by which operators and programs speak to a running gateway: their names, parameters and errors.

They are what the control interface offers (HTTP on a unix socket) and what the `realmgw` command asks for; what they do
is in `realmgw.control.gateway`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import attrs

from realmgw.errors import MACHINE_REFUSED, ConfigurationError, MalformedError, RealmGatewayError

Value = Any
"""What JSON has."""
Deferred = Any
"""Twisted's, for who knows no reactor."""
CONFIG_FIELD = "Realmgw-Config"
"""The header field of a request that says which main file the gateway has that is meant; another one refuses it."""


class ExitStatus(enum.IntEnum):
    """How the `realmgw` command ends; so do the manual and docs/operations.md tell it."""

    text: str
    """What it means."""

    def __new__(cls, value: int, text: str = "") -> ExitStatus:
        status = int.__new__(cls, value)
        status._value_, status.text = value, text
        return status

    OK = 0, "All is well, and what was asked for was done."
    PROBLEMS = 1, (
        "There are problems in the files; or a reload was refused, or applied without some of them; or the gateway is "
        "degraded, or runs on the last good configuration, or on what a source of subscribers said before."
    )  # fmt: skip
    USAGE = 2, "The command line was wrong."
    NO_GATEWAY = 3, (
        "No gateway answers at the control socket, or we may not speak to it; or it has gone before it had told all."
    )  # fmt: skip
    NOT_FOUND = 4, "There is no such thing, a subscriber for example."
    FAILED = MACHINE_REFUSED, "The machine refused: a file can not be written, or the kernel said no."
    DIFFERENT = 6, "With --exit-code: something is different."

    @classmethod
    def of(cls, error: BaseException | None) -> ExitStatus:
        """How the command ends when something has failed so."""
        if isinstance(error, CommandError):
            return error.status
        return cls.PROBLEMS if isinstance(error, ConfigurationError | MalformedError) else cls.FAILED


class CommandError(RealmGatewayError):
    """A command can not be done; the text is one line that says why. Nothing was changed.

    Attributes:
        status: How the `realmgw` command ends.
    """

    def __init__(self, status: ExitStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class NobodyThereError(CommandError):
    """Nobody listens at the control socket: no gateway runs, or none that would be found there."""

    def __init__(self, text: str) -> None:
        super().__init__(ExitStatus.NO_GATEWAY, text)


class ForbiddenError(CommandError):
    """Whoever asks may speak to the gateway, but not have that done."""

    def __init__(self, text: str) -> None:
        super().__init__(ExitStatus.NO_GATEWAY, text)


class MethodError(CommandError):
    """A command was asked for by a method that is not its own."""


_STATUS = {
    ExitStatus.USAGE: HTTPStatus.BAD_REQUEST,
    ExitStatus.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ExitStatus.NO_GATEWAY: HTTPStatus.MISDIRECTED_REQUEST,
    ExitStatus.PROBLEMS: HTTPStatus.CONFLICT,
}
_OWN = {MethodError: HTTPStatus.METHOD_NOT_ALLOWED, ForbiddenError: HTTPStatus.FORBIDDEN}


def problem(error: BaseException | None) -> tuple[HTTPStatus, dict[str, object]]:
    """What has failed as HTTP tells it: the status, and a problem document (RFC 9457)."""
    code = ExitStatus.of(error)
    status = _OWN.get(type(error)) or _STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
    told = {"title": status.phrase, "status": int(status), "detail": str(error), "exit_status": int(code)}
    return status, told


@attrs.frozen
class Parameter:
    """Something that a command is told: in the query string of a request, or by the words of a command line."""

    name: str
    """In the query string."""
    text: str
    """What it is."""
    default: str | None = None
    """What counts when it is not told; None: the command can not do without."""
    option: str | None = None
    """On the command line it is an option, whose value is called so; empty: a flag; None: a word without an option."""


@attrs.frozen
class Command:
    """Something that a running gateway can be asked for."""

    path: str
    """Under /v1/, and the words of a command line."""
    text: str
    """What it does, in a sentence."""
    parameters: tuple[Parameter, ...] = ()
    """What it is told."""
    changes: bool = False
    """Whether it changes anything: then it is a POST, and it is logged who wanted it."""
    takes_time: bool = False
    """Whether a gateway that is well may need more than a moment for it."""
    privileged: bool = False
    """Whether only root and the gateway's own user may have it done, and not the group that may speak to it."""


def _option(name: str, text: str, value: str, default: str | None = "") -> Parameter:
    return Parameter(name, text, default, value)


def _flag(name: str, text: str) -> Parameter:
    return Parameter(name, text, "", "")


MOST = 1_000_000
"""More entries of a list are never told."""
_LIMIT = _option("limit", "At most so many.", "N", "1000")
_WHO = Parameter("who", "A resolver's address, or a client as `reputation list --clients` has it.")
_FLOWS = (
    _option("host", "Only those of this host: its name, that of a service, or its address.", "NAME"),
    _option("client", "Only those whose other end is there: an address or a prefix.", "ADDRESS"),
    _option("via", "Only those with this public address.", "ADDRESS"),
    _option("protocol", "Only those of this protocol: tcp, udp, icmp, sctp, or a number.", "PROTOCOL"),
)
_SINCE = _option("since", "Since when: so long ago (2h, 30m, 7d), or 2026-01-31T10:42.", "TIME", "1d")

COMMANDS: Mapping[str, Command] = {
    command.path: command
    for command in (
        Command("health", "Show how the gateway is, and what is wrong."),
        Command("status", "Show how the gateway is, what runs, and what was counted.", (
            _flag("brief", "Of what was counted, only what `top` shows."),
        )),
        Command("plan", "Show what a reload would change.", takes_time=True),
        Command("reload", "Reload the configuration and the subscriber files.", (
            _flag("accept_loss", "Believe the files even if many hosts are gone from them."),
        ), changes=True, takes_time=True),
        Command("subscribers/list", "List subscribers.", (
            _option("match", "Only names that contain this.", "TEXT"), _LIMIT,
        )),
        Command("subscribers/show", "Show a subscriber.", (
            Parameter("name", "Its name, that of one of its services, or its address."),
        )),
        Command("pool", "Show the circular pool by prefix and state."),
        Command("picture", "Show the circular pool of IPv4 as a picture, from its first address to its last one.", (
            _option("cells", "At most so many cells, each for one address or for several.", "N", "1024"),
        )),
        Command("reservations", "Show which services have which addresses now, and who is expected there.", (_LIMIT,)),
        Command("reputation/list", "List resolver groups, the worst first.", (
            _option("match", "Only those with an address that contains this.", "TEXT"), _LIMIT,
            _flag("clients", "Clients that resolvers have named, instead of groups."),
        )),
        Command("reputation/show", "Show a resolver group or a client.", (_WHO,)),
        Command("reputation/set", "Set the reputation of a resolver group or a client.", (
            _WHO, Parameter("reputation", "From 0 to 1; from then on it changes again by what they do."),
        ), changes=True),
        Command("reputation/forget", "Forget all about a resolver group or a client.", (_WHO,), changes=True),
        Command("rules", "Show the rules of stages, and of hosts by classes, with what each has counted.", (
            _option("host", "Only those of this host: its name, that of a service, or its address.", "NAME"),
        ), takes_time=True),
        Command("flows/list", "List flows of hosts, into them and out of them.", (*_FLOWS, _LIMIT), takes_time=True),
        Command("flows/kill", "End flows of hosts.", _FLOWS, changes=True, takes_time=True),
        Command("flows/watch", "Tell of flows of hosts as they begin and end.", _FLOWS, takes_time=True),
        Command("flows/history", "List flows that have ended, the latest first, where they are recorded.", (
            _SINCE, _option("until", "Only those that had ended by then, likewise.", "TIME"), *_FLOWS,
            _option("name", "Only those that were opened by this name.", "NAME"),
            _option("trace", "Only those of this trace id.", "ID"), _LIMIT,
        ), takes_time=True),
        Command("flows/accounts", "Show the traffic of subscribers, or of groups, where flows are recorded.", (
            _SINCE, _flag("groups", "Groups, instead of subscribers."),
            _option("of", "Only this one, by day; a group by hour.", "NAME"), _LIMIT,
        ), takes_time=True),
        Command("trace", "Follow packets through all rules for a while: what each has met, and what came of it.", (
            _option("src", "Where they come from: an address, a prefix, or the name of a host.", "ADDRESS", None),
            _option("dst", "Where they go when they arrive, likewise.", "ADDRESS"),
            _option("for", "For how long: 30s, or 2m; at most 10m.", "TIME", "10s"),
            _option("packets", "At most so many.", "N", "100"),
        ), changes=True, takes_time=True),
        Command("log", "Show what was decided lately: queries, first packets, and why some were refused.", (
            _option("name", "Only of services whose name contains this.", "TEXT"),
            _option("host", "Only what is about this host: its name, that of a service, or its address.", "NAME"),
            _option("client", "Only packets from this address or prefix, and their answers.", "NETWORK"),
            _option("resolver", "Only queries of this address or prefix.", "ADDRESS"),
            _option("since", "Not before this: 30s, 10m or 2h ago, 10:40, or 2026-01-31T10:40.", "TIME"),
            _option("until", "Not after this, likewise.", "TIME"),
            _flag("refused", "Only refusals."), _option("limit", "The last so many.", "N", "100"),
            _flag("follow", "Go on, and print what is decided from now on."),
        ), takes_time=True),
        Command("leases/list", "List what is registered by dynamic update.", (
            _option("match", "Only names that contain this.", "TEXT"),
            _option("key", "Only what was registered with a key whose name contains this.", "TEXT"), _LIMIT,
        )),
        Command("leases/add", "Register a host's address, in place of its former one of that family.", (
            Parameter("name", "The host's name, within a zone."), Parameter("address", "Where it is."),
            _option("lifetime", "Remove it when it is not registered again for so long.", "SECONDS"),
        ), changes=True, takes_time=True),
        Command("leases/remove", "Remove what is registered at a name; its flows end.", (
            Parameter("name", "The name."),
            _option("address", "Only this address, if it is registered there.", "ADDRESS"),
        ), changes=True, takes_time=True),
        Command("synproxy/show", "Show the SYN proxies, and whether they are in step."),
        Command("webproxy/show", "Show the web proxy: whether it runs, what it knows, and what it has counted."),
        Command("alerts", "Show the alerts that came last, and what was done about each.", (
            _option("limit", "At most so many.", "N", "20"),
        )),
        Command("explain/name", "Tell what a query would be answered, and why.", (
            Parameter("name", "The name that is asked for."),
            _option("resolver", "The address that the query comes from.", "ADDRESS", None),
            _option("type", "What is asked for: A (the default) or AAAA.", "TYPE", "A"),
            _flag("tcp", "The query comes by TCP."),
            _flag("cookie", "The query has a valid server cookie."),
            _option("client", "The client that the query names (EDNS Client Subnet).", "NETWORK"),
        )),
        Command("explain/packet", "Tell what would become of the first packet of a flow, and why.", (
            Parameter("source", "Its source address."),
            Parameter("destination", "Its destination address, of the pool."),
            Parameter("protocol", "Its protocol: tcp, udp, icmp, sctp, or a number."),
            Parameter("port", "Its destination port; by default 0, none.", "0"),
            _option("source_port", "Its source port.", "PORT", "0"),
        )),
        Command("explain/flow", "Tell why a recent flow was let in or refused.", (
            Parameter("source", "One of its ends: ADDRESS:PORT, [ADDRESS]:PORT, or ADDRESS for any port."),
            Parameter("destination", "The other end, likewise; of a host its public address or its own."),
        ), takes_time=True),
        Command("config", "The settings that are in force, as a main file."),
        Command("purge", "Stop lending addresses, and remove all of the gateway's from the kernel; all flows end.", (
            Parameter("name", "The gateway's own name, to be sure that this one is meant."),
        ), changes=True, takes_time=True, privileged=True),
    )
}  # fmt: skip
"""Every command by its path."""


def checked(command: Command, given: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a request, all of them.

    Args:
        command: What is asked for.
        given: What was told.

    Raises:
        CommandError: One is missing, not known, or told and empty, which only flags may be: nobody who
            writes a name means anything at all.
    """
    known = {parameter.name: parameter.default for parameter in command.parameters}
    missing = [name for name, default in known.items() if default is None and name not in given]
    unknown = [name for name in given if name not in known]
    words = {parameter.name for parameter in command.parameters if parameter.option != ""}
    empty = [name for name, value in given.items() if name in words and not value]
    for what, names in (("missing", missing), ("not known", unknown), ("empty", empty)):
        if names:
            raise CommandError(ExitStatus.USAGE, f"{command.path.replace('/', ' ')}: {', '.join(names)}: {what}")
    return {name: given.get(name, default or "") for name, default in known.items()}


def spelled(path: str, given: Mapping[str, str]) -> str:
    """A command with what it was told, for the log: nobody's text is more than a value there.

    >>> spelled("flows/kill", {"host": "one.example.org"})
    "flows/kill host='one.example.org'"
    """
    return " ".join([path, *(f"{key}={value!r}" for key, value in given.items())])

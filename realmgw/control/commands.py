"""The commands by which operators and programs speak to a running gateway: their names, parameters and errors.

They are what the control interface offers (HTTP on a unix socket) and what the `realmgw` command asks for; what they do
is in `realmgw.control.gateway`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from realmgw.config.document import shortened
from realmgw.errors import RealmGatewayError

CONFIG_FIELD = "Realmgw-Config"
"""The header field of a request that says which main file the gateway has that is meant; another one refuses it."""


class ExitStatus(enum.IntEnum):
    """How the `realmgw` command ends. The text after each is the table of docs/operations.md."""

    OK = 0
    """All is well, and what was asked for was done."""
    PROBLEMS = 1
    """There are problems in the files; or a reload was refused, or applied without some of them; or the gateway is
    degraded, or runs on the last good configuration, or on what a source of subscribers said before."""
    USAGE = 2
    """The command line was wrong."""
    NO_GATEWAY = 3
    """No gateway answers at the control socket, or we may not speak to it."""
    NOT_FOUND = 4
    """There is no such thing: no subscriber of that name."""
    FAILED = 5
    """The machine refused: a file can not be written, the kernel said no."""
    DIFFERENT = 6
    """`plan` and `show config --diff`: something is different (with --exit-code)."""


class CommandError(RealmGatewayError):
    """A command can not be done; the text is one line that says why. Nothing was changed.

    Attributes:
        status: How the `realmgw` command ends.
    """

    def __init__(self, status: ExitStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class ForbiddenError(CommandError):
    """Whoever asks may speak to the gateway, but not have that done."""

    def __init__(self, text: str) -> None:
        super().__init__(ExitStatus.NO_GATEWAY, text)


@attrs.frozen
class Parameter:
    """Something that a command is told."""

    name: str
    """In the query string of a request."""
    text: str
    """What it is."""
    required: bool = True
    """Whether the command can not do without."""


@attrs.frozen
class Command:
    """Something that a running gateway can be asked for."""

    path: str
    """Under /v1/."""
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


_NAME = Parameter("name", "an FQDN")
_LIMIT = Parameter("limit", "at most so many", required=False)
_WHO = Parameter("who", "a resolver's address, or a client's network")

COMMANDS: Mapping[str, Command] = {
    command.path: command
    for command in (
        Command("health", "How the gateway is, and what is wrong with it now."),
        Command("status", "What runs, since when, and what was counted."),
        Command("plan", "What a reload would change.", takes_time=True),
        Command("reload", "Makes true what is written.", (
            Parameter("accept_loss", "if it is not empty: hosts may go, however many they are", required=False),
        ), changes=True, takes_time=True),
        Command("subscribers/list", "The names and addresses of hosts.", (
            Parameter("match", "only names that contain this", required=False), _LIMIT,
        )),
        Command("subscribers/show", "A host with its services.", (_NAME,)),
        Command("pool", "The circular pool, by prefix and by state."),
        Command("reservations", "What stands at the addresses now.", (_LIMIT,)),
        Command("reputation/list", "Resolver groups, the worst first.", (
            Parameter("match", "only those with an address that contains this", required=False), _LIMIT,
            Parameter("clients", "if it is not empty: clients that were named, instead of groups", required=False),
        )),
        Command("reputation/show", "A resolver group or a client, with how its reputation comes about.", (_WHO,)),
        Command("reputation/set", "Gives a resolver group or a client a reputation.", (
            _WHO, Parameter("reputation", "from 0 to 1"),
        ), changes=True),
        Command("reputation/forget", "Makes a stranger of a resolver group or a client.", (_WHO,), changes=True),
        Command("explain/name", "What a question for a name would be answered, and why.", (
            _NAME, Parameter("resolver", "the address that asks"),
            Parameter("tcp", "if it is not empty: by TCP", required=False),
            Parameter("cookie", "if it is not empty: with a valid server cookie", required=False),
            Parameter("client", "the client's network, as the resolver names it (EDNS Client Subnet)", required=False),
        )),
        Command("explain/packet", "What would become of a first packet, and why.", (
            Parameter("source", "its source address"),
            Parameter("destination", "its destination address"),
            Parameter("protocol", "its protocol, by number or name"),
            Parameter("port", "its destination port, 0 for none", required=False),
            Parameter("source_port", "its source port", required=False),
        )),
        Command("config", "The settings that are in force, as a main file."),
        Command("purge", "Lends nothing any more, and removes everything of ours from the kernel; all flows end.", (
            Parameter("name", "the gateway's own name, so that no other one is meant"),
        ), changes=True, takes_time=True, privileged=True),
    )
}  # fmt: skip
"""Every command by its path."""


def checked(command: Command, given: Mapping[str, str]) -> dict[str, str]:
    """The parameters of a request.

    Args:
        command: What is asked for.
        given: What was told.

    Raises:
        CommandError: One is missing, or not known.
    """
    known = {parameter.name for parameter in command.parameters}
    missing = [parameter.name for parameter in command.parameters if parameter.required and parameter.name not in given]
    unknown = [name for name in given if name not in known]
    for what, names in (("missing", missing), ("not known", unknown)):
        if names:
            raise CommandError(ExitStatus.USAGE, f"{command.path}: {', '.join(names)}: {what}")
    return dict(given)


def number(text: str, name: str, last: int) -> int:
    """A whole number from 0 on.

    Raises:
        CommandError: It is none, or more than `last`.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(last)) and int(text) <= last):
        raise CommandError(ExitStatus.USAGE, f"{name}: {shortened(repr(text))} is no number from 0 to {last}")
    return int(text)

"""How the commands ask a gateway and show what it says, and the groups that they stand in. Edge: the terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from realmgw import __version__
from realmgw.control.command import client
from realmgw.control.command.arguments import Command, Group, Usual, told
from realmgw.control.command.live import FASTEST, SLOWEST, repeat
from realmgw.control.commands import COMMANDS, CommandError, ExitStatus
from realmgw.errors import ConfigurationError
from realmgw.system.unix_http import CONTROL_SOCKET
from realmgw.system.writing import visible

Answer = Any
"""What JSON has."""
T = TypeVar("T")
PROGRAM = "realmgw"
"""What the command is called."""

command_line = Group(
    PROGRAM,
    help="Operates a Realm Gateway. The gateway itself is started by `twistd realmgw`.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
"""Everything that can be said; completion and the manual are made from it."""
click.version_option(__version__, message=f"{PROGRAM} %(version)s")(command_line)
GROUPS = {
    "": command_line,
    "show": Group("show", help="Show the configuration."),
    "subscribers": Group("subscribers", help="Show and change subscribers."),
    "reputation": Group("reputation", help="Show and change the reputations of resolvers and their clients."),
    "flows": Group("flows", help="Show, watch and end the flows of hosts."),
    "leases": Group("leases", help="Show and change hosts that are registered by dynamic update."),
    "synproxy": Group("synproxy", help="Show the SYN proxies."),
    "webproxy": Group("webproxy", help="Show the web proxy."),
    "explain": Group("explain", help="Explain decisions of the gateway, step by step."),
}
"""Commands by the word that they begin with."""

_WATCH: dict[str, Any] = {
    "type": click.FloatRange(FASTEST, SLOWEST), "is_flag": False, "flag_value": 2.0, "metavar": "[SECONDS]",
    "help": "Ask again every so many seconds [2], until Ctrl-C.",
}  # fmt: skip
watched = click.option("--watch", **_WATCH)
"""The option to have an answer again and again; its value is None where it was not said."""


def ask(usual: Usual, command: str, **parameters: str) -> Answer:
    """What the gateway says that the command line means; raises `CommandError` as `client.ask` does."""
    return at_gateway(usual, lambda socket, main: client.ask(socket, command, parameters, main=main, waiting=_waiting))


def at_gateway(usual: Usual, asked: Callable[[Path, Path | None], T]) -> T:
    """What comes of asking the gateway that is meant.

    The main file says where it listens, and takes its time to be read. So the usual place comes first: whoever listens
    there is told which main file is meant, and refuses if his is another.

    Args:
        usual: What all commands have.
        asked: Is handed a control socket, and the main file of the gateway that must listen there; None: any.
    """
    refuse_unreadable(usual)
    if usual.socket is not None:
        return asked(usual.socket, None)
    try:
        return asked(Path(CONTROL_SOCKET), usual.main_file)
    except CommandError as error:
        if error.status is not ExitStatus.NO_GATEWAY or (socket := _socket(usual.main_file)) == Path(CONTROL_SOCKET):
            raise
    return asked(socket, usual.main_file)


def _waiting(seconds: float) -> None:
    """Says that the gateway works, if somebody looks."""
    if sys.stderr.isatty():
        print(f"the gateway is at it for {seconds:.0f} s now", file=sys.stderr)


def refuse_unreadable(usual: Usual) -> None:
    """Refuse a main file that was named and can not be read.

    Raises:
        ConfigurationError: It is so.
    """
    path = usual.config
    if path is None:
        return
    with suppress(OSError):  # the folder may not be looked into
        if path.is_file() and os.access(path, os.R_OK):
            return
    from realmgw import config  # noqa: PLC0415 - it takes longer than most questions

    config.refuse_unreadable(path)


def _socket(main_file: Path) -> Path:
    """Where the gateway of a main file listens; with a broken one, where it does by its last good one, or by default.

    A gateway that is found there, and has another main file, refuses.
    """
    from realmgw import config  # noqa: PLC0415 - see `refuse_unreadable`

    try:
        return Path(config.load_or_last_good(main_file).settings.control.socket)
    except ConfigurationError:
        return Path(CONTROL_SOCKET)


def show(usual: Usual, answer: Answer, lines: Callable[[Answer], Iterable[str]]) -> None:
    """Print an answer, as JSON or in the lines that are made of it."""
    print_lines([json.dumps(answer, indent=2)] if usual.json else lines(answer))


def print_lines(lines: Iterable[str]) -> None:
    """Print lines; of what names and texts of others may have in them, nothing moves the cursor."""
    for line in lines:
        print("\n".join(map(visible, line.split("\n"))))


def asks(
    path: str, lines: Callable[[Answer], Iterable[str]], ends: Callable[[Answer], ExitStatus] = lambda _: ExitStatus.OK
) -> None:
    """A command that asks the gateway; with `--watch` again and again, unless it changes something.

    Args:
        path: For what.
        lines: Makes lines of the answer.
        ends: Makes the exit status of it.
    """

    @click.pass_obj
    def run(usual: Usual, /, watch: float | None = None, **said: str | bool | None) -> ExitStatus:
        parameters = spoken(said)
        if watch is not None:
            repeat(lambda: ask(usual, path, **parameters), lines, watch, as_json=usual.json)
        answer = ask(usual, path, **parameters)
        show(usual, answer, lines)
        return ends(answer)

    _add(path, run, () if COMMANDS[path].changes else (click.Option(["--watch"], **_WATCH),))


def follows(path: str, lines: Callable[[Answer], Iterable[str]]) -> None:
    """A command that goes on printing what the gateway tells over a while; as JSON, each value is a line.

    Args:
        path: For what.
        lines: Makes lines of a value.
    """

    @click.pass_obj
    def run(usual: Usual, /, **said: str | bool | None) -> ExitStatus:
        tell(usual, path, said, lines)
        return ExitStatus.OK

    _add(path, run)


def tell(
    usual: Usual,
    path: str,
    said: Mapping[str, object],
    lines: Callable[[Answer], Iterable[str]],
    *,
    always: bool = False,
) -> None:
    """Print what the gateway tells over a while.

    Args:
        usual: What all commands have.
        path: What it is asked for.
        said: Parameters.
        lines: Makes lines of a value.
        always: They are what is printed with `--json`, too.
    """
    for value in followed(usual, path, said):
        print_lines([json.dumps(value)] if usual.json and not always else lines(value))
        sys.stdout.flush()


def followed(usual: Usual, path: str, said: Mapping[str, object]) -> Iterator[Answer]:
    """What the gateway tells over a while, which has begun; raises `CommandError` as `client.follow` does."""
    parameters = spoken(said)
    return at_gateway(usual, lambda socket, main: client.follow(socket, path, parameters, main=main))


def spoken(said: Mapping[str, object]) -> dict[str, str]:
    """What a gateway is told of what a command line says: nothing of options that are not said."""
    return {key: str(value) for key, value in said.items() if value is not None and value is not False}


def _add(path: str, run: Callable[..., ExitStatus], more: Iterable[click.Parameter] = ()) -> None:
    group, _, name = path.rpartition("/")
    GROUPS[group].add_command(Command(name, callback=run, help=COMMANDS[path].text, params=[*told(path), *more]))

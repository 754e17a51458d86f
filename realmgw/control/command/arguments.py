"""What all commands have in common: options that stand anywhere, and what a gateway is told. Edge: the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import click

from realmgw.control.commands import COMMANDS, Parameter
from realmgw.system import commandline

DEFAULT_CONFIG = Path("/etc/realmgw/realmgw.yaml")
"""The main file, when the command line names none."""


class _Named(click.Path):
    """A path, which is not looked at yet: its file system may not answer."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ARG002 - click's
        return Path(value)


FILE = _Named(path_type=Path)
"""A file or a folder."""


@attrs.define
class Usual:
    """What those options say."""

    config: Path | None = None
    """The main file; None: the one at its usual place."""
    socket: Path | None = None
    """The control socket; None: the one that the main file names."""
    json: bool = False
    """Answers are printed as JSON."""

    @property
    def main_file(self) -> Path:
        """The main file, named or not."""
        return self.config or DEFAULT_CONFIG


ANYWHERE = (
    commandline.anywhere(Usual, "--config", text=f"Main file [{DEFAULT_CONFIG}].", type=FILE, metavar="FILE"),
    commandline.anywhere(
        Usual, "--socket", text="Control socket [what the main file says].", type=FILE, metavar="FILE"
    ),
    commandline.anywhere(Usual, "--json", text="Print the answer as JSON.", is_flag=True),
)
"""The options of every command."""


class Command(commandline.Command):
    """A command with them."""

    everywhere = ANYWHERE


class Group(Command, click.Group):
    """Commands that begin with the same word."""

    command_class = Command


def told(path: str) -> list[click.Parameter]:
    """What the words of a command line have to say to a gateway that is asked for something of `COMMANDS`."""
    return list(map(_word, COMMANDS[path].parameters))


def _word(each: Parameter) -> click.Parameter:
    # A default that is said, be it None, is one: nothing is missing then.
    more: dict[str, Any] = {"required": True} if each.default is None else {"default": each.default or None}
    if each.option is None:
        return click.Argument([each.name], help=each.text, **more)
    if not each.option:
        more["is_flag"] = True  # who says False has a value that may be left out
    return click.Option(
        [f"--{each.name.replace('_', '-')}"], metavar=each.option or None, help=each.text,
        show_default=bool(each.default), **more,
    )  # fmt: skip

"""The manual page, made from the command's own words: both say the same. Edge: the command line."""

from __future__ import annotations

from collections.abc import Iterator

import click

from realmgw.control.commands import ExitStatus


def commands(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with all its words."""
    if not isinstance(command, click.Group):
        yield name, command
    else:
        for word, child in command.commands.items():
            yield from commands(child, f"{name} {word}".strip())


def page(command_line: click.Group, head: str, tail: str) -> str:
    """The page.

    Args:
        command_line: The command.
        head: What stands before the commands, in roff.
        tail: What stands after the exit status.
    """
    lines = [head.rstrip(), ".SH COMMANDS"]
    for name, command in commands(command_line):
        words = list(_words(command))
        lines += [".TP", f".B {_roff(' '.join([name, *(each for _, each, _ in words)]))}", _roff(command.help or "")]
        lines += [f".RS\n.TP\n.B {_roff(text)}\n{_roff(help_)}\n.RE" for text, _, help_ in words]
    lines.append(".SH EXIT STATUS")
    for status in ExitStatus:
        lines += [".TP", f".B {status.value}", _roff(status.text)]
    return "\n".join([*lines, tail.rstrip()]) + "\n"


def _words(command: click.Command) -> Iterator[tuple[str, str, str]]:
    """What may stand behind a command but the usual options: as it is written, the same in the synopsis, its help."""
    context = click.Context(command)
    for each in command.params:
        if each.expose_value:
            text, help_ = each.get_help_record(context) or ("", "")
            is_optional = isinstance(each, click.Option) and not each.required
            yield text, f"[{text}]" if is_optional else text, help_


def _roff(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")

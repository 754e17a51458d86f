"""The manual page of the `realmgw` command, made from its own parser: neither can say what the other does not.

Edge: the command line.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from realmgw.control.commands import ExitStatus

EXIT_STATUS = {
    ExitStatus.OK: "All is well, and what was asked for was done.",
    ExitStatus.PROBLEMS: (
        "There are problems in the files; or a reload was refused, or applied without some of them; or the gateway is "
        "degraded, or runs on the last good configuration, or on what a source of subscribers said before."
    ),
    ExitStatus.USAGE: "The command line was wrong.",
    ExitStatus.NO_GATEWAY: "No gateway answers at the control socket, or we may not speak to it.",
    ExitStatus.NOT_FOUND: "There is no such thing, a subscriber for example.",
    ExitStatus.FAILED: "The machine refused: a file can not be written, or the kernel said no.",
    ExitStatus.DIFFERENT: "With --exit-code: something is different.",
}
"""What each exit status means, here and in docs/operations.md."""


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something, with all its words, and its parser."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    if not groups:
        yield parser.prog, parser
    for group in groups:
        for child in group.choices.values():
            yield from commands(child)


def page(parser: argparse.ArgumentParser, head: str, tail: str) -> str:
    """The page.

    Args:
        parser: The command's.
        head: What stands before the commands, in roff.
        tail: What stands after the exit status.
    """
    lines = [head.rstrip(), ".SH COMMANDS"]
    for name, command in commands(parser):
        lines += [".TP", f".B {_roff(f'{name.removeprefix(parser.prog)} {_usage(name, command)}'.strip())}"]
        lines += [_roff(command.description or ""), *_arguments(command)]
    lines.append(".SH EXIT STATUS")
    for status, text in EXIT_STATUS.items():
        lines += [".TP", f".B {status.value}", _roff(text)]
    return "\n".join([*lines, tail.rstrip()]) + "\n"


def _usage(name: str, command: argparse.ArgumentParser) -> str:
    usage = " ".join(command.format_usage().removeprefix("usage:").split()).removeprefix(name)
    return re.sub(r"\[-h\]|\[--(config|socket) FILE\]|\[--json\]", "", usage).strip()


def _arguments(command: argparse.ArgumentParser) -> Iterator[str]:
    formatter = argparse.HelpFormatter(prog=command.prog)
    usual = {"help", "config", "socket", "json"}
    for action in command._actions:  # noqa: SLF001 - argparse tells it in no other way
        if action.dest not in usual:
            text = formatter._expand_help(action) if action.help else ""  # noqa: SLF001 - see above
            yield f".RS\n.TP\n.B {_roff(' '.join(action.option_strings) or str(action.metavar or action.dest))}"
            yield f"{_roff(text)}\n.RE"


def _roff(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")

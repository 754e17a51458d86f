"""Whoever is about to end flows types what shows that they are those that he means. Edge: the terminal."""

from __future__ import annotations

import sys

from realmgw.control.commands import CommandError, ExitStatus


def refuse_unseen(command: str, *, confirmed: bool) -> None:
    """Refuse where nobody sits at a terminal who could be asked, unless it is confirmed already.

    Args:
        command: What is refused.
        confirmed: Nobody need be asked.

    Raises:
        CommandError: It is so; nothing was done.
    """
    if not confirmed and not sys.stdin.isatty():
        raise CommandError(
            ExitStatus.USAGE, f"{command}: nobody is at a terminal to be asked: write --yes; nothing was done"
        )


def confirm(command: str, question: str, word: str, *, confirmed: bool) -> None:
    """Have a word typed, unless it is confirmed already.

    Args:
        command: What is refused if it is another one.
        question: What will happen, and what to type.
        word: That; capitals, and a dot at its end, do not matter.
        confirmed: Nobody need be asked.

    Raises:
        CommandError: It was another one; nothing was done.
    """
    if confirmed:
        return
    sys.stderr.write(f"{question}: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().removesuffix(".").lower() != word.lower():
        raise CommandError(ExitStatus.USAGE, f"{command}: that is not {word}: nothing was done")

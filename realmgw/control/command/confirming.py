"""Whoever is about to end all flows of a gateway types its name, so that no other one is meant. Edge: the terminal."""

from __future__ import annotations

import sys

from realmgw.control.commands import CommandError, ExitStatus


def refuse_unseen(*, confirmed: bool) -> None:
    """Refuse where nobody sits at a terminal who could be asked, unless it is confirmed already.

    Raises:
        CommandError: It is so; nothing was done.
    """
    if not confirmed and not sys.stdin.isatty():
        raise CommandError(
            ExitStatus.USAGE, "purge: nobody is at a terminal to be asked: write --yes; nothing was done"
        )


def confirm(name: str, *, confirmed: bool) -> None:
    """Have the name typed, unless it is confirmed already.

    Raises:
        CommandError: It was another one; nothing was done.
    """
    if confirmed:
        return
    sys.stderr.write(f"All flows of {name} will end. Type its name to purge it: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().removesuffix(".").lower() != name.lower():
        raise CommandError(ExitStatus.USAGE, f"purge: that is not {name}: nothing was done")

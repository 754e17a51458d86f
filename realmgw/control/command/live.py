"""What is shown again and again: in one place, or one below the other. Edge: the terminal, the clock."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

from realmgw.control.commands import CommandError, ExitStatus
from realmgw.system.writing import visible

FASTEST, SLOWEST = 0.2, 3600.0  # seconds
"""How often something may be asked for."""

Answer = Any
"""What JSON has."""


def repeat(
    fetch: Callable[[], Answer], lines: Callable[[Answer], Iterable[str]], seconds: float, *, as_json: bool
) -> None:
    """Show an answer, and the next one, until the user has seen enough (Ctrl-C).

    A gateway that does not answer for a while, since it is restarted, is waited for once it has answered.

    Args:
        fetch: Asks for it.
        lines: Makes lines of it.
        seconds: How long it is waited between two.
        as_json: Each is a line of JSON instead.

    Raises:
        CommandError: It can not be asked for, from the beginning or for another reason than that nobody answers.
    """
    with _screen(as_json=as_json) as put:
        first = True
        while True:
            try:
                answer = fetch()
            except CommandError as error:
                if first or error.status is not ExitStatus.NO_GATEWAY:
                    raise
                put([json.dumps({"error": str(error)})] if as_json else [str(error)])
            else:
                put([json.dumps(answer)] if as_json else lines(answer))
            first = False
            time.sleep(seconds)


@contextmanager
def _screen(*, as_json: bool) -> Iterator[Callable[[Iterable[str]], None]]:
    """What puts lines in the place of those before, where that can be done."""
    if as_json or not sys.stdout.isatty():
        yield partial(_print, apart=not as_json)
        return
    from rich.console import Console  # noqa: PLC0415 - for this only
    from rich.live import Live  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    console = Console(highlight=False)
    if console.is_dumb_terminal or not console.is_terminal:  # the environment may say so
        yield partial(_print, apart=True)
        return
    with Live(console=console, screen=True, auto_refresh=False) as shown:

        def put(lines: Iterable[str]) -> None:
            seen = [visible(line) for line in islice(lines, console.height)]
            shown.update(Text("\n".join(seen), no_wrap=True, overflow="ellipsis"), refresh=True)

        yield put


def _print(lines: Iterable[str], *, apart: bool) -> None:
    sys.stdout.write("".join(f"{visible(line)}\n" for line in lines) + ("\n" if apart else ""))
    sys.stdout.flush()

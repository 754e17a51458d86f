"""How the command asks a gateway: HTTP, with the standard library only. Edge: a unix socket, the clock."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from realmgw.control.commands import COMMANDS, CONFIG_FIELD, CommandError, ExitStatus, NobodyThereError
from realmgw.system.unix_http import PREFIX, TIMEOUT, UnixConnection, asking

LONGEST = 1800.0  # seconds
"""How long an answer may take in all."""
ALIVE = "health"
"""The command that such a question is; it costs nothing."""


def _nothing(_seconds: float) -> None:
    """Nobody is told."""


def ask(
    path: Path,
    command: str,
    parameters: Mapping[str, str] | None = None,
    *,
    main: Path | None = None,
    timeout: float = TIMEOUT,
    waiting: Callable[[float], object] = _nothing,
) -> Any:
    """Ask a running gateway.

    Args:
        path: Its control socket.
        command: One of `COMMANDS`.
        parameters: What it is told.
        main: The main file of the gateway that is meant: another one that listens there refuses. None: any.
        timeout: How long the gateway may be silent, in seconds. With a command that takes its time, it is asked
            meanwhile whether it still answers.
        waiting: Called every now and then with how long it is at work.

    Returns:
        The answer's value.

    Raises:
        CommandError: Nobody answers there, or the gateway can not do it.
    """
    with _asking(path, timeout) as connection:
        return json.loads(_answer(connection, path, command, parameters, main, timeout, waiting).read())


def follow(
    path: Path,
    command: str,
    parameters: Mapping[str, str] | None = None,
    *,
    main: Path | None = None,
    timeout: float = TIMEOUT,
) -> Generator[Any, None, None]:
    """Ask a running gateway for what it tells over a while; see `ask`.

    Returns:
        Each value as it comes; the gateway has begun.

    Raises:
        CommandError: Nobody answers there, or the gateway can not do it; or, later, it says nothing any more, or has
            gone before all was told.
    """
    values = _values(path, command, parameters, main, timeout)
    next(values)
    return values


def _values(
    path: Path, command: str, parameters: Mapping[str, str] | None, main: Path | None, timeout: float
) -> Generator[Any, None, None]:
    """That it has begun, and then each value."""
    with _asking(path, timeout) as connection:
        response = _answer(connection, path, command, parameters, main, timeout, _nothing)
        yield None
        for line in _lines(response, path):
            if line.strip():  # else the gateway only shows that it is there
                yield json.loads(line)


def _lines(response: http.client.HTTPResponse, path: Path) -> Generator[bytes, None, None]:
    """The lines of an answer, until it is complete: `readline` takes one that is cut for such.

    Raises:
        CommandError: It is cut.
    """
    rest = b""
    try:
        while octets := response.read1():
            *lines, rest = (rest + octets).split(b"\n")
            yield from lines
    except (http.client.IncompleteRead, ConnectionError):
        raise CommandError(ExitStatus.NO_GATEWAY, f"{path}: the gateway has gone: not all was told") from None


def _asking(path: Path, timeout: float) -> AbstractContextManager[UnixConnection]:
    """A connection; what goes wrong with it is said as a `CommandError`."""
    return asking(path, timeout, partial(CommandError, ExitStatus.NO_GATEWAY), absent=NobodyThereError)


def _answer(
    connection: UnixConnection,
    path: Path,
    command: str,
    parameters: Mapping[str, str] | None,
    main: Path | None,
    timeout: float,
    waiting: Callable[[float], object],
) -> http.client.HTTPResponse:
    """The answer, whose body is to be read.

    Raises:
        CommandError: The gateway can not do it.
    """
    query = f"?{urlencode(parameters, errors='surrogateescape')}" if parameters else ""
    method = "POST" if COMMANDS[command].changes else "GET"
    fields = {} if main is None else {CONFIG_FIELD: quote(str(main.resolve()))}
    connection.request(method, f"{PREFIX}{command}{query}", headers=fields)
    _wait(connection, path, command, timeout, waiting)
    response = connection.getresponse()
    if response.status != http.client.OK:
        value = json.loads(response.read())
        raise CommandError(ExitStatus(value["exit_status"]), value["detail"])
    return response


def _wait(
    connection: UnixConnection, path: Path, command: str, timeout: float, waiting: Callable[[float], object]
) -> None:
    """Until there is an answer.

    Raises:
        TimeoutError: The gateway is silent; or it took longer than anything may.
    """
    begin = time.monotonic()
    pause = timeout / 2 if COMMANDS[command].takes_time else timeout
    while not connection.answers_within(pause):
        if not COMMANDS[command].takes_time or time.monotonic() - begin > LONGEST:
            raise TimeoutError
        ask(path, ALIVE, timeout=pause)
        waiting(time.monotonic() - begin)

"""How the command asks a gateway: HTTP, with the standard library only. Edge: a unix socket, the clock."""

from __future__ import annotations

import http.client
import json
import select
import socket
import struct
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from realmgw.control.commands import COMMANDS, CONFIG_FIELD, CommandError, ExitStatus

TIMEOUT = 5.0  # seconds
"""How long a gateway may be silent; one that is at a longer piece of work is asked meanwhile whether it answers."""
LONGEST = 1800.0  # seconds
"""How long an answer may take in all."""
IN_LINE = 0.02  # seconds
"""How soon it is tried again where others wait to be connected as well, as many as can."""
ALIVE = "health"
"""The command that such a question is; it costs nothing."""

_CREDENTIALS = struct.Struct("=iII")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        end = time.monotonic() + (self.timeout or 0.0)
        while True:
            try:
                return self.sock.connect(str(self._path))
            except BlockingIOError:  # others are in the line, and it is full
                if time.monotonic() > end:
                    raise TimeoutError from None
            time.sleep(IN_LINE)

    @property
    def peer(self) -> int | None:
        """The process that listens there; None without a connection."""
        if self.sock is None:
            return None
        told = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return int(_CREDENTIALS.unpack(told)[0])

    def answers_within(self, seconds: float) -> bool:
        """Whether there is something to be read by then."""
        return bool(select.select([self.sock], [], [], seconds)[0])


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
        CommandError: Nobody answers there, or the gateway can not do it; or, later, it says nothing any more.
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
        while line := response.readline():
            if line.strip():  # else the gateway only shows that it is there
                yield json.loads(line)


@contextmanager
def _asking(path: Path, timeout: float) -> Iterator[_UnixConnection]:
    """A connection; what goes wrong with it is said as a `CommandError`."""
    connection = _UnixConnection(path, timeout)
    try:
        yield connection
    except (FileNotFoundError, ConnectionRefusedError):
        raise CommandError(
            ExitStatus.NO_GATEWAY, f"no gateway runs: nobody answers at {path} (start it: twistd realmgw)"
        ) from None
    except PermissionError:
        raise CommandError(ExitStatus.NO_GATEWAY, f"{path}: we may not speak to the gateway: be root") from None
    except TimeoutError:
        raise CommandError(ExitStatus.NO_GATEWAY, _silent(path, connection.peer)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CommandError(ExitStatus.NO_GATEWAY, f"{path}: the gateway does not answer: {error!r}") from None
    finally:
        connection.close()


def _answer(
    connection: _UnixConnection,
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
    connection.request(method, f"/v1/{command}{query}", headers=fields)
    _wait(connection, path, command, timeout, waiting)
    response = connection.getresponse()
    if response.status != http.client.OK:
        value = json.loads(response.read())
        raise CommandError(ExitStatus(value["exit_status"]), value["detail"])
    return response


def _wait(
    connection: _UnixConnection, path: Path, command: str, timeout: float, waiting: Callable[[float], object]
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


def _silent(path: Path, process: int | None) -> str:
    who = "its process" if process is None else f"process {process}"
    return f"{path}: the gateway does not answer within {TIMEOUT:g} s: {who} is stopped or busy"

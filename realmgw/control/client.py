"""How the `realmgw` command asks a running gateway: HTTP over a unix socket, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from realmgw.control.commands import COMMANDS, CONFIG_FIELD, CommandError, ExitStatus

TIMEOUT = 120.0  # seconds
"""How long an answer may take; a reload of everything takes its time."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(
    path: Path,
    command: str,
    parameters: Mapping[str, str] | None = None,
    *,
    main: Path | None = None,
    timeout: float = TIMEOUT,
) -> Any:
    """Ask a running gateway.

    Args:
        path: Its control socket.
        command: One of `COMMANDS`.
        parameters: What it is told.
        main: The main file of the gateway that is meant: another one that listens there refuses. None: any.
        timeout: How long the answer may take, in seconds.

    Returns:
        The answer's value.

    Raises:
        CommandError: Nobody answers there, or the gateway can not do it.
    """
    connection = _UnixConnection(path, timeout)
    query = f"?{urlencode(parameters)}" if parameters else ""
    try:
        method = "POST" if COMMANDS[command].changes else "GET"
        fields = {} if main is None else {CONFIG_FIELD: quote(str(main.resolve()))}
        connection.request(method, f"/v1/{command}{query}", headers=fields)
        response = connection.getresponse()
        value = json.loads(response.read())
    except (FileNotFoundError, ConnectionRefusedError):
        raise CommandError(
            ExitStatus.NO_GATEWAY, f"no gateway runs: nobody answers at {path} (start it: twistd realmgw)"
        ) from None
    except PermissionError:
        raise CommandError(ExitStatus.NO_GATEWAY, f"{path}: we may not speak to the gateway: be root") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CommandError(ExitStatus.NO_GATEWAY, f"{path}: the gateway does not answer: {error!r}") from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise CommandError(ExitStatus(value["exit_status"]), value["detail"])
    return value

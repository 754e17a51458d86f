"""The control interface: HTTP and JSON on a unix socket. Who may speak to it is what the socket's permissions say."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server has no types.)

from __future__ import annotations

import grp
import json
import os
import socket
import struct
from http import HTTPStatus
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from realmgw.config.settings import Control
from realmgw.control.commands import COMMANDS, CommandError, ExitStatus
from realmgw.control.gateway import Gateway
from realmgw.errors import ConfigurationError, MalformedError, PlatformError, RealmGatewayError

PREFIX = "/v1/"
"""Of every path."""
MODE = 0o660
"""Of the socket."""

_CREDENTIALS = struct.Struct("=iII")
_STATUS = {
    ExitStatus.USAGE: HTTPStatus.BAD_REQUEST,
    ExitStatus.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ExitStatus.PROBLEMS: HTTPStatus.CONFLICT,
}


class Commands(Resource):
    """Every command is a path below `PREFIX`.

    Args:
        gateway: Does them.
    """

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway
        self._log = Logger()

    def render(self, request: Request) -> int:
        """Do a command; errors are problem documents (RFC 9457)."""
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        done = maybeDeferred(self._do, request)
        done.addCallback(lambda value: (HTTPStatus.OK, value, "application/json"))
        done.addErrback(self._refuse)
        done.addCallback(lambda answer: None if gone else _say(request, *answer))
        return NOT_DONE_YET

    def _do(self, request: Request) -> Any:
        path = request.path.decode(errors="replace").removeprefix(PREFIX)
        given = {key.decode(): values[-1].decode() for key, values in (request.args or {}).items()}
        command = COMMANDS.get(path)
        if command is not None and command.changes and request.method != b"POST":
            raise CommandError(ExitStatus.USAGE, f"{path} changes something: use POST")
        if command is not None and command.changes:
            told = [f"{key}={value!r}" for key, value in given.items()]
            self._log.info("control: {command} for {who}", command=" ".join([path, *told]), who=_who(request))
        return self._gateway.do(path, given)

    def _refuse(self, failure: Failure) -> tuple[HTTPStatus, object, str]:
        error = failure.value
        if isinstance(error, CommandError):
            status, code = _STATUS.get(error.status, HTTPStatus.INTERNAL_SERVER_ERROR), error.status
        elif isinstance(error, ConfigurationError | MalformedError):
            status, code = HTTPStatus.CONFLICT, ExitStatus.PROBLEMS
        elif isinstance(error, RealmGatewayError):
            status, code = HTTPStatus.INTERNAL_SERVER_ERROR, ExitStatus.FAILED
        else:
            self._log.failure("fault while doing a command", failure)
            status, code = HTTPStatus.INTERNAL_SERVER_ERROR, ExitStatus.FAILED
        problem = {"title": status.phrase, "status": int(status), "detail": str(error), "exit_status": int(code)}
        return status, problem, "application/problem+json"


def _say(request: Request, status: HTTPStatus, value: object, kind: str) -> None:
    body = json.dumps(value).encode() + b"\n"
    request.setResponseCode(int(status))
    request.setHeader(b"content-type", kind.encode())
    request.setHeader(b"content-length", b"%d" % len(body))
    request.write(body)
    request.finish()


def _who(request: Request) -> str:
    """The process at the other end of a unix socket (SO_PEERCRED)."""
    handle = getattr(request.channel.transport, "socket", None)
    if not isinstance(handle, socket.socket):
        return "somebody"
    pid, uid, gid = _CREDENTIALS.unpack(handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return f"process {pid}, user {uid}, group {gid}"


class _Site(Site):
    """Does not write a line for every request; those that change something are logged with who wanted it."""

    noisy = False

    def log(self, request: Any) -> None:
        del request


class ControlService(Service):
    """Listens for operators while it runs.

    Args:
        settings: Where, and who may.
        gateway: Does what they say.
        reactor: Listens.
    """

    name = "control"

    def __init__(self, settings: Control, gateway: Gateway, reactor: Any) -> None:
        self._settings = settings
        self._site = _Site(Commands(gateway))
        self._reactor = reactor
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """Listen.

        Raises:
            PlatformError: The socket can not be made; one line says what to do.
        """
        path = self._settings.socket
        try:
            group = self._group()
            path.parent.mkdir(parents=True, exist_ok=True)
            self._port = self._reactor.listenUNIX(str(path), self._site, mode=MODE, wantPID=True)
            os.chown(path, -1, group)
        except CannotListenError as error:
            raise PlatformError(
                f"control.socket: {path} can not be had ({error.socketError}): stop what has it, or write another path"
            ) from error
        except OSError as error:
            raise PlatformError(f"control.socket: {path} can not be made: {error.strerror}") from error
        super().startService()

    def _group(self) -> int:
        """Whose the socket is; -1 for our own group."""
        name = self._settings.group
        try:
            return -1 if name is None else grp.getgrnam(name).gr_gid
        except KeyError:
            raise PlatformError(f"control.group: there is no group {name}: make it, or name another") from None

    def stopService(self) -> Deferred[None]:
        """Listen no more; fires when the socket is gone."""
        super().stopService()
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening if port is not None else lambda: None).addCallback(lambda _: None)


class SoleService(Service):
    """Makes sure that there is one gateway of a table in a network namespace, before anything is touched.

    Abstract unix sockets belong to the network namespace, as tables do, and end with the process that has them.

    Args:
        table: The name of the nftables table.
    """

    name = "sole"

    def __init__(self, table: str) -> None:
        self._address = f"\0realmgw/{table}"
        self._table = table
        self._socket: socket.socket | None = None

    def startService(self) -> None:
        """Take the place.

        Raises:
            PlatformError: Somebody has it.
        """
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            lock.bind(self._address)
            lock.listen(1)
        except OSError as error:
            lock.close()
            raise PlatformError(
                f"another gateway has the table {self._table} here already{_owner(self._address)}: stop it first,"
                " or give this one another datapath.table"
            ) from error
        self._socket = lock
        super().startService()

    def stopService(self) -> None:
        """Leave the place to others."""
        super().stopService()
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _owner(address: str) -> str:
    """Which process listens at an abstract address, for a message; empty if it can not be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address)
            told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return ""
    return f" (process {_CREDENTIALS.unpack(told)[0]})"

"""The control interface: HTTP and JSON on a unix socket, whose permissions say who may. Edge: sockets, the reactor."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server has no types.)

from __future__ import annotations

import os
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from realmgw.config.driving import Driver
from realmgw.config.limits import CONTROL_CONNECTIONS
from realmgw.config.settings import Control
from realmgw.config.steps import Steps, finish
from realmgw.control.callers import described, peer_of
from realmgw.control.commands import (
    COMMANDS,
    CONFIG_FIELD,
    Command,
    CommandError,
    ExitStatus,
    ForbiddenError,
    MethodError,
    problem,
    spelled,
)
from realmgw.control.encoding import encoded
from realmgw.control.gateway import Gateway
from realmgw.control.streaming import Stream
from realmgw.control.telling import Telling
from realmgw.errors import RealmGatewayError
from realmgw.system.http import JSON, PROBLEM, BoundedRequest, OperatorsSite, send
from realmgw.system.jsonform import encode
from realmgw.system.port import HeldSocket, group_number
from realmgw.system.unix_http import PREFIX

MAX_BODY = 65536  # octets
"""The longest body of a request; commands need none, their parameters stand in the query string or in a short form."""


class Commands(Resource):
    """Every command is a path below `PREFIX`.

    Args:
        gateway: Does them.
        telling: Has what is told over a while.
        main: Its main file; None: it has none.

    Attributes:
        requests: How many there were.
        refused: How many of them could not be done.
    """

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(
        self,
        gateway: Gateway,
        telling: Telling,
        main: Path | None = None,
        drive: Callable[[Steps[bytes]], Any] = finish,
    ) -> None:
        super().__init__()
        self._gateway, self._drive = gateway, drive
        self.telling = telling
        self._main = None if main is None else main.resolve()
        self._log = Logger()
        self.requests = 0
        self.refused = 0

    def render(self, request: Request) -> int:
        """Do a command; errors are problem documents (RFC 9457)."""
        self.requests += 1
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        done = maybeDeferred(self._do, request)
        done.addCallback(lambda value: value if isinstance(value, Stream) else self._drive(encoded(value)))
        done.addCallback(lambda said: (HTTPStatus.OK, said, JSON))
        done.addErrback(self._refuse)
        done.addCallback(lambda answer: self._answer(request, answer, is_gone=bool(gone)))
        return NOT_DONE_YET

    def _answer(self, request: Request, answer: tuple[HTTPStatus, Any, str], *, is_gone: bool) -> None:
        _, said, _ = answer
        if isinstance(said, Stream):
            self.telling.begin(request, said, is_gone=is_gone)
        elif not is_gone:
            send(request, *answer)

    def _do(self, request: Request) -> Any:
        self._refuse_others(request)
        path = request.path.decode(errors="replace").removeprefix(PREFIX)
        command = COMMANDS.get(path)
        if command is not None:
            _check_method(request, command)
            _check_privilege(request, command)
        given = _parameters(request)
        if command is not None and command.changes:
            self._log.info("control: {command} for {who}", command=spelled(path, given), who=_who(request))
            if _is_alone(request):
                self._log.info("control: {command} is not begun: who asked for it is gone", command=path)
                raise CommandError(ExitStatus.FAILED, f"{path}: who asked for it is gone: nothing was done")
        return self._gateway.do(path, given)

    def _refuse_others(self, request: Request) -> None:
        """Whoever means the gateway of another main file has not found it."""
        said = request.getHeader(CONFIG_FIELD)
        if said is not None and self._main is not None and unquote(said) != str(self._main):
            text = f"the gateway that listens here has the main file {self._main}, not {unquote(said)}"
            raise CommandError(ExitStatus.NO_GATEWAY, text)

    def _refuse(self, failure: Failure) -> tuple[HTTPStatus, bytes, str]:
        error = failure.value
        self.refused += 1
        if not isinstance(error, RealmGatewayError):
            self._log.failure("fault while doing a command", failure)
        status, said = problem(error)
        return status, encode(said), PROBLEM


def _check_method(request: Request, command: Command) -> None:
    """What changes something wants POST, and what does not GET or HEAD: so nothing is changed by a look."""
    allowed = (b"POST",) if command.changes else (b"GET", b"HEAD")
    if request.method not in allowed:
        request.setHeader(b"allow", b", ".join(allowed))
        does = "changes something" if command.changes else "only tells"
        raise MethodError(
            ExitStatus.USAGE, f"{command.path} {does}: use {' or '.join(each.decode() for each in allowed)}"
        )


def _check_privilege(request: Request, command: Command) -> None:
    """What only root, and the user that the gateway runs as, may have done."""
    if command.privileged and _user(request.channel.transport) not in (0, os.geteuid()):
        text = f"{command.path}: only root and the gateway's own user may, not {_who(request)}: nothing was done"
        raise ForbiddenError(text)


def _parameters(request: Request) -> dict[str, str]:
    """Those of the query string and of a form."""
    try:
        return {key.decode(): values[-1].decode() for key, values in (request.args or {}).items()}
    except UnicodeDecodeError as error:
        raise CommandError(ExitStatus.USAGE, f"a parameter is not UTF-8: {error.object!r:.100}") from None


def _who(request: Request) -> str:
    """The process at the other end, for people."""
    return described(request.channel.transport)


def _is_alone(request: Request) -> bool:
    """Whether nobody is at the other end any more: he has given up while we were stopped or busy, and was told so.

    Who only says no more, and listens, is there (POLLRDHUP without POLLHUP).
    """
    handle = getattr(request.channel.transport, "socket", None)
    if not isinstance(handle, socket.socket):
        return False
    poll = select.poll()
    poll.register(handle, 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _user(transport: Any) -> int:
    """Who is at the other end of a connection; -1 where that can not be told."""
    peer = peer_of(transport)
    return -1 if peer is None else peer[1]


class _Form(BoundedRequest):
    """A request, which may have parameters in its body."""

    longest = MAX_BODY


class _Limited(WrappingFactory):
    """Another factory, for no more than `CONTROL_CONNECTIONS` connections at once.

    For one more, the user who has most of them loses the oldest one: nobody keeps root away, or anybody else.

    Attributes:
        closed: How many were closed since there were too many.
    """

    noisy = False

    def __init__(self, site: OperatorsSite) -> None:
        super().__init__(site)
        self.closed = 0
        self._users: dict[Any, int] = {}

    def registerProtocol(self, p: Any) -> None:
        super().registerProtocol(p)
        self._users[p] = _user(p.transport)
        if len(self._users) > CONTROL_CONNECTIONS:
            self.closed += 1
            [(user, _)] = Counter(self._users.values()).most_common(1)
            oldest = next(each for each, its in self._users.items() if its == user)
            del self._users[oldest]
            oldest.transport.abortConnection()

    def unregisterProtocol(self, p: Any) -> None:
        super().unregisterProtocol(p)
        self._users.pop(p, None)


class ControlService(Service):
    """Listens for operators while it runs.

    Args:
        settings: Where, and who may.
        gateway: Does what they say.
        reactor: Listens.
        main: The gateway's main file.
    """

    name = "control"

    def __init__(self, settings: Control, gateway: Gateway, reactor: Any, main: Path | None = None) -> None:
        self._settings = settings
        self._telling = Telling(reactor)
        driver = Driver(reactor, time.monotonic, lambda step: maybeDeferred(step.call))  # no step blocks
        self._commands = Commands(gateway, self._telling, main, driver.drive)
        self._site = _Limited(OperatorsSite(self._commands, _Form))
        self._reactor = reactor
        self._socket = HeldSocket(Path(settings.socket), "control.socket:")

    def counts(self) -> dict[str, object]:
        """What was counted since the start."""
        commands = self._commands
        return {"requests": commands.requests, "refused": commands.refused, "connections_closed": self._site.closed,
                "told_over_a_while": self._telling.told, "not_told": self._telling.lost}  # fmt: skip

    def startService(self) -> None:
        """Listen.

        Raises:
            PlatformError: The socket can not be made; one line says what to do.
        """
        self._socket.listen(self._reactor, self._site, group_number(self._settings.group))
        super().startService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self._telling.stop()
        return self._socket.stop()

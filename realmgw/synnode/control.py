"""How operators look into a running node: HTTP and JSON on a unix socket, whose permissions say who may.

Edge: sockets, the reactor, files.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server has no types.)

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from realmgw.errors import PlatformError
from realmgw.synnode.settings import Operators
from realmgw.system.http import PROBLEM, OperatorsSite, say
from realmgw.system.port import HeldSocket, group_number, unfit, ungiven
from realmgw.system.unix_http import PREFIX

CONNECTIONS = 16
"""So many operators and programs at once."""
FOLDER_MODE = 0o750
"""Of the socket's folder, when it is made here."""

Questions = Mapping[str, Callable[[], Any]]
"""What can be asked for, by path: gives a value for JSON, or a Deferred of one."""


class _Questions(Resource):
    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, questions: Questions) -> None:
        super().__init__()
        self._questions = questions
        self._log = Logger()

    def render(self, request: Request) -> int:
        """Answer; errors are problem documents (RFC 9457)."""
        gone: list[Failure] = []
        request.notifyFinish().addErrback(gone.append)
        answer = self._questions.get(request.path.decode(errors="replace").removeprefix(PREFIX))
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            say(request, HTTPStatus.METHOD_NOT_ALLOWED, {"title": "nothing is changed here"}, PROBLEM)
        elif answer is None:
            say(request, HTTPStatus.NOT_FOUND, {"title": f"there are {', '.join(self._questions)}"}, PROBLEM)
        else:
            done = maybeDeferred(answer)
            done.addCallback(lambda value: None if gone else say(request, HTTPStatus.OK, value))
            done.addErrback(self._fault, request, gone)
        return NOT_DONE_YET

    def _fault(self, failure: Failure, request: Request, gone: list[Failure]) -> None:
        self._log.failure("fault while answering an operator", failure)
        if not gone:
            say(request, HTTPStatus.INTERNAL_SERVER_ERROR, {"title": failure.getErrorMessage()}, PROBLEM)


class _Limited(WrappingFactory):
    noisy = False

    def buildProtocol(self, addr: Any) -> Any:
        """None, by which it is closed, for who is one too many."""
        return None if len(self.protocols) >= CONNECTIONS else super().buildProtocol(addr)


class ControlService(Service):
    """Answers operators while it runs. Two nodes can not have one socket, so none starts beside itself.

    Args:
        settings: Where, and who may.
        questions: What can be asked for.
        reactor: Listens.
    """

    name = "control"

    def __init__(self, settings: Operators, questions: Questions, reactor: Any) -> None:
        self._settings = settings
        self._path = Path(settings.socket)
        self._factory = _Limited(OperatorsSite(_Questions(questions)))
        self._reactor = reactor
        self._socket = HeldSocket(self._path, "control.socket:")

    def startService(self) -> None:
        """Listen.

        Raises:
            PlatformError: The socket can not be made; one line says what to do.
        """
        try:
            self._path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise PlatformError(f"control.socket: {self._path.parent} can not be made: {error.strerror}") from error
        self._socket.listen(self._reactor, self._factory, group_number(self._settings.group))
        super().startService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return self._socket.stop()


def problems(settings: Operators, key: str = "control.socket") -> Iterator[str]:
    """Why a start would not have a socket, a line each; nothing is made.

    Args:
        settings: Where, and who may.
        key: Where that is written.
    """
    path, of = Path(settings.socket), f"{key.partition('.')[0]}.group"
    try:
        if why := ungiven(group_number(settings.group, of), os.geteuid()):
            yield f"{of}: {why}"
    except PlatformError as error:
        yield str(error)
    there = next(each for each in (path.parent, *path.absolute().parents) if each.exists())
    if not there.is_dir():
        yield f"{key}: {there} is no folder: write another path"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"{key}: {there} can not be written: be root, or write another path"
    elif why := unfit(path):
        yield f"{key}: {why}"

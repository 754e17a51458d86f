"""Whether an address can be listened at; unix sockets that one process has at a time.

Edge: sockets, the reactor, groups of users.
"""

from __future__ import annotations

import errno
import grp
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.python.failure import Failure

from realmgw.config.disk import Hold
from realmgw.config.settings import Endpoint
from realmgw.errors import PlatformError

BACKLOG = 16
"""So many connections of operators, or of monitoring systems, may wait to be taken."""
MODE = 0o660
"""Who may connect to a unix socket: its user and its group."""

_KINDS = {"UDP": socket.SOCK_DGRAM, "TCP": socket.SOCK_STREAM}
_ADVICE = {
    errno.EADDRINUSE: "another program has it: find it with `ss -{flag}lnp 'sport = :{port}'` and stop it, or listen on"
    " another address (systemd-resolved and dnsmasq like to take port 53)",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: start as root or grant the capability",
    errno.EPERM: "ports below 1024 need CAP_NET_BIND_SERVICE: start as root or grant the capability",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address: add it, or correct `listen`",
}


def refusal(transport: str, endpoint: Endpoint, number: int, who: str = "DNS") -> str:
    """Why a server can not listen there, and what to do.

    Args:
        transport: UDP or TCP.
        endpoint: Where.
        number: The operating system's error (`errno`).
        who: The server.
    """
    advice = _ADVICE.get(number, os.strerror(number)).format(flag=transport[0].lower(), port=endpoint.port)
    return f"{who} can not listen on {transport} {endpoint.address} port {endpoint.port}: {advice}"


def attempt(transport: str, endpoint: Endpoint) -> int:
    """Bind for a moment, as a server would.

    Args:
        transport: UDP or TCP.
        endpoint: Where.

    Returns:
        0 when it is possible, otherwise the operating system's error (`errno`).
    """
    family = socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6
    with socket.socket(family, _KINDS[transport]) as trial:
        if transport == "TCP":
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((str(endpoint.address), endpoint.port))
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0


def group_number(name: str | None, key: str = "control.group") -> int:
    """The number of a group of users, for whom a unix socket is; -1: the process's own.

    Args:
        name: Its name; None: nobody was named.
        key: Where in the configuration that is written.

    Raises:
        PlatformError: There is none of that name; the text says what to do.
    """
    try:
        return -1 if name is None else grp.getgrnam(name).gr_gid
    except KeyError:
        raise PlatformError(f"{key}: there is no group {name}: make it, or name another") from None


class HeldSocket:
    """A unix socket at which one process listens at a time; a file beside it says which.

    Args:
        path: It.
        name: What it is called in messages.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._called = f"{name} {path}"
        self._hold = Hold(path.with_name(f"{path.name}.held"), self._called)
        self._port: IListeningPort | None = None

    def listen(self, reactor: Any, factory: Any, group: int = -1) -> None:
        """Begin; what is at the path was left behind by a process that did not stop.

        Args:
            reactor: Listens.
            factory: Is connected to.
            group: The socket's, by its number; -1: the process's own.

        Raises:
            PlatformError: Somebody has it, or it can not be made; one line says what to do.
        """
        self._hold.take()
        with ExitStack() as undo:
            undo.callback(self.stop)
            try:
                if self._path.is_socket():
                    self._path.unlink()
                elif self._path.exists():
                    raise PlatformError(f"{self._called} is no socket: remove it, or write another path")
                self._port = reactor.listenUNIX(str(self._path), factory, mode=MODE)
                os.chown(self._path, -1, group)
            except (CannotListenError, OSError) as error:
                why = error.socketError if isinstance(error, CannotListenError) else error.strerror
                raise PlatformError(f"{self._called} can not be had ({why}): write another path") from error
            undo.pop_all()

    def stop(self) -> Deferred[None]:
        """Listen no more; fires when the socket is gone, and nothing happens where it is not had."""
        port, self._port = self._port, None
        stopped = maybeDeferred(port.stopListening if port is not None else lambda: None)
        return stopped.addErrback(_was_removed).addCallback(lambda _: self._hold.release())


def listening(
    reactor: Any, place: Endpoint | PurePath, factory: Any, who: tuple[str, str], group: str | None, context: Any = None
) -> Callable[[], object]:
    """Listen at an address by TCP, or at a unix socket.

    Args:
        reactor: Listens.
        place: Where.
        factory: Is connected to.
        who: What listens, for messages: in words (`the metrics`), and its section (`metrics`).
        group: Of users who may use a unix socket; None: the process's own.
        context: Makes TLS of what comes to an address; None: there is none.

    Returns:
        What ends it.

    Raises:
        PlatformError: That is not possible; one line says what to do.
    """
    words, section = who
    if isinstance(place, PurePath):
        held = HeldSocket(Path(place), f"{section}.listen:")
        held.listen(reactor, factory, group_number(group, f"{section}.group"))
        return held.stop
    how: dict[str, Any] = {"backlog": BACKLOG, "interface": str(place.address)}
    try:
        if context is None:
            return cast(Callable[[], object], reactor.listenTCP(place.port, factory, **how).stopListening)
        return cast(Callable[[], object], reactor.listenSSL(place.port, factory, context, **how).stopListening)
    except CannotListenError as error:
        number = getattr(error.socketError, "errno", None) or 0
        raise PlatformError(refusal("TCP", place, number, words)) from error


def _was_removed(failure: Failure) -> None:
    """Somebody has removed the socket: there is nothing left of it to be removed."""
    failure.trap(FileNotFoundError)  # type: ignore[no-untyped-call]  # Twisted does not say

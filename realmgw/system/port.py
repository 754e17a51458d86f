"""Whether an address can be listened at; unix sockets that one process has at a time.

Edge: sockets, the reactor, groups of users.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IOpenSSLContextFactory
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.errors import PlatformError
from realmgw.system.disk import Hold
from realmgw.system.endpoints import Endpoint

BACKLOG = 50
"""So many connections may wait to be taken, of operators, monitoring systems, or gateways."""
LONGEST_PATH = 107  # octets
"""Of a unix socket (sun_path, without the zero octet at its end)."""
MODE = 0o660
"""Who may connect to a unix socket: its user and its group."""

_log = Logger()
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


@contextmanager
def explained(transport: str, endpoint: Endpoint, who: str = "DNS") -> Iterator[None]:
    """Say of a socket that can not be bound what `refusal` does.

    Raises:
        PlatformError: It can not.
    """
    try:
        yield
    except CannotListenError as error:
        number = getattr(error.socketError, "errno", None) or errno.EINVAL
        raise PlatformError(refusal(transport, endpoint, number, who)) from error


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


def ungiven(group: int, user: int) -> str:
    """Why a user can not give what is his to a group of users (chown(2)), and what to do; empty if he can.

    Args:
        group: The number of the group; -1: that which it has anyway.
        user: The number of the user.
    """
    if group == -1 or user == 0:
        return ""
    try:
        account, name = pwd.getpwuid(user), grp.getgrgid(group).gr_name
    except KeyError:
        return f"whether user {user} may give it to group {group} is not known: there is none of such a number"
    if group in os.getgrouplist(account.pw_name, account.pw_gid):
        return ""
    return _membership(account.pw_name, name)


def _membership(user: str, group: str) -> str:
    return f"{user} is not in group {group}: `usermod -aG {group} {user}`, and start again, or name another group"


def unfit(path: Path) -> str:
    """Why no unix socket can be made at a path, whatever its folder is like; empty if one can."""
    if (length := len(os.fsencode(path))) > LONGEST_PATH:
        return f"{path} has {length} octets: write one of at most {LONGEST_PATH}"
    return f"{path} is no socket: remove it, or write another path" if path.exists() and not path.is_socket() else ""


def clashing(paths: Iterable[PurePath]) -> list[int]:
    """Which unix sockets could not be had beside one before them, by their indices.

    That is where both are the same, by whatever names of folders, or one is the file that says who has the other.
    """
    taken, found = set[Path](), list[int]()
    for index, path in enumerate(paths):
        own = Path(os.path.realpath(path.parent), path.name)
        needed = {own, _beside(own)}
        if not taken.isdisjoint(needed):
            found.append(index)
        taken |= needed
    return found


def _beside(path: Path) -> Path:
    """The file that says who has a unix socket."""
    return path.with_name(f"{path.name}.held")


class HeldSocket:
    """A unix socket at which one process listens at a time; a file beside it says which.

    Args:
        path: It.
        name: What it is called in messages.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._called = f"{name} {path}"
        self._hold = Hold(_beside(path), self._called)
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
                self._give(group)
            except (CannotListenError, OSError) as error:
                why = error.socketError if isinstance(error, CannotListenError) else error.strerror
                raise PlatformError(f"{self._called} can not be had ({why}): write another path") from error
            undo.pop_all()

    def _give(self, group: int) -> None:
        try:
            os.chown(self._path, -1, group)
        except PermissionError as error:  # the process began before its user was in the group, or he is not
            user, name = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group).gr_name
            raise PlatformError(f"{self._called} can not be given away: {_membership(user, name)}") from error

    def stop(self) -> Deferred[None]:
        """Listen no more; fires when the socket is gone, and nothing happens where it is not had."""
        port, self._port = self._port, None
        stopped = maybeDeferred(port.stopListening if port is not None else lambda: None)
        return stopped.addErrback(_was_removed).addCallback(lambda _: self._hold.release())


@implementer(IOpenSSLContextFactory)
class Sockets:
    """Where one server listens: addresses, in the clear or by TLS, and unix sockets.

    Args:
        reactor: Listens.
        who: What listens, in words, for messages (`the metrics`).
        section: Where that is written (`metrics`).
        backlog: So many connections may wait to be taken.
        certificate: What connections by TLS are made with.

    Attributes:
        certificate: The same; it may be another one from now on.
    """

    def __init__(
        self,
        reactor: Any,
        who: str,
        section: str = "",
        backlog: int = BACKLOG,
        certificate: CertificateOptions | None = None,
    ) -> None:
        self.certificate = certificate
        self._reactor = reactor
        self._who, self._section = who, section
        self._backlog = backlog
        self._stops: list[Callable[[], object]] = []

    def listen(
        self, factory: Any, place: Endpoint | PurePath, *, group: str | None = None, secure: bool = False
    ) -> None:
        """Listen at one more place.

        Args:
            factory: Is connected to.
            place: Where.
            group: Of users who may use a unix socket; None: the process's own.
            secure: Whether what comes to an address comes by TLS.

        Raises:
            PlatformError: That is not possible; one line says what to do. All else is as it was.
        """
        if isinstance(place, PurePath):
            held = HeldSocket(Path(place), f"{self._section}.listen:")
            held.listen(self._reactor, factory, group_number(group, f"{self._section}.group"))
            self._stops.append(held.stop)
            return
        how: dict[str, Any] = {"backlog": self._backlog, "interface": str(place.address)}
        with explained("TCP", place, self._who):
            if secure:
                port = self._reactor.listenSSL(place.port, factory, self, **how)
            else:
                port = self._reactor.listenTCP(place.port, factory, **how)
        self._stops.append(port.stopListening)

    def getContext(self) -> Any:
        """What a connection by TLS is made with; there is a certificate by then."""
        assert self.certificate is not None
        return self.certificate.getContext()

    def stop(self) -> Deferred[None]:
        """Listen no more; fires when all sockets are closed."""
        stops, self._stops = self._stops, []
        told = partial(_log.failure, "closing a socket of {who}", who=self._who)
        done = gatherResults([maybeDeferred(each).addErrback(told) for each in stops])
        return done.addCallback(lambda _: None)


def _was_removed(failure: Failure) -> None:
    """Somebody has removed the socket: there is nothing left of it to be removed."""
    failure.trap(FileNotFoundError)  # type: ignore[no-untyped-call]  # Twisted does not say

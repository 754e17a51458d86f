"""HAProxy as a process, and its socket. Edge: processes, files, unix sockets."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ProcessProtocol, Protocol
from twisted.python.failure import Failure

from realmgw.config import haproxy
from realmgw.config.settings import Address, Webproxy
from realmgw.errors import PlatformError
from realmgw.system import disk
from realmgw.webproxy.configuration import Place, text

PATIENCE = 10.0  # seconds
"""How long HAProxy may take to answer, and to look at its configuration."""
FAREWELL = 2.0  # seconds
"""How long it may take to end, once it was told to."""
MOST_ANSWER = 1 << 26  # octets
"""The longest answer."""
MOST_SAID = 2000  # octets
"""So much is kept of what it says last, to tell why it ended."""
_CREDENTIALS = struct.Struct("3i")


class RefusedError(PlatformError):
    """HAProxy refuses its configuration.

    Args:
        path: The file.
        said: All that it says.

    Attributes:
        said: The same, as text.
        why: What is wrong, in a line.
    """

    def __init__(self, path: Path, said: bytes) -> None:
        self.said, self.why = said.decode(errors="replace"), last_alert(said)
        super().__init__(f"HAProxy refuses {path}: {self.why}")


def prepare(
    how: Webproxy, addresses: Iterable[Address], folder: Path, place: Place, entries: Callable[[], str]
) -> None:
    """Write the proxy's files, have HAProxy look at them, and end one that an earlier gateway has left. It may block.

    Args:
        how: What is asked for.
        addresses: Where it listens.
        folder: Where its files are.
        place: Their names.
        entries: Makes the file of the map.

    Raises:
        RefusedError: HAProxy refuses what it would be begun with.
        PlatformError: HAProxy can not be run, or something can not be written; one line says why.
    """
    trouble = haproxy.problem(how)
    if trouble is None and not place.uid:
        trouble = f"webproxy.user: {how.user!r} was no user when the gateway was started: restart it"
    if trouble is not None:
        raise PlatformError(trouble)
    disk.write(folder / place.configuration, text(how, addresses, place).encode())
    disk.write(folder / place.map, entries().encode())
    with contextlib.suppress(FileExistsError):
        (folder / place.root).mkdir()
    (folder / place.root).chmod(0o755)  # whatever the umask is
    try:
        done = subprocess.run(  # noqa: S603  # the operator names the program, and no shell reads anything
            [str(how.program), "-C", str(folder), "-c", "-f", place.configuration],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlatformError(f"{how.program} can not be run ({error}): apt install haproxy") from None
    if done.returncode:
        raise RefusedError(folder / place.configuration, done.stderr)
    end_former(folder / place.socket)


def last_alert(said: bytes) -> str:
    """What HAProxy says is wrong, in one line."""
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    alerts = [line for line in lines if line.startswith("[ALERT]")]
    line = (alerts or lines or ["it does not say why"])[0]
    return line.partition(" : ")[2] or line


def end_former(path: Path) -> None:
    """End whoever listens at a socket of ours: with the gateway before us gone, it hears of no change.

    Raises:
        PlatformError: It does not end, or can not be told to from here.
    """
    with socket.socket(socket.AF_UNIX) as conversation:
        conversation.settimeout(FAREWELL)
        try:
            conversation.connect(str(path))
            peer = conversation.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            _kill(_CREDENTIALS.unpack(peer)[0], conversation, path)
            while conversation.recv(4096):
                pass
        except (FileNotFoundError, ConnectionError, ProcessLookupError):
            return  # nobody is there, or not any more
        except OSError as error:
            raise PlatformError(f"a HAProxy that has {path} does not end: {error.strerror or error}") from None


def _kill(pid: int, conversation: socket.socket, path: Path) -> None:
    """Kill whoever listens where a conversation leads to, and nobody who has got his number since; see `end_former`.

    What is held is the process. He who listens is still there after that, if the conversation is; so it is he.
    """
    if not pid:
        raise PlatformError(
            f"{path} is had by a process of another PID namespace: end the gateway there, or its HAProxy"
        )
    process = os.pidfd_open(pid)
    try:
        is_over, _, _ = select.select([conversation], [], [], 0)
        if not is_over:
            signal.pidfd_send_signal(process, signal.SIGKILL)
    finally:
        os.close(process)


class Child(ProcessProtocol):
    """HAProxy, as long as it runs.

    Args:
        reactor: Twisted's.
        ended: Called once, when it does not run any more, with the last that it said, in a line.

    Attributes:
        pid: Its process id.
        is_ending: Whether it was told to end.
    """

    def __init__(self, reactor: Any, ended: Callable[[Child, str], object]) -> None:
        self._reactor, self._tell = reactor, ended
        self._said = b""
        self._gone: list[Deferred[None]] = []
        self._is_over = False
        self._kill: Any = None
        self.pid, self.is_ending = 0, False

    def begin(self, program: PurePath, folder: Path, place: Place) -> None:
        """Start it, as root; raises `OSError` if that is refused."""
        command = [*haproxy.as_root(), str(program), "-C", str(folder), "-db", "-f", place.configuration]
        self.pid = self._reactor.spawnProcess(self, command[0], command, env={}).pid

    def end(self) -> Deferred[None]:
        """Have it end, with all connections; fires when it does not run any more."""
        done: Deferred[None] = Deferred()
        if self._is_over:
            done.callback(None)
            return done
        self._gone.append(done)
        if not self.is_ending:
            self.is_ending = True
            self._signal("TERM")
            self._kill = self._reactor.callLater(FAREWELL, self._signal, "KILL")
        return done

    def _signal(self, name: str) -> None:
        if self.transport is not None and self.transport.pid:
            self.transport.signalProcess(name)

    def outReceived(self, data: bytes) -> None:
        """What it says is kept, the last of it."""
        self._said = (self._said + data)[-MOST_SAID:]

    errReceived = outReceived  # noqa: N815 - the name is Twisted's

    def processEnded(self, reason: Failure) -> None:
        """It does not run any more."""
        self._is_over = True
        if self._kill is not None and self._kill.active():
            self._kill.cancel()
        how = reason.value
        by = f"by signal {how.signal}" if getattr(how, "signal", None) else f"with status {how.exitCode}"  # type: ignore[union-attr]
        alerts = [line for line in self._said.splitlines() if line.startswith(b"[ALERT]")]
        self._tell(self, f"HAProxy has ended {by}" + (f": {last_alert(b'%s' % alerts[0])}" if alerts else ""))
        gone, self._gone = self._gone, []
        for each in gone:
            each.callback(None)


def ask(reactor: Any, path: Path, line: bytes, consume: Callable[[bytes], object]) -> Deferred[None]:
    """Say a line to HAProxy's runtime API.

    Args:
        reactor: Twisted's.
        path: Its socket.
        line: The commands.
        consume: Told of the answer, piece by piece; what it raises ends the conversation.

    Returns:
        Fires when all of the answer was consumed; fails when there is none, when it is too long or comes too late, or
        with what `consume` raises.
    """
    done: Deferred[None] = Deferred()
    conversation = _Conversation(reactor, line, consume, done)
    endpoint = UNIXClientEndpoint(reactor, str(path), timeout=PATIENCE)
    connectProtocol(endpoint, conversation).addErrback(done.errback)
    return done


class _Conversation(Protocol):
    def __init__(self, reactor: Any, line: bytes, consume: Callable[[bytes], object], done: Deferred[None]) -> None:
        self._reactor, self._line, self._consume, self._done = reactor, line, consume, done
        self._length = 0
        self._timer: Any = None
        self._trouble: BaseException | None = None

    def connectionMade(self) -> None:
        """Say it."""
        assert self.transport is not None
        self._timer = self._reactor.callLater(PATIENCE, self._give_up, PlatformError("HAProxy does not answer"))
        self.transport.write(self._line + b"\n")

    def dataReceived(self, data: bytes) -> None:
        """Part of the answer."""
        if self._trouble is not None:
            return
        self._length += len(data)
        if self._length > MOST_ANSWER:
            self._give_up(PlatformError("HAProxy's answer has no end"))
            return
        try:
            self._consume(data)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            self._give_up(error)

    def _give_up(self, trouble: BaseException) -> None:
        assert self.transport is not None
        self._trouble = trouble
        self.transport.abortConnection()  # type: ignore[attr-defined]  # the interface does not have it

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 - as Twisted has it
        """The end of the answer, or of the conversation."""
        if self._timer.active():
            self._timer.cancel()
        if self._trouble is not None:
            self._done.errback(self._trouble)
        elif reason.check(ConnectionDone) is None:
            self._done.errback(reason)
        else:
            self._done.callback(None)

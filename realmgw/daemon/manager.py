"""The service manager that started us, if one did: it is told when we serve, that we stop, and that we do our work.

Datagrams to the socket that `NOTIFY_SOCKET` names, as in systemd's sd_notify(3) and sd_watchdog_enabled(3). A reload is
not told: a unit has it done by a command that ends when it is over, with a status.

Edge: a socket, the environment, the reactor's timers.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's LoopingCall has no types.)

from __future__ import annotations

import os
import socket
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

SOCKET, INTERVAL, WATCHED = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
"""What the manager has put into the environment: where it listens, how often it must hear of whom (microseconds)."""
AGAIN = 0.1  # seconds
"""The manager's queue may be full at a boot; after so long it is tried again."""
PATIENCE = 100
"""So often: then it is left to the manager's own time limit."""
LONGEST = 400  # characters
"""So much of a refusal is told; the log has all of it."""

BEATS = 4
"""So often within its time the manager is told that all is well: if one look or two find something wrong, we are not
ended yet."""
LONGEST_LOOK = 5.0  # seconds
"""So long it takes at most to find out whether we do our work; less, where the manager is less patient."""

Look = Callable[[float], "Deferred[list[str]]"]
"""See `Manager`."""

_log = Logger()


class Manager:
    """It; if none has started us, nothing is done.

    Args:
        environment: The process's. What concerns us is taken from it: no process of ours is to speak in our name.
        reactor: Has timers.
        look: Finds out, within so many seconds, whether we do our work: a Deferred of what is wrong, in lines. None:
            that the reactor turns is enough.
    """

    def __init__(self, environment: MutableMapping[str, str], reactor: Any, look: Look | None = None) -> None:
        place = environment.pop(SOCKET, "")
        interval, watched = environment.pop(INTERVAL, ""), environment.pop(WATCHED, "")
        # Of the abstract ones the first character is written as @.
        self._place = "\0" + place[1:] if place.startswith("@") else place
        is_watched = interval.isdecimal() and watched in ("", str(os.getpid()))
        self._interval = int(interval) / (BEATS * 1e6) if is_watched else 0.0  # seconds
        self._reactor = reactor
        self._look = look
        self._turning = LoopingCall(self._beat)
        self._turning.clock = reactor

    def serves(self) -> None:
        """We serve; from now on the manager may end us when it hears nothing of us."""
        self._tell("READY=1")
        if self._place and self._interval and not self._turning.running:
            self._turning.start(self._interval)

    def stops(self) -> None:
        """We stop, which may take its time; it is still told that the reactor turns."""
        self._look = None
        self._tell("STOPPING=1")

    def refused(self, why: str) -> None:
        """We can not start.

        Args:
            why: One line, which the manager shows until we are started again.
        """
        self._tell(f"STATUS={why[:LONGEST]}")

    def _beat(self) -> Deferred[None] | None:
        """Say that all is well, if it is; the next beat waits until that is known."""
        if self._look is None:
            self._send("WATCHDOG=1")
            return None
        looked = self._look(min(LONGEST_LOOK, self._interval))
        return looked.addCallback(self._looked).addErrback(_fault)

    def _looked(self, wrong: list[str]) -> None:
        if self._look is None or not wrong:
            self._send("WATCHDOG=1")
        else:
            _log.error("the service manager's watchdog is not told that all is well: {why}", why="; ".join(wrong))

    def _tell(self, line: str, patience: int = PATIENCE) -> None:
        """Say it now, or as soon as it can be heard."""
        if not self._send(line) and patience:
            self._reactor.callLater(AGAIN, self._tell, line, patience - 1)

    def _send(self, line: str) -> bool:
        """Whether it need not be said again: it was said, or nobody will ever hear it."""
        if not self._place:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as speaker:
                speaker.connect(self._place)
                speaker.send(line.encode("utf-8", "replace"))
        except BlockingIOError:
            return False
        except (OSError, ValueError) as error:  # ValueError: no place that could be one
            self._place = ""
            with suppress(AssertionError):  # it was never started
                self._turning.stop()
            _log.warn("the service manager can not be told how we are: {error}", error=error)
        return True


def _fault(failure: Failure) -> None:
    _log.failure("fault while it is looked whether we do our work", failure)

"""The gateway's part of a forwarder in a process of its own: it runs, is told rules, and hands back what is not its.

Who reads the LAN's UDP sockets is one of both. The gateway does, unless the other one has said that it goes by the
rules that are in force: before, while these change, when it has ended, and when it says nothing any more. So names are
answered by the same rules whoever answers them, and a process that can not be is no outage. By TCP, and at the WAN's
addresses, the gateway answers in any case.

Edge: processes, sockets, the reactor.
"""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.config.dns import MOST_APART, ForwardProcess
from realmgw.config.settings import Settings
from realmgw.daemon.child import Child
from realmgw.daemon.frames import frame
from realmgw.dns.codec.message import MAX_MESSAGE
from realmgw.dns.forward.apart import BACK, FIRST, REPORT, ROOM
from realmgw.dns.forward.service import RESOLVER, tell
from realmgw.dns.forward.telling import past, taken_back, together, told
from realmgw.dns.port import UDP_TURN_BESIDE
from realmgw.dns.service import Shared

WHAT, MODULE = "the forwarder's process", "realmgw.dns.forward.apart"
SILENCE = 5.0  # seconds
"""So long it may say nothing; then it is ended."""
BIRTH = 60.0  # seconds
"""The same before it has said anything: it has to be loaded, and told the rules."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds
"""How soon one that has ended is begun anew."""
BETWEEN, PAUSE = 0.001, 0.05  # seconds
"""How soon it is told more; while it does not listen, later."""

_log = Logger()


class ForwarderService(Service):
    """Runs it, if it is to be.

    What it is told is pickled: both are the same program, and nobody else has the pipe between them.

    Args:
        shared: The LAN's sockets, and how it is answered.
        reactor: Twisted's.
        tell: Told what is wrong, a line each, whenever that may have changed.
    """

    name = "forwarder"

    def __init__(self, shared: Shared, reactor: Any, tell: Callable[[Iterable[str]], object]) -> None:
        self._shared, self._reactor, self._tell = shared, reactor, tell
        self._child: Child | None = None
        self._returned: _Returned | None = None
        self._again: Any = None
        self._wait, self._heard, self._looked = FIRST_WAIT, 0.0, 0.0
        self._number = 0
        self._news: Iterator[tuple[Any, ...]] = iter(())
        self._is_apart, self._said, self._noted = False, 0, 0.0
        self._counts: Mapping[str, Any] = {}
        self._before: Mapping[str, Any] = {}
        self._troubles: Mapping[str, str] = {}
        self._unreturned = self._unreturned_before = 0
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self.begun = self.returned = 0

    # Its beginning and end

    def startService(self) -> None:
        """Begin; that it does not succeed holds up nothing."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._shared.changed, self._shared.counts = self._changed, self._told
        self._changed()
        self._looking.start(REPORT, now=False)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """End it; fires when it does not run any more. The gateway answers until its sockets are closed."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._looking.running:
            self._looking.stop()
        if self._again is not None and self._again.active():
            self._again.cancel()
        yield self._end()

    def configure(self, settings: Settings) -> None:
        """Nothing: rules are told when names are answered by them."""

    def _changed(self) -> None:
        """Names are answered by other rules."""
        self._take()
        rules, count = self._shared.settings.dns.forward, len(self._shared.sockets)
        if not (rules.process is ForwardProcess.OWN and rules.resolvers and 0 < count <= MOST_APART):
            self._tell(())
            self._end()
        elif self._child is not None:
            self._teach()
        elif self.running and (self._again is None or not self._again.active()):
            self._begin()

    def _begin(self) -> None:
        ports = [port for port, _ in self._shared.sockets]
        if not ports or self._child is not None:
            return
        self._child = child = Child(WHAT, MODULE, self._reactor, self._reported, self._ended)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._returned = _Returned(self, self._shared, ours, self._reactor)
        files = {BACK: theirs.fileno(), **{FIRST + number: port.fileno() for number, port in enumerate(ports)}}
        try:
            child.begin(bytes((len(ports),)), files)
        except OSError as error:
            self._ended(child, f"{WHAT} can not be started: {error.strerror}")
            return
        finally:
            theirs.close()
        self.begun += 1
        self._heard = self._reactor.seconds() + BIRTH - SILENCE
        self._teach()

    def _end(self) -> Deferred[None]:
        """End it, as it is not wanted any more; fires when it does not run any more."""
        self._take()
        child, self._child, self._wait = self._child, None, FIRST_WAIT
        if child is None:
            return succeed(None)
        self._forget()
        return child.end()

    def _ended(self, child: Child, why: str) -> None:
        if child is not self._child:
            return
        self._take()
        self._child = None
        self._forget()
        _log.warn("{why}: begun anew in {wait} s", why=why, wait=self._wait)
        self._tell((f"{why}: the gateway answers the LAN itself",))
        self._again = self._reactor.callLater(self._wait, self._changed)
        self._wait = min(2 * self._wait, LONGEST_WAIT)

    def _forget(self) -> None:
        """What is left of one that runs no more."""
        self._before, self._counts = together(self._before, past(self._counts)), {}
        self._unreturned_before, self._unreturned = self._unreturned_before + self._unreturned, 0
        self._said, self._news, self._troubles = 0, iter(()), {}
        if self._returned is not None:
            self._returned.close()
            self._returned = None

    # Who reads

    def _take(self) -> None:
        """The gateway does."""
        if self._is_apart:
            self._is_apart = False
            for port, _ in self._shared.sockets:
                port.startReading()

    def _give(self) -> None:
        """The other one does."""
        if not self._is_apart:
            self._is_apart, self._wait = True, FIRST_WAIT
            for port, _ in self._shared.sockets:
                port.stopReading()
            self._tell(())

    def _look(self) -> None:
        """One that says nothing is ended; unless it is we who did not listen."""
        now, looked, self._looked = self._reactor.seconds(), self._looked, self._reactor.seconds()
        if self._child is not None and now - self._heard > SILENCE and now - looked < 2 * REPORT:
            self._take()
            self._child.kill()

    # What it is told, and tells

    def _teach(self) -> None:
        self._number += 1
        self._news = told(self._number, self._shared.settings, self._shared.lists)
        self._go_on(self._news)

    def _go_on(self, news: Iterator[tuple[Any, ...]]) -> None:
        """Tell some, and the rest later, unless that was begun anew meanwhile."""
        child = self._child
        if child is None or news is not self._news:
            return
        if child.has_room:
            some = next(news, None)
            if some is None:
                return
            child.tell(frame(pickle.dumps(some)))
        self._reactor.callLater(BETWEEN if child.has_room else PAUSE, self._go_on, news)

    def _reported(self, report: dict[str, Any]) -> None:
        if self._child is None:
            return
        self._heard, self._counts, self._unreturned = self._reactor.seconds(), report["counts"], report["unreturned"]
        self._tell_of(self._counts)
        news = [each for each in report["withheld"] if each[0] > self._noted]
        for self._noted, name, resolver, listed in news:
            self._shared.note(bytes.fromhex(name), resolver, listed)
        count, said = report["said"]
        if count != self._said:
            self._said = count
            _log.error("{what}, {count} times wrong: {said}", what=WHAT, count=count, said=said)
        if report["number"] == self._number:
            self._give()

    def _tell_of(self, counts: Mapping[str, Any]) -> None:
        """What it has counted tells which resolvers are of no use, and why; nobody listens to its own log."""
        found = {each.removeprefix(RESOLVER): counts[each] for each in counts if each.startswith(RESOLVER)}
        for resolver, known in found.items():
            if known["trouble"] != self._troubles.get(resolver, ""):
                tell(resolver, known["trouble"])
        self._troubles = {resolver: known["trouble"] for resolver, known in found.items()}

    def _told(self) -> Mapping[str, Any]:
        """What all of them have counted, by their names in the counts of the DNS server."""
        return together(self._before, self._counts)

    def counts(self) -> dict[str, object]:
        """What was counted since the start, and whether the LAN is read apart; empty where it never was to be."""
        if not self.begun and self._shared.settings.dns.forward.process is not ForwardProcess.OWN:
            return {}
        return {
            "begun": self.begun, "returned": self.returned, "apart": int(self._is_apart),
            "unreturned": self._unreturned_before + self._unreturned,
        }  # fmt: skip


@implementer(IReadDescriptor)
class _Returned:
    """What is handed back: read as little at a time as the LAN's sockets are, and answered from these.

    Args:
        service: Counts.
        shared: The LAN's sockets.
        ours: Where it comes from.
        reactor: The reactor.
    """

    def __init__(self, service: ForwarderService, shared: Shared, ours: socket.socket, reactor: Any) -> None:
        self._service, self._shared, self._ours, self._reactor = service, shared, ours, reactor
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        reactor.addReader(self)

    def fileno(self) -> int:
        """The socket's; -1 once it is closed."""
        return self._ours.fileno()

    def logPrefix(self) -> str:
        """What Twisted calls it."""
        return "forwarder"

    def doRead(self) -> None:
        """There is something to be read."""
        sockets, taken = self._shared.sockets, 0
        while taken < UDP_TURN_BESIDE:
            try:
                octets = self._ours.recv(MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                octets = b""
            if not octets:
                self.close()
                return
            number, host, port, message = taken_back(octets)
            taken += len(message)
            self._service.returned += 1
            if number < len(sockets):
                sockets[number][1].datagramReceived(message, (host, port))

    def connectionLost(self, reason: Failure) -> None:
        """There is nobody any more."""
        del reason
        self.close()

    def close(self) -> None:
        """Nothing is handed back any more."""
        if self._ours.fileno() >= 0:
            self._reactor.removeReader(self)
            self._ours.close()

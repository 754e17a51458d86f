"""The watch: what the kernel tells of changes is heard in the reactor, and looked after by the thread of the kernel.

Whatever is heard leads to one look (`Keeper.look`), at once; what is heard meanwhile, to one more. Without anything
heard there is a look at each `INTERVAL`, for what the kernel does not tell of. When somebody undoes again and again
what was put back, the looks become rarer: two programs that fight are no help to anybody.

Edge: the reactor and its timers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from realmgw.datapath.netlink import events
from realmgw.datapath.netlink.client import ROUTE, attach, open_socket
from realmgw.datapath.netlink.events import Transactions
from realmgw.datapath.netlink.port import NetlinkListener
from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.errors import PlatformError, RealmGatewayError

INTERVAL = 2.0  # seconds
"""How often it is looked without anything heard."""
PAUSE = 0.02  # seconds
"""The shortest time from one look to the next."""
FIGHTS = 50
"""So many repairs..."""
FIGHT = 10.0  # seconds
"""... within this time, and somebody fights us."""
TRUCE = 1.0  # seconds
"""Then this is the shortest time from one look to the next."""
LISTENED = 1024
"""So many messages are heard at most before it is told what a look has found."""
_FOUGHT = (
    "somebody undoes again and again what the gateway places, so it is put back once a second only: "
    "the log says who, stop one of the two"
)
_BUFFER = 1 << 20  # octets

Heard = Callable[[Noticed], object]


class Listener(Protocol):
    """What hears of changes; see `realmgw.datapath.watch.port.KernelListener`."""

    def open(self, heard: Heard) -> None: ...
    def ignore(self, ports: frozenset[int]) -> None: ...
    def listen(self) -> None: ...
    def close(self) -> None: ...


class KernelListener:
    """Hears what the kernel tells of nftables, links, addresses and routes of this thread's network namespace.

    Args:
        reactor: Where to be read: an `IReactorFDSet`.
        free: Names of the sets of nftables that anybody may add elements to.
    """

    def __init__(self, reactor: Any, free: tuple[str, ...] = ()) -> None:
        self._reactor = reactor
        self._free = free
        self._sockets: list[NetlinkListener] = []

    def open(self, heard: Heard) -> None:
        """Begin to listen.

        Args:
            heard: Called with what may concern us.

        Raises:
            PlatformError: The kernel does not let us.
        """
        self._transactions = Transactions(self._free)
        try:
            self._nftables = open_socket(timeout=0.0, groups=(events.NFTABLES_GROUP,), buffer=_BUFFER)
            links = open_socket(ROUTE, timeout=0.0, groups=events.LINK_GROUPS, buffer=_BUFFER)
            attach(links, events.of_concern())
        except RealmGatewayError as error:
            raise PlatformError(f"the kernel does not tell of changes ({error})") from error

        self._sockets = [
            NetlinkListener(
                self._nftables, partial(self._of_nftables, heard), lambda: heard(Noticed(lost=True)), self._reactor
            ),
            NetlinkListener(  # what there is of links and routes is looked at each time: nothing is missing then
                links, partial(_of_links, heard), lambda: heard(Noticed(links=True)), self._reactor
            ),
        ]

    def ignore(self, ports: frozenset[int]) -> None:
        """Hear nothing any more of what these ports do to nftables."""
        if ports:
            attach(self._nftables, events.filter_out(ports))

    def listen(self) -> None:
        """Hear now what was told so far, but not for ever."""
        for each in self._sockets:
            each.read(LISTENED)

    def close(self) -> None:
        """End."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            each.close()

    def _of_nftables(self, heard: Heard, received: bytes) -> None:
        committed = tuple(self._transactions.take(received))
        if committed:
            heard(Noticed(committed, links=False))


def _of_links(heard: Heard, received: bytes) -> None:
    if events.concerns_us(received):
        heard(Noticed(links=True))


class Watch:
    """Has it looked when something is heard, and at each `INTERVAL`.

    Args:
        look: Looks; told of what was heard. It does not fail but by our own fault.
        tell: Told of what each look has found.
        clock: The reactor.
        listener: What hears.

    Attributes:
        repairs: How many looks have put something back.
    """

    def __init__(
        self,
        look: Callable[[Noticed], Deferred[Findings]],
        tell: Callable[[Findings], object],
        clock: IReactorTime,
        listener: Listener,
    ) -> None:
        self._look = look
        self._tell = tell
        self._clock = clock
        self._listener = listener
        self._log = Logger()
        self._running = self._looking = False
        self._noticed: list[Noticed] = []
        self._asked: list[Deferred[Findings]] = []
        self._call: IDelayedCall | None = None
        self._last = 0.0
        self._repaired: deque[float] = deque(maxlen=FIGHTS)
        self.repairs = 0

    def listen(self, own_ports: frozenset[int]) -> None:
        """Begin to hear; what is heard is kept until `start`.

        Args:
            own_ports: Netlink ports that our own transactions come from; nothing is heard of them.

        Raises:
            PlatformError: The kernel does not let us.
        """
        self._listener.open(self._hear)
        self._listener.ignore(own_ports)

    def start(self) -> Deferred[Findings]:
        """Begin to look; fires with what the first look has found."""
        self._running = True
        return self.look()

    def stop(self) -> None:
        """Neither hear nor look any more."""
        self._running = False
        self._listener.close()
        self._noticed.clear()
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._answer(Findings())

    def look(self) -> Deferred[Findings]:
        """Look at everything now, or after the look that is under way; fires with what was found, if anything is."""
        if not self._running:
            return succeed(Findings())
        asked: Deferred[Findings] = Deferred()
        self._asked.append(asked)
        self._noticed.append(Noticed())
        if not self._looking:
            self._begin()
        return asked

    def _hear(self, noticed: Noticed) -> None:
        self._noticed.append(noticed)
        self._soon(max(0.0, self._last + self._distance() - self._clock.seconds()))

    def _distance(self) -> float:
        """How long it is from one look to the next, at least."""
        return TRUCE if self._is_fought() else PAUSE

    def _is_fought(self) -> bool:
        return len(self._repaired) == FIGHTS and self._clock.seconds() - self._repaired[0] < FIGHT

    def _soon(self, delay: float) -> None:
        if not self._running or self._looking:
            return
        if self._call is None or not self._call.active():
            self._call = self._clock.callLater(delay, self._begin)
        elif self._call.getTime() > self._clock.seconds() + delay:
            self._call.reset(delay)

    def _begin(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._looking = True
        heard, self._noticed = _together(self._noticed), []
        asked, self._asked = self._asked, []
        self._go(heard, asked)

    def _answer(self, findings: Findings) -> None:
        asked, self._asked = self._asked, []
        for each in asked:
            each.callback(findings)

    @inlineCallbacks
    def _go(self, heard: Noticed, asked: list[Deferred[Findings]]) -> Generator[Deferred[Any], Any, None]:
        findings = None
        try:
            findings = self._explained((yield self._look(heard)))
        except Exception:  # noqa: BLE001 - whatever it is, the next look is taken
            self._log.failure("fault while looking after what was placed")
        self._looking, self._last = False, self._clock.seconds()
        if self._running:
            if findings is not None:
                self._note(findings)
            self._soon(0.0 if self._asked else self._distance() if self._noticed else INTERVAL)
        for each in asked:
            each.callback(findings or Findings())

    def _explained(self, findings: Findings) -> Findings:
        """The same with those whose deeds were seen sooner than the kernel's word about them was read.

        It has told by then: whoever has seen what a transaction did comes after it.
        """
        if findings.unexplained and self._running:
            self._listener.listen()
        return findings.explained(_together(self._noticed).transactions)

    def _note(self, findings: Findings) -> None:
        if findings.repaired:
            self.repairs += 1
            self._repaired.append(self._last)
        fought = (_FOUGHT,) if self._is_fought() else ()
        self._tell(attrs.evolve(findings, doubtful=(*findings.doubtful, *fought)))


def _together(noticed: list[Noticed]) -> Noticed:
    """All that was heard, as one."""
    return Noticed(
        tuple(each for one in noticed for each in one.transactions),
        lost=any(each.lost for each in noticed),
        links=any(each.links for each in noticed),
    )

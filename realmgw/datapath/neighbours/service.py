"""The neighbours on the WAN's link, as a service of the gateway.

Where no prefix of the pool is on-link it does nothing. Where one is of IPv6, solicitations are answered; of either
family, what has come here with the start, with a reload or with the interface is announced. Edge: the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from ipaddress import IPv4Network, IPv6Network
from itertools import islice
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import LoopingCall

from realmgw.config.settings import Attachment, Network, Settings
from realmgw.datapath.neighbours import announcing, established, messages
from realmgw.datapath.neighbours.announcing import Announcements
from realmgw.datapath.neighbours.answering import Answers
from realmgw.datapath.neighbours.port import NeighbourPort
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.system.worker import Worker

LOOK = 1.0  # seconds
"""How often it is looked what became of the interface."""

Established = Callable[[Collection[Network], Callable[[], bool]], frozenset[bytes]]
"""See `realmgw.datapath.neighbours.established`."""
Tell = Callable[[tuple[str, ...], tuple[str, ...]], object]
"""Told all that is wrong, a line each: first what flows need."""


class NeighboursService(Service):
    """Answers neighbours, and announces to them.

    Args:
        settings: The gateway's.
        answers: Who decides.
        worker: Where conntrack is asked: a thread that does nothing else, so that no change waits for that. It is
            started and stopped here.
        tell: Told what is wrong, whenever it was looked at.
        reactor: Where it is listened; its clock.
        ask: Tells which addresses of prefixes have flows; it blocks, and asks again and again whether anybody waits for
            it: if not, it takes its time.

    Attributes:
        announced: How many announcements were sent.
    """

    name = "neighbours"

    def __init__(
        self,
        settings: Settings,
        answers: Answers,
        worker: Worker,
        tell: Tell,
        reactor: Any,
        ask: Established = established.established,
    ) -> None:
        self._networks = on_link(settings)
        self._port = NeighbourPort(settings.interfaces.wan, reactor)
        self._answers = answers
        self._worker = worker
        self._tell = tell
        self._clock = reactor
        self._ask = ask
        self._announcements = Announcements()
        self._wrong = ""  # with the interface
        self._doubt = ""  # what conntrack does not tell
        self._is_asking = self._is_awaited = self._has_worker = False
        self._looking, self._announcing = LoopingCall(self._look), LoopingCall(self._announce)
        self._looking.clock = self._announcing.clock = reactor
        self.announced = 0

    def counts(self) -> dict[str, int]:
        """What was counted since the start."""
        return {**attrs.asdict(self._answers.counts), "lost": self._port.lost, "announced": self.announced}

    def startService(self) -> None:
        """Begin to answer, and to announce. What has flows already is answered for when conntrack has told it.

        Raises:
            PlatformError: We may not hear solicitations; the service is not running.
        """
        self._wrong = self._open()
        if self._networks6 and not self._port.is_allowed:
            raise PlatformError(self._wrong)
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._is_awaited = True  # by routers that have sent here before
        self._take_over(self._networks)
        self._looking.start(LOOK)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Let go of the interface, and of a listing; fires when its thread has ended."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        for loop in (self._looking, self._announcing):
            if loop.running:
                loop.stop()
        self._port.close()
        if self._has_worker:
            yield self._worker.call(bool)
            self._worker.stop()
            self._has_worker = False

    def configure(self, settings: Settings) -> None:
        """From now on, these settings; prefixes that are new are announced."""
        before, self._networks = self._networks, on_link(settings)
        if self.running and before != self._networks:
            self._wrong = self._open()
            self._take_over(tuple(each for each in self._networks if each not in before))

    @property
    def _networks6(self) -> tuple[IPv6Network, ...]:
        return tuple(each for each in self._networks if isinstance(each, IPv6Network))

    def _open(self) -> str:
        """Open the socket anew, if it is needed; returns what keeps it from working."""
        self._answers.configure(self._networks6)
        self._port.close()
        if not self._networks:
            return ""
        try:
            self._port.open(self._networks6, lambda frame: self._answers.answer(frame, self._port.link, self._now()))
        except RealmGatewayError as error:
            return str(error)
        return self._port.look()

    @inlineCallbacks
    def _take_over(self, networks: Collection[Network]) -> Generator[Deferred[Any], Any, None]:
        """Find out which addresses have flows, and announce those of some prefixes. Never fails."""
        if self._networks and not self._has_worker:
            self._has_worker = True
            self._worker.start()
        begun, self._is_asking = self._now(), True
        there, new = frozenset[bytes](), tuple[bytes, ...]()
        try:
            if self._networks:
                there, new = yield self._worker.call(self._list, self._networks, networks)
        except (RealmGatewayError, OSError) as error:
            self._doubt = f"flows of an earlier run are not known, and may end: {error}"
        else:
            self._doubt = ""
            self._answers.keep(there, self._now(), self._now() - begun)
        self._is_asking = self._is_awaited = False
        if networks and self.running:
            self._announcements.add(new, (each for each in networks if isinstance(each, IPv4Network)), self._now())
            if self._announcements and not self._announcing.running:
                self._announcing.start(announcing.INTERVAL)

    def _list(
        self, every: Collection[Network], announced: Collection[Network]
    ) -> tuple[frozenset[bytes], tuple[bytes, ...]]:
        """In the worker's thread: addresses with flows, and those to be announced of them."""
        there = self._ask(every, self._is_hasty)
        return there, tuple(islice(filter(established.of_any(announced), there), announcing.MOST))

    def _is_hasty(self) -> bool:
        """In the worker's thread."""
        if not self.running:
            raise RealmGatewayError("the service has stopped")
        return self._is_awaited

    def _look(self) -> None:
        """See what became of the interface; one that was away has what is new to its neighbours when it is back."""
        before, self._wrong = self._wrong, self._port.look() if self._networks else ""
        if self._wrong:
            self._wrong = self._open()
        if before and not self._wrong:
            self._take_over(self._networks)
        elif self._answers.is_due(self._now()) and not self._is_asking:
            self._take_over(())
        who = ", ".join(map(str, self._networks6))
        line = f"neighbours are not told where addresses of {who} are: {self._wrong}"
        unannounced = self._wrong if not who and not self._port.is_allowed else ""
        self._tell((line,) if self._wrong and who else (), tuple(filter(None, (self._doubt, unannounced))))

    def _announce(self) -> None:
        if not self._announcements:
            self._announcing.stop()
        for address in self._announcements.due(self._now()):
            self.announced += self._port.send(messages.announcement(address, self._port.link))

    def _now(self) -> float:
        now: float = self._clock.seconds()
        return now


def on_link(settings: Settings) -> tuple[Network, ...]:
    """The prefixes of the pool that are part of the WAN's link."""
    return tuple(each.network for each in settings.pools.circular if each.attachment is Attachment.ON_LINK)

"""Has TCP come twice while more comes than can be looked at. Edge: the reactor's timers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from realmgw.admission.overload import Overload
from realmgw.config.settings import Settings
from realmgw.datapath.netlink.counters import Count
from realmgw.errors import RealmGatewayError

EVERY = 1.0  # seconds
"""How often it is looked whether that is still of use: a TCP comes again after as long."""
TOLD = (
    "more first packets come than can be looked at: a SYN has to come twice, so a TCP connection begins a second later "
    "(docs/synproxy.md tells what spares it that)"
)

_log = Logger()


class Rules(Protocol):
    """What the kernel's rules are to this; see `realmgw.datapath.service.DatapathService`."""

    def ask_twice(self, *, asked: bool) -> Deferred[Any]: ...
    def counted(self) -> Deferred[Mapping[str, Count]]: ...


class Twice:
    """Decides it by what the queue has lost, and tells the kernel.

    Args:
        settings: Whether that is wanted.
        rules: The kernel's.
        answered: Tells how many questions were answered with an address, ever.
        behind: Told for how many seconds packets wait in the queue, and when some were lost there last, or dropped for
            the sake of this: theirs come again, too.
        tell: Told what is so now, in lines; none: nothing.
        reactor: By whose clock it is looked.
        monotonic: The clock, in seconds.

    Attributes:
        failed: How often the kernel did not do it, or not tell.
    """

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        answered: Callable[[], int],
        behind: Callable[[float, float], object],
        tell: Callable[[tuple[str, ...]], object],
        reactor: IReactorTime,
        monotonic: Callable[[], float],
    ) -> None:
        self._rules, self._answered, self._behind, self._tell = rules, answered, behind, tell
        self._monotonic = monotonic
        self._overload = Overload()
        self._taken: Callable[[], int] = int
        self._seconds, self._lost_at = 0.0, float("-inf")
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor
        self.failed = 0
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """From now on, these settings. Where there are SYN proxies in front, a SYN has shown already who sends it."""
        self._is_wanted = settings.admission.ask_twice and not settings.synproxy.proxies

    def counts(self) -> dict[str, object]:
        """What was counted since the start."""
        overload = self._overload
        return {"overloads": overload.begun, "overloads_futile": overload.futile, "overloads_failed": self.failed,
                "asks_twice": int(self._loop.running)}  # fmt: skip

    def start(self, taken: Callable[[], int]) -> None:
        """The queue is read; how many packets it has given tells `taken`."""
        self._taken = taken

    def stop(self) -> None:
        """The queue is not read any more; the rules stay as they are, and nothing new gets in by them."""
        if self._loop.running:
            self._loop.stop()

    def behind(self, seconds: float, lost_at: float) -> None:
        """For so many seconds packets wait in the queue, and then some were lost there last. Cheap."""
        is_new, self._seconds, self._lost_at = lost_at > self._lost_at, seconds, lost_at
        self._behind(seconds, self._monotonic() if self._loop.running else lost_at)
        if is_new and self._is_wanted and self._overload.lost(self._taken(), self._answered(), now=lost_at):
            self._begin()

    @inlineCallbacks
    def _begin(self) -> Generator[Deferred[Any], Any, None]:
        try:
            first, again = yield from self._counted()
            yield self._rules.ask_twice(asked=True)
        except (RealmGatewayError, OSError) as error:
            self._fail(error)
            self._overload.refused(now=self._monotonic())
            return
        self._overload.began(first, again, now=self._monotonic())
        self._tell((TOLD,))
        self._loop.start(EVERY, now=False)

    @inlineCallbacks
    def _look(self) -> Generator[Deferred[Any], Any, None]:
        """Never fails: that would end the loop, and SYNs would have to come twice for ever."""
        try:
            first, again = yield from self._counted()
            now = self._monotonic()
            self._behind(self._seconds, now)
            if self._overload.looked(first, again, now=now) or not self._is_wanted:
                yield self._rules.ask_twice(asked=False)
                self._end()
        except (RealmGatewayError, OSError) as error:
            self._fail(error)

    def _end(self) -> None:
        self._overload.ended(now=self._monotonic())
        self._tell(())
        if self._loop.running:
            self._loop.stop()

    def _counted(self) -> Generator[Deferred[Any], Any, tuple[int, int]]:
        counts: Mapping[str, Count] = yield self._rules.counted()
        first, again = (counts[name].packets if name in counts else 0 for name in ("syn_first", "syn_again"))
        return first, again

    def _fail(self, error: Exception) -> None:
        self.failed += 1
        _log.warn("admission: whether a SYN has to come twice can not be changed now: {error}", error=error)

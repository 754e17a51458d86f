"""A purge while the gateway runs: it lends and admits nothing from then on, until a reload that was asked for here.

First it is said so and nothing is lent any more, then first packets are dropped, claims end without blame, and the web
proxy ends, in whose way the rules of hosts stand; only then goes what is in the kernel. So nobody is told an address in
vain, and nobody comes in by rules that are half gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.config.document import bounded
from realmgw.config.settings import Network
from realmgw.control.apply import Outcome, Reloader, Status
from realmgw.control.commands import Deferred
from realmgw.errors import RealmGatewayError

PURGED = "nothing is lent and no flow is admitted: `realmgw reload`, or a restart, puts everything in place again"
"""What `status` says of it."""

LENDING = "lending and admission: a purge had ended them"
"""The first of what a reload puts back after one."""
MOST_NAMED = 20
"""So many things of the kernel are named, the others counted."""


class Datapath(Protocol):
    """What a purge needs of `realmgw.datapath.service.DatapathService`."""

    def purge(self) -> Deferred: ...
    def place(self) -> Deferred: ...
    def placed(self) -> Iterable[Mapping[str, str]]: ...


class Gate(Protocol):
    """What a purge needs of `realmgw.admission.gate.Gate`."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class Proxy(Protocol):
    """What a purge needs of `realmgw.webproxy.service.WebproxyService`."""

    def close(self, *, closed: bool) -> Deferred: ...


@attrs.frozen(eq=False)
class Purging:
    """Whether the gateway is purged, and how it gets there and back."""

    _datapath: Datapath
    """The kernel's side."""
    _allocator: Allocator
    """The pool."""
    _gate: Gate
    """Decides about first packets."""
    _proxy: Proxy
    """Lets in who comes by the service pool."""
    _reloader: Reloader
    """Reloads nothing meanwhile."""
    _networks: Callable[[], Collection[Network]]
    """The circular pool's prefixes, now."""
    _tell: Callable[[Collection[str]], object]
    """Is told what is wrong because of it, in lines; none: nothing any more."""
    _monotonic: Callable[[], float]
    """The present, in seconds."""

    def purge(self) -> Deferred:
        """Lend nothing, admit nothing, and remove everything of ours from the kernel.

        Returns:
            Fires with what was done and what stays, one line each. When it fails, nothing is lent or admitted all the
            same, and what was not removed still stands: try again.
        """
        return self._reloader.exclusively(self._purge)

    def _purge(self) -> Deferred:
        now = self._monotonic()
        self._reloader.closed = PURGED
        self._tell([PURGED])
        self._allocator.outage.close(closed=True)
        self._gate.stop()
        self._allocator.withdraw(self._networks(), now=now)
        self._allocator.abandon(now=now)
        return self._proxy.close(closed=True).addCallback(lambda _: self._datapath.purge())

    def reload(self, cause: str, *, accepts_loss: bool = False) -> Deferred:
        """Reload; when the gateway is purged, everything is put in place again before.

        Args:
            cause: Who wants it, for the log.
            accepts_loss: He has said that hosts may go, however many they are.

        Returns:
            Fires with an `Outcome`.
        """
        if not self._reloader.closed:
            return self._reloader.reload(cause, accepts_loss=accepts_loss)
        placed = self._reloader.exclusively(self._place)
        return placed.addCallbacks(lambda _: self._reload(cause, accepts_loss=accepts_loss), _not_placed)

    def _reload(self, cause: str, *, accepts_loss: bool) -> Deferred:
        """Everything is in place again: that is told as what the reload has put back, whatever becomes of it."""
        reloading = self._reloader.reload(cause, accepts_loss=accepts_loss)
        return reloading.addCallback(lambda outcome: outcome.having_restored(self._back()))

    def _back(self) -> tuple[str, ...]:
        """What a purge had removed and is there again, in lines."""
        names = [f"{each['what']} {each['name']}: a purge had removed it" for each in self._datapath.placed()]
        return (LENDING, *bounded(names, MOST_NAMED, what="things that a purge had removed"))

    def _place(self) -> Deferred:
        return self._datapath.place().addCallback(self._placed)

    def _placed(self, _: object) -> Deferred:
        self._reloader.closed = ""
        self._gate.start()
        self._tell([])
        self._allocator.extend(self._networks(), now=self._monotonic())
        self._allocator.outage.close(closed=False)
        return self._proxy.close(closed=False)


def _not_placed(failure: Any) -> Outcome:
    failure.trap(RealmGatewayError)
    return Outcome(Status.FAILED, problems=(str(failure.value), PURGED))

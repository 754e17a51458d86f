"""The node's services: the table in the kernel, and the ports where gateways are served. Edge: the reactor, sockets."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.datapath.watch.port import Listener, Watch
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.synnode.entries import Entries, Target
from realmgw.synnode.kernel import Placed
from realmgw.synnode.server import ControlServer
from realmgw.synproxy.codec import TcpOptions
from realmgw.system.endpoints import Endpoint
from realmgw.system.port import Sockets
from realmgw.system.worker import Worker

_log = Logger()


class KernelSide(Protocol):
    """What a `realmgw.synnode.kernel.NodeKernel` is to this service; see there."""

    was_installed: bool | None

    def own_ports(self) -> frozenset[int]: ...
    def apply(self) -> Placed: ...
    def change(self, wanted: Mapping[Target, TcpOptions | None]) -> None: ...
    def replace(self, wanted: Mapping[Target, TcpOptions]) -> None: ...
    def look(self, noticed: Noticed) -> Findings: ...
    def purge(self) -> tuple[str, ...]: ...
    def close(self) -> None: ...


class TableService(Service):
    """The kernel has what the table has, one transaction after the other.

    What is changed while one is under way is in the next, each target once: however fast changes come, there is one
    transaction at a time, and it is no longer than the table. A turn of the reactor begins one at most.

    Args:
        kernel: Access to the kernel; it is used in the worker's thread only.
        entries: The table.
        clock: The reactor.
        worker: Where the calls that block are made. It is started and stopped here.
        listener: What hears of changes in the kernel.
        purging: Whether everything is removed from the kernel when the service stops.

    Attributes:
        findings: What the last look has found.
        transactions: How many the kernel has taken.
        refused: How many it has not; then the whole table is placed.
    """

    name = "table"

    def __init__(
        self,
        kernel: KernelSide,
        entries: Entries,
        *,
        clock: IReactorTime,
        worker: Worker,
        listener: Listener,
        purging: bool = False,
    ) -> None:
        self._kernel = kernel
        self._entries = entries
        self._clock = clock
        self._worker = worker
        self._watch = Watch(lambda noticed: worker.call(kernel.look, noticed), self._note, clock, listener)
        self._call: IDelayedCall | None = None
        self._pushing = self._begun = self._settled = False
        self._purging = purging
        self.findings = Findings()
        self.transactions = self.refused = 0

    @inlineCallbacks
    def startService(self) -> Generator[Deferred[Any], Any, None]:
        """Put everything in place.

        Returns:
            A Deferred that fires when all of it stands. It fails as `NodeKernel.apply` does; then the service is not
            running, its thread is gone, and what it placed is, too, unless our table stood there before.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted has no annotation there
        self._begun = self._settled = False
        self._worker.start()
        try:
            ports = yield self._worker.call(self._kernel.own_ports)
            self._watch.listen(ports)
            found: Placed = yield self._worker.call(self._kernel.apply)
        except Exception:
            yield self.stopService()
            raise
        self._entries.adopt(found.adopted)
        for change in found.changes:
            _log.info("{change}", change=change)
        if found.adopted:
            _log.info(
                "{count} entries of an earlier run stand, until a gateway says otherwise", count=len(found.adopted)
            )
        yield self._watch.start()
        self._begun = True

    def settle(self) -> None:
        """The node has come to serve: from now on, what was placed stays when it stops."""
        self._settled = True

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Let go of the kernel, and leave everything there: SYNs are answered as before; unless it is to be purged.

        Where the node has not come to serve (see `settle`), and no table of ours stood before, it is removed as well.

        Returns:
            A Deferred that fires when the thread has ended.
        """
        if not self.running:
            return
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted has no annotation there
        self._watch.stop()
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        is_undone = self._kernel.was_installed is False and not self._settled
        if is_undone or (self._purging and self._begun):
            yield from self._purge()
        yield self._worker.call(self._kernel.close)
        self._worker.stop()

    def changed(self) -> None:
        """The table may have something that the kernel has not. Cheap: the kernel is told in the next turn."""
        if self.running and not self._pushing and self._call is None and self._entries.has_changed:
            self._call = self._clock.callLater(0, self._push)

    def counts(self) -> dict[str, object]:
        """What was counted here since the start; `NodeKernel.figures` has what the kernel counts."""
        return {"transactions": self.transactions, "refused": self.refused, "repairs": self._watch.repairs}

    def _purge(self) -> Generator[Deferred[Any], Any, None]:
        try:
            for line in (yield self._worker.call(self._kernel.purge)):
                _log.info("{removed}", removed=line)
        except RealmGatewayError as error:
            _log.error("not everything was removed: {error}", error=error)

    @inlineCallbacks
    def _push(self) -> Generator[Deferred[Any], Any, None]:
        self._call, self._pushing = None, True
        try:
            while self.running and self._entries.has_changed:
                yield self._told()
                self.transactions += 1
        except RealmGatewayError as error:
            self.refused += 1
            _log.error("the kernel has refused a change, so the whole table is placed: {error}", error=error)
            self._watch.look()
        except Exception:  # noqa: BLE001 - whatever it is, the next change is tried
            _log.failure("fault while telling the kernel of changes")
            self._watch.look()
        finally:
            self._pushing = False
            self.changed()  # what came meanwhile, also if the kernel has refused this

    def _told(self) -> Deferred[None]:
        changes = self._entries.take_changes()
        if changes is None:
            return self._worker.call(self._kernel.replace, self._entries.everything())
        return self._worker.call(self._kernel.change, changes)

    def _note(self, findings: Findings) -> None:
        tell = _log.error if self._begun else _log.info
        for line in findings.repaired:
            tell("{repaired}; it was put back", repaired=line)
        if findings.broken != self.findings.broken:
            for line in findings.broken:
                _log.error("{broken}", broken=line)
            if not findings.broken:
                _log.info("all is well again")
        self.findings = findings


class PortsService(Service):
    """Where gateways are served.

    Args:
        endpoints: Where.
        sockets: Listens; by TLS, if it has a certificate.
        server: Is connected to.
    """

    name = "ports"

    def __init__(self, endpoints: tuple[Endpoint, ...], sockets: Sockets, server: ControlServer) -> None:
        self._endpoints = endpoints
        self._sockets = sockets
        self._server = server

    @inlineCallbacks
    def startService(self) -> Generator[Deferred[Any], Any, None]:
        """Listen.

        Raises:
            PlatformError: That is not possible; one line says why. Nothing listens then.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        for each in self._endpoints:
            try:
                self._sockets.listen(self._server, each, secure=self._sockets.certificate is not None)
            except PlatformError:
                yield self.stopService()
                raise
            _log.info("gateways are served at {address} port {port}", address=each.address, port=each.port)

    def stopService(self) -> Deferred[Any]:
        """Listen no more, and let go of all; fires when that is done."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._server.close()
        return self._sockets.stop()

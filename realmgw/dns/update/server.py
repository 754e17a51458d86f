"""The update face's sockets, and what is behind them. Edge: the reactor."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from realmgw.config.settings import DnsView
from realmgw.dns.codec.message import MAX_MESSAGE
from realmgw.dns.codec.wire import BadQueryError, Rcode, Type, decode
from realmgw.dns.port import DnsDatagrams, DnsStream
from realmgw.dns.server import ViewServer
from realmgw.dns.update.updater import Updates
from realmgw.dns.view import Asker, View
from realmgw.errors import Reason


class UpdateStream(DnsStream):
    """A TCP connection, by which whole updates come."""

    MAX_LENGTH = MAX_MESSAGE


class UpdateServer(ViewServer):
    """Has updates done, and tells who asks for it where a zone begins, as clients do before they update it.

    Attributes:
        updates: What is done with messages.
    """

    stream = UpdateStream

    def __init__(
        self, updates: Updates, view: View, limits: DnsView, clock: IReactorTime, monotonic: Callable[[], float]
    ) -> None:
        """Has updates done by these; the other arguments are those of `ViewServer`."""
        super().__init__(view, limits, clock, monotonic)
        self.updates, updates.query = updates, self._query

    def receive(self, message: bytes, to: DnsDatagrams | DnsStream, asker: Asker, refused: Reason | None) -> None:
        """Takes a message. The arguments are those of `ViewServer.receive`."""
        del refused
        answer = self.updates.receive(message, asker)
        if answer is None:
            to.expect()
        else:
            to.send(answer, asker.address)

    def _query(self, message: bytes, asker: Asker) -> bytes:
        """Answers a query for a SOA record; all else is asked elsewhere."""
        now = self.monotonic()
        try:
            query = decode(message)
        except BadQueryError as error:
            return b"" if error.query is None else self.view.error(error.query, error.rcode, asker, now=now)
        if query.type != Type.SOA:
            return self.view.error(query, Rcode.REFUSED, asker, now=now)
        return self.view.answer(query, asker, now=now) or b""

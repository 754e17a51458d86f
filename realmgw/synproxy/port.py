"""The connection to a SYN proxy, made again for ever. Edge: TCP and TLS connections."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service_identity import CertificateError, VerificationError
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.config.settings import Peer
from realmgw.synproxy.link import Link
from realmgw.system.tls import trouble_of

CONNECT_TIME = 5.0  # seconds
"""How long a connection may take to be made, and again so long its handshake."""


class Connecting:
    """Keeps one SYN proxy connected.

    Args:
        proxy: Where it is.
        link: What it is told.
        reconnect: How long, in seconds, until it is tried again.
        trust: Whose certificates are believed, as Twisted has it; see `believe`.
        reactor: Twisted's.

    Attributes:
        link: Likewise.
        clock: The reactor.
    """

    def __init__(self, proxy: Peer, link: Link, reconnect: float, trust: Any, reactor: Any) -> None:
        self.link = link
        self.clock = reactor
        self._reconnect = reconnect
        self._conversation: _Conversation | None = None
        self._more: Any = None
        factory = Factory.forProtocol(lambda: _Conversation(self, proxy.name is not None))
        factory.noisy = False
        endpoint = self._endpoint = _Endpoint(proxy, trust, reactor, self._failed)
        self._service = ClientService(endpoint, factory, lambda _: self._reconnect, reactor)

    def start(self) -> None:
        """Connect, now and again."""
        self._service.startService()

    def stop(self) -> Deferred[None]:
        """Connect no more; fires when the connection is closed. What was not sent yet is not."""
        if not self._service.running:
            return succeed(None)
        if self._more is not None:
            self._more.cancel()
            self._more = None
        done: Deferred[None] = self._service.stopService()
        if self._conversation is not None:
            self._conversation.abort("we stop")
        return done

    def configure(self, reconnect: float) -> None:
        """From the next time on, wait so long."""
        self._reconnect = reconnect

    def believe(self, trust: Any) -> None:
        """From the next connection on, believe these certificates; the one that there is stays."""
        self._endpoint.believe(trust)

    def work(self) -> None:
        """Tell the proxy what there is to tell; if it is much, a part of it in each of the next turns."""
        if self._more is None and self.link.work(now=self.now()):
            self._more = self.clock.callLater(0, self._again)

    def _again(self) -> None:
        self._more = None
        self.work()

    def tick(self) -> None:
        """Some time has passed."""
        if self._conversation is not None and not self._conversation.is_closing:
            self._conversation.tick()
            self.work()

    def now(self) -> float:
        """The present, in monotonic seconds."""
        now: float = self.clock.seconds()
        return now

    # What the conversation tells

    def opened(self, conversation: _Conversation) -> None:
        """There is somebody to speak to."""
        self._conversation = conversation
        self.link.connected(conversation.write, now=self.now())
        self.work()

    def closed(self, why: str) -> None:
        """There is nobody any more."""
        self._conversation = None
        self.link.lost(why, now=self.now())

    def _failed(self, failure: Failure) -> None:
        self.link.lost(words(failure), now=self.now())


@implementer(IHandshakeListener, IPushProducer)
class _Conversation(Protocol):
    """One connection. It is a producer of its transport's, which says when it has enough to send."""

    def __init__(self, owner: Connecting, is_secret: bool) -> None:
        self._owner, self._link = owner, owner.link
        self._is_secret = is_secret
        self._is_open = False
        self._timeout: Any = None
        self._trouble = ""
        self.is_closing = False

    def connectionMade(self) -> None:
        """There is a connection; by TLS the handshake comes first."""
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        if self._is_secret:
            self._timeout = self._owner.clock.callLater(CONNECT_TIME, self.abort, "TLS: no handshake in time")
        else:
            self._open()

    def handshakeCompleted(self) -> None:
        """The certificate is good, and for the proxy's name."""
        if not self.is_closing:
            self._open()

    def _open(self) -> None:
        self._no_timeout()
        self._is_open = True
        transport: Any = self.transport
        transport.registerProducer(self, True)
        self._owner.opened(self)

    def write(self, octets: bytes) -> None:
        """Send."""
        transport: Any = self.transport
        transport.write(octets)

    def dataReceived(self, data: bytes) -> None:
        """Answers, of which some may be cut."""
        if self.is_closing:
            return
        why = self._link.received(data, now=self._owner.now())
        if why:
            self.abort(why)
        else:
            self._owner.work()

    def tick(self) -> None:
        """Some time has passed."""
        why = self._link.tick(now=self._owner.now())
        if why:
            self.abort(why)

    def pauseProducing(self) -> None:
        """The transport has enough to send."""
        self._link.paused = True

    def resumeProducing(self) -> None:
        """It has not any more."""
        self._link.paused = False
        self._owner.work()

    def stopProducing(self) -> None:
        """The connection is about to be lost."""
        self._link.paused = True

    def abort(self, why: str) -> None:
        """End the connection at once: who does not read would keep us from closing it."""
        self._trouble = self._trouble or why
        self.is_closing = True
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionError())) -> None:  # noqa: B008 - as Twisted has it
        """The connection is gone."""
        self._no_timeout()
        self._owner.closed(self._trouble or words(reason))

    def _no_timeout(self) -> None:
        if self._timeout is not None and self._timeout.active():
            self._timeout.cancel()
        self._timeout = None


@implementer(IStreamClientEndpoint)
class _Endpoint:
    """Where a proxy is; tells why it could not connect. What TLS needs is made when it is needed first."""

    def __init__(self, proxy: Peer, trust: Any, reactor: Any, failed: Callable[[Failure], object]) -> None:
        self._name, self._trust, self._failed = proxy.name, trust, failed
        self._tls: Any = None
        address, port = proxy.endpoint.address, proxy.endpoint.port
        kind = TCP4ClientEndpoint if address.version == 4 else TCP6ClientEndpoint
        self._plain = kind(reactor, str(address), port, timeout=CONNECT_TIME)

    def believe(self, trust: Any) -> None:
        """From the next connection on, believe these certificates."""
        self._trust, self._tls = trust, None

    def connect(self, protocolFactory: Any) -> Any:
        """As the interface says."""
        return maybeDeferred(self._wrapped).addCallback(_connecting, protocolFactory).addErrback(self._tell)

    def _wrapped(self) -> Any:
        if self._name is None:
            return self._plain
        if self._tls is None:
            self._tls = optionsForClientTLS(self._name, trustRoot=self._trust)
        return wrapClientTLS(self._tls, self._plain)

    def _tell(self, failure: Failure) -> Failure:
        self._failed(failure)
        return failure


def _connecting(endpoint: Any, factory: Any) -> Any:
    return endpoint.connect(factory)


def words(failure: Failure) -> str:
    """Why there is no connection, in a few words."""
    error = failure.value
    if isinstance(error, VerificationError | CertificateError):
        return "TLS: its certificate is for another name"
    return trouble_of(failure)

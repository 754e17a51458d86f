"""Connections to resolvers by TCP and TLS (RFC 7766, 7858): one for each, for many queries at once.

Answers come in any order, and find their queries by IDs that are this connection's own. By TLS nothing is said before
the certificate was found to be for the resolver's name (RFC 8310), and to have a pinned key where there are pins.

Edge: TCP and TLS connections.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection
from typing import Any

from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import ClientFactory
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.basic import Int16StringReceiver
from twisted.protocols.policies import TimeoutMixin
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from realmgw.config.settings import Resolver
from realmgw.dns.forward.asking import Cancel
from realmgw.system.tls import trouble_of

IDLE_TIME = 10.0  # seconds
"""For so long nothing was asked before we close, or nothing was answered though it should."""
CONNECT_TIME = 2.0  # seconds
"""How long a connection may take to be made, and again so long its handshake."""
MOST_OUTSTANDING = 1000
"""So many queries wait on one connection."""
_EXPIRED, _NOT_YET, _CHAIN = 10, 9, {18, 19}
_UNKNOWN = {2, 20, 21}
"""Reasons of OpenSSL why a certificate is not good (X509_V_ERR_...)."""

Query = tuple[bytes, Callable[[bytes], object], Callable[[str], object]]
"""The message, who gets the answer, and who is told that there is none."""


class Streams:
    """The connections.

    Args:
        reactor: The reactor.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._trust: Any = None
        self._pins: Collection[str] = ()
        self._streams: dict[Resolver, _Stream] = {}

    def configure(self, trust: Any, pins: Collection[str]) -> None:
        """From the next connection on, believe these; those that there are end when they have nothing more to do.

        Args:
            trust: What signs certificates, as Twisted has it.
            pins: SHA-256 of public keys, in base64; none: any.
        """
        self._trust, self._pins = trust, frozenset(pins)
        self.close()

    def ask(
        self, resolver: Resolver, message: bytes, heard: Callable[[bytes], object], failed: Callable[[str], None]
    ) -> Cancel:
        """As `realmgw.dns.forward.asking.Transport.by_stream`."""
        stream = self._streams.get(resolver)
        if stream is None or stream.is_closing:
            stream = self._streams[resolver] = self._connect(resolver)
        return stream.ask((message, heard, failed))

    def close(self) -> None:
        """Closes all connections once they have given the answers that they owe."""
        streams, self._streams = self._streams, {}
        for each in streams.values():
            each.finish()

    def abort(self) -> None:
        """Closes them at once; who waits is told nothing."""
        streams, self._streams = self._streams, {}
        for each in streams.values():
            each.abort()

    def _connect(self, resolver: Resolver) -> _Stream:
        stream = _Stream(self._reactor, resolver, self._pins, self._gone)
        factory: Any = _Factory(stream)
        if resolver.name is not None:
            options = optionsForClientTLS(resolver.name, trustRoot=self._trust)
            factory = TLSMemoryBIOFactory(_Watched(options, stream), True, factory)
        host, port = str(resolver.endpoint.address), resolver.endpoint.port
        stream.connector = self._reactor.connectTCP(host, port, factory, timeout=CONNECT_TIME)
        return stream

    def _gone(self, stream: _Stream) -> None:
        if self._streams.get(stream.resolver) is stream:
            del self._streams[stream.resolver]


class _Factory(ClientFactory):
    noisy = False

    def __init__(self, stream: _Stream) -> None:
        self.stream = stream

    def buildProtocol(self, addr: Any) -> _Stream:
        """The one that this was made for."""
        del addr
        return self.stream

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """There is none."""
        del connector
        self.stream.fail(trouble_of(reason))


@implementer(IOpenSSLClientConnectionCreator)
class _Watched:
    """Makes connections that remember why a certificate was not good; for whom it is, is looked at afterwards."""

    def __init__(self, options: Any, stream: _Stream) -> None:
        self._options, self._stream = options, stream

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """As the interface says."""
        connection: SSL.Connection = self._options.clientConnectionForTLS(tlsProtocol)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        self._stream.tls = connection
        return connection

    def _verify(self, connection: object, certificate: object, error: int, depth: int, good: int) -> bool:
        del connection, certificate
        if not good and not self._stream.trouble:
            self._stream.trouble = _trouble(error, depth)
        return bool(good)


def _trouble(error: int, depth: int) -> str:
    whose = "its certificate" if not depth else "the certificate of who signed its own"
    if error == _EXPIRED:
        return f"{whose} has expired"
    if error == _NOT_YET:
        return f"{whose} is not valid yet"
    if error in _CHAIN:
        return "its certificate is self-signed" if not depth else "its certificate is signed by nobody who is believed"
    if error in _UNKNOWN:
        return "its certificate is signed by nobody who is believed"
    return f"{whose} is not good (OpenSSL's error {error})"


@implementer(IHandshakeListener)
class _Stream(Int16StringReceiver, TimeoutMixin):
    """One connection."""

    MAX_LENGTH = 65535

    def __init__(
        self, reactor: Any, resolver: Resolver, pins: Collection[str], gone: Callable[[_Stream], None]
    ) -> None:
        self.resolver = resolver
        self.trouble = ""
        """What is wrong with the certificate."""
        self.is_closing = False
        self.connector: Any = None
        self.tls: SSL.Connection | None = None
        """The connection as OpenSSL has it."""
        self._reactor = reactor
        self._pins, self._gone = pins, gone
        self._ready = False
        self._queries: dict[int, Query] = {}
        self._unsent: list[int] = []
        self._next_id = 0

    def callLater(self, period: float, func: Callable[[], object]) -> Any:
        """Lets `TimeoutMixin` have the reactor that this was made with."""
        return self._reactor.callLater(period, func)

    def ask(self, query: Query) -> Cancel:
        """Sends a query, as soon as that can be done."""
        if len(self._queries) >= MOST_OUTSTANDING:
            if sum(heard is _drop for _, heard, _ in self._queries.values()) > MOST_OUTSTANDING // 2:
                self.trouble = "no answer in time"  # it leaves out some, and there would be room for none any more
                self._abort()
            raise OSError("too many questions wait for it")
        while self._next_id in self._queries:
            self._next_id = (self._next_id + 1) % 0x10000
        own = self._next_id
        self._next_id = (own + 1) % 0x10000
        self._queries[own] = query
        if self._ready:
            self._send(own)
        else:
            self._unsent.append(own)
        return lambda: self._forget(own, query)

    def _forget(self, own: int, query: Query) -> None:
        """Nobody waits for it any more; what comes nevertheless, is dropped."""
        if self._queries.get(own) is query:
            self._queries[own] = (query[0], _drop, _drop)

    def _send(self, own: int) -> None:
        if len(self._queries) == 1:  # else an answer is owed already, and no query makes a dead connection live longer
            self.setTimeout(IDLE_TIME)
        self.sendString(own.to_bytes(2, "big") + self._queries[own][0][2:])

    def connectionMade(self) -> None:
        """There is a connection; by TLS the handshake comes first."""
        transport: Any = self.transport
        transport.setTcpNoDelay(True)
        if self.resolver.name is None:
            self._begin()
        else:
            self.setTimeout(CONNECT_TIME)

    def handshakeCompleted(self) -> None:
        """The handshake is done: nothing is said before it is known with whom."""
        transport: Any = self.transport
        if transport.disconnecting:
            return
        self.trouble = self._doubts(transport.getPeerCertificate())
        if self.trouble:
            transport.abortConnection()
        else:
            self._begin()

    def _doubts(self, certificate: crypto.X509) -> str:
        """What is wrong with a certificate that is signed by somebody who is believed."""
        assert self.tls is not None
        assert self.resolver.name is not None
        try:
            verify_hostname(self.tls, self.resolver.name)
        except (VerificationError, CertificateError):
            return f"its certificate is not for {self.resolver.name}"
        pinned = not self._pins or _pin(certificate) in self._pins
        return "" if pinned else "its public key is none of those that are pinned"

    def _begin(self) -> None:
        self._ready = True
        unsent, self._unsent = self._unsent, []
        self.setTimeout(IDLE_TIME)
        for own in unsent:
            self._send(own)

    def stringReceived(self, string: bytes) -> None:
        """An answer, to whichever query."""
        query = self._queries.pop(int.from_bytes(string[:2], "big"), None) if len(string) > 2 else None
        if query is None:
            self.trouble = self.trouble or "an answer to nothing that was asked"
            self._abort()
            return
        self.setTimeout(IDLE_TIME)
        query[1](query[0][:2] + string[2:])
        if self.is_closing and not self._queries:
            self._close()

    def timeoutConnection(self) -> None:
        """Nothing was asked for long, or nothing answered."""
        if self._queries or not self._ready:
            self.trouble = self.trouble or "no answer in time"
            self._abort()
        else:
            self._close()

    def _abort(self) -> None:
        transport: Any = self.transport
        self.is_closing = True
        if transport is not None:
            transport.abortConnection()

    def _close(self) -> None:
        self.is_closing = True
        self._gone(self)
        transport: Any = self.transport
        transport.loseConnection()

    def finish(self) -> None:
        """No further query is sent here."""
        self.is_closing = True
        if not self._queries and self._ready:
            self._close()

    def abort(self) -> None:
        """Closes at once, and tells nobody."""
        self._queries.clear()
        self.is_closing = True
        if self.connector is not None:
            self.connector.disconnect()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted's has no types
        """The connection is gone; who waits asks somebody else, or again."""
        self.setTimeout(None)
        self.fail(self.trouble or trouble_of(reason))

    def fail(self, why: str) -> None:
        """There will be no answers."""
        self.is_closing = True
        self._gone(self)
        queries, self._queries = self._queries, {}
        for _, _, failed in queries.values():
            failed(why)


def _pin(certificate: crypto.X509) -> str:
    """SHA-256 of a certificate's public key in base64 (RFC 7858 section 4.2)."""
    key = crypto.dump_publickey(crypto.FILETYPE_ASN1, certificate.get_pubkey())
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def _drop(_: object) -> None:
    """Is interested in nothing."""

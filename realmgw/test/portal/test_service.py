"""Tests for `realmgw.portal.service`: sockets, and the certificate."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from realmgw.config.addresses import endpoint
from realmgw.config.settings import Interfaces, Pools, Portal, PortalTls, Settings
from realmgw.config.steps import Blocking
from realmgw.errors import PlatformError
from realmgw.portal.port import OF_ONE
from realmgw.portal.service import PortalService
from realmgw.test.subscribers.authority import Authority


def settings(portal: Portal | None) -> Settings:
    """A gateway's."""
    return Settings("gw.example.org.", (), Interfaces("wan0", ("lan0",)), Pools(()), portal=portal)


def at_once(blocking: Blocking) -> Deferred[Any]:
    """Nothing blocks here."""
    return maybeDeferred(blocking.call)


def service_of(portal: Portal | None) -> PortalService:
    """A portal to which nobody is known."""
    return PortalService(settings(portal), lambda _: None, reactor, at_once)


class WithoutTests(SynchronousTestCase):
    """A gateway that has none."""

    def test_nothing_happens(self) -> None:
        """It starts, is told things, counts nothing, and stops."""
        service = service_of(None)
        self.successResultOf(service.startService())
        service.configure(settings(None))
        service.dismiss({bytes(4)})
        self.assertEqual(service.counts(), {})
        self.successResultOf(service.stopService())


class ServiceTests(TestCase):
    """Over loopback."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority(self.folder)

    @inlineCallbacks
    def start(self, portal: Portal) -> Any:
        """A portal that is stopped at the end."""
        service = service_of(portal)
        yield service.startService()
        self.addCleanup(service.stopService)
        return service

    @inlineCallbacks
    def free(self) -> Any:
        """A port that nobody has."""
        port = yield TCP4ServerEndpoint(cast(Any, reactor), 0, interface="127.0.0.1").listen(Factory())
        number = port.getHost().port
        yield port.stopListening()
        return number

    def tls(self, name: str, number: int) -> PortalTls:
        """With a certificate for that name."""
        return PortalTls((endpoint(f"127.0.0.1:{number}"),), name, *self.authority.issue(name))

    def ask(self, number: int) -> Any:
        """Fires with whose certificate is shown at a port, and with the first words that are said there."""

        def asking() -> tuple[str, bytes]:
            context = ssl.create_default_context(cafile=str(self.authority.path))
            context.check_hostname = False
            with socket.create_connection(("127.0.0.1", number), 5) as plain, context.wrap_socket(plain) as secure:
                secure.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                shown: Any = secure.getpeercert()
                return shown["subjectAltName"][0][1], secure.recv(15)

        return deferToThread(asking)

    @inlineCallbacks
    def test_the_certificate_is_read_anew(self) -> Any:
        """When a reload says so; one that can not be used changes nothing."""
        plain, secure = (yield self.free()), (yield self.free())
        portal = Portal((endpoint(f"127.0.0.1:{plain}"),), tls=self.tls("one.example.org", secure))
        service = yield self.start(portal)
        self.assertEqual((yield self.ask(secure)), ("one.example.org", b"HTTP/1.1 200 OK"))
        portal = attrs.evolve(portal, tls=self.tls("two.example.org", secure))
        service.configure(settings(portal))
        self.assertEqual((yield self.ask(secure))[0], "two.example.org")
        assert portal.tls is not None
        Path(portal.tls.key_file).write_text("nonsense")
        service.configure(settings(portal))
        self.assertEqual((yield self.ask(secure))[0], "two.example.org")

    @inlineCallbacks
    def test_what_can_not_be_had_is_told(self) -> Any:
        """And nothing listens then."""
        number = yield self.free()
        one = yield self.start(Portal((endpoint(f"127.0.0.1:{number}"),)))
        del one
        other = yield self.free()
        taken = service_of(Portal((endpoint(f"127.0.0.1:{other}"), endpoint(f"127.0.0.1:{number}"))))
        error = yield self.assertFailure(taken.startService(), PlatformError)
        self.assertIn(f"the portal can not listen on TCP 127.0.0.1 port {number}: another program has it", str(error))
        yield self.start(Portal((endpoint(f"127.0.0.1:{other}"),)))
        bad = Portal(
            (endpoint(f"127.0.0.1:{yield self.free()}"),), tls=self.tls("one.example.org", (yield self.free()))
        )
        assert bad.tls is not None
        Path(bad.tls.certificate_file).write_text("nonsense")
        error = yield self.assertFailure(service_of(bad).startService(), PlatformError)
        self.assertIn("can not be used for TLS", str(error))

    @inlineCallbacks
    def test_who_has_enough_connections_by_tls_gets_no_further_one(self) -> Any:
        """It ends at once, before the handshake, and leaves neither a socket nor a line in the log."""
        secure = yield self.free()
        service = yield self.start(
            Portal((endpoint(f"127.0.0.1:{yield self.free()}"),), tls=self.tls("one.example.org", secure))
        )

        def connecting() -> tuple[list[socket.socket], bytes]:
            sockets = [socket.create_connection(("127.0.0.1", secure), 5) for _ in range(OF_ONE)]
            with socket.create_connection(("127.0.0.1", secure), 5) as one_more:
                try:
                    return sockets, one_more.recv(1)
                except ConnectionResetError:
                    return sockets, b""

        sockets, said = yield deferToThread(connecting)
        counts = service.counts()
        for each in sockets:
            each.close()
        self.assertEqual(said, b"")
        self.assertEqual((counts["crowded"], counts["open"], counts["connections"]), (1, OF_ONE, OF_ONE + 1))
        self.assertEqual(self.flushLoggedErrors(), [])

    @inlineCallbacks
    def test_a_stop_is_not_overtaken_by_a_start(self) -> Any:
        """Whose certificate is read meanwhile: nothing listens afterwards."""
        numbers = (yield self.free()), (yield self.free())
        portal = Portal((endpoint(f"127.0.0.1:{numbers[0]}"),), tls=self.tls("one.example.org", numbers[1]))
        read: Deferred[Any] = Deferred()
        service = PortalService(settings(portal), lambda _: None, reactor, lambda blocking: read)
        starting = service.startService()
        yield service.stopService()
        read.callback(None)
        yield starting
        yield self.start(portal)

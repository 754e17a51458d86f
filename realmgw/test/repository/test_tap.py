"""Tests for `realmgw.repository.tap`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn, cast

from twisted.application.service import IService, IServiceMaker
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import CannotListenError
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, readBody
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from realmgw.errors import PlatformError
from realmgw.repository.tap import Options, RepositoryServer, compose, make_service, where
from realmgw.test.subscribers.authority import Authority


@implementer(IAgentEndpointFactory)
class _ToSocket:
    """Leads every URL to a unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def endpointForURI(self, uri: object) -> UNIXClientEndpoint:
        """The socket."""
        del uri
        return UNIXClientEndpoint(cast(Any, reactor), str(self._path))


class OptionsTests(SynchronousTestCase):
    """Command lines."""

    def setUp(self) -> None:
        """A token, and a certificate."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.token = self.folder / "token"
        self.token.write_text("0123456789abcdef\n")
        self.certificate, self.key = Authority(self.folder).issue("localhost")

    def make(self, *arguments: object) -> IService:
        """The service of a command line."""
        options = Options()
        options.parseOptions([str(each) for each in ("--database", self.folder / "db", *arguments)])
        return make_service(options)

    def assert_refused(self, message: str, *arguments: object) -> None:
        """The command line is refused, and the message says so."""
        self.assertIn(message, str(self.assertRaises(UsageError, self.make, *arguments)))

    def test_twistd_finds_it(self) -> None:
        """By its plugin."""
        self.assertIn("realmgw-repository", [plugin.tapname for plugin in getPlugins(IServiceMaker)])

    def test_a_socket_needs_nothing_else(self) -> None:
        """Nothing is opened yet."""
        self.assertIsInstance(self.make(), RepositoryServer)
        self.assertFalse((self.folder / "db").exists())

    def test_an_address_needs_a_token(self) -> None:
        """And TLS, where others can listen."""
        self.assert_refused("write --token", "--listen", "127.0.0.1")
        self.assert_refused("write --certificate", "--listen", "192.0.2.1", "--token", self.token)
        tls = ("--certificate", self.certificate, "--key", self.key)
        self.make("--listen", "127.0.0.1", "--token", self.token)
        self.make("--listen", "[::1]:8083", "--token", self.token)
        self.make("--listen", "192.0.2.1:443", "--token", self.token, *tls)
        self.assert_refused("belong together", "--key", self.key)
        self.assert_refused("needs no TLS", *tls)

    def test_files_that_can_not_be_used_are_refused(self) -> None:
        """With their names."""
        self.assert_refused("no-token", "--token", self.folder / "no-token")
        both = ("--listen", "192.0.2.1", "--token", self.token, "--certificate")
        self.assert_refused("can not be used for TLS", *both, self.token, "--key", self.key)
        other = Authority(self.folder).issue("other.example.org")[1]
        self.assert_refused("can not be used for TLS", *both, self.certificate, "--key", other)

    def test_a_place_is_a_path_or_an_address(self) -> None:
        """A name is neither."""
        self.assertEqual(where("./sock"), Path("sock"))
        self.assert_refused("is no address", "--listen", "localhost")


class ServerTests(TestCase):
    """The whole server on a unix socket."""

    def make(self) -> RepositoryServer:
        """The server, and its socket."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.socket = self.folder / "sock"
        options = Options()
        options.parseOptions(["--database", str(self.folder / "db"), "--listen", f"./{self.socket}"])
        return compose(options, cast(Any, reactor))

    @inlineCallbacks
    def test_serves_on_a_socket_for_user_and_group(self) -> Any:
        """Until it is stopped."""
        server = self.make()
        yield server.startService()
        self.assertEqual(self.socket.stat().st_mode & 0o777, 0o660)
        agent = Agent.usingEndpointFactory(cast(Any, reactor), _ToSocket(self.socket))
        response = yield agent.request(b"GET", b"http://repository/v1/policies")
        self.assertIn(b'"items":[]', (yield readBody(response)))
        yield server.stopService()
        self.assertFalse(self.socket.exists())

    @inlineCallbacks
    def test_tells_why_it_can_not_start(self) -> Any:
        """A port that is taken, or a database that is none."""
        server = self.make()
        failures: list[Failure] = []

        def taken() -> NoReturn:
            raise CannotListenError(None, "sock", OSError("in use"))

        broken = RepositoryServer(server.documents, taken, failures.append)
        yield broken.startService()
        yield broken.stopService()
        (self.folder / "db").write_text("this is no database, but a text that is long enough to be one" * 20)
        yield broken.startService()
        yield broken.stopService()
        self.assertEqual([failure.type for failure in failures], [PlatformError, PlatformError])
        self.assertIn("nothing can listen there", failures[0].getErrorMessage())
        self.assertIn("can not be used as the database", failures[1].getErrorMessage())

"""Tests for `realmgw.repository.tap`."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, NoReturn, cast

from twisted.application.service import IService, IServiceMaker, Service
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.logger import capturedLogs, formatEvent
from twisted.plugin import getPlugins
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, readBody
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from realmgw.daemon.ordered import OrderedService
from realmgw.daemon.service import ProcessService
from realmgw.errors import PlatformError
from realmgw.log.service import LogService
from realmgw.repository.service import StoreService
from realmgw.repository.tap import Options, PortService, compose, make_service, where
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
        """The command line is refused, and the message says so, in a line and with status 1."""
        with self.assertRaises(SystemExit) as caught:
            self.make(*arguments)
        self.assertIn(message, str(caught.exception))

    def test_twistd_finds_it(self) -> None:
        """By its plugin."""
        self.assertIn("realmgw-repository", [plugin.tapname for plugin in getPlugins(IServiceMaker)])

    def test_a_socket_needs_nothing_else(self) -> None:
        """Nothing is opened yet."""
        self.assertIsInstance(self.make(), OrderedService)
        self.assertFalse((self.folder / "db").exists())

    def test_what_the_log_holds_back_is_told_in_time(self) -> None:
        """As in each of our processes: a service of it ends what was held back."""
        made = cast(OrderedService, self.make())
        self.assertIn(LogService, map(type, made.services))

    def test_a_token_that_everybody_may_read_is_told(self) -> None:
        """With what to do; one that only its group may read is not."""
        for mode, told in ((0o644, [f"{self.token} can be read by everybody on this machine: chmod 640 {self.token}"]),
                           (0o640, [])):  # fmt: skip
            self.token.chmod(mode)
            with capturedLogs() as events:
                self.make("--token", self.token)
            self.assertEqual([formatEvent(event) for event in events], told)

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

    def test_metrics_need_somebody_who_may_ask(self) -> None:
        """By default that is this machine, which comes from its loopback addresses."""
        for good in ("127.0.0.1", "[::1]:9000", "/run/m.sock"):
            self.make("--metrics", good)
        self.make("--metrics", "192.0.2.1", "--metrics-clients", "192.0.2.0/24")
        self.assert_refused("--metrics 192.0.2.1: nobody may ask there", "--metrics", "192.0.2.1")
        clients = ("--metrics-clients", "2001:db8::/32")
        self.assert_refused("nobody may ask there", "--metrics", "192.0.2.1", *clients)
        self.assert_refused("are those who come to an address", "--metrics", "/run/m.sock", *clients)

    def test_a_place_is_a_path_or_an_address(self) -> None:
        """A name is neither."""
        self.assertEqual(where("./sock"), Path("sock"))
        self.assert_refused("is no address", "--listen", "localhost")


class RecordingProcess(ProcessService):
    """A process that goes on.

    Attributes:
        told: What became of the start.
    """

    def __init__(self, options: Options) -> None:
        """Nothing has."""
        super().__init__("the repository", options, reactor)
        self.told: list[str] = []

    def startService(self) -> None:
        """It is trial's."""
        Service.startService(self)

    def serves(self) -> None:
        """Notes it."""
        self.told.append("serves")

    def fail(self, failure: Failure) -> None:
        """Notes it; it is one that an operator is told of in a line."""
        failure.trap(PlatformError)
        self.told.append(failure.getErrorMessage())


class ServerTests(TestCase):
    """The whole server on a unix socket."""

    def make(self) -> OrderedService:
        """The server, and its socket."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.socket = self.folder / "sock"
        options = Options()
        options.parseOptions(["--database", str(self.folder / "db"), "--listen", f"./{self.socket}"])
        return self.composed(options)

    def composed(self, options: Options) -> OrderedService:
        """The server of a command line, in a process that notes what becomes of it."""
        self.process = RecordingProcess(options)
        return compose(options, cast(Any, reactor), self.process)

    @inlineCallbacks
    def test_serves_on_a_socket_for_user_and_group(self) -> Any:
        """Until it is stopped."""
        server = self.make()
        yield server.startService()
        self.assertEqual(self.socket.stat().st_mode & 0o777, 0o660)
        agent = Agent.usingEndpointFactory(cast(Any, reactor), _ToSocket(self.socket))
        response = yield agent.request(b"GET", b"http://repository/v1/policies")
        self.assertIn(b'"items":[]', (yield readBody(response)))
        self.assertEqual(self.process.told, ["serves"])
        yield server.stopService()
        self.assertFalse(self.socket.exists())
        self.assertFalse(self.process.running)

    @inlineCallbacks
    def test_makes_its_folders(self) -> Any:
        """The database's for itself alone, the socket's for the group as well; whatever the umask is."""
        former = os.umask(0o077)
        self.addCleanup(os.umask, former)
        folder = Path(tempfile.mkdtemp(prefix="realmgw-"))
        self.addCleanup(shutil.rmtree, folder)
        database, place = folder / "lib" / "realmgw" / "db", folder / "run" / "realmgw" / "sock"
        options = Options()
        options.parseOptions(["--database", str(database), "--listen", str(place)])
        server = self.composed(options)
        yield server.startService()
        modes = [path.stat().st_mode & 0o777 for path in (database.parent, database, place.parent, place)]
        self.assertEqual([oct(mode) for mode in modes], ["0o700", "0o600", "0o750", "0o660"])
        yield server.stopService()

    @inlineCallbacks
    def test_takes_over_what_a_killed_one_has_left(self) -> Any:
        """A socket, and files that tell of a process: its number may be ours now, in a container."""
        server = self.make()
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.socket))
        for path in (self.socket, self.folder / "db"):
            path.with_name(f"{path.name}.held").write_text(f"{os.getpid()}\n")
            path.with_name(f"{path.name}.lock").symlink_to(str(os.getpid()))
        yield server.startService()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.socket))  # nobody listens at what was left
        yield server.stopService()

    @inlineCallbacks
    def test_a_second_one_is_refused(self) -> Any:
        """With the same database, or at the same socket; the first one goes on."""
        server = self.make()
        yield server.startService()
        for database, place, what in (("db", "other", "the database"), ("other", "sock", "the socket")):
            options = Options()
            options.parseOptions(["--database", str(self.folder / database), "--listen", f"./{self.folder / place}"])
            second = self.composed(options)
            yield second.startService()
            [told] = self.process.told
            self.assertIn(f"{what} {self.folder}", told)
            self.assertIn("is in use by", told)
            yield second.stopService()
        self.assertTrue(self.socket.exists())
        yield server.stopService()

    @inlineCallbacks
    def test_tells_why_it_can_not_start(self) -> Any:
        """A port that is taken, or a database that is none."""
        self.make()
        self.process = RecordingProcess(Options())

        def taken() -> NoReturn:
            raise PlatformError("another program has it")

        documents = StoreService(self.folder / "db", cast(Any, reactor))
        broken = OrderedService(self.process.serves, self.process.fail)
        for part in (self.process, documents, PortService(documents, taken, "nowhere")):
            part.setServiceParent(broken)
        yield broken.startService()
        yield broken.stopService()
        (self.folder / "db").write_text("this is no database, but a text that is long enough to be one" * 20)
        yield broken.startService()
        yield broken.stopService()
        self.assertIn("another program has it", self.process.told[0])
        self.assertIn("can not be used as the database", self.process.told[1])

"""Tests for `realmgw.synnode.tap` and the `realmgw-synproxy` command."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Generator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from twisted.application.service import IService, IServiceMaker
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.threads import deferToThread
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase, TestCase

from realmgw.daemon.ordered import OrderedService
from realmgw.synnode.command import command_line
from realmgw.synnode.entries import Entries
from realmgw.synnode.server import ControlServer
from realmgw.synnode.service import PortsService
from realmgw.synnode.tap import Options, make_service
from realmgw.synproxy.codec import encode
from realmgw.system.endpoints import Endpoint
from realmgw.system.port import Sockets
from realmgw.system.tls import tls_options
from realmgw.test.subscribers.authority import Authority
from realmgw.test.synnode.keys import HOST6, delete, key, mod
from realmgw.test.synnode.test_files import LEAST

LOADED = "import sys, realmgw.synnode.tap, realmgw.synnode.command; print(*sys.modules)"
FOREIGN = ("allocation", "admission", "dns", "control", "tap")
"""Rooms of the gateway that the node's process must not need."""


class TapTests(SynchronousTestCase):
    """How a node is made."""

    def setUp(self) -> None:
        """A main file."""
        self.path = Path(self.mktemp())
        self.path.write_text(f"{LEAST}control: {{socket: sock}}\n")

    def make(self) -> IService:
        """The service of the main file."""
        options = Options()
        options.parseOptions(["--config", str(self.path)])
        return make_service(options)

    def test_twistd_finds_it(self) -> None:
        """By its plugin."""
        self.assertIn("realmgw-synproxy", [plugin.tapname for plugin in getPlugins(IServiceMaker)])

    def test_who_listens_starts_last(self) -> None:
        """Nobody says anything before the kernel's table stands; nothing is touched yet."""
        node = self.make()
        assert isinstance(node, OrderedService)
        names = [each.name for each in node.services]
        self.assertEqual(names, ["process", "log", "instance", "control", "table", "ports", "metrics"])
        self.assertFalse(self.path.with_name("sock").exists())

    def test_what_can_not_be_used_is_told(self) -> None:
        """Every problem in a line, and a certificate that is not there."""
        for text, told in (
            ("outside: []\n", "the key 'guarded' is missing"),
            (f"{LEAST}tls: {{certificate_file: none, key_file: none}}\n", "can not be used for TLS: No such file"),
        ):
            self.path.write_text(text)
            with self.assertRaises(SystemExit) as caught:
                self.make()
            self.assertIn("the SYN proxy node can not start: ", str(caught.exception))
            self.assertIn(told, str(caught.exception))

    def test_its_process_does_not_need_the_gateways_parts(self) -> None:
        """It runs on another machine, and is as small as what it does."""
        loaded = subprocess.run(
            [sys.executable, "-c", LOADED], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
        ).stdout.split()
        self.assertIn("realmgw.synnode.kernel", loaded)
        self.assertEqual([each for each in loaded for room in FOREIGN if f"{each}.".startswith(f"realmgw.{room}.")], [])


class TlsTests(TestCase):
    """The control protocol by TLS."""

    @inlineCallbacks
    def test_gateways_are_served_by_tls_and_not_in_the_clear(self) -> Generator[Deferred[Any], Any, None]:
        """With a certificate that they can check."""
        folder = Path(self.mktemp())
        folder.mkdir()
        authority = Authority(folder)
        options = tls_options(*authority.issue("localhost"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            endpoint = Endpoint(ip_address("127.0.0.1"), free.getsockname()[1])
        server = ControlServer(Entries(10), bool, lambda _: True, 2, reactor)
        sockets = Sockets(reactor, "the control protocol", certificate=options)
        ports = PortsService((endpoint,), sockets, server)
        yield ports.startService()
        self.addCleanup(ports.stopService)
        context = ssl.create_default_context(cafile=str(authority.path))
        answer = yield deferToThread(_asked, endpoint.port, context)
        self.assertEqual(answer, b"1\n0\n")
        self.assertEqual((yield deferToThread(_asked, endpoint.port, None))[:2] in (b"1\n", b"0\n"), False)


def _asked(port: int, context: ssl.SSLContext | None) -> bytes:
    """What is answered to two requests, until it is enough, or the connection is closed."""
    answer = b""
    with contextlib.ExitStack() as stack:
        connection: Any = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20.0))
        if context is not None:
            connection = stack.enter_context(context.wrap_socket(connection, server_hostname="localhost"))
        connection.sendall(encode(mod(key())) + encode(delete(key(HOST6))))
        while len(answer) < 4 and (more := connection.recv(100)):
            answer += more
    return answer


class CommandTests(SynchronousTestCase):
    """The command, where no node runs."""

    def setUp(self) -> None:
        """A main file of a machine that there is not."""
        self.path = Path(self.mktemp())
        self.path.write_text(f"{LEAST}control: {{socket: sock}}\n")

    def run_it(self, *arguments: str) -> Result:
        """What becomes of a command line."""
        return CliRunner().invoke(command_line, ["--config", str(self.path), *arguments])

    def test_asks_a_node_and_finds_none(self) -> None:
        """With what to do, and a status of its own."""
        for word in ("status", "counters", "entries"):
            result = self.run_it(word)
            self.assertEqual(result.exit_code, 3)
            self.assertIn("no node runs: nobody answers at", result.output)

    def test_a_main_file_that_can_not_be_used_is_told(self) -> None:
        """By every command."""
        self.path.write_text("outside: [wan0]\n")
        for word in ("check", "status", "purge"):
            result = self.run_it(word)
            self.assertEqual(result.exit_code, 1)
            self.assertIn(":1:1: the key 'guarded' is missing", result.output)

    def test_check_says_what_the_machine_lacks(self) -> None:
        """An interface, for example; in JSON wherever that is asked for, as in `realmgw`."""
        for words in (("--json", "check"), ("check", "--json")):
            result = self.run_it(*words)
            self.assertEqual(result.exit_code, 1, result.output)
            self.assertIn("outside: there is no interface wan0 (there are ", json.loads(result.output)["problems"][-1])

    def test_the_main_file_that_is_named_last_counts(self) -> None:
        """It may be named behind the command, too."""
        result = self.run_it("check", "-c", "none.yaml")
        self.assertIn("none.yaml:1:1: there is no such file", result.output)

"""Tests for `realmgw.dashboard.service`: sockets, the token's file, and the certificate."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from realmgw.config.addresses import endpoint
from realmgw.config.settings import Dashboard, DashboardTls, Interfaces, Pools, Settings
from realmgw.config.steps import Blocking
from realmgw.dashboard.access import COOKIE
from realmgw.dashboard.service import DashboardService
from realmgw.errors import PlatformError
from realmgw.test.dashboard.looking import TOKEN, RecordingCommands
from realmgw.test.subscribers.authority import Authority


def settings(dashboard: Dashboard | None) -> Settings:
    """A gateway's."""
    return Settings("gw.example.org.", (), Interfaces("wan0", ("lan0",)), Pools(()), dashboard=dashboard)


def at_once(blocking: Blocking) -> Deferred[Any]:
    """Nothing blocks here."""
    return maybeDeferred(blocking.call)


def service_of(dashboard: Dashboard | None) -> DashboardService:
    """A dashboard with commands that answer."""
    clock: Any = reactor
    service = DashboardService(settings(dashboard), reactor, at_once, clock.seconds, clock.seconds)
    service.look_into(RecordingCommands().do)
    return service


class WithoutTests(SynchronousTestCase):
    """A gateway that has none."""

    def test_nothing_happens(self) -> None:
        """It starts, is told of settings, counts nothing, and stops."""
        service = service_of(None)
        self.successResultOf(service.startService())
        service.configure(settings(None))
        self.assertEqual(service.counts(), {})
        self.successResultOf(service.stopService())


class ServiceTests(TestCase):
    """Over loopback."""

    def setUp(self) -> None:
        """A token."""
        self.folder = Path(tempfile.mkdtemp(prefix="realmgw-"))  # a socket's path is short
        self.addCleanup(shutil.rmtree, self.folder)
        self.token = self.folder / "token"
        self.write(TOKEN)
        self.cookie = ""

    def write(self, token: str) -> None:
        """Into the token's file."""
        self.token.write_text(f"{token}\n")
        self.token.chmod(0o600)

    async def start(self, dashboard: Dashboard) -> DashboardService:
        """One that is stopped at the end."""
        service = service_of(dashboard)
        await maybeDeferred(service.startService)
        self.addCleanup(service.stopService)
        return service

    async def refusal(self, service: DashboardService) -> str:
        """Why one does not start."""
        starting: Deferred[Any] = maybeDeferred(service.startService)
        return str(await self.assertFailure(starting, PlatformError))

    def free(self) -> int:
        """A port that nobody has."""
        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            return int(trial.getsockname()[1])

    def ask(self, method: str, path: str, token: str = "", *, port: int = 0, secure: Any = None) -> Deferred[int]:
        """The status of what is asked for, by the unix socket or at a port; the cookie is kept."""

        def asking() -> int:
            connection = http.client.HTTPConnection("localhost")
            if port:
                plain = socket.create_connection(("127.0.0.1", port), 5)
                connection.sock = (
                    plain if secure is None else secure.wrap_socket(plain, server_hostname="gw.example.org")
                )
            else:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(str(self.folder / "dashboard.sock"))
            fields = {"Origin": "http://localhost", "Authorization": f"Bearer {token}", "Cookie": self.cookie}
            connection.request(method, path, headers=fields)
            answer = connection.getresponse()
            answer.read()
            self.cookie = (answer.getheader("Set-Cookie") or self.cookie).partition(";")[0]
            self.said = answer.getheader("Set-Cookie") or ""
            connection.close()
            return answer.status

        return deferToThread(asking)

    async def test_at_a_unix_socket_its_permissions_say_who_may(self) -> None:
        """Which are those of the control socket."""
        path = self.folder / "dashboard.sock"
        service = await self.start(Dashboard((path,)))
        self.assertEqual(path.stat().st_mode & 0o777, 0o660)
        self.assertEqual(await self.ask("GET", "/v1/plan"), 200)
        self.assertEqual(await self.ask("POST", "/v1/reload"), 200)
        service.configure(settings(Dashboard((path,), actions=False)))
        self.assertEqual(await self.ask("POST", "/v1/reload"), 403)
        await service.stopService()
        self.assertFalse(path.exists())

    async def test_another_token_is_in_force_with_a_reload(self) -> None:
        """And whoever had shown the former one has to show it; a file that can not be used changes nothing."""
        port = self.free()
        dashboard = Dashboard((endpoint(f"127.0.0.1:{port}"),), self.token)
        service = await self.start(dashboard)
        self.assertEqual(await self.ask("GET", "/v1/plan", port=port), 401)
        self.assertEqual(await self.ask("POST", "/session", TOKEN, port=port), 200)
        self.assertTrue(self.cookie.startswith(f"{COOKIE}="))
        self.assertEqual(await self.ask("GET", "/v1/plan", port=port), 200)
        self.write("short")
        with capturedLogs() as logged:
            service.configure(settings(dashboard))
        self.assertIn("holds no token", logged[0]["why"])
        self.assertEqual(await self.ask("GET", "/v1/plan", port=port), 200)
        self.write("another-token-of-some-length")
        service.configure(settings(dashboard))
        self.assertEqual(await self.ask("GET", "/v1/plan", port=port), 401)

    async def test_by_tls_cookies_are_for_tls(self) -> None:
        """With the certificate that is written."""
        authority, port = Authority(self.folder), self.free()
        tls = DashboardTls("gw.example.org.", *authority.issue("gw.example.org"))
        await self.start(Dashboard((endpoint(f"127.0.0.1:{port}"),), self.token, tls))
        secure = ssl.create_default_context(cafile=str(authority.path))
        self.assertEqual(await self.ask("POST", "/session", TOKEN, port=port, secure=secure), 200)
        self.assertTrue(self.said.endswith("; Secure"))
        self.assertEqual(await self.ask("GET", "/v1/plan", port=port, secure=secure), 200)

    async def test_what_can_not_be_had_is_told(self) -> None:
        """And nothing of it stays."""
        port, path = self.free(), self.folder / "dashboard.sock"
        places = (path, endpoint(f"127.0.0.1:{port}"))
        with socket.socket() as other:
            other.bind(("127.0.0.1", port))
            other.listen()
            service = service_of(Dashboard(places, self.token))
            said = await self.refusal(service)
        self.assertIn(f"the dashboard can not listen on TCP 127.0.0.1 port {port}: another program", said)
        self.assertFalse(path.exists())
        self.token.chmod(0o604)
        service = service_of(Dashboard(places, self.token))
        said = await self.refusal(service)
        self.assertIn(f"everybody on this machine may read {self.token}: chmod o= {self.token}", said)

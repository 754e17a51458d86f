"""The dashboard's requests: the page, sessions, what goes on, and commands. Edge: HTTP, the log."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's web server, and its failures, have no types.)

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.limits import DASHBOARD_CONNECTIONS
from realmgw.control.callers import described
from realmgw.control.commands import COMMANDS, Command, CommandError, ExitStatus, ForbiddenError, problem, spelled
from realmgw.dashboard.access import COOKIE, Access, is_own
from realmgw.dashboard.feeds import Do
from realmgw.dashboard.live import Live
from realmgw.dashboard.pages import POLICY, pages
from realmgw.dashboard.readers import Reader
from realmgw.errors import RealmGatewayError
from realmgw.system.http import ShortFactory, ShortRequest

LIVE, SESSION, COMMAND = "/live", "/session", "/v1/"
"""Paths beside the page's: what goes on, sessions, and what all commands begin with."""
OFFERED = frozenset(
    (
        "explain/flow", "explain/packet", "flows/list", "plan", "subscribers/show", "reputation/show",
        "reload", "reputation/set", "flows/kill",
    )
)  # fmt: skip
"""The commands that the page uses; of others nothing is known here."""
OF_ONE = 24
"""So many connections one client may have at once: a browser makes several."""
MOST_PARAMETERS = 16

_FIELDS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
_log = Logger()


class DashboardFactory(ShortFactory):
    """Makes connections of operators' browsers, as many as there may be.

    Args:
        reactor: Twisted's.
        do: Does commands.
        access: Knows who may.
        live: What open pages are told.
        monotonic: The present, in seconds.

    Attributes:
        access: The same.
        live: The same.
        is_changing: Whether anything may be changed by it.
        refused: Requests that were not done: by strangers, for others, from others' pages, or for what there is not.
        commands: Commands that were asked for.
        changes: Those of them that change something.
    """

    def __init__(self, reactor: Any, do: Do, access: Access, live: Live, monotonic: Callable[[], float]) -> None:
        super().__init__(reactor, DASHBOARD_CONNECTIONS, OF_ONE)
        self.access = access
        self.live = live
        self.is_changing = True
        self.refused = self.commands = self.changes = 0
        self._do = do
        self._monotonic = monotonic
        self._pages = pages()

    def asked(self, request: ShortRequest) -> None:
        path, method = request.path.decode("latin-1"), request.method.decode("latin-1")
        if not self.access.is_ours(request.field("Host")):
            return self._refuse(request, HTTPStatus.MISDIRECTED_REQUEST, "this is not known by that name here")
        page = self._pages.get(path)
        if page is not None:
            return self._page(request, method, page.kind, page.body)
        if request.field("Sec-Fetch-Site") not in ("", "same-origin"):
            return self._refuse(request, HTTPStatus.FORBIDDEN, "only the dashboard's own page may ask for this")
        if path == SESSION:
            return self._session(request, method)
        if not self.access.may(request.field("Cookie"), now=self._monotonic()):
            return self._refuse(request, HTTPStatus.UNAUTHORIZED, "show the token first")
        if path == LIVE and method == "GET":
            return self._begin(request)
        if path.startswith(COMMAND):
            return self._command(request, method, path.removeprefix(COMMAND))
        return self._refuse(request, HTTPStatus.NOT_FOUND, "there is no such thing")

    def disconnect(self) -> None:
        self.live.stop()
        super().disconnect()

    def counts(self) -> dict[str, int]:
        own = {name: getattr(self, name) for name in ("refused", "commands", "changes")}
        access = {"entered": self.access.entered, "denied": self.access.denied}
        return {**super().counts(), **own, **access, **self.live.counts()}

    def _page(self, request: ShortRequest, method: str, kind: str, body: bytes) -> None:
        if method not in ("GET", "HEAD"):
            return self._refuse(request, HTTPStatus.METHOD_NOT_ALLOWED, "this can only be read", ("Allow", "GET, HEAD"))
        return request.reply(HTTPStatus.OK, (("Content-Type", kind), *_FIELDS), body)

    def _session(self, request: ShortRequest, method: str) -> None:
        """Whether he has one; begin one; end it."""
        cookies, secure = request.field("Cookie"), "; Secure" if request.isSecure() else ""
        if method == "GET":
            may = self.access.may(cookies, now=self._monotonic())
            has = self.access.token is not None
            return _say(request, HTTPStatus.OK, {"may": may, "token": has, "actions": self.is_changing})
        if not is_own(request.field("Host"), request.field("Origin"), request.field("Sec-Fetch-Site")):
            return self._refuse(request, HTTPStatus.FORBIDDEN, "only the dashboard's own page may ask for this")
        if method == "DELETE":
            self.access.leave(cookies)
            return _say(request, HTTPStatus.OK, {}, _cookie("", f"; Max-Age=0{secure}"))
        key = self.access.enter(request.field("Authorization"), now=self._monotonic()) if method == "POST" else None
        if key is None:
            _log.info("dashboard: somebody at {who} has shown no valid token", who=self._who(request))
            return self._refuse(request, HTTPStatus.UNAUTHORIZED, "that is not the token")
        return _say(request, HTTPStatus.OK, {}, _cookie(key, secure))

    def _begin(self, request: ShortRequest) -> None:
        cookies = request.field("Cookie")
        reader = Reader(request, lambda: self.access.may(cookies, now=self._monotonic()), self.live.remove)
        reader.begin(_FIELDS)
        self.live.add(reader)

    def _command(self, request: ShortRequest, method: str, path: str) -> None:
        self.commands += 1
        done = maybeDeferred(self._done, request, method, path)
        done.addCallback(lambda value: _say(request, HTTPStatus.OK, value))
        done.addErrback(self._failed, request)

    def _done(self, request: ShortRequest, method: str, path: str) -> Any:
        command = COMMANDS.get(path) if path in OFFERED else None
        if command is None:
            raise CommandError(ExitStatus.NOT_FOUND, f"{path[:100]!r} can not be done here")
        given = _given(request)
        if not command.changes:
            if method != "GET":
                raise CommandError(ExitStatus.USAGE, f"{path} only tells: use GET")
            return self._do(path, given)
        self._refuse_change(request, method, command)
        self.changes += 1
        _log.info("dashboard: {command} for {who}", command=spelled(path, given), who=self._who(request))
        return self._do(path, given)

    def _refuse_change(self, request: ShortRequest, method: str, command: Command) -> None:
        """Refuse what would change something and may not.

        Raises:
            CommandError: It is so.
        """
        if not self.is_changing:
            raise ForbiddenError(f"{command.path}: nothing can be changed here: dashboard.actions says so")
        if method != "POST":
            raise CommandError(ExitStatus.USAGE, f"{command.path} changes something: use POST")
        if not is_own(request.field("Host"), request.field("Origin"), request.field("Sec-Fetch-Site")):
            raise ForbiddenError("only the dashboard's own page may ask for this")

    def _who(self, request: ShortRequest) -> str:
        """Who asks, for the log."""
        client = request.channel.getPeer()
        address = getattr(client, "host", None)
        at = f"{address} port {client.port}" if address is not None else described(request.channel.transport)
        session = self.access.session(request.field("Cookie"), now=self._monotonic())
        return at if session is None else f"{at}, session {session.number}"

    def _failed(self, failure: Failure, request: ShortRequest) -> None:
        if failure.check(RealmGatewayError) is None:
            _log.failure("fault while doing a command", failure)
        status, told = problem(failure.value)
        self._refuse(request, status, str(told["detail"]))

    def _refuse(self, request: ShortRequest, status: HTTPStatus, why: str, *fields: tuple[str, str]) -> None:
        self.refused += 1
        told = {"title": status.phrase, "status": int(status), "detail": why}
        request.reply(status, (("Content-Type", "application/problem+json"), *_FIELDS, *fields), _octets(told))


def _given(request: ShortRequest) -> Mapping[str, str]:
    """The parameters in the query string.

    Raises:
        CommandError: They are not text, or too many.
    """
    text = request.uri.partition(b"?")[2].decode("latin-1")
    try:
        return dict(parse_qsl(text, True, True, errors="strict", max_num_fields=MOST_PARAMETERS))
    except ValueError:
        raise CommandError(ExitStatus.USAGE, "the parameters can not be read") from None


def _say(request: ShortRequest, status: HTTPStatus, value: object, *fields: tuple[str, str]) -> None:
    request.reply(status, (("Content-Type", "application/json"), *_FIELDS, *fields), _octets(value))


def _octets(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _cookie(value: str, more: str) -> tuple[str, str]:
    return "Set-Cookie", f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{more}"

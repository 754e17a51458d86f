"""What is answered to whom: by HTTP, to guests whatever host and path they ask for, and to subscribers who come here.

Devices ask for something by HTTP whose answer they know, to find out whether they are in a network like this:
`/generate_204` (Android, Chromium), `/hotspot-detect.html` (Apple), `/connecttest.txt` (Windows), `/success.txt` and
`/canonical.html` (Firefox). To be sent elsewhere tells each of them, and they open what they were sent to.
"""

from __future__ import annotations

import enum
import json
from http import HTTPStatus

import attrs

from realmgw.config.addresses import host_of
from realmgw.config.portal import HTTP_PORT, HTTPS_PORT
from realmgw.config.settings import Settings
from realmgw.portal.page import POLICY, Told, page
from realmgw.portal.words import language
from realmgw.system.endpoints import Endpoint

API = "/captive-portal/api"
"""The path of the captive portal API (RFC 8908)."""
_HEADERS = (
    ("Cache-Control", "private, no-store"),
    ("Connection", "close"),
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
_HTML = ("Content-Type", "text/html; charset=utf-8")


class Kind(enum.Enum):
    """What was answered; the values are the counters' names."""

    PAGE = "pages"
    """The page, to a guest."""
    CONNECTED = "connected"
    """The page, to a subscriber."""
    REDIRECT = "redirects"
    """Where it is."""
    TOLD = "told"
    """The page, to what does not only read (511)."""
    API = "api"
    """A program asks whether it is in a network like this."""
    WRONG = "wrong_methods"
    """Nothing that can be done with the page."""


@attrs.frozen
class Asked:
    """A request."""

    method: str
    """Its method."""
    host: str
    """Whom it is for, as it says itself."""
    path: str
    """And what."""
    languages: str
    """Accept-Language."""
    address: str
    """Who asks."""
    at: Endpoint
    """Where it came in."""
    known: bool
    """He is a subscriber."""


@attrs.frozen
class Answer:
    """An answer."""

    kind: Kind
    """What it is."""
    status: HTTPStatus
    """Its status."""
    headers: tuple[tuple[str, str], ...]
    """Its fields beside Content-Length."""
    body: bytes
    """Its content; it is not sent in answer to HEAD."""


def target(host: str, path: str) -> tuple[str, str]:
    """Whom a request is for, and what.

    Args:
        host: Its Host field.
        path: As it stands in the first line; of a client that takes us for its proxy, the whole URL, which counts then
            (RFC 9112 section 3.2.2).
    """
    scheme, is_whole, rest = path.partition("://")
    if not is_whole or scheme.lower() != "http":
        return host, path
    authority, _, below = rest.partition("/")
    return authority, f"/{below}"


class Answers:
    """Answers requests.

    Args:
        settings: The gateway's; it has a portal.
    """

    def __init__(self, settings: Settings) -> None:
        assert settings.portal is not None
        portal, tls = settings.portal, settings.portal.tls
        self._told = Told(settings.name.removesuffix("."), dict(portal.text), portal.link)
        self._names = {str(each.address) for each in portal.endpoints}
        self._secure, self._by_name = frozenset[Endpoint](), ""
        if tls is not None:
            name = tls.name.removesuffix(".")
            self._names.add(name)
            self._secure, self._by_name = frozenset(tls.listen), f"https://{name}{_port(tls.listen[0], HTTPS_PORT)}/"

    def answer(self, asked: Asked) -> Answer:
        """What is answered. Nothing is raised, whatever is asked."""
        reads, ours = asked.method in ("GET", "HEAD"), host_of(asked.host) in self._names
        if not reads and ours:
            return self._page(asked, Kind.WRONG, HTTPStatus.METHOD_NOT_ALLOWED, ("Allow", "GET, HEAD"))
        if not reads:
            return self._page(asked, Kind.TOLD, HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED)
        if ours and asked.path == API:
            return self._state(asked)
        if ours and asked.path == "/":
            return self._page(asked, Kind.CONNECTED if asked.known else Kind.PAGE, HTTPStatus.OK)
        return self._page(asked, Kind.REDIRECT, HTTPStatus.FOUND, ("Location", self._url(asked)))

    def _url(self, asked: Asked) -> str:
        """Where the page is: by HTTP at an address, of the family that somebody has, so that it needs no DNS."""
        if asked.at in self._secure:
            return self._by_name
        return f"http://{asked.at.host}{_port(asked.at, HTTP_PORT)}/"

    def _page(self, asked: Asked, kind: Kind, status: HTTPStatus, *more: tuple[str, str]) -> Answer:
        spoken = language(asked.languages)
        body = page(self._told, spoken, asked.address, known=asked.known)
        headers = (*_HEADERS, _HTML, ("Content-Language", spoken), ("Vary", "Accept-Language"), *more)
        return Answer(kind, status, headers, body)

    def _state(self, asked: Asked) -> Answer:
        """What the captive portal API says (RFC 8908 section 5)."""
        state: dict[str, object] = {"captive": not asked.known, "user-portal-url": self._by_name or self._url(asked)}
        if self._told.link is not None:
            state["venue-info-url"] = self._told.link
        headers = (*_HEADERS, ("Content-Type", "application/captive+json"))
        return Answer(Kind.API, HTTPStatus.OK, headers, f"{json.dumps(state)}\n".encode())


def _port(endpoint: Endpoint, usual: int) -> str:
    return "" if endpoint.port == usual else f":{endpoint.port}"

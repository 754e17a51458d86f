"""A repository's server on loopback, and a client that says what it got, for tests."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import attrs
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, FileBodyProducer, readBody
from twisted.web.http_headers import Headers

from realmgw.repository.port import RepositorySite
from realmgw.repository.server import root
from realmgw.repository.service import StoreService
from realmgw.repository.tokens import Tokens

JSON = "application/json"
LINES = "application/jsonl"
PATCH = "application/merge-patch+json"
WRITE_TOKEN = "a-token-that-may-write"
READ_TOKEN = "a-token-that-may-read"


@attrs.frozen
class Got:
    """A response."""

    status: int
    """Its status."""
    headers: Headers
    """Its head."""
    body: bytes
    """Its body."""

    @property
    def value(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def tag(self) -> str:
        """The entity tag."""
        [tag] = self.headers.getRawHeaders("ETag") or [""]
        return tag

    @property
    def pointers(self) -> list[str]:
        """Of the errors of a problem document."""
        return [error["pointer"] for error in self.value["errors"]]


class SiteTestCase(TestCase):
    """Tests against a repository of their own."""

    tokens = Tokens()
    timeout = 60

    def setUp(self) -> Any:
        """An empty repository on a free port of the loopback interface."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.database = folder / "repository.sqlite"
        return self.open()

    @inlineCallbacks
    def open(self, port: int = 0) -> Any:
        """Begins to serve the database, on the given port if it is not 0."""
        self.documents = StoreService(self.database, reactor)
        yield self.documents.startService()
        self.site = RepositorySite(root(self.documents), self.tokens)
        self.port: Any = cast(Any, reactor).listenTCP(port, self.site, interface="127.0.0.1")
        self.number: int = self.port.getHost().port
        self.url = f"http://127.0.0.1:{self.number}"

    @inlineCallbacks
    def tearDown(self) -> Any:  # type: ignore[override]  # trial waits for it
        """Stops serving."""
        yield self.port.stopListening()
        self.documents.stopService()

    @inlineCallbacks
    def ask(self, method: str, path: str, body: object = None, media: str = JSON, **fields: str) -> Any:
        """Fires with the response.

        Args:
            method: Of the request.
            path: Or the whole path with the query.
            body: A JSON value, or octets.
            media: The body's media type.
            fields: Of the head; `if_match` is If-Match.
        """
        headers = Headers({name.replace("_", "-"): [value] for name, value in fields.items()})
        producer = None
        if body is not None:
            headers.setRawHeaders("Content-Type", [media])
            octets = body if isinstance(body, bytes) else json.dumps(body).encode()
            producer = FileBodyProducer(BytesIO(octets))
        agent = Agent(reactor)
        response = yield agent.request(method.encode(), f"{self.url}{path}".encode(), headers, producer)
        return Got(response.code, response.headers, (yield readBody(response)))


def host(number: int, **more: object) -> dict[str, object]:
    """A subscriber document; each number has an address of its own."""
    return {"address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", **more}


def lines(*documents: tuple[str, str, object]) -> bytes:
    """Documents for exchange: kind, name and value of each."""
    return b"".join(
        json.dumps({"kind": kind, "name": name, "value": value}).encode() + b"\n" for kind, name, value in documents
    )

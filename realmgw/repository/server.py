"""The resources of the repository; /openapi.json says what they are. Edge: HTTP, temporary files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Any, ClassVar, cast
from urllib.parse import quote

import attrs
from twisted.internet.defer import inlineCallbacks
from twisted.web.resource import Resource

from realmgw.config import pointers
from realmgw.repository import store
from realmgw.repository.conditions import Condition, tags
from realmgw.repository.imports import Import, Imported
from realmgw.repository.openapi import description
from realmgw.repository.port import LINES_TYPE, BoundedRequest, Missing, Reply, ReplyResource, json_reply, media_type
from realmgw.repository.refusals import RefusedError
from realmgw.repository.service import StoreService
from realmgw.repository.tokens import Access
from realmgw.subscribers.exchange import MAX_LINE, Head, Kind, canonical, head_line
from realmgw.subscribers.files.listing import collector_at_rest

MAX_PAGE = 1000
"""How many documents a page may have."""
DEFAULT_PAGE = 100
"""How many it has when nobody says."""
MAX_WAIT = 300
"""How long, in seconds, somebody may wait for a new version."""
MAX_IN_MEMORY = 2**20  # octets
"""How long an export may be that is made in memory; a longer one is made on the disk."""
PATCH_TYPE = "application/merge-patch+json"
"""The media type of RFC 7396."""

_READ_AND_WRITE = {"GET": Access.READ, "PUT": Access.WRITE, "PATCH": Access.WRITE, "DELETE": Access.WRITE}


def root(documents: StoreService) -> Resource:
    """Everything that is served.

    Args:
        documents: Where the documents are.
    """
    top, versioned = Missing(), Missing()
    top.putChild(b"openapi.json", _Description())
    top.putChild(b"v1", versioned)
    versioned.putChild(b"status", _Status(documents))
    for kind in Kind:
        versioned.putChild(kind.value.encode(), _Collection(documents, kind))
    versioned.putChild(b"export", _Export(documents))
    versioned.putChild(b"import", _Import(documents))
    return top


class _Description(ReplyResource):
    """/openapi.json."""

    allowed: ClassVar[Mapping[str, Access]] = {"GET": Access.NOTHING}

    def reply(self, method: str, request: BoundedRequest) -> Reply:
        del method, request
        return json_reply(HTTPStatus.OK, description())


class _Status(ReplyResource):
    """/v1/status: which repository this is, and how it is."""

    allowed: ClassVar[Mapping[str, Access]] = {"GET": Access.READ}

    def __init__(self, documents: StoreService) -> None:
        super().__init__()
        self._documents = documents

    @inlineCallbacks
    def reply(self, method: str, request: BoundedRequest) -> Any:
        del method
        _arguments(request)
        counted = yield self._documents.read(store.count)
        connections, counts = request.site.connections, request.site.counts
        places = {"known": connections.known, "strangers": connections.strangers, **attrs.asdict(counts)}
        value = {"identity": self._documents.identity, "version": self._documents.version, "connections": places}
        return json_reply(HTTPStatus.OK, {**value, "documents": counted})


class _Stored(ReplyResource):
    """What the documents are behind."""

    def __init__(self, documents: StoreService) -> None:
        super().__init__()
        self.documents = documents

    @inlineCallbacks
    def unless_seen(self, request: BoundedRequest) -> Any:
        """Waits as long as the client wants to, while there is no other version than it has seen.

        Returns:
            A Deferred: the response that says so, or None when there is another version.
        """
        seen = tags(request.field("If-None-Match"))
        headers = []
        if (patience := _patience(request)) > 0 and seen is not None and seen.match_weakly(self.tag):
            headers = [("Preference-Applied", f"wait={patience}")]
            yield self.documents.changed(self.documents.version, patience)
        if seen is not None and seen.match_weakly(self.tag):
            return Reply(HTTPStatus.NOT_MODIFIED, headers=(("ETag", self.tag), *headers))
        return None

    @property
    def tag(self) -> str:
        """The tag of everything."""
        return f'"{self.documents.version}"'


class _Collection(_Stored):
    """The documents of one kind: /v1/subscribers and /v1/policies."""

    allowed: ClassVar[Mapping[str, Access]] = {"GET": Access.READ}

    def __init__(self, documents: StoreService, kind: Kind) -> None:
        super().__init__(documents)
        self._kind = kind

    def getChild(self, path: bytes, request: BoundedRequest) -> Resource:
        del request
        return _Document(self.documents, self._kind, path) if path else Missing()

    @inlineCallbacks
    def reply(self, method: str, request: BoundedRequest) -> Any:
        del method
        arguments = _arguments(request, "limit", "after", "wait")
        limit = _number(arguments, "limit", DEFAULT_PAGE, MAX_PAGE)
        after = arguments.get("after", "")
        unchanged = yield self.unless_seen(request)
        if unchanged is not None:
            return unchanged
        version, found = yield self.documents.read(store.page, self._kind, after, limit)
        more = f"/v1/{self._kind.value}?after={quote(found[-1].name)}&limit={limit}" if len(found) == limit else None
        return Reply(
            HTTPStatus.OK,
            _page(version, found, more),
            (("Content-Type", "application/json"), ("ETag", f'"{version}"')),
        )


def _page(version: str, found: Iterable[store.Stored], more: str | None) -> bytes:
    """A page of a collection; the documents' texts are put in as they are."""
    items = ",".join(
        f'{{"name":{pointers.encode(each.name)},"etag":{pointers.encode(each.tag)},"value":{each.text}}}'
        for each in found
    )
    return f'{{"version":{pointers.encode(version)},"next":{pointers.encode(more)},"items":[{items}]}}\n'.encode()


class _Document(_Stored):
    """A single document."""

    allowed: ClassVar[Mapping[str, Access]] = _READ_AND_WRITE

    def __init__(self, documents: StoreService, kind: Kind, name: bytes) -> None:
        super().__init__(documents)
        self._kind = kind
        self._name = name

    @inlineCallbacks
    def reply(self, method: str, request: BoundedRequest) -> Any:
        _arguments(request)
        name = canonical(self._kind, self._name.decode(errors="replace"))
        if method == "GET":
            return (yield self._get(request, name))
        condition = Condition(tags(request.field("If-Match")), tags(request.field("If-None-Match")))
        if method == "DELETE":
            yield self.documents.write(store.delete, self._kind, name, condition)
            return Reply(HTTPStatus.NO_CONTENT)
        if method == "PATCH":
            change = _content(request, PATCH_TYPE)
            changed = yield self.documents.write(store.patch, self._kind, name, change, condition)
            return _stored(HTTPStatus.OK, changed)
        value = _content(request, "application/json")
        kept, new = yield self.documents.write(store.put, self._kind, name, value, condition)
        location = ("Location", f"/v1/{self._kind.value}/{name}")
        return _stored(HTTPStatus.CREATED, kept, location) if new else _stored(HTTPStatus.OK, kept)

    @inlineCallbacks
    def _get(self, request: BoundedRequest, name: str) -> Any:
        found = store.existing((yield self.documents.read(store.fetch, self._kind, name)), name)
        seen = tags(request.field("If-None-Match"))
        if seen is not None and seen.match_weakly(found.tag):
            return Reply(HTTPStatus.NOT_MODIFIED, headers=(("ETag", found.tag),))
        return _stored(HTTPStatus.OK, found)


class _Export(_Stored):
    """/v1/export: everything, or what changed, as lines."""

    allowed: ClassVar[Mapping[str, Access]] = {"GET": Access.READ}

    @inlineCallbacks
    def reply(self, method: str, request: BoundedRequest) -> Any:
        del method
        since = _arguments(request, "since", "wait").get("since")
        unchanged = yield self.unless_seen(request)
        if unchanged is not None:
            return unchanged
        file = cast(IO[bytes], SpooledTemporaryFile(MAX_IN_MEMORY))  # noqa: SIM115 - closed when it was sent
        try:
            head = yield self.documents.read(_write_export, since, file)
        except BaseException:
            file.close()
            raise
        return Reply(HTTPStatus.OK, file, (("Content-Type", LINES_TYPE), ("ETag", f'"{head.version}"')))


def _write_export(cursor: store.Cursor, since: str | None, file: IO[bytes]) -> Head:
    """Writes the lines to a file, in a thread: the client may be slow, a transaction must not be."""
    head, lines = store.export(cursor, since)
    file.write(head_line(head))
    file.writelines(lines)
    return head


class _Import(_Stored):
    """/v1/import: many documents at once."""

    allowed: ClassVar[Mapping[str, Access]] = {"POST": Access.WRITE}

    @inlineCallbacks
    def reply(self, method: str, request: BoundedRequest) -> Any:
        del method
        mode = _arguments(request, "mode").get("mode", "merge")
        if mode not in ("merge", "replace"):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"the mode {mode!r} is not known: write merge or replace")
        _expect(request, LINES_TYPE)
        condition = Condition(tags(request.field("If-Match")))
        if mode == "merge" and condition.match is None:
            condition = Condition(tags("*"))
        lines = iter(partial(cast(IO[bytes], request.content).readline, MAX_LINE + 2), b"")
        imported = yield self.documents.write(_import, condition, lines, replacing=mode == "replace")
        return json_reply(HTTPStatus.OK, attrs.asdict(imported), ("ETag", f'"{imported.version}"'))


def _import(cursor: store.Cursor, condition: Condition, lines: Iterator[bytes], *, replacing: bool) -> Imported:
    condition.check(f'"{store.version(cursor)}"')
    with collector_at_rest():
        return Import(cursor).run(lines, replacing=replacing)


def _stored(status: HTTPStatus, document: store.Stored, *headers: tuple[str, str]) -> Reply:
    headers = ("Content-Type", "application/json"), ("ETag", document.tag), *headers
    return Reply(status, f"{document.text}\n".encode(), headers)


def _content(request: BoundedRequest, expected: str) -> object:
    """The JSON value in the body."""
    _expect(request, expected)
    return pointers.decode(cast(IO[bytes], request.content).read())


def _expect(request: BoundedRequest, expected: str) -> None:
    if media_type(request) != expected:
        name = "Accept-Patch" if expected == PATCH_TYPE else "Accept"
        request.setHeader(name, expected)  # type: ignore[no-untyped-call]  # Twisted does not say
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"write Content-Type: {expected}")


def _arguments(request: BoundedRequest, *known: str) -> dict[str, str]:
    """The query's arguments."""
    given: dict[str, str] = {}
    for key, values in (request.args or {}).items():
        name = key.decode(errors="replace")
        if name not in known or len(values) != 1:
            what = f"write one of {', '.join(known)}, once" if known else "none is known here"
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"the argument {name!r} is not known, or stands twice: {what}")
        given[name] = values[0].decode(errors="replace")
    return given


def _number(arguments: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = arguments.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{name} is {text!r}: write a whole number from 1 to {most}")
    return int(text)


def _patience(request: BoundedRequest) -> int:
    """How long the client wants to wait (RFC 7240 section 4.3), in seconds; 0 when it does not."""
    given = (request.args or {}).get(b"wait")
    if given:
        return _number({"wait": given[0].decode(errors="replace")}, "wait", 1, MAX_WAIT)
    for each in (request.field("Prefer") or "").replace(";", ",").split(","):
        name, _, text = (part.strip() for part in each.partition("="))
        seconds = text.removeprefix('"').removesuffix('"')
        if name.lower() == "wait" and seconds.isascii() and seconds.isdigit() and len(seconds) < 10:
            return min(int(seconds), MAX_WAIT)
    return 0

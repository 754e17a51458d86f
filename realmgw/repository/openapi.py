"""The OpenAPI 3.1 document of the repository."""

from __future__ import annotations

from typing import Any

import attrs

from realmgw import __version__
from realmgw.config.policy_schema import POLICY
from realmgw.repository.connections import Counts
from realmgw.repository.refusals import PROBLEM_TYPE
from realmgw.subscribers.exchange import Kind
from realmgw.subscribers.schema import ESTABLISHED, PLAIN

_JSON = "application/json"
_LINES = "application/jsonl"
_TEXT: dict[str, Any] = {"type": "string"}
_TAG: dict[str, Any] = {"ETag": {"description": "Stands for this content.", "schema": _TEXT}}
_UNCHANGED: dict[str, Any] = {"description": "It is what If-None-Match says.", "headers": _TAG}


def description() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {
        "/openapi.json": {"get": _operation("description", "This document.", {"200": _json("It", {"type": "object"})})},
        "/v1/status": {
            "get": _operation(
                "status",
                "Which repository this is, and how it is.",
                {"200": _json("It", _reference("status"))},
                problems="400 401",
            )
        },
        "/v1/export": _export(),
        "/v1/import": _import(),
    }
    for kind in Kind:
        paths[f"/v1/{kind.value}"] = _collection(kind)
        paths[f"/v1/{kind.value}/{{name}}"] = _document(kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "realmgw policy repository",
            "version": __version__,
            "description": "Subscribers and policies of Realm Gateways. Every error is a problem document (RFC 9457).",
        },
        "security": [{"bearer": []}, {}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
            "parameters": _parameters(),
            "responses": {
                "problem": {
                    "description": "What is wrong",
                    "content": {PROBLEM_TYPE: {"schema": _reference("problem")}},
                }
            },
        },
    }


def _collection(kind: Kind) -> dict[str, Any]:
    return {
        "get": _operation(
            f"list_{kind.value}",
            "A page of documents, in the order of their names. The tag is that of all documents together.",
            {"200": _json("A page", _reference(f"page_of_{kind.value}"), _TAG), "304": _UNCHANGED},
            parameters=["limit", "after", "if_none_match", "prefer", "wait"],
            problems="400 401",
        )
    }


def _document(kind: Kind) -> dict[str, Any]:
    value = _reference(_singular(kind))
    present = _json("The document", value, _TAG)
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
        "description": "The host's name, with or without the final dot."
        if kind is Kind.SUBSCRIBER
        else "The policy's name: letters, digits, '.', '_' and '-'.",
    }
    singular = _singular(kind)
    return {
        "parameters": [name],
        "get": _operation(
            f"get_{singular}",
            "A document.",
            {"200": present, "304": _UNCHANGED},
            parameters=["if_none_match"],
            problems="400 401 404",
        ),
        "put": _operation(
            f"put_{singular}",
            "Keeps a document. To write over another one, say which by If-Match.",
            {"200": present, "201": _json("The document, which is new", value, _TAG)},
            parameters=["if_match", "if_none_match"],
            body={_JSON: {"schema": value}},
            problems="400 401 403 409 412 413 415 422 428",
        ),
        "patch": _operation(
            f"patch_{singular}",
            "Changes a document by a merge patch (RFC 7396).",
            {"200": present},
            parameters=["if_match"],
            body={"application/merge-patch+json": {"schema": {}}},
            problems="400 401 403 404 409 412 413 415 422 428",
        ),
        "delete": _operation(
            f"delete_{singular}",
            "Removes a document.",
            {"204": {"description": "It is removed"}},
            parameters=["if_match"],
            problems="400 401 403 404 412 428",
        ),
    }


def _export() -> dict[str, Any]:
    lines = {"description": "A head, and documents", "headers": _TAG, "content": {_LINES: {"schema": _TEXT}}}
    return {
        "get": _operation(
            "export",
            "All documents as JSON lines: a head, then the documents. With `since`, what changed after that version,"
            " if it is remembered, with the value null for what was deleted; the head says which of both it is,"
            " and the repository's identity.",
            {"200": lines, "304": _UNCHANGED},
            parameters=["since", "if_none_match", "prefer", "wait"],
            problems="400 401",
        )
    }


def _import() -> dict[str, Any]:
    return {
        "post": _operation(
            "import",
            "Keeps many documents, all or none. A first line may be a head; the value null removes one. To"
            " replace everything needs If-Match with the tag of everything, or *.",
            {"200": _json("What came of it", _reference("imported"), _TAG)},
            parameters=["mode", "if_match"],
            body={_LINES: {"schema": _TEXT}},
            problems="400 401 403 409 412 413 415 422 428",
        )
    }


def _operation(
    name: str,
    summary: str,
    responses: dict[str, Any],
    *,
    parameters: list[str] | None = None,
    body: dict[str, Any] | None = None,
    problems: str = "",
) -> dict[str, Any]:
    problem = {"$ref": "#/components/responses/problem"}
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {**responses, **dict.fromkeys(problems.split(), problem), "503": problem},
    }
    if parameters:
        operation["parameters"] = [{"$ref": f"#/components/parameters/{each}"} for each in parameters]
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _json(text: str, schema: dict[str, Any], headers: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": schema}}, **({"headers": headers} if headers else {})}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _singular(kind: Kind) -> str:
    return kind.name.lower()


def _parameters() -> dict[str, Any]:
    def parameter(name: str, place: str, text: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"name": name, "in": place, "description": text, "schema": schema or _TEXT}

    waiting = {"type": "integer", "minimum": 1, "maximum": 300}
    return {
        "limit": parameter(
            "limit", "query", "How many documents at most.", {"type": "integer", "minimum": 1, "maximum": 1000}
        ),
        "after": parameter("after", "query", "The name after which the page begins."),
        "since": parameter("since", "query", "A version: the value of an ETag of everything, without the quotes."),
        "mode": parameter(
            "mode", "query", "Whether documents that are not mentioned stay.", {"enum": ["merge", "replace"]}
        ),
        "wait": parameter("wait", "query", "The same as Prefer: wait=, in seconds.", waiting),
        "prefer": parameter("Prefer", "header", "wait=N: with If-None-Match, wait for a change, up to N seconds."),
        "if_match": parameter("If-Match", "header", "The tag of what shall be changed, or *."),
        "if_none_match": parameter("If-None-Match", "header", "The tag of what is known, or *."),
    }


def _schemas() -> dict[str, Any]:
    number = {"type": "integer", "minimum": 0}
    return {
        **{f"page_of_{kind.value}": _page(kind) for kind in Kind},
        "subscriber": {"anyOf": [_reference("plain_subscriber"), _reference("established_subscriber")]},
        "plain_subscriber": {**PLAIN.schema, "description": "As in the plain style of subscriber files."},
        "established_subscriber": {
            **ESTABLISHED.schema,
            "description": "As in the established style of subscriber files; its keys may be in lower case.",
        },
        "policy": {
            **POLICY.schema,
            "type": "object",
            "description": "A policy; also with the keys of existing policy files.",
        },
        "imported": _object({"version": _TEXT, "changed": number, "unchanged": number, "deleted": number}),
        "status": _object(
            {
                "identity": {**_TEXT, "description": "Stays with the database; another repository has another."},
                "version": _TEXT,
                "documents": _object({kind.value: number for kind in Kind}),
                "connections": _object(dict.fromkeys(("known", "strangers", *attrs.fields_dict(Counts)), number)),
            }
        ),
        "problem": _object(
            {
                "type": _TEXT,
                "title": _TEXT,
                "status": {"type": "integer"},
                "detail": _TEXT,
                "errors": {"type": "array", "items": _object({"pointer": _TEXT, "detail": _TEXT})},
            },
            optional=("errors",),
        ),
    }


def _page(kind: Kind) -> dict[str, Any]:
    item = _object({"name": _TEXT, "etag": _TEXT, "value": _reference(_singular(kind))})
    return _object(
        {
            "version": {**_TEXT, "description": "Of all documents together."},
            "next": {"type": ["string", "null"], "description": "Where the next page is, if there may be one."},
            "items": {"type": "array", "items": item},
        }
    )


def _object(properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}

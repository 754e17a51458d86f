"""Looks at a gateway's page for operators, as the browser does that opens its address: whose flows it shows."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 10.0  # seconds


def names_shown(address: str, most: int, patience: float = PATIENCE) -> set[str]:
    """The names of clients' flows that the page shows, as soon as they are so many, or its time is over.

    Args:
        address: The page's, with the token behind the #.
        most: So many are enough.
        patience: Seconds, for all of it.

    Returns:
        The names, with their final dots; none: the page is not to be had by that address.
    """
    where, until, names = urlsplit(address), time.monotonic() + patience, set[str]()
    own = {"Authorization": f"Bearer {where.fragment}", "Origin": f"{where.scheme}://{where.netloc}"}
    with contextlib.suppress(OSError, HTTPException), contextlib.ExitStack() as stack:

        def answer(method: str, path: str, fields: Mapping[str, str]) -> HTTPResponse:
            connection = HTTPConnection(where.hostname or "", where.port, timeout=patience)
            stack.callback(connection.close)
            connection.request(method, path, headers=dict(fields))
            return connection.getresponse()

        if b"<script" not in answer("GET", where.path, {}).read():
            return names
        cookie, _, _ = (answer("POST", "/session", own).headers["Set-Cookie"] or "").partition(";")
        for row in _flows(answer("GET", "/live", {"Cookie": cookie})):
            names.update(filter(None, [row["service"]]))
            if len(names) >= most or time.monotonic() > until:
                break
    return names


def _flows(live: HTTPResponse) -> Iterator[Any]:
    """The rows of flows among server-sent events, as they come."""
    event = ""
    for line in live:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            event = value
        elif field == "data" and event == "flows":
            yield from json.loads(value)["rows"]

"""Gives documents to a repository elsewhere. Edge: HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from itertools import islice
from typing import Any

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.python.failure import Failure

from realmgw.config import pointers
from realmgw.config.settings import Repository as Settings
from realmgw.subscribers.remote.port import UnreachableError, Web
from realmgw.system.reactor import the_reactor

BATCH = 2000
"""How many documents are sent at once."""


@attrs.frozen
class Sent:
    """What came of documents that were sent."""

    changed: int = 0
    """How many are new or different now."""
    unchanged: int = 0
    """How many were there already as they are."""


@inlineCallbacks
def send(web: Web, lines: Iterable[bytes], progress: Callable[[int], None]) -> Any:
    """Sends documents to a repository, in batches of which each counts as a whole or not at all.

    Args:
        web: The repository.
        lines: Documents for exchange, without a head.
        progress: Called after each batch with how many were sent so far.

    Returns:
        A Deferred that fires with `Sent`, or fails with UnreachableError; earlier batches stay.
    """
    sent = Sent()
    for batch in _batches(iter(lines)):
        answer = pointers.decode((yield web.send(BytesIO(b"".join(batch)))))
        if not isinstance(answer, dict) or not all(type(answer.get(key)) is int for key in ("changed", "unchanged")):
            raise UnreachableError(f"{web.url}: this is no answer of a repository")
        sent = Sent(sent.changed + answer["changed"], sent.unchanged + answer["unchanged"])
        progress(sent.changed + sent.unchanged)
    return sent


def send_all(settings: Settings, lines: Iterable[bytes], progress: Callable[[int], None]) -> Sent:
    """`send`, for a command: runs the reactor until it is done, which a process can do once only.

    Args:
        settings: Where the repository is, and how it is trusted; `url` is not None.
        lines: As for `send`.
        progress: As for `send`.

    Raises:
        PlatformError: A file that the settings name can not be used; nothing was sent.
        UnreachableError: The repository can not be reached, or refuses a batch; earlier batches stay.
    """
    loop = the_reactor()
    web = Web(settings, loop)
    ends: list[Any] = []

    def begin() -> None:
        done: Deferred[Any] = send(web, lines, progress)
        done.addBoth(ends.append).addBoth(lambda _: web.close()).addBoth(lambda _: loop.stop())

    loop.callWhenRunning(begin)
    loop.run()
    if not ends:
        raise UnreachableError(f"{web.url}: interrupted")
    if isinstance(ends[0], Failure):
        ends[0].raiseException()
    sent: Sent = ends[0]
    return sent


def _batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    for first in lines:
        yield [first, *islice(lines, BATCH - 1)]

"""A repository elsewhere: its last good state is always at hand, whether or not it can be reached."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, inlineCallbacks
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config import pointers
from realmgw.config.settings import Repository as Settings
from realmgw.config.settings import Watch
from realmgw.errors import MalformedError, RealmGatewayError
from realmgw.subscribers.backoff import Backoff
from realmgw.subscribers.cache import Cache
from realmgw.subscribers.documents import head
from realmgw.subscribers.files import collector_at_rest
from realmgw.subscribers.port import UnreachableError, Web
from realmgw.subscribers.replica import Replica
from realmgw.subscribers.snapshot import NOTHING, Snapshot

CACHE = "repository.cache"
"""The cache's name in the state folder."""
PAUSE = 0.2  # seconds
"""Between two long-polls: what changes in quick succession is read at once."""
BATCH = 2000
"""How many documents are sent at once."""

_log = Logger()
_T = TypeVar("_T")


class Source(Protocol):
    """Where changes are asked for; `Web` is one."""

    url: str
    """For messages."""

    def changes(self, version: str | None, wait: float) -> Deferred[IO[bytes] | None]:
        """See `Web.changes`."""

    def close(self) -> Deferred[None]:
        """Closes what is open."""


@attrs.define
class Counts:
    """What happened since the start."""

    asked: int = 0
    """Questions."""
    changed: int = 0
    """Answers with a change."""
    failed: int = 0
    """Questions without an answer, or with one that could not be used."""
    cache_failed: int = 0
    """Times that the cache could not be read or written."""


class RestRepository:
    """A repository by HTTP; see `realmgw.subscribers.service.Repository`.

    Attributes:
        counts: What happened.
        fault: Why the last question had no good answer; empty when it had one.
    """

    def __init__(self, source: Source, settings: Settings, cache: Cache | None, surroundings: Surroundings) -> None:
        """Knows nothing yet.

        Args:
            source: The repository.
            settings: How changes become known.
            cache: The last good state on the disk; None: there is none.
            surroundings: Time, chance and threads.
        """
        self.counts = Counts()
        self.fault = ""
        self._source = source
        self._settings = settings
        self._cache = cache
        self._clock = surroundings.clock
        self._in_thread = surroundings.in_thread
        self._backoff = Backoff(max(settings.interval, 1.0), surroundings.random)
        self._replica = Replica(source.url)
        self._is_new = True  # the cache was not read yet
        self._is_doubtful = False  # an answer could not be used: everything has to be asked for
        self._lock = DeferredLock()
        self._following: Deferred[None] | None = None

    @inlineCallbacks
    def snapshot(self) -> Any:
        """Asks the repository; if that fails, the last good state counts, and a problem says so."""
        try:
            yield self._ask(0.0)
        except RealmGatewayError as error:
            self._failed(error)
        return self._known()

    def watch(self, changed: Callable[[Snapshot], None]) -> None:
        """Begins to ask for changes."""
        if self._following is not None:
            raise RealmGatewayError(f"{self._source.url} is watched already")
        self._following = self._follow(changed)
        self._following.addErrback(_ended)

    @inlineCallbacks
    def unwatch(self) -> Any:
        """Ends asking; what is under way in a thread comes to its end first."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
        yield self._lock.run(lambda: None)
        yield self._source.close()

    @inlineCallbacks
    def _follow(self, changed: Callable[[Snapshot], None]) -> Any:
        told = self._replica.snapshot
        while True:
            begin = self._clock.seconds()
            wait = self._settings.interval if self._settings.watch is Watch.LONG_POLL else 0.0
            try:
                yield self._ask(wait)
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is: it may be better the next time
                if self._following is None:
                    return
                self._failed(error)
                yield self._sleep(self._backoff.failed())
                continue
            self._backoff.succeeded()
            if self._replica.snapshot is not told:
                told = self._replica.snapshot
                _call(changed, told)
                yield self._sleep(PAUSE if wait else self._settings.interval)
            else:  # a repository that does not wait when it is asked to must not be asked without a pause
                yield self._sleep(
                    PAUSE if self._clock.seconds() - begin >= wait / 2 and wait else self._settings.interval
                )

    @inlineCallbacks
    def _ask(self, wait: float) -> Any:
        """Asks once, and takes what comes.

        Raises:
            RealmGatewayError: There was no good answer; nothing has changed.
        """
        if self._is_new:
            yield self._lock.run(self._read_cache)
        asked = self._replica
        is_full = self._cache is not None and self._cache.is_full
        is_whole = asked.snapshot is NOTHING or is_full or self._is_doubtful
        self.counts.asked += 1
        file = yield self._source.changes(None if is_whole else asked.snapshot.version, 0.0 if is_whole else wait)
        if file is not None:
            yield _shielded(self._lock.run(self._take, file, asked))
        if self.fault:
            _log.info("{url} is there again", url=self._source.url)
        self.fault = ""
        self._is_doubtful = False

    @inlineCallbacks
    def _take(self, file: IO[bytes], asked: Replica) -> Any:
        """Takes an answer, unless another one came meanwhile."""
        with file:
            if self._replica is asked:
                self._replica = yield self._in_thread(self._amend, file)
                self.counts.changed += 1

    def _amend(self, file: IO[bytes]) -> Replica:
        """The state after an answer, kept in the cache. In a thread, one at a time."""
        with collector_at_rest():
            replica = self._replica.amended(file)
        if self._cache is not None:
            file.seek(0)
            is_whole = head(file.readline()).since is None
            try:
                (self._cache.replace if is_whole else self._cache.append)(file)
            except OSError as error:
                self.counts.cache_failed += 1
                _log.error(
                    "the repository's state can not be kept in {path}: {error}", path=self._cache.path, error=error
                )
        return replica

    @inlineCallbacks
    def _read_cache(self) -> Any:
        if self._is_new:
            self._is_new = False
            self._replica = yield self._in_thread(self._cached)

    def _cached(self) -> Replica:
        """The last good state on the disk. In a thread."""
        replica = self._replica
        if self._cache is not None:
            try:
                with collector_at_rest():
                    for lines in self._cache.blocks():
                        replica = replica.amended(lines)
            except (MalformedError, OSError) as error:
                self.counts.cache_failed += 1
                _log.error("the kept state of the repository is not good from here on: {error}", error=error)
        return replica

    def _failed(self, error: Exception) -> None:
        self.counts.failed += 1
        self._is_doubtful = not isinstance(error, UnreachableError)
        if not isinstance(error, RealmGatewayError):
            _log.failure("a fault of ours about {url}", url=self._source.url)
        elif not self.fault:
            _log.error("no good answer from the repository: {error}", error=error)
        self.fault = str(error) or type(error).__name__

    def _known(self) -> Snapshot:
        """What is known, with the present fault as a problem."""
        known = self._replica.snapshot
        if not self.fault:
            return known
        stands = f"version {known.version} counts" if known.version else "nothing is known of what it has"
        return attrs.evolve(known, problems=(f"{self.fault}; {stands}", *known.problems))

    def _sleep(self, delay: float) -> Deferred[None]:
        done: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = self._clock.callLater(delay, done.callback, None)
        return done


@attrs.frozen(eq=False)
class Surroundings:
    """Time, chance and threads."""

    clock: Any
    """Twisted's reactor, or a `task.Clock`."""
    in_thread: Callable[..., Deferred[Any]]
    """Calls a function in a thread: `in_thread(function, *args)`."""
    random: Callable[[], float]
    """Gives numbers from 0 to below 1."""


def rest_repository(settings: Settings, state: Path, reactor: Any, random: Callable[[], float]) -> RestRepository:
    """The repository of a configuration, whose `url` is not None.

    Args:
        settings: Where and how.
        state: The folder for what must outlive the gateway.
        reactor: Twisted's.
        random: Gives numbers from 0 to below 1.

    Raises:
        PlatformError: A file that the settings name can not be used.
    """

    def in_thread(function: Callable[..., _T], *args: Any) -> Deferred[_T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function, *args)

    cache = Cache(state / CACHE, os.fsync) if settings.cache else None
    return RestRepository(Web(settings, reactor), settings, cache, Surroundings(reactor, in_thread, random))


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
    from twisted.internet import reactor  # noqa: PLC0415 - importing it any sooner would install the default one

    loop: Any = reactor
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


def _shielded(under_way: Deferred[_T]) -> Deferred[_T]:
    """The same, but to cancel it does not cancel what is under way."""
    result: Deferred[_T] = Deferred()
    under_way.chainDeferred(result)
    return result


def _ended(failure: Failure) -> None:
    if not isinstance(failure.value, CancelledError):
        _log.failure("the repository is watched no more", failure)


def _call(changed: Callable[[Snapshot], None], snapshot: Snapshot) -> None:
    try:
        changed(snapshot)
    except Exception:  # noqa: BLE001 - whatever it is: the next change must still be told
        _log.failure("a change of the repository was not taken")

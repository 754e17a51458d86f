"""A repository elsewhere: its last good state is at hand, reached or not. Edge: files, threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, inlineCallbacks, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.settings import Repository as Settings
from realmgw.config.settings import Watch
from realmgw.errors import MalformedError, RealmGatewayError
from realmgw.subscribers.exchange import head
from realmgw.subscribers.files.listing import collector_at_rest
from realmgw.subscribers.remote.backoff import Backoff
from realmgw.subscribers.remote.cache import Cache
from realmgw.subscribers.remote.port import UnreachableError, Web
from realmgw.subscribers.remote.snapshot import NOTHING, Snapshot, makes_a_difference
from realmgw.subscribers.remote.state import RemoteState

CACHE = "repository.cache"
"""The cache's name in the state folder."""
PAUSE = 0.2  # seconds
"""Between two long-polls: what changes in quick succession is read at once."""
MAX_PAUSE = 10.0  # seconds
"""The same when changes come in quick succession all the time."""
MAX_BEHIND = 600.0  # seconds
"""The longest pause before everything is asked for once more, where it could not be kept."""

_log = Logger()
_T = TypeVar("_T")


class Source(Protocol):
    """Where changes are asked for; `Web` is one."""

    url: str
    """For messages."""

    def changes(self, since: str | None, seen: str | None, wait: float) -> Deferred[IO[bytes] | None]:
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
    unchanged: int = 0
    """Answers without one: that there is none, or with what was known."""
    failed: int = 0
    """Questions without an answer, or with one that could not be used."""
    cache_failed: int = 0
    """Times that the cache could not be read or written."""


@attrs.frozen(eq=False)
class _Heard:
    """What was told, and is not in force yet."""

    snapshot: Snapshot
    """As it was told."""
    state: RemoteState
    """The state with it."""
    file: IO[bytes]
    """The answer that led there from the state in force."""


class RestRepository:
    """A repository by HTTP; see `realmgw.subscribers.service.Repository`.

    What is asked for is always what changed since the state that is in force, which is the one in the cache: what was
    told and not accepted leaves no trace.

    Attributes:
        counts: What happened.
        fault: Why the last question had no good answer; empty when it had one.
        known: What is in force.
    """

    def __init__(self, source: Source, settings: Settings, cache: Cache | None, surroundings: Surroundings) -> None:
        """Knows nothing yet.

        Args:
            source: The repository.
            settings: How changes become known.
            cache: The last good state on the disk; None: there is none.
            surroundings: Time, chance, threads, and who is told what is wrong.
        """
        self.counts = Counts()
        self.fault = ""
        self._cache_fault = ""
        self._source = source
        self._settings = settings
        self._cache = cache
        self._clock = surroundings.clock
        self._in_thread = surroundings.in_thread
        self._tell = surroundings.tell
        self._backoff = Backoff(max(settings.interval, 1.0), surroundings.random)
        self._pace = Backoff(MAX_PAUSE, surroundings.random, PAUSE)
        self._patience = Backoff(MAX_BEHIND, surroundings.random)
        self._state = RemoteState(source.url)
        self._heard: _Heard | None = None
        self._is_doubtful = False  # an answer could not be used: everything has to be asked for
        self._is_behind = False  # the cache lacks what is in force: nothing can be added to it
        self._due = 0.0  # when everything is asked for to mend that
        self._succeeded: float | None = None  # when the last good answer came
        self._begun = self._clock.seconds()
        self._lock = DeferredLock()
        self._following: Deferred[None] | None = None

    @property
    def known(self) -> Snapshot:
        """What is in force, and kept."""
        return self._state.snapshot

    @inlineCallbacks
    def recalled(self) -> Any:
        """Reads the last good state on the disk; to be called once, before `watch`."""
        self._state = yield self._in_thread(self._cached)
        self._tell_faults()
        return self.known

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
        self._forget_heard()
        yield self._source.close()

    def accept(self, snapshot: Snapshot) -> None:
        """What was told is in force: it is the last good state from now on, and kept."""
        heard = self._heard
        if heard is None or heard.snapshot is not snapshot:
            return
        self._heard, self._state = None, heard.state
        self._have_kept(heard.file)

    def report(self) -> dict[str, Any]:
        """How it is, for `status`."""
        ago = None if self._succeeded is None else round(self._clock.seconds() - self._succeeded, 3)
        known = {"version": self.known.version, "identity": self.known.identity, "hosts": len(self.known.entries)}
        withheld = None if self._heard is None else self._heard.snapshot.version
        silent = round(self._clock.seconds() - self._begun, 3) if ago is None else ago
        said = {"url": self._source.url, "answered": ago, "silent": silent, "fault": self.fault}
        return {**said, **known, "not_in_force": withheld, **attrs.asdict(self.counts)}

    @inlineCallbacks
    def _follow(self, changed: Callable[[Snapshot], None]) -> Any:
        wait = 0.0
        while True:
            begin = self._clock.seconds()
            try:
                heard = yield self.ask(wait)
            except CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is: it may be better the next time
                if self._following is None:
                    return
                self.failed(error)
                yield self._sleep(self._backoff.failed())
                continue
            self._backoff.succeeded()
            if heard is not None:
                _call(changed, heard)
            yield self._sleep(self._pause(self._clock.seconds() - begin, wait, is_news=heard is not None))
            wait = self._settings.interval if self._settings.watch is Watch.LONG_POLL else 0.0

    def _pause(self, took: float, wait: float, *, is_news: bool) -> float:
        """How long to wait after an answer that took so long, in seconds."""
        if self._settings.watch is not Watch.LONG_POLL:
            return self._settings.interval
        if took >= MAX_PAUSE:
            self._pace.succeeded()
        # a repository that does not wait when it is asked to must not be asked without a pause
        is_quick = is_news or not wait or took >= wait / 2
        return self._pace.failed() if is_quick else self._settings.interval

    @inlineCallbacks
    def ask(self, wait: float) -> Any:
        """Asks once, and takes what comes.

        Args:
            wait: How long the repository may wait for a change, in seconds.

        Returns:
            A Deferred that fires with what is to be told; None: nothing new. It fails with RealmGatewayError when there
            was no good answer; nothing has changed then.
        """
        asked = self._state
        since, seen = self._question()
        self.counts.asked += 1
        file = yield self._source.changes(since, seen, wait if seen is not None else 0.0)
        told = None
        if file is not None:
            told = yield _shielded(self._lock.run(self._take, file, asked))
        self.counts.changed += told is not None
        self.counts.unchanged += told is None
        self._well()
        return told

    def _question(self) -> tuple[str | None, str | None]:
        """Since which version changes are asked for, and which one is known; see `Web.changes`."""
        asked, heard, cache = self._state.snapshot, self._heard, self._cache
        known = asked if heard is None else heard.state.snapshot
        if self._is_doubtful or known is NOTHING:
            return None, None
        is_behind = heard is None and self._is_behind
        is_full = heard is None and cache is not None and cache.is_full
        since = None if asked is NOTHING or is_behind or is_full else asked.version
        return since, None if is_behind and self._clock.seconds() >= self._due else known.version

    @inlineCallbacks
    def _take(self, file: IO[bytes], asked: RemoteState) -> Any:
        """Takes an answer, unless another one was accepted meanwhile; returns what is to be told."""
        try:
            state = yield self._in_thread(_amended, asked, file, self._is_behind)
        except BaseException:
            file.close()
            raise
        former = asked if self._heard is None else self._heard.state
        is_new = self._state is asked and state.snapshot.version != former.snapshot.version
        if not is_new:
            if self._is_behind and self._state is former:
                self._have_kept(file)
            else:
                file.close()
            return None
        is_different = makes_a_difference(former.snapshot, state.snapshot)
        told = state.snapshot if is_different or self._heard is None else self._heard.snapshot
        self._forget_heard()
        self._heard = _Heard(told, state, file)
        if not is_different and former is asked:
            self.accept(told)  # nobody needs to be asked about what makes no difference
        return told if is_different else None

    def _forget_heard(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            heard.file.close()

    def _have_kept(self, file: IO[bytes]) -> None:
        """Has an answer that is in force added to the cache, after those before it."""
        self._lock.run(self._in_thread, self._keep, file).addBoth(lambda _: self._kept())

    def _kept(self) -> None:
        """An answer is kept, or is to be asked for once more."""
        if self._is_behind:
            self._due = self._clock.seconds() + self._patience.failed()
        else:
            self._patience.succeeded()
        self._tell_faults()

    def _keep(self, file: IO[bytes]) -> None:
        """Adds an answer to the cache. In a thread, one at a time."""
        with file:
            if self._cache is None:
                return
            file.seek(0)
            is_whole = head(file.readline()).since is None
            if self._is_behind and not is_whole:
                return  # it would stand behind a gap, and not be read
            try:
                (self._cache.replace if is_whole else self._cache.append)(file)
                self._cache_fault, self._is_behind = "", False
            except OSError as error:
                self.counts.cache_failed += 1
                self._is_behind = True
                self._cache_fault = f"the repository's state can not be kept in {self._cache.path}: {error.strerror}"

    def _cached(self) -> RemoteState:
        """The last good state on the disk. In a thread."""
        state = self._state
        if self._cache is not None:
            try:
                with collector_at_rest():
                    for lines in self._cache.blocks():
                        state = state.amended(lines)
            except (MalformedError, OSError) as error:
                self.counts.cache_failed += 1
                self._cache_fault = f"the kept state of the repository is not good from here on: {error}"
        return state

    def failed(self, error: Exception) -> None:
        """A question had no good answer."""
        self.counts.failed += 1
        self._is_doubtful = not isinstance(error, UnreachableError)
        if not isinstance(error, RealmGatewayError):
            _log.failure("a fault of ours about {url}", url=self._source.url)
        self.fault = str(error) or type(error).__name__
        self._tell_faults()

    def _well(self) -> None:
        self._succeeded = self._clock.seconds()
        self.fault, self._is_doubtful = "", False
        self._tell_faults()

    def _tell_faults(self) -> None:
        lines = [self._cache_fault] if self._cache_fault else []
        if self.fault:
            count, version = len(self.known.entries), self.known.version
            stands = f"its {count} hosts of version {version} stay" if version else "nothing is known of what it has"
            lines.append(f"no good answer from the repository: {self.fault}; {stands}")
        self._tell(lines)

    def _sleep(self, delay: float) -> Deferred[None]:
        done: Deferred[None] = Deferred(lambda _: timer.cancel())
        timer = self._clock.callLater(delay, done.callback, None)
        return done


def _amended(state: RemoteState, file: IO[bytes], is_read: bool) -> RemoteState:
    """The state after an answer; the same when that says nothing new, unless it is to be read anyway. In a thread."""
    if head(file.readline()).version == state.snapshot.version and not is_read:
        return state
    file.seek(0)
    with collector_at_rest():
        return state.amended(file)


@attrs.frozen(eq=False)
class Surroundings:
    """Time, chance, threads, and who is told what is wrong."""

    clock: Any
    """Twisted's reactor, or a `task.Clock`."""
    in_thread: Callable[..., Deferred[Any]]
    """Calls a function in a thread: `in_thread(function, *args)`."""
    random: Callable[[], float]
    """Gives numbers from 0 to below 1."""
    tell: Callable[[Iterable[str]], object] = attrs.field(default=lambda _lines: None)
    """Told all that is wrong with the repository now, a line each, whenever that may have changed."""


def rest_repository(
    settings: Settings,
    state: Path,
    reactor: Any,
    random: Callable[[], float],
    tell: Callable[[Iterable[str]], object],
) -> RestRepository:
    """The repository of a configuration, whose `url` is not None.

    Args:
        settings: Where and how.
        state: The folder for what must outlive the gateway.
        reactor: Twisted's.
        random: Gives numbers from 0 to below 1.
        tell: Told all that is wrong with the repository now, a line each, whenever that may have changed.

    Raises:
        PlatformError: A file that the settings name can not be used.
    """

    def in_thread(function: Callable[..., _T], *args: Any) -> Deferred[_T]:
        return maybeDeferred(deferToThreadPool, reactor, reactor.getThreadPool(), function, *args)

    cache = Cache(state / CACHE, os.fsync) if settings.cache else None
    return RestRepository(Web(settings, reactor), settings, cache, Surroundings(reactor, in_thread, random, tell))


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

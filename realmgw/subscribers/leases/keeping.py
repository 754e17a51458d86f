"""What is registered, on disk as it is in force: what is written, what could not be, and what is told of that.

Edge: Deferreds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.subscribers.leases.book import Lease
from realmgw.subscribers.leases.journal import Journal
from realmgw.system.worker import Worker

_log = Logger()


class Keeping:
    """The journal of what is registered.

    Args:
        journal: It; written in the worker's thread only.
        worker: That thread.
        every: All that is registered now.
        tell: Told what is wrong, in lines.

    Attributes:
        errors: How often the disk has refused something.
        astray: What is to be on disk at names where something else may be: what was written for a change that failed
            afterwards, and could not be taken back. It is written with whatever is written next.
    """

    def __init__(
        self,
        journal: Journal,
        worker: Worker,
        every: Callable[[], Collection[Lease]],
        tell: Callable[[Iterable[str]], object],
    ) -> None:
        self.errors = 0
        self.astray: dict[str, Lease | None] = {}
        self._journal = journal
        self._worker = worker
        self._every = every
        self._tell = tell
        self._wrong: dict[str, str] = {}

    def say(self, what: str, line: str = "") -> None:
        """What is wrong with something, in a line; empty: nothing any more."""
        self._wrong[what] = line
        lost = (f"registrations were damaged, and set aside: {path}" for path in self._journal.set_aside)
        self._tell((*filter(None, self._wrong.values()), *lost))

    def write(self, names: Mapping[str, Lease | None]) -> Deferred[None]:
        """Keeps what is registered at names, nothing at others (None); fires, or fails and has kept nothing of it."""
        wanted = {**self.astray, **names}
        leases = [lease for lease in wanted.values() if lease is not None]
        gone = [name for name, lease in wanted.items() if lease is None]
        done: Deferred[None] = self._worker.call(self._journal.write, leases, gone, self._every)
        return done.addCallbacks(self._written, self._unwritten)

    def take_back(self, before: Mapping[str, Lease | None]) -> Deferred[None]:
        """Names are on disk again as they were before a change that has failed; fires when that was tried."""
        self.astray.update(before)
        return self.write({}).addErrback(_kept_nevertheless)

    def _written(self, _: object) -> None:
        self.astray = {}
        self.say("disk")

    def _unwritten(self, failure: Failure) -> Failure:
        self.errors += 1
        self.say("disk", f"registrations can not be kept, so none is taken: {failure.getErrorMessage()}")
        return failure


def _kept_nevertheless(failure: Failure) -> None:
    _log.error(
        "what could not be registered is on disk until it is written again: {why}", why=failure.getErrorMessage()
    )

"""What all parts of the gateway stand on. Edge: the reactor, the clock, threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic, time
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from realmgw.config.readers import Readers
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking
from realmgw.control.health import Health, tell_kept, tell_written
from realmgw.control.running import Running
from realmgw.system.worker import WorkerThread


@attrs.frozen(eq=False)
class Context:
    """What every part may be made with, and what it tells."""

    running: Running
    """What runs: settings, subscribers, and where they come from."""
    health: Health
    """What is wrong with it."""
    reactor: Any
    """Twisted's."""
    kernel_thread: WorkerThread
    """Where the kernel is asked and told, one thing after the other."""

    readers: Readers = attrs.field(factory=Readers)
    """Who makes calls that may block."""

    @property
    def settings(self) -> Settings:
        """Those in force now."""
        return self.running.settings

    def present(self) -> float:
        """Monotonic seconds."""
        return monotonic()

    def wall(self) -> float:
        """The time of day, in seconds since 1970."""
        return time()

    def elsewhere(self, blocking: Blocking) -> Deferred[Any]:
        """Make a call that may block, where it holds up nobody."""
        return self.readers.call(blocking, reactor=self.reactor)

    def telling(self, part: str) -> Callable[[Iterable[str]], None]:
        """How a part says what is wrong with it: everything that is so at that time, nothing when all is well."""
        return partial(self.health.tell, part)

    def tell_written(self, problems: tuple[str, ...]) -> None:
        """See `realmgw.control.health.tell_written`."""
        tell_written(self.health, problems)

    def tell_kept(self, lines: tuple[str, ...]) -> None:
        """See `realmgw.control.health.tell_kept`."""
        tell_kept(self.health, lines)

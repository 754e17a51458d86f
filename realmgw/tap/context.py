"""What all parts of the gateway stand on. Edge: the reactor, threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from realmgw.config.readers import Readers
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking
from realmgw.control.health import Health
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

    def elsewhere(self, blocking: Blocking) -> Deferred[Any]:
        """Make a call that may block, where it holds up nobody."""
        return self.readers.call(blocking, reactor=self.reactor)

    def telling(self, part: str) -> Callable[[Iterable[str]], None]:
        """How a part says what is wrong with it: everything that is so at that time, nothing when all is well."""
        return partial(self.health.tell, part)

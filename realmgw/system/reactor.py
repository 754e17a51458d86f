"""Twisted's reactor, as all processes of ours have it. Edge: the reactor, time."""

from __future__ import annotations

import time
from typing import Any


def the_reactor() -> Any:
    """The reactor that is installed; importing it any sooner would install the default one.

    Its timers go by the monotonic clock. Twisted's own is the wall clock, and when that is put back, as by NTP after a
    start, every timer stands still for as long. To be called before the first timer of this process is set.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - see above

    ours: Any = reactor
    ours.seconds = time.monotonic
    return ours

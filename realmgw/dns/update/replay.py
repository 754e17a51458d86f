"""Signed updates are done once, however often they come: what was signed, and what became of it, within its time.

An update is believed for some minutes (`tsig.FUDGE`), so whoever has seen it may send it again. The memory has the
signature of each until it is not believed any more: what comes again gets the answer that it got, and nothing is done.
A time that only grows would not do in its place: servers sign several updates in one second, and UDP reorders them.

The memory is bounded. What it forgets too early, and whatever was signed before the gateway started, it knows by the
time alone: no update of that key is believed that was signed up to then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import attrs

from realmgw.dns.codec.wire import Rcode

MOST = 65536
"""So many updates are remembered."""
LENGTH = 16  # octets
"""So much of a signature tells it from all others."""


@attrs.frozen
class Once:
    """What tells an update from all others."""

    key: str
    """The name of its key."""
    mac: bytes
    """The beginning of its signature."""

    @classmethod
    def unsigned(cls, sender: tuple[object, ...], message: bytes) -> Once:
        """Of an update that is not signed: it comes again only with its sender and its ID."""
        return cls("", hashlib.sha256(repr(sender).encode() + message).digest()[:LENGTH])


@attrs.define(eq=False)
class _Done:
    """What became of one."""

    signed: int
    """When it was signed, in seconds since 1970."""
    until: int
    """From then on it is not believed."""
    rcode: Rcode
    """The answer."""


class Memory:
    """What was done.

    Args:
        now: The present, in seconds since 1970; what was signed before is not believed.
        most: So many updates are remembered.
    """

    def __init__(self, now: int, most: int = MOST) -> None:
        self._begun = now
        self._most = most
        self._done: dict[Once, _Done] = {}
        self._forgotten: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._done)

    def configure(self, keys: Collection[str]) -> None:
        """From now on there are keys of these names."""
        self._forgotten = {key: time for key, time in self._forgotten.items() if key in keys}

    def answer(self, once: Once) -> Rcode | None:
        """What became of an update; None if it was not done, as far as is known."""
        done = self._done.get(once)
        return None if done is None else done.rcode

    def is_old(self, once: Once, signed: int, now: int) -> bool:
        """Whether an update may have been done already, and that is not known any more.

        Args:
            once: It; its answer is not known.
            signed: When it was signed, in seconds since 1970.
            now: The present, likewise.
        """
        self._begun = min(self._begun, now)  # the clock was put back
        return signed < max(self._begun, self._forgotten.get(once.key, 0))

    def note(self, once: Once, signed: int, until: int, rcode: Rcode, now: int) -> None:
        """An update was answered. The arguments are those of `is_old`, and what became of it."""
        self._done[once] = _Done(signed, until, rcode)
        while self._done:
            first = next(iter(self._done))
            done = self._done[first]
            if done.until > now and len(self._done) <= self._most:
                return
            del self._done[first]
            if done.until > now:
                self._forgotten[first.key] = max(self._forgotten.get(first.key, 0), done.signed + 1)

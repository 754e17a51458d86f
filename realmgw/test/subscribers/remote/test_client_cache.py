"""Tests for `realmgw.subscribers.remote.client`: when it asks for everything, and what of it is kept."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Repository
from realmgw.subscribers.exchange import MAX_LINE, Head, head_line
from realmgw.subscribers.remote.cache import MAX_CHANGES, Cache
from realmgw.subscribers.remote.client import RestRepository, Surroundings
from realmgw.test.repository.site import host, lines
from realmgw.test.subscribers.remote.test_client_pace import ScriptedSource, everything

HOSTS = tuple(("subscribers", f"h{number}.example.org.", host(number)) for number in range(8))
WAIT = 30.0  # seconds


def change(since: int, *documents: tuple[str, str, object], width: int = 0) -> bytes:
    """An answer with what led from a version to the next one, in lines of so many octets at least."""
    head = head_line(Head(f"{since + 1}-x", f"{since}-x", len(documents), "its identity"))
    return head + b"".join(line.ljust(width) + b"\n" for line in lines(*documents).splitlines())


class CacheTestCase(SynchronousTestCase):
    """A gateway with a cache, and a repository that says what it is told to."""

    def setUp(self) -> None:
        """Nothing is known, and the disk has room."""
        self.path = Path(self.mktemp())
        self.clock = Clock()
        self.source = ScriptedSource(self.clock)
        self.told: list[str] = []
        self.repository = self.gateway()

    def sync(self, descriptor: int) -> None:
        """Makes sure of what was written."""

    def gateway(self) -> RestRepository:
        """As after a start."""

        def tell(lines: object) -> None:
            self.told[:] = lines  # type: ignore[call-overload]

        surroundings = Surroundings(self.clock, maybeDeferred, lambda: 0.0, tell)
        made = RestRepository(self.source, Repository(), Cache(self.path, self.sync), surroundings)
        self.successResultOf(made.recalled())
        return made

    def ask(self, answer: bytes | None) -> tuple[str | None, str | None, float]:
        """Asks once, and believes what is answered; what was asked for."""
        self.source.answers = [answer]
        told = self.successResultOf(self.repository.ask(WAIT))
        if told is not None:
            self.repository.accept(told)
        return self.source.asked[-1][1:]

    def kept(self) -> tuple[str, int]:
        """The version that a start would have, and how many hosts."""
        known = self.gateway().known
        return known.version, len(known.entries)


class FullTests(CacheTestCase):
    """So much was added to the file that it should be written anew."""

    def test_everything_is_asked_for_when_it_changes(self) -> None:
        """Not at once, and again and again: the repository waits for the next change, and then tells all."""
        many = HOSTS[1:2] * (MAX_CHANGES // MAX_LINE + 2)
        self.assertEqual(self.ask(everything(1, *HOSTS[:1])), (None, None, 0.0))
        self.assertEqual(self.ask(change(1, *many, width=MAX_LINE - 1)), ("1-x", "1-x", WAIT))
        for _ in range(2):
            self.assertEqual(self.ask(None), (None, "2-x", WAIT))
        self.assertGreater(self.path.stat().st_size, MAX_CHANGES)
        self.ask(everything(3, *HOSTS[:3]))
        self.assertLess(self.path.stat().st_size, MAX_CHANGES)
        self.assertEqual(self.kept(), ("3-x", 3))
        self.assertEqual(self.ask(change(3, HOSTS[3])), ("3-x", "3-x", WAIT))
        self.assertEqual(self.kept(), ("4-x", 4))

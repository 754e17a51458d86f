"""Tests for `realmgw.subscribers.remote.client`: when it asks for everything, and what of it is kept."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Repository
from realmgw.errors import MalformedError
from realmgw.subscribers.exchange import MAX_LINE, Head, head_line
from realmgw.subscribers.remote.cache import MAX_CHANGES, Cache
from realmgw.subscribers.remote.client import MAX_BEHIND, RestRepository, Surroundings
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
        self.path, self.has_room = Path(self.mktemp()), True
        self.clock = Clock()
        self.source = ScriptedSource(self.clock)
        self.told: list[str] = []
        self.repository = self.gateway()

    def sync(self, descriptor: int) -> None:
        """Makes sure of what was written, while there is room."""
        del descriptor
        if not self.has_room:
            raise OSError(errno.ENOSPC, "No space left on device")

    def gateway(self) -> RestRepository:
        """As after a start."""

        def tell(lines: Iterable[str]) -> None:
            self.told = list(lines)

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
        told, known = self.told, self.gateway().known
        self.told = told
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


class BehindTests(CacheTestCase):
    """An answer could not be kept, and later ones can."""

    def assert_told(self) -> None:
        """That what is in force is not kept."""
        self.assertEqual(len(self.told), 1)
        self.assertIn("can not be kept", self.told[0])

    def fail_at(self, answer: bytes) -> None:
        """The disk is full when this is answered, and has room again afterwards."""
        self.has_room = False
        self.ask(answer)
        self.has_room = True
        self.assert_told()

    def assert_mended(self, answer: bytes, hosts: int) -> None:
        """All that is in force is asked for once more, and kept then; changes are asked for from there on."""
        version = self.repository.known.version
        self.assertEqual(self.ask(None), (None, version, WAIT), "it is tried again a moment later")
        self.clock.advance(1.0)
        self.assertEqual(self.ask(answer), (None, None, 0.0))
        self.assertEqual((self.kept(), self.told), ((version, hosts), []))
        self.assertEqual(self.ask(None), (version, version, WAIT))

    def test_a_change_that_was_not_kept_is_made_up_for(self) -> None:
        """By everything, at the version in force."""
        self.ask(everything(1, *HOSTS[:1]))
        self.fail_at(change(1, HOSTS[1]))
        before = self.repository.known
        self.assert_mended(everything(2, *HOSTS[:2]), 2)
        self.assertIs(self.repository.known, before)

    def test_everything_that_was_not_kept_is_made_up_for(self) -> None:
        """Also where there is no file yet."""
        self.fail_at(everything(1, *HOSTS[:1]))
        self.assertEqual(self.kept(), ("", 0))
        self.assert_mended(everything(1, *HOSTS[:1]), 1)

    def test_no_change_stands_behind_a_gap(self) -> None:
        """A start has what was good before it, until everything has come; that may be with the next change."""
        self.ask(everything(1, *HOSTS[:1]))
        self.fail_at(change(1, HOSTS[1]))
        self.ask(change(2, HOSTS[2]))
        self.assertEqual((self.kept(), self.repository.known.version), (("1-x", 1), "3-x"))
        self.assert_told()
        self.ask(everything(4, *HOSTS[:4]))
        self.assertEqual((self.kept(), self.told), (("4-x", 4), []))

    def test_what_is_no_good_is_not_kept(self) -> None:
        """Though it says that it is the version in force."""
        self.ask(everything(1, *HOSTS[:1]))
        self.fail_at(change(1, HOSTS[1]))
        self.clock.advance(1.0)
        self.source.answers = [everything(2, *HOSTS[:2])[:-9]]
        self.failureResultOf(self.repository.ask(WAIT), MalformedError)
        self.assertEqual(self.kept(), ("1-x", 1))

    def test_a_disk_that_stays_full_is_tried_more_and_more_seldom(self) -> None:
        """The repository does not tell all that it has each time; changes are in force all the same."""
        self.ask(everything(1, *HOSTS[:1]))
        self.fail_at(change(1, HOSTS[1]))
        self.has_room = False
        changes = self.source.changes

        def waiting(since: str | None, seen: str | None, wait: float) -> Deferred[IO[bytes] | None]:
            self.source.answers = [None if seen == "2-x" else everything(2, *HOSTS[:2])]
            return changes(since, seen, wait)

        self.patch(self.source, "changes", waiting)
        begin = len(self.source.asked)
        for _ in range(120):
            self.clock.advance(WAIT)
            self.successResultOf(self.repository.ask(WAIT))
        whole = [each for each in self.source.asked[begin:] if each[2] is None]
        self.assertGreater(len(whole), 3600 / MAX_BEHIND)
        self.assertLess(len(whole), 25)
        self.assert_told()

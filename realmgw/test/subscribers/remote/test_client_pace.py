"""Tests for `realmgw.subscribers.remote.client`: how often it asks, by the clock."""

from __future__ import annotations

from io import BytesIO
from typing import IO

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Repository
from realmgw.subscribers.exchange import Head, head_line
from realmgw.subscribers.remote.client import MAX_PAUSE, RestRepository, Surroundings
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.test.repository.site import host, lines


class ScriptedSource:
    """A repository that answers at once, whatever it is asked.

    Attributes:
        answers: What it says, from first to last; the last one again and again.
        asked: When it was asked what.
    """

    url = "https://db.example.org"

    def __init__(self, clock: Clock, *answers: bytes | None) -> None:
        """It says nothing before it is asked."""
        self._clock = clock
        self.answers = list(answers)
        self.asked: list[tuple[float, str | None, str | None, float]] = []

    def changes(self, since: str | None, seen: str | None, wait: float) -> Deferred[IO[bytes] | None]:
        """The next answer."""
        self.asked.append((self._clock.seconds(), since, seen, wait))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        return succeed(None if answer is None else BytesIO(answer))

    def close(self) -> Deferred[None]:
        """Nothing is open."""
        return succeed(None)


def everything(version: int, *documents: tuple[str, str, object]) -> bytes:
    """An answer with all that there is."""
    return head_line(Head(f"{version}-x", None, len(documents), "its identity")) + lines(*documents)


class PaceTests(SynchronousTestCase):
    """Repositories that answer more often than anything can change."""

    def follow(self, *answers: bytes | None, seconds: int = 120) -> tuple[ScriptedSource, list[Snapshot]]:
        """What is asked of such a repository, and told of it, within some time."""
        clock = Clock()
        source, told = ScriptedSource(clock, *answers), list[Snapshot]()
        surroundings = Surroundings(clock, maybeDeferred, lambda: 0.0)
        repository = RestRepository(source, Repository(), None, surroundings)
        self.successResultOf(repository.recalled())

        def believe(snapshot: Snapshot) -> None:
            told.append(snapshot)
            repository.accept(snapshot)

        repository.watch(believe)
        for _ in range(10 * seconds):
            clock.advance(0.1)
        self.successResultOf(repository.unwatch())
        return source, told

    def test_what_is_said_again_and_again_is_told_once(self) -> None:
        """And it is not asked more often than at the interval."""
        answer = everything(1, ("subscribers", "a.example.org.", host(1)))
        source, told = self.follow(answer)
        self.assertEqual(len(told), 1)
        self.assertLessEqual(len(source.asked), 2 + 120 / 30)
        self.assertEqual(source.asked[-1][1:], ("1-x", "1-x", 30.0))

    def test_a_new_version_of_the_same_is_not_told(self) -> None:
        """It makes no difference to anybody."""
        answers = [everything(number, ("subscribers", "a.example.org.", host(1))) for number in range(50)]
        source, told = self.follow(*answers)
        self.assertEqual(len(told), 1)
        self.assertGreater(len(source.asked), 2)
        self.assertEqual(source.asked[-1][1], f"{len(source.asked) - 2}-x", "it is what is known all the same")

    def test_changes_without_end_are_told_more_and_more_seldom(self) -> None:
        """The first ones in quick succession: five reloads a second, for ever, are nobody's wish."""
        answers = [everything(number, ("subscribers", "a.example.org.", host(number))) for number in range(500)]
        source, told = self.follow(*answers)
        times = [asked[0] for asked in source.asked]
        self.assertLessEqual(times[3], 1.0)
        self.assertLessEqual(len(told), 6 + 120 / (MAX_PAUSE / 2))

    def test_no_change_is_told_when_the_repository_does_not_wait(self) -> None:
        """It is asked at the interval then."""
        source, told = self.follow(everything(1), None)
        self.assertEqual(len(told), 1)
        self.assertLessEqual(len(source.asked), 2 + 120 / 30)

"""Gateways that follow a repository over loopback, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks

from realmgw.config.settings import Repository
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.remote.client import Counts, rest_repository
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.test.repository.site import LINES, WRITE_TOKEN, SiteTestCase, host, lines


def names(snapshot: Snapshot) -> list[str]:
    """The hosts' names without the zone."""
    return sorted(name.removesuffix(".example.org.") for name in snapshot.entries)


class Gateway:
    """What follows a repository, and believes all that it says.

    Attributes:
        repository: Its own side.
        troubles: What is wrong, as it was told last.
    """

    def __init__(self, settings: Repository, state: Path) -> None:
        """Knows nothing yet."""
        self.troubles: list[str] = []
        self.repository = rest_repository(settings, state, reactor, lambda: 0.0, self.tell)
        self._is_new = True

    @property
    def counts(self) -> Counts:
        """What happened."""
        return self.repository.counts

    def tell(self, lines: Iterable[str]) -> None:
        """Notes what is wrong."""
        self.troubles = list(lines)

    @inlineCallbacks
    def snapshot(self) -> Any:
        """Asks once; what is known then."""
        if self._is_new:
            self._is_new = False
            yield self.repository.recalled()
        try:
            told = yield self.repository.ask(0.0)
        except RealmGatewayError as error:
            self.repository.failed(error)
        else:
            if told is not None:
                self.repository.accept(told)
        yield self.repository._lock.run(lambda: None)  # what is to be kept is kept
        return self.repository.known

    def watch(self, changed: Callable[[Snapshot], object]) -> None:
        """Asks for changes."""

        def believe(snapshot: Snapshot) -> None:
            changed(snapshot)
            self.repository.accept(snapshot)

        self.repository.watch(believe)


class ClientTestCase(SiteTestCase):
    """A repository, and gateways that ask it."""

    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for it
        """A server with two subscribers, and a folder for the state."""
        yield super().setUp()
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.settings = Repository(url=self.url, timeout=5.0, interval=20.0)
        self.made: list[Gateway] = []
        self.addCleanup(self.clean)
        body = lines(("subscribers", "a.example.org", host(1)), ("subscribers", "b.example.org", host(2)))
        yield self.ask("POST", "/v1/import", body, LINES, authorization=f"Bearer {WRITE_TOKEN}")

    @inlineCallbacks
    def clean(self) -> Any:
        """Ends what asks."""
        for each in self.made:
            yield each.repository.unwatch()

    def gateway(self, **more: Any) -> Gateway:
        """A gateway's repository, as after a start."""
        made = Gateway(attrs.evolve(self.settings, **more), self.state)
        self.made.append(made)
        return made

    @inlineCallbacks
    def put(self, name: str, value: object) -> Any:
        """Writes a subscriber."""
        yield self.ask("PUT", f"/v1/subscribers/{name}", value, if_match="*")

    @inlineCallbacks
    def add(self, name: str, value: object) -> Any:
        """Makes a subscriber."""
        got = yield self.ask("PUT", f"/v1/subscribers/{name}", value)
        self.assertEqual(got.status, 201, got.body)

"""Tests for `realmgw.control.apply`: reloads that do not fit into the memory."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import Blocking
from realmgw.control.apply import Status
from realmgw.subscribers.registry import Changes
from realmgw.test.control.parts import TestGateway, only


class NoMemoryTests(SynchronousTestCase):
    """It is found out before anything is changed; what runs goes on."""

    def setUp(self) -> None:
        """A gateway with two subscribers."""
        self.gateway = TestGateway(Path(self.mktemp()))

    def assert_refused(self) -> None:
        """All is as it was."""
        outcome = only(self.gateway.reload())
        self.assertEqual(outcome.status, Status.REFUSED, outcome)
        self.assertIn("there is not enough memory for what is written", outcome.problems[0])
        self.assertEqual((self.gateway.names, self.gateway.parts.calls), (["a.example.org.", "b.example.org."], []))

    def test_what_is_written_does_not_fit(self) -> None:
        """While it is compared with what is in force."""

        def starving(*_: object) -> Generator[None, None, Changes]:
            yield
            raise MemoryError

        self.gateway.parts.prepare = starving  # type: ignore[assignment,method-assign]  # for this test
        self.assert_refused()

    def test_a_file_can_not_be_read(self) -> None:
        """Nor a folder, whichever of them: that is done in threads, which meet the same."""
        wanted: list[str] = []

        def starving(blocking: Blocking) -> Deferred[Any]:
            wanted.append(blocking.where)
            return fail(MemoryError()) if len(wanted) == number else maybeDeferred(blocking.call)

        reloader = self.gateway.reloader
        reloader._parts = attrs.evolve(reloader._parts, elsewhere=starving)
        self.gateway.write("c.yaml", c="192.168.0.3")
        for number in (1, 2, 3):
            self.assert_refused()
            self.assertEqual(len(wanted), number, wanted)
            wanted.clear()

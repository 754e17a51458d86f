"""Tests for `realmgw.repository.service`: databases that are new, lost, put back, or somebody else's."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import TestCase

from realmgw.errors import PlatformError
from realmgw.repository import store
from realmgw.repository.conditions import Condition
from realmgw.repository.service import StoreService
from realmgw.subscribers.exchange import Kind


class IdentityTests(TestCase):
    """A repository is its database."""

    def setUp(self) -> None:
        """A folder that is not there yet."""
        self.path = Path(self.mktemp()) / "lib" / "repository.sqlite"

    @inlineCallbacks
    def serve(self) -> Any:
        """Opens the database and closes it again; its identity."""
        service = StoreService(self.path, reactor)
        yield service.startService()
        service.stopService()
        return service.identity

    @inlineCallbacks
    def test_stays_with_the_database(self) -> Any:
        """Also when that was put back from a copy, in another place; a new database has another one."""
        first = yield self.serve()
        self.assertEqual((yield self.serve()), first)
        former, self.path = self.path, self.path.with_name("copy.sqlite")
        shutil.copy(former, self.path)
        self.assertEqual((yield self.serve()), first)
        self.path = self.path.with_name("other.sqlite")
        self.assertNotEqual((yield self.serve()), first)

    @inlineCallbacks
    def test_a_database_that_is_gone_is_not_made_again(self) -> Any:
        """An empty repository would be served in its place. Nor is one that is empty; the message says what to do."""
        identity = yield self.serve()
        for lose in (self.path.unlink, lambda: self.path.write_bytes(b"")):
            lose()
            error = yield self.assertFailure(self.serve(), PlatformError)
            for word in ("gone or empty", identity, "put a copy of it back", f"remove {self.path}.identity"):
                self.assertIn(word, str(error))
        self.path.unlink()
        self.assertRaises(FileNotFoundError, self.path.stat)

    @inlineCallbacks
    def test_who_removes_the_mark_begins_anew(self) -> Any:
        """With another identity."""
        first = yield self.serve()
        self.path.unlink()
        self.path.with_name(f"{self.path.name}.identity").unlink()
        self.assertNotEqual((yield self.serve()), first)

    @inlineCallbacks
    def test_a_database_that_goes_away_while_it_is_open_is_not_written_to(self) -> Any:
        """What would be written is lost with it; and no other file is made in its place."""
        service = StoreService(self.path, reactor)
        yield service.startService()
        self.addCleanup(service.stopService)
        yield service.write(store.put, Kind.POLICY, "p", {}, Condition())
        kept = self.path.rename(self.path.with_name("kept"))
        yield self.assertFailure(service.read(store.count), sqlite3.OperationalError)
        writing = service.write(store.put, Kind.POLICY, "q", {}, Condition())
        error = yield self.assertFailure(writing, sqlite3.OperationalError)
        self.assertIn("was removed or exchanged", str(error))
        self.assertFalse(self.path.exists())
        kept.rename(self.path)
        self.assertEqual((yield service.read(store.count)), {"subscribers": 0, "policies": 1})

    @inlineCallbacks
    def test_an_older_database_gets_an_identity(self) -> Any:
        """And keeps its documents."""
        self.path.parent.mkdir(parents=True)
        with sqlite3.connect(self.path) as connection:
            for statement in store._STEPS[0]:  # what was made before there was one
                connection.execute(statement)
            connection.execute("INSERT INTO document VALUES ('policies', 'p', 0, '{}')")
            connection.execute("PRAGMA user_version = 1")
        service = StoreService(self.path, reactor)
        yield service.startService()
        self.assertEqual((yield service.read(store.count)), {"subscribers": 0, "policies": 1})
        self.assertEqual(len(service.identity), 32)
        service.stopService()

    @inlineCallbacks
    def test_what_is_no_database_is_told(self) -> Any:
        """A folder, a pipe that would be waited for, a text; and a folder that can not be made."""
        self.path.parent.mkdir(parents=True)
        for make in (self.path.mkdir, lambda: os.mkfifo(self.path), lambda: self.path.write_text("a text " * 1000)):
            make()
            error = yield self.assertFailure(self.serve(), PlatformError)
            self.assertIn(f"{self.path} can not be used as the database", str(error))
            self.path.rmdir() if self.path.is_dir() else self.path.unlink()
        self.path.write_text("")
        self.path = self.path / "below" / "db"
        error = yield self.assertFailure(self.serve(), PlatformError)
        self.assertIn("can not be made", str(error))

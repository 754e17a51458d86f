"""Tests for `realmgw.repository.store`, beside a model of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.repository import store
from realmgw.repository.conditions import Condition, tags
from realmgw.repository.imports import Import
from realmgw.repository.refusals import RefusedError
from realmgw.subscribers.exchange import Kind
from realmgw.test.repository.site import host, lines

T = TypeVar("T")
ANY = Condition(tags("*"))
FREE = Condition(None, tags('"no-such-tag"'))
NAMES = st.sampled_from(["a.example.org.", "b.example.org.", "c.example.org.", "d.example.org."])
HOSTS = st.builds(host, st.integers(1, 4), max_claims=st.integers(0, 2))
DOCUMENTS = st.lists(st.tuples(NAMES, st.none() | HOSTS), max_size=5, unique_by=lambda each: each[0])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, HOSTS),
        st.tuples(st.just("patch"), NAMES, st.builds(dict, max_claims=st.none() | st.integers(0, 2))),
        st.tuples(st.just("delete"), NAMES, st.none()),
        st.tuples(st.sampled_from(["merge", "replace"]), DOCUMENTS, st.none()),
    ),
    max_size=12,
)
Model = dict[str, dict[str, object]]


class Database:
    """A store in memory."""

    def __init__(self) -> None:
        """An empty one."""
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        store.prepare(self.connection)
        self.run(store.create)

    def run(self, function: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Calls a function in a transaction of its own."""
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            result = function(cursor, *args, **kwargs)
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()
        return result

    def state(self, since: str | None = None) -> tuple[str | None, dict[str, object]]:
        """What an export has, and since when."""

        def export(cursor: store.Cursor) -> tuple[str | None, dict[str, object]]:
            head, exported = store.export(cursor, since)
            documents = [json.loads(line) for line in exported]
            assert head.count == len(documents)
            return head.since, {document["name"]: document["value"] for document in documents}

        return self.run(export)


def import_lines(cursor: store.Cursor, body: bytes, *, replacing: bool) -> object:
    """An import."""
    return Import(cursor).run(body.splitlines(keepends=True), replacing=replacing)


def expected(model: Model, step: tuple[str, Any, Any]) -> Model | None:
    """The model after a step; None when that is refused."""
    what, name, value = step
    after: dict[str, Any] = dict(model)
    if what in ("merge", "replace"):
        after = {**({} if what == "replace" else model), **dict(name)}
        after = {each: said for each, said in after.items() if said is not None}
    elif what == "put":
        after[name] = value
    elif name not in model:
        return None
    elif what == "delete":
        del after[name]
    else:
        after[name] = {key: said for key, said in {**model[name], **value}.items() if said is not None}
    addresses = [said["address"] for said in after.values()]
    return after if len(set(addresses)) == len(addresses) else None


def run(database: Database, step: tuple[str, Any, Any]) -> None:
    """A step on the database."""
    what, name, value = step
    if what in ("merge", "replace"):
        body = lines(*(("subscribers", each, said) for each, said in name))
        database.run(import_lines, body, replacing=what == "replace")
    elif what == "put":
        database.run(store.put, Kind.SUBSCRIBER, name, value, FREE)
    elif what == "patch":
        database.run(store.patch, Kind.SUBSCRIBER, name, value, ANY)
    else:
        database.run(store.delete, Kind.SUBSCRIBER, name, ANY)


class ModelTests(SynchronousTestCase):
    """Random steps."""

    @settings(max_examples=150, deadline=None)
    @given(STEPS)
    def test_the_store_does_what_the_model_does(self, steps: list[tuple[str, Any, Any]]) -> None:
        """A refused step changes nothing; what changed since any version leads from its state to the present one."""
        database, model = Database(), Model()
        past = {database.run(store.version): model}
        for step in steps:
            after = expected(model, step)
            if after is None:
                self.assertRaises(RefusedError, run, database, step)
            else:
                run(database, step)
                model = after
            self.assertEqual(database.state(), (None, model))
            past[database.run(store.version)] = model
        for version, before in past.items():
            since, changes = database.state(version)
            self.assertEqual(since, version)
            present = {name: value for name, value in {**before, **changes}.items() if value is not None}
            self.assertEqual(present, model)

    @settings(max_examples=50, deadline=None)
    @given(STEPS)
    def test_equal_content_is_no_new_version(self, steps: list[tuple[str, Any, Any]]) -> None:
        """Importing what is there changes nothing."""
        database, model = Database(), Model()
        for step in steps:
            after = expected(model, step)
            if after is not None:
                run(database, step)
                model = after
        before = database.run(store.version)
        run(database, ("replace", list(model.items()), None))
        self.assertEqual(database.run(store.version), before)


class VersionTests(SynchronousTestCase):
    """What is remembered."""

    def test_old_versions_are_forgotten(self) -> None:
        """Then everything is exported, and deleted documents leave nothing behind."""
        database = Database()
        first = database.run(store.version)
        database.run(store.put, Kind.POLICY, "p", {}, FREE)
        database.run(store.delete, Kind.POLICY, "p", ANY)
        for _ in range(store.RETAINED + 1):
            database.connection.execute("BEGIN")
            store.begin_version(database.connection.cursor())
            database.connection.commit()
        self.assertEqual(database.state(first), (None, {}))
        rows = database.connection.execute("SELECT count(*) FROM document").fetchall()
        self.assertEqual(rows, [(0,)])

    def test_a_version_of_another_life_is_not_known(self) -> None:
        """The number alone does not make it."""
        database, other = Database(), Database()
        self.assertNotEqual(database.run(store.version), other.run(store.version))
        self.assertIs(database.state(other.run(store.version))[0], None)

    def test_addresses_of_ipv6_that_were_not_read_before_are_claimed(self) -> None:
        """Of documents of an earlier version, by who comes first; what can not be read is left as it is."""
        database = Database()
        for name, text in (
            ("a", '{"ID": {"IPV4": ["192.168.0.1"], "IPV6": ["FD00:0::1"]}}'),
            ("b", '{"ID": {"IPV4": ["192.168.0.2"], "ipv6": ["fd00::1", "fd00::2"]}}'),
            ("c", '{"ID": {"IPV4": ["192.168.0.3"], "IPV6": "none"}}'),
        ):
            database.connection.execute(
                "INSERT INTO document VALUES ('subscribers', ?, 0, ?)", (f"{name}.example.org.", text)
            )
        database.connection.execute("PRAGMA user_version = 2")
        database.run(store.create)
        claims = dict(database.connection.execute("SELECT what, owner FROM claim WHERE what LIKE 'fd%'").fetchall())
        self.assertEqual(claims, {"fd00::1": "a.example.org.", "fd00::2": "b.example.org."})
        self.assertEqual(database.run(store.count)["subscribers"], 3)

    def test_addresses_of_ipv6_belong_to_one_subscriber(self) -> None:
        """However they are written; the fault is told where the address stands."""
        database = Database()
        database.run(store.put, Kind.SUBSCRIBER, "a.example.org.", {"address": "fd00::1"}, FREE)
        other = {"address": ["192.168.0.2", "FD00:0:0::1"]}
        error = self.assertRaises(RefusedError, database.run, store.put, Kind.SUBSCRIBER, "b.example.org.", other, FREE)
        [fault] = error.faults
        self.assertEqual((fault.pointer, fault.text), ("/address/1", "fd00::1 belongs to a.example.org. already"))

    def test_a_database_of_another_format_is_refused(self) -> None:
        """It is left alone."""
        database = Database()
        database.connection.execute("PRAGMA user_version = 99")
        self.assertIn("format 99", str(self.assertRaises(PlatformError, database.run, store.create)))

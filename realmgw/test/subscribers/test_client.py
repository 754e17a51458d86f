"""Tests for `realmgw.subscribers.client`, against a repository's server over loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import attrs
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from realmgw.config.settings import Repository, Watch
from realmgw.errors import PlatformError
from realmgw.repository.port import RepositorySite
from realmgw.repository.server import root
from realmgw.repository.tap import tls_options
from realmgw.repository.tokens import Tokens
from realmgw.subscribers.client import CACHE, RestRepository, rest_repository, send
from realmgw.subscribers.port import UnreachableError, Web
from realmgw.subscribers.snapshot import Snapshot, difference
from realmgw.test.repository.site import LINES, READ_TOKEN, WRITE_TOKEN, SiteTestCase, host, lines
from realmgw.test.subscribers.authority import Authority


def names(snapshot: Snapshot) -> list[str]:
    """The hosts' names without the zone."""
    return sorted(name.removesuffix(".example.org.") for name in snapshot.entries)


class ClientTestCase(SiteTestCase):
    """A repository, and gateways that ask it."""

    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for it
        """A server with two subscribers, and a folder for the state."""
        yield super().setUp()
        self.state = Path(self.mktemp())
        self.state.mkdir()
        self.settings = Repository(url=self.url, timeout=5.0, interval=20.0)
        self.made: list[RestRepository] = []
        self.addCleanup(self.clean)
        body = lines(("subscribers", "a.example.org", host(1)), ("subscribers", "b.example.org", host(2)))
        yield self.ask("POST", "/v1/import", body, LINES, authorization=f"Bearer {WRITE_TOKEN}")

    @inlineCallbacks
    def clean(self) -> Any:
        """Ends what asks."""
        for each in self.made:
            yield each.unwatch()

    def gateway(self, **more: Any) -> RestRepository:
        """A gateway's repository, as after a start."""
        settings = attrs.evolve(self.settings, **more)
        made = rest_repository(settings, self.state, reactor, lambda: 0.0)
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


class SnapshotTests(ClientTestCase):
    """Asking once."""

    @inlineCallbacks
    def test_has_what_the_repository_has(self) -> Any:
        """Subscribers and policies, under its version."""
        yield self.ask("PUT", "/v1/policies/p", {"max_claims": 3})
        got = yield self.gateway().snapshot()
        self.assertEqual((names(got), got.policies, got.problems), (["a", "b"], {"p": {"max_claims": 3}}, ()))
        self.assertEqual(got.version, self.documents.version)

    @inlineCallbacks
    def test_what_did_not_change_is_the_same_object(self) -> Any:
        """Only what changed is asked for."""
        repository = self.gateway()
        before = yield repository.snapshot()
        self.assertIs((yield repository.snapshot()), before)
        yield self.put("a.example.org", host(1, max_claims=7))
        yield self.add("c.example.org", host(3))
        yield self.ask("DELETE", "/v1/subscribers/b.example.org", if_match="*")
        after = yield repository.snapshot()
        found = difference(before, after)
        self.assertEqual((found.added, found.removed), ({"c.example.org."}, {"b.example.org."}))
        self.assertEqual(found.changed, {"a.example.org."})
        self.assertEqual((repository.counts.asked, repository.counts.changed), (3, 2))

    @inlineCallbacks
    def test_the_last_good_state_outlives_gateway_and_repository(self) -> Any:
        """Changes too; that the repository is not there is told."""
        repository = self.gateway()
        yield repository.snapshot()
        yield self.add("c.example.org", host(3))
        before = yield repository.snapshot()
        yield self.tearDown()
        after = yield self.gateway().snapshot()
        yield self.open()
        self.assertEqual((names(after), after.version), (["a", "b", "c"], before.version))
        self.assertIn(f"version {before.version} counts", after.problems[0])
        self.assertEqual((self.state / CACHE).stat().st_mode & 0o777, 0o600)

    @inlineCallbacks
    def test_without_repository_and_cache_nothing_is_known(self) -> Any:
        """And that is told."""
        yield self.tearDown()
        got = yield self.gateway().snapshot()
        yield self.open()
        self.assertEqual(names(got), [])
        self.assertIn("nothing is known", got.problems[0])

    @inlineCallbacks
    def test_a_damaged_cache_is_ignored_loudly(self) -> Any:
        """And written anew from the repository."""
        yield self.gateway().snapshot()
        path = self.state / CACHE
        good = path.read_bytes()
        path.write_bytes(good[:-5] + b"x" + good[-4:])
        repository = self.gateway()
        got = yield repository.snapshot()
        self.assertEqual((names(got), repository.counts.cache_failed), (["a", "b"], 1))
        self.assertEqual(path.read_bytes(), good)

    @inlineCallbacks
    def test_a_repository_of_another_life_is_read_as_a_whole(self) -> Any:
        """As after a backup was put back: what is only there is found, what is not is gone."""
        repository = self.gateway()
        before = yield repository.snapshot()
        yield self.tearDown()
        for path in self.database.parent.iterdir():
            path.unlink()
        yield self.open(self.number)
        yield self.add("b.example.org", host(2))
        yield self.add("c.example.org", host(3))
        after = yield repository.snapshot()
        self.assertEqual((names(after), after.problems), (["b", "c"], ()))
        self.assertIs(after.entries["b.example.org."], before.entries["b.example.org."])

    @inlineCallbacks
    def test_documents_can_be_sent(self) -> Any:
        """In batches, with the progress; what is refused is told."""
        web, seen = Web(self.settings, reactor), list[int]()
        some = [lines(("subscribers", f"h{number}.example.org", host(number + 9))) for number in range(2500)]
        sent = yield send(web, some, seen.append)
        self.assertEqual((sent.changed, sent.unchanged, seen), (2500, 0, [2000, 2500]))
        error = yield self.assertFailure(send(web, [lines(("policies", "p", []))], seen.append), UnreachableError)
        self.assertIn("422", str(error))
        self.assertIn("/0/value", str(error))
        yield web.close()


class WatchTests(ClientTestCase):
    """Asking again and again."""

    def heard(self) -> tuple[list[Snapshot], Any]:
        """Snapshots that a watcher was told, and a function that waits for so many of them."""
        told: list[Snapshot] = []

        @inlineCallbacks
        def until(count: int) -> Any:
            while len(told) < count:
                yield deferLater(cast(Any, reactor), 0.02, lambda: None)

        return told, until

    @inlineCallbacks
    def test_a_change_is_told_at_once(self) -> Any:
        """The repository answers when there is one."""
        repository = self.gateway()
        yield repository.snapshot()
        told, until = self.heard()
        repository.watch(told.append)
        yield self.add("c.example.org", host(3))
        yield until(1)
        yield self.add("d.example.org", host(4))
        yield until(2)
        self.assertEqual([names(each) for each in told], [["a", "b", "c"], ["a", "b", "c", "d"]])
        yield repository.unwatch()
        yield self.add("e.example.org", host(5))
        self.assertEqual(len(told), 2)

    @inlineCallbacks
    def test_a_change_is_found_by_asking_again(self) -> Any:
        """Where the repository shall not wait."""
        repository = self.gateway(watch=Watch.INTERVAL, interval=0.1)
        yield repository.snapshot()
        told, until = self.heard()
        repository.watch(told.append)
        yield self.add("c.example.org", host(3))
        yield until(1)
        self.assertEqual(names(told[0]), ["a", "b", "c"])

    @inlineCallbacks
    def test_a_repository_that_comes_back_is_asked_again(self) -> Any:
        """After a pause that grows with each failure."""
        repository = self.gateway(interval=1.0)
        yield repository.snapshot()
        told, until = self.heard()
        repository.watch(told.append)
        yield self.tearDown()
        while repository.counts.failed < 2:
            yield deferLater(cast(Any, reactor), 0.02, lambda: None)
        self.assertNotEqual(repository.fault, "")
        yield self.open(self.number)
        yield self.add("c.example.org", host(3))
        yield until(1)
        self.assertEqual((names(told[0]), repository.fault), (["a", "b", "c"], ""))

    @inlineCallbacks
    def test_a_watcher_that_raises_is_told_the_next_change(self) -> Any:
        """His fault is logged."""
        repository = self.gateway()
        yield repository.snapshot()
        told, until = self.heard()

        def raising(snapshot: Snapshot) -> None:
            told.append(snapshot)
            raise ZeroDivisionError

        repository.watch(raising)
        yield self.add("c.example.org", host(3))
        yield until(1)
        yield self.add("d.example.org", host(4))
        yield until(2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class SecureTests(ClientTestCase):
    """TLS and tokens."""

    tokens = Tokens(WRITE_TOKEN, READ_TOKEN)

    @inlineCallbacks
    def setUp(self) -> Any:  # type: ignore[override]  # trial waits for it
        """The server listens with a certificate for localhost too."""
        yield super().setUp()
        self.authority = Authority(self.state)
        self.token = self.state / "token"
        self.token.write_text(f"{READ_TOKEN}\n")
        yield self.listen("localhost")

    @inlineCallbacks
    def listen(self, name: str) -> Any:
        """Listens with a certificate for a name."""
        factory = RepositorySite(root(self.documents), self.tokens)
        options = tls_options(*self.authority.issue(name))
        port = cast(Any, reactor).listenSSL(0, factory, options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.settings = attrs.evolve(
            self.settings,
            url=f"https://localhost:{port.getHost().port}",
            token_file=self.token,
            ca_file=self.authority.path,
        )
        yield None

    @inlineCallbacks
    def test_a_repository_with_the_right_name_is_believed(self) -> Any:
        """Signed by the authority that the settings name."""
        got = yield self.gateway().snapshot()
        self.assertEqual((names(got), got.problems), (["a", "b"], ()))

    @inlineCallbacks
    def test_a_certificate_for_another_name_is_refused(self) -> Any:
        """Though the authority is the right one."""
        yield self.listen("repository.example.org")
        got = yield self.gateway().snapshot()
        self.assertEqual(names(got), [])
        self.assertIn("localhost", got.problems[0])

    @inlineCallbacks
    def test_a_certificate_of_another_authority_is_refused(self) -> Any:
        """Though the name is the right one."""
        folder = self.state / "other"
        folder.mkdir()
        for other in (Authority(folder).path, None):
            got = yield self.gateway(ca_file=other).snapshot()
            self.assertEqual(names(got), [])
            self.assertIn("certificate", got.problems[0])

    @inlineCallbacks
    def test_without_the_token_nothing_is_told(self) -> Any:
        """A file that is not there says so; one that comes later is read."""
        self.token.write_text("another-token-than-theirs")
        repository = self.gateway()
        self.assertIn("401", (yield repository.snapshot()).problems[0])
        self.token.unlink()
        self.assertIn("No such file", (yield repository.snapshot()).problems[0])
        self.token.write_text(READ_TOKEN)
        self.assertEqual((yield repository.snapshot()).problems, ())

    def test_an_authority_that_is_none_is_refused_at_the_start(self) -> None:
        """It is a file of the operator's."""
        path = self.state / "none.pem"
        self.assertRaises(PlatformError, self.gateway, ca_file=path)
        path.write_text("nothing")
        self.assertRaises(PlatformError, self.gateway, ca_file=path)


class Scripted(Protocol):
    """Says the same to everybody who asks, whatever he asks."""

    answer = b""
    is_over = True

    def dataReceived(self, data: bytes) -> None:
        """Answers."""
        assert self.transport is not None
        self.transport.write(self.answer)
        if self.is_over:
            self.transport.loseConnection()


class MalformedTests(ClientTestCase):
    """Repositories that are none."""

    @inlineCallbacks
    def problem(self, answer: bytes, *, is_over: bool = True) -> Any:
        """What is told of a repository with such an answer, when a good state is known."""
        yield self.gateway().snapshot()
        factory = Factory.forProtocol(type("_", (Scripted,), {"answer": answer, "is_over": is_over}))
        port = cast(Any, reactor).listenTCP(0, factory, interface="127.0.0.1")
        url = f"http://127.0.0.1:{port.getHost().port}"
        got = yield self.gateway(url=url, timeout=0.5).snapshot()
        self.assertEqual(names(got), ["a", "b"], "the last good state counts")
        yield port.stopListening()
        return got.problems[0]

    @inlineCallbacks
    def test_what_they_say_is_not_believed(self) -> Any:
        """Each time for its own reason."""
        good = lines(("subscribers", "c.example.org", host(3)))
        head = b'{"format": 1, "version": "9-x", "since": null, "count": 1}\n'
        for body, why in (
            (b"", "no head"),
            (b"<html>", "no JSON"),
            (b'{"format": 2, "version": "9-x", "since": null, "count": 0}\n', "format 1"),
            (b'{"format": 1, "since": null, "count": 0}\n', "no version"),
            (head, "announces 1 documents, and there are 0"),
            (head + good + good, "there are more"),
            (head.replace(b"null", b'"8-y"') + good, "was not asked"),
            (head + b'{"kind": "gateways", "name": "x", "value": 1}\n', "line 2: the kind 'gateways'"),
            (head + b'"' + b"a" * 70_000 + b'"\n', "line 2: longer than"),
        ):
            fields = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            self.assertIn(why, (yield self.problem(fields + body)), body[:80])

    @inlineCallbacks
    def test_answers_that_do_not_come_are_given_up(self) -> Any:
        """At once when the connection ends, else when the time is over."""
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"
        self.assertIn("broke off", (yield self.problem(ok)))
        self.assertIn("stopped half-way", (yield self.problem(ok, is_over=False)))
        self.assertIn("in time", (yield self.problem(b"HTTP/1.1 200 OK\r\n", is_over=False)))
        self.assertIn("ParseError", (yield self.problem(b"SSH-2.0-nothing\r\n")))
        self.assertIn("500", (yield self.problem(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")))
        self.assertIn("302", (yield self.problem(b"HTTP/1.1 302 No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")))

    @inlineCallbacks
    def test_an_answer_without_end_is_given_up(self) -> Any:
        """When it is longer than any can be."""
        web = Web(self.settings, reactor, longest=50)
        error = yield self.assertFailure(web.changes(None, 0.0), UnreachableError)
        self.assertIn("too long", str(error))
        yield deferLater(cast(Any, reactor), 0.0, lambda: None)  # the connection is given back after the answer
        yield web.close()

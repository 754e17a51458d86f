"""Tests for `realmgw.subscribers.remote.client`, against a repository's server over loopback."""

from __future__ import annotations

from typing import Any, cast

import attrs
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import deferLater

from realmgw.config.settings import Watch
from realmgw.errors import PlatformError
from realmgw.repository.port import RepositorySite
from realmgw.repository.server import root
from realmgw.repository.tokens import Tokens
from realmgw.subscribers.remote.apply import send
from realmgw.subscribers.remote.client import CACHE
from realmgw.subscribers.remote.port import UnreachableError, Web
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.system.tls import tls_options
from realmgw.test.repository.site import READ_TOKEN, WRITE_TOKEN, host, lines
from realmgw.test.subscribers.authority import Authority
from realmgw.test.subscribers.followers import ClientTestCase, names


class SnapshotTests(ClientTestCase):
    """Asking once."""

    @inlineCallbacks
    def test_has_what_the_repository_has(self) -> Any:
        """Subscribers and policies, under its version."""
        yield self.ask("PUT", "/v1/policies/p", {"max_claims": 3})
        got = yield self.gateway().snapshot()
        self.assertEqual((names(got), got.policies, got.problems), (["a", "b"], {"p": {"max_claims": 3}}, ()))
        self.assertEqual((got.version, got.identity), (self.documents.version, self.documents.identity))

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
        self.assertEqual(set(after.entries), {"a.example.org.", "c.example.org."})
        self.assertIsNot(after.entries["a.example.org."], before.entries["a.example.org."])
        self.assertEqual((repository.counts.asked, repository.counts.changed), (3, 2))

    @inlineCallbacks
    def test_the_last_good_state_outlives_gateway_and_repository(self) -> Any:
        """Changes too; that the repository is not there is told."""
        repository = self.gateway()
        yield repository.snapshot()
        yield self.add("c.example.org", host(3))
        before = yield repository.snapshot()
        yield self.tearDown()
        again = self.gateway()
        after = yield again.snapshot()
        yield self.open()
        self.assertEqual((names(after), after.version), (["a", "b", "c"], before.version))
        self.assertIn(f"its 3 hosts of version {before.version} stay", again.troubles[0])
        self.assertEqual((self.state / CACHE).stat().st_mode & 0o777, 0o600)

    @inlineCallbacks
    def test_without_repository_and_cache_nothing_is_known(self) -> Any:
        """And that is told."""
        yield self.tearDown()
        gateway = self.gateway()
        got = yield gateway.snapshot()
        yield self.open()
        self.assertEqual(names(got), [])
        self.assertIn("nothing is known", gateway.troubles[0])

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
    def test_what_was_not_accepted_leaves_no_trace(self) -> Any:
        """Neither in the cache nor in the next question; when it is accepted, it is kept as if it had come then."""
        repository = self.gateway()
        before, kept = (yield repository.snapshot()), (self.state / CACHE).read_bytes()
        yield self.tearDown()
        for path in self.database.parent.iterdir():
            path.unlink()
        yield self.open(self.number)
        for label, number in (("c", 3), ("d", 4)):
            yield self.add(f"{label}.example.org", host(number))
            told = yield repository.repository.ask(0.0)
            self.assertEqual((told.identity, repository.repository.known), (self.documents.identity, before))
        self.assertNotEqual(told.identity, before.identity)
        self.assertEqual((self.state / CACHE).read_bytes(), kept)
        self.assertIsNone((yield repository.repository.ask(0.0)), "it is told once")
        again = yield self.gateway().repository.recalled()
        self.assertEqual((names(again), again.identity), (["a", "b"], before.identity))
        repository.repository.accept(told)
        self.assertIs((yield repository.snapshot()), told)
        again = yield self.gateway().repository.recalled()
        self.assertEqual((names(again), again.identity), (["c", "d"], told.identity))

    @inlineCallbacks
    def test_what_was_not_accepted_may_be_taken_back(self) -> Any:
        """The former repository is there again, and that is told."""
        repository = self.gateway()
        before = yield repository.snapshot()
        folder = self.database.parent
        self.documents.stopService()
        yield self.port.stopListening()
        folder.rename(folder.with_name("former"))
        folder.mkdir()
        yield self.open(self.number)
        self.assertEqual(names((yield repository.repository.ask(0.0))), [])
        yield self.tearDown()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        folder.with_name("former").rename(folder)
        yield self.open(self.number)
        told = yield repository.repository.ask(0.0)
        self.assertIs(told, before)
        repository.repository.accept(told)
        yield self.add("c.example.org", host(3))
        self.assertEqual(names((yield repository.snapshot())), ["a", "b", "c"])
        again = yield self.gateway().repository.recalled()
        self.assertEqual(names(again), ["a", "b", "c"])

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
        yield repository.repository.unwatch()
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
        self.assertIn("Connection was refused", repository.troubles[0])
        self.assertIn("its 2 hosts of version", repository.troubles[0])
        report = repository.repository.report()
        self.assertEqual((report["hosts"], report["failed"], report["url"]), (2, repository.counts.failed, self.url))
        self.assertIn("Connection was refused", report["fault"])
        yield self.open(self.number)
        yield self.add("c.example.org", host(3))
        yield until(1)
        self.assertEqual((names(told[0]), repository.troubles), (["a", "b", "c"], []))

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
        gateway = self.gateway()
        self.assertEqual(names((yield gateway.snapshot())), [])
        self.assertIn("localhost", gateway.troubles[0])

    @inlineCallbacks
    def test_a_certificate_of_another_authority_is_refused(self) -> Any:
        """Though the name is the right one."""
        folder = self.state / "other"
        folder.mkdir()
        for other in (Authority(folder).path, None):
            gateway = self.gateway(ca_file=other)
            self.assertEqual(names((yield gateway.snapshot())), [])
            self.assertIn("certificate", gateway.troubles[0])

    @inlineCallbacks
    def test_without_the_token_nothing_is_told(self) -> Any:
        """A file that is not there says so; one that comes later is read."""
        self.token.write_text("another-token-than-theirs")
        repository = self.gateway()
        yield repository.snapshot()
        self.assertIn("401", repository.troubles[0])
        self.token.unlink()
        yield repository.snapshot()
        self.assertIn("No such file", repository.troubles[0])
        self.token.write_text(READ_TOKEN)
        yield repository.snapshot()
        self.assertEqual(repository.troubles, [])

    @inlineCallbacks
    def test_an_authority_that_is_exchanged_is_read_anew(self) -> Any:
        """By the next question that begins a connection; meanwhile it is told what is wrong."""
        folder = self.state / "other"
        folder.mkdir()
        path, ours = self.state / "authorities.pem", self.authority.path.read_bytes()
        path.write_bytes(Authority(folder).path.read_bytes())
        repository = self.gateway(ca_file=path)
        yield repository.snapshot()
        self.assertIn("certificate", repository.troubles[0])
        path.write_text("half of it")
        yield repository.snapshot()
        self.assertIn(f"{path} has no certificate", repository.troubles[0])
        path.write_bytes(ours)
        got = yield repository.snapshot()
        self.assertEqual((names(got), repository.troubles), (["a", "b"], []))

    def test_an_authority_that_is_none_is_refused_at_the_start(self) -> None:
        """It is a file of the operator's."""
        path = self.state / "none.pem"
        self.assertRaises(PlatformError, self.gateway, ca_file=path)
        path.write_text("nothing")
        self.assertRaises(PlatformError, self.gateway, ca_file=path)

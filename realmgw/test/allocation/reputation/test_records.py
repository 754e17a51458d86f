"""Tests of what is remembered of those who ask, over a restart."""

from __future__ import annotations

import contextlib
import json
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.counters import Counters
from realmgw.allocation.reputation.askers import Askers
from realmgw.allocation.reputation.caution import NAMES, SURE, TRUST, Caution
from realmgw.allocation.reputation.challenges import Challenge, note
from realmgw.allocation.reputation.delays import BUCKETS
from realmgw.allocation.reputation.disk import AgedRow, Row
from realmgw.allocation.reputation.group import CLAIM_TIMEOUT_UNKNOWN
from realmgw.allocation.reputation.habits import MOST, REMEMBERED
from realmgw.allocation.reputation.records import Book, GroupRecord, ReputationRecord, RequestorRecord, read, write
from realmgw.allocation.reputation.requestors import ClientPrefix
from realmgw.allocation.reputation.score import PERIOD
from realmgw.config.policy import Policy, ResolverGroup
from realmgw.errors import MalformedError
from realmgw.test.allocation.scene import CLIENT, OTHER, RESOLVER, THIRD, Scene, serve, service

NEAR = ClientPrefix.of(CLIENT, 24)
PRESET = "192.0.2.0/24"
BELIEVED = Policy(groups=(ResolverGroup((ip_network(PRESET),), 0.8, sla=True),))
COUNT, SHARE = st.integers(0, 2**40), st.floats(0, 1)
WEIGHT = COUNT | st.floats(0, 2**40)
THREE = st.tuples(WEIGHT, WEIGHT, WEIGHT)
REPUTATIONS = st.builds(ReputationRecord, SHARE, SHARE, THREE, THREE)
NAME = st.text(min_size=1)
RECORDS = st.one_of(
    st.builds(
        GroupRecord,
        NAME,
        st.booleans(),
        st.lists(NAME, max_size=4).map(tuple),
        REPUTATIONS,
        st.integers(0, 7),
        st.none() | st.floats(0, 1e9),
        st.tuples(COUNT, COUNT),
        st.just(()) | st.lists(COUNT, min_size=BUCKETS, max_size=BUCKETS).map(tuple),
        st.just(()) | st.tuples(st.floats(0, MOST), st.floats(0, MOST)),
    ),
    st.builds(
        RequestorRecord,
        st.builds(ClientPrefix.of, st.binary(min_size=4, max_size=4), st.integers(0, 32))
        | st.builds(ClientPrefix.of, st.binary(min_size=16, max_size=16), st.integers(0, 128)),
        REPUTATIONS,
    ),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def started(policy: Policy = BELIEVED, *, now: float = 0.0) -> Askers:
    """A gateway that knows nobody yet."""
    askers = Askers(1000, Counters())
    askers.configure_policy(policy, now=now)
    return askers


class CodecTests(SynchronousTestCase):
    """Records as texts."""

    @given(RECORDS)
    def test_what_was_written_is_read(self, record: GroupRecord | RequestorRecord) -> None:
        """All of it."""
        self.assertEqual(read(write(record)), record)

    @given(RECORDS, st.data())
    def test_what_is_damaged_is_malformed(self, record: GroupRecord | RequestorRecord, data: st.DataObject) -> None:
        """Nothing else is raised, whichever part is something else, is missing, or is cut off."""
        said = json.loads(write(record))
        part = data.draw(st.sampled_from([said, said["reputation"]]))
        key = data.draw(st.sampled_from(sorted(part)))
        if data.draw(st.booleans()):
            del part[key]
        else:
            part[key] = data.draw(VALUES)
        text = json.dumps(said)
        with contextlib.suppress(MalformedError):
            self.assertIsInstance(read(text), (GroupRecord, RequestorRecord))
        self.assertRaises(MalformedError, read, text[: data.draw(st.integers(0, len(text) - 1))])

    @given(st.text() | VALUES.map(json.dumps))
    def test_what_is_none_is_malformed(self, text: str) -> None:
        """Whatever it is."""
        self.assertRaises(MalformedError, read, text)

    def test_a_version_that_we_do_not_know_is_malformed(self) -> None:
        """It may mean something else."""
        text = write(RequestorRecord(NEAR, ReputationRecord(0.4, 0.4, (0, 0, 0), (0, 0, 0))))
        self.assertRaises(MalformedError, read, text.replace('"version":1', '"version":2'))


class RestartTests(SynchronousTestCase):
    """What the next start knows of those of the last one."""

    def setUp(self) -> None:
        self.askers = started(Policy())
        self.book = Book(self.askers)

    def active(self, resolver: str, ok: int, nok: int, *, now: float = 1.0) -> None:
        """A resolver has outcomes."""
        group = self.askers.groups.of(resolver)
        group.reputation.ok += ok
        group.reputation.nok += nok
        group.counted(now)
        group.counted(now)

    def restarted(self, *, age: float = 0.0, now: float = 5000.0, policy: Policy = BELIEVED) -> Askers:
        """The next start's, which reads what was written some seconds ago."""
        rows = [AgedRow(row, age) for row in self.book.changed(every=False, now=1.0)]
        askers = started(policy, now=now)
        self.assertEqual(Book(askers).restore(rows, now=now), 0)
        return askers

    def test_a_reputation_survives(self) -> None:
        """Of proven, unproven and preset groups, and of clients: the same as before."""
        self.askers.configure_policy(BELIEVED, now=0.0)
        self.askers.groups.proven(OTHER, now=0.0)
        for number, resolver in enumerate((RESOLVER, OTHER, "192.0.2.9"), 1):
            self.active(resolver, 10 * number, 5)
        client = self.askers.requestors.of(NEAR, NEAR)
        for _ in range(3):
            client.used(self.askers.groups.of(OTHER), 1.0, now=1.0)
        after = self.restarted()
        for resolver in (RESOLVER, OTHER, "192.0.2.9"):
            before, found = self.askers.groups.find(resolver), after.groups.find(resolver)
            assert before is not None
            assert found is not None
            self.assertEqual(found.standing, before.reputation.value(1.0))
            self.assertEqual((found.ok, found.nok, found.nodes), (before.ok, before.nok, before.nodes))
        known = after.requestors.find(NEAR)
        assert known is not None
        self.assertEqual(known.reputation.value(5000.0), client.reputation.value(1.0))

    def test_it_ages_while_nothing_runs(self) -> None:
        """As if the gateway had been idle: nobody is held to what he did yesterday."""
        self.askers.groups.proven(RESOLVER, now=0.0)
        self.active(RESOLVER, 0, 100)
        before = self.askers.groups.of(RESOLVER).reputation.value(1.0)
        standing = self.restarted(age=3 * PERIOD).groups.of(RESOLVER).standing
        self.assertTrue(before < standing < 0.45, standing)
        self.assertEqual(self.restarted(age=86_400.0, now=3.0).groups.of(RESOLVER).standing, 0.45)

    def test_what_was_learned_survives(self) -> None:
        """How soon clients come, the challenges passed and when, and that the resolver is proven."""
        group = self.askers.groups.proven(RESOLVER, now=0.5)
        group.passed, group.trusted, group.untrusted = 5, 7, 8
        for _ in range(100):
            group.arrived(0.01, b"1234")
        self.active(RESOLVER, 100, 0)
        after = self.restarted(age=2.0)
        found = after.groups.of(RESOLVER)
        self.assertEqual((found.passed, found.trusted, found.untrusted), (5, 7, 8))
        self.assertEqual(found.proven_at, 5000.0 - 2.0 - 0.5)
        self.assertLess(found.claim_timeout, CLAIM_TIMEOUT_UNKNOWN)
        for number in range(10_000):
            after.groups.of(number)
        self.assertIs(after.groups.find(RESOLVER), found)

    def test_who_keeps_answers_is_known(self) -> None:
        """As long as it would have been without a restart; texts of earlier versions say nothing of it."""
        self.askers.groups.proven(RESOLVER, now=0.5)
        self.active(RESOLVER, 100, 0)
        habits = self.askers.groups.of(RESOLVER).habits
        habits.remember(MOST, 5.1, until=500.0)
        group = self.restarted(age=100.0).groups.of(RESOLVER)
        found = group.habits
        self.assertEqual((found.keeps, found.renews, found.keeps_until), (MOST, 5.1, 5000.0 - 100.0 + REMEMBERED))
        self.assertTrue(group.learned_from_first)
        text = write(
            read(
                '{"version":1,"resolver":"r","preset":false,"others":[],"reputation":{"initial":1,"previous":1,'
                '"counts":[0,0,0],"past":[0,0,0]},"passed":0,"proven_ago":null,"asked":[0,0],"delays":[]}'
            )
        )
        self.assertIn('"keeps":[],"known":[0.0,0.0]', text)

    def test_who_has_shown_that_it_keeps_none_is_not_new(self) -> None:
        """Nothing is assumed of it for as long as it would have been; then it is looked at again."""
        self.active(RESOLVER, 100, 0)
        caution = self.askers.groups.of(RESOLVER).habits.caution
        self.show(caution, since=0.0)
        caution.asks_each_time, caution.waits, caution._waited = True, True, SURE
        caution.look(1.0)
        self.assertTrue(caution.is_cleared)
        for age, is_new in ((100.0, False), (TRUST, True)):
            found = self.restarted(age=age).groups.of(RESOLVER).habits.caution
            self.show(found, since=5000.0)
            self.assertEqual(found.is_on, is_new, age)

    def test_nor_is_who_is_looked_at_believed(self) -> None:
        """That it is not over says nothing."""
        self.active(RESOLVER, 100, 0)
        self.show(self.askers.groups.of(RESOLVER).habits.caution, since=0.0)
        found = self.restarted(age=1.0).groups.of(RESOLVER).habits.caution
        self.show(found, since=5000.0)
        self.assertTrue(found.is_on)

    def test_who_asks_again_each_time_and_tells_what_it_keeps_is_known(self) -> None:
        """As long as it would have been."""
        self.active(RESOLVER, 100, 0)
        habits = self.askers.groups.of(RESOLVER).habits
        habits.predicts_until = 400.0
        habits.look(1.0)
        for age, is_known in ((100.0, True), (401.0, False)):
            group = self.restarted(age=age).groups.of(RESOLVER)
            self.assertEqual((group.habits.keeps_answers, group.learned_from_first), (is_known, is_known))
            self.assertTrue(is_known or group.habits.is_plain)

    @staticmethod
    def show(caution: Caution, since: float) -> None:
        """It asks for several names, for clients of several addresses."""
        serve(caution, b"1234", b"5678")
        for _ in range(NAMES):
            caution.asked(since)
        caution.look(since)

    def test_a_cluster_survives(self) -> None:
        """All its addresses, and the rows of those that it has taken in are replaced."""
        groups = self.askers.groups
        cluster = groups.merge(*(groups.proven(each, now=0.0) for each in (RESOLVER, OTHER)), now=0.0)
        self.active(RESOLVER, 5, 0)
        [row] = list(self.book.changed(every=True, now=1.0))
        self.assertEqual({row.key, *row.replaces}, {f"group {RESOLVER}", f"group {OTHER}"})
        after = self.restarted().groups
        self.assertIs(after.of(RESOLVER), after.of(OTHER))
        self.assertEqual(set(after.of(OTHER).nodes), set(cluster.nodes))

    def test_only_what_changed_is_written(self) -> None:
        """Each once, when it has changed again; and everything, if that is asked for."""
        for resolver in (RESOLVER, OTHER):
            self.active(resolver, 1, 0)
        self.assertEqual(len(list(self.book.changed(every=False, now=1.0))), 2)
        self.assertEqual(list(self.book.changed(every=False, now=1.0)), [])
        self.active(OTHER, 1, 0)
        self.assertEqual([row.key for row in self.book.changed(every=False, now=1.0)], [f"group {OTHER}"])
        self.assertEqual(len(list(self.book.changed(every=True, now=1.0))), 2)

    def test_it_comes_to_an_end_although_everybody_goes_on(self) -> None:
        """Who changes while it is written has his turn the next time."""
        for number in range(10):
            self.active(f"203.0.113.{number}", 1, 0)
        rows = 0
        for _ in self.book.changed(every=False, now=1.0):
            rows += 1
            for number in range(10):
                self.active(f"203.0.113.{number}", 1, 0)
        self.assertEqual(rows, 10)
        self.assertEqual(len(self.askers.journal), 10)

    def test_the_first_good_outcome_is_written(self) -> None:
        """One client came, once: the next write has a row of his resolver, and one of him where he was named."""
        scene = Scene(2, policy=BELIEVED)
        book = Book(scene.allocator.askers)
        scene.visit(service(1), now=1.0, after=0.1)
        self.assertEqual([row.key for row in book.changed(every=False, now=2.0)], [f"group {RESOLVER}"])
        named = scene.allocator.requestor("192.0.2.7", NEAR, NEAR, now=2.0)
        address = scene.allocator.ask(service(2), "192.0.2.7", 1, now=2.0, client=named)
        assert isinstance(address, bytes)
        scene.come(address, now=2.1)
        keys = {row.key for row in book.changed(every=False, now=3.0)}
        self.assertEqual(keys, {f"group {PRESET[:-3]}/24", "client 198.51.100.0/24"})

    def test_what_changes_without_an_outcome_is_written(self) -> None:
        """That somebody has proved where he is, and that two groups are one."""
        groups, keys = self.askers.groups, []
        for change in (
            lambda: note(groups.proven(RESOLVER, now=1.0), Challenge.TC, now=1.0),
            lambda: note(groups.proven(OTHER, now=1.0), Challenge.COOKIE, now=1.0),
            lambda: groups.merge(groups.of(RESOLVER), groups.of(OTHER), now=1.0),
        ):
            change()
            keys.append([row.key for row in self.book.changed(every=False, now=1.0)])
        self.assertEqual(keys, [[f"group {RESOLVER}"], [f"group {OTHER}"], [f"group {RESOLVER}"]])

    def test_who_never_had_a_client_is_not_written(self) -> None:
        """A flood of spoofed resolvers costs no disk."""
        for number in range(1000):
            self.active(str(number), 0, 1)
        self.assertEqual(list(self.book.changed(every=False, now=1.0)), [])

    def test_who_was_forgotten_is_told(self) -> None:
        """A cluster with all its addresses, and a client; once."""
        groups = self.askers.groups
        cluster = groups.merge(*(groups.proven(each, now=0.0) for each in (RESOLVER, OTHER)), now=0.0)
        self.active(RESOLVER, 5, 0)
        self.book.forget(cluster)
        self.book.forget(self.askers.requestors.of(NEAR, NEAR))
        self.assertEqual(self.book.gone(), {f"group {RESOLVER}", f"group {OTHER}", "client 198.51.100.0/24"})
        self.assertEqual((self.book.gone(), list(self.book.changed(every=False, now=1.0))), (set(), []))

    def test_what_the_operator_says_now_counts(self) -> None:
        """Of a group that he took away nothing is left; and a resolver that he has put in a group is in that."""
        self.askers.configure_policy(BELIEVED, now=0.0)
        for resolver in (RESOLVER, "192.0.2.9"):
            self.active(resolver, 5, 0)
        policy = Policy(groups=(ResolverGroup((ip_network("203.0.113.0/24"),), 0.1),))
        after = self.restarted(policy=policy).groups
        self.assertIs(after.find("192.0.2.9"), None)
        self.assertEqual(after.of(RESOLVER).reputation.value(5000.0), 0.1)

    def test_the_newest_row_counts(self) -> None:
        """And who is known already is not told anything."""
        self.active(RESOLVER, 5, 0)
        [newer] = self.book.changed(every=True, now=1.0)
        older = Row(newer.key, newer.body.replace('"counts":[5,0,0]', '"counts":[0,50,0]'))
        askers = started(now=1.0)
        Book(askers).restore([AgedRow(newer, 0.0), AgedRow(older, 20.0)], now=1.0)
        self.assertEqual(askers.groups.of(RESOLVER).ok, 5)

    def test_what_can_not_be_read_is_counted(self) -> None:
        """The rest is used."""
        self.active(THIRD, 5, 0)
        [row] = self.book.changed(every=True, now=1.0)
        askers = started()
        rows = [AgedRow(Row("group x", "{"), 0.0), AgedRow(row, 0.0)]
        self.assertEqual(Book(askers).restore(rows, now=1.0), 1)
        self.assertEqual(askers.groups.of(THIRD).ok, 5)

"""Tests for `realmgw.control.apply`."""

from __future__ import annotations

from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from realmgw import config
from realmgw.config.steps import finish
from realmgw.control.apply import DRAIN, Outcome, Status
from realmgw.control.health import State
from realmgw.datapath.watch.keeper import Findings
from realmgw.errors import MalformedError, RealmGatewayError, Reason
from realmgw.subscribers.entry import Entry, Offer
from realmgw.subscribers.losses import HINT
from realmgw.subscribers.model import Profile
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.test.control.parts import TestGateway, only

BOTH = ["a.example.org.", "b.example.org."]


class ReloadTestCase(SynchronousTestCase):
    """A gateway with two subscribers."""

    def setUp(self) -> None:
        """Makes it."""
        self.gateway = TestGateway(Path(self.mktemp()))
        self.calls = self.gateway.parts.calls

    def service(self, label: str = "a"):  # type: ignore[no-untyped-def]  # a Service
        """The service of a host."""
        return self.gateway.running.registry.directory.services[f"{label}.example.org."]


class AppliedTests(ReloadTestCase):
    """What is written comes true."""

    def test_nothing_is_done_when_nothing_is_different(self) -> None:
        """Neither the kernel nor the disk is touched."""
        outcome = only(self.gateway.reload())
        self.assertEqual((outcome.status, outcome.problems), (Status.UNCHANGED, ()))
        self.assertEqual(self.calls, [("names", [])])
        self.assertEqual(self.gateway.kept, [])

    def test_what_others_removed_is_put_back(self) -> None:
        """And told, though nothing of what is written is different; what can not be put back is a problem."""
        self.gateway.parts.findings = Findings(repaired=("a route is gone",), broken=("wan0 is down",))
        outcome = only(self.gateway.reload())
        self.assertEqual((outcome.status, outcome.restored), (Status.APPLIED, ("a route is gone",)))
        self.assertEqual(outcome.problems, ("wan0 is down",))

    def test_kernel_first_and_names_afterwards(self) -> None:
        """Nobody is told an address that leads nowhere."""
        self.gateway.write("a.yaml", b="192.168.0.2", c="192.168.0.3")
        outcome = only(self.gateway.reload())
        self.assertEqual(outcome.status, Status.APPLIED)
        self.assertEqual(
            self.calls[1:], [("kernel", ["a.example.org."], ["c.example.org."]), ("names", ["c.example.org."])]
        )
        self.assertEqual(self.gateway.names, ["b.example.org.", "c.example.org."])
        self.assertEqual(outcome.flows_ended, 1)

    def test_kernel_is_told_of_every_host_that_is_different(self) -> None:
        """As it was and as it is: what it has no use for now, it may have tomorrow."""
        text = "a.example.org: {address: 192.168.0.1, groups: [prepaid]}\nb.example.org: {address: 192.168.0.2}\n"
        (self.gateway.folder / "subscribers.d" / "a.yaml").write_text(text)
        only(self.gateway.reload())
        self.assertIn(("kernel", ["a.example.org."], ["a.example.org."]), self.calls)

    def test_hosts_keep_their_indices(self) -> None:
        """Marks of flows under way go on leading to them; a new host gets an index that nobody had."""
        before = dict(self.gateway.running.registry.directory.indices.by_name)
        self.gateway.write("a.yaml", b="192.168.0.2", c="192.168.0.1")
        self.gateway.reload()
        after = self.gateway.running.registry.directory.indices.by_name
        self.assertEqual(after["b.example.org."], before["b.example.org."])
        self.assertNotIn(after["c.example.org."], before.values())

    def test_claims_of_those_who_stay_survive(self) -> None:
        """And those of a host that is gone do not."""
        allocator = self.gateway.allocator
        kept = allocator.ask(self.service("b"), "192.0.2.53", 1, now=0.0)
        lost = allocator.ask(self.service("a"), "192.0.2.53", 2, now=0.0)
        assert isinstance(kept, bytes)
        assert isinstance(lost, bytes)
        index = self.service("b").host.index
        self.gateway.write("a.yaml", b="192.168.0.2")
        self.gateway.reload()
        self.assertEqual(allocator.admit((b"\xc0\0\2\1", kept, 6, 1000, 80), now=0.1), index)
        self.assertLess(allocator.admit((b"\xc0\0\2\1", lost, 6, 1001, 80), now=0.1), 0)

    def test_settings_are_kept_as_the_last_good_ones(self) -> None:
        """When they are different, and in force."""
        self.gateway.path.write_text(self.gateway.path.read_text() + "allocation: {linger: 3}\n")
        self.assertEqual(only(self.gateway.reload()).status, Status.APPLIED)
        self.assertEqual([each.allocation.linger for each in self.gateway.kept], [3.0])
        self.assertEqual(self.gateway.running.settings.allocation.linger, 3.0)

    def test_bad_subscriber_file_changes_nothing_but_is_told(self) -> None:
        """What it said before stays, and the rest is applied."""
        (self.gateway.folder / "subscribers.d" / "a.yaml").write_text("a.example.org: {\n")
        self.gateway.write("b.yaml", c="192.168.0.3")
        outcome = only(self.gateway.reload())
        self.assertEqual(outcome.status, Status.APPLIED)
        self.assertIn("a.yaml:", outcome.problems[0])
        self.assertEqual(self.gateway.names, [*BOTH, "c.example.org."])

    def test_refused_file_counts_once_what_stood_against_it_is_gone(self) -> None:
        """Although it was not written again."""
        self.gateway.write("b.yaml", c="192.168.0.1")
        self.assertIn("belongs to a.example.org.", only(self.gateway.reload()).problems[0])
        self.assertEqual(self.gateway.names, BOTH)
        self.gateway.write("a.yaml", b="192.168.0.2")
        self.assertEqual(only(self.gateway.reload()).problems, ())
        self.assertEqual(self.gateway.names, ["b.example.org.", "c.example.org."])


class RefusedTests(ReloadTestCase):
    """All is as it was."""

    def test_bad_main_file(self) -> None:
        """Its problems are told, and stay told by the status."""
        self.gateway.path.write_text("name: a..b\n")
        self.gateway.write("a.yaml")
        outcome = only(self.gateway.reload())
        self.assertEqual(outcome.status, Status.REFUSED)
        self.assertTrue(all(str(self.gateway.path) in problem for problem in outcome.problems))
        self.assertEqual(self.gateway.running.problems, outcome.problems)
        self.assertEqual((self.gateway.names, self.calls), (BOTH, []))
        self.assertEqual((self.gateway.told, self.gateway.reloader.refused), ([outcome.problems], 1))

    def test_what_was_refused_is_over_when_it_is_put_right(self) -> None:
        """Even if that changes nothing; then what is written is in force again."""
        written = self.gateway.path.read_text()
        self.gateway.path.write_text("name: a..b\n")
        self.gateway.reload()
        self.gateway.path.write_text(written)
        self.assertEqual(only(self.gateway.reload()).status, Status.UNCHANGED)
        self.assertEqual((self.gateway.told[-1], self.gateway.reloader.refused), ((), 1))

    def test_key_that_wants_a_restart(self) -> None:
        """Refuses all of it, and is named."""
        self.gateway.path.write_text(self.gateway.path.read_text() + "admission: {queue: 9}\n")
        self.gateway.write("a.yaml")
        outcome = only(self.gateway.reload())
        self.assertEqual(outcome.status, Status.REFUSED)
        self.assertIn("admission.queue", outcome.problems[0])
        self.assertEqual((self.gateway.names, self.calls), (BOTH, []))

    def test_bad_name(self) -> None:
        """That only the DNS server knows to be one."""
        self.gateway.parts.bad_name = MalformedError("no name")
        self.gateway.write("a.yaml")
        self.assertEqual(only(self.gateway.reload()).problems, ("no name",))
        self.assertEqual((self.gateway.names, self.calls), (BOTH, []))

    def test_kernel_that_says_no(self) -> None:
        """Addresses that were to leave the pool stay in it."""
        self.gateway.parts.refusal = RealmGatewayError("nft: no")
        self.gateway.write("a.yaml")
        size = self.gateway.allocator.pool.size
        text = self.gateway.path.read_text()
        self.gateway.path.write_text(text.replace("198.51.100.0/24", "198.51.100.0/25"))
        outcome = only(self.gateway.reload())
        self.assertEqual((outcome.status, outcome.problems), (Status.FAILED, ("nft: no",)))
        self.assertEqual(self.gateway.names, BOTH)
        self.assertEqual(self.gateway.allocator.pool.size, size)

    def test_fault_of_our_own_is_logged_and_told(self) -> None:
        """And the next reload is done as ever."""
        self.gateway.parts.refusal = ZeroDivisionError("oops")
        self.gateway.write("a.yaml", b="192.168.0.2")
        self.assertIn("oops", only(self.gateway.reload()).problems[0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.gateway.parts.refusal = None
        self.assertEqual(only(self.gateway.reload()).status, Status.APPLIED)


class PoolTests(ReloadTestCase):
    """Prefixes come and go."""

    def write_pool(self, prefix: str) -> None:
        """Another circular pool."""
        self.gateway.path.write_text(self.gateway.path.read_text().replace("198.51.100.0/24", prefix))

    def test_addresses_where_nobody_is_expected_leave_at_once(self) -> None:
        """And others come."""
        self.write_pool("198.51.100.128/25")
        self.assertEqual(only(self.gateway.reload()).status, Status.APPLIED)
        self.assertEqual(self.gateway.allocator.pool.size, 128)
        self.assertNotIn(b"\xc6\x33\x64\x01", self.gateway.allocator.pool.addresses)

    def test_waits_for_those_who_were_told_an_address(self) -> None:
        """They are let in before the kernel forgets it; nobody new is sent there."""
        allocator = self.gateway.allocator
        told = allocator.ask(self.service(), "192.0.2.53", 1, now=0.0)
        assert isinstance(told, bytes)
        self.write_pool("203.0.113.0/24")
        found = self.gateway.reload()
        self.assertEqual((found, self.calls), ([], []))
        self.assertNotEqual(allocator.ask(self.service(), "192.0.2.53", 2, now=0.0), told)
        self.assertEqual(allocator.admit((b"\xc0\0\2\1", told, 6, 1000, 80), now=0.01), self.service().host.index)
        self.gateway.pass_time(0.1)
        self.assertEqual(only(found).status, Status.APPLIED)
        self.assertEqual(self.gateway.allocator.pool.size, 256)

    def test_waits_no_longer_than_it_may(self) -> None:
        """Who does not come is not waited for."""
        self.gateway.allocator.ask(self.service(), "192.0.2.53", 1, now=0.0)
        self.write_pool("203.0.113.0/24")
        found = self.gateway.reload()
        self.gateway.pass_time(DRAIN + 0.1)
        self.assertEqual(only(found).status, Status.APPLIED)
        self.assertNotIn(b"\xc6\x33\x64\x01", self.gateway.allocator.pool.addresses)


class QueueTests(ReloadTestCase):
    """One at a time."""

    def test_those_asked_for_meanwhile_are_one_more(self) -> None:
        """Each is told what became of it."""
        self.gateway.parts.hold = Deferred()
        self.gateway.write("c.yaml", c="192.168.0.3")
        told: list[tuple[int, Outcome]] = []

        def note(which: int, outcome: Outcome) -> None:
            told.append((which, outcome))

        for number in range(4):
            self.gateway.reloader.reload("a test").addCallback(partial(note, number))
        self.gateway.pass_time()
        self.assertEqual(told, [])
        hold, self.gateway.parts.hold = self.gateway.parts.hold, None
        hold.callback(None)
        self.gateway.pass_time()
        statuses = [(which, outcome.status) for which, outcome in told]
        self.assertEqual(statuses, [(0, Status.APPLIED), *((number, Status.UNCHANGED) for number in (1, 2, 3))])
        self.assertEqual(self.gateway.reloader.count, 2)

    def test_plan_changes_nothing(self) -> None:
        """It tells the same as the reload that follows."""
        self.gateway.write("a.yaml", b="192.168.0.2", c="192.168.0.3")
        planned = self.gateway.reloader.plan()
        self.gateway.pass_time()
        self.assertEqual((self.gateway.names, self.calls), (BOTH, []))
        self.assertEqual(self.successResultOf(planned), only(self.gateway.reload()).plan)


class RepositoryTests(ReloadTestCase):
    """Subscribers that a repository tells of."""

    def setUp(self) -> None:
        """It has said nothing yet."""
        super().setUp()
        self.entries: dict[str, Entry] = {}

    def tell(self, *labels: str, problems: tuple[str, ...] = (), identity: str = "") -> Outcome:
        """It says these, and what became of that."""
        self.entries = {name: entry for name, entry in self.entries.items() if name[0] in labels}
        for label in labels:
            name = f"{label}.example.org."
            if name not in self.entries:
                address = IPv4Address(f"192.168.1.{ord(label)}")
                self.entries[name] = Entry(name, address, (Offer(name),), Profile(5))
        found: list[Outcome] = []
        told = self.gateway.reloader.tell(
            "https://db.example.org", Snapshot("1", dict(self.entries), problems=problems, identity=identity)
        )
        told.addCallback(found.append)
        self.gateway.pass_time()
        return only(found)

    def test_come_and_go_beside_those_of_files(self) -> None:
        """What it does not say any more is gone."""
        self.assertEqual(self.tell("x", "y").plan.hosts_added, ("x.example.org.", "y.example.org."))
        outcome = self.tell("y", "z")
        self.assertEqual(
            (outcome.plan.hosts_removed, outcome.plan.hosts_added), (("x.example.org.",), ("z.example.org.",))
        )
        self.assertEqual(self.gateway.names, [*BOTH, "y.example.org.", "z.example.org."])
        self.assertEqual(only(self.gateway.reload()).status, Status.UNCHANGED)

    def test_its_problems_are_told(self) -> None:
        """With what it says nevertheless."""
        outcome = self.tell("x", problems=("https://db.example.org: one document is bad",))
        self.assertEqual((outcome.status, len(outcome.problems)), (Status.APPLIED, 1))

    def test_another_repository_is_not_taken_for_the_former_one(self) -> None:
        """Its hosts stay, and the outcome says so each time, until it is the former one again."""
        self.tell("x", "y", identity="first")
        for labels in ((), ("z",)):
            outcome = self.tell(*labels, identity="second")
            self.assertEqual((outcome.status, len(outcome.problems)), (Status.UNCHANGED, 1))
            self.assertIn("another repository (second, not first)", outcome.problems[0])
            self.assertIs(self.gateway.health.state, State.LAST_GOOD)
            self.assertIn("the 2 hosts of the former one stay; `realmgw reload --accept-loss`", outcome.problems[0])
            self.assertEqual(self.gateway.names, [*BOTH, "x.example.org.", "y.example.org."])
        self.assertEqual(only(self.gateway.reload()).problems, outcome.problems)
        outcome = self.tell("x", "y", identity="first")
        self.assertEqual(outcome.problems, ())

    def test_another_repository_is_taken_when_somebody_says_so(self) -> None:
        """From then on it is the one that is known."""
        self.tell("x", "y", identity="first")
        self.tell("z", identity="second")
        running = self.gateway.running
        written = finish(running.written(finish(config.loading_all(self.gateway.path)), accepts_loss=True))
        self.assertEqual([host.name for host in written.changes.removed], ["x.example.org.", "y.example.org."])
        finish(running.commit(written))
        self.assertEqual([each.identity for each in running.in_force()], ["second"])
        self.assertEqual(only(self.gateway.reload()).problems, ())
        self.assertEqual(self.gateway.names, [*BOTH, "z.example.org."])

    def test_a_repository_that_has_lost_its_hosts_keeps_them(self) -> None:
        """It is the same one, and has none of them any more, or less than half; until somebody says that it is so."""
        self.tell(*"cdefghijklmnopqrstuvwxyz", identity="first")
        for left in ("", "cd"):
            outcome = self.tell(*left, identity="first")
            self.assertIn(HINT, outcome.problems[0])
            self.assertEqual((len(self.gateway.names), self.gateway.health.state), (26, State.LAST_GOOD))
            self.assertEqual((outcome.flows_ended, len(self.gateway.believed)), (0, 1))
        self.assertEqual(only(self.gateway.reload(accepts_loss=True)).flows_ended, 22)
        self.assertEqual((len(self.gateway.names), self.gateway.health.state), (4, State.HEALTHY))

    def test_a_repository_without_identity_that_gets_one_is_the_same(self) -> None:
        """It has got a newer program; one that has none any more is another one."""
        self.tell("x")
        self.assertEqual(self.tell("x", "y", identity="first").problems, ())
        self.assertEqual(len(self.tell("x").problems), 1)

    def test_only_what_is_in_force_is_said_to_be(self) -> None:
        """Not what another repository says, nor what contradicts a file, nor what came with a reload that failed."""
        believed = self.gateway.believed
        self.tell("x", identity="first")
        self.assertEqual([each.identity for each in believed], ["first"])
        self.tell("y", identity="second")
        self.assertEqual(len(believed), 1)
        self.tell("a", identity="first")
        self.assertEqual(len(believed), 1)
        self.gateway.parts.refusal = RealmGatewayError("no")
        self.tell("y", identity="first")
        self.assertEqual(len(believed), 1)
        self.gateway.parts.refusal = None
        self.gateway.reload()
        self.assertEqual([each.identity for each in believed], ["first", "first"])
        self.assertEqual(list(believed[1].entries), ["y.example.org."])

    def test_a_subscriber_outside_the_zones_is_left_out_by_itself(self) -> None:
        """Until the gateway has its zone: no restart is needed for it, nor does the repository have to say it again."""
        self.entries["x.example.net."] = Entry(
            "x.example.net.", IPv4Address("192.168.1.9"), (Offer("x.example.net."),), Profile(5)
        )
        outcome = self.tell("x")
        [problem] = outcome.problems
        self.assertTrue(
            problem.startswith("https://db.example.org/v1/subscribers/x.example.net.: /: x.example.net. lies outside")
        )
        self.assertEqual(outcome.plan.hosts_added, ("x.example.org.",))
        text = self.gateway.path.read_text()
        self.gateway.path.write_text(text.replace("admin.example.org}}", "admin.example.org}, example.net: }"))
        outcome = only(self.gateway.reload())
        self.assertEqual((outcome.problems, outcome.plan.hosts_added), ((), ("x.example.net.",)))
        self.gateway.path.write_text(text)
        outcome = only(self.gateway.reload())
        self.assertEqual((len(outcome.problems), outcome.plan.hosts_removed), (1, ()))


class ZoneTests(ReloadTestCase):
    """Zones that change."""

    def test_names_of_unchanged_files_outside_new_zones_are_told(self) -> None:
        """They stay what they are, without an answer; the status says so until somebody puts it right."""
        text = self.gateway.path.read_text()
        self.gateway.path.write_text(text.replace("example.org:", "example.net:"))
        outcome = only(self.gateway.reload())
        self.assertEqual((outcome.status, len(outcome.problems)), (Status.APPLIED, 2), outcome.problems)
        self.assertIn("a.example.org. lies outside our zones", outcome.problems[0])
        self.assertEqual(self.gateway.running.registry.problems, outcome.problems)
        self.assertEqual(len(only(self.gateway.reload()).problems), 2)
        self.gateway.path.write_text(text)
        self.assertEqual(only(self.gateway.reload()).problems, ())


class WaitingTests(ReloadTestCase):
    """Queries that wait for an address."""

    def test_are_told_when_their_host_is_gone(self) -> None:
        """With the reason."""
        told: list[bytes | Reason] = []
        self.gateway.allocator.wait(self.service(), "192.0.2.53", 1, told.append, tcp=False, now=0.0)
        self.gateway.write("a.yaml", b="192.168.0.2")
        self.gateway.settle()
        self.gateway.reload()
        self.assertEqual(told, [Reason.WITHDRAWN])

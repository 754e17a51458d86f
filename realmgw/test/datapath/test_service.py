"""The datapath's service, with a kernel that only notes what it is told."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink.counters import Count
from realmgw.datapath.service import MOST_LINES, DatapathService
from realmgw.datapath.watch.keeper import Findings
from realmgw.datapath.watch.placed import DOWN, UP, Deviation, Kind, Thing
from realmgw.datapath.watch.port import INTERVAL
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.model import Host, Profile
from realmgw.test.config.test_schema import MINIMAL, settings
from realmgw.test.datapath.kernel import RecordingKernel
from realmgw.testing import MemoryListener, MemoryWorker

SETTINGS = settings(MINIMAL)
HOSTS = tuple(
    Host(index=index, name=f"h{index}.example.", address=bytes([192, 0, 2, index]), profile=Profile(max_claims=1))
    for index in (1, 2)
)
STRAY, OTHER = bytes([198, 51, 100, 1]), bytes([198, 51, 100, 2])


class DatapathServiceTestCase(SynchronousTestCase):
    """A service, its clock, its worker and its kernel."""

    def setUp(self) -> None:
        self.clock, self.worker, self.kernel = Clock(), MemoryWorker(), RecordingKernel()
        self.service = self.of(self.kernel, self.worker)

    def of(self, kernel: RecordingKernel, worker: MemoryWorker, **how: Any) -> DatapathService:
        """A service; nothing is listed for it."""
        lister, listener = MemoryWorker(), MemoryListener()
        return DatapathService(
            kernel, HOSTS, clock=self.clock, worker=worker, lister=lister, listener=listener,
            stray_timeout=SETTINGS.admission.stray_timeout, **how,
        )  # fmt: skip

    def start(self) -> None:
        """Starts it to the end."""
        started = self.service.startService()
        self.worker.work()
        self.successResultOf(started)


class StartTests(DatapathServiceTestCase):
    """Starting and stopping."""

    def test_started_when_the_kernel_has_everything(self) -> None:
        """Not before: who hands out addresses waits for this."""
        started = self.service.startService()
        self.assertNoResult(started)
        self.worker.work()
        self.successResultOf(started)
        self.assertEqual(self.kernel.calls, [("apply", HOSTS)])
        self.assertIsNotNone(self.service.applied)

    def test_changes_are_logged(self) -> None:
        """An operator finds in the log what was set, by the first look too; that is no repair."""
        self.kernel.applied = attrs.evolve(self.kernel.applied, changes=("a route",))
        self.kernel.wrong = ("forwarding of wan0 is 0",)
        with capturedLogs() as events:
            self.start()
        logged = [(event["log_level"].name, formatEvent(event)) for event in events]
        expected = [("info", "datapath: a route"), ("info", "datapath: forwarding of wan0 is 0; it was put back")]
        self.assertEqual(logged, expected)

    def test_figures_are_the_kernels(self) -> None:
        """Counters and queue, read at once."""
        self.kernel.counters = {"presented": Count(3, 120)}
        self.assertEqual(self.service.figures(), {"kernel": {"presented": {"packets": 3, "octets": 120}}, "queue": {}})

    def test_what_is_counted_here_is_told(self) -> None:
        """By name."""
        self.start()
        self.service.push_stray(STRAY)
        self.assertEqual(self.service.counts(), {"strays_told": 0, "strays_lost": 0, "strays_waiting": 1, "repairs": 0})

    def test_failed_start_is_told_and_leaves_nothing_running(self) -> None:
        """The error is the kernel's own; the thread has ended."""
        self.kernel.refusal = PlatformError("there is no interface wan0")
        started = self.service.startService()
        self.worker.work()
        self.assertEqual(str(self.failureResultOf(started, PlatformError).value), "there is no interface wan0")
        self.assertFalse(self.service.running)
        self.assertTrue(self.worker.stopped)

    def test_stop_leaves_the_kernel_as_it_is(self) -> None:
        """Nothing is purged; the thread ends after what was handed over before."""
        self.start()
        stopped = self.service.stopService()
        self.assertFalse(self.worker.stopped)
        self.worker.work()
        self.successResultOf(stopped)
        self.assertEqual(self.kernel.calls, [("apply", HOSTS), ("close",)])
        self.assertTrue(self.worker.stopped)

    def test_stop_purges_when_it_was_told_to(self) -> None:
        """And ends the thread, whether the kernel let it or not."""
        for refusal, last in ((None, ("purge",)), (RealmGatewayError("nft: no"), ("apply", HOSTS))):
            kernel, worker = RecordingKernel(), MemoryWorker()
            service = self.of(kernel, worker, purging=True)
            service.startService()
            worker.work()
            kernel.refusal = refusal
            stopped = service.stopService()
            worker.work()
            self.successResultOf(stopped)
            self.assertEqual(kernel.calls[-2:], [last, ("close",)])
            self.assertTrue(worker.stopped)

    def test_start_that_fails_later_is_undone(self) -> None:
        """Where nothing of ours stood before, by the kernel's side itself or by a part that comes after it."""
        self.kernel.was_installed = False
        self.start()
        stopped = self.service.stopService()
        self.worker.work()
        self.successResultOf(stopped)
        self.assertEqual(self.kernel.calls[-2:], [("purge",), ("close",)])

    def test_start_that_fails_half_way_is_undone(self) -> None:
        """What was placed goes; why it failed is told as ever."""
        self.kernel.was_installed, self.kernel.breaks = False, PlatformError("the route was refused")
        started = self.service.startService()
        self.worker.work()
        self.failureResultOf(started, PlatformError)
        self.assertEqual(self.kernel.calls, [("apply", HOSTS), ("purge",), ("close",)])

    def test_restart_that_fails_leaves_what_stood(self) -> None:
        """Established flows go on; so they do when it is not known whether anything stood."""
        for stood in (True, None):
            self.setUp()
            self.kernel.was_installed = stood
            self.start()
            stopped = self.service.stopService()
            self.worker.work()
            self.successResultOf(stopped)
            self.assertEqual(self.kernel.calls, [("apply", HOSTS), ("close",)])

    def test_stop_after_the_gateway_ran_leaves_what_it_placed(self) -> None:
        """Though nothing stood before that start."""
        self.kernel.was_installed = False
        self.start()
        self.service.settle()
        self.service.stopService()
        self.worker.work()
        self.assertEqual(self.kernel.calls, [("apply", HOSTS), ("close",)])

    def test_second_stop_does_nothing(self) -> None:
        """A service that failed to start is stopped by its parent, too."""
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.kernel.calls, [])

    def test_purge_hands_back_what_was_done(self) -> None:
        """In words, for the operator."""
        self.start()
        purged = self.service.purge()
        self.worker.work()
        self.assertEqual(self.successResultOf(purged), ("purged",))

    def test_placed_again_after_a_purge(self) -> None:
        """With the hosts of then, and it is watched again."""
        self.start()
        self.service.purge()
        placed = self.service.place()
        self.worker.work()
        self.successResultOf(placed)
        self.kernel.wrong = ("the table is gone",)
        self.clock.advance(INTERVAL)
        self.worker.work()
        self.assertEqual(self.kernel.calls, [("apply", HOSTS), ("purge",), ("apply", HOSTS), ("repair", HOSTS)])

    def test_placing_again_that_fails_half_way_is_undone(self) -> None:
        """All is as after the purge."""
        self.start()
        self.service.purge()
        self.worker.work()
        self.kernel.was_installed, self.kernel.breaks = False, PlatformError("the route was refused")
        placed = self.service.place()
        self.worker.work()
        self.failureResultOf(placed, PlatformError)
        self.assertEqual(self.kernel.calls[-2:], [("apply", HOSTS), ("purge",)])
        self.clock.advance(INTERVAL)
        self.worker.work()
        self.assertEqual(self.kernel.calls[-1], ("purge",))


class HostsTests(DatapathServiceTestCase):
    """`change`, when only hosts are others."""

    def test_changes_in_a_row_begin_where_the_one_before_ended(self) -> None:
        """Though both are handed over before the first was made."""
        self.start()
        changes = [self.service.change(SETTINGS, *moves) for moves in ((HOSTS[1:], ()), (HOSTS[:1], HOSTS[1:]))]
        self.worker.work()
        for change in changes:
            self.successResultOf(change)
        self.assertEqual(self.kernel.befores, [HOSTS, HOSTS[:1]])
        self.assertEqual(self.kernel.calls[-1], ("change", SETTINGS, HOSTS[:1], HOSTS[1:]))

    def test_hosts_that_change_in_anything_but_their_address_are_nothing_to_the_kernel(self) -> None:
        """They are told of like others; the next change knows them as they are then."""
        self.start()
        renamed = attrs.evolve(HOSTS[0], name="other.example.")
        moved = attrs.evolve(HOSTS[1], address=bytes([192, 0, 2, 99]))
        for moves in ((HOSTS, (renamed, moved)), ((renamed,), ())):
            self.service.change(SETTINGS, *moves)
        self.worker.work()
        first, second = [call for call in self.kernel.calls if call[0] == "change"]
        self.assertEqual(
            (first, second), (("change", SETTINGS, HOSTS[1:], (moved,)), ("change", SETTINGS, (renamed,), ()))
        )
        self.assertEqual(self.kernel.befores[-1], (renamed, moved))

    def test_refused_change_is_told_and_the_next_begins_where_it_began(self) -> None:
        """The kernel has the hosts of before."""
        self.start()
        self.kernel.refusal = RealmGatewayError("nft: no")
        refused = self.service.change(SETTINGS, HOSTS[1:], ())
        self.worker.work()
        self.failureResultOf(refused, RealmGatewayError)
        self.kernel.refusal = None
        self.service.change(SETTINGS, HOSTS, ())
        self.worker.work()
        self.assertEqual(self.kernel.befores[-1], HOSTS)


class WatchTests(DatapathServiceTestCase):
    """What somebody else removes or changes. `test_port` has what the watch itself does."""

    def repaired(self) -> list[object]:
        """The hosts of each repair."""
        return [call[1] for call in self.kernel.calls if call[0] == "repair"]

    def look(self) -> None:
        """An interval passes."""
        self.clock.advance(INTERVAL)
        self.worker.work()

    def test_is_put_back_with_the_hosts_of_now(self) -> None:
        """Not those of the start; it is counted, and told in the log."""
        self.start()
        self.service.change(SETTINGS, HOSTS[1:], ())
        self.worker.work()
        self.kernel.wrong = ("the table is gone, by nft (process 7)",)
        with capturedLogs() as events:
            self.look()
        self.assertEqual((self.repaired(), self.service.repairs), ([HOSTS[:1]], 1))
        self.assertEqual(
            [(event["log_level"].name, formatEvent(event)) for event in events],
            [("error", "datapath: the table is gone, by nft (process 7); it was put back")],
        )

    def test_many_lines_are_cut(self) -> None:
        """And it is told how many more there were."""
        self.start()
        self.kernel.wrong = tuple(map(str, range(MOST_LINES + 2)))
        with capturedLogs() as events:
            self.look()
        self.assertEqual(len(events), MOST_LINES + 1)
        self.assertEqual(formatEvent(events[-1]), "datapath: 2 more were put back")

    def test_what_each_look_finds_is_told(self) -> None:
        """To whom it may concern, and kept for `placed`."""
        told: list[Findings] = []
        thing = Thing(Kind.INTERFACE, "wan0", UP, needed=True)
        service = self.of(self.kernel, self.worker, tell=told.append)
        self.kernel.findings = Findings(things=(thing,), left=(Deviation(thing, DOWN),), broken=("wan0 is down",))
        service.startService()
        self.worker.work()
        self.assertEqual([each.broken for each in told], [("wan0 is down",)])
        placed = {"what": "interface", "name": "wan0", "should_be": UP, "is": DOWN}
        self.assertEqual(list(service.placed()), [placed])

    def test_tcp_is_asked_to_come_twice_in_the_thread(self) -> None:
        """The reactor does not wait for the kernel; what that refuses is told to who has asked."""
        self.start()
        asked = self.service.ask_twice(asked=True)
        self.assertNoResult(asked)
        self.worker.work()
        self.successResultOf(asked)
        self.kernel.refusal = PlatformError("no")
        refused = self.service.ask_twice(asked=False)
        self.worker.work()
        self.failureResultOf(refused, PlatformError)
        self.assertEqual([call for call in self.kernel.calls if call[0] == "ask_twice"], [("ask_twice", True)])

    def test_nothing_is_asked_of_a_table_that_was_purged(self) -> None:
        """There is no rule that could ask."""
        self.start()
        self.service.purge()
        self.worker.work()
        self.successResultOf(self.service.ask_twice(asked=True))
        self.assertNotIn("ask_twice", [call[0] for call in self.kernel.calls])

    def test_restore_looks_at_once(self) -> None:
        """And says what was put back."""
        self.start()
        self.kernel.wrong = ("a route is gone",)
        restored = self.service.restore()
        self.worker.work()
        self.assertEqual(self.successResultOf(restored).repaired, ("a route is gone",))

    def test_what_was_purged_stays_away(self) -> None:
        """It was removed on purpose."""
        self.start()
        self.service.purge()
        self.worker.work()
        self.kernel.wrong = ("the table is gone",)
        self.look()
        self.assertEqual(self.successResultOf(self.service.restore()), Findings())
        self.assertEqual(self.repaired(), [])

    def test_failed_repair_is_tried_again(self) -> None:
        """Until it succeeds."""
        self.start()
        self.kernel.wrong, self.kernel.refusal = ("the table is gone",), PlatformError("no")
        self.look()
        self.assertEqual(self.service.findings.broken, ("the table is gone", "no"))
        self.kernel.refusal = None
        self.look()
        self.assertEqual((len(self.repaired()), self.service.repairs), (1, 1))

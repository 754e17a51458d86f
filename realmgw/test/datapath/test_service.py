"""The datapath's service, with a kernel that only notes what it is told."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any, cast

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from realmgw.datapath.counters import Count
from realmgw.datapath.service import STRAY_INTERVAL, STRAYS_WAITING, WATCH_INTERVAL, DatapathService, KernelThread
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.model import Host
from realmgw.test.config.test_schema import MINIMAL, settings
from realmgw.testing import MemoryWorker, RecordingKernel

SETTINGS = settings(MINIMAL)
HOSTS = tuple(
    Host(index=index, name=f"h{index}.example.", address=bytes([192, 0, 2, index]), max_claims=1) for index in (1, 2)
)
STRAY, OTHER = bytes([198, 51, 100, 1]), bytes([198, 51, 100, 2])


class DatapathServiceTestCase(SynchronousTestCase):
    """A service, its clock, its worker and its kernel."""

    def setUp(self) -> None:
        self.clock, self.worker, self.kernel = Clock(), MemoryWorker(), RecordingKernel()
        self.service = DatapathService(self.kernel, HOSTS, clock=self.clock, worker=self.worker)

    def start(self) -> None:
        """Starts it to the end."""
        started = self.service.startService()
        self.worker.work()
        self.successResultOf(started)


class KernelThreadTests(TestCase):
    """`KernelThread`: the worker of a running gateway."""

    @inlineCallbacks
    def test_calls_are_made_in_one_thread_that_is_not_the_reactors(self) -> Generator[Deferred[Any], Any, None]:
        """A network namespace, a netlink socket and libnftables belong to a thread."""
        worker = KernelThread(cast(IReactorFromThreads, reactor))
        before = worker.call(threading.get_ident)
        worker.start()
        threads = [(yield before), (yield worker.call(threading.get_ident)), (yield worker.call(threading.get_ident))]
        worker.stop()
        self.assertEqual(len(set(threads)), 1)
        self.assertNotIn(threading.get_ident(), threads)


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

    def test_changes_and_warnings_are_logged(self) -> None:
        """An operator finds in the log what was set, and what would better be."""
        self.kernel.applied = attrs.evolve(self.kernel.applied, changes=("a route",), warnings=("a small table",))
        with capturedLogs() as events:
            self.start()
        logged = [(event["log_level"].name, formatEvent(event)) for event in events]
        self.assertEqual(logged, [("info", "datapath: a route"), ("warn", "datapath: a small table")])

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
            service = DatapathService(kernel, HOSTS, clock=self.clock, worker=worker, purging=True)
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
        self.kernel.stood = False
        self.start()
        stopped = self.service.stopService()
        self.worker.work()
        self.successResultOf(stopped)
        self.assertEqual(self.kernel.calls[-2:], [("purge",), ("close",)])

    def test_start_that_fails_half_way_is_undone(self) -> None:
        """What was placed goes; why it failed is told as ever."""
        self.kernel.stood, self.kernel.breaks = False, PlatformError("the route was refused")
        started = self.service.startService()
        self.worker.work()
        self.failureResultOf(started, PlatformError)
        self.assertEqual(self.kernel.calls, [("apply", HOSTS), ("purge",), ("close",)])

    def test_restart_that_fails_leaves_what_stood(self) -> None:
        """Established flows go on; so they do when it is not known whether anything stood."""
        for stood in (True, None):
            self.setUp()
            self.kernel.stood = stood
            self.start()
            stopped = self.service.stopService()
            self.worker.work()
            self.successResultOf(stopped)
            self.assertEqual(self.kernel.calls, [("apply", HOSTS), ("close",)])

    def test_stop_after_the_gateway_ran_leaves_what_it_placed(self) -> None:
        """Though nothing stood before that start."""
        self.kernel.stood = False
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
        self.kernel.counters = {}
        self.clock.advance(WATCH_INTERVAL)
        self.worker.work()
        self.assertEqual(self.kernel.calls, [("apply", HOSTS), ("purge",), ("apply", HOSTS), ("apply", HOSTS)])

    def test_placing_again_that_fails_half_way_is_undone(self) -> None:
        """All is as after the purge."""
        self.start()
        self.service.purge()
        self.worker.work()
        self.kernel.stood, self.kernel.breaks = False, PlatformError("the route was refused")
        placed = self.service.place()
        self.worker.work()
        self.failureResultOf(placed, PlatformError)
        self.assertEqual(self.kernel.calls[-2:], [("apply", HOSTS), ("purge",)])
        self.clock.advance(WATCH_INTERVAL)
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
    """A table that somebody else removes."""

    def applications(self) -> int:
        """How often everything was put in place."""
        return sum(call[0] == "apply" for call in self.kernel.calls)

    def look(self) -> None:
        """An interval passes."""
        self.clock.advance(WATCH_INTERVAL)
        self.worker.work()

    def test_table_that_is_there_is_left_alone(self) -> None:
        """However often it is looked."""
        self.start()
        self.look()
        self.look()
        self.assertEqual((self.applications(), self.service.repairs), (1, 0))

    def test_table_that_is_gone_is_put_back(self) -> None:
        """With the hosts of now, not those of the start."""
        self.start()
        self.service.change(SETTINGS, HOSTS[1:], ())
        self.worker.work()
        self.kernel.counters = {}
        self.look()
        self.assertEqual((self.kernel.calls[-1], self.service.repairs), (("apply", HOSTS[:1]), 1))

    def test_failed_repair_is_tried_again(self) -> None:
        """Until it succeeds."""
        self.start()
        self.kernel.counters, self.kernel.refusal = {}, PlatformError("wan0 is gone")
        self.look()
        self.kernel.refusal = None
        self.look()
        self.assertEqual((self.applications(), self.service.repairs), (2, 1))

    def test_purged_table_stays_away(self) -> None:
        """It was removed on purpose."""
        self.start()
        self.service.purge()
        self.worker.work()
        self.kernel.counters = {}
        self.look()
        self.assertEqual((self.applications(), self.service.repairs), (1, 0))


class StrayTests(DatapathServiceTestCase):
    """`push_stray`."""

    def told(self) -> list[object]:
        """The batches that the kernel was told of."""
        return [call[1] for call in self.kernel.calls if call[0] == "add_strays"]

    def test_strays_of_an_interval_are_one_batch(self) -> None:
        """Each sender once, and nothing before the interval is over."""
        self.start()
        for source in (STRAY, OTHER, STRAY):
            self.service.push_stray(source)
        self.clock.advance(STRAY_INTERVAL * 0.9)
        self.worker.work()
        self.assertEqual(self.told(), [])
        self.clock.advance(STRAY_INTERVAL)
        self.worker.work()
        self.assertEqual((self.told(), self.service.strays_told), ([{STRAY, OTHER}], 2))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1, "the watch alone")

    def test_slow_kernel_makes_larger_batches_not_more(self) -> None:
        """While it works on one, the next is collected, and told an interval after it has answered."""
        self.start()
        self.service.push_stray(STRAY)
        self.clock.advance(STRAY_INTERVAL)
        self.service.push_stray(OTHER)
        self.clock.advance(STRAY_INTERVAL * 10)
        self.assertEqual(len(self.worker.waiting), 1)
        self.worker.work()
        self.clock.advance(STRAY_INTERVAL)
        self.worker.work()
        self.assertEqual(self.told(), [{STRAY}, {OTHER}])

    def test_too_many_at_once_are_counted_and_left_out(self) -> None:
        """A flood from spoofed sources costs a bounded amount of memory."""
        self.start()
        for number in range(STRAYS_WAITING + 3):
            self.service.push_stray(number.to_bytes(4, "big"))
        self.assertEqual(self.service.strays_lost, 3)

    def test_refused_batch_is_counted_and_the_next_one_told(self) -> None:
        """A full set in the kernel does not end it."""
        self.start()
        self.kernel.refusal = RealmGatewayError("nft: Too many open files in system")
        self.service.push_stray(STRAY)
        self.clock.advance(STRAY_INTERVAL)
        self.worker.work()
        self.assertEqual((self.service.strays_lost, self.service.strays_told), (1, 0))
        self.kernel.refusal = None
        self.service.push_stray(OTHER)
        self.clock.advance(STRAY_INTERVAL)
        self.worker.work()
        self.assertEqual(self.service.strays_told, 1)

    def test_refusals_in_a_row_are_one_line_in_the_log(self) -> None:
        """The next one is logged only when a batch was taken in between."""
        self.start()
        with capturedLogs() as events:
            for refused in (True, True, False, True):
                self.kernel.refusal = RealmGatewayError("nft: no") if refused else None
                self.service.push_stray(STRAY)
                self.clock.advance(STRAY_INTERVAL)
                self.worker.work()
        self.assertEqual(len(events), 2)

    def test_nothing_is_told_after_the_stop(self) -> None:
        """What waited is forgotten, what comes is counted as lost, and no timer is left."""
        self.start()
        self.service.push_stray(STRAY)
        self.service.stopService()
        self.worker.work()
        self.service.push_stray(OTHER)
        self.assertEqual((self.told(), self.service.strays_lost, self.clock.getDelayedCalls()), ([], 1, []))

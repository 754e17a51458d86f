"""Tests for `realmgw.datapath.strays`, by the service that has it, and a kernel that notes what it is told."""

from __future__ import annotations

import attrs
from twisted.logger import capturedLogs

from realmgw.datapath.strays import INTERVAL, KNOWN, REST, WAITING
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.test_service import OTHER, SETTINGS, STRAY, DatapathServiceTestCase

TIMEOUT = SETTINGS.admission.stray_timeout


class StraysTestCase(DatapathServiceTestCase):
    """What the kernel is told of."""

    def told(self) -> list[object]:
        """The batches that the kernel was told of."""
        return [call[1] for call in self.kernel.calls if call[0] == "add_strays"]

    def turn(self) -> None:
        """An interval passes, and the kernel does what it was told by then."""
        self.clock.advance(INTERVAL)
        self.worker.work()


class BatchesTests(StraysTestCase):
    """Many at once."""

    def test_strays_of_an_interval_are_one_batch(self) -> None:
        """Each sender once, and nothing before the interval is over."""
        self.start()
        self.assertEqual([self.service.push_stray(source) for source in (STRAY, OTHER, STRAY)], [True, True, False])
        self.clock.advance(INTERVAL * 0.9)
        self.worker.work()
        self.assertEqual(self.told(), [])
        self.turn()
        self.assertEqual((self.told(), self.service.strays.told), ([{STRAY, OTHER}], 2))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1, "the watch alone")

    def test_slow_kernel_makes_larger_batches_not_more(self) -> None:
        """While it works on one, the next is collected, and told an interval after it has answered."""
        self.start()
        self.service.push_stray(STRAY)
        self.clock.advance(INTERVAL)
        self.assertEqual([self.service.push_stray(source) for source in (OTHER, STRAY)], [True, False])
        self.clock.advance(INTERVAL * 10)
        self.assertEqual(len(self.worker.waiting), 1)
        self.worker.work()
        self.turn()
        self.assertEqual(self.told(), [{STRAY}, {OTHER}])

    def test_too_many_at_once_are_counted_and_come_again(self) -> None:
        """A flood from spoofed sources costs a bounded amount of memory; who goes on is taken with the next batch."""
        self.start()
        for number in range(WAITING + 3):
            self.service.push_stray(number.to_bytes(4, "big"))
        self.assertEqual((self.service.strays.lost, self.service.strays.waiting), (3, WAITING))
        self.turn()
        self.assertTrue(self.service.push_stray((WAITING + 1).to_bytes(4, "big")))

    def test_nothing_is_told_after_a_stop_while_the_kernel_works(self) -> None:
        """What came meanwhile is forgotten, and no timer is set for it."""
        self.start()
        self.service.push_stray(STRAY)
        self.clock.advance(INTERVAL)
        self.service.push_stray(OTHER)
        self.service.stopService()
        self.worker.work()
        self.assertEqual((self.told(), self.clock.getDelayedCalls()), ([{STRAY}], []))

    def test_nothing_is_told_after_the_stop(self) -> None:
        """What waited is forgotten, what comes is not taken, and no timer is left."""
        self.start()
        self.service.push_stray(STRAY)
        self.service.stopService()
        self.worker.work()
        self.assertFalse(self.service.push_stray(OTHER))
        self.assertEqual((self.told(), self.clock.getDelayedCalls()), ([], []))


class KnownTests(StraysTestCase):
    """Who is told again."""

    def setUp(self) -> None:
        """One is known, for as long as the kernel has him since the batch was begun."""
        super().setUp()
        self.start()
        self.service.push_stray(STRAY)
        self.turn()
        self.assertFalse(self.service.push_stray(STRAY))

    def test_told_again_when_his_time_is_over(self) -> None:
        """At once, and not before: it begins with the batch, not with the push, and not later than the kernel's."""
        self.clock.advance(TIMEOUT - 0.01)
        self.assertFalse(self.service.push_stray(STRAY))
        self.clock.advance(0.01)
        self.assertTrue(self.service.push_stray(STRAY))

    def test_time_begins_with_the_batch_when_the_kernel_is_slow(self) -> None:
        """Whatever it takes to acknowledge: it may have had him since then."""
        self.service.push_stray(OTHER)
        self.clock.advance(INTERVAL)
        self.clock.advance(4.0)
        self.worker.work()
        self.clock.advance(TIMEOUT - 4.01)
        self.assertFalse(self.service.push_stray(OTHER))
        self.clock.advance(0.02)
        self.assertTrue(self.service.push_stray(OTHER))

    def test_other_time_that_settings_give(self) -> None:
        """From the reload on, and not when that has failed."""
        changed = attrs.evolve(SETTINGS, admission=attrs.evolve(SETTINGS.admission, stray_timeout=3.0))
        for refusal in (RealmGatewayError("no"), None):
            self.kernel.refusal = refusal
            done = self.service.change(changed, (), ())
            self.worker.work()
            done.addErrback(lambda _: None)
            self.assertEqual(self.service.strays.timeout, TIMEOUT if refusal else 3.0)
        self.clock.advance(3.0)
        self.assertTrue(self.service.push_stray(STRAY))

    def test_told_again_when_the_table_was_replaced(self) -> None:
        """It is empty then, whoever has replaced it; also for who was told to the former while that happened."""
        self.kernel.placements += 1
        self.assertTrue(self.service.push_stray(STRAY))
        self.clock.advance(INTERVAL)
        self.kernel.placements += 1
        self.worker.work()
        self.assertTrue(self.service.push_stray(STRAY))

    def test_memory_is_bounded(self) -> None:
        """The oldest are forgotten first."""
        for start in range(0, KNOWN, WAITING):
            for number in range(WAITING):
                self.service.push_stray((start + number).to_bytes(4, "big"))
            self.turn()
        self.assertFalse(self.service.push_stray(bytes(4)))
        self.assertTrue(self.service.push_stray(STRAY))


class RefusedTests(StraysTestCase):
    """The kernel has no room."""

    def refused(self, source: bytes) -> None:
        """It is told of somebody, and refuses."""
        self.kernel.refusal = RealmGatewayError("nft: Too many open files in system")
        self.service.push_stray(source)
        self.turn()
        self.kernel.refusal = None

    def test_refused_batch_is_counted_and_told_again_after_a_rest(self) -> None:
        """Meanwhile nobody is; whoever it was goes on sending, and is tried again then."""
        self.start()
        self.refused(STRAY)
        self.assertEqual((self.service.strays.lost, self.service.strays.told), (1, 0))
        self.assertFalse(self.service.push_stray(OTHER))
        self.assertEqual(self.service.strays.lost, 2)
        self.clock.advance(REST)
        self.assertTrue(self.service.push_stray(STRAY))
        self.turn()
        self.assertEqual((self.told(), self.service.strays.told), ([{STRAY}], 1))

    def test_refusals_in_a_row_are_one_line_in_the_log(self) -> None:
        """The next one is logged only when a batch was taken in between."""
        self.start()
        with capturedLogs() as events:
            for refused in (True, True, False, True):
                self.clock.advance(max(TIMEOUT, REST))
                self.kernel.refusal = RealmGatewayError("nft: no") if refused else None
                self.assertTrue(self.service.push_stray(STRAY))
                self.turn()
        self.assertEqual(len(events), 2)

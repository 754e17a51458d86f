"""Tests for `realmgw.datapath.service`: what is told to the kernel for many at once."""

from __future__ import annotations

from twisted.logger import capturedLogs

from realmgw.datapath.service import STRAY_INTERVAL, STRAYS_WAITING
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.test_service import OTHER, STRAY, DatapathServiceTestCase


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

    def test_nothing_is_told_after_a_stop_while_the_kernel_works(self) -> None:
        """What came meanwhile is forgotten, and no timer is set for it."""
        self.start()
        self.service.push_stray(STRAY)
        self.clock.advance(STRAY_INTERVAL)
        self.service.push_stray(OTHER)
        self.service.stopService()
        self.worker.work()
        self.assertEqual((self.told(), self.clock.getDelayedCalls()), ([{STRAY}], []))

    def test_nothing_is_told_after_the_stop(self) -> None:
        """What waited is forgotten, what comes is counted as lost, and no timer is left."""
        self.start()
        self.service.push_stray(STRAY)
        self.service.stopService()
        self.worker.work()
        self.service.push_stray(OTHER)
        self.assertEqual((self.told(), self.service.strays_lost, self.clock.getDelayedCalls()), ([], 1, []))

"""Tests for `realmgw.datapath.departing`, by the service that has it, and a kernel that notes what it is told."""

from __future__ import annotations

from collections.abc import Collection

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from realmgw.datapath.departing import ENDING_INTERVAL, MANY, MOST_WAITING
from realmgw.datapath.service import DatapathService
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.model import Host
from realmgw.test.datapath.kernel import RecordingKernel
from realmgw.test.datapath.test_service import HOSTS, SETTINGS, DatapathServiceTestCase
from realmgw.testing import MemoryListener, MemoryWorker

GONE, OTHER, CAME = (bytes([192, 0, 2, number]) for number in (7, 8, 9))
NEW = attrs.evolve(HOSTS[0], index=7, name="new.example.", address=GONE)


class DeparturesTestCase(DatapathServiceTestCase):
    """A service that has begun, with a thread of its own for the end of flows."""

    def setUp(self) -> None:
        self.clock, self.worker, self.lister, self.kernel = Clock(), MemoryWorker(), MemoryWorker(), RecordingKernel()
        self.service = DatapathService(
            self.kernel, HOSTS, clock=self.clock, worker=self.worker, lister=self.lister, listener=MemoryListener(),
            stray_timeout=10.0,
        )  # fmt: skip
        self.start()

    def ended(self) -> list[object]:
        """What the kernel was told to end, one listing of all flows each."""
        return [call[1:] for call in self.kernel.calls if call[0] == "end_flows"]

    def later(self, gone: Collection[bytes] = (), came: Collection[bytes] = ()) -> None:
        """Their flows are to end soon; nobody waits for it."""
        self.assertEqual(self.successResultOf(self.service.end_flows(gone, came, soon=True)), 0)

    def wait(self) -> None:
        """Until it is done."""
        self.clock.advance(ENDING_INTERVAL)
        self.lister.work()

    def come(self, *hosts: Host) -> Deferred[None]:
        """Hosts come."""
        changed = self.service.change(SETTINGS, (), hosts)
        self.worker.work()
        return changed

    def refuse(self, *, refuses: bool) -> None:
        """The kernel does not let flows end, or does again."""
        self.kernel.refusal = RealmGatewayError("no conntrack") if refuses else None


class TogetherTests(DeparturesTestCase):
    """One listing for many."""

    def test_many_that_go_one_by_one_are_one_listing(self) -> None:
        """So are those who are no guests any more; changes of hosts go on meanwhile, in another thread."""
        for number in range(200):
            self.later({bytes([10, 0, 0, number])}, {bytes([10, 0, 1, number])})
            self.clock.advance(0.004)
        self.clock.advance(ENDING_INTERVAL)
        self.successResultOf(self.come(NEW))
        self.lister.work()
        every = [{bytes([10, 0, net, number]) for number in range(200)} for net in (0, 1)]
        self.assertEqual((self.ended(), self.kernel.hastes), ([tuple(every)], [False]))

    def test_the_next_ones_wait_until_the_listing_has_come_to_its_end(self) -> None:
        """What is slow has larger batches, not more of them."""
        self.later({GONE})
        self.clock.advance(ENDING_INTERVAL)
        self.later({OTHER})
        self.clock.advance(10 * ENDING_INTERVAL)
        self.assertEqual(len(self.lister.waiting), 1)
        self.lister.work()
        self.wait()
        self.assertEqual(self.ended(), [({GONE}, set()), ({OTHER}, set())])

    def test_a_reload_ends_them_at_once(self) -> None:
        """And tells how many there were."""
        done = self.service.end_flows({GONE}, {CAME})
        self.lister.work()
        self.assertEqual((self.successResultOf(done), self.ended()), (1, [({GONE}, {CAME})]))
        self.later({OTHER})
        self.wait()
        self.assertEqual(self.kernel.hastes, [True, False], "only who waits makes it make haste")

    def test_what_moves_to_another_host_ends_at_once(self) -> None:
        """Later it would be the flows of that one."""
        done = self.service.end_flows({GONE, OTHER}, {GONE, CAME}, soon=True)
        self.lister.work()
        self.assertEqual((self.successResultOf(done), self.ended()), (1, [({GONE}, ())]))
        self.wait()
        self.assertEqual(self.ended()[1:], [({OTHER}, {GONE, CAME})])


class BeforeTests(DeparturesTestCase):
    """An address that is somebody's again."""

    def test_its_new_host_waits_for_the_end_of_the_flows_of_its_former_one(self) -> None:
        """Whether that waits, or is under way; nothing of the new one's is ended."""
        for is_under_way in (False, True):
            self.later({GONE, OTHER})
            self.clock.advance(ENDING_INTERVAL if is_under_way else 0.0)
            done = self.come(NEW)
            self.assertNoResult(done)
            self.lister.work()
            self.worker.work()
            self.successResultOf(done)
            self.assertEqual([call[0] for call in self.kernel.calls[-2:]], ["end_flows", "change"])
            self.wait()
            self.assertEqual((self.ended().pop(), self.kernel.hastes.pop()), (({GONE, OTHER}, set()), True))
            self.service.change(SETTINGS, (NEW,), ())
            self.worker.work()

    def test_others_wait_for_nothing(self) -> None:
        """Neither where something waits, nor where nothing does."""
        self.successResultOf(self.come(NEW))
        self.later({OTHER})
        self.successResultOf(self.come(attrs.evolve(NEW, index=8, name="o.example.", address=CAME)))
        self.assertEqual(self.ended(), [])

    def test_of_very_many_it_is_not_looked_which_addresses_they_have(self) -> None:
        """They wait in any case."""
        self.later({OTHER})
        many = [attrs.evolve(NEW, index=10 + at, name=f"m{at}.example.", address=bytes([10, 0, *divmod(at, 256)]))
                for at in range(MANY + 1)]  # fmt: skip
        done = self.come(*many)
        self.assertNoResult(done)
        self.lister.work()
        self.worker.work()
        self.successResultOf(done)

    def test_a_refusal_is_no_reason_to_forget_others(self) -> None:
        """However many come meanwhile: what those had who are gone is ended when the kernel lets us."""
        many = [attrs.evolve(NEW, index=10 + at, name=f"m{at}.example.", address=bytes([10, 0, *divmod(at, 256)]))
                for at in range(MANY + 1)]  # fmt: skip
        self.refuse(refuses=True)
        self.later({OTHER, many[0].address})
        done = self.come(*many)
        self.lister.work()
        self.refuse(refuses=False)
        self.worker.work()
        self.successResultOf(done)
        self.wait()
        self.assertEqual(self.ended(), [({OTHER}, set())])

    def test_a_refusal_holds_up_nobody(self) -> None:
        """It is told; and the address is not tried again, since what it has is the new host's."""
        self.refuse(refuses=True)
        self.later({GONE, OTHER})
        with capturedLogs() as events:
            done = self.come(NEW)
            self.lister.work()
        self.assertEqual(len(events), 1)
        self.refuse(refuses=False)
        self.worker.work()
        self.successResultOf(done)
        self.wait()
        self.assertEqual(self.ended(), [({OTHER}, set())])


class RefusedTests(DeparturesTestCase):
    """The kernel does not let us."""

    def test_it_is_told_once_and_tried_again_until_it_is_done(self) -> None:
        """With those who have joined meanwhile."""
        self.refuse(refuses=True)
        self.later({GONE}, {CAME})
        with capturedLogs() as events:
            self.wait()
            self.later({OTHER})
            self.wait()
        self.assertEqual((len(events), self.ended()), (1, []))
        self.refuse(refuses=False)
        self.wait()
        self.assertEqual(self.ended(), [({GONE, OTHER}, {CAME})])
        self.wait()
        self.assertEqual(len(self.ended()), 1)
        self.refuse(refuses=True)
        self.later({GONE})
        with capturedLogs() as events:
            self.wait()
        self.assertEqual(len(events), 1, "another time")

    def test_no_more_wait_than_there_is_room_for(self) -> None:
        """However many go meanwhile."""
        self.refuse(refuses=True)
        self.later({number.to_bytes(4, "big") for number in range(MOST_WAITING + 9)})
        self.wait()
        self.refuse(refuses=False)
        self.wait()
        [call] = self.ended()
        assert isinstance(call, tuple)
        self.assertEqual(len(call[0]), MOST_WAITING)


class StopTests(DeparturesTestCase):
    """The gateway stops."""

    def test_those_who_are_gone_lose_their_flows_before_it_has_stopped(self) -> None:
        """What goes on without a gateway is of hosts only; then both threads end."""
        self.later({GONE})
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        self.lister.work()
        self.worker.work()
        self.successResultOf(stopped)
        self.assertEqual((self.ended(), self.clock.getDelayedCalls()), ([({GONE}, set())], []))
        self.assertTrue(self.lister.stopped and self.worker.stopped)

    def test_a_refusal_is_not_waited_for(self) -> None:
        """It is told, and that is all."""
        self.refuse(refuses=True)
        self.later({GONE})
        stopped = self.service.stopService()
        with capturedLogs() as events:
            self.lister.work()
        self.worker.work()
        self.successResultOf(stopped)
        self.assertEqual((len(events), self.clock.getDelayedCalls()), (1, []))

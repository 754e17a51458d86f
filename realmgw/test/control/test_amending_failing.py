"""Tests for `realmgw.control.amending`: each step of a registration fails in turn, and what stands agrees."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail

from realmgw.errors import MalformedError, PlatformError, RealmGatewayError
from realmgw.subscribers.leases.journal import Journal
from realmgw.subscribers.leases.service import AGAIN, GRACE
from realmgw.test.control.registering import NAMES, LeaseTestCase, adding, address

OLD, NEW = address("h", "192.168.0.9"), address("h", "192.168.0.10")


class EachStepTests(LeaseTestCase):
    """A host is registered; it gets another address, or is removed."""

    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.change(adding(OLD)), [""])
        self.calls.clear()

    def stands(self) -> tuple[object, ...]:
        """What is registered, on disk, in the registry, and in the kernel beside the beginning."""
        kept = [record for lease in Journal(self.gateway.folder / "leases.sqlite", lambda: 0.0).read()
                for record in lease.records]  # fmt: skip
        led = [name for call in self.calls if call[0] == "kernel" for name in (call[1], call[2])]
        return self.leases.records("h.example.org."), tuple(kept), self.host("h"), len(led) // 2 % 2

    def refuse(self, step: str) -> None:
        """From now on this one fails."""
        parts = self.gateway.parts
        if step == "changes":
            self.patch(self.leases.in_force, "changes", lambda *_: fail(RealmGatewayError("refused")))
        elif step == "journal":
            self.disk.refusal = PlatformError("refused")
        elif step == "names":
            parts.bad_name = MalformedError("refused")
        elif step == "kernel":
            parts.refusal = RealmGatewayError("refused")
        else:
            parts.fault = ValueError("refused")

    def allow(self) -> None:
        """All is well again."""
        parts = self.gateway.parts
        self.disk.refusal = parts.bad_name = parts.refusal = parts.fault = None

    def test_whichever_fails_all_is_as_it_was(self) -> None:
        """In the book, on disk, in the registry and in the kernel; the next change is taken."""
        for step in ("changes", "journal", "names", "kernel", "fault"):
            self.refuse(step)
            [said] = self.change(adding(NEW, removed=(OLD,)))
            self.flushLoggedErrors(ValueError)
            self.assertIn("refused", said, step)
            self.assertEqual(self.stands(), ((OLD,), (OLD,), (OLD.data,), 0), step)
            self.assertEqual((self.leases.hosts._ahead, self.leases.counts()["waiting"]), ({}, 0), step)
            self.allow()
            if step == "changes":
                self.leases = self.again()
                self.calls = self.gateway.parts.calls
        self.assertEqual(self.change(adding(NEW, removed=(OLD,))), [""])
        self.assertEqual(self.stands(), ((NEW,), (NEW,), (NEW.data,), 1))
        self.assertEqual(self.change(adding(removed=(NEW,))), [""])
        self.assertEqual(self.stands()[:2], ((), ()))

    def test_what_was_to_leave_leaves_as_soon_as_it_can(self) -> None:
        """Whichever step has failed when its time was over; until then that is told."""
        for step in ("changes", "names", "kernel"):
            self.assertEqual(self.change(adding(OLD)), [""])
            self.assertEqual(self.change(adding(removed=(OLD,))), [""])
            changes = self.leases.in_force.changes
            self.refuse(step)
            self.gateway.pass_time(GRACE)
            self.assertEqual(self.host("h"), (OLD.data,), step)
            [line] = self.told[-1]
            self.assertEqual(line, "h.example.org. can not be removed, and is tried again: refused", step)
            self.allow()
            self.patch(self.leases.in_force, "changes", changes)
            self.gateway.pass_time(GRACE)
            self.assertEqual((self.gateway.names, self.told[-1]), (NAMES, ()), step)

    def test_however_many_fail_there_is_one_timer_for_what_is_tried_again(self) -> None:
        """And each that is to leave does so in its time."""
        self.assertEqual(self.change(adding(address("i", "192.168.0.11"))), [""])
        self.change(adding(removed=(OLD,)))
        self.gateway.pass_time(GRACE / 2)
        self.change(adding(removed=(address("i", "192.168.0.11"),)))
        before = len(self.clock.getDelayedCalls())
        self.refuse("kernel")
        for number in range(50):
            self.assertEqual(self.change(adding(address("j", f"192.168.1.{number + 1}"))), ["refused"])
        self.assertEqual(len(self.clock.getDelayedCalls()), before)
        self.allow()
        self.gateway.pass_time(GRACE / 2)
        self.assertEqual((self.host("h"), self.host("i")), ((), (address("i", "192.168.0.11").data,)))
        self.gateway.pass_time(GRACE / 2)
        self.assertEqual(self.host("i"), ())

    def test_a_disk_that_does_not_take_it_back_has_it_back_later(self) -> None:
        """Else a name whose registration was refused would be registered after the next start."""
        held: Deferred[None] = Deferred()
        self.gateway.parts.hold = held
        said: list[str] = []
        done = self.leases.change(adding(NEW, removed=(OLD,)))
        done.addErrback(lambda failure: said.append(failure.getErrorMessage()))
        self.gateway.pass_time()
        self.disk.refusal = PlatformError("full")
        held.errback(RealmGatewayError("no room"))
        self.gateway.parts.hold = None
        self.gateway.pass_time()
        self.assertEqual(
            (said, self.leases.records("h.example.org."), self.host("h")), (["no room"], (OLD,), (OLD.data,))
        )
        self.assertIn("can not be kept", self.told[-1][0])
        self.disk.refusal = None
        self.gateway.pass_time(AGAIN)
        self.assertEqual(self.stands()[:3], ((OLD,), (OLD,), (OLD.data,)))
        self.assertEqual(self.told[-1], ())

    def test_flows_that_do_not_end_are_no_reason_to_take_it_back(self) -> None:
        """The kernel has the new address, and names lead there: it is in force."""
        self.gateway.parts.never_ends = RealmGatewayError("no conntrack")
        self.assertEqual(self.change(adding(NEW, removed=(OLD,))), [""])
        self.assertEqual(self.stands(), ((NEW,), (NEW,), (NEW.data,), 1))

    def test_after_the_stop_nobody_waits_for_ever(self) -> None:
        """Not for a removal, either."""
        self.leases.stopService()
        self.gateway.pass_time()
        for done in (self.leases.change(adding(NEW)), self.leases.remove(self.leases.records("h.example.org."))):
            self.assertIn("the gateway stops", str(self.failureResultOf(done).value))

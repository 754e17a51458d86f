"""Tests for `realmgw.control.purging`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Allocation, WhileDegraded
from realmgw.control.apply import Outcome, Status
from realmgw.control.health import Severity, State
from realmgw.control.purging import LENDING, PURGED, Purging
from realmgw.errors import RealmGatewayError, Reason
from realmgw.test.control.parts import TestGateway

THINGS = ("table inet-realmgw", "route 198.51.100.0/24")


class RecordingSide:
    """The kernel's side and the gate, which note what they are told.

    Attributes:
        calls: What they were told, in order.
        pending: If set, what the kernel says to a purge is this.
        refusal: What the kernel says otherwise, if anything.
    """

    def __init__(self) -> None:
        """Begins with no calls."""
        self.calls: list[str] = []
        self.pending: Deferred[tuple[str, ...]] | None = None
        self.refusal: Exception | None = None

    def purge(self) -> Deferred[tuple[str, ...]]:
        """Notes it."""
        return self._note("purge", ("purged",))

    def place(self) -> Deferred[tuple[str, ...]]:
        """Notes it."""
        return self._note("place", ())

    def placed(self) -> Iterator[dict[str, str]]:
        """What stands after a reload."""
        yield from ({"what": what, "name": name} for what, name in map(str.split, THINGS))

    def _note(self, call: str, done: tuple[str, ...]) -> Deferred[tuple[str, ...]]:
        self.calls.append(call)
        if self.refusal is not None:
            return fail(self.refusal)
        return self.pending if self.pending is not None else succeed(done)

    def close(self, *, closed: bool) -> Deferred[None]:
        """Notes it."""
        self.calls.append("close" if closed else "open")
        return succeed(None)

    def start(self) -> None:
        """Notes it."""
        self.calls.append("start")

    def stop(self) -> None:
        """Notes it."""
        self.calls.append("stop")


class PurgingTestCase(SynchronousTestCase):
    """A gateway with a pool, and a kernel's side that notes what it is told."""

    def setUp(self) -> None:
        """Nothing is purged."""
        self.made, self.side = TestGateway(Path(self.mktemp())), RecordingSide()
        self.allocator = self.made.allocator
        self.purging = Purging(
            self.side, self.allocator, self.side, self.side, self.made.reloader,
            lambda: [prefix.network for prefix in self.made.running.settings.pools.circular],
            lambda lines: self.made.health.tell("purge", lines, Severity.DEGRADED), self.made.clock.seconds,
        )  # fmt: skip
        [self.service, *_] = self.made.running.registry.directory.services.values()

    def ask(self, resolver: str = "192.0.2.53") -> Any:
        """What a query is answered."""
        return self.allocator.ask(self.service, resolver, object(), now=self.made.clock.seconds())

    def reload(self) -> Outcome:
        """An operator reloads."""
        asked = self.purging.reload("an operator")
        self.made.pass_time()
        outcome: Outcome = self.successResultOf(asked)
        return outcome


class PurgeTests(PurgingTestCase):
    """`Purging.purge`."""

    def test_nothing_is_lent_before_the_kernel_loses_anything(self) -> None:
        """Whoever asks in the middle of it gets no address, and first packets are dropped."""
        self.side.pending = Deferred()
        purged = self.purging.purge()
        self.assertEqual(self.side.calls, ["stop", "close", "purge"])
        self.assertIs(self.ask(), Reason.DEGRADED)
        self.assertEqual((self.made.health.state, self.allocator.pool.size), (State.DEGRADED, 0))
        self.side.pending.callback(("gone",))
        self.assertEqual(self.successResultOf(purged), ("gone",))

    def test_claims_end_without_blame(self) -> None:
        """That their clients can not come any more is nobody's fault."""
        self.assertIsInstance(self.ask(), bytes)
        self.purging.purge()
        reputation = self.allocator.groups.of("192.0.2.53").reputation
        self.assertEqual((reputation.nok, reputation.neutral), (0, 1))

    def test_who_waits_is_told(self) -> None:
        """Not left to wait for addresses that never come."""
        told: list[object] = []
        self.allocator.wait(self.service, "192.0.2.53", 1, told.append, tcp=False, now=0.0)
        self.purging.purge()
        self.assertEqual(told, [Reason.DEGRADED])

    def test_addresses_are_not_lent_by_the_key_either(self) -> None:
        """That speaks of outages; a purge is none."""
        self.allocator.configure(Allocation(while_degraded=WhileDegraded.LEND))
        self.purging.purge()
        self.assertIs(self.ask(), Reason.DEGRADED)

    def test_refusal_of_the_kernel_leaves_nothing_lent(self) -> None:
        """It is told, and a second try is one from the beginning."""
        self.side.refusal = RealmGatewayError("nft: no")
        self.failureResultOf(self.purging.purge(), RealmGatewayError)
        self.assertIsInstance(self.ask(), Reason)
        self.side.refusal = None
        self.assertEqual(self.successResultOf(self.purging.purge()), ("purged",))

    def test_second_purge_is_one_too(self) -> None:
        """Whoever is not sure may say it again."""
        for _ in range(2):
            self.assertEqual(self.successResultOf(self.purging.purge()), ("purged",))

    def test_waits_for_a_reload_that_is_under_way(self) -> None:
        """Else that would lend the prefixes that it adds."""
        self.made.parts.hold = Deferred()
        self.made.write("b.yaml", c="192.168.0.3")
        self.made.reloader.reload("a test")
        self.made.pass_time()
        purged = self.purging.purge()
        self.assertEqual(self.side.calls, [])
        self.assertNoResult(purged)
        self.made.parts.hold.callback(None)
        self.made.pass_time()
        self.assertEqual(self.successResultOf(purged), ("purged",))


class ReloadTests(PurgingTestCase):
    """`Purging.reload`."""

    def test_is_a_reload_where_nothing_is_purged(self) -> None:
        """And nothing else."""
        self.assertIs(self.reload().status, Status.UNCHANGED)
        self.assertEqual(self.side.calls, [])

    def test_puts_everything_in_place_again_before(self) -> None:
        """With what is written now; then addresses are lent, and it is well again."""
        self.purging.purge()
        self.made.write("b.yaml", c="192.168.0.3")
        outcome = self.reload()
        self.assertIs(outcome.status, Status.APPLIED)
        self.assertEqual(outcome.summary(), "1 hosts added, 1 services new or different, 3 things put back")
        self.assertEqual(self.side.calls, ["stop", "close", "purge", "place", "start", "open"])
        self.assertIsInstance(self.ask(), bytes)
        self.assertEqual((self.made.health.state, len(self.made.names)), (State.HEALTHY, 3))

    def test_tells_what_is_there_again(self) -> None:
        """Also where nothing else is different; the next one has nothing to tell."""
        self.purging.purge()
        outcome = self.reload()
        self.assertEqual(outcome.restored, (LENDING, *(f"{each}: a purge had removed it" for each in THINGS)))
        self.assertEqual((outcome.status, outcome.summary()), (Status.APPLIED, "3 things put back"))
        again = self.reload()
        self.assertEqual((again.status, again.summary()), (Status.UNCHANGED, "nothing is different"))

    def test_stays_purged_where_that_fails(self) -> None:
        """The reason is told, and nothing is lent."""
        self.purging.purge()
        self.side.refusal = RealmGatewayError("there is no interface wan0")
        outcome = self.reload()
        self.assertEqual((outcome.status, outcome.problems), (Status.FAILED, ("there is no interface wan0", PURGED)))
        self.assertIsInstance(self.ask(), Reason)
        self.assertIs(self.made.health.state, State.DEGRADED)

    def test_a_repository_does_not_undo_a_purge(self) -> None:
        """Its reload is refused, and changes nothing; the operator's finds what it would have."""
        self.purging.purge()
        self.made.write("b.yaml", c="192.168.0.3")
        [outcome] = self.made.reload()
        self.assertEqual((outcome.status, outcome.problems), (Status.REFUSED, (PURGED,)))
        self.assertEqual((len(self.made.names), self.side.calls), (2, ["stop", "close", "purge"]))
        self.assertIs(self.reload().status, Status.APPLIED)

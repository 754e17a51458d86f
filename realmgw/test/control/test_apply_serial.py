"""Plans, reloads and repositories beside each other, at every moment: clocks go on, so that steps are divided."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.apply import Outcome, Reloader, Status
from realmgw.control.plan import Plan
from realmgw.subscribers.files.folders import QUIET
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.test.control.parts import TestGateway

HOSTS, GONE = 50, 7
STRIDE = 11
"""Of so many steps one is a moment: comparing settings alone takes some 800 of them, and hosts some 50."""


class Turns(Clock):
    """A clock that does what is due one call after the other, as a reactor does between other things."""

    def __init__(self) -> None:
        super().__init__()
        self._due: deque[Callable[[], object]] = deque()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> Any:  # noqa: A002
        """What is due at once is done in its turn."""
        if delay:
            return super().callLater(delay, callable, *args, **kwargs)
        self._due.append(lambda: callable(*args, **kwargs))
        return None

    def turn(self) -> bool:
        """Does one thing; returns whether there was one."""
        if self._due:
            self._due.popleft()()
            return True
        return False


class DividedGateway(TestGateway):
    """Every step of a reload has a turn of its own."""

    def __init__(self, folder: Path) -> None:
        """Has hosts in one file, another half of them written differently."""
        super().__init__(folder)
        self.write("b.yaml", **{f"h{number}": address(number) for number in range(HOSTS)})
        self.reload()
        self.turns, ticks = Turns(), count()
        seconds = self.turns.seconds
        self.reloader = Reloader(self.running, self.reloader._parts, self.turns, lambda: seconds() + next(ticks) * 1e-2)
        self.running.folders._monotonic = seconds

    def finish(self, *expected: Deferred[Any]) -> list[Any]:
        """Lets everything come to its end; what came of each."""
        results: list[Any] = []
        for each in expected:
            each.addBoth(results.append)
        for _ in range(20):
            while self.turns.turn():
                pass
            if len(results) < len(expected):
                self.turns.advance(QUIET)
        return results


def _noted(ended: list[object], result: Any) -> Any:
    ended.append(result)
    return result


def address(number: int, net: int = 1) -> str:
    """Of a host."""
    return f"192.168.{net + number // 250}.{number % 250 + 1}"


class SerialTests(SynchronousTestCase):
    """One at a time."""

    def moments(
        self, begin: Callable[[DividedGateway], Deferred[Any]]
    ) -> Iterator[tuple[DividedGateway, Deferred[Any]]]:
        """A gateway at every moment of something: see `STRIDE`."""
        for turns in count(0, STRIDE):
            gateway = DividedGateway(Path(self.mktemp()))
            gateway.write("b.yaml", **{f"h{number}": address(number, 10) for number in range(GONE, HOSTS + GONE)})
            begun, ended = begin(gateway), list[object]()
            begun.addBoth(partial(_noted, ended))
            for _ in range(turns):
                if not gateway.turns.turn():
                    gateway.turns.advance(QUIET)
            if ended:
                self.assertGreater(turns, 20 * STRIDE)
                return
            yield gateway, begun

    def check(self, gateway: DividedGateway) -> None:
        """What is written is in force."""
        wanted = sorted(["a", "b", *(f"h{number}" for number in range(GONE, HOSTS + GONE))])
        self.assertEqual([name.partition(".")[0] for name in gateway.names], wanted)
        self.assertEqual(gateway.running.registry.problems, ())

    def test_a_plan_beside_a_reload_at_every_moment(self) -> None:
        """Tells what is different before it, or that nothing is after it."""
        for gateway, reload in self.moments(lambda gateway: gateway.reloader.reload("a test")):
            outcome, plan = gateway.finish(reload, gateway.reloader.plan())
            self.assertEqual((outcome.status, plan.problems, bool(plan)), (Status.APPLIED, (), False))
            self.check(gateway)

    def test_a_reload_beside_a_plan_at_every_moment(self) -> None:
        """The plan is that of the reload."""
        for gateway, plan in self.moments(lambda gateway: gateway.reloader.plan()):
            planned, outcome = gateway.finish(plan, gateway.reloader.reload("a test"))
            assert isinstance(planned, Plan)
            self.assertEqual(planned.hosts_removed, outcome.plan.hosts_removed)
            self.assertEqual(len(planned.hosts_removed), GONE)
            self.check(gateway)

    def test_a_repository_beside_a_reload_at_every_moment(self) -> None:
        """What it says is in force afterwards; so is what the files say."""
        for gateway, reload in self.moments(lambda gateway: gateway.reloader.reload("a test")):
            told = gateway.reloader.tell("https://db.example.org", Snapshot("1"))
            for each in gateway.finish(reload, told):
                assert isinstance(each, Outcome)
                self.assertIn(each.status, (Status.APPLIED, Status.UNCHANGED))
            self.check(gateway)

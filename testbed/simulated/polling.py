"""Allocation where somebody asks by the clock, in simulated time: a monitoring system, or checks of whether hosts live.

A table of `testbed/simulate`. One client asks for every host in turn, again and again, by a resolver that keeps
nothing, and comes at once. To the gateway that resolver asks again no sooner than after some time, as one that keeps
answers does; if it were taken for such a one, its addresses would be kept for nobody. Beside it clients of another
resolver come by chance. The real `Allocator` decides, with this simulation's clock as its only one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import attrs

from testbed.simulated.caches import PLAIN, Cache, Case, Outcome, Site

SECONDS = 120.0
OTHERS = 5.0
"""Visits a second by the other resolver."""
SERVED = 0.95
"""So many of all clients reach their host; in the first seconds, those who serve several are taken to keep answers."""


@attrs.frozen
class Polls:
    """A line of the table."""

    addresses: int
    """Pool size."""
    hosts: int
    """So many are asked for."""
    period: float
    """Seconds until each is asked for again."""
    jitter: float
    """The part of that by which it is sooner or later at times, 0 to 1."""
    clients: int = 1
    """From so many addresses."""

    @property
    def title(self) -> str:
        """For the table."""
        jitter = f" +-{self.jitter:.0%}" if self.jitter else ""
        who = f", {self.clients} clients" if self.clients > 1 else ""
        return f"{self.addresses} addresses, {self.hosts} hosts, each every {self.period:g} s{jitter}{who}"


CASES = (
    Polls(16, 20, 1.0, 0.0),
    Polls(16, 50, 2.0, 0.05),
    Polls(16, 100, 5.0, 0.0),
    Polls(16, 100, 5.0, 0.1, clients=2),
    Polls(16, 200, 10.0, 0.0),
    Polls(16, 200, 30.0, 0.1),
    Polls(16, 200, 60.0, 0.0),
)


class Poller(Cache):
    """Its one client has a port of his own for each connection, and none again that he had a moment before."""

    _connections = 0

    def port(self) -> int:
        self._connections += 1
        return 1024 + self._connections % 64512


class Polled(Site):
    """One run.

    Args:
        polls: What happens.
    """

    def __init__(self, polls: Polls) -> None:
        super().__init__(Case(polls.addresses, polls.hosts, OTHERS, 0.04), (PLAIN,))
        self._polls = polls
        self.poller = Poller(PLAIN, "192.0.2.9", 9, self, clients=polls.clients)

    def play(self) -> tuple[Outcome, Outcome, bool]:
        """What became of the one who polls and of the others, and whether he was ever taken to keep answers."""
        self._was_keeper = False
        for host in range(self._polls.hosts):
            self.line.at(self._polls.period * host / self._polls.hosts, partial(self._poll, host))
        [others] = self.run()
        return self.poller.outcome, others, self._was_keeper

    def _poll(self, host: int) -> None:
        self.poller.visit(host)
        self._was_keeper |= self.allocator.groups.of(self.poller.address).habits.keeps_answers
        jitter = self._polls.jitter * self.line.chance.uniform(-1.0, 1.0)
        time = self.line.now + self._polls.period * (1.0 + jitter)
        if time < SECONDS:
            self.line.at(time, partial(self._poll, host))


def table() -> Iterator[tuple[str, bool]]:
    """The lines of the table, each with whether it holds."""
    yield "| who polls | his clients | others | taken to keep answers | holds |", True
    yield "|---|---|---|---|---|", True
    for polls in CASES:
        poller, others, was_keeper = Polled(polls).play()
        good = not was_keeper and min(poller.share, others.share) >= SERVED and not poller.astray + others.astray
        cells = f"{poller.share:.1%}, {poller.astray} astray | {others.share:.1%}, {others.astray} astray"
        said = "yes" if was_keeper else "no"
        yield f"| {polls.title} | {cells} | {said} | {'yes' if good else 'NO'} |", good

"""Known resolvers among noise, and beside a new one, in simulated time.

Two tables of `testbed/simulate`. Three addresses, ten hosts, three resolvers that keep nothing, ten visits a second by
each. When the gateway knows them, noise begins: two resolvers ask for any host, and nobody follows; from their own
addresses others connect to any address of the pool, and are answered where they are let in; and from addresses that
nobody has, packets come that nothing answers. Together, some of what is asked is followed by a packet, as with a new
resolver. In the second table one comes indeed, beside two that are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import attrs

from realmgw.errors import Reason
from testbed.simulated.caches import PLAIN, PORT, RESOLVERS, SECONDS, TCP, Cache, Case, Outcome, Resolver, Site

CASE = Case(3, 10, 10, 0.001)
IDLE = ("203.0.113.10", "203.0.113.11")
"""The resolvers whose clients never come, and where those are who connect everywhere."""
WARM = 20.0  # seconds
LEAST = 0.9
"""The part of the honest clients that is served at least, once the noise has begun; without noise it is all."""


@attrs.frozen
class Noise:
    """What comes besides."""

    title: str
    """For the table."""
    kinds: tuple[str, ...]
    """Of `asking`, `connecting`, `forged`."""


KINDS = (
    Noise("none", ()),
    Noise("asking", ("asking",)),
    Noise("asking, connecting", ("asking", "connecting")),
    Noise("asking, forged", ("asking", "forged")),
    Noise("all", ("asking", "connecting", "forged")),
)
RATES = (3.0, 15.0)
"""Of each kind, a second."""
SEEDS = 16
"""So many runs; one tells little: 59 to 100 % of the clients are served where the noise is worst."""


class Beside(Cache):
    """A resolver whose clients count once the noise has begun."""

    as_others = False
    """Its clients have the same addresses as those of the others."""

    def _come(self, host: int, address: bytes) -> None:
        number, self._number = self._number, 0 if self.as_others else self._number
        super()._come(host, address)
        self._number = number

    def _count(self, host: int, index: int) -> None:
        if self._site.line.now >= WARM:
            super()._count(host, index)


class Noisy(Site):
    """One run.

    Args:
        noise: What comes besides.
        rate: Of each kind, a second.
        seed: Of chance.
        shared: Clients of all resolvers are of the same addresses.
    """

    def __init__(self, noise: Noise, rate: float, seed: int = 1, *, shared: bool = False) -> None:
        super().__init__(CASE, (PLAIN,) * 3, seed)
        resolvers = [Beside(PLAIN, each.address, number, self) for number, each in enumerate(self.caches, 53)]
        for each in resolvers:
            each.as_others = shared
        self.caches = list[Cache](resolvers)
        self._questions = 0
        events = {"asking": self._ask, "connecting": self._connect, "forged": self._forge}
        for kind in noise.kinds:
            self.line.at(WARM, partial(self._go_on, rate, events[kind]))

    def _go_on(self, rate: float, event: Callable[[], None]) -> None:
        def happen() -> None:
            event()
            self._go_on(rate, event)

        self.line.again(rate, SECONDS, happen)

    def _ask(self) -> None:
        self._questions += 1
        chance, question = self.line.chance, ("idle", self._questions)
        service, resolver = chance.choice(self.services), chance.choice(IDLE)
        if self.allocator.ask(service, resolver, question, now=self.line.now) is Reason.EXHAUSTED:
            self.allocator.wait(service, resolver, question, _nobody, tcp=False, now=self.line.now)

    def _connect(self) -> None:
        source = bytes(map(int, self.line.chance.choice(IDLE).split(".")))
        self._send(source, is_answered=True)

    def _forge(self) -> None:
        self._send(bytes((100, 32, *self.line.chance.randbytes(2))), is_answered=False)

    def _send(self, source: bytes, *, is_answered: bool) -> None:
        chance, now = self.line.chance, self.line.now
        address = chance.choice(list(self.allocator.pool.addresses))
        flow = (source, address, TCP, chance.randrange(1024, 65536), PORT)
        if self.allocator.admit(flow, now=now) > 0 and is_answered:
            self.answered[flow] = now + CASE.delay


def _nobody(outcome: bytes | Reason) -> None:
    """It asks for nobody."""


def played(noise: Noise, rate: float, *, shared: bool, seeds: int = SEEDS) -> Outcome:
    """What became of the honest clients of several runs, once the noise had begun.

    Args:
        noise: What comes besides.
        rate: Of each kind, a second.
        shared: Clients of all resolvers are of the same addresses.
        seeds: How many runs.
    """
    runs = (Noisy(noise, rate, seed, shared=shared).run() for seed in range(1, seeds + 1))
    return _together(outcome for outcomes in runs for outcome in outcomes)


def _together(outcomes: Iterable[Outcome]) -> Outcome:
    whole = Outcome()
    for outcome in outcomes:
        whole.served += outcome.served
        whole.astray += outcome.astray
        whole.waits += outcome.waits
        for reason, count in outcome.refused.items():
            whole.refused[reason] = whole.refused.get(reason, 0) + count
    return whole


def table() -> Iterator[tuple[str, bool]]:
    """The lines of the table, each with whether it holds."""
    yield "| noise | of each kind | clients from networks of their own | from the same addresses | holds |", True
    yield "|---|---|---|---|---|", True
    for noise in KINDS:
        for rate in RATES if noise.kinds else RATES[:1]:
            cells = [played(noise, rate, shared=shared) for shared in (False, True)]
            least = LEAST if noise.kinds else 1.0
            good = all(each.share >= least and not each.astray for each in cells)
            said = (f"{each.share:.1%}, {each.astray} astray; {each.wait * 1000:.0f} ms" for each in cells)
            yield f"| {noise.title} | {rate:g}/s | {' | '.join(said)} | {'yes' if good else 'NO'} |", good


DELAYED = Case(3, 10, 10, 0.1, (0.002, 0.1, 0.3))
"""Clients of whom some are slow: then answers that are kept lead astray most."""
BEHIND = 0.02
"""So many of a new resolver's clients may reach another host, all told, in the first half of a minute."""
JOINED = 48
"""In so many runs: in most of them hardly any do, and tens in a few, before it is known that it keeps answers."""


class Joined(Site):
    """A run with two resolvers that keep nothing, and one that begins to ask when these are known.

    Args:
        case: What happens.
        kind: The new one.
        seed: Of chance.
    """

    def __init__(self, case: Case, kind: Resolver, seed: int = 1) -> None:
        super().__init__(case, (PLAIN, PLAIN, kind), seed)

    def _again(self, cache: Cache) -> None:
        if cache is self.caches[-1] and self.line.now < WARM:
            self.line.at(WARM, partial(super()._again, cache))
        else:
            super()._again(cache)


def joined(case: Case, kind: Resolver, seeds: int = JOINED) -> Outcome:
    """What became of the clients of a new resolver, in several runs.

    Args:
        case: What happens.
        kind: How it asks.
        seeds: How many runs.
    """
    return _together(Joined(case, kind, seed).run()[-1] for seed in range(1, seeds + 1))


def new_table() -> Iterator[tuple[str, bool]]:
    """The lines of the table of new resolvers, each with whether it holds."""
    yield "| new resolver, beside two that are known | clients at once | clients after 2 to 300 ms | holds |", True
    yield "|---|---|---|---|", True
    for kind in RESOLVERS[:4]:
        cells = [joined(case, kind) for case in (CASE, DELAYED)]
        good = all(each.astray <= BEHIND * each.total for each in cells)
        said = (f"{each.share:.1%}, {each.astray} astray; {each.wait * 1000:.0f} ms" for each in cells)
        yield f"| {kind.title} | {' | '.join(said)} | {'yes' if good else 'NO'} |", good

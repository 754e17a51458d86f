"""How long the Internet waits for our own names while a LAN asks for other people's.

    python -m testbed.programs.forwarded_beside --dnsperf /usr/bin/dnsperf

In the frame of `testbed.programs.beside`, a host of the LAN has dnsperf ask for names of other people, `LOAD` a second,
which the gateway keeps, or of which some, or all, are new, so that a resolver in the Internet (unbound) is asked as
well. In turn: no such load; one that another program answers in the host's place, since dnsperf takes time of the
machine from those who measure; and the others. With `--process own` a process beside the gateway answers the LAN.
"""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import attrs

from testbed.load import generator
from testbed.load.generator import Load
from testbed.measuring import cpu_noise
from testbed.programs import beside
from testbed.programs.beside import Round
from testbed.programs.forwarded import HOST, unbound
from testbed.realm.gateway import Gateway
from testbed.realm.resolvers import RESOLVERS, Resolver
from testbed.realm.topology import GATEWAY_LAN, Testbed

LOAD = 10_000
"""Queries a second of the LAN."""
NEW = 500
"""So many of them for names that nobody asked for before, where there are any."""
KEPT = 1000
"""So many names are asked for again and again."""
RESOLVER, PORT = "100.64.3.11", 5390
"""Who is asked, and at which port of `HOST` who is asked apart."""
ZONES = ('local-zone: "example.com." redirect', 'local-data: "example.com. 3600 IN A 198.51.100.7"')
"""What it knows."""
FORWARD = {"resolvers": [RESOLVER], "rate_per_client": 100_000, "outstanding_per_client": 500}
"""A host may ask as much as this one does."""
APART = "unbound is asked, not the gateway"
"""What the load costs that the gateway has nothing to do with."""
TAKING_OVER = 5.0  # seconds
"""So long a process that was begun is waited for."""
KINDS = {
    "the LAN is silent": (0, 0),
    APART: (LOAD, 0),
    "all of them kept": (LOAD, 0),
    f"{NEW} of them new": (LOAD - NEW, NEW),
    "all of them new": (0, LOAD),
}
"""How many queries a second for names that are kept, and for new ones."""


@attrs.frozen(kw_only=True)
class Asked(Round):
    """What came of one round, and what dnsperf says of it."""

    rates: tuple[str, ...]
    """Of each load: queries a second, and how many were lost."""
    beside: float
    """Of a core, that the process beside the gateway used."""


class Lan:
    """A host that asks.

    Args:
        testbed: Where.
        program: dnsperf.
    """

    def __init__(self, testbed: Testbed, program: str) -> None:
        self._testbed, self._program = testbed, program
        self._kept, self._new = testbed.folder / "kept", testbed.folder / "new"
        self._kept.write_text("".join(f"k{number}.example.com A\n" for number in range(KEPT)))
        self._rounds = 0
        rest = "".join(f"  {line}\n" for line in ZONES)
        testbed.spawn("test_gwa", unbound(testbed.folder / "apart", PORT, rest))
        for where in (False, True):
            testbed.run("test_gwa", [*self._command(where), "-d", str(self._kept), "-n", "1", "-q", "20"])

    def _command(self, apart: bool) -> list[str]:
        where = [HOST, "-p", str(PORT)] if apart else [GATEWAY_LAN]
        return [self._program, "-s", *where]

    @contextlib.contextmanager
    def asks(self, kept: int, new: int, apart: bool, seconds: float) -> Iterator[list[subprocess.Popen[bytes]]]:
        """So many queries a second for kept names, and for new ones; none with 0."""
        self._rounds += 1
        fresh = range(int(new * seconds) + 1)
        self._new.write_text("".join(f"n{self._rounds}-{number}.example.com A\n" for number in fresh))
        loads = [(self._kept, kept), (self._new, new)]
        running = [
            self._testbed.spawn(
                "test_gwa",
                [*self._command(apart), "-d", str(names), "-Q", str(rate), "-l", str(seconds), "-q", "2000"],
                stdout=subprocess.PIPE,
            )
            for names, rate in loads
            if rate
        ]
        yield running

    @staticmethod
    def said(running: Sequence[subprocess.Popen[bytes]]) -> Iterator[str]:
        """What dnsperf says in the end."""
        for process in running:
            text = process.communicate()[0].decode()
            rate, lost = re.search(r"per second:\s+(\d+)", text), re.search(r"lost:\s+(\d+)", text)
            yield f"{rate[1] if rate else '?'} q/s, {lost[1] if lost else '?'} lost"


def measure(testbed: Testbed, lan: Lan, processes: Sequence[int], load: Load, title: str) -> Asked:
    """One round; the first of the processes is the gateway's, and another one beside it, if there is one."""
    with cpu_noise.Watch(processes) as watch:
        before = [*map(cpu_noise.time_of, processes)]
        with lan.asks(*KINDS[title], title == APART, load.seconds + 1.0) as running:
            outcome = generator.run_flows(testbed, load)
            rates = tuple(lan.said(running))
        used = [cpu_noise.time_of(each) - then for each, then in zip(processes, before, strict=True)]
    share, *others = (each / (load.seconds + 1.0) for each in used)
    outcome = attrs.evolve(outcome, others=watch.others)
    return Asked(outcome=outcome, rates=rates, share=share, beside=sum(others))


def beside_it(gateway: Gateway, count: int) -> list[int]:
    """The processes that the gateway has begun, once there are so many, and they had the time to take over."""
    found, pid = list[int](), gateway.pid
    while len(found) < count:
        time.sleep(TAKING_OVER)
        children = (task / "children" for task in Path(f"/proc/{pid}/task").iterdir())
        found = [int(each) for text in children for each in text.read_text().split()]
    return found


def row(title: str, rounds: Sequence[Asked]) -> str:
    """A line of the table: medians of the rounds."""
    core, more = (statistics.median(getattr(each, name) for each in rounds) for name in ("share", "beside"))
    told = " | ".join(beside.waits(rounds))
    return f"| {title} | {told} | {core:.2f} | {more:.2f} | {'; '.join(', '.join(each.rates) for each in rounds)} |"


def main() -> None:
    """Runs it."""
    parser = beside.options(__doc__, 6.0)
    parser.add_argument("--dnsperf", default="dnsperf", help="the program")
    parser.add_argument("--process", default="gateway", choices=("gateway", "own"), help="dns.forward.process")
    arguments = parser.parse_args()
    forward = {**FORWARD, "process": arguments.process}
    kind = next(kind for kind in RESOLVERS if kind.program == "unbound")
    with (
        beside.realm("beside-") as (testbed, hosts),
        beside.gateway(testbed, hosts, forward=forward) as gateway,
        Resolver(testbed, kind, RESOLVER, lines=ZONES),
    ):
        processes = [gateway.pid, *beside_it(gateway, 1 if arguments.process == "own" else 0)]
        cpu_noise.set_apart(True, *processes)
        one = partial(measure, testbed, Lan(testbed, arguments.dnsperf), processes)
        results = beside.in_turn(KINDS, arguments, testbed, hosts, one)
    for title, rounds in results.items():
        print(row(title, rounds), flush=True)


if __name__ == "__main__":
    main()

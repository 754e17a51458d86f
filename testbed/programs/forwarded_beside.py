"""How long the Internet waits for our own names while a LAN asks for other people's.

    python -m testbed.programs.forwarded_beside --dnsperf /usr/bin/dnsperf

The whole gateway in its testbed: clients in the Internet ask for names of hosts and come, `RATE` a second; a host of
the LAN has dnsperf ask for names of other people, `LOAD` a second, which the gateway keeps, or of which `NEW` are new,
so that a resolver in the Internet (unbound) is asked as well. In turn: no such load; one that another program answers
in the host's place, since dnsperf takes time of the machine from those who measure; one, and the other.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial

import attrs

from testbed.load import generator
from testbed.load.generator import RAW_SOURCES, Load, Outcome
from testbed.measuring import cpu_noise
from testbed.programs.answers import HOSTS, MOST, POOL
from testbed.programs.forwarded import HOST, unbound
from testbed.realm.gateway import ZONE, Gateway, Subscriber
from testbed.realm.resolvers import RESOLVERS, Resolver
from testbed.realm.topology import GATEWAY, GATEWAY_LAN, Testbed

RATE = 500
"""Clients a second that come from the Internet."""
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
KINDS = {"the LAN is silent": 0, APART: LOAD, "all of them kept": LOAD, f"{NEW} of them new": LOAD - NEW}
"""How many queries a second for names that are kept."""


@attrs.frozen
class Round:
    """What came of one round."""

    outcome: Outcome
    """Of those who come from the Internet."""
    rates: tuple[str, ...]
    """What dnsperf says of its queries a second, and how many were lost."""
    share: float
    """Of a core, that the gateway used."""

    @property
    def others(self) -> float:
        """What others used of the machine, in cores."""
        return self.outcome.others


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
    def asks(self, kept: int, apart: bool, seconds: float) -> Iterator[list[subprocess.Popen[bytes]]]:
        """So many queries a second for kept names, and as many for new ones as are missing for `LOAD`; none with 0."""
        self._rounds += 1
        new = range(int(NEW * seconds) + 1)
        self._new.write_text("".join(f"n{self._rounds}-{number}.example.com A\n" for number in new))
        loads = [(self._kept, kept), (self._new, LOAD - kept)] if kept else []
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


def measure(testbed: Testbed, lan: Lan, load: Load, process: int, title: str) -> Round:
    """One round."""
    with cpu_noise.Watch((process,)) as watch:
        before = cpu_noise.time_of(process)
        with lan.asks(KINDS[title], title == APART, load.seconds + 1.0) as running:
            outcome = generator.run_flows(testbed, load)
            rates = tuple(lan.said(running))
        used = cpu_noise.time_of(process) - before
    return Round(attrs.evolve(outcome, others=watch.others), rates, used / (load.seconds + 1.0))


def row(title: str, rounds: Sequence[Round]) -> str:
    """A line of the table: medians of the rounds."""
    times = [each.outcome.resolve for each in rounds]
    figures = [statistics.median(getattr(each, name) for each in times) for name in ("p50", "p99", "p999")]
    lost = sum(each.outcome.started - each.outcome.ok for each in rounds)
    core = statistics.median(each.share for each in rounds)
    told = " | ".join(f"{figure:.0f}" for figure in figures)
    return f"| {title} | {told} | {lost} | {core:.2f} | {'; '.join(', '.join(each.rates) for each in rounds)} |"


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--dnsperf", default="dnsperf", help="the program")
    parser.add_argument("--seconds", type=float, default=6.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    arguments = parser.parse_args()
    generator.build()
    with Testbed("beside-", hosts=HOSTS, clients=2, routed=[POOL["addresses"]], sources=[RAW_SOURCES]) as testbed:
        hosts = {f"h{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}
        subscribers = [Subscriber(name, address, limit=MOST) for name, address in hosts.items()]
        settings = {
            "policy": {"system_load": list[str](), "challenges": dict[str, bool]()},
            "dns": {"wan": {"listen": [GATEWAY]}, "lan": {"listen": [GATEWAY_LAN]}, "forward": FORWARD},
        }
        kind = next(kind for kind in RESOLVERS if kind.program == "unbound")
        generator.start_hosts(testbed)
        with (
            Gateway(testbed, subscribers, circular=[POOL], settings=settings) as gateway,
            Resolver(testbed, kind, RESOLVER, lines=ZONES),
        ):
            cpu_noise.set_apart(True, gateway.pid)
            lan, names = Lan(testbed, arguments.dnsperf), generator.write_names(testbed.folder / "names", hosts)
            load = Load(names=names, rate=RATE, seconds=arguments.seconds, warm_seconds=0.5, ports=8, retries=1)
            results = {title: list[Round]() for title in KINDS}
            for _ in range(arguments.rounds):
                for title in KINDS:
                    one = partial(measure, testbed, lan, load, gateway.pid, title)
                    results[title].append(cpu_noise.quietest(one))
        for title, rounds in results.items():
            print(row(title, rounds), flush=True)


if __name__ == "__main__":
    main()

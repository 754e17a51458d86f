"""A flood of SYNs with forged sources at the pool: what is left for honest clients, with and without a SYN proxy node.

    python -m testbed.programs.synproxied --write docs/synproxy.md

The whole gateway in its testbed: clients ask for names and connect by TCP, `HONEST_RATE` a second, while attackers send
SYNs to every address of the pool; the node runs on the router, and the gateway tells it what hosts answer with. In
turn: neither, the node alone, the flood alone, both. Where there is no node, SYNs have to come twice while the queue
has no room for all, or do not (`admission: ask_twice`).
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import statistics
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import attrs

from testbed.load import generator
from testbed.load.generator import Load, Outcome, Strays
from testbed.measuring import cpu_noise, figures
from testbed.realm.gateway import ZONE, Gateway, Subscriber
from testbed.realm.synproxy import SynproxyNode
from testbed.realm.topology import ATTACKER, CLIENT, GATEWAY, MAX_CLIENTS, ROUTER_WAN, SOURCES, Testbed

RATE = 50_000
"""Forged SYNs per second."""
HONEST_RATE = 100.0
"""Honest flows per second."""
HOSTS = 50
"""Private hosts."""
POOL, TARGETS = "100.64.2.0/26", "100.64.2.0+64"
"""The pool, and what is flooded: all of it."""
CLIENTS = "100.64.3.40+180"
"""Where honest clients connect from."""
FORGED = f"{SOURCES.partition('/')[0]}+60000"
"""Where forged SYNs seem to come from."""
PATIENCE = 2.0  # seconds
"""For so long a client waits for its host's word: TCP sends two SYNs meanwhile."""
SETTLING = 2.0  # seconds
"""Of the flood, before the measurement."""
LOOK = 0.1  # seconds
"""How often conntrack is looked at."""
PROXIES = {"synproxy": {"proxies": [ROUTER_WAN]}}
"""Of the gateway's configuration, where there is a node."""
UNASKED = {"admission": {"ask_twice": False}}
"""Where SYNs do not have to come twice."""
NOTHING = {"kernel": {"syn_received": 0}, "requests": {"mod": 0}}
"""What is counted where there is no node."""
COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")


@attrs.frozen
class Case:
    """One thing to measure."""

    title: str
    """What the table calls it."""
    flooded: bool
    """Whether there is a flood."""
    proxied: bool
    """Whether there is a node."""
    asked: bool = True
    """Whether SYNs have to come twice where that is of use."""
    targets: str = TARGETS
    """What is flooded."""
    port: int = generator.PORT
    """Its port."""


CASES = (
    Case("no flood", flooded=False, proxied=False),
    Case("no flood, with the node", flooded=False, proxied=True),
    Case("flood at the gateway's DNS", flooded=True, proxied=False, targets=f"{GATEWAY}+1", port=53),
    Case("flood at a port where nobody listens", flooded=True, proxied=False, targets=f"{GATEWAY}+1"),
    Case("flood, ask_twice: false", flooded=True, proxied=False, asked=False),
    Case("flood", flooded=True, proxied=False),
    Case("flood, with the node", flooded=True, proxied=True),
)


@attrs.frozen
class Flood:
    """What came of a case."""

    outcome: Outcome
    """Of honest clients."""
    rate: float
    """Forged SYNs per second that were sent."""
    entries: int
    """Most entries that the gateway's conntrack had."""
    of_router: int
    """The same of the router's."""
    answered: int
    """SYNs that the node answered."""
    told: int
    """Entries that the gateway told it."""
    is_alive: bool
    """Whether a connection that was there before went on."""

    @property
    def others(self) -> float:
        """What others used of the machine, in cores."""
        return self.outcome.others


class Entries:
    """Looks at conntrack all the while, as a context manager.

    Attributes:
        most: Most entries that there were, by namespace.
    """

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.most = {"gwa": 0, "router": 0}

    def __enter__(self) -> Entries:
        """Begins."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK):
            for namespace, most in self.most.items():
                with contextlib.suppress(OSError):  # there is no conntrack yet
                    found = int(self._testbed.call(namespace, COUNT.read_text))
                    self.most[namespace] = max(most, found)


@contextlib.contextmanager
def proxied(testbed: Testbed, is_wanted: bool) -> Iterator[SynproxyNode | None]:
    """A node, if there is to be one."""
    if not is_wanted:
        yield None
        return
    with SynproxyNode(testbed, ["public", ATTACKER], [POOL]) as node:
        yield node


class Established:
    """A connection from a private host to the Internet.

    Args:
        testbed: Where there is a gateway.
    """

    def __init__(self, testbed: Testbed) -> None:
        with testbed.inside("public"), socket.create_server((CLIENT, 0)) as server:
            with testbed.inside("test_gwa"):
                self._host = socket.create_connection(server.getsockname(), 5.0, (testbed.hosts[0], 0))
            self._client = server.accept()[0]
        self._client.settimeout(5.0)

    def goes_on(self) -> bool:
        """Whether it still carries something; it is closed by that."""
        with self._host, self._client:
            try:
                self._host.sendall(b"still here")
                return self._client.recv(10) == b"still here"
            except OSError:
                return False


def run(case: Case, seconds: float, rate: float = RATE, prefix: str = "syn-") -> Flood:
    """Runs a case in a testbed of its own.

    Args:
        case: Which.
        seconds: How long to measure.
        rate: Forged SYNs per second, if there are any.
        prefix: Of the testbed.
    """
    with Testbed(prefix, hosts=HOSTS, clients=MAX_CLIENTS, routed=[POOL], sources=[SOURCES], attackers=True) as testbed:
        answering = generator.start_hosts(testbed)
        hosts = {f"host{number}.{ZONE}": address for number, address in enumerate(testbed.hosts)}
        names = generator.write_names(testbed.folder / "names", hosts)
        subscribers = [Subscriber(name, address) for name, address in hosts.items()]
        pool = [{"addresses": POOL, "attachment": "routed"}]
        load = Load(
            names=names, via="tcp", rate=HONEST_RATE, clients=CLIENTS, ports=8, retries=2, seconds=seconds,
            warm_seconds=SETTLING, reply_timeout=PATIENCE,
        )  # fmt: skip
        settings = (PROXIES if case.proxied else {}) | ({} if case.asked else UNASKED)
        forged = Strays(case.targets, FORGED, rate=rate, seconds=SETTLING + seconds, port=case.port)
        with (
            proxied(testbed, case.proxied) as node,
            Gateway(testbed, subscribers, circular=pool, settings=settings) as gateway,
            Entries(testbed) as entries,
            cpu_noise.Watch((gateway.pid, answering.pid)) as watch,
        ):
            before = Established(testbed)
            flooding = generator.start_strays(testbed, forged, ATTACKER) if case.flooded else None
            outcome = generator.run_flows(testbed, load, [gateway.pid])
            is_alive = before.goes_on()
            sent = 0 if flooding is None else generator.end_of_strays(flooding)
            counts = NOTHING if node is None else node.counters()
    outcome = attrs.evolve(outcome, others=watch.others)
    answered, told = counts["kernel"]["syn_received"], counts["requests"]["mod"]
    most = entries.most
    return Flood(outcome, sent / forged.seconds, most["gwa"], most["router"], answered, told, is_alive)


HEAD = [
    "",
    "forged/s",
    "success",
    "flow before",
    "p50 / p99",
    "gateway's core",
    "conntrack: gateway / router",
    "others",
]
"""Titles of the table."""


def row(case: Case, rounds: Sequence[Flood]) -> list[str]:
    """A line of the table: of all flows together, and the medians of the rest.

    Args:
        case: Which.
        rounds: At least one.
    """
    started, ok = (sum(getattr(each.outcome, name) for each in rounds) for name in ("started", "ok"))
    p50, p99 = (statistics.median(getattr(each.outcome.total, name) for each in rounds) for name in ("p50", "p99"))
    return [
        case.title,
        f"{statistics.median(each.rate for each in rounds):.0f}",
        figures.percent(ok / started if started else 0.0),
        "goes on" if all(each.is_alive for each in rounds) else "**ended**",
        f"{figures.milliseconds(p50)} / {figures.milliseconds(p99)}" if ok else "none came",
        f"{statistics.median(each.outcome.share for each in rounds) * 100:.0f} %",
        f"{max(each.entries for each in rounds)} / {max(each.of_router for each in rounds)}",
        f"{max(each.others for each in rounds):.2f}",
    ]


def report(seconds: float, rounds: int, cases: Sequence[Case] = CASES) -> str:
    """Runs everything, and tells it.

    Args:
        seconds: Of each round.
        rounds: Of each case.
        cases: They.
    """
    generator.build()
    found: dict[Case, list[Flood]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            found[case].append(cpu_noise.quietest(partial(run, case, seconds)))
    table = figures.table(HEAD, [row(case, floods) for case, floods in found.items()])
    how = f"- {rounds} rounds of {seconds:.0f} s, {HONEST_RATE:.0f} honest flows a second\n"
    return f"{figures.machine()}{how}\n{table}"


def main() -> int:
    """Runs it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=3, help="of each case")
    parser.add_argument("--only", metavar="TITLE", action="append", help="of these cases; may stand several times")
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    cases = [case for case in CASES if not options.only or case.title in options.only]
    if options.only and options.write:
        parser.error("--write is of all cases")
    if not cases:
        parser.error(f"--only: there are {', '.join(repr(case.title) for case in CASES)}")
    return figures.publish(
        "synproxied", lambda: (report(options.seconds, options.rounds, cases), True), options.write, "synproxied"
    )


if __name__ == "__main__":
    raise SystemExit(main())

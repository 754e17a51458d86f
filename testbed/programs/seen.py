"""What it costs a flow that a gateway can be looked into: metrics, trace ids, flow records, the log, an open dashboard.

    ./testbed/bench --seen [parts] [--quick] [--write FILE]

Three gateways, loaded in turn, each of them as often first as last: one that nobody looks into; one with all of it:
decisions are remembered, flows are recorded in lines and in the database, metrics are asked for every 15 s, and an
operator has the page open; and once more one that nobody looks into, which tells how far apart the same is from the
same. Records are written by a process of their own, whose processor time is told beside; where the gateway has a core
to itself, it has none of that. With `parts`, there are others as well, each with one part alone. Before anything is
measured all are loaded once: what they remember is full then, and memory that is new costs more than other memory.
Two processes of the same code differ by some hundredths as long as they run, by where their memory happens to lie: so
all of them are started anew several times.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from testbed.load import generator
from testbed.load.generator import Outcome
from testbed.measuring import figures
from testbed.measuring.rounds import HEAD, Contender, Rounds, Verdict, Way, losses, lost, measure, ratio, rows
from testbed.realm.gateway import Gateway, Subscriber
from testbed.realm.topology import PATIENCE, Testbed

UNSEEN, SEEN, AGAIN = "nobody looks", "all is seen", "nobody looks, again"
PARTS = {
    UNSEEN: "", "decisions": "d", "records": "r", "metrics": "m", "log": "l", "page": "p", SEEN: "drmlp", AGAIN: "",
}  # fmt: skip
"""What each gateway has: the log of Decisions, with trace ids; Records; Metrics; the Log with `info`; a Page."""
LIMIT = 1.03
"""How much more a flow may cost that is seen."""
EVERY = 15.0  # seconds
"""So often metrics are asked for, as Prometheus does by default (once a minute) or as often as most have it."""
START_TIME = 120.0  # seconds
"""How long a gateway may take to start."""
Prepared = Callable[[str], contextlib.AbstractContextManager[tuple[Testbed, int]]]
"""See `bench.prepared`."""


class _Unix(http.client.HTTPConnection):
    """HTTP by a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """By the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Watching:
    """An operator's page, and a monitoring system.

    Args:
        folder: Where their sockets are.
        parts: Which of them there are; see `PARTS`.

    Attributes:
        octets: How much the page was told.
        scrapes: How often metrics were.
    """

    def __init__(self, folder: Path, parts: str = PARTS[SEEN]) -> None:
        self._folder, self._over = folder, threading.Event()
        self.octets = self.scrapes = 0
        who = {"p": self._page, "m": self._monitoring}
        self._threads = [threading.Thread(target=who[each], daemon=True) for each in parts if each in who]

    def __enter__(self) -> Watching:
        """Begin."""
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        """No more."""
        self._over.set()
        for each in self._threads:
            each.join(PATIENCE)

    def _page(self) -> None:
        with contextlib.closing(_Unix(self._folder / "dashboard.sock")) as connection:
            connection.request("GET", "/live")
            answer = connection.getresponse()
            while not self._over.is_set():
                self.octets += len(answer.read1(65536))

    def _monitoring(self) -> None:
        while not self._over.is_set():
            with contextlib.closing(_Unix(self._folder / "metrics.sock")) as connection:
                connection.request("GET", "/metrics")
                self.scrapes += bool(connection.getresponse().read())
            self._over.wait(EVERY)


def settings(folder: Path, parts: str) -> dict[str, Any]:
    """Of one of the gateways.

    Args:
        folder: Where its sockets shall be.
        parts: What it has; see `PARTS`.
    """
    there: dict[str, dict[str, Any]] = {
        "r": {"flow_records": {"enabled": True, "database": True}},
        "m": {"metrics": {"listen": [str(folder / "metrics.sock")]}},
        "p": {"dashboard": {"listen": [str(folder / "dashboard.sock")]}},
    }
    away: dict[str, dict[str, Any]] = {"d": {"allocation": {"decisions": 0}}, "l": {"logging": {"level": "warn"}}}
    found: dict[str, Any] = {}
    for each in PARTS[SEEN]:
        found |= (there if each in parts else away).get(each, {})
    return found


@attrs.frozen
class Running:
    """A gateway that serves."""

    testbed: Testbed
    """Where."""
    gateway: Gateway
    """It."""
    names: Path
    """The names that it is asked for."""


@contextlib.contextmanager
def gateway(prepared: Prepared, hosts: Mapping[str, str], pool: str, title: str) -> Iterator[tuple[Running, int]]:
    """One of the gateways of `PARTS`, with the number of the hosts' process."""
    with prepared(f"seen-{list(PARTS).index(title)}-") as (testbed, hosts_process):
        made = Gateway(
            testbed,
            [Subscriber(name, address) for name, address in hosts.items()],
            circular=[{"addresses": pool, "attachment": "routed"}],
            settings=settings(testbed.folder, PARTS[title]),
        )
        made.start(timeout=START_TIME)
        yield Running(testbed, made, generator.write_names(testbed.folder / "names", dict(hosts))), hosts_process


@contextlib.contextmanager
def contender(
    prepared: Prepared, hosts: Mapping[str, str], pool: str, title: str
) -> Iterator[tuple[Contender, Watching]]:
    """One of the gateways, to be measured, and who looks into it; the recorder belongs to it."""
    with gateway(prepared, hosts, pool, title) as (running, hosts_process):
        pid, testbed = running.gateway.pid, running.testbed
        made = Contender(title, testbed, pid, hosts_process, running.names, beside=tuple(children(pid)))
        with Watching(testbed.folder, PARTS[title]) as watching:
            yield made, watching


def children(process: int) -> list[int]:
    """The processes that a process has begun."""
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def spent(processes: list[int]) -> float:
    """How much processor time processes have spent, in seconds."""
    found = 0.0
    for each in processes:
        words = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        found += (int(words[11]) + int(words[12])) / 100
    return found


def judge(results: Rounds, ways: tuple[Way, ...]) -> list[Verdict]:
    """The targets.

    Args:
        results: What was measured.
        ways: How.
    """
    verdicts = []
    for way in ways:
        factor, null = more(results, way, SEEN), ratio(results, way, AGAIN, UNSEEN)
        target = f"{way.title}: all is seen for at most {LIMIT:g} times the CPU of a flow"
        figure = f"{factor:.3f} times; the same gateway once more {null:.3f} times"
        verdicts.append(Verdict(target, figure, factor <= LIMIT))
    seen, unseen = ([each for way in ways for each in results[way.title, title]] for title in (SEEN, UNSEEN))
    figure = f"{losses(seen)}; where nobody looks {losses(unseen)}"
    verdicts.append(Verdict("no more flows lost than where nobody looks", figure, share(seen) <= share(unseen)))
    return verdicts


def more(results: Rounds, way: Way, title: str) -> float:
    """How many times the CPU of a flow a gateway spends that one spends which nobody looks into.

    Args:
        results: What was measured.
        way: How.
        title: The gateway's. It is the median of the rounds' ratios, each to the mean of both that nobody looks
            into.
    """
    of = [[each.cpu for each in results[way.title, one]] for one in (title, UNSEEN, AGAIN)]
    return float(statistics.median(one / statistics.mean(plain) for one, *plain in zip(*of, strict=True)))


def share(outcomes: Sequence[Outcome]) -> float:
    """Which part of all flows was lost, 0 to 1."""
    return lost(outcomes) / max(1, sum(each.started for each in outcomes))


@attrs.frozen
class Told:
    """What was beside a gateway that is seen."""

    octets: int = 0
    """How much the page was told."""
    scrapes: int = 0
    """How often metrics were asked for."""
    recorded: float = 0.0
    """Processor time of the recorder, in seconds."""
    lasted: float = 0.0
    """Within so many seconds."""

    def __add__(self, more: Told) -> Told:
        """Both together."""
        return Told(*(one + other for one, other in zip(attrs.astuple(self), attrs.astuple(more), strict=True)))


def started(
    prepared: Prepared,
    hosts: Mapping[str, str],
    pool: str,
    ways: tuple[Way, ...],
    titles: Sequence[str],
    rounds: int,
    seconds: float,
) -> tuple[Rounds, Told]:
    """Starts all gateways and loads them in turn; what came of it, and what was beside.

    Args:
        prepared: Makes a testbed.
        hosts: Name -> private address.
        pool: The pool.
        ways: How they are loaded.
        titles: Which.
        rounds: So many rounds.
        seconds: How long each time.
    """
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(contender(prepared, hosts, pool, title)) for title in titles]
        recorders, watching = next((list(each.beside), by) for each, by in made if each.title == SEEN)
        every = tuple(each for one, _ in made for each in one.beside)  # they write while others are measured, too
        contenders = [attrs.evolve(each, beside=every) for each, _ in made]
        measure(ways, contenders, 1, 2 * seconds)  # their memory is settled
        begin, before = time.perf_counter(), spent(recorders)
        results = measure(ways, contenders, rounds, seconds)
        recorded, lasted = spent(recorders) - before, time.perf_counter() - begin
        return results, Told(watching.octets, watching.scrapes, recorded, lasted)


def report(
    quick: bool,
    prepared: Prepared,
    hosts: Mapping[str, str],
    pool: str,
    ways: tuple[Way, ...],
    titles: Sequence[str] = (UNSEEN, SEEN, AGAIN),
) -> tuple[str, bool]:
    """Measures it.

    Args:
        quick: For a short run.
        prepared: Makes a testbed; see `bench.prepared`.
        hosts: Name -> private address.
        pool: The pool, as a prefix.
        ways: How it is loaded.
        titles: Which of the gateways of `PARTS`; those without any part, and with all, among them.

    Returns:
        As for `bench.report`.
    """
    starts, rounds, seconds = (1, 6, 1.0) if quick else (5, 6, 1.0)
    results: Rounds = {(way.title, title): [] for way in ways for title in titles}
    told = Told()
    for _ in range(starts):
        part, more = started(prepared, hosts, pool, ways, titles, rounds, seconds)
        for key, outcomes in part.items():
            results[key] += outcomes
        told += more
    verdicts = judge(results, ways)
    text = "\n".join(
        [
            figures.machine()
            + f"- rounds: {rounds} of {seconds:g} s after each of {starts} starts, in an order that changes, and one"
            + " before them that does not count\n"
            + f"- beside: {told.octets / 1e6:.1f} MB to the page, {told.scrapes} scrapes; its other processes, the"
            + f" recorder, used {told.recorded:.1f} s of processor time in {told.lasted:.0f} s\n",
            figures.table(HEAD, rows(results, ways, titles)),
            figures.table(["target", "figure", "met"], [[v.target, v.figure, figures.met(v.met)] for v in verdicts]),
        ]
    )
    return text, all(verdict.met for verdict in verdicts)

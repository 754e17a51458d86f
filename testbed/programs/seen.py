"""What it costs a flow that a gateway can be looked into: metrics, trace ids, flow records, the log, an open dashboard.

    ./testbed/bench --seen [--quick] [--write FILE]

Two gateways, loaded in turn: one that nobody looks into, and one with all of it: decisions are remembered, flows are
recorded in lines and in the database, metrics are asked for every 15 s, and an operator has the page open. Records are
written by a process of their own, whose processor time is told beside.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from testbed.load import generator
from testbed.measuring import figures
from testbed.measuring.rounds import HEAD, Contender, Rounds, Verdict, Way, losses, lost, measure, ratio, rows
from testbed.realm.gateway import Gateway, Subscriber
from testbed.realm.topology import PATIENCE, Testbed

UNSEEN, SEEN = "nobody looks", "all is seen"
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

    Attributes:
        octets: How much the page was told.
        scrapes: How often metrics were.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._over = folder, threading.Event()
        self.octets = self.scrapes = 0
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._page, self._monitoring)]

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


def settings(folder: Path, *, seen: bool) -> dict[str, Any]:
    """Of either gateway.

    Args:
        folder: Where its sockets shall be.
        seen: Whether anybody can look into it.
    """
    if not seen:
        return {"allocation": {"decisions": 0}, "logging": {"level": "warn"}}
    return {
        "flow_records": {"enabled": True, "database": True},
        "metrics": {"listen": [str(folder / "metrics.sock")]},
        "dashboard": {"listen": [str(folder / "dashboard.sock")]},
    }


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
def gateway(prepared: Prepared, hosts: Mapping[str, str], pool: str, *, seen: bool) -> Iterator[tuple[Running, int]]:
    """One of the gateways, with the number of the hosts' process."""
    with prepared("seen-" if seen else "unseen-") as (testbed, hosts_process):
        made = Gateway(
            testbed,
            [Subscriber(name, address) for name, address in hosts.items()],
            circular=[{"addresses": pool, "attachment": "routed"}],
            settings=settings(testbed.folder, seen=seen),
        )
        made.start(timeout=START_TIME)
        yield Running(testbed, made, generator.write_names(testbed.folder / "names", dict(hosts))), hosts_process


@contextlib.contextmanager
def contender(prepared: Prepared, hosts: Mapping[str, str], pool: str, *, seen: bool) -> Iterator[Contender]:
    """One of the gateways, to be measured; the recorder belongs to it."""
    with gateway(prepared, hosts, pool, seen=seen) as (running, hosts_process):
        pid = running.gateway.pid
        beside = tuple(children(pid)) if seen else ()
        yield Contender(SEEN if seen else UNSEEN, running.testbed, pid, hosts_process, running.names, beside=beside)


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
        factor = ratio(results, way, SEEN, UNSEEN)
        target = f"{way.title}: all is seen for at most {LIMIT:g} times the CPU of a flow"
        verdicts.append(Verdict(target, f"{factor:.3f} times", factor <= LIMIT))
    outcomes = [outcome for way in ways for outcome in results[way.title, SEEN]]
    verdicts.append(Verdict("no flow lost to being seen", losses(outcomes), lost(outcomes) == 0))
    return verdicts


def report(
    quick: bool, prepared: Prepared, hosts: Mapping[str, str], pool: str, ways: tuple[Way, ...]
) -> tuple[str, bool]:
    """Measures it.

    Args:
        quick: For a short run.
        prepared: Makes a testbed; see `bench.prepared`.
        hosts: Name -> private address.
        pool: The pool, as a prefix.
        ways: How it is loaded.

    Returns:
        As for `bench.report`.
    """
    rounds, seconds = (5, 1.0) if quick else (9, 1.5)
    make = partial(contender, prepared, hosts, pool)
    with make(seen=False) as without, make(seen=True) as full, Watching(full.testbed.folder) as watching:
        recorders, begin = children(full.process), time.perf_counter()
        before = spent(recorders)
        results = measure(ways, [without, full], rounds, seconds)
        recorded, lasted = spent(recorders) - before, time.perf_counter() - begin
        told = watching.octets, watching.scrapes
    verdicts = judge(results, ways)
    text = "\n".join(
        [
            figures.machine()
            + f"- rounds: {rounds}, {seconds:g} s each, gateways in alternating order\n"
            + f"- beside: {told[0] / 1e6:.1f} MB to the page, {told[1]} scrapes; its other processes, the recorder,"
            + f" used {recorded:.1f} s of processor time in {lasted:.0f} s\n",
            figures.table(HEAD, rows(results, ways, [UNSEEN, SEEN])),
            figures.table(["target", "figure", "met"], [[v.target, v.figure, figures.met(v.met)] for v in verdicts]),
        ]
    )
    return text, all(verdict.met for verdict in verdicts)

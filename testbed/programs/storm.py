"""Reloads while flows go through: a storm of them, valid and not, and single ones among a hundred thousand subscribers.

Both run against the gateway as twistd starts it, with the load of the benchmark. A flow that is lost, a thread, file
or memory that stays, or a query that waits too long makes the run fail. docs/reload.md has the figures.

    ./testbed/reload-storm [--quick] [--reloads N] [--subscribers N] [--write FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from realmgw.control.command.client import ask
from testbed.load import generator
from testbed.load.generator import Load, Outcome
from testbed.measuring import figures
from testbed.measuring.rounds import PORTS, TAIL_ROUNDS, Verdict, at_most, losses, lost
from testbed.programs import bench
from testbed.programs.changes import FURTHER_POOL, Changes, seven_names
from testbed.realm.gateway import Gateway
from testbed.realm.topology import Testbed, TestbedError

WARM_SECONDS = 1.0
"""Of flows that are not counted, at the beginning of each round of them."""
RATE = 2000
"""Flows per second, all the time."""
STABLE = 1000
"""Subscribers that nobody changes: the flows are theirs."""
RELOAD_LIMIT, P99_LIMIT = 1.0, 20.0  # s, ms
"""How long a reload of 100 among many subscribers may take, and 99 % of the queries meanwhile: the medians."""
START_LIMIT, MEMORY_LIMIT = 10.0, 8192.0  # s, octets
"""How long a start may take, and how much memory one subscriber."""
GROWTH_LIMIT = 16.0  # MiB
"""How much more memory the process may have after the storm than at its middle."""


@attrs.frozen
class Holdings:
    """What a process has."""

    memory: float
    """MiB."""
    files: int
    """Open ones."""
    threads: int
    """Threads."""


def holdings(pid: int) -> Holdings:
    """What a process has, a moment from now: when connections that we closed are closed there, too."""
    time.sleep(0.3)
    proc = Path("/proc", str(pid))
    pages = int((proc / "statm").read_text().split()[1])
    return Holdings(pages * 4096 / 2**20, len(list((proc / "fd").iterdir())), len(list((proc / "task").iterdir())))


@attrs.frozen
class Storm:
    """What came of a storm."""

    statuses: Counter[str]
    """How many reloads ended how."""
    slowest: float
    """The longest reload, in seconds."""
    seconds: float
    """All of them."""
    flows: Sequence[Outcome]
    """What came of the flows meanwhile, by rounds."""
    middle: Holdings
    """What the process had after half of them."""
    end: Holdings
    """What it had at the end."""
    pause: float
    """For how long, in seconds, a part of a reload kept the reactor."""


def storm(testbed: Testbed, gateway: Gateway, reloads: int, seed: int) -> Storm:
    """Reload again and again while flows go through.

    Args:
        testbed: Where.
        gateway: A running one with `STABLE` subscribers.
        reloads: How often.
        seed: What the changes follow from.
    """
    changes = Changes(gateway, seed)
    statuses: Counter[str] = Counter()
    ask(gateway.control, "status")  # the first question makes the thread that all others use
    slowest, middle = 0.0, holdings(gateway.pid)
    spacing = 0.055
    with _flows(testbed, gateway, reloads * spacing) as flows:
        begin = time.monotonic()
        for number in range(reloads):
            changes.make()
            result = ask(gateway.control, "reload", {"accept_loss": "yes"})
            statuses[result["status"]] += 1
            slowest = max(slowest, result["seconds"] - result["waited"])
            if number == reloads // 2:
                middle = holdings(gateway.pid)
            time.sleep(max(0.0, begin + (number + 1) * spacing - time.monotonic()))
        seconds = time.monotonic() - begin
        changes.mend()
        ask(gateway.control, "reload")
        outcome = flows.end()
    pause = ask(gateway.control, "status")["counts"]["reloads"]["longest_pause"]
    return Storm(statuses, slowest, seconds, outcome, middle, holdings(gateway.pid), pause)


class _flows:  # noqa: N801 - read like a verb
    """Flows in the background, as a context manager: `RATE` of them a second, in `TAIL_ROUNDS` rounds or more."""

    def __init__(self, testbed: Testbed, gateway: Gateway, seconds: float) -> None:
        names = testbed.folder / "names"
        each = max(seconds / TAIL_ROUNDS - WARM_SECONDS, 0.5)
        load = Load(names=names, rate=RATE, ports=PORTS, seconds=each, warm_seconds=WARM_SECONDS)
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._running = self._pool.submit(self._run, testbed, load, [gateway.pid])

    def _run(self, testbed: Testbed, load: Load, processes: Sequence[int]) -> list[Outcome]:
        """Round after round, until it is over."""
        outcomes: list[Outcome] = []
        while len(outcomes) < TAIL_ROUNDS or not self._over.is_set():
            outcomes.append(generator.run_flows(testbed, load, processes))
        return outcomes

    def __enter__(self) -> _flows:
        """They have begun."""
        time.sleep(WARM_SECONDS + 0.5)
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for their end."""
        self._over.set()
        self._pool.shutdown()

    def end(self) -> list[Outcome]:
        """Lets the round under way be the last one; returns what came of all of them."""
        self._over.set()
        return self._running.result()


@attrs.frozen
class Start:
    """What a start took."""

    seconds: float
    """Until the first answer."""
    memory: float
    """Octets for a subscriber, after that."""


def start(gateway: Gateway, empty: float, subscribers: int) -> Start:
    """Start a gateway.

    Args:
        gateway: It.
        empty: What a gateway without subscribers has, in MiB.
        subscribers: How many it has.
    """
    seconds = gateway.start(timeout=180.0)
    return Start(seconds, (holdings(gateway.pid).memory - empty) * 2**20 / subscribers)


@attrs.frozen
class Single:
    """What single reloads took, among many subscribers."""

    seconds: tuple[float, ...]
    """Each."""
    flows: Sequence[Outcome]
    """What came of the flows meanwhile, by rounds."""
    pause: float
    """As in `Storm`."""


def single(testbed: Testbed, gateway: Gateway, file: Path, reloads: int) -> Single:
    """Change 100 subscribers and reload, again and again without a break.

    Args:
        testbed: Where.
        gateway: It.
        file: A subscriber file, whose first 100 are changed.
        reloads: How often.
    """
    text, took = file.read_text(), []
    with _flows(testbed, gateway, reloads * 0.5) as flows:
        for number in range(reloads):
            file.write_text(text.replace("max: 1000", f"max: {2000 + number}", 100))
            result = ask(gateway.control, "reload")
            if result["status"] != "applied" or len(result["plan"]["hosts_changed"]) != 100:
                raise TestbedError(f"100 subscribers were to be changed: {result['plan']['summary']}")
            took.append(float(result["seconds"]))
        outcome = flows.end()
    return Single(tuple(took), outcome, ask(gateway.control, "status")["counts"]["reloads"]["longest_pause"])


@contextlib.contextmanager
def _prepared(prefix: str) -> Iterator[tuple[Testbed, Gateway]]:
    """A testbed, with the names that the flows are for, and a gateway that is not started yet."""
    with bench.prepared(prefix, FURTHER_POOL) as (testbed, _):
        generator.write_names(testbed.folder / "names", bench.subscribers(STABLE))
        yield testbed, Gateway(testbed, [], circular=[{"addresses": bench.POOL, "attachment": "routed"}])


def run_storm(reloads: int, seed: int, prefix: str = "storm-") -> Storm:
    """A storm in a testbed of its own.

    Args:
        reloads: How many.
        seed: What the changes follow from.
        prefix: Of the testbed.
    """
    with _prepared(prefix) as (testbed, gateway):
        write_subscribers(testbed.folder / "subscribers.d", STABLE)
        with gateway:
            return storm(testbed, gateway, reloads, seed)


def write_subscribers(folder: Path, count: int) -> list[Path]:
    """Files of a thousand subscribers of seven names each.

    Args:
        folder: Where.
        count: How many subscribers.

    Returns:
        The files.
    """
    files = []
    for begin in range(0, count, 1000):
        path = folder / f"s{begin:07}.yaml"
        path.write_text("".join(seven_names(number) for number in range(begin, min(begin + 1000, count))))
        files.append(path)
    return files


def run_many(count: int, reloads: int) -> tuple[Start, Single]:
    """Starts and single reloads with many subscribers, in a testbed of its own.

    Args:
        count: How many subscribers.
        reloads: How many reloads.
    """
    with _prepared("many-") as (testbed, gateway):
        gateway.start()
        empty = holdings(gateway.pid).memory
        gateway.stop()
        files = write_subscribers(testbed.folder / "subscribers.d", count)
        time.sleep(0.2)  # until their time stamps tell that they have settled
        started = start(gateway, empty, count)
        try:
            return started, single(testbed, gateway, files[-1], reloads)
        finally:
            gateway.stop()


def judge_storm(found: Storm) -> list[Verdict]:
    """The targets of a storm."""
    growth = found.end.memory - found.middle.memory
    kept = (found.end.files, found.end.threads) == (found.middle.files, found.middle.threads)
    files = f"{found.middle.files} and {found.middle.threads}, then {found.end.files} and {found.end.threads}"
    ended = ", ".join(f"{count} {status}" for status, count in sorted(found.statuses.items()))
    return [
        Verdict(f"{sum(found.statuses.values())} reloads, each with its answer", ended, found.statuses["failed"] == 0),
        _none_lost(found.flows),
        _quick(f"99 % of the queries within {P99_LIMIT:g} ms", found.flows),
        Verdict(
            f"memory from half to end: at most {GROWTH_LIMIT:g} MiB more", f"{growth:+.1f} MiB", growth <= GROWTH_LIMIT
        ),
        Verdict("as many open files and threads at the end as at half", files, kept),
        Verdict("slowest reload, without waiting for files, for the record", f"{found.slowest * 1000:.0f} ms", True),
        Verdict("longest pause of the reactor, for the record", f"{found.pause * 1000:.1f} ms", True),
    ]


def judge_many(count: int, started: Start, found: Single) -> list[Verdict]:
    """The targets with many subscribers."""
    many = f"{count:,}".replace(",", " ")
    return [
        Verdict(f"start with {many} subscribers of seven names: below {START_LIMIT:g} s",
                f"{started.seconds:.1f} s", started.seconds < START_LIMIT),
        Verdict(f"memory: at most {MEMORY_LIMIT:g} octets a subscriber", f"{started.memory:.0f}",
                started.memory <= MEMORY_LIMIT),
        at_most(f"reload with 100 of {many} changed: at most {RELOAD_LIMIT:g} s", found.seconds, RELOAD_LIMIT,
                lambda seconds: f"{seconds * 1000:.0f} ms"),
        _quick(f"99 % of the queries meanwhile within {P99_LIMIT:g} ms", found.flows),
        _none_lost(found.flows),
        Verdict("longest pause of the reactor, for the record", f"{found.pause * 1000:.1f} ms", True),
    ]  # fmt: skip


def _none_lost(flows: Sequence[Outcome]) -> Verdict:
    return Verdict(f"{RATE} flows/s meanwhile: none lost", losses(flows), lost(flows) == 0)


def _quick(target: str, flows: Sequence[Outcome]) -> Verdict:
    return at_most(target, [each.resolve.p99 for each in flows], P99_LIMIT * 1000, figures.milliseconds)


def report(reloads: int, subscribers: int, seed: int) -> tuple[str, bool]:
    """Measures everything.

    Args:
        reloads: Of the storm.
        subscribers: For single reloads.
        seed: What the changes follow from.

    Returns:
        The report in Markdown, and whether all targets were met.
    """
    verdicts = judge_storm(run_storm(reloads, seed))
    verdicts += judge_many(subscribers, *run_many(subscribers, 20))
    rows = [[each.target, each.figure, figures.met(each.met)] for each in verdicts]
    text = figures.machine() + "\n" + figures.table(["target", "figure", "met"], rows)
    return text, all(each.met for each in verdicts)


def main() -> int:
    """Runs both; the exit status is 0 when every target was met."""
    parser = argparse.ArgumentParser(prog="reload-storm", description="Reloads while flows go through.")
    parser.add_argument("--quick", action="store_true", help="100 reloads, 10 000 subscribers")
    parser.add_argument("--reloads", type=int, default=300, help="of the storm [%(default)s]")
    parser.add_argument("--subscribers", type=int, default=100_000, help="for single reloads [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="what the changes follow from [%(default)s]")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the report into its place in this document")
    options = parser.parse_args()
    generator.build()
    reloads, subscribers = (100, 10_000) if options.quick else (options.reloads, options.subscribers)
    return figures.publish("reload-storm", lambda: report(reloads, subscribers, options.seed), options.write)


if __name__ == "__main__":
    sys.exit(main())

"""A gateway into which everything can be looked, under load for long: how its memory is, and whether records are lost.

    python -m testbed.programs.enduring [--rate FLOWS] [--seconds S]

Flows of UDP come at a fixed rate, are recorded in lines and in the database, metrics are asked for, and a page is open
(`testbed.programs.seen`). Conntrack forgets them after 10 s, so that most have ended while it lasts. A line tells every
so often what processes have in memory, and what has become of records. The exit status is 0 if memory did not grow by
more than a tenth within the second half, and each flow that came through was recorded, or its loss counted.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import Any

from realmgw.control.command.client import ask
from testbed.load import generator
from testbed.load.generator import Load
from testbed.measuring.rounds import PORTS
from testbed.programs import seen
from testbed.programs.bench import NAMES, POOL, prepared, subscribers
from testbed.programs.seen import Watching

LOOKS = 20
"""So often it is looked."""
REMEMBERED = 10  # seconds
"""For so long conntrack remembers a flow."""
GROWTH = 1.1
"""By so much memory may grow from the middle to the end."""
COUNTED = ("written", "lost", "unwritten", "untold", "unnamed", "open", "waiting")
"""What is told of records; see docs/flow-records.md."""


def resident(process: int) -> float:
    """What a process has in memory, in MB."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1000


class Looks:
    """Looks again and again, in a thread of its own.

    Args:
        control: The gateway's control socket.
        processes: Whose memory it is about.
        pause: Between two looks, in seconds.

    Attributes:
        sizes: Of all processes together, in MB, one for each look.
        counts: What was counted of records, when it was looked last.
    """

    def __init__(self, control: Path, processes: list[int], pause: float) -> None:
        self._control, self._processes, self._pause = control, processes, pause
        self._begin, self._over = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sizes, self.counts = list[float](), dict[str, Any]()

    def look(self) -> None:
        """Once."""
        sizes = [resident(each) for each in self._processes]
        self.counts = ask(self._control, "status")["counts"]["records"]
        self.sizes.append(sum(sizes))
        said = " ".join(f"{word} {self.counts[word]}" for word in COUNTED)
        print(
            f"{time.monotonic() - self._begin:4.0f} s: {' + '.join(f'{size:.0f}' for size in sizes)} MB; {said}",
            flush=True,
        )

    def __enter__(self) -> Looks:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """No more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            self.look()


def run() -> int:
    """Runs a command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m testbed.programs.enduring", description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="flows a second [%(default)s]")
    parser.add_argument("--seconds", type=float, default=600.0, help="for how long [%(default)s]")
    options = parser.parse_args()
    generator.build()
    with seen.gateway(prepared, subscribers(NAMES), POOL, seen.SEEN) as (running, _):
        testbed, gateway = running.testbed, running.gateway
        names = ("udp_timeout", "udp_timeout_stream")
        testbed.run("gwa", ["sysctl", "-qw", *(f"net.netfilter.nf_conntrack_{name}={REMEMBERED}" for name in names)])
        processes = [gateway.pid, *seen.children(gateway.pid)]
        load = Load(names=running.names, rate=options.rate, ports=PORTS, seconds=options.seconds, warm_seconds=0.0)
        with Watching(testbed.folder), Looks(gateway.control, processes, options.seconds / LOOKS) as looks:
            outcome = generator.run_flows(testbed, load, [gateway.pid])
            settle(looks)
    counts, half = looks.counts, looks.sizes[: LOOKS + 1]
    growth = max(half[len(half) // 2 :]) / half[len(half) // 2]
    recorded = counts["written"] + counts["lost"] + counts["unwritten"]
    print(
        f"offered {outcome.started} flows in {outcome.seconds:.0f} s, {outcome.ok} came through; others: {outcome.lost}"
    )
    print(f"of records {counts['written']} were written, {counts['lost']} lost, {counts['unwritten']} not written")
    print(f"memory grew by {growth - 1:.1%} within the second half; CPU {outcome.cpu:.1f} us/flow")
    return int(growth > GROWTH or recorded < outcome.ok)


def settle(looks: Looks) -> None:
    """Waits until conntrack has forgotten all flows, for half a minute at most."""
    for _ in range(6):
        time.sleep(REMEMBERED / 2)
        looks.look()
        if not looks.counts["open"] and not looks.counts["waiting"]:
            return


if __name__ == "__main__":
    raise SystemExit(run())

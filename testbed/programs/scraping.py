"""What it costs a gateway with many subscribers to tell its metrics, and for how long anything else waits meanwhile.

    python -m testbed.programs.scraping [--count N] [--times N]

A gateway with so many subscribers is asked for its metrics again and again, in
both formats. The exit status tells whether each was there within the target, and no piece of one spent more of a
processor than may: how long it was by the clock is told beside, with what others took of the processor meanwhile.

Of the longest one it is told what it was made of: what the gateway spent, and for
how long it, and who asked, waited for a processor that others had.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from operator import attrgetter
from pathlib import Path

import attrs

from testbed.realm.gateway import Gateway, Subscriber
from testbed.realm.topology import Testbed

PREFIX = "scraping-"
FIRST = int(ip_address("10.0.0.1"))
"""Where subscribers are."""
MAX_SECONDS, MAX_SLICE = 0.05, 0.005
"""The targets: for a scrape, and for any piece of one."""
ACCEPT = ("text/plain", "application/openmetrics-text;version=1.0.0")
PATIENCE, STARTING = 5.0, 300.0  # seconds
PAUSE = 0.2  # seconds


@attrs.frozen
class Scrape:
    """One of them; all in seconds."""

    taken: float
    """From its begin to its end, as who asks sees it."""
    spent: float
    """How much processor time the gateway's reactor has spent meanwhile."""
    waited: float
    """How long the reactor has waited for a processor."""
    asker: float
    """How long who asked has."""


def subscribers(count: int) -> Iterator[Subscriber]:
    """So many."""
    return (Subscriber(f"h{number}.gwa.demo.", str(ip_address(FIRST + number))) for number in range(count))


def scrape(accept: str) -> tuple[float, str]:
    """How long it takes to be told the metrics, in seconds, and the text."""
    with closing(http.client.HTTPConnection("127.0.0.1", 12346, PATIENCE)) as connection:
        begin = time.perf_counter()
        connection.request("GET", "/metrics", headers={"Accept": accept})
        text = connection.getresponse().read().decode()
        return time.perf_counter() - begin, text


def value(text: str, name: str) -> float:
    """That of a metric without labels."""
    [found] = re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found)


def spent(pid: int) -> float:
    """How much processor time a process has spent, in seconds."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


def scheduled(pid: int) -> tuple[float, float]:
    """How long the main thread of a process has run, and has waited for a processor, in seconds (schedstat)."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def looked_at(pid: int, accept: str) -> tuple[Scrape, str]:
    """One scrape of the gateway of this process, and its text."""
    own, gateway = scheduled(os.getpid()), scheduled(pid)
    taken, text = scrape(accept)
    ran, waited = scheduled(pid)
    return Scrape(taken, ran - gateway[0], waited - gateway[1], scheduled(os.getpid())[1] - own[1]), text


def run() -> int:
    """Runs a command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m testbed.programs.scraping", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many subscribers [%(default)s]")
    parser.add_argument("--times", type=int, default=50, help="how often it is asked in each format [%(default)s]")
    options = parser.parse_args()
    settings = {"metrics": {"listen": ["127.0.0.1"]}}
    with Testbed(PREFIX) as testbed:
        gateway = Gateway(testbed, subscribers(options.count), settings=settings)
        gateway.start(timeout=STARTING)
        scrapes, text = list[Scrape](), ""
        begin, before = time.perf_counter(), spent(gateway.pid)
        for _ in range(options.times):
            for accept in ACCEPT:
                one, text = testbed.call("gwa", looked_at, gateway.pid, accept)
                scrapes.append(one)
                time.sleep(PAUSE)
        processor = (spent(gateway.pid) - before) / (time.perf_counter() - begin)
        gateway.stop(timeout=STARTING)
    longest, hosts = value(text, "realmgw_metrics_longest_slice_seconds"), value(text, "realmgw_hosts")
    piece = value(text, "realmgw_metrics_longest_slice_processor_seconds")
    print(f"{hosts:.0f} subscribers, {len(text.splitlines())} lines, {len(scrapes)} scrapes")
    middle, most = statistics.median(each.taken for each in scrapes), max(scrapes, key=attrgetter("taken"))
    late = sum(each.taken > MAX_SECONDS for each in scrapes)
    print(f"a scrape: {middle * 1000:.1f} ms in the middle, {most.taken * 1000:.1f} ms at most, {late} too late")
    gateway_side = f"the gateway spent {most.spent * 1000:.1f} ms and waited {most.waited * 1000:.1f} for a processor"
    print(f"  of the longest, number {scrapes.index(most) + 1}, {gateway_side}, and who asked {most.asker * 1000:.1f}")
    print(f"any piece of one: {piece * 1000:.2f} ms of a processor at most, {longest * 1000:.1f} ms by the clock")
    print(f"processor, with {1 / PAUSE:.0f} scrapes a second: {processor:.1%} of one")
    return int(most.taken > MAX_SECONDS or piece > MAX_SLICE)


if __name__ == "__main__":
    raise SystemExit(run())

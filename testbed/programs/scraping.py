"""What it costs a gateway with many subscribers to tell its metrics, and for how long anything else waits meanwhile.

    python -m testbed.programs.scraping [--count N] [--times N]

A gateway with so many subscribers is asked for its metrics again and again, in
both formats. The exit status tells whether each was there within the target, and nothing else waited for longer.
"""

from __future__ import annotations

import argparse
import http.client
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

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
        taken, text = list[float](), ""
        begin, before = time.perf_counter(), spent(gateway.pid)
        for _ in range(options.times):
            for accept in ACCEPT:
                seconds, text = testbed.call("gwa", scrape, accept)
                taken.append(seconds)
                time.sleep(PAUSE)
        processor = (spent(gateway.pid) - before) / (time.perf_counter() - begin)
        gateway.stop(timeout=STARTING)
    longest, hosts = value(text, "realmgw_metrics_longest_slice_seconds"), value(text, "realmgw_hosts")
    print(f"{hosts:.0f} subscribers, {len(text.splitlines())} lines, {len(taken)} scrapes")
    print(f"a scrape: {statistics.median(taken) * 1000:.1f} ms in the middle, {max(taken) * 1000:.1f} ms at most")
    print(f"any piece of one: {longest * 1000:.1f} ms at most")
    print(f"processor, with {1 / PAUSE:.0f} scrapes a second: {processor:.1%} of one")
    return int(max(taken) > MAX_SECONDS or longest > MAX_SLICE)


if __name__ == "__main__":
    raise SystemExit(run())

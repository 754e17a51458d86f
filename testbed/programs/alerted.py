"""Alerts as fast as an intrusion detection system can write them: how soon a flow ends that one of them is about.

    python -m testbed.programs.alerted [--seconds N] [--rate N] [--write docs/alerts.md]

The whole gateway in its testbed. Hosts have flows to the Internet; somebody writes `RATE` lines of EVE a second to the
gateway's socket: half are of flows that nobody has, under a rule that ends them; a quarter of flows that there are,
under none; the others of those again, a moment later. `PROBES` times a second a new flow is begun, and an alert about
it is written between the others; it counts until conntrack has it no more. Meanwhile names are asked for in the
Internet.

`alerts.file` is on a disk that does not answer at all: a file system in user space without anybody there.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import attrs
import dns.message
import dns.query

from realmgw.admission.conntrack import Conntrack
from realmgw.allocation.flow import Flow
from realmgw.control.command.client import ask
from testbed.measuring import cpu_noise, figures
from testbed.realm.gateway import ZONE, Gateway, Subscriber
from testbed.realm.topology import CLIENT, GATEWAY, Testbed, TestbedError

RATE = 20_000
"""Alerts a second."""
PROBES = 20
"""Of them, so many of a flow whose end is waited for."""
LIMIT = 0.05  # seconds
"""The target: 99 of 100 of these flows are over so soon after their alert was written."""
STANDING = 200
"""Flows that there are all the while."""
ENDED, WATCHED = 2019401, 2024897
"""Signatures with a rule that ends flows, and without one."""
BATCHES = 200
"""So often a second lines are written."""
PORT = 4444
"""Where hosts' flows go to."""
PATIENCE = 1.0  # seconds
"""A flow that lives longer than that is not waited for."""
LOOK = 0.0005  # seconds
"""How often it is looked whether a flow is over, and how often a name is asked for at most, twenty times as long."""
_UDP = 17


@attrs.define
class Seen:
    """What was seen of a gateway."""

    written: int = 0
    """Lines that were written."""
    seconds: float = 0.0
    """In so many seconds."""
    ends: list[float] = attrs.Factory(list)
    """How long after its alert each flow was over, in seconds; `PATIENCE`: it was not."""
    answers: list[float] = attrs.Factory(list)
    """How long the answer to each query took, in seconds."""
    share: float = 0.0
    """The gateway's part of a core, 0 to 1."""
    counts: Mapping[str, int] = attrs.Factory(dict)
    """What the gateway has counted of alerts."""


@contextlib.contextmanager
def stalled(folder: Path) -> Iterator[None]:
    """A disk that never answers is mounted there; who reads of it goes on when it is taken away.

    Raises:
        TestbedError: This kernel has no file systems in user space.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        raise TestbedError(f"no file systems in user space: {error}") from error
    try:
        how = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"stalled", os.fsencode(folder), b"fuse", 0, how):
            raise TestbedError(f"mount: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.umount2(os.fsencode(folder), 2)  # MNT_DETACH
    finally:
        os.close(device)


def line(signature: int, source: str, sport: int, destination: str, dport: int) -> bytes:
    """An alert as Suricata writes it, with what it tells of HTTP beside it."""
    said = {
        "timestamp": "2026-11-27T15:00:00.000000+0000", "flow_id": 1234567890123456, "in_iface": "wan0",
        "event_type": "alert", "src_ip": source, "src_port": sport, "dest_ip": destination, "dest_port": dport,
        "proto": "UDP", "alert": {
            "action": "allowed", "gid": 1, "signature_id": signature, "rev": 3, "signature": "ET EXPLOIT something",
            "category": "Attempted Administrator Privilege Gain", "severity": 1,
            "metadata": {"created_at": ["2019_05_29"], "updated_at": ["2019_05_29"]},
        },
        "app_proto": "http", "http": {
            "hostname": "web.example.org", "url": "/index.php?s=" + "A" * 120, "http_method": "GET",
            "http_user_agent": "Mozilla/5.0 (X11; Linux x86_64)", "protocol": "HTTP/1.1", "length": 0,
        },
        "flow": {"pkts_toserver": 4, "pkts_toclient": 3, "bytes_toserver": 500, "bytes_toclient": 300},
    }  # fmt: skip
    return json.dumps(said).encode() + b"\n"


def begin(testbed: Testbed, number: int, port: int) -> Flow:
    """A host sends a datagram to somebody in the Internet; returns the flow, as conntrack has it."""
    host = testbed.hosts[number % len(testbed.hosts)]
    with testbed.inside("test_gwa"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((host, port))
        sender.sendto(b"x", (CLIENT, PORT))
    return socket.inet_aton(host), socket.inet_aton(CLIENT), _UDP, port, PORT


def others(testbed: Testbed) -> list[bytes]:
    """What is written all the while, in portions."""
    forged = [line(ENDED, f"203.0.{n >> 8 & 127}.{n & 255}", 1024 + n, CLIENT, PORT) for n in range(RATE)]
    hosts = testbed.hosts
    real = [line(WATCHED, hosts[n % len(hosts)], 20_000 + n, CLIENT, PORT) for n in range(STANDING)]
    portions, each = [], RATE // BATCHES
    for at in range(0, RATE, each):
        some = [real[(at + n) % STANDING] for n in range(each // 4)]
        portions.append(b"".join([*forged[at : at + each - 2 * len(some)], *some, *some]))
    return portions


class Writing:
    """Writes alerts.

    Args:
        testbed: Where the gateway runs.
        path: Its socket.
        rate: Lines a second.
    """

    def __init__(self, testbed: Testbed, path: Path, rate: float) -> None:
        self._portions, self._pause = others(testbed), 1.0 / BATCHES * RATE / rate
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self.written = 0

    def __enter__(self) -> Writing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _write(self) -> None:
        due, number = time.monotonic(), 0
        while not self._over.wait(max(0.0, due - time.monotonic())):
            self.write(self._portions[number % len(self._portions)])
            number, due = number + 1, due + self._pause

    def write(self, lines: bytes) -> None:
        """Some lines, between the others."""
        with self._lock:
            self._socket.sendall(lines)
            self.written += lines.count(b"\n")


def seen_within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Looks again and again whether something holds; returns whether it did in time."""
    until = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < until:
        time.sleep(LOOK)
    return found


def watch(testbed: Testbed, writing: Writing, seconds: float) -> Iterator[float]:
    """Begins flows and has alerts tell of them; how long each then lived, in seconds."""
    end = time.monotonic() + seconds
    conntrack = Conntrack(time.monotonic)

    def has(flow: Flow) -> bool:
        return conntrack.find((flow,)) != [None]

    def has_not(flow: Flow) -> bool:
        return not has(flow)

    with testbed.inside("gwa"):
        conntrack.answered((bytes(4), bytes(4), _UDP, 1, 1))  # its socket is of that namespace from now on
    for number in range(int(PROBES * seconds)):
        if (now := time.monotonic()) >= end:
            return
        flow = begin(testbed, number, 40_000 + number % 20_000)
        if not seen_within(PATIENCE, partial(has, flow)):
            raise TestbedError("conntrack has no flow that was just begun")
        alert = line(ENDED, socket.inet_ntoa(flow[0]), flow[3], CLIENT, PORT)
        begun = time.monotonic()
        writing.write(alert)
        seen_within(PATIENCE, partial(has_not, flow))
        yield time.monotonic() - begun
        time.sleep(max(0.0, now + 1.0 / PROBES - time.monotonic()))


def asking(testbed: Testbed, is_over: Callable[[], bool], took: list[float]) -> None:
    """Asks the gateway's DNS, and notes how long each answer takes."""
    while not is_over():
        query, begun = dns.message.make_query(ZONE, "SOA", flags=dns.flags.Flag(0)), time.monotonic()
        with contextlib.suppress(dns.exception.Timeout), testbed.inside("public"):
            dns.query.udp(query, GATEWAY, timeout=PATIENCE)
        took.append(time.monotonic() - begun)
        time.sleep(20 * LOOK)


def measure(seconds: float, rate: float = RATE, prefix: str = "alr-") -> Seen:
    """Runs a gateway, and writes alerts to it.

    Args:
        seconds: For so long.
        rate: So many a second.
        prefix: Of the testbed.
    """
    seen = Seen()
    with Testbed(prefix, hosts=50) as testbed:
        (disk := testbed.folder / "disk").mkdir()
        path = testbed.folder / "alerts.sock"
        settings = {
            "socket": str(path), "file": str(disk / "eve.json"),
            "rules": [{"signatures": [ENDED], "actions": ["end"]}],
        }  # fmt: skip
        hosts = [Subscriber(f"host{number}.{ZONE}", address) for number, address in enumerate(testbed.hosts)]
        with Gateway(testbed, hosts, settings={"alerts": settings}) as gateway, stalled(disk):
            for number in range(STANDING):
                begin(testbed, number, 20_000 + number)
            over, used = threading.Event(), cpu_noise.time_of(gateway.pid)
            asker = threading.Thread(target=asking, args=(testbed, over.is_set, seen.answers), daemon=True)
            asker.start()
            begun = time.monotonic()
            with Writing(testbed, path, rate) as writing:
                seen.ends += watch(testbed, writing, seconds)
            seen.seconds, seen.written = time.monotonic() - begun, writing.written
            seen.share = (cpu_noise.time_of(gateway.pid) - used) / seen.seconds
            over.set()
            asker.join()
            seen.counts = ask(gateway.control, "status", timeout=20.0)["counts"]["alerts"]
    return seen


def quantile(values: list[float], share: float) -> str:
    """The value that so large a share of some are not above, as people read it; of seconds."""
    ordered = sorted(values)
    return figures.milliseconds(1e6 * ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def report(seconds: float, rate: float) -> tuple[str, bool]:
    """Runs it; returns what to print, and whether the target was met."""
    seen = measure(seconds, rate)
    counts, over = seen.counts, sorted(seen.ends)
    looked = counts["lines"] - counts["lost"] - counts["waiting"]
    met = over[int(0.99 * len(over))] < LIMIT and not counts["lost"]
    rows = [
        ("alerts written", f"{seen.written / seen.seconds:.0f}/s for {seen.seconds:.0f} s"),
        ("looked at, lost", f"{looked / seen.seconds:.0f}/s, {counts['lost']}"),
        (
            f"from alert to dead flow, {len(over)} of them: half, 99 %, the last",
            ", ".join(quantile(over, share) for share in (0.5, 0.99, 1.0)),
        ),
        (
            f"answers of DNS meanwhile, {len(seen.answers)} of them: half, 99 %",
            ", ".join(quantile(seen.answers, share) for share in (0.5, 0.99)),
        ),
        ("gateway's core", f"{seen.share * 100:.0f} %"),
        (f"99 % within {LIMIT * 1000:.0f} ms, and none lost", figures.met(met)),
    ]
    return f"{figures.machine()}\n{figures.table(('what', 'figure'), rows)}", met


def main() -> int:
    """Runs it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--rate", type=float, default=RATE, help="alerts a second")
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    return figures.publish("alerted", partial(report, options.seconds, options.rate), options.write)


if __name__ == "__main__":
    raise SystemExit(main())

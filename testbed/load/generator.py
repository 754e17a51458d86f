"""The C programs of `testbed/load` as calls: hosts, flows, strays, and what came of them.

::

    generator.build()
    generator.start_hosts(testbed)
    outcome = generator.run_flows(testbed, Load(names=path, rate=30, seconds=10))
    print(outcome.success, outcome.total.p99)
"""

from __future__ import annotations

import json
import math
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from testbed.realm.topology import CLIENT, GATEWAY, Testbed, TestbedError

SOURCES = Path(__file__).parent
"""The C sources."""
BUILD = Path(__file__).parents[1] / "build" / "load"
"""Where they are built."""
PORT = 5000
"""Where the hosts answer, by UDP and TCP."""
RAW_SOURCES = "100.66.0.0/16"
"""What a testbed has to be told to route to `public` for raw loads and strays: its `sources`."""
RAW_CLIENTS = "100.66.1.0+200"
"""Where raw loads come from."""
RAW_CLIENTS6 = "2001:db8:66:1::1+200"
"""The same of IPv6; a testbed has to be told `ipv6.SOURCES` as one of its `sources`."""
GRACE = 30.0  # seconds
"""How long a program may take beyond its own time: its last flows have to end by timeout."""


@attrs.frozen
class Times:
    """A distribution of durations, in microseconds."""

    count: int
    """How many durations."""
    p50: float
    """The median."""
    p90: float
    """90 % are not longer."""
    p99: float
    """99 % are not longer."""
    p999: float
    """99.9 % are not longer."""
    longest: float
    """The longest one."""


@attrs.frozen
class Came:
    """What came of those flows that came by one family."""

    started: int
    """How many began."""
    ok: int
    """Those that reached the host that was asked for."""
    total: Times
    """First query to reply, with the client's delay."""


NOBODY = Came(0, 0, Times(0, 0.0, 0.0, 0.0, 0.0, 0.0))
"""No flow at all."""


@attrs.frozen
class Outcome:
    """What came of the flows that began within the measurement."""

    started: int
    """How many began."""
    ok: int
    """Those that reached the host that was asked for."""
    seconds: float
    """How long the measurement was."""
    per_second: float
    """Flows that came through per second."""
    lost: Mapping[str, int]
    """The others, by kind; see `enum loss` in load/results.h."""
    codes: Mapping[str, int]
    """DNS codes of the losses of kind `failed`."""
    asked_again: int
    """Queries repeated after a timeout."""
    skipped: int
    """Flows that the generator could not begin: it was the bottleneck, and the figures are worthless."""
    idle_started: int
    """Queries that nobody followed."""
    resolve: Times
    """First query to answer."""
    connect: Times
    """First packet to reply."""
    total: Times
    """First query to reply, with the client's delay."""
    cpu: float
    """CPU time of the watched processes per flow, in microseconds."""
    share: float
    """The same per time: 1 is a whole core."""
    own_cpu: float
    """CPU time of the generator per flow, in microseconds."""
    ipv4: Came = NOBODY
    """Those who came by IPv4."""
    ipv6: Came = NOBODY
    """Those who came by IPv6."""
    others: float = 0.0
    """What processes that have no part in it used of the machine meanwhile, in cores, if that was measured."""

    @property
    def success(self) -> float:
        """The part of the flows that came through, 0 to 1."""
        return self.ok / self.started if self.started else 0.0

    @property
    def misdelivered(self) -> int:
        """Flows that reached another host than the one asked for."""
        return self.lost["misdelivered"]


@attrs.frozen
class Load:
    """What one run of the generator does. Without a rate it is a closed loop."""

    names: Path
    """Lines `NAME HOST-ADDRESS[,HOST-ADDRESS] [PORT]`."""
    via: str = "raw"
    """How the first packet goes out: raw, udp, tcp or none."""
    rate: float | None = None
    """Flows per second, Poisson."""
    outstanding: int = 1
    """Closed loop: so many flows at once."""
    idle: float = 0.0
    """Queries per second that nobody follows."""
    seconds: float = 10.0
    """How long to measure."""
    warm_seconds: float = 0.0
    """How long to run before."""
    warm_flows: int = 0
    """How many flows to finish before."""
    ports: int = 1
    """Source ports of the resolver."""
    retries: int = 0
    """How often a query is repeated, each time after a second."""
    reply_timeout: float = 1.0
    """For how many seconds a client waits for its host's word."""
    delay: str | None = None
    """The client's delay in ms before its first packet, log-normal: `MEDIAN,P99.9`."""
    order: str = "cycle"
    """Of the names: cycle or random."""
    clients: str | None = None
    """Not raw: the clients' addresses, `FIRST+COUNT`."""
    resolver: str = CLIENT
    """Where it asks from."""
    seed: int | None = None
    """Of chance: a load that has the same one begins alike; None: the time."""
    ipv6: float = 0.0
    """This part of the clients, 0 to 1, asks for AAAA and comes by IPv6."""
    dual: bool = False
    """Every client asks for A and for AAAA, and follows the answer of the family that it comes by."""
    clients6: str | None = None
    """As `clients`, of IPv6."""
    server: str = GATEWAY
    """Whom it asks."""

    def arguments(self) -> list[str]:
        """The program's arguments."""
        words: dict[str, object] = {
            "server": self.server,
            "resolver": self.resolver,
            "names": self.names,
            "port": PORT,
            "via": self.via,
            "outstanding": self.outstanding,
            "idle": self.idle,
            "seconds": self.seconds,
            "warm-seconds": self.warm_seconds,
            "warm-flows": self.warm_flows,
            "ports": self.ports,
            "retries": self.retries,
            "reply-timeout": round(self.reply_timeout * 1000),
            "order": self.order,
        }
        if self.rate is not None:
            words["rate"] = self.rate
        if self.delay is not None:
            words["delay"] = self.delay
        if self.seed is not None:
            words["seed"] = self.seed
        if self.via == "raw":
            words |= {"sources": RAW_CLIENTS, "interface": "eth0"}
            words |= {"sources6": RAW_CLIENTS6} if self.ipv6 else {}
        elif self.clients is not None:
            words["sources"] = self.clients
        if self.clients6 is not None:
            words["sources6"] = self.clients6
        if self.ipv6:
            words["ipv6"] = self.ipv6
        flags = ["--dual"] if self.dual else []
        return [*flags, *(word for name, value in words.items() for word in (f"--{name}", str(value)))]


@attrs.frozen
class Strays:
    """Packets that nobody asked for."""

    targets: str
    """Where to: `FIRST+COUNT`, or `PREFIX/LENGTH` of IPv6, of which addresses are drawn by chance."""
    sources: str
    """Where from: the same, within `RAW_SOURCES` or `ipv6.SOURCES`."""
    rate: float
    """Per second, Poisson."""
    seconds: float
    """For how long."""
    kind: str = "syn"
    """`syn` or `udp`."""
    port: int = PORT
    """Of the targets."""

    def arguments(self) -> list[str]:
        """The program's arguments."""
        words = attrs.asdict(self)
        return [word for name, value in words.items() for word in (f"--{name}", str(value))]


def build() -> None:
    """Compiles what has changed.

    Raises:
        TestbedError: The compiler refused; its words are in the text.
    """
    made = subprocess.run(
        ["make", "--silent", "--directory", str(SOURCES), f"BUILD={BUILD}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise TestbedError(f"testbed/load can not be built:\n{made.stderr}")


def answer_for(testbed: Testbed, network: str, host: str) -> None:
    """Has the hosts' namespace answer for a whole network, which the gateway reaches by one of the hosts.

    Args:
        testbed: A running testbed.
        network: The network, of either family.
        host: The host's address.

    Raises:
        TestbedError: There can be no such route.
    """
    for namespace, way in (("gwa", [network, "via", host]), ("test_gwa", ["local", network, "dev", "lo"])):
        done = testbed.run(namespace, ["ip", "route", "add", *way])
        if done.returncode:
            raise TestbedError(f"ip route add {' '.join(way)}: {done.stderr.strip()}")


def start_hosts(testbed: Testbed) -> subprocess.Popen[bytes]:
    """Starts what answers for every private host of a testbed.

    Args:
        testbed: A running testbed.
    """
    process = testbed.spawn("test_gwa", [str(BUILD / "echo"), str(PORT)], log="echo.log")
    wait_for_socket(testbed, "test_gwa", process, f":{PORT}", log="echo.log")
    return process


def wait_for_socket(
    testbed: Testbed, namespace: str, process: subprocess.Popen[bytes], where: str, *, log: str
) -> None:
    """Waits until a process listens.

    Args:
        testbed: Where it was started.
        namespace: In which of its namespaces.
        process: It.
        where: `ADDRESS:PORT` of TCP or UDP, or the end of it.
        log: The file that has its output.

    Raises:
        TestbedError: It ended, or did not begin within 5 seconds.
    """
    end = time.monotonic() + 5.0
    while process.poll() is None and time.monotonic() < end:
        listed = testbed.run(namespace, ["ss", "--listening", "--tcp", "--udp", "--numeric", "--no-header"])
        if where in listed.stdout:
            return
        time.sleep(0.02)
    raise TestbedError(f"{Path(log).stem} did not start: {(testbed.folder / log).read_text()}")


def run_flows(testbed: Testbed, load: Load, watched: Sequence[int] = ()) -> Outcome:
    """Runs a load to its end.

    Args:
        testbed: Where; the load runs in `public`.
        load: What.
        watched: Numbers of the processes whose CPU time is measured.

    Raises:
        TestbedError: The generator could not do it; its last words are in the text.
    """
    arguments = [str(BUILD / "flows"), *load.arguments()]
    if watched:
        arguments += ["--cpu", ",".join(map(str, watched))]
    patience = GRACE + load.seconds + load.warm_seconds + (load.warm_flows / load.rate if load.rate else 0.0)
    done = testbed.run("public", arguments, timeout=patience)
    if done.returncode:
        raise TestbedError(f"the load generator failed: {done.stderr.strip()}")
    return outcome_of(json.loads(done.stdout))


def start_strays(testbed: Testbed, strays: Strays, namespace: str = "public") -> subprocess.Popen[bytes]:
    """Starts strays; they end by themselves.

    Args:
        testbed: Where.
        strays: What.
        namespace: Where they come from.
    """
    arguments = [str(BUILD / "strays"), *strays.arguments()]
    return testbed.spawn(namespace, arguments, stdout=subprocess.PIPE)


def end_of_strays(process: subprocess.Popen[bytes]) -> int:
    """Waits for the end of strays and returns how many packets they sent.

    Args:
        process: From `start_strays`.

    Raises:
        TestbedError: They failed.
    """
    output, _ = process.communicate(timeout=GRACE)
    if process.returncode:
        raise TestbedError("the strays failed; see the logs of the testbed")
    sent: int = json.loads(output)["sent"]
    return sent


def outcome_of(result: Mapping[str, Any]) -> Outcome:
    """Reads the generator's JSON.

    Args:
        result: As parsed.
    """
    cpu = result["cpu"]
    return Outcome(
        started=result["started"],
        ok=result["ok"],
        seconds=result["seconds"],
        per_second=result["per_second"],
        lost=result["lost"],
        codes=result["codes"],
        asked_again=result["asked_again"],
        skipped=result["skipped"],
        idle_started=result["idle"]["started"],
        resolve=_times(result["resolve_us"]),
        connect=_times(result["connect_us"]),
        total=_times(result["total_us"]),
        cpu=cpu["watched_us_per_flow"],
        share=cpu["watched_share"],
        own_cpu=cpu["own_us_per_flow"],
        ipv4=_came(result["ipv4"]),
        ipv6=_came(result["ipv6"]),
    )


def _came(came: Mapping[str, Any]) -> Came:
    return Came(came["started"], came["ok"], _times(came["total_us"]))


def _times(times: Mapping[str, float]) -> Times:
    count = int(times["count"])
    return Times(count, *(times[key] if count else math.nan for key in ("p50", "p90", "p99", "p99.9", "longest")))


def write_names(path: Path, hosts: Mapping[str, str]) -> Path:
    """Writes a file of names for `Load` or the baseline.

    Args:
        path: Where.
        hosts: Name -> address of the host behind it, or one of each family with a comma between, in the order of
            asking.
    """
    path.write_text("".join(f"{name} {address}\n" for name, address in hosts.items()))
    return path

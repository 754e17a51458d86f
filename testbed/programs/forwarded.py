"""How many queries a second the forwarder answers, beside dnsmasq and unbound as forwarders, in one run.

    python -m testbed.programs.forwarded --dnsperf /usr/bin/dnsperf

All of them forward to one resolver (unbound, with names of its own) on the loopback interface, each is asked for the
same names by dnsperf, and each is one process with one thread. `kept`: all names were asked for before; `new`: each
name is asked for once, so that the resolver is asked as well. Then the gateway has two resolvers, and one of them is
stopped under load, so that it does not answer, or killed: told is what became of the queries. Last, all of them forward
to a resolver as far away as most are, and to one that answers so many queries a second only: `WINDOW` names are asked
for at a time, so that the former can give no more than `WINDOW` in the time that it takes.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.config.values import Resolver
from realmgw.daemon import collecting
from realmgw.dns.service import DnsService
from realmgw.subscribers.model import Directory
from realmgw.system.reactor import the_reactor

HOST = "127.0.0.1"
PATIENCE = 60.0  # seconds
"""How long a server may take to start, on a machine that has other work, too."""
RESOLVER, OURS, DNSMASQ, UNBOUND, SECOND, SLOW = 5390, 5391, 5392, 5393, 5394, 5395
"""Ports."""
KEPT = 1000
"""So many names are asked for again and again."""
NEW = 100_000
"""So many are asked for once."""
FORWARDERS = {"realmgw": OURS, "dnsmasq": DNSMASQ, "unbound": UNBOUND}
"""Who is asked, and at which port."""
ZONES = ('local-zone: "example.com." redirect', 'local-data: "example.com. 3600 IN A 198.51.100.7"')
"""What the resolver knows."""
RECORD = b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\xc6\x33\x64\7"
"""The same, as a record of an answer."""
WINDOW = 100
"""So many names are asked for at a time of a slow resolver."""
FEW = 8000
"""So many of them in all."""
SLOWNESS = {"a resolver 20 ms away": (0.02, 100_000), "a resolver that gives 2000 answers a second": (0.0, 2000)}
"""What they take for each answer, in seconds, and how many they give in a second."""
MOST_WAITING = 5000
"""So many queries wait for a slow resolver; more are lost."""
UNBOUND_CONF = """server:
  interface: 127.0.0.1@{port}
  port: {port}
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  logfile: "{folder}/log"
  num-threads: 1
  module-config: "iterator"
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  msg-cache-size: 64m
  rrset-cache-size: 64m
{rest}
"""


def gateway(*resolvers: int) -> None:
    """A gateway's DNS server alone, for ever, with resolvers at these ports."""
    reactor = the_reactor()
    zone = settings.Zone("example.org.", (settings.NameServer("ns.example.net."),), "hostmaster.example.org.")
    at = settings.Endpoint(IPv4Address(HOST), OURS)
    upstreams = tuple(Resolver(settings.Endpoint(IPv4Address(HOST), each)) for each in resolvers)
    forward = settings.Forwarding(
        upstreams, outstanding_per_client=100_000, rate_per_client=1_000_000, cache=2**28, internal=("example.com.",)
    )
    made = settings.Settings(
        "gateway",
        (zone,),
        settings.Interfaces("wan", ("lan",)),
        settings.Pools(()),
        settings.Dns(settings.DnsView(), settings.DnsView((at,)), forward=forward),
    )
    pool = Allocator(made.allocation, [ip_network("192.0.2.0/24")], now=time.monotonic())
    DnsService(made, Directory({}, {}), pool, reactor, time.monotonic).startService()
    collecting.settle()  # as the whole gateway has it
    reactor.run()


def slow(port: int, seconds: float, rate: int) -> None:
    """A resolver that gives an address for every name, after so long a time, and so many in a second."""
    handle = socket.socket(type=socket.SOCK_DGRAM)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    handle.bind((HOST, port))
    waiting, last = deque[tuple[float, bytes, tuple[str, int]]](), 0.0
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, answer, source = waiting.popleft()
            handle.sendto(answer, source)
        rest = max(waiting[0][0] - now, 0.0) if waiting else None
        if select.select([handle], [], [], rest)[0]:
            message, source = handle.recvfrom(4096)
            last = max(time.monotonic() + seconds, last + 1 / rate)
            if len(waiting) < MOST_WAITING:
                waiting.append((last, answer_to(message), source))


def answer_to(message: bytes) -> bytes:
    """An address for the name that is asked for."""
    end = message.index(b"\0", 12) + 5
    return message[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + message[12:end] + RECORD


@contextlib.contextmanager
def working(target: Callable[..., object], *args: object, port: int, name: str = "k0.example.com.") -> Iterator[None]:
    """A function in a process of its own that answers a question for a name at a port, until the end of the block."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=args, daemon=True)
    process.start()
    try:
        answers(port, name)
        yield
    finally:
        process.terminate()
        process.join()


@contextlib.contextmanager
def forwarders(folder: Path, resolver: int) -> Iterator[None]:
    """All three, before a resolver at that port."""
    folder.mkdir()
    forward = f'forward-zone:\n  name: "."\n  forward-addr: {HOST}@{resolver}'
    dnsmasq = ["dnsmasq", "-k", "-C", "/dev/null", "-R", "-S", f"{HOST}#{resolver}", "-p", str(DNSMASQ), "-a", HOST]
    with (
        running(unbound(folder / "unbound", UNBOUND, forward), UNBOUND),
        running([*dnsmasq, "--pid-file=", "-z", "-c", "10000", "-0", "5000"], DNSMASQ),
        working(gateway, resolver, port=OURS),
    ):
        yield


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server, until the end of the block."""
    with subprocess.Popen(command) as process:
        try:
            answers(port)
            yield process
        finally:
            process.kill()  # it may be stopped


def answers(port: int, name: str = "k0.example.com.") -> None:
    """Waits until something answers a question for a name at a port."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(dns.exception.Timeout, OSError):
            dns.query.udp(dns.message.make_query(name, "A"), HOST, 1.0, port)
            return
        time.sleep(0.05)
    raise SystemExit(f"nothing answers at port {port}")


def unbound(folder: Path, port: int, rest: str) -> list[str]:
    """The command of an unbound with that configuration."""
    folder.mkdir()
    path = folder / "unbound.conf"
    path.write_text(UNBOUND_CONF.format(port=port, folder=folder, rest=rest))
    return ["unbound", "-d", "-c", str(path)]


def dnsperf(program: str, port: int, names: Path, *options: str) -> str:
    """What dnsperf says of a server: queries a second, the mean latency, and how many were lost."""
    command = [program, "-s", HOST, "-p", str(port), "-d", str(names), *options]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [
        re.search(pattern, text) for pattern in (r"per second:\s+(\d+)", r"Latency \(s\):\s+([\d.]+)", r"lost:\s+(\d+)")
    ]
    rate, latency, lost = [match[1] if match else "?" for match in found]
    return f"{rate} q/s, {float(latency) * 1000:.2f} ms, {lost} lost"


def fail_over(program: str, folder: Path, command: list[str], end: signal.Signals) -> str:
    """What becomes of queries for new names while one of two resolvers ends: it is stopped, or killed."""
    names = folder / "over"
    names.write_text("".join(f"f{number}.example.com A\n" for number in range(NEW)))
    with running(command, SECOND) as second, working(gateway, RESOLVER, SECOND, port=OURS):
        options = ["-s", HOST, "-p", str(OURS), "-d", str(names), "-Q", "1000", "-l", "8", "-q", "1000"]
        with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as load:
            time.sleep(3)
            second.send_signal(end)
            text = load.communicate()[0]
    found = [
        line.strip() for line in text.splitlines() if re.search(r"Queries (sent|lost)|codes|Latency \(s\)|max", line)
    ]
    return "; ".join(found)


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--dnsperf", default="dnsperf", help="the program")
    parser.add_argument("--seconds", type=int, default=10, help="how long each is asked for what it keeps")
    arguments = parser.parse_args()
    program, zone = arguments.dnsperf, "".join(f"  {line}\n" for line in ZONES)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kept = written(folder / "kept", "k", KEPT)
        with running(unbound(folder / "resolver", RESOLVER, zone), RESOLVER):
            with forwarders(folder / "near", RESOLVER):
                for name, port in FORWARDERS.items():
                    new = written(folder / name, "n", NEW)
                    dnsperf(program, port, kept, "-n", "1", "-q", "20")
                    print(f"{name:8} kept: {dnsperf(program, port, kept, '-l', str(arguments.seconds), '-c', '10')}")
                    print(f"{name:8} new:  {dnsperf(program, port, new, '-n', '1', '-q', '50')}", flush=True)
            second = unbound(folder / "second", SECOND, zone)
            for title, end in (("does not answer", signal.SIGSTOP), ("is killed", signal.SIGKILL)):
                print(f"one resolver of two {title}: {fail_over(program, folder, second, end)}", flush=True)
        few = written(folder / "few", "n", FEW)
        for title, (seconds, rate) in SLOWNESS.items():
            with working(slow, SLOW, seconds, rate, port=SLOW), forwarders(folder / title, SLOW):
                for name, port in FORWARDERS.items():
                    said = dnsperf(program, port, few, "-n", "1", "-q", str(WINDOW))
                    print(f"{title}: {name:8} new: {said}", flush=True)


def written(path: Path, letter: str, count: int) -> Path:
    """A file of names for dnsperf."""
    path.write_text("".join(f"{letter}{number}.example.com A\n" for number in range(count)))
    return path


if __name__ == "__main__":
    main()

"""How many queries a second the forwarder answers, beside dnsmasq and unbound as forwarders, in one run.

    python -m testbed.programs.forwarded --dnsperf /usr/bin/dnsperf

All of them forward to one resolver (unbound, with names of its own) on the loopback interface, each is asked for the
same names by dnsperf, and each is one process with one thread. `kept`: all names were asked for before; `new`: each
name is asked for once, so that the resolver is asked as well. Last, the gateway has two resolvers, and one of them is
stopped under load, so that it does not answer: told is what became of the queries.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.config.values import Resolver
from realmgw.dns.service import DnsService
from realmgw.subscribers.model import Directory

HOST = "127.0.0.1"
RESOLVER, OURS, DNSMASQ, UNBOUND, SECOND = 5390, 5391, 5392, 5393, 5394
"""Ports."""
KEPT = 1000
"""So many names are asked for again and again."""
NEW = 100_000
"""So many are asked for once."""
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
    from twisted.internet import reactor  # noqa: PLC0415 - in the process that runs it

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
    reactor.run()


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server, until the end of the block."""
    with subprocess.Popen(command) as process:
        try:
            answers(port)
            yield process
        finally:
            process.kill()  # it may be stopped


def answers(port: int) -> None:
    """Waits until something answers at a port."""
    for _ in range(100):
        with contextlib.suppress(dns.exception.Timeout, OSError):
            dns.query.udp(dns.message.make_query("k0.example.com.", "A"), HOST, 0.1, port)
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


def serve(*resolvers: int) -> multiprocessing.process.BaseProcess:
    """A gateway that answers."""
    process = multiprocessing.get_context("spawn").Process(target=gateway, args=resolvers, daemon=True)
    process.start()
    answers(OURS)
    return process


def fail_over(program: str, folder: Path, command: list[str]) -> str:
    """What becomes of queries for new names while one of two resolvers does not answer any more."""
    names = folder / "over"
    names.write_text("".join(f"f{number}.example.com A\n" for number in range(NEW)))
    with running(command, SECOND) as second:
        process = serve(RESOLVER, SECOND)
        options = ["-s", HOST, "-p", str(OURS), "-d", str(names), "-Q", "1000", "-l", "8", "-q", "1000"]
        with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as load:
            time.sleep(3)
            second.send_signal(signal.SIGSTOP)
            text = load.communicate()[0]
        process.terminate()
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
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        zone = '  local-zone: "example.com." redirect\n  local-data: "example.com. 3600 IN A 198.51.100.7"'
        stack.enter_context(running(unbound(folder / "resolver", RESOLVER, zone), RESOLVER))
        forward = f'forward-zone:\n  name: "."\n  forward-addr: {HOST}@{RESOLVER}'
        stack.enter_context(running(unbound(folder / "unbound", UNBOUND, forward), UNBOUND))
        dnsmasq = ["dnsmasq", "-k", "-C", "/dev/null", "-R", "-S", f"{HOST}#{RESOLVER}", "-p", str(DNSMASQ), "-a", HOST]
        stack.enter_context(running([*dnsmasq, "--pid-file=", "-z", "-c", "10000", "-0", "5000"], DNSMASQ))
        process = serve(RESOLVER)
        stack.callback(process.terminate)
        kept = folder / "kept"
        kept.write_text("".join(f"k{number}.example.com A\n" for number in range(KEPT)))
        for name, port in (("realmgw", OURS), ("dnsmasq", DNSMASQ), ("unbound", UNBOUND)):
            new = folder / name.upper()
            new.write_text("".join(f"n{number}.example.com A\n" for number in range(NEW)))
            dnsperf(arguments.dnsperf, port, kept, "-n", "1", "-q", "20")
            print(f"{name:8} kept: {dnsperf(arguments.dnsperf, port, kept, '-l', str(arguments.seconds), '-c', '10')}")
            print(f"{name:8} new:  {dnsperf(arguments.dnsperf, port, new, '-n', '1', '-q', '50')}", flush=True)
        process.terminate()
        process.join()
        second = unbound(folder / "second", SECOND, zone)
        print("one resolver of two does not answer:", fail_over(arguments.dnsperf, folder, second))


if __name__ == "__main__":
    main()

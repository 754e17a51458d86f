"""The web proxy beside nginx, in front of the same two web servers: HTTP/1.1, TLS that ends, and idle connections.

    python -m testbed.programs.web_beside [--seconds N] [--rounds N] [--idle N]

HAProxy runs by the configuration that the gateway writes, nginx with a `server` for each name, both in a network
namespace of the program's own. Needs haproxy, nginx, wrk, h2load (nghttp2-client) and openssl; run it as root.
The exit status tells whether no request has failed.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import attrs

from realmgw.config import haproxy
from realmgw.config.settings import Webproxy
from realmgw.subscribers.model import Host, Service, Terms
from realmgw.webproxy import port
from realmgw.webproxy.configuration import Place, map_text
from realmgw.webproxy.names import route
from realmgw.webproxy.shelf import Shelf, renewed

NAMES = {"a.example.org": "127.0.0.2", "b.example.org": "127.0.0.3"}
WAYS = {"HAProxy": (8090, 8443), "nginx": (8091, 8444)}
"""Where each proxy takes HTTP and TLS."""
FRONT, BACK = "worker_connections 12000;", "worker_connections 4000;"
NGINX = """worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log stderr crit; worker_rlimit_nofile 20000;
events {{ {events} }}
http {{ access_log off; keepalive_requests 1000000; client_header_timeout 120s; {servers} }}
"""
ALTERNATING = """local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/", {Host = n % 2 == 0 and "a.example.org" or "b.example.org"})
end
"""


def nginx(folder: Path, name: str, events: str, servers: str) -> list[str]:
    """The command of one that is configured so."""
    path = folder / f"{name}.conf"
    path.write_text(NGINX.format(folder=folder, name=name, events=events, servers=servers))
    return ["nginx", "-c", str(path)]


def front(folder: Path, name: str, address: str) -> str:
    """Nginx as a proxy for a name."""
    keys = f"ssl_certificate {folder}/pem/all.pem; ssl_certificate_key {folder}/pem/all.pem;"
    passing = f"location / {{ proxy_pass http://{address}:8081; proxy_set_header Host $host; }}"
    plain, secure = WAYS["nginx"]
    return f"server {{ listen {plain}; listen {secure} ssl http2; server_name {name}; {keys} {passing} }}"


def proxy(folder: Path, how: Webproxy) -> list[str]:
    """The command of HAProxy, whose files are written as the gateway writes them."""
    place = Place("web", *(haproxy.user(how) or (0, 0)))
    terms = Terms(proxy_required=True, http_port=8081, tls_termination=True)
    hosts = {name: Host(1, f"{name}.", ip_address(address).packed) for name, address in NAMES.items()}
    routes = {name: route(Service(f"{name}.", host, terms)) for name, host in hosts.items()}
    if how.certificates is not None:
        renewed(Shelf(), how.certificates, folder, place, time.time())
    port.prepare(how, (ip_address("127.0.0.1"),), folder, place, lambda: map_text(routes))
    return [str(how.program), "-C", str(folder), "-db", "-f", place.configuration]


@contextlib.contextmanager
def running(*commands: Sequence[str]) -> Iterator[None]:
    """Processes, until it is over."""
    started = [subprocess.Popen(each, stdin=subprocess.DEVNULL) for each in commands]
    time.sleep(1.0)
    try:
        yield
    finally:
        for each in started:
            each.terminate()
        for each in started:
            each.wait()


def told(command: Sequence[str], rate: str, failures: str) -> tuple[float, str, int]:
    """Requests a second, all that was said, and how many requests have failed."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, failed = re.search(rate, said), re.search(failures, said)
    return float(found[1]) if found else 0.0, said, int(failed[1]) if failed else 0


def by_http(way: str, seconds: int, folder: Path) -> tuple[str, int]:
    """HTTP/1.1 for both names in turn, by 64 connections."""
    command = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", "-s", str(folder / "both.lua")]
    rate, said, failed = told([*command, f"http://127.0.0.1:{WAYS[way][0]}/"], r"Requests/sec: +([0-9.]+)",
                              r"Non-2xx or 3xx responses: ([0-9]+)")  # fmt: skip
    late = re.search(r" 99% +(\S+)", said)
    return f"{rate:.0f} requests/s, p99 {late[1] if late else '?'}, {failed} failed", failed


def by_tls(way: str, seconds: int, _: Path) -> tuple[str, int]:
    """HTTP/2 by TLS, 16 connections with 8 streams each."""
    at = WAYS[way][1]
    command = ["h2load", "-D", str(seconds), "-c", "16", "-m", "8", f"--connect-to=127.0.0.1:{at}"]
    rate, said, failed = told(
        [*command, f"https://a.example.org:{at}/"], r"finished in \S+, ([0-9.]+) req/s", r", ([0-9]+) failed"
    )
    wrong = re.search(r"([0-9]+) 4xx, ([0-9]+) 5xx", said)
    failed += sum(map(int, wrong.groups())) if wrong else 1
    return f"{rate:.0f} requests/s, {failed} failed", failed


def in_turn(
    what: str, measure: Callable[[str, int, Path], tuple[str, int]], options: argparse.Namespace, folder: Path
) -> int:
    """Each proxy, so many rounds; how many requests have failed."""
    total = 0
    for _ in range(options.rounds):
        for way in WAYS:
            said, failed = measure(way, options.seconds, folder)
            total += failed
            print(f"{what}, {way}: {said}", flush=True)
    return total


def idle(way: str, options: argparse.Namespace, folder: Path) -> int:
    """HTTP/1.1 while so many others are connected, and say nothing; how many requests have failed."""
    with contextlib.ExitStack() as held:
        others = [
            held.enter_context(socket.create_connection(("127.0.0.1", WAYS[way][0]))) for _ in range(options.idle)
        ]
        said, failed = by_http(way, options.seconds, folder)
        for each in others:
            each.setblocking(False)
        there = sum(1 for each in others if is_there(each))
    print(f"with {there} idle connections to the end, {way}: {said}", flush=True)
    return failed


def is_there(connection: socket.socket) -> bool:
    """Whether it was not closed, and nothing was said."""
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    return False


def measure(options: argparse.Namespace) -> int:
    """In a namespace of our own."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "both.lua").write_text(ALTERNATING)
        pem = folder / "pem" / "all.pem"
        pem.parent.mkdir(mode=0o700)
        names = ",".join(f"DNS:{name}" for name in NAMES)
        making = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                  "-days", "9", "-subj", "/CN=a"]  # fmt: skip
        making += ["-addext", f"subjectAltName={names}", "-keyout", str(pem), "-out", str(pem.with_suffix(".crt"))]
        subprocess.run(making, check=True, capture_output=True)
        pem.write_bytes(pem.read_bytes() + pem.with_suffix(".crt").read_bytes())
        back = " ".join(f'server {{ listen {each}:8081; return 200 "Hello, world\\n"; }}' for each in NAMES.values())
        servers = [nginx(folder, "back", BACK, back)]
        servers.append(nginx(folder, "front", FRONT, " ".join(front(folder, *each) for each in NAMES.items())))
        plain, secure = WAYS["HAProxy"]
        usual = Webproxy(enabled=True, http_port=plain, https_port=secure, connections=2000)
        with running(*servers, proxy(folder, attrs.evolve(usual, certificates=pem.parent))):
            failed = in_turn("HTTP/1.1", by_http, options, folder) + in_turn("TLS, HTTP/2", by_tls, options, folder)
        most = options.idle + 100
        many = attrs.evolve(usual, connections=most, connections_per_client=most, request_timeout=120.0)
        with running(*servers, proxy(folder, many)):
            failed += sum(idle(way, options, folder) for way in WAYS)
    return int(failed > 0)


def run() -> int:
    """Runs a command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m testbed.programs.web_beside", description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="for how long each is asked [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="how often [%(default)s]")
    parser.add_argument("--idle", type=int, default=9800, help="so many idle connections [%(default)s]")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return measure(options)
    again = ["unshare", "--net", sys.executable, "-m", "testbed.programs.web_beside", *sys.argv[1:], "--inside"]
    return subprocess.run(again, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(run())

"""The web proxy beside nginx, in front of the same web servers: HTTP, TLS, idle connections; and names that change.

    python -m testbed.programs.web_beside [--seconds N] [--rounds N] [--idle N] [--names N] [--only requests|names|idle]

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path

import attrs

from realmgw.config import haproxy
from realmgw.config.settings import Webproxy
from realmgw.config.webproxy import Health
from realmgw.subscribers.model import Host, Service, Terms
from realmgw.webproxy import port, runtime
from realmgw.webproxy.configuration import Place, map_text
from realmgw.webproxy.names import route
from realmgw.webproxy.shelf import Known, Shelf, renewed

NAMES = {"a.example.org": "127.0.0.2", "b.example.org": "127.0.0.3"}
WAYS = {"HAProxy": (8090, 8443), "nginx": (8091, 8444)}
"""Where each proxy takes HTTP and TLS."""
FRONT, BACK = "worker_connections 12000;", "worker_connections 4000;"
NGINX = """worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log stderr crit; worker_rlimit_nofile 20000;
events {{ {events} }}
http {{ access_log off; keepalive_requests 1000000; client_header_timeout 120s; {servers} }}
"""
MOVING = "h{}.example.org"
"""The names that change their hosts."""
TURNING = """local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/", {Host = "h" .. n * 7 % MOST .. ".example.org"})
end
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
    """Nginx as a proxy for a name, with connections to its host that are used again."""
    keys = f"ssl_certificate {folder}/pem/all.pem; ssl_certificate_key {folder}/pem/all.pem;"
    host = f"upstream {name} {{ server {address}:8081; keepalive 64; }}"
    again = 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;'
    passing = f"location / {{ proxy_pass http://{name}; {again} }}"
    plain, secure = WAYS["nginx"]
    return f"{host} server {{ listen {plain}; listen {secure} ssl http2; server_name {name}; {keys} {passing} }}"


def routed(names: Mapping[str, str]) -> dict[str, str]:
    """The routes of names whose TLS ends at the proxy, by the addresses of their hosts."""
    terms = Terms(proxy_required=True, http_port=8081, tls_termination=True)
    hosts = {name: Host(1, f"{name}.", ip_address(address).packed) for name, address in names.items()}
    return {name: route(Service(f"{name}.", host, terms)) for name, host in hosts.items()}


def place_of(how: Webproxy) -> Place:
    """Where HAProxy's files are."""
    return Place("web", *(haproxy.user(how) or (0, 0)))


def proxy(folder: Path, how: Webproxy, names: Mapping[str, str], most: int | None = None) -> list[str]:
    """The command of HAProxy, whose files are written as the gateway writes them.

    Args:
        folder: Where they are written.
        how: How it is configured.
        names: The addresses of their hosts.
        most: So many connections it may have in place of those configured, even if there are not two files for each.
    """
    place = place_of(how)
    if how.certificates is not None:
        renewed(Shelf(), Known(), how.certificates, folder, place, time.time())
    port.prepare(how, (ip_address("127.0.0.1"),), folder, place, lambda: map_text(routed(names)))
    if most is not None:
        written = folder / place.configuration
        said = re.sub(r"\bmaxconn \d+", f"maxconn {most}", written.read_text())
        written.write_text(f"global\n    no strict-limits\n{said}")
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
    return asked(way, seconds, folder / "both.lua")


def asked(way: str, seconds: int, names: Path) -> tuple[str, int]:
    """HTTP/1.1 for the names that a file in Lua says, by 64 connections."""
    command = ["wrk", "-t1", "-c64", f"-d{seconds}s", "--latency", "-s", str(names)]
    rate, said, failed = told([*command, f"http://127.0.0.1:{WAYS[way][0]}/"], r"Requests/sec: +([0-9.]+)",
                              r"Non-2xx or 3xx responses: ([0-9]+)")  # fmt: skip
    late = re.search(r" 99% +(\S+)", said)
    return f"{rate:.0f} requests/s, p99 {late[1] if late else '?'}, {failed} failed", failed


def by_tls(way: str, seconds: int, folder: Path) -> tuple[str, int]:
    """HTTP/2 by TLS, 16 connections with 8 streams each; then again, with the time of each request written down."""
    rate, failed = streams(way, seconds)
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    failed += streams(way, seconds, f"--log-file={log}")[1]
    times = sorted(int(each.split()[2]) for each in log.read_text().splitlines())  # us
    late = f"{times[len(times) * 99 // 100] / 1000:.2f}ms" if times else "?"
    return f"{rate:.0f} requests/s, p99 {late}, {failed} failed", failed


def streams(way: str, seconds: int, *more: str) -> tuple[float, int]:
    """Requests a second by HTTP/2, and how many have failed."""
    at = WAYS[way][1]
    command = ["h2load", "-D", str(seconds), "-c", "16", "-m", "8", f"--connect-to=127.0.0.1:{at}", *more]
    rate, said, failed = told(
        [*command, f"https://a.example.org:{at}/"], r"finished in \S+, ([0-9.]+) req/s", r", ([0-9]+) failed"
    )
    wrong = re.search(r"([0-9]+) 4xx, ([0-9]+) 5xx", said)
    return rate, failed + (sum(map(int, wrong.groups())) if wrong else 1)


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


def say(folder: Path, how: Webproxy, line: bytes) -> bytes:
    """What HAProxy answers to a line of its runtime API."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / place_of(how).socket))
        connection.sendall(line + b"\n")
        return b"".join(iter(lambda: connection.recv(65536), b""))


def move(folder: Path, how: Webproxy, names: Mapping[str, str], seconds: float) -> None:
    """Has each name lead to the other host: one after the other for so long, then all at once by a new map."""
    name, (one, other) = place_of(how).map, NAMES.values()
    told = routed(names)
    wanted = routed({each: other if address == one else one for each, address in names.items()})
    for each, its in wanted.items():
        for line, _ in runtime.changing(name, told, [(each, its)]):
            runtime.succeeded(say(folder, how, line))
        time.sleep(seconds / len(names))
    number = runtime.version(say(folder, how, runtime.preparing(name)))
    for line in runtime.adding(name, number, told.items()):
        runtime.succeeded(say(folder, how, line))
    runtime.succeeded(say(folder, how, runtime.committing(name, number)))


def moving(options: argparse.Namespace, folder: Path, how: Webproxy, names: Mapping[str, str]) -> int:
    """HTTP/1.1 for all names, and HTTP/2 for one, while they change; how many requests have failed."""
    (folder / "turning.lua").write_text(TURNING.replace("MOST", str(options.names)))
    seconds, total = 2 * options.seconds, 0
    measures: dict[str, Callable[[], tuple[str, int]]] = {
        "HTTP/1.1": lambda: asked("HAProxy", seconds, folder / "turning.lua"),
        "TLS, HTTP/2": lambda: by_tls("HAProxy", options.seconds, folder),
    }
    for what, measure in measures.items():
        with ThreadPoolExecutor(1) as beside:
            changing = beside.submit(move, folder, how, names, seconds / 3)
            said, failed = measure()
            late = "" if changing.done() else ", not all of them in time"
            changing.result()
        total += failed
        print(f"{what} while {len(names)} names change twice{late}, HAProxy: {said}", flush=True)
    return total


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
        plain, by = WAYS["HAProxy"]
        usual = Webproxy(enabled=True, http_port=plain, https_port=by, connections=2000)
        secure, failed = attrs.evolve(usual, certificates=pem.parent), 0
        if options.only in ("", "requests"):
            with running(*servers, proxy(folder, secure, NAMES)):
                failed += in_turn("HTTP/1.1", by_http, options, folder)
                failed += in_turn("TLS, HTTP/2", by_tls, options, folder)
        if options.only in ("", "names"):
            first = NAMES["a.example.org"]
            many = {**NAMES, **{MOVING.format(number): first for number in range(options.names)}}
            with running(*servers, proxy(folder, secure, many)):
                failed += moving(options, folder, secure, many)
        if options.only in ("", "idle"):
            most = options.idle + 100
            idling = attrs.evolve(usual, connections_per_client=most, request_timeout=120.0, health=Health(most=1))
            with running(*servers, proxy(folder, idling, NAMES, most)):
                failed += sum(idle(way, options, folder) for way in WAYS)
    return int(failed > 0)


def run() -> int:
    """Runs a command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m testbed.programs.web_beside", description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="for how long each is asked [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="how often [%(default)s]")
    parser.add_argument("--idle", type=int, default=10_000, help="so many idle connections [%(default)s]")
    parser.add_argument("--names", type=int, default=1000, help="so many names change [%(default)s]")
    parser.add_argument("--only", choices=("requests", "names", "idle"), default="", help="nothing else [all]")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return measure(options)
    again = ["unshare", "--net", sys.executable, "-m", "testbed.programs.web_beside", *sys.argv[1:], "--inside"]
    return subprocess.run(again, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(run())

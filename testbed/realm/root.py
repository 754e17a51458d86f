"""A root of the DNS that knows one thing: whose the realm's zones are. All resolvers of the testbed begin there.

    python -m testbed.realm.root READY

READY is a file that is made when it can be asked: a resolver that finds nobody at its root remembers that. It answers
by UDP on port 53 of `ROOT` and `ROOT6`, and signs nothing: referrals for the realm's zones, itself for the root's name
server, and that there is nothing else; all of it with addresses of both families. It ends with its testbed.
"""

from __future__ import annotations

import argparse
import contextlib
import select
import socket
import sys
import time
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from testbed.realm.gateway import ZONE
from testbed.realm.ipv6 import GATEWAY as GATEWAY6
from testbed.realm.topology import GATEWAY, PATIENCE, Testbed, TestbedError

ALIASES = f"cname-{ZONE}"
"""The zone of one-time aliases."""
ZONES = (ZONE, ALIASES)
"""What is the gateway's."""
ROOT, ROOT6 = "100.67.0.1", "2001:db8:67::1"
"""Where the root is served; only `public` knows of it."""
NAME = "a.root-servers.net."
"""Its name."""
HINTS = f". 3600000 IN NS {NAME}\n{NAME} 3600000 IN A {ROOT}\n"
"""What a resolver is told of it: the root hints, in the form that all of them read."""
HINTS6 = f"{HINTS}{NAME} 3600000 IN AAAA {ROOT6}\n"
"""The same for one that may ask by IPv6."""
TTL = 3600  # seconds
"""Of everything here."""
SERVER = f"ns1.{ZONE}"
"""The realm's name server."""
DELEGATED = tuple(dns.name.from_text(zone) for zone in ZONES)
"""What we refer to others."""
KNOWN = (*DELEGATED, dns.name.from_text(NAME))
"""What there is; whatever is above it is there as well."""
SOA = f"{NAME} nstld.{NAME} 1 1800 900 604800 60"
"""Of the root."""


def answer(query: dns.message.Message) -> dns.message.Message:
    """The answer to a query.

    Args:
        query: With one question.
    """
    name, kind = query.question[0].name, query.question[0].rdtype
    reply = dns.message.make_response(query)
    zone = next((zone for zone in DELEGATED if name.is_subdomain(zone)), None)
    if zone is not None:
        reply.authority.append(dns.rrset.from_text(zone, TTL, "IN", "NS", SERVER))
        reply.additional.append(dns.rrset.from_text(SERVER, TTL, "IN", "A", GATEWAY))
        reply.additional.append(dns.rrset.from_text(SERVER, TTL, "IN", "AAAA", GATEWAY6))
        return reply
    reply.flags |= dns.flags.AA
    own = dns.rrset.from_text(NAME, TTL, "IN", "A", ROOT)
    own6 = dns.rrset.from_text(NAME, TTL, "IN", "AAAA", ROOT6)
    if name == dns.name.root and kind == dns.rdatatype.NS:
        reply.answer.append(dns.rrset.from_text(name, TTL, "IN", "NS", NAME))
        reply.additional += [own, own6]
    elif name == own.name and kind in (own.rdtype, own6.rdtype):
        reply.answer.append(own if kind == own.rdtype else own6)
    else:
        reply.authority.append(dns.rrset.from_text(dns.name.root, TTL, "IN", "SOA", SOA))
        if not any(known.is_subdomain(name) for known in KNOWN):
            reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


def start(testbed: Testbed) -> None:
    """Serves the root in `public`, if nobody did before, and waits until it can be asked.

    Args:
        testbed: A running testbed.

    Raises:
        TestbedError: It did not start.
    """
    ready = testbed.folder / "root-is-ready"
    if ready.exists():
        return
    for address in (f"{ROOT}/32", f"{ROOT6}/128"):
        testbed.run("public", ["ip", "address", "replace", address, "dev", "lo"])
    process = testbed.spawn("public", [sys.executable, "-m", "testbed.realm.root", str(ready)], log="root.log")
    end = time.monotonic() + PATIENCE
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise TestbedError("the root did not start: " + (testbed.folder / "root.log").read_text(errors="replace"))
        time.sleep(0.02)


def main(ready: Path) -> None:
    """Serves until it is killed.

    Args:
        ready: A file that is made when it does.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six,
    ):
        four.bind((ROOT, 53))
        six.bind((ROOT6, 53))
        ready.touch()
        while True:
            for server in select.select((four, six), (), ())[0]:
                _serve(server)


def _serve(server: socket.socket) -> None:
    """Answers one query."""
    octets, asker = server.recvfrom(65535)
    with contextlib.suppress(dns.exception.DNSException):
        query = dns.message.from_wire(octets)
        if query.question:
            server.sendto(answer(query).to_wire(), asker)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m testbed.realm.root", description="Serve a root of the DNS.")
    parser.add_argument("ready", metavar="READY", type=Path, help="a file that is made when it can be asked")
    main(parser.parse_args().ready)

"""A root of the DNS that knows one thing: whose the realm's zones are. For resolvers that begin at the root.

    python -m testbed.root ADDRESS READY

READY is a file that is made when it can be asked: a resolver that finds nobody at its root remembers that. It answers
by UDP on port 53 of that address: referrals for the realm's zones, itself for the root's name servers, and that there
is nothing else. It ends with its testbed.
"""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from testbed.resolvers import ZONES
from testbed.topology import GATEWAY

TTL = 3600  # seconds
"""Of everything here."""
SERVER = "ns1.gwa.demo."
"""The realm's name server."""
ROOT = "root.invalid."
"""The root's."""
DELEGATED = tuple(dns.name.from_text(zone) for zone in ZONES)
"""What we refer to others."""
SOA = f"{ROOT} hostmaster.{ROOT} 1 3600 600 86400 60"
"""Of the root."""


def answer(query: dns.message.Message, address: str) -> dns.message.Message:
    """The answer to a query.

    Args:
        query: With one question.
        address: Our own.
    """
    name, kind = query.question[0].name, query.question[0].rdtype
    reply = dns.message.make_response(query)
    zone = next((zone for zone in DELEGATED if name.is_subdomain(zone)), None)
    if zone is not None:
        reply.authority.append(dns.rrset.from_text(zone, TTL, "IN", "NS", SERVER))
        reply.additional.append(dns.rrset.from_text(SERVER, TTL, "IN", "A", GATEWAY))
        return reply
    reply.flags |= dns.flags.AA
    if name == dns.name.root and kind == dns.rdatatype.NS:
        reply.answer.append(dns.rrset.from_text(name, TTL, "IN", "NS", ROOT))
        reply.additional.append(dns.rrset.from_text(ROOT, TTL, "IN", "A", address))
        return reply
    reply.authority.append(dns.rrset.from_text(dns.name.root, TTL, "IN", "SOA", SOA))
    if not any(zone.is_subdomain(name) for zone in DELEGATED):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


def main(address: str, ready: Path) -> None:
    """Serves until it is killed.

    Args:
        address: Where.
        ready: A file that is made when it does.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        ready.touch()
        while True:
            octets, asker = server.recvfrom(65535)
            try:
                query = dns.message.from_wire(octets)
            except dns.exception.DNSException:
                continue
            if query.question:
                server.sendto(answer(query, address).to_wire(), asker)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m testbed.root", description="Serve a root of the DNS.")
    parser.add_argument("address", metavar="ADDRESS", help="where")
    parser.add_argument("ready", metavar="READY", type=Path, help="a file that is made when it can be asked")
    chosen = parser.parse_args()
    main(chosen.address, chosen.ready)

"""What public clients do: resolve a name, then open TCP, UDP, ICMP or SCTP to the address, all of it bounded in time.

It runs where the calling thread is: `testbed.call("public", asyncio.run, client.fetch("100.64.1.131"))`. Each function
that opens a flow returns which private host answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import random
import socket
import sys
from collections.abc import Callable
from typing import TypeVar

import attrs
import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from testbed.realm import icmp, sctp
from testbed.realm.topology import GATEWAY, PATIENCE

R = TypeVar("R")

RESOLVER_TIMEOUT = 1.0  # seconds
"""How long a resolver waits before it asks again."""
RESOLVER_ATTEMPTS = 4
"""How often it asks at all."""


@attrs.frozen
class Answer:
    """What a name server said."""

    message: dns.message.Message
    """All of it."""
    attempts: int
    """How often it was asked."""

    @property
    def rcode(self) -> str:
        """The response code by name: `NOERROR`, `NXDOMAIN`, ..."""
        return dns.rcode.to_text(self.message.rcode())

    @property
    def addresses(self) -> list[str]:
        """The addresses in the answer section, in order."""
        sets = [each for each in self.message.answer if each.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)]
        return [record.address for each in sets for record in each]

    @property
    def ttl(self) -> int:
        """The smallest TTL in the answer section, in seconds; 0 when that is empty."""
        return min((each.ttl for each in self.message.answer), default=0)


@attrs.frozen
class Download:
    """A download that came to its end."""

    size: int
    """How many octets came."""
    checksum: str
    """Their SHA-256 in hexadecimal digits."""
    host: str
    """Which host sent them, as it says."""


async def resolve(
    name: str,
    *,
    server: str = GATEWAY,
    kind: str = "A",
    tcp: bool = False,
    attempts: int = RESOLVER_ATTEMPTS,
    timeout: float = RESOLVER_TIMEOUT,
    source: str | None = None,
) -> Answer:
    """Asks a name server, as a resolver does: again, with the same question, when no answer comes; by TCP after TC.

    Args:
        name: The name.
        server: Its address.
        kind: The record type by name.
        tcp: Whether to ask by TCP.
        attempts: How often to ask at most.
        timeout: How long to wait each time, in seconds.
        source: The address to ask from; None: the usual one.

    Raises:
        dns.exception.DNSException: No answer (a timeout), or none that is an answer to this.
        OSError: The network says that there is nobody.
    """
    query = dns.message.make_query(name, kind)

    async def ask() -> dns.message.Message:
        if not tcp:
            said = await dns.asyncquery.udp(query, server, timeout=timeout, source=source)
            if not said.flags & dns.flags.TC:
                return said
        return await dns.asyncquery.tcp(query, server, timeout=timeout, source=source)

    for attempt in range(1, attempts):
        with contextlib.suppress(dns.exception.Timeout):
            return Answer(await ask(), attempt)
    return Answer(await ask(), attempts)


async def address_of(name: str, **how: object) -> str:
    """The address of a name.

    Args:
        name: The name.
        how: As for `resolve`.

    Raises:
        LookupError: The answer has no address.
        dns.exception.DNSException: As for `resolve`.
    """
    answer = await resolve(name, **how)  # type: ignore[arg-type]  # handed on as they are
    if not answer.addresses:
        raise LookupError(f"{name}: {answer.rcode} without an address")
    return answer.addresses[0]


async def fetch(address: str, port: int = 80, *, timeout: float = PATIENCE, source: str = "") -> str:
    """Fetches the page of whoever is there, by HTTP.

    Args:
        address: Where.
        port: Where.
        timeout: In seconds, for all of it.
        source: The client's address; empty: the usual one.

    Returns:
        The private host that answered.

    Raises:
        OSError: Refused, or no answer (`TimeoutError`).
    """
    return (await download(address, port, "/", timeout=timeout, source=source)).host


async def download(
    address: str,
    port: int = 80,
    path: str = "/",
    *,
    timeout: float = PATIENCE,
    progress: Callable[[int], object] = bool,
    source: str = "",
) -> Download:
    """Fetches something by HTTP.

    Args:
        address: Where.
        port: Where.
        path: What, with its query.
        timeout: In seconds, for all of it.
        progress: Called with the number of octets that have come.
        source: The client's address; empty: the usual one.

    Raises:
        OSError: Refused, broken off, or no answer in time (`TimeoutError`).
    """
    try:
        return await asyncio.wait_for(_download(address, port, path, progress, source), timeout)
    except asyncio.TimeoutError as error:  # a TimeoutError, thus an OSError, from Python 3.11 on only
        raise TimeoutError(f"no answer from {address} port {port} within {timeout:g} s") from error
    except asyncio.IncompleteReadError as error:
        raise ConnectionError(f"{address} port {port} broke off") from error


async def _download(address: str, port: int, path: str, progress: Callable[[int], object], source: str) -> Download:
    """The same, for as long as it takes."""
    reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0) if source else None)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
        size, digest = int(fields["content-length"]), hashlib.sha256()
        left = size
        while left:
            octets = await reader.readexactly(min(left, 4096))
            digest.update(octets)
            left -= len(octets)
            progress(size - left)
        return Download(size, digest.hexdigest(), fields["x-host"])
    finally:
        writer.close()


async def echo(
    address: str, port: int = 2000, *, burst: int = 1, timeout: float = PATIENCE, source: str = ""
) -> list[str]:
    """Sends UDP datagrams back to back from one socket and waits for their echoes.

    Args:
        address: Where.
        port: Where.
        burst: How many datagrams.
        timeout: In seconds, for all of them.
        source: The client's address; empty: the usual one.

    Returns:
        The private host that answered, once for each echo that came in time; fewer than `burst` when some did not come.

    Raises:
        OSError: Refused (`ConnectionRefusedError` for port unreachable), or not one answer (`TimeoutError`).
    """
    hosts: list[str] = []
    with _socket(socket.SOCK_DGRAM, 0, (address, port), source) as flow:
        for number in range(burst):
            flow.send(b"%d" % number)

        def count(datagram: bytes) -> str | None:
            hosts.append(datagram.partition(b"\n")[0].decode("ascii", "replace"))
            return "all" if len(hosts) == burst else None

        try:
            await _receive(flow, count, timeout)
        except TimeoutError:
            if not hosts:
                raise
    return hosts


async def ping(address: str, *, timeout: float = PATIENCE, source: str = "") -> str:
    """Sends an ICMP echo request.

    Args:
        address: Where.
        timeout: In seconds.
        source: The client's address; empty: the usual one.

    Returns:
        The private host that answered.

    Raises:
        OSError: Refused (administratively prohibited: no route to host), or no answer (`TimeoutError`).
    """
    protocol, kind = (icmp.PROTOCOL6, icmp.ECHO6) if ":" in address else (icmp.PROTOCOL, icmp.ECHO)
    with _socket(socket.SOCK_DGRAM, protocol, (address, 0), source) as flow:
        flow.send(icmp.echo(0, 1, kind=kind))
        return await _receive(flow, lambda message: icmp.answerer(message) or None, timeout)


async def associate(address: str, port: int = 2000, *, timeout: float = PATIENCE, source: str = "") -> str:
    """Sets an SCTP association up (RFC 9260 section 5.1) and aborts it again, over a raw socket.

    Args:
        address: Where.
        port: Where.
        timeout: In seconds, for each of the two steps.
        source: The client's address; empty: the usual one.

    Returns:
        The private host that answered.

    Raises:
        OSError: Refused (protocol unreachable: `Protocol not available`), or no answer (`TimeoutError`).
    """
    own, tag = random.randrange(32768, 61000), random.randrange(1, 1 << 32)
    with _socket(socket.SOCK_RAW, sctp.PROTOCOL, (address, 0), source) as flow:

        def wanted(kind: int) -> Callable[[bytes], sctp.Packet | None]:
            def check(packet: bytes) -> sctp.Packet | None:
                answer = sctp.decode(packet if ":" in address else packet[(packet[0] & 0x0F) * 4 :])
                ours = answer is not None and (answer.destination, answer.tag, answer.kind) == (own, tag, kind)
                return answer if ours else None

            return check

        flow.send(sctp.Packet(own, port, 0, sctp.INIT, sctp.initiation(tag)).encode())
        accepted = await _receive(flow, wanted(sctp.INIT_ACK), timeout)
        theirs, cookie = sctp.initiate_tag(accepted.value), sctp.state_cookie(accepted.value)
        flow.send(accepted.reply(theirs, sctp.COOKIE_ECHO, cookie).encode())
        await _receive(flow, wanted(sctp.COOKIE_ACK), timeout)
        flow.send(accepted.reply(theirs, sctp.ABORT).encode())
        return cookie[4:].decode("ascii", "replace")


def _socket(kind: int, protocol: int, peer: tuple[str, int], source: str) -> socket.socket:
    """A connected, non-blocking socket: the kernel tells a connected one what ICMP says of its packets."""
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    flow = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    try:
        flow.bind((source, 0))
        flow.connect(peer)
    except OSError:
        flow.close()
        raise
    return flow


async def _receive(flow: socket.socket, wanted: Callable[[bytes], R | None], timeout: float) -> R:
    """Receives until something is wanted, and returns what that is."""

    async def receive() -> R:
        while True:
            found = wanted(await asyncio.get_running_loop().sock_recv(flow, 65535))
            if found is not None:
                return found

    try:
        return await asyncio.wait_for(receive(), timeout)
    except asyncio.TimeoutError as error:
        raise TimeoutError(f"no answer from {flow.getpeername()[0]} within {timeout:g} s") from error


def _options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m testbed.realm.client", description="Open one flow, and say who answers."
    )
    parser.add_argument("protocol", choices=("tcp", "udp", "icmp", "sctp"))
    parser.add_argument("address", help="where to: an address")
    parser.add_argument("port", nargs="?", type=int, default=2000)
    parser.add_argument("--burst", type=int, default=1, help="so many UDP datagrams back to back")
    parser.add_argument("--source", default="", help="the client's address")
    parser.add_argument("--timeout", type=float, default=PATIENCE, help="in seconds")
    return parser.parse_args()


async def _open(options: argparse.Namespace) -> list[str]:
    """Opens the flow that the command line asks for."""
    where, how = (options.address, options.port), {"timeout": options.timeout, "source": options.source}
    if options.protocol == "udp":
        return await echo(*where, burst=options.burst, **how)
    if options.protocol == "icmp":
        return [await ping(options.address, **how)]
    return [await (fetch if options.protocol == "tcp" else associate)(*where, **how)]


def main() -> None:
    """The command line."""
    try:
        for host in asyncio.run(_open(_options())):
            print(f"{host} answered")
    except OSError as error:
        sys.exit(f"no flow: {error}")


if __name__ == "__main__":
    main()

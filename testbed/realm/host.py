"""The private hosts: servers on every host address that say which host answers, so that mis-delivery can not hide.

TCP: a small HTTP server; `/` says who answers, `/peer` who asks, `/download?bytes=N&rate=R` is a download whose every
octet depends on the host. UDP: an echo with the host's address in front. ICMP echo: answered here, not by the kernel,
which does not say who it is. SCTP: the server's half of setting an association up, with the host's address as cookie.

    python -m testbed.realm.host 192.168.0.100 192.168.0.101
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from testbed.realm import icmp, sctp
from testbed.realm.topology import Testbed, TestbedError

TCP_PORTS = (80, 2000)
"""Where HTTP is served."""
UDP_PORTS = (2000, 2001)
"""Where UDP is echoed."""
CHUNK = 1024  # octets
"""A download is made of chunks, each of them of one kind of 32 octets."""
TICK = 0.02  # seconds
"""A paced download sends so often."""
PATIENCE = 5.0  # seconds
"""How long a client may take to send its request."""


def start(testbed: Testbed, namespace: str = "test_gwa", addresses: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Starts the hosts of a testbed and waits until they serve.

    Args:
        testbed: A running testbed.
        namespace: Where.
        addresses: At which addresses; none: those of the testbed's hosts.

    Raises:
        TestbedError: They ended at once; the text has their last words.
    """
    addresses = addresses or (*testbed.hosts, *testbed.hosts6, *testbed.own6)
    argv = [sys.executable, "-m", "testbed.realm.host", *addresses]
    process = testbed.spawn(namespace, argv, log="hosts.log", stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as told:
        if told.readline() != b"ready\n":
            raise TestbedError("the hosts did not start: " + (testbed.folder / "hosts.log").read_text())
    return process


def content(address: str, size: int) -> Iterator[bytes]:
    """What a download from a host contains, in chunks.

    Args:
        address: The host's private address.
        size: How many octets.
    """
    for number in range(-(-size // CHUNK)):
        chunk = hashlib.sha256(f"{address}/{number}".encode()).digest() * (CHUNK // 32)
        yield chunk[: size - number * CHUNK]


def checksum(address: str, size: int) -> str:
    """The SHA-256 of a download, as 64 hexadecimal digits.

    Args:
        address: The host's private address.
        size: How many octets.
    """
    digest = hashlib.sha256()
    for chunk in content(address, size):
        digest.update(chunk)
    return digest.hexdigest()


async def serve(addresses: list[str]) -> None:
    """Serves on all addresses, for ever.

    Args:
        addresses: The host addresses, each of them on an interface here.
    """
    for parameter in ("ipv4/icmp_echo_ignore_all", "ipv6/icmp/echo_ignore_all"):
        with contextlib.suppress(FileNotFoundError):
            Path("/proc/sys/net", parameter).write_text("1")
    for address in addresses:
        for port in TCP_PORTS:
            await asyncio.start_server(_http(address), address, port, backlog=1024)
        for port in UDP_PORTS:
            _answer(socket.SOCK_DGRAM, 0, address, port, _echo)
        for protocol, reply in ((icmp.PROTOCOL6 if ":" in address else icmp.PROTOCOL, icmp.reply),
                                (sctp.PROTOCOL, associate)):  # fmt: skip
            _answer(socket.SOCK_RAW, protocol, address, 0, reply if ":" in address else _without_ip(reply))
    print("ready", flush=True)
    await asyncio.Event().wait()


def associate(data: bytes, address: str) -> bytes | None:
    """The server's half of setting up an SCTP association (RFC 9260 section 5.1), without any state.

    Args:
        data: An SCTP packet without IP header.
        address: Who answers.
    """
    packet = sctp.decode(data)
    if packet is not None and packet.kind == sctp.INIT:
        tag = sctp.initiate_tag(packet.value)
        cookie = tag.to_bytes(4, "big") + address.encode()
        return packet.reply(tag, sctp.INIT_ACK, sctp.initiation(_tag_of(address), cookie)).encode()
    if packet is not None and packet.kind == sctp.COOKIE_ECHO and packet.tag == _tag_of(address):
        return packet.reply(int.from_bytes(packet.value[:4], "big"), sctp.COOKIE_ACK).encode()
    return None


def _tag_of(address: str) -> int:
    """A host's verification tag: the same for all its associations, since it keeps none of them."""
    return int.from_bytes(ip_address(address).packed[-4:], "big")


def _answer(kind: int, protocol: int, address: str, number: int, reply: Callable[[bytes, str], bytes | None]) -> None:
    """Answers each packet that comes, from the address that it was sent to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    port = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
    port.bind((address, number))

    def readable() -> None:
        packet, sender = port.recvfrom(65535)
        answer = reply(packet, address)
        if answer is not None:
            port.sendto(answer, sender)

    asyncio.get_running_loop().add_reader(port, readable)


def _echo(datagram: bytes, address: str) -> bytes:
    """The datagram with our address and a newline in front."""
    return address.encode() + b"\n" + datagram


def _without_ip(reply: Callable[[bytes, str], bytes | None]) -> Callable[[bytes, str], bytes | None]:
    """The same for what a raw socket of IPv4 receives: with the IP header in front."""
    return lambda packet, address: reply(packet[(packet[0] & 0x0F) * 4 :], address)


def _http(address: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A server of one request for each connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            await _respond(address, head.decode("latin-1").split(" ")[1], writer)
        except (OSError, ValueError, IndexError, EOFError, asyncio.TimeoutError, asyncio.LimitOverrunError):
            pass  # the client went, or is none: the next one shall be served
        finally:
            writer.close()

    return answer


async def _respond(address: str, target: str, writer: asyncio.StreamWriter) -> None:
    """Writes the page or download that was asked for."""
    url = urlsplit(target)
    query = dict(parse_qsl(url.query))
    page = f"This is {address}.\n".encode()
    if url.path == "/peer":
        page = f"You are {writer.get_extra_info('peername')[0]}.\n".encode()
    size = int(query.get("bytes", 0)) if url.path == "/download" else len(page)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\nX-Host: {address}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n")
    if url.path == "/download":
        await _download(address, size, float(query.get("rate", "inf")), writer)
    else:
        writer.write(page)
    await writer.drain()


async def _download(address: str, size: int, rate: float, writer: asyncio.StreamWriter) -> None:
    """Writes a download at a rate in octets per second."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    sent = 0
    for chunk in content(address, size):
        while sent > rate * (loop.time() - begin):
            await asyncio.sleep(TICK)
        writer.write(chunk)
        await writer.drain()
        sent += len(chunk)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.realm.host", description="Serve as the private hosts.")
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS")
    asyncio.run(serve(parser.parse_args().addresses))


if __name__ == "__main__":
    main()

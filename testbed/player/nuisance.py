"""Those who mean harm, or do it: what they send beside the honest clients of a trial.

    python -m testbed.player.nuisance asking NAME --source ADDRESS --rate R --seconds S
    python -m testbed.player.nuisance leaving --source ADDRESS:PORT --targets ADDRESS+N --rate R --seconds S

`asking` asks the gateway for one name over one TCP connection, as fast as it is told, and never comes. `leaving` sends
datagrams from a port of a private host to the same port of one client after the other, as NTP and IKE do; it writes
them itself, since the host's own servers have that port.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import cycle

import dns.message

from testbed.player.sender import expanded
from testbed.player.template import UDP, Place
from testbed.realm.topology import GATEWAY

TICK = 0.01  # seconds
"""What is due is sent so often."""
_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")


def due(rate: float, seconds: float) -> Iterator[int]:
    """How much is to be sent now; the caller waits `TICK` after each.

    Args:
        rate: Per second.
        seconds: For how long.
    """
    begin, sent = time.monotonic(), 0
    while (age := time.monotonic() - begin) < seconds:
        wanted = int(age * rate)
        yield wanted - sent
        sent = wanted


async def ask(name: str, source: str, rate: float, seconds: float) -> int:
    """Asks for one name without end, over one TCP connection, and over another one when that is closed.

    Args:
        name: Which.
        source: Where from.
        rate: Queries per second.
        seconds: For how long.

    Returns:
        How many queries were sent.
    """
    sent, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(GATEWAY, 53, local_addr=(source, 0))
            reading = asyncio.create_task(_drain(reader))
            for number in due(rate, left):
                for _ in range(number):
                    query = dns.message.make_query(name, "A", use_edns=False, flags=0).to_wire()
                    writer.write(len(query).to_bytes(2, "big") + query)
                sent += number
                await asyncio.wait((reading,), timeout=TICK)
                if reading.done():
                    break
            reading.cancel()
            writer.close()
    return sent


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        pass


def leave(source: Place, targets: str, rate: float, seconds: float) -> int:
    """Sends datagrams from one port to the same port of many.

    Args:
        source: Address and port.
        targets: `ADDRESS+N`, one after the other.
        rate: Datagrams per second.
        seconds: For how long.

    Returns:
        How many were sent.
    """
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        places = cycle(expanded([Place(targets, source.port, UDP)]))
        for number in due(rate, seconds):
            for _ in range(number):
                target = next(places).address
                raw.sendto(datagram(source, target), (target, 0))
            sent += number
            time.sleep(TICK)
    return sent


def datagram(source: Place, target: str, payload: bytes = b"what time is it?") -> bytes:
    """An IPv4 packet with a UDP datagram, to the port that it comes from.

    Args:
        source: Address and port.
        target: Address.
        payload: What is in it.
    """
    length = _UDP.size + len(payload)
    addresses = IPv4Address(source.address).packed, IPv4Address(target).packed
    head = _IP.pack(0x45, 0, _IP.size + length, 0, 0, 64, UDP, 0, *addresses)  # the kernel fills the checksum in
    return head + _UDP.pack(source.port, source.port, length, 0) + payload


def main() -> int:
    """The command line; prints how much was sent."""
    parser = argparse.ArgumentParser(prog="python -m testbed.player.nuisance", description="Send what does harm.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    asking = kinds.add_parser("asking", help="ask for one name over one TCP connection")
    asking.add_argument("name", metavar="NAME")
    leaving = kinds.add_parser("leaving", help="send datagrams from a port to the same port of others")
    leaving.add_argument("--targets", required=True, metavar="ADDRESS+N")
    for each in (asking, leaving):
        each.add_argument("--source", required=True, metavar="ADDRESS[:PORT]")
        each.add_argument("--rate", type=float, required=True, metavar="R")
        each.add_argument("--seconds", type=float, required=True, metavar="S")
    options = parser.parse_args()
    address, _, port = options.source.partition(":")
    if options.kind == "asking":
        print(asyncio.run(ask(options.name, address, options.rate, options.seconds)))
    else:
        print(leave(Place(address, int(port), UDP), options.targets, options.rate, options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())

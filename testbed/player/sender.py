"""Plays the streams of a traffic template that need sockets of their own: those who resolve, and those who connect.

    python -m testbed.player.sender TEMPLATE --names FILE --begin T

It runs in the namespace that it is started in and prints one line of JSON: for each stream a list of events
`[when, outcome, resolved, total]`; times in seconds, `when` since T on the monotonic clock, the others since `when`,
null for what did not happen. `ok` is the outcome of an event that did what its kind says; see docs/traffic.md for the
others.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import functools
import itertools
import json
import os
import random
import resource
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import attrs
import dns.exception

from testbed.player import template
from testbed.player.asking import Asker, Origin, UnresolvedError, bound
from testbed.player.template import TCP, Distribution, Kind, Place, Span, Stream

PROBE = struct.Struct("!III16s")
"""`struct probe` of load/probe.h."""
GREETING = 16
"""So many octets are what a TCP connection is greeted with, and the end of an answered probe."""
PROBE_MARK = 0x72676D77
"""What it begins with."""
PLAYED = (Kind.DNSDATA, Kind.DNS, Kind.DATA)
"""The kinds that are played here."""
HASTE = -10
"""Our niceness: clients are other machines, and the gateway's load must not keep them from running."""
NEVER = Span(0.0, 0.0)
"""No pause, and nothing after it."""
FILES = 20_000
"""So many sockets there may be at once."""

Event = tuple[float, str, float | None, float | None]
"""When, what became of it, when it was resolved, when it was connected."""


def expanded(places: Sequence[Place]) -> list[Place]:
    """Single places, with `ADDRESS+COUNT` written out.

    Args:
        places: As in the template.
    """
    return [
        attrs.evolve(place, address=str(IPv4Address(first) + number) if count else first)
        for place in places
        for first, _, count in [place.address.partition("+")]
        for number in range(int(count or 1))
    ]


@attrs.define
class Player:
    """Plays one stream."""

    stream: Stream
    """What."""
    hosts: Mapping[str, str]
    """Name -> address of the host behind it."""
    begin: float
    """When the first second of the template begins, on the monotonic clock."""
    events: list[Event] = attrs.Factory(list)
    """What became of it, in the order in which it ended."""
    _askers: Iterator[Asker] = attrs.field(init=False)
    _sources: Iterator[Place] = attrs.field(init=False)
    _targets: Iterator[Place] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        stream = self.stream
        sources = expanded(stream.dns_laddr) or [Place("", 0, 0)]
        askers = [
            Asker(server.address, server.port, source=source.address, tcp=server.protocol == TCP)
            for source, server in itertools.product(sources, stream.dns_raddr)
        ]
        self._askers = itertools.cycle(askers)
        self._sources = itertools.cycle(expanded(stream.data_laddr) or [Place("", 0, 0)])
        targets = list(stream.data_raddr)
        self._targets = iter(lambda: random.choice(targets), None)

    async def play(self, duration: float) -> None:
        """Plays it to its end.

        Args:
            duration: How long events begin, in seconds.
        """
        tasks, gap = set(), 1.0 / self.stream.load
        when = random.uniform(0.0, gap)
        while when < duration:
            await asyncio.sleep(max(0.0, self.begin + when - time.monotonic()))
            task = asyncio.create_task(self._event(when))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            when += gap if self.stream.distribution is Distribution.FIXED else random.expovariate(self.stream.load)
        await asyncio.gather(*tasks)

    async def _event(self, when: float) -> None:
        """One event. Its time runs from when it should have begun."""
        times: list[float | None] = [None, None]
        try:
            outcome = await self._do(self.begin + when, times)
        except (TimeoutError, asyncio.TimeoutError):
            outcome = "no answer" if times[0] is None and self.stream.kind is not Kind.DATA else "no reply"
        except UnresolvedError as error:
            outcome = str(error)
        except dns.exception.DNSException as error:
            outcome = f"malformed: {type(error).__name__}"
        except OSError as error:
            outcome = "broken off" if error.errno is None else REFUSALS.get(error.errno) or f"OSError {error.errno}"
        self.events.append((when, outcome, times[0], times[1]))

    async def _do(self, begin: float, times: list[float | None]) -> str:
        stream, target, source = self.stream, next(self._targets), next(self._sources)
        address = target.address
        if stream.kind is not Kind.DATA:
            await _pause(stream.dns_delay)
            origin = Origin(stream.edns_options, source.address)
            found = await next(self._askers).resolve(address, timeouts=stream.dns_timeouts, origin=origin)
            address, times[0] = found.address, time.monotonic() - begin
        if stream.kind is Kind.DNS:
            return "ok"
        await _pause(stream.data_delay)
        host, reached = await self._connect(attrs.evolve(target, address=address), source)
        times[1] = reached - begin
        expected = self.hosts.get(target.address.rstrip(".") + ".")
        return "ok" if expected in (None, host) else "misdelivered"

    async def _connect(self, target: Place, source: Place) -> tuple[str, float]:
        """Connects, with as many tries as there are timeouts: who answers there, and when it was reached."""
        again = self.stream.data_again
        once = connect_tcp if target.protocol == TCP else functools.partial(connect_udp, again=again)
        *tries, last = self.stream.data_timeouts
        for timeout in tries:
            with contextlib.suppress(asyncio.TimeoutError, OSError):
                return await asyncio.wait_for(once(target, source), timeout)
            await _pause(self.stream.data_backoff)
        return await asyncio.wait_for(once(target, source), last)


REFUSALS = dict.fromkeys((errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH), "refused")
"""How the system says that somebody does not want us."""


async def connect_tcp(target: Place, source: Place) -> tuple[str, float]:
    """Opens a connection and waits for its greeting.

    Args:
        target: Where to.
        source: Where from.

    Returns:
        The address of the host that greets, and when the connection stood, on the monotonic clock.

    Raises:
        OSError: Refused, or broken off before the greeting.
    """
    loop = asyncio.get_running_loop()
    with bound(socket.SOCK_STREAM, source.address, source.port) as flow:
        flow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no TIME_WAIT holds the port
        await loop.sock_connect(flow, (target.address, target.port))
        reached = time.monotonic()
        greeting = await loop.sock_recv(flow, GREETING)
    if len(greeting) < GREETING:
        raise ConnectionResetError(errno.ECONNRESET, "closed before it said who it is")
    return _host(greeting), reached


async def connect_udp(target: Place, source: Place, again: Span = NEVER) -> tuple[str, float]:
    """Sends a probe and waits for its answer; after a pause once more, if that is wanted.

    Args:
        target: Where to.
        source: Where from.
        again: The pause; 0: there is none, and no second probe.

    Returns:
        As for `connect_tcp`; it was reached when it answered. Two hosts, if the second probe was another one's.

    Raises:
        OSError: Refused.
    """
    with bound(socket.SOCK_DGRAM, source.address, source.port) as flow:
        flow.connect((target.address, target.port))
        host, reached = await _probe(flow), time.monotonic()
        if again.most > 0:
            await _pause(again)
            second = await _probe(flow)
            host = host if host == second else f"{host}, then {second}"
    return host, reached


async def _probe(flow: socket.socket) -> str:
    """Who answers a datagram."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(flow, PROBE.pack(PROBE_MARK, 0, 0, bytes(GREETING)))
    answer = await loop.sock_recv(flow, PROBE.size)
    return _host(answer[-GREETING:])


def _host(told: bytes) -> str:
    """The address that a host says it is reached at: that of IPv4 stands in one of IPv6."""
    address = IPv6Address(told)
    return str(address.ipv4_mapped or address)


async def _pause(span: Span) -> None:
    if span.most > 0:
        await asyncio.sleep(random.uniform(span.least, span.most))


def read_names(path: Path) -> dict[str, str]:
    """The hosts behind the names.

    Args:
        path: A file that `generator.write_names` wrote.
    """
    words = (line.split() for line in path.read_text().splitlines())
    return {name: address for name, address, *_ in words}


async def play(what: template.Template, hosts: Mapping[str, str], begin: float) -> list[list[Event]]:
    """Plays all streams of a template that are played here.

    Args:
        what: The template.
        hosts: Name -> address of the host behind it.
        begin: When its backoff begins, on the monotonic clock.

    Returns:
        The events of each stream; none for the kinds that others play.
    """
    players = [Player(stream, hosts, begin + what.backoff) for stream in what.streams]
    await asyncio.gather(*(each.play(what.duration) for each in players if each.stream.kind in PLAYED))
    return [player.events for player in players]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.player.sender", description="Play a traffic template.")
    parser.add_argument("template", type=Path)
    parser.add_argument("--names", type=Path, required=True, metavar="FILE", help="lines NAME HOST-ADDRESS")
    parser.add_argument("--begin", type=float, required=True, metavar="T", help="on the monotonic clock")
    options = parser.parse_args()
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, HASTE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    events = asyncio.run(play(template.read(options.template), read_names(options.names), options.begin))
    print(json.dumps(events))


if __name__ == "__main__":
    main()

"""Packets of what is meant, as they come, until it is over.

They are read here, so whoever captures needs the right to do so, and the gateway spends nothing on them: it is asked
for flows and decisions only. Where there are more than can be read, the kernel drops what is beyond, and counts it.

Edge: packet sockets, threads, signals, the clock.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

import attrs

from realmgw.config.document import Problems, parse
from realmgw.config.names import normal
from realmgw.config.schema import GATEWAY
from realmgw.control.between import End, end
from realmgw.control.command.arguments import Usual
from realmgw.control.command.asking import Answer, ask, followed
from realmgw.control.command.captured import Held, Selection, Wanted, addresses_of, services_of
from realmgw.control.command.packets import File, Write, lines
from realmgw.control.commands import MOST, CommandError, ExitStatus
from realmgw.datapath.capture import frames
from realmgw.datapath.capture.port import Frame, Interface

HOLD = 1.5  # seconds
"""So long a packet waits for what the gateway tells of it, which it does every half second."""
HELD = 20_000
"""So many packets wait at most."""
LOOK = 0.1  # seconds
"""How soon it is over when somebody ends it."""

Meant = tuple[Wanted, dict[str, str]]
"""What is meant, and by which parameters the gateway is asked for its flows."""


def meant(usual: Usual, name: str | None, host: str | None, flow: tuple[str, str] | None) -> Meant:
    """What is meant by one of these.

    Raises:
        CommandError: It is not one of them, or nothing that there is.
    """
    if sum(each is not None for each in (name, host, flow)) != 1:
        raise CommandError(ExitStatus.USAGE, "capture: write which: --name, --host or --flow")
    if flow is not None:
        one, other = (end(each, "flow") for each in flow)
        return of_flow(one, other, lambda address: _is_host(usual, address))
    found = ask(usual, "subscribers/show", name=name or host or "")
    wanted = normal(name) if name else None
    services = services_of(found, wanted)
    if wanted and not services:
        raise CommandError(ExitStatus.NOT_FOUND, f"{wanted} is a host, and no service: write --host {wanted}")
    return Wanted(addresses_of(found), services, found["name"], is_whole=wanted is None), {"host": found["name"]}


def of_flow(one: End, other: End, is_host: Callable[[str], bool]) -> Meant:
    """What is meant by the two ends of a flow, whichever was written first.

    Args:
        one: The client, or a host.
        other: The other one.
        is_host: Whether an address is a host's own.
    """
    first, second = (str(ip_address(address)) for address, _ in (one, other))
    if is_host(first) and not is_host(second):
        one, other, first = other, one, second
    return Wanted(ends=(one, other)), {"client": first}


def _is_host(usual: Usual, address: str) -> bool:
    try:
        ask(usual, "subscribers/show", name=address)
    except CommandError as error:
        if error.status is not ExitStatus.NOT_FOUND:
            raise
        return False
    return True


def run(usual: Usual, meant: Meant, path: Path | None, seconds: float, size: int) -> tuple[int, int]:
    """Capture.

    Args:
        usual: Which gateway.
        meant: Which packets.
        path: Where they are written; None: as lines.
        seconds: For so long.
        size: At most so many octets.

    Returns:
        How many were written, and how many the kernel has dropped.

    Raises:
        CommandError: No gateway answers, or the file can not be written.
        RealmGatewayError: Packets can not be read here.
    """
    wanted, which = meant
    os.setpriority(os.PRIO_PROCESS, 0, 19)  # whatever else goes on is more important
    with ExitStack() as stack:
        ports = _ports(stack, *_interfaces(usual), wanted)
        heard, selection = _hearing(usual, which), Selection(wanted)
        for row in ask(usual, "flows/list", limit=str(MOST), **which)["flows"]:
            selection.hear(row)
        write = lines(ports, as_json=usual.json)
        if path is not None:
            file = File(path, ports)
            stack.callback(file.close)
            write = file.write
        capturing = Capturing(ports, selection, heard, write, size)
        capturing.run(seconds)
    return capturing.written, sum(each.dropped for each in ports)


def _interfaces(usual: Usual) -> tuple[str, tuple[str, ...]]:
    """Towards the Internet, and towards hosts, by the settings that are in force."""
    problems = Problems("the configuration in force")
    root = parse(ask(usual, "config")["config"].encode(), problems)
    settings = None if root is None else GATEWAY(root, problems)
    if settings is None:
        raise CommandError(ExitStatus.FAILED, "\n".join(problems.lines()))
    return settings.interfaces.wan, settings.interfaces.lan


def _ports(stack: ExitStack, wan: str, lans: Sequence[str], wanted: Wanted) -> list[Interface]:
    """At the WAN everything may be meant, since nobody knows which address a name will have in a moment."""
    client = () if wanted.ends is None else (wanted.ends[0][0],)
    ports = []
    for number, name in enumerate((wan, *lans)):
        inside = () if name == wan else tuple(wanted.addresses)
        ports.append(Interface(number, name, frames.lets_through(client or inside)))
        stack.callback(ports[-1].close)
    return ports


def _hearing(usual: Usual, which: dict[str, str]) -> deque[Answer]:
    """What the gateway tells from now on: of flows that are meant, and of all first packets."""
    heard: deque[Answer] = deque(maxlen=HELD)
    client = {"client": which["client"]} if "client" in which else {}
    for path, said in (("flows/watch", which), ("log", {**client, "follow": "1", "limit": "0"})):
        coming = followed(usual, path, said)

        def hear(coming: Iterator[Answer] = coming) -> None:
            with suppress(CommandError):  # the gateway has gone; packets still come
                heard.extend(coming)

        threading.Thread(target=hear, daemon=True).start()
    return heard


@attrs.define
class Capturing:
    """A capture."""

    ports: Sequence[Interface]
    """Where packets are read."""
    selection: Selection
    """Which are meant."""
    heard: deque[Answer]
    """What the gateway tells, as it comes."""
    output: Write
    """Writes one."""
    room: int
    """So many octets may be written."""
    clock: Callable[[], float] = time.time
    """The present, in seconds since 1970."""
    written: int = 0
    """How many packets were."""
    until: float = 0.0
    """Nothing is read later; but what was read waits for what is told of it."""
    is_over: bool = False
    """Nothing waits any more: there is no room, or somebody is in a hurry."""
    _held: Held[Frame] = attrs.Factory(lambda: Held[Frame](HELD))

    def run(self, seconds: float) -> None:
        """Until it is over: by time, by size, or since somebody ends it (SIGINT, SIGTERM)."""
        with _ended_by_signals(self.end):
            self.until = self.clock() + seconds
            while not self.is_over and (now := self.clock()) < self.until + HOLD:
                self.turn(is_reading=now < self.until)
        self.decide(float("inf"))
        for each in self.ports:
            each.look()

    def end(self) -> None:
        """Nothing is read any more; and the second time, it is over with the next look."""
        now = self.clock()
        self.is_over, self.until = self.is_over or self.until <= now, min(self.until, now)

    def turn(self, *, is_reading: bool) -> None:
        """Wait for packets, and decide about those that have waited long enough."""
        ready, _, _ = select.select(self.ports if is_reading else (), (), (), LOOK)
        for each in ready:
            for frame in each.read():
                self._held.put(frame.time, frame)
        self.decide(self.clock() - HOLD)

    def decide(self, until: float) -> None:
        """About those that came before then, in seconds since 1970."""
        while self.heard:
            self.selection.hear(self.heard.popleft())
        for frame in self._held.due(until * 1e9):
            seen = frames.seen(frames.network_of(frame.octets, self.ports[frame.interface].link))
            comment = None if seen is None else self.selection.comment(seen, frame.time)
            if seen is not None and comment is not None and self.room > 0:
                self.room -= self.output(frame, seen, comment)
                self.written += 1
                self.is_over = self.is_over or self.room <= 0


@contextmanager
def _ended_by_signals(end: Callable[[], object]) -> Iterator[None]:
    former = {number: signal.signal(number, lambda *_: end()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, was in former.items():
            signal.signal(number, was)

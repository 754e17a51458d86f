"""Sends records to a collector, as IPFIX by UDP or TCP (RFC 7011 section 10), and waits for nobody.

What a collector that is away would get waits, as much as is bounded; what is beyond is counted, and so is what the
socket refuses. What is lost on the way nobody can count but the collector, by the sequence numbers.

Edge: a socket.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from ipaddress import ip_address
from itertools import islice
from typing import Any

import attrs

from realmgw.records import ipfix
from realmgw.records.ipfix import Data
from realmgw.records.lasting import Counted

MOST_WAITING = 20_000
"""So many records wait; the oldest ones make room."""
AT_ONCE = 64
"""So many messages are sent in one go."""
TRY_AGAIN = 2.0  # seconds
"""How soon a collector that was away is tried again."""
PROOF = 0.2  # seconds
"""So long after templates have gone by UDP, whoever does not listen there has said so."""
PATIENCE = 10.0  # seconds
"""How long a connection may take to be made."""
_PER_MESSAGE = 32
"""More records do not fit into one."""


@attrs.frozen
class Collector:
    """Where records are sent."""

    address: str
    """Its address."""
    port: int
    """Likewise."""
    is_stream: bool
    """By TCP; else by UDP."""
    domain: int
    """The observation domain that is told."""
    templates: float
    """By UDP: how often the templates are sent again, in seconds."""


class Exporting:
    """Sends records.

    Args:
        collector: Where.
        clock: The present, in seconds since 1970.
        monotonic: The present, in seconds.
        make: Makes sockets.

    Attributes:
        exported: So many were handed to the kernel.
        unexported: So many found no room, or were never sent.
        problem: What is wrong; empty: nothing.
    """

    def __init__(
        self,
        collector: Collector,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        make: Callable[..., Any] = socket.socket,
    ) -> None:
        self._collector, self._clock, self._monotonic, self._make = collector, clock, monotonic, make
        self._waiting = deque[Data]()
        self._socket: Any = None
        self._is_up = False
        self._next_at = self._templates_at = float("-inf")
        self._rest, self._underway = b"", list[Data]()
        self._sequence = 0
        self.exported = self.unexported = 0
        self.problem = ""

    def __len__(self) -> int:
        return len(self._waiting) + len(self._underway)

    def add(self, told: Iterable[Counted]) -> None:
        """Records, to be sent soon, each with what was told of its flow before."""
        self._waiting.extend(ipfix.data(record, before) for record, before in told)
        beyond = len(self) - MOST_WAITING
        for _ in range(beyond):
            self._waiting.popleft()
            self.unexported += 1

    def step(self) -> None:
        """Send what waits, as far as that goes without waiting."""
        try:
            self._look()
            if self._is_up:
                self._send()
        except OSError as error:
            self._fail(error.strerror or str(error))

    def close(self) -> None:
        """Send what can be sent, and let go of the collector; what is left counts as not sent."""
        while self._is_up and len(self):
            before = len(self)
            self.step()
            if len(self) == before:
                break
        self.unexported += len(self)
        self._waiting.clear()
        self._let_go()

    def _look(self) -> None:
        """Have the collector, if that can be.

        Raises:
            OSError: It has gone, or can not be reached.
        """
        now = self._monotonic()
        if self._socket is None:
            if now >= self._next_at:
                self._begin(now)
            return
        if self._is_up or not self._collector.is_stream:
            self._hear()
        if self._is_up:
            return
        if not self._collector.is_stream:
            self._is_up = now >= self._next_at
        elif self._is_connected():
            self._is_up, self._rest = True, self._message([], templates=True)
        elif now >= self._next_at:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        if self._is_up:
            self.problem = ""

    def _begin(self, now: float) -> None:
        family = socket.AF_INET6 if ip_address(self._collector.address).version == 6 else socket.AF_INET
        is_stream = self._collector.is_stream
        self._socket = self._make(family, socket.SOCK_STREAM if is_stream else socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._sequence = 0
        with suppress(BlockingIOError):
            self._socket.connect((self._collector.address, self._collector.port))
        self._next_at = now + (PATIENCE if is_stream else PROOF)
        if not is_stream:
            self._tell_templates(now)

    def _is_connected(self) -> bool:
        waiting = select.poll()
        waiting.register(self._socket, select.POLLOUT)
        if not waiting.poll(0):
            return False
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        return True

    def _hear(self) -> None:
        """Collectors say nothing; what is heard is that one has gone."""
        try:
            said = self._socket.recv(4096)
        except BlockingIOError:
            return
        if not said and self._collector.is_stream:
            raise ConnectionResetError(errno.ECONNRESET, "the collector has ended the connection")

    def _send(self) -> None:
        now, is_stream = self._monotonic(), self._collector.is_stream
        if not is_stream and now >= self._templates_at:
            self._tell_templates(now)
        for _ in range(AT_ONCE):
            if not self._rest:
                if not self._waiting:
                    return
                self._take()
            try:
                sent = self._socket.send(self._rest)
            except BlockingIOError:
                return  # by UDP, too: the whole message goes later
            self._rest = self._rest[sent:]
            if not self._rest:
                self.exported += len(self._underway)
                self._underway = []

    def _take(self) -> None:
        """The next message."""
        some = list(islice(self._waiting, _PER_MESSAGE))
        count = ipfix.fitting(some)
        self._rest, self._underway = self._message(some[:count], templates=False), some[:count]
        for _ in range(count):
            self._waiting.popleft()

    def _message(self, records: list[Data], *, templates: bool) -> bytes:
        made = ipfix.message(self._collector.domain, self._clock(), self._sequence, records, templates=templates)
        self._sequence += len(records)
        return made

    def _tell_templates(self, now: float) -> None:
        with suppress(BlockingIOError):  # then in the next step
            self._socket.send(self._message([], templates=True))
            self._templates_at = now + self._collector.templates

    def _fail(self, why: str) -> None:
        """Whoever is there later gets what was not sent, from its message's first record on."""
        self._waiting.extendleft(reversed(self._underway))
        self._let_go()
        self._next_at = self._monotonic() + TRY_AGAIN
        where = f"{'TCP' if self._collector.is_stream else 'UDP'} {self._collector.address} port {self._collector.port}"
        self.problem = f"the IPFIX collector ({where}) can not be reached: {why}"

    def _let_go(self) -> None:
        self._rest, self._underway, self._is_up = b"", [], False
        if self._socket is not None:
            self._socket.close()
            self._socket = None

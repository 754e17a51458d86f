"""Forged packets against the claims of honest clients: the whole gateway, real conntrack."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from typing import ClassVar

from realmgw.admission.conntrack import Conntrack
from realmgw.allocation.reputation.caution import ASSUMED
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.topology import CLIENT

TCP, SYN = 6, 0x02
ONE_ADDRESS = "100.64.2.1"
"""The whole pool of the tests under pressure."""


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def forged_syns(destination: str, port: int = 80, *, seed: int = 1) -> Iterator[bytes]:
    """SYNs with sources that are not there, each another one."""
    chance, target = random.Random(seed), IPv4Address(destination).packed
    while True:
        source = bytes((203, 0, chance.randrange(113), chance.randrange(1, 255)))
        head = struct.pack("!HHIIBBHHH", chance.randrange(1024, 65536), port, 1, 0, 5 << 4, SYN, 65535, 0, 0)
        total = checksum(source + target + struct.pack("!BBH", 0, TCP, len(head)) + head)
        segment = head[:16] + struct.pack("!H", total) + head[18:]
        yield struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, TCP, 0) + source + target + segment


class RobberyTestCase(RealmTestCase):
    """Somebody who forges packets, beside honest clients."""

    def setUp(self) -> None:
        """Gives the forger his socket."""
        super().setUp()
        with self.testbed.inside("public"):
            self.forger = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.addCleanup(self.forger.close)
        self.seed = random.Random(os.getpid())

    def forge(self, address: str, count: int) -> None:
        """Sends so many SYNs, a moment apart."""
        forged = forged_syns(address, seed=self.seed.randrange(1 << 30))
        for _ in range(count):
            self.forger.sendto(next(forged), (address, 0))
            time.sleep(0.002)


class RobberyTests(RobberyTestCase):
    """With addresses enough."""

    def test_forged_packets_take_nothing_from_the_client(self) -> None:
        """However many SYNs come to the answered address before him, he reaches his host."""
        for name, expected in (("one.gwa.demo", FIRST), ("two.gwa.demo", SECOND)) * 5:
            address = self.ask(name)
            self.forge(address, 10)
            self.assertEqual(expected, self.public(client.fetch(address)))

    def test_the_forger_is_let_in_for_no_longer_than_the_clients(self) -> None:
        """Once a claim is over, nobody has anything from it but those who were answered.

        It lasts for as long as the resolver may keep the answer, of which nothing is known yet.
        """
        address = self.ask("one.gwa.demo")
        self.forge(address, 1)
        self.assertEqual(FIRST, self.public(client.fetch(address)))
        self.assertEqual(FIRST, self.public(client.fetch(address)))
        time.sleep(ASSUMED + 2.1)
        with self.assertRaises(ConnectionRefusedError):
            self.public(client.fetch(address, source=self.testbed.clients[3]))
        self.assertEqual(FIRST, self.public(client.fetch(address)))


class PressureTests(RobberyTestCase):
    """With one address for two hosts."""

    circular: ClassVar[Sequence[Mapping[str, str]]] = [{"addresses": ONE_ADDRESS, "attachment": "routed"}]

    def test_an_address_that_was_robbed_is_not_handed_on_before_its_client_came(self) -> None:
        """The forged SYN does not free it: who asks for the other host waits."""

        async def visit() -> tuple[str, str]:
            address = await client.address_of("one.gwa.demo")
            await asyncio.to_thread(self.forge, address, 5)
            other = asyncio.ensure_future(client.address_of("two.gwa.demo"))
            await asyncio.sleep(0.05)
            mine = await client.fetch(address)
            return mine, await client.fetch(await other, source=self.testbed.clients[3])

        for _ in range(5):
            self.assertEqual((FIRST, SECOND), self.public(visit()))


class ConntrackTests(RobberyTestCase):
    """What conntrack says of real flows."""

    def setUp(self) -> None:
        """Asks from the gateway's namespace."""
        super().setUp()
        self.conntrack = self.testbed.call("gwa", self.bound)
        self.addCleanup(self.conntrack.close)

    def bound(self) -> Conntrack:
        """A socket belongs to the namespace that it is made in."""
        conntrack = Conntrack(time.monotonic)
        conntrack.answered((b"\x01\x02\x03\x04", b"\x01\x02\x03\x04", TCP, 1, 1))
        return conntrack

    def said(self, address: str, protocol: int, sport: int, dport: int) -> bool | None:
        """What it says of a flow of the client."""
        source, target = (IPv4Address(each).packed for each in (CLIENT, address))
        answered = self.conntrack.answered((source, target, protocol, sport, dport))
        self.assertEqual(self.conntrack.unasked, 0)
        return answered

    def connected(self, kind: int, address: str, port: int) -> socket.socket:
        """A socket of the client."""
        with self.testbed.inside("public"):
            made = socket.socket(socket.AF_INET, kind)
        self.addCleanup(made.close)
        made.settimeout(5)
        made.bind((CLIENT, 0))
        made.connect((address, port))
        return made

    def test_an_established_connection_is_answered(self) -> None:
        """And still is when it has been closed."""
        address = self.ask("one.gwa.demo")
        flow = self.connected(socket.SOCK_STREAM, address, 80)
        self.assertIs(self.said(address, TCP, flow.getsockname()[1], 80), True)

    def test_an_established_connection_is_told_of(self) -> None:
        """Once its handshake is complete; one that never is, and a datagram, are not."""
        answers, begin = self.conntrack.answers, time.monotonic()
        nobody = (b"\x01\x02\x03\x04", b"\x01\x02\x03\x04", TCP, 1, 1)
        self.assertIs(self.testbed.call("gwa", answers.has, nobody, time.monotonic() + 1), False)
        self.forge(address := self.ask("one.gwa.demo"), 5)
        flow = self.connected(socket.SOCK_STREAM, address, 80)
        source, target = (IPv4Address(each).packed for each in (CLIENT, address))
        its = (source, target, TCP, flow.getsockname()[1], 80)
        while not answers.has(its, time.monotonic()) and time.monotonic() < begin + 5:
            time.sleep(0.01)
        self.assertIs(answers.has(its, time.monotonic()), True)
        self.assertEqual((answers.heard, answers.lost, answers.misheard), (1, 0, 0))

    def test_a_flow_that_is_not_there_is_not(self) -> None:
        """Of UDP that says nothing."""
        self.assertIs(self.said(ONE_ADDRESS, TCP, 9, 9), False)
        self.assertIsNone(self.said(ONE_ADDRESS, 17, 9, 9))

    def test_a_datagram_that_was_replied_to_is_answered(self) -> None:
        """Before that it can not be told."""
        address = self.ask("one.gwa.demo")
        flow = self.connected(socket.SOCK_DGRAM, address, 2000)
        flow.send(b"question")
        flow.recv(99)
        self.assertIs(self.said(address, 17, flow.getsockname()[1], 2000), True)

    def test_a_handshake_that_is_not_completed_is_no_answer(self) -> None:
        """The host has said something, the sender has not."""
        address = self.ask("two.gwa.demo")
        packet = next(forged_syns(address, seed=7))
        self.forger.sendto(packet, (address, 0))
        time.sleep(0.1)
        sport = int.from_bytes(packet[20:22], "big")
        flow = packet[12:16], packet[16:20], TCP, sport, 80
        self.assertIs(self.conntrack.answered(flow), False)

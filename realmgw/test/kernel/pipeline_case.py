"""What the kernel tests of stages share: a gateway of both families, and packets to it."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from ipaddress import ip_address
from typing import ClassVar

import attrs

from realmgw.config.settings import Leave6, Outbound6, PolicyStage, Settings
from realmgw.datapath.hosts import HostChange
from realmgw.test.datapath.pipeline.test_stages import staged
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.dualstack_case import DualStackTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6
    from testbed.realm.topology import CLIENT, GATEWAY, GATEWAY_LAN

FAMILIES = (4, 6)
QUERY, RESPONSE = (struct.pack("!HHHHHH", 7, flags, 1, 0, 0, 0) for flags in (0x0100, 0x8180))


def kind(address: str) -> socket.AddressFamily:
    """The family of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class PipelineTestCase(DualStackTestCase):
    """A gateway of both families, whose stages change."""

    order: ClassVar[tuple[PolicyStage, ...]] = tuple(PolicyStage)

    def setUp(self) -> None:
        super().setUp()
        self.decide()
        self.client, self.gateway = {4: CLIENT, 6: ipv6.CLIENT}, {4: GATEWAY, 6: ipv6.GATEWAY}
        self.gateway_lan = {4: GATEWAY_LAN, 6: ipv6.GATEWAY_LAN}
        self.host = {4: self.testbed.hosts[0], 6: self.testbed.hosts6[0]}

    def make_settings(self) -> Settings:
        """Private addresses of either family leave by translation."""
        made = super().make_settings()
        leaving = (Outbound6("lan0", Leave6.NAT66),)
        return attrs.evolve(
            made,
            ipv6=attrs.evolve(made.ipv6, outbound=leaving),
            datapath=attrs.evolve(made.datapath, policy_order=self.order),
        )

    def stage(self, text: str) -> None:
        """What the stages are from now on, as a reload does."""
        after = staged(text, self.settings)
        self.testbed.call("gwa", self.kernel.change, after, HostChange({host.index: host for host in self.hosts}))
        self.settings = after

    def arrives(
        self, family: int, counter: str, *, port: int = 9999, source: int = 0, lan: bool = False, said: bytes = b"x"
    ) -> bool:
        """Whether a datagram reaches the gateway itself, from the WAN or a LAN; what does not is counted there."""
        here, sender = ("test_gwa", self.host[family]) if lan else ("public", self.client[family])
        to = (self.gateway_lan if lan else self.gateway)[family]
        before, came = self.packets(counter), list[bytes]()
        with self.testbed.inside("gwa"), socket.socket(kind(to), socket.SOCK_DGRAM) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((to, port))
            server.settimeout(0)
            with self.testbed.inside(here), socket.socket(kind(to), socket.SOCK_DGRAM) as client:
                client.bind((sender, source))
                client.sendto(said, (to, port))

            def decided() -> bool:
                with contextlib.suppress(BlockingIOError):
                    came.append(server.recv(9999))
                return bool(came) or self.packets(counter) > before

            self.assertTrue(until(decided), (family, counter))
        return bool(came)

    def burst(self, family: int, count: int, counter: str, *, lan: bool = False, port: int = 53) -> int:
        """How many of so many queries, each from a port of its own, were dropped."""
        here, sender = ("test_gwa", self.host[family]) if lan else ("public", self.client[family])
        to = (self.gateway_lan if lan else self.gateway)[family]
        before, got = self.packets(counter), 0
        with self.testbed.inside("gwa"), socket.socket(kind(to), socket.SOCK_DGRAM) as server:
            server.bind((to, port))
            for _ in range(count):
                with self.testbed.inside(here), socket.socket(kind(to), socket.SOCK_DGRAM) as client:
                    client.bind((sender, 0))
                    client.sendto(QUERY, (to, port))
            server.settimeout(0)

            def done() -> bool:
                nonlocal got
                while select.select([server], [], [], 0)[0]:
                    server.recv(99)
                    got += 1
                return got + self.packets(counter) - before == count

            self.assertTrue(until(done), (family, got, self.packets(counter) - before))
        return count - got

    def raw(self, here: str, source: str, to: str, protocol: int, payload: bytes) -> None:
        """A packet of a source that may be somebody else's."""
        if kind(to) == socket.AF_INET:
            head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0,
                               ip_address(source).packed, ip_address(to).packed)  # fmt: skip
        else:
            head = struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 64,
                               ip_address(source).packed, ip_address(to).packed)  # fmt: skip
        with self.testbed.inside(here), socket.socket(kind(to), socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
            sender.sendto(head + payload, (to, 0))

    def connects(self, family: int, port: int, *, lan: bool = False) -> str:
        """What a client is told that connects to the gateway itself; empty: nothing is wrong."""
        here = "test_gwa" if lan else "public"
        to = (self.gateway_lan if lan else self.gateway)[family]
        with self.testbed.inside("gwa"):
            server = socket.create_server((to, port), family=kind(to))
        with server, self.testbed.inside(here), socket.socket(kind(to), socket.SOCK_STREAM) as client:
            client.settimeout(0.3)
            try:
                client.connect((to, port))
            except OSError as error:
                return type(error).__name__
        return ""

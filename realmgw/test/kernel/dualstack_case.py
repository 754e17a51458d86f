"""What the kernel tests of the datapath's second family share: hosts of both, a pool and pinholes, all over IPv6."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import ClassVar

import attrs

from realmgw.config import settings as config
from realmgw.datapath import marks
from realmgw.subscribers.model import Host, Profile
from realmgw.test.kernel.datapath_case import DatapathTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6

TO_FIRST6, TO_SECOND6, REFUSED6, UNDECIDED6, TO_NOBODY6 = (f"2001:db8:2::{last}" for last in (1, 2, 5, 6, 9))
"""What the program at the queue does with a packet depends on the pool address that it is for."""
TO_FIRST_ON_LINK6 = "2001:db8:1:0:1::131"
OWN, OWN_REFUSED = "2001:db8:5::100", "2001:db8:5::101"
"""Two hosts at their own addresses: to the first one everything is admitted, to the other nothing."""
ECHO, ECHO_REPLY = 128, 129


class DualStackTestCase(DatapathTestCase):
    """Two hosts of both families, and two that are reached at their own addresses."""

    family = socket.AF_INET6
    verdicts: ClassVar[Mapping[str, int]] = {
        TO_FIRST6: marks.admitted(1),
        TO_SECOND6: marks.admitted(2),
        TO_FIRST_ON_LINK6: marks.admitted(1),
        TO_NOBODY6: marks.admitted(77),
        REFUSED6: marks.REJECTED,
        OWN: marks.admitted(3),
        OWN_REFUSED: marks.REJECTED,
    }

    def make_hosts(self) -> tuple[Host, ...]:
        """Two of both families, and two at their own addresses."""
        both = zip(super().make_hosts(), self.testbed.hosts6, strict=True)
        private = (attrs.evolve(host, address6=ip_address(text).packed) for host, text in both)
        pinhole = Profile(ipv6=config.Ipv6Mode.PINHOLE)
        own = (
            Host(index=3 + at, name=f"own{at}.example.", address=b"", address6=ip_address(text).packed, profile=pinhole)
            for at, text in enumerate(self.testbed.own6)
        )
        return (*private, *own)

    def make_settings(self) -> config.Settings:
        """With a pool of IPv6, routed and on-link."""
        made = super().make_settings()
        pools = attrs.evolve(
            made.pools,
            circular=(
                *made.pools.circular,
                config.PoolPrefix(ip_network(ipv6.ON_LINK), config.Attachment.ON_LINK),
                config.PoolPrefix(ip_network(ipv6.ROUTED), config.Attachment.ROUTED),
            ),
        )
        return attrs.evolve(made, pools=pools)

    def echo(self, identifier: int = 1) -> bytes:
        """An echo request; the kernel fills in the checksum."""
        return struct.pack("!BBHHH", ECHO, 0, 0, identifier, 1)

    def heard_icmp(self, namespace: str = "public") -> socket.socket:
        """A socket that hears every message of ICMPv6."""
        return self.make(namespace, socket.SOCK_RAW, protocol=socket.IPPROTO_ICMPV6)

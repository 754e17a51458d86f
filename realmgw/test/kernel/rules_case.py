"""What the kernel tests of hosts' rules share: hosts of both families with rules, and flows to and from them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from typing import ClassVar

import attrs

from realmgw.config.document import Problems, parse
from realmgw.config.settings import Leave6, Outbound6, Settings
from realmgw.subscribers.firewall import PLAIN, Firewall
from realmgw.subscribers.model import Host
from realmgw.test.datapath.moves import change
from realmgw.test.kernel.datapath_case import TO_FIRST, TO_SECOND, until
from realmgw.test.kernel.dualstack_case import TO_FIRST6, TO_SECOND6, DualStackTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6
    from testbed.realm.topology import CLIENT

FAMILIES = (4, 6)
EVERYTHING = "{priority: 9, direction: EGRESS, target: DROP}, {priority: 9, direction: INGRESS, target: DROP}"


def firewall(rules: str) -> Firewall:
    """A subscriber's rules, as they are read."""
    problems = Problems("f")
    root = parse(f"user: [{rules}]".encode(), problems)
    assert root is not None, problems.lines()
    found = PLAIN(root, problems)
    assert found is not None, problems.lines()
    return found


def family_of(address: str) -> socket.AddressFamily:
    """Of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class RulesTestCase(DualStackTestCase):
    """Two hosts of both families and one at its own address, with rules."""

    forbidding: ClassVar[str] = "forbidden"
    """What counts everything that is not allowed."""

    def setUp(self) -> None:
        super().setUp()
        self.decide()
        self.pool: dict[int, tuple[str, ...]] = {4: (TO_FIRST, TO_SECOND), 6: (TO_FIRST6, TO_SECOND6)}
        self.host: dict[int, tuple[str, ...]] = {4: self.testbed.hosts, 6: self.testbed.hosts6}
        self.client = {4: CLIENT, 6: ipv6.CLIENT}

    def make_settings(self) -> Settings:
        """Private addresses of either family leave by translation."""
        leaving = (Outbound6("lan0", Leave6.NAT66),)
        made = super().make_settings()
        return attrs.evolve(made, ipv6=attrs.evolve(made.ipv6, outbound=leaving))

    def say(self, rules: str, hosts: Iterable[int] = (0,)) -> None:
        """What is said of some hosts, as a reload does."""
        said, chosen = firewall(rules), set(hosts)
        after = tuple(
            attrs.evolve(host, profile=attrs.evolve(host.profile, firewall=said)) if at in chosen else host
            for at, host in enumerate(self.hosts)
        )
        self.lead(after)

    def lead(self, after: tuple[Host, ...]) -> None:
        """From the present hosts to these."""
        self.testbed.call("gwa", self.kernel.change, self.settings, change(self.hosts, after))
        self.hosts = after

    def rule(self, at: int) -> int:
        """What the rule at a place of the only class has counted."""
        [one] = self.kernel.classes.by_rules.values()
        return self.packets(f"rule_{one.number}_{at}")

    def has_counted(self, at: int) -> bool:
        """Whether a rule has counted anything."""
        return self.rule(at) > 0

    def has_refused(self, before: int) -> bool:
        """Whether what is not allowed anyway was met since then."""
        return self.packets("forward_refused") > before

    def ends(self, inwards: bool, family: int, which: int = 0) -> tuple[tuple[str, str], tuple[str, str], str]:
        """Where a flow comes from and where it is heard - namespaces, addresses - and which address it is sent to."""
        host, client = ("test_gwa", self.host[family][which]), ("public", self.client[family])
        return (client, host, self.pool[family][which]) if inwards else (host, client, client[1])

    def datagram(self, *, inwards: bool, family: int, port: int, which: int = 0, source: int = 0) -> bool:
        """Whether a datagram arrives; what does not is counted."""
        here, there, to = self.ends(inwards, family, which)
        with self.testbed.inside(there[0]), socket.socket(family_of(to), socket.SOCK_DGRAM) as server:
            server.bind((there[1], port))
            server.settimeout(0)
            before, came = self.packets(self.forbidding), list[bytes]()
            with self.testbed.inside(here[0]), socket.socket(family_of(to), socket.SOCK_DGRAM) as client:
                client.bind((here[1], source))
                client.sendto(b"x", (to, port))

                def decided() -> bool:
                    with contextlib.suppress(BlockingIOError):
                        came.append(server.recv(9))
                    return bool(came) or self.packets(self.forbidding) > before

                self.assertTrue(until(decided), (inwards, family, port))
        return bool(came)

    def connect(self, *, inwards: bool, family: int, port: int, which: int = 0) -> socket.socket | str:
        """A connection, or what the client is told."""
        here, there, to = self.ends(inwards, family, which)
        with self.testbed.inside(there[0]):
            server = socket.create_server((there[1], port), family=family_of(to))
        self.addCleanup(server.close)
        with self.testbed.inside(here[0]):
            client = socket.socket(family_of(to), socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.bind((here[1], 0))
        client.settimeout(1.0)
        try:
            client.connect((to, port))
        except OSError as error:
            server.close()
            return type(error).__name__
        server.settimeout(1.0)
        self.addCleanup(server.accept()[0].close)
        return client

    def passes(self, *, inwards: bool, family: int, port: int) -> bool:
        """Whether a connection is made."""
        return not isinstance(self.connect(inwards=inwards, family=family, port=port), str)

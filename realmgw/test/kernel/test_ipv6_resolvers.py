"""Real resolvers that ask by IPv6, for both families, under challenges: the whole gateway, started by twistd."""

from __future__ import annotations

import contextlib
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.trial.unittest import SkipTest

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import FIRST
from realmgw.test.kernel.test_dual_stack import FIRST6, DualTestCase

if TYPE_CHECKING:
    from collections.abc import Mapping

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.player.defences import Defence
    from testbed.realm import client
    from testbed.realm.resolvers import RESOLVERS, Resolver

PLACE = 5
"""Which of the clients' addresses the resolver has."""


class ByIpv6Case(DualTestCase):
    """A resolver that has both families, and asks by IPv6."""

    program: ClassVar[str] = "unbound"
    lines: ClassVar[tuple[str, ...]] = ()
    words: ClassVar[tuple[str, ...]] = ()
    clients: ClassVar[int] = 6

    def build(self) -> Any:
        """With these challenges."""
        type(self).settings = Defence("", self.words).settings()
        return super().build()

    def setUp(self) -> None:
        """It runs."""
        kind = next(kind for kind in RESOLVERS if kind.program == self.program)
        if (missing := kind.missing()) is not None:
            raise SkipTest(missing)
        super().setUp()
        self.address, self.address6 = self.testbed.clients[PLACE], self.testbed.clients6[PLACE]
        resolver = Resolver(self.testbed, kind, self.address, lines=self.lines, address6=self.address6)
        resolver.__enter__()
        self.addCleanup(resolver.__exit__, None, None, None)

    def reach(self, kind: str) -> str:
        """Who answers at the address that it gives."""
        return self.public(
            client.fetch(self.public(client.address_of("one.gwa.demo", kind=kind, server=self.address6)))
        )

    def counts(self) -> Mapping[str, int]:
        """What the WAN's view has counted."""
        counts: Mapping[str, int] = ask(self.gateway.control, "status")["counts"]["dns"]["wan"]
        return counts

    def groups(self) -> list[str]:
        """Who is known to the gateway."""
        return [each["name"] for each in ask(self.gateway.control, "reputation/list")["reputations"]]

    def check(self, counted: str) -> None:
        """Both families lead to their host, after that challenge; the resolver is its prefix."""
        before = self.counts().get(counted, 0)
        self.assertEqual((FIRST6, FIRST), (self.reach("AAAA"), self.reach("A")))
        if counted:
            self.assertGreater(self.counts()[counted], before)
        mine = [name for name in self.groups() if ":" in name]
        self.assertEqual(mine, [str(ip_network(f"{self.address6}/64", strict=False)[0])])


class PlainTests(ByIpv6Case):
    """Without challenges."""

    def test_reaches_the_host_by_either_family(self) -> None:
        """A and AAAA."""
        self.check("")


class TcpTests(ByIpv6Case):
    """It has to come by TCP."""

    words = ("tcp",)

    def test_reaches_the_host_by_either_family(self) -> None:
        """By TCP over IPv6."""
        self.check("challenged_tc")


class AliasTests(ByIpv6Case):
    """It has to ask for an alias."""

    words = ("cname",)

    def test_reaches_the_host_by_either_family(self) -> None:
        """An alias of each type."""
        self.check("challenged_cname")


class BindTests(ByIpv6Case):
    """BIND as Debian ships it, with cookies: it has both, and prefers IPv6 by itself."""

    program = "named"

    def test_reaches_the_host_by_either_family(self) -> None:
        """A and AAAA."""
        self.check("")


class KnotTests(ByIpv6Case):
    """Knot Resolver as Debian ships it; left alone, it takes now the one family, now the other."""

    program = "kresd"
    lines = ("net.ipv4 = false",)

    def test_reaches_the_host_by_either_family(self) -> None:
        """A and AAAA."""
        self.check("")

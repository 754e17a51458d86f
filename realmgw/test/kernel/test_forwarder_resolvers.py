"""The forwarder before real resolvers, each as Debian ships it: unbound, BIND, and dnsmasq before another.

These tests need root. They build the testbed's namespaces under names of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import dns.flags
import dns.message
import dns.query
import dns.rcode
from twisted.trial.unittest import SkipTest

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import RealmTestCase
from realmgw.test.kernel.test_forwarder import LAN, WAN

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6, root
    from testbed.realm.resolvers import RESOLVERS, Resolver

UNBOUND, BIND, DNSMASQ, BEHIND = (f"100.64.3.{last}" for last in range(11, 15))
"""The last one is not asked by the gateway."""
BY_IPV6, LAN6, WAN6 = "2001:db8:3:14::1", "fd00::1", "2001:db8:1::130"
"""A resolver's address, and the gateway's."""


class RealResolverTests(RealmTestCase):
    """One at a time, though the gateway knows of all; nothing is kept."""

    clients: ClassVar[int] = 5
    settings: ClassVar[Mapping[str, Any]] = {
        "dns": {
            "wan": {"listen": [WAN, WAN6]},
            "lan": {"listen": [LAN, LAN6]},
            "forward": {"resolvers": [UNBOUND, BIND, DNSMASQ, BY_IPV6], "cache": 0},
        }
    }

    @contextlib.contextmanager
    def resolver(self, title: str, address: str, **how: Any) -> Iterator[Resolver]:
        """A resolver that runs."""
        kind = next(kind for kind in RESOLVERS if kind.title == title)
        if (missing := kind.missing()) is not None:
            raise SkipTest(missing)
        with Resolver(self.testbed, kind, address, **how) as resolver:
            yield resolver

    def told(
        self, name: str, kind: str = "A", *, tcp: bool = False, do: bool = False, where: str = LAN
    ) -> dns.message.Message:
        """What a host is told by the gateway."""
        query = dns.message.make_query(name, kind, use_edns=0, want_dnssec=do)
        asking = dns.query.tcp if tcp else dns.query.udp
        answer: dns.message.Message = self.testbed.call("test_gwa", asking, query, where, 5.0)
        return answer

    def counts(self, address: str) -> tuple[int, int]:
        """How many answers the resolver has given, and how many messages came that were none."""
        counts = ask(self.gateway.control, "status")["counts"]["dns"]
        text = f"[{address}]:53" if ":" in address else f"{address}:53"
        return counts[f"resolver {text}"]["answers"], counts["forward"]["wrong"]

    def check(self, address: str, where: str = LAN) -> None:
        """What is there, a name that is not, and what has no such type; nothing looked forged."""
        answers, wrong = self.counts(address)
        for name, kind, said in ((root.NAME, "A", root.ROOT), (".", "NS", root.NAME)):
            for how in ({}, {"tcp": True}, {"do": True}):
                answer = self.told(name, kind, where=where, **how)
                self.assertEqual([str(each) for found in answer.answer for each in found], [said], answer)
                self.assertTrue(answer.flags & dns.flags.RA)
                self.assertFalse(answer.flags & dns.flags.AA)
        for name, kind, rcode in (
            ("www.nowhere.", "A", dns.rcode.NXDOMAIN),
            (root.NAME, "TYPE65280", dns.rcode.NOERROR),
        ):
            answer = self.told(name, kind, where=where)
            self.assertEqual((answer.rcode(), answer.answer), (rcode, []))
        self.assertEqual(self.counts(address), (answers + 8, wrong))

    def test_unbound(self) -> None:
        """As it comes."""
        with self.resolver("unbound", UNBOUND):
            self.check(UNBOUND)

    def test_bind(self) -> None:
        """It gives cookies: those of one that was started anew are others, which is no forgery."""
        for _ in range(2):
            with self.resolver("BIND", BIND):
                self.check(BIND)

    def test_dnsmasq(self) -> None:
        """It forwards itself."""
        with self.resolver("unbound", BEHIND), self.resolver("dnsmasq", DNSMASQ, upstream=BEHIND):
            self.check(DNSMASQ)

    def test_by_ipv6(self) -> None:
        """The host asks so, and the gateway, from its own address; where nobody is any more, that is said."""
        if not ipv6.AVAILABLE:
            raise SkipTest("not on this kernel: IPv6")
        for where in (LAN6, WAN6, LAN):
            with self.resolver("unbound", BEHIND, address6=BY_IPV6):
                self.check(BY_IPV6, where)
        self.assertEqual(self.told("gone.nowhere.", where=LAN6).rcode(), dns.rcode.SERVFAIL)

    def test_one_that_asks_us(self) -> None:
        """A dnsmasq that forwards to the gateway, which gives the Internet no other people's names."""
        with self.resolver("dnsmasq", DNSMASQ):
            self.assertEqual(self.told("www.example.net.").rcode(), dns.rcode.REFUSED)

"""Tests for `realmgw.dns.forward.service` with lists of names: what each host is told, and what a reload changes."""

from __future__ import annotations

import time
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import attrs
import dns.message
import dns.query
import dns.rcode
from twisted.internet import defer, reactor, threads

from realmgw.config import settings
from realmgw.config.addresses import resolver
from realmgw.config.steps import Steps, finish
from realmgw.dns.codec.names import to_wire
from realmgw.dns.codec.wire import Type
from realmgw.dns.service import DnsService
from realmgw.errors import ConfigurationError
from realmgw.subscribers.model import Host, Profile
from realmgw.subscribers.registry import Changes
from realmgw.test.dns import realm
from realmgw.test.dns.forward.test_service import Upstream, said
from realmgw.test.dns.test_service import LOOPBACK, OTHER, PATIENCE, ServiceTestCase, free_ports, make_settings

CHILD = Host(7, "child.example.org.", LOOPBACK.packed, Profile(groups=("school",)), address6=ip_address("::1").packed)


class ListsTestCase(ServiceTestCase):
    """A resolver that knows every name, a host with a list of its own, and another one."""

    def setUp(self) -> None:
        """Both lists are written."""
        super().setUp()
        [self.port] = free_ports(1)
        self.upstream = Upstream(self.port, lambda message: [said(message)], said)
        self.upstream.start()
        self.addCleanup(self.upstream.close)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.ads, self.school = folder / "ads.hosts", folder / "school.rpz"
        self.ads.write_text("0.0.0.0 ads.example.net\n")
        self.school.write_text("*.games.example.net CNAME .\n")
        made = make_settings(self.wan_port, self.lan_port)
        lists = (
            settings.NameList("ads", self.ads),
            settings.NameList("school", self.school, settings.ListForm.RPZ, groups=("school",)),
        )
        forward = settings.Forwarding((resolver(f"{LOOPBACK}:{self.port}"),), lists=lists)
        self.settings = attrs.evolve(made, dns=attrs.evolve(made.dns, forward=forward))

    def make(self, **limits: Any) -> DnsService:
        """A service that knows one of those who ask."""
        return DnsService(
            self.settings,
            realm.directory(),
            self.allocator,
            reactor,
            time.monotonic,
            host_at={CHILD.address: CHILD}.get,
            lan_networks=lambda _: defer.succeed((ip_network("127.0.0.0/8"),)),
        )

    async def tell(self, name: str, source: str = str(OTHER)) -> int:
        """The response code for who asks from an address."""
        query = dns.message.make_query(name, "A", use_edns=0, id=len(name))
        answer = await threads.deferToThread(
            dns.query.udp, query, str(LOOPBACK), PATIENCE, self.lan_port, source, ignore_unexpected=False
        )
        return int(answer.rcode())

    def reload(self, service: DnsService) -> None:
        """The files are read anew."""

        def steps() -> Steps[None]:
            prepared = yield from service.prepare(self.settings, realm.directory(), Changes())
            yield from service.commit(prepared)

        finish(steps())

    async def counted(self, service: DnsService) -> Any:
        """What was counted by now."""
        return service.counts()


class AloneTests(ListsTestCase):
    """Lists where there are no resolvers."""

    async def test_names_do_not_exist_where_no_resolver_is_asked_for_others(self) -> None:
        """A list has an effect then: `realmgw.config.consistency.unused` lets it stand without resolvers."""
        forward = attrs.evolve(self.settings.dns.forward, resolvers=())
        self.settings = attrs.evolve(self.settings, dns=attrs.evolve(self.settings.dns, forward=forward))
        self.start()
        self.assertEqual(await self.tell("ads.example.net."), dns.rcode.NXDOMAIN)
        self.assertEqual(await self.tell("www.example.net."), dns.rcode.REFUSED)


class ListsTests(ListsTestCase):
    """Lists, and a resolver for all other names."""

    async def test_everybody_is_told_what_is_for_him(self) -> None:
        """However often, in whichever order, and with the same octets: what one gets is not given to another."""
        service = self.start()
        for _ in range(3):
            self.assertEqual(await self.tell("ads.example.net."), dns.rcode.NXDOMAIN)
            self.assertEqual(await self.tell("x.games.example.net."), dns.rcode.NOERROR)
            self.assertEqual(await self.tell("x.games.example.net.", str(LOOPBACK)), dns.rcode.NXDOMAIN)
            self.assertEqual(await self.tell("www.example.net.", str(LOOPBACK)), dns.rcode.NOERROR)
        self.assertEqual(self.upstream.asked[0], 2)
        counts: Any = await self.counted(service)
        self.assertEqual(counts["list ads"], {"names": 1, "decided": 3})
        self.assertEqual(counts["list school"], {"names": 1, "decided": 3})

    async def test_says_what_a_name_comes_to(self) -> None:
        """By lists, and by what is done with names that they say nothing of; nothing is asked, and nothing counted."""
        service = self.start()
        for name, kind, end in (
            ("ads.example.net.", Type.A, f"list ads ({self.ads}) keeps it from who asks: NXDOMAIN"),
            ("www.example.net.", Type.A, "no list that holds for who asks has it: resolvers are asked"),
            ("printer.home.arpa.", Type.A, "has it: resolvers are never asked for such names"),
            ("1.0.0.10.in-addr.arpa.", Type.PTR, "has it: resolvers are never asked for such names"),
        ):
            found = service.explain(name, str(OTHER), kind=kind)
            self.assertTrue(found.steps[-1].endswith(end), (name, found.steps))
        counts: Any = await self.counted(service)
        self.assertEqual(
            (self.upstream.asked[0], counts["list ads"]["decided"], counts["forward"]["special"]), (0, 0, 0)
        )

    async def test_reload_changes_what_is_listed(self) -> None:
        """What was given within the same second, too."""
        service = self.start()
        self.assertEqual(await self.tell("www.example.net."), dns.rcode.NOERROR)
        self.ads.write_text("www.example.net\n")
        self.reload(service)
        self.assertEqual(await self.tell("www.example.net."), dns.rcode.NXDOMAIN)
        self.assertEqual(await self.tell("ads.example.net."), dns.rcode.NOERROR)

    async def test_list_that_was_not_written_whole_changes_nothing(self) -> None:
        """Every problem is told, by file and line; all lists are as they were."""
        service = self.start()
        self.ads.write_text("")
        self.school.write_text("a.example.net CNAME .\nb.example.net CNA")
        error = str(self.assertRaises(ConfigurationError, self.reload, service))
        self.assertIn(f"{self.ads}:1:1: there is no name in it", error)
        self.assertIn(f"{self.school}:2:1: ", error)
        self.ads.unlink()
        self.school.write_text("a.example.net CNAME .\nb.example.net CNAME .")
        error = str(self.assertRaises(ConfigurationError, self.reload, service))
        self.assertIn(f"dns.forward.lists: {self.ads} can not be read: No such file", error)
        self.assertIn(f"{self.school}:2:1: the file ends within a line", error)
        self.assertEqual(await self.tell("ads.example.net."), dns.rcode.NXDOMAIN)
        self.assertEqual(await self.tell("x.games.example.net.", str(LOOPBACK)), dns.rcode.NXDOMAIN)

    async def test_what_nobody_had_is_noted(self) -> None:
        """For `realmgw log`: the name, who asked, and the list; whichever process has answered."""
        service = self.start()
        await self.tell("ads.example.net.")
        await self.tell("x.games.example.net.", str(LOOPBACK))
        await self.tell("example.net.")
        await self.counted(service)
        *_, withheld = self.allocator.ledger.decisions.logs()
        self.assertEqual(sorted(each[1:] for each in withheld), [
            (to_wire("x.games.example.net."), str(LOOPBACK), "school"),
            (to_wire("ads.example.net."), str(OTHER), "ads"),
        ])  # fmt: skip

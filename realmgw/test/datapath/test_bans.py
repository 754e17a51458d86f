"""Tests for `realmgw.datapath.bans`, and for how the kernel is told of them."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.nflog import Nflog
from realmgw.datapath import bans
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.test_service import OTHER, STRAY, DatapathServiceTestCase

CLIENT6 = ip_address("2001:db8::7").packed


class ElementsTests(SynchronousTestCase):
    """What bans."""

    def test_each_with_its_time(self) -> None:
        """Whole seconds, of IPv6 the /64; those of a family without a set are left out."""
        left = {STRAY: 9.5, OTHER: 600.0, CLIENT6: 1.0}
        first = [
            "add element inet t banned { 198.51.100.1 timeout 10000ms }",
            "add element inet t banned { 198.51.100.2 timeout 600000ms }",
        ]
        second = ["add element inet t banned6 { 2001:db8:: timeout 1000ms }"]
        for ipv6, expected in ((True, [*first, *second]), (False, first)):
            made = bans.elements(left, ipv6=ipv6)
            self.assertEqual([line for each in made for line in each.commands("t")], expected)
        self.assertEqual(bans.elements({}, ipv6=True), ())

    def test_who_is_lifted_may_be_there_or_not(self) -> None:
        """Added, which changes nothing of one that is there, then deleted: neither is refused."""
        made = bans.elements({STRAY: 0.0}, ipv6=True)
        self.assertEqual([line for each in made for line in each.commands("t")], [
            "add element inet t banned { 198.51.100.1 timeout 1000ms }",
            "delete element inet t banned { 198.51.100.1 }",
        ])  # fmt: skip


class DropsTests(SynchronousTestCase):
    """The rules."""

    def test_what_they_drop_is_told_of_by_their_number(self) -> None:
        """Where refusals are; elsewhere, and where the kernel can not tell, it is only dropped."""
        for nflog in (None, Nflog(refused=0)):
            [rule] = bans.drops(nflog, ipv6=False)
            self.assertEqual(rule, 'ip saddr @banned counter name "banned" drop comment "alerts"')
        told = bans.drops(Nflog(refused=9), ipv6=True)
        end = f'counter name "banned" meta mark set {bans.NUMBER:#010x} goto refused_drop comment "alerts"'
        self.assertEqual(told, [
            f"ip saddr @banned {end}",
            f"ip6 saddr & ffff:ffff:ffff:ffff:: @banned6 {end}",
        ])  # fmt: skip


class ServiceTests(DatapathServiceTestCase):
    """`DatapathService.ban`."""

    def test_the_kernel_is_told_in_its_thread(self) -> None:
        """Not when the service does not run, or all was removed; what it refuses is told."""
        self.successResultOf(self.service.ban({STRAY: 5.0}))
        self.start()
        done = self.service.ban({STRAY: 5.0})
        self.assertNoResult(done)
        self.worker.work()
        self.successResultOf(done)
        self.assertEqual(self.kernel.calls[-1], ("ban", {STRAY: 5.0}))
        self.kernel.refusal = RealmGatewayError("the set is full")
        done = self.service.ban({OTHER: 5.0})
        self.worker.work()
        self.failureResultOf(done, RealmGatewayError)
        self.kernel.refusal = None
        self.service.purge()
        self.worker.work()
        self.successResultOf(self.service.ban({OTHER: 5.0}))

    def test_another_table_is_told_when_it_can_ban_again(self) -> None:
        """After a purge that is when everything stands again: whoever is banned sooner would be so nowhere."""
        self.start()
        self.kernel.placements = 1
        self.assertEqual(self.service.placements, 1)
        self.service.purge()
        self.worker.work()
        self.kernel.placements = 2
        self.assertEqual(self.service.placements, 0)
        placed = self.service.place()
        self.kernel.placements = 3
        self.assertEqual(self.service.placements, 0)
        self.worker.work()
        self.successResultOf(placed)
        self.assertEqual(self.service.placements, 3)
        self.service.ban({OTHER: 5.0})
        self.worker.work()
        self.assertEqual(self.kernel.calls[-1], ("ban", {OTHER: 5.0}))

"""Tests of what a machine without IPv6 makes of the settings."""

from __future__ import annotations

from pathlib import PurePath

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.addresses import endpoint
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.config.settings import Portal, PortalTls
from realmgw.datapath.dualstack import SWITCHED_OFF, DualStack
from realmgw.subscribers.families import mode_of
from realmgw.subscribers.model import Host, Profile
from realmgw.test.datapath.test_ruleset import DUAL, SETTINGS

PINHOLE = Host(1, "a.example.org.", b"", Profile(ipv6=Ipv6Mode.PINHOLE), address6=bytes.fromhex("20010db8") + bytes(12))


class UsableTests(SynchronousTestCase):
    """`DualStack.usable`."""

    def test_machine_with_ipv6_takes_them_as_they_are(self) -> None:
        """And opens pinholes."""
        found = DualStack(exists=True)
        found.take([PINHOLE])
        self.assertIs(found.usable(DUAL), DUAL)
        self.assertTrue(found.pinholes and found.needs(SETTINGS).forwards)
        self.assertIs(mode_of(PINHOLE, found.usable(SETTINGS).ipv6), Ipv6Mode.PINHOLE)

    def test_machine_without_it_has_nothing_of_it(self) -> None:
        """No host is told at its own address; where nothing is written of IPv6 they are equal, and there is no line."""
        found = DualStack(exists=False)
        found.take([PINHOLE])
        for given, doubts in ((DUAL, (SWITCHED_OFF,)), (SETTINGS, ())):
            usable = found.usable(given)
            self.assertEqual((usable.pools.networks6, found.doubts(given)), ((), doubts))
            self.assertIs(mode_of(PINHOLE, usable.ipv6), Ipv6Mode.OFF)
            self.assertFalse(found.needs(usable).forwards)
        self.assertEqual(found.usable(SETTINGS), SETTINGS)

    def test_the_portal_listens_where_it_can(self) -> None:
        """By HTTP and by HTTPS."""
        both = endpoint("192.168.0.1:80"), endpoint("[fd00::1]:80")
        tls = PortalTls(both, "portal.example.org.", PurePath("certificate"), PurePath("key"))
        portal = DualStack(exists=False).usable(attrs.evolve(DUAL, portal=Portal(both, tls))).portal
        assert portal is not None
        self.assertEqual(portal.endpoints, (both[0], both[0]))

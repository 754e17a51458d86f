"""What the ways to send a flow to its host differ in."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Datapath, Dnat
from realmgw.datapath import translation
from realmgw.datapath.translation import first_octet
from realmgw.errors import ConfigurationError
from realmgw.subscribers.model import Host, Profile
from realmgw.test.datapath.test_ruleset import DUAL, SETTINGS


def host(index: int, *address: int) -> Host:
    """A host."""
    return Host(index=index, name=f"h{index}.example.", address=bytes(address), profile=Profile(max_claims=1))


HOSTS = [host(1, 192, 0, 2, 1), host(2, 192, 168, 0, 100)]
FAR = host(3, 10, 0, 0, 1)


class FirstOctetTests(SynchronousTestCase):
    """`first_octet`."""

    def test_is_that_of_every_host(self) -> None:
        """The mark holds the other three; one without an address of IPv4 has none."""
        self.assertEqual(192, first_octet([host(9), *HOSTS], Dnat.MARKDNAT))
        self.assertEqual(192, first_octet(HOSTS, Dnat.MARKDNAT))
        self.assertIsNone(first_octet([], Dnat.MARKDNAT))

    def test_host_elsewhere_is_named(self) -> None:
        """In one line that says what to do."""
        error = self.assertRaises(ConfigurationError, first_octet, [*HOSTS, FAR], Dnat.MARKDNAT)
        self.assertRegex(str(error), r"^h3.example.: its address 10.0.0.1 is outside 192.0.0.0/8, .*dnat: map$")

    def test_map_does_not_mind(self) -> None:
        """A map holds whole addresses."""
        self.assertIsNone(first_octet([*HOSTS, FAR], Dnat.MAP))


class ToldTests(SynchronousTestCase):
    """`told`."""

    def test_says_that_ipv6_goes_by_the_map(self) -> None:
        """Where it is written that flows go by the target of iptables, and there is a pool of IPv6."""
        for settings, count in ((SETTINGS, 0), (DUAL, 1)):
            markdnat = attrs.evolve(settings, datapath=Datapath(dnat=Dnat.MARKDNAT))
            self.assertEqual((len(translation.told(markdnat)), translation.told(settings)), (count, ()))

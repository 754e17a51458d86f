"""What the ways to send a flow to its host differ in."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Dnat
from realmgw.datapath.translation import first_octet
from realmgw.errors import ConfigurationError
from realmgw.subscribers.model import Host, Profile


def host(index: int, *address: int) -> Host:
    """A host."""
    return Host(index=index, name=f"h{index}.example.", address=bytes(address), profile=Profile(max_claims=1))


HOSTS = [host(1, 192, 0, 2, 1), host(2, 192, 168, 0, 100)]
FAR = host(3, 10, 0, 0, 1)


class FirstOctetTests(SynchronousTestCase):
    """`first_octet`."""

    def test_is_that_of_every_host(self) -> None:
        """The mark holds the other three."""
        self.assertEqual(192, first_octet(HOSTS, Dnat.MARKDNAT))
        self.assertIsNone(first_octet([], Dnat.MARKDNAT))

    def test_host_elsewhere_is_named(self) -> None:
        """In one line that says what to do."""
        error = self.assertRaises(ConfigurationError, first_octet, [*HOSTS, FAR], Dnat.MARKDNAT)
        self.assertRegex(str(error), r"^h3.example.: its address 10.0.0.1 is outside 192.0.0.0/8, .*dnat: map$")

    def test_map_does_not_mind(self) -> None:
        """A map holds whole addresses."""
        self.assertIsNone(first_octet([*HOSTS, FAR], Dnat.MAP))

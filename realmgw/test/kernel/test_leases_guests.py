"""Guests that are registered while the gateway runs: reached, and past the portal, at once; guests again afterwards."""

from __future__ import annotations

import contextlib
import json
import socket

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import SECOND
from realmgw.test.kernel.test_guests import GuestTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.topology import GATEWAY_LAN

NAME = "h.gwa.demo"


class RegisteredGuestTests(GuestTestCase):
    """A guest that a DHCP server, or somebody else, registers."""

    def lease(self, command: str, **given: str) -> None:
        """Registers, or removes."""
        ask(self.gateway.control, f"leases/{command}", {"name": NAME, **given})

    def is_captive(self) -> bool:
        """Whether the portal tells the second host so."""
        captive: bool = json.loads(self.get(SECOND, GATEWAY_LAN, "/captive-portal/api")[1])["captive"]
        return captive

    def kernel(self) -> str:
        """The table."""
        return self.testbed.run("gwa", ["nft", "list", "table", "inet", "realmgw"]).stdout

    def flows(self) -> list[str]:
        """The flows of the second host, without those to the gateway itself."""
        listed = self.testbed.run("gwa", ["cat", "/proc/net/nf_conntrack"]).stdout.splitlines()
        return [line for line in listed if SECOND in line and f"src={SECOND} dst={GATEWAY_LAN} " not in line]

    def test_all_of_it_comes_and_goes_with_the_registration(self) -> None:
        """The name, the portal, the elements in the kernel, the flows both ways; others keep theirs."""
        other, idle = self.connect("192.168.0.100", self.far), self.connect(SECOND, self.far)
        before = self.kernel().count(SECOND)
        self.assertEqual((self.get(SECOND, self.far)[0].status, self.is_captive()), (302, True))
        self.assertRaises(ConnectionRefusedError, self.connect, SECOND, self.far, 443)
        self.assertRaises(LookupError, self.ask, NAME)

        self.lease("add", address=SECOND)
        self.assertEqual(self.public(client.fetch(self.ask(NAME))), SECOND)
        self.assertEqual(self.get(SECOND, self.far, port=443)[1], b"outside")
        self.assertEqual((self.get(SECOND, self.far)[1], self.is_captive()), (b"outside", False))
        self.assertRaises(ConnectionResetError, idle.sock.recv, 99)
        self.assertGreater(self.kernel().count(SECOND), before)

        coming = self.testbed.call("public", socket.create_connection, (self.ask(NAME), 80), 3.0)
        self.addCleanup(coming.close)
        going = self.connect(SECOND, self.far, 443)
        self.assertGreaterEqual(len(self.flows()), 2)
        self.lease("remove")
        self.assertEqual((self.flows(), self.kernel().count(SECOND)), ([], before))
        self.assertRaises(LookupError, self.ask, NAME)
        going.request("GET", "/")
        self.assertRaises(ConnectionResetError, going.getresponse)
        self.assertEqual((self.get(SECOND, self.far)[0].status, self.is_captive()), (302, True))
        other.request("GET", "/")
        self.assertEqual(other.getresponse().read(), b"outside")

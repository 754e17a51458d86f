"""Guests that are registered while the gateway runs: reached, and past the portal, at once; guests again afterwards."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.tsig
import dns.update

from realmgw.control.command.client import ask
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, SECOND
from realmgw.test.kernel.test_guests import GuestTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.topology import GATEWAY_LAN

NAME = "h.gwa.demo"
SECRET, PORT = bytes(range(1, 33)), 5335
"""Of both keys, and where updates come in."""
GROUPS = """
pipeline:
  groups:
    new: {rules: [{priority: 1, direction: EGRESS, tcp: {dport: 25}, target: REJECT}]}
"""
"""What hosts may not that nobody else knows."""


class RegisteredGuestTests(GuestTestCase):
    """A guest that a DHCP server, or somebody else, registers."""

    def build(self) -> Any:
        """With a key for hosts, and one for guests."""
        cls, keys = type(self), Path(self.mktemp()).absolute()
        secret = base64.b64encode(SECRET).decode()
        keys.write_text(json.dumps({"keys": {"hosts": {"secret": secret}, "guests": {"secret": secret}}}))
        keys.chmod(0o600)
        update = {"listen": [f"{GATEWAY_LAN}:{PORT}"], "key_file": str(keys), "guests": ["guests"]}
        cls.dns = {"update": {**update, "defaults": {"groups": ["new"]}}}
        policies = Path(self.mktemp()).absolute()
        policies.mkdir()
        (policies / "groups.yaml").write_text(GROUPS)
        cls.policies = (str(policies),)
        return super().build()

    def update(self, key: str, address: str = "") -> None:
        """Registers the second host, or removes it, as a DHCP server does."""
        update = dns.update.UpdateMessage("gwa.demo.", keyring=dns.tsig.Key(key, SECRET, "hmac-sha256"))
        update.delete("h")
        if address:
            update.add("h", 300, "A", address)
        answer = self.testbed.call("gwa", dns.query.udp, update, GATEWAY_LAN, timeout=5, port=PORT)
        self.assertEqual(answer.rcode(), 0)

    def told(self, name: str, kind: str = "A", source: str = FIRST) -> list[str]:
        """What a host is told."""
        query = dns.message.make_query(name, kind)
        answer = self.testbed.call("test_gwa", dns.query.udp, query, GATEWAY_LAN, timeout=5, source=source)
        return [str(each) for found in answer.answer for each in found]

    def test_a_guest_with_a_name_stays_a_guest(self) -> None:
        """Those on the LAN reach it by its name; the Internet does not, and it gets no further than the portal."""
        before = self.kernel()
        self.update("guests", SECOND)
        for source in (FIRST, SECOND):
            self.assertEqual(self.told(f"{NAME}.", source=source), [SECOND])
            self.assertEqual(self.told("101.0.168.192.in-addr.arpa.", "PTR", source), [f"{NAME}."])
        self.assertRaises(LookupError, self.ask, NAME)
        self.assertEqual((self.get(SECOND, self.far)[0].status, self.is_captive()), (302, True))
        self.assertEqual(self.kernel().count(SECOND), before.count(SECOND))
        self.gateway.kill()
        self.gateway.start()
        self.assertEqual(self.told(f"{NAME}."), [SECOND])
        self.update("hosts", SECOND)
        self.assertEqual(self.public(client.fetch(self.ask(NAME))), SECOND)
        self.update("guests", SECOND)
        self.assertEqual(self.told(f"{NAME}."), [SECOND])
        self.update("guests")
        self.assertTrue(until(lambda: not self.told(f"{NAME}.")))  # it is a host for two seconds more
        self.assertEqual(self.told("101.0.168.192.in-addr.arpa.", "PTR"), [])
        self.assertTrue(until(lambda: not self.flows()), "what it had as a host ends soon")

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

    def refused_by_group(self) -> int:
        """What the rules of its group have refused of a connection that every host is refused, be it a guest or not."""
        before = self.counted("kernel", "stage_groups")["packets"]
        self.assertRaises(ConnectionRefusedError, self.connect, SECOND, self.far, 25)
        packets: int = self.counted("kernel", "stage_groups")["packets"] - before
        return packets

    def flows(self) -> list[str]:
        """The flows of the second host, without those to the gateway itself."""
        listed = self.testbed.run("gwa", ["cat", "/proc/net/nf_conntrack"]).stdout.splitlines()
        return [line for line in listed if SECOND in line and f"src={SECOND} dst={GATEWAY_LAN} " not in line]

    def test_all_of_it_comes_and_goes_with_the_registration(self) -> None:
        """The name, the portal, the rules of its group, all that is in the kernel, flows; others keep theirs."""
        other, idle = self.connect(FIRST, self.far), self.connect(SECOND, self.far)
        before = self.kernel().count(SECOND)
        self.assertEqual((self.get(SECOND, self.far)[0].status, self.is_captive()), (302, True))
        self.assertRaises(ConnectionRefusedError, self.connect, SECOND, self.far, 443)
        self.assertRaises(LookupError, self.ask, NAME)
        self.assertEqual(self.refused_by_group(), 0)

        self.lease("add", address=SECOND)
        self.assertEqual(self.public(client.fetch(self.ask(NAME))), SECOND)
        self.assertEqual(self.get(SECOND, self.far, port=443)[1], b"outside")
        self.assertEqual((self.get(SECOND, self.far)[1], self.is_captive()), (b"outside", False))
        self.assertEqual(self.refused_by_group(), 1)
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
        self.assertEqual(self.refused_by_group(), 0)
        other.request("GET", "/")
        self.assertEqual(other.getresponse().read(), b"outside")

"""Hosts that are registered by dynamic update with an address of each family: told on the LAN, reached by either.

These tests need root. They build the testbed's namespaces under names of their own.
"""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import dns.message
import dns.query
import dns.rcode
import dns.reversename
import dns.tsig
import dns.update

from realmgw.test.kernel import test_dual_stack
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.gateway import Subscriber

SECRET, PORT = bytes(range(32)), 5335
LAN6 = "fd00::1"
SECOND6, THIRD6 = "fd00::101", "fd00::102"
ZONE, REVERSE6 = "gwa.demo.", f"{'0.' * 12}0.0.d.f.ip6.arpa."
NAME = "h.gwa.demo."
SERVER = {"name_servers": {"ns1.gwa.demo": "100.64.1.130"}, "contact": "hostmaster.gwa.demo"}


class LeaseDualStackTests(test_dual_stack.DualTestCase):
    """A gateway that takes updates by IPv6, of both families."""

    resolvers: ClassVar[bool] = False

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """A host with both families."""
        return [Subscriber("one.gwa.demo.", FIRST, address6=test_dual_stack.FIRST6)]

    def build(self) -> Any:
        """With a key that may register addresses of one network of each family."""
        keys = Path(self.mktemp()).absolute()
        grant = {"secret": base64.b64encode(SECRET).decode(), "addresses": ["192.168.0.0/24", "fd00::100/120"]}
        keys.write_text(json.dumps({"keys": {"dhcp": grant}}))
        keys.chmod(0o600)
        views: Mapping[str, Any] = {
            "wan": {"listen": ["100.64.1.130", "2001:db8:1::130"]},
            "lan": {"listen": ["192.168.0.1", LAN6]},
            "update": {"listen": [f"[{LAN6}]:{PORT}"], "key_file": str(keys)},
        }
        type(self).settings = {"zones": {ZONE[:-1]: SERVER, REVERSE6[:-1]: None}, "dns": views}
        return super().build()

    def update(self, zone: str, *lines: Sequence[Any], tcp: bool = False) -> str:
        """The RCODE of an update; each line is an owner and what is added, or an owner of which all is deleted."""
        update = dns.update.UpdateMessage(zone, keyring=dns.tsig.Key("dhcp", SECRET, "hmac-sha256"))
        for owner, *added in lines:
            if added:
                update.add(owner, 300, *added)
            else:
                update.delete(owner)
        ask = dns.query.tcp if tcp else dns.query.udp
        answer = self.testbed.call("test_gwa", ask, update, LAN6, timeout=10, port=PORT)
        return dns.rcode.to_text(answer.rcode())

    def told(self, name: str, kind: str) -> list[str]:
        """What the LAN is told."""
        query = dns.message.make_query(name, kind)
        answer = self.testbed.call("test_gwa", dns.query.udp, query, LAN6, timeout=10)
        return [str(each) for found in answer.answer for each in found]

    def test_is_reached_by_either_family(self) -> None:
        """As soon as it is registered; at another address of one of them, and by one of them when the other is gone."""
        pointer = str(dns.reversename.from_address(SECOND6))
        self.assertEqual(self.update(ZONE, (NAME, "A", SECOND), (NAME, "AAAA", SECOND6)), "NOERROR")
        self.assertEqual(self.update(REVERSE6, (pointer, "PTR", NAME), tcp=True), "NOERROR")
        self.assertEqual((self.told(NAME, "A"), self.told(NAME, "AAAA")), ([SECOND], [SECOND6]))
        self.assertEqual(self.told(pointer, "PTR"), [NAME])
        self.assertEqual(self.public(client.fetch(self.ask("h.gwa.demo"))), SECOND)
        self.assertEqual(self.public(client.fetch(self.ask6("h.gwa.demo"))), SECOND6)
        moved = [(NAME,), (NAME, "A", SECOND), (NAME, "AAAA", THIRD6)]
        self.assertEqual(self.update(ZONE, *moved, tcp=True), "NOERROR")
        self.assertEqual(self.public(client.fetch(self.ask6("h.gwa.demo"))), THIRD6)
        self.assertEqual((self.told(NAME, "AAAA"), self.told(pointer, "PTR")), ([THIRD6], []))
        self.assertEqual(self.update(ZONE, (NAME,), (NAME, "AAAA", THIRD6)), "NOERROR")
        self.assertTrue(until(lambda: not self.told(NAME, "A")))
        self.assertEqual(self.public(client.fetch(self.ask6("h.gwa.demo"))), THIRD6)
        self.assertRaises(LookupError, self.ask, "h.gwa.demo")
        self.gateway.kill()
        self.gateway.start()
        self.assertEqual(self.public(client.fetch(self.ask6("h.gwa.demo"))), THIRD6)
        self.assertEqual(self.update(ZONE, (NAME,)), "NOERROR")
        self.assertTrue(until(lambda: not self.told(NAME, "AAAA")))
        self.assertRaises(LookupError, self.ask6, "h.gwa.demo")

    def test_what_belongs_to_others_is_refused(self) -> None:
        """The gateway's own addresses, a subscriber's, its reverse name for others, and what the key is not for."""
        for address in (
            LAN6,
            test_dual_stack.FIRST6,
            "fd00::201",
            "fe80::101",
            "2001:db8:2::1",
            "::ffff:192.168.0.101",
        ):
            self.assertEqual(self.update(ZONE, (NAME, "AAAA", address)), "REFUSED", address)
        own = str(dns.reversename.from_address(test_dual_stack.FIRST6))
        self.update(REVERSE6, (own, "PTR", "else.example.net."))
        self.assertEqual(self.told(own, "PTR"), ["one.gwa.demo."])
        self.assertEqual(self.told(NAME, "AAAA"), [])

"""The whole gateway on a machine that has IPv6 switched off, though it is told of a pool of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from realmgw.control.command.client import ask
from realmgw.datapath.dualstack import SWITCHED_OFF
from realmgw.test.kernel import requirements
from realmgw.test.kernel.realm_case import FIRST, PREFIX, SECOND, RealmTestCase

if TYPE_CHECKING:
    from testbed.realm.topology import Testbed as Realm

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client, host
    from testbed.realm.gateway import ON_LINK_POOL, Gateway, Subscriber
    from testbed.realm.topology import Testbed


class SwitchedOffTests(RealmTestCase):
    """It serves IPv4."""

    skip = requirements.missing_for_gateway() or requirements.missing_ipv6()
    circular: ClassVar[Sequence[Mapping[str, str]]] = ({"addresses": "2001:db8:2::/64", "attachment": "routed"},)

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Two hosts with both families, and one that wants to be reached at its own address."""
        return [
            Subscriber("one.gwa.demo.", FIRST, address6="fd00::100"),
            Subscriber("two.gwa.demo.", SECOND, address6="fd00::101"),
            Subscriber("own.gwa.demo.", "", address6="2001:db8:5::100", ipv6="pinhole"),
        ]

    def build(self) -> tuple[Realm, Gateway]:
        """A testbed whose gateway has no IPv6."""
        testbed = Testbed(PREFIX, hosts=self.hosts, clients=self.clients).__enter__()
        try:
            host.start(testbed)
            done = testbed.run("gwa", ["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"])
            self.assertEqual(done.returncode, 0, done.stderr)
            gateway = Gateway(testbed, self.subscribers(), circular=(ON_LINK_POOL, *self.circular))
            gateway.start()
        except BaseException:
            testbed.close()
            raise
        return testbed, gateway

    def test_serves_ipv4_and_says_so_once(self) -> None:
        """In the log of its start; and it has no data of IPv6."""
        self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))
        for name in ("one.gwa.demo", "own.gwa.demo"):
            answer = self.public(client.resolve(name, kind="AAAA"))
            self.assertEqual((answer.rcode, answer.addresses), ("NOERROR", []))
        self.assertEqual(self.gateway.log.read_text().count(SWITCHED_OFF), 1)

    def test_reload_serves_no_more(self) -> None:
        """Nothing of it is refused by the kernel."""
        self.assertNotIn("failed", str(ask(self.gateway.control, "reload")))
        self.assertEqual(SECOND, self.public(client.fetch(self.ask("two.gwa.demo"))))

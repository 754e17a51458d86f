"""Tests for `realmgw.subscribers.realm`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.subscribers.realm import Realm
from realmgw.subscribers.schema import entries
from realmgw.test.config.test_schema import MINIMAL
from realmgw.test.config.test_schema import settings as read


class RealmTests(SynchronousTestCase):
    """`Realm` knows what subscribers may say beside the gateway's settings."""

    def setUp(self) -> None:
        """The realm of a gateway without a service pool."""
        text = MINIMAL.replace("dns: {", "dns: {lan: {listen: [192.168.0.1]}, ").replace(
            "contact: admin.example.org}",
            "contact: admin.example.org}, x.example.org: {aliases: true}",
        )
        self.realm = Realm.of(read(text))

    def add(self, text: str) -> list[str]:
        """What is wrong with a subscriber."""
        root = parse(text.encode(), Problems("f"))
        assert root is not None
        [entry] = entries(root, Problems("f"))
        return list(self.realm.contradictions(entry))

    def test_hosts_do_not_have_the_gateways_addresses(self) -> None:
        """Neither those where it listens nor those of its pool."""
        [own] = self.add("a.example.org: {address: 192.168.0.1}")
        self.assertEqual(own, "192.168.0.1 is the gateway's own address: write the host's")
        [wan] = self.add("a.example.org: {address: 192.0.2.1}")
        self.assertIn("192.0.2.1 is the gateway's own address", wan)
        [pool] = self.add("a.example.org: {address: 198.51.100.7}")
        self.assertIn("198.51.100.7 is an address of the circular pool", pool)

    def test_the_gateway_itself_may_be_listed(self) -> None:
        """Existing collections do so, without any service."""
        self.assertEqual(self.add("gw.example.org.: {ID: {FQDN: [gw.example.org.], IPV4: [192.0.2.1]}}"), [])

    def test_a_proxy_needs_the_service_pool(self) -> None:
        """Of such a name."""
        text = "a.example.org: {address: 192.168.0.9, services: {w.example.org: {proxy_required: true}}}"
        [line] = self.add(text)
        self.assertTrue(line.startswith("w.example.org. needs the service pool"))
        self.realm = Realm.of(read(MINIMAL.replace("pools: {", "pools: {service: [192.0.2.1], ")))
        self.assertEqual(self.add(text), [])

    def test_a_zone_of_aliases_has_no_services(self) -> None:
        """Their names come and go by themselves."""
        [line] = self.add("a.x.example.org: {address: 192.168.0.9}")
        self.assertEqual(
            line,
            "a.x.example.org. lies within a zone of one-time aliases: write a name within example.org.",
        )
